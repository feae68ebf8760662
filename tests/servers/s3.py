"""What S3 has besides reading, for the fault server: puts with conditions, uploads in parts, deletes, lists."""

from __future__ import annotations

import re
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

PAGE = 7  # keys that one answer lists: few, so that a list of some takes several


def answer(server, seen, body: bytes) -> tuple[int, dict, bytes]:
    """The status, headers and body for a request that changes objects or lists them. `server`: a FaultServer."""
    query = parse_qs(seen.query, keep_blank_values=True)
    match seen.method:
        case "GET":
            return _list(server, seen.path.strip("/"), query)
        case "PUT" if "uploadId" in query:
            return _part(server, query, body)
        case "PUT":
            return _put(server, seen, body)
        case "DELETE" if "uploadId" in query:
            found = server.uploads.pop(query["uploadId"][0], None)
            return 404 if found is None else 204, {}, b""
        case "DELETE":
            server.objects.pop(seen.path, None)
            return 204, {}, b""
        case "POST" if "delete" in query:
            return _delete_many(server, seen.path.strip("/"), body)
        case "POST" if "uploads" in query:
            server.uploads[name := f"upload-{len(server.uploads)}-{len(server.counters.log)}"] = {}
            return 200, {}, _xml("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        case "POST" if "uploadId" in query:
            return _complete(server, seen, query["uploadId"][0])
    return 405, {}, b""


def _xml(name: str, content: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}>{content}</{name}>'.encode()


def _put(server, seen, body):
    found = server.objects.get(seen.path)
    if seen.headers.get("if-none-match") == "*" and found is not None:
        return 412, {}, b""
    if "if-match" in seen.headers and (found is None or seen.headers["if-match"] != found.etag):
        return 412, {}, b""
    server.put(seen.path, body)
    return 200, {"ETag": server.objects[seen.path].etag}, b""


def _part(server, query, body):
    parts = server.uploads.get(query["uploadId"][0])
    if parts is None:
        return 404, {}, b""
    number = int(query["partNumber"][0])
    parts[number] = body
    return 200, {"ETag": f'"part-{number}"'}, b""


def _complete(server, seen, upload):
    parts = server.uploads.pop(upload, None)
    if parts is None:
        return 404, {}, b""
    server.put(seen.path, b"".join(parts[number] for number in sorted(parts)))
    return (
        200,
        {},
        _xml("CompleteMultipartUploadResult", f"<ETag>{escape(server.objects[seen.path].etag)}</ETag>"),
    )


def _delete_many(server, bucket, body):
    keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
    for key in keys:
        server.objects.pop(f"{bucket}/{key}", None)
    return 200, {}, _xml("DeleteResult", "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys))


def _list(server, bucket, query):
    prefix = f"{bucket}/{query.get('prefix', [''])[0]}"
    after = query.get("continuation-token", query.get("start-after", [""]))[0]
    keys = sorted(key for key in server.objects if key.startswith(prefix) and key[len(bucket) + 1 :] > after)
    page, more = keys[:PAGE], len(keys) > PAGE
    contents = "".join(
        f"<Contents><Key>{escape(key[len(bucket) + 1 :])}</Key><Size>{len(server.objects[key].data)}</Size>"
        f"<LastModified>2026-11-02T10:00:00.000Z</LastModified><ETag>{escape(server.objects[key].etag)}</ETag>"
        "</Contents>"
        for key in page
    )
    token = (
        f"<NextContinuationToken>{escape(page[-1][len(bucket) + 1 :])}</NextContinuationToken>"
        if more
        else ""
    )
    return (
        200,
        {},
        _xml("ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{contents}{token}"),
    )
