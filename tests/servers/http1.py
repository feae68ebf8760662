"""The fault server's half of HTTP/1.1: GET and HEAD with ranges and conditions, honest unless a rule says otherwise.

What changes objects, and lists, is in `s3.py`.

Callbacks instead of coroutines: a request costs some 50 µs, so that ten thousand of them can be served in a second.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from urllib.parse import unquote

from . import s3
from .rules import HONEST, Rule, Seen

REASONS = {
    200: "OK",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
PIECE = 256 << 10  # bytes of a body handed over at once
MODIFIED = "Mon, 02 Nov 2026 10:00:00 GMT"


def span(text: str | None, size: int):
    """(start, stop) that a Range header asks for, None for the whole, or ValueError for what cannot be satisfied."""
    if text is None:
        return None
    found = RANGE.match(text)
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = int(last)
        if not length or not size:
            raise ValueError(text)
        return max(size - length, 0), size
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if start >= size or stop <= start:
        raise ValueError(text)
    return start, stop


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, server):
        self.server, self.loop = server, server.loop
        self.unread = bytearray()
        self.seen: Seen | None = None
        self.to_come = 0  # bytes of the request's body that have not been taken yet
        self.received = bytearray()
        self.rule = HONEST
        self.body, self.position, self.limit = memoryview(b""), 0, 0
        self.close_at_end = self.paused = self.closed = False

    # ---- Transport ----

    def connection_made(self, transport):
        self.transport = transport
        self.server.accepted(self)

    def connection_lost(self, exc):
        self.closed = True
        if self.seen is not None:
            self.server.counters.end(self.seen, time.monotonic(), aborted=True)
        self.server.lost(self)

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.send()

    def data_received(self, data):
        self.unread += data
        if self.seen is None:
            self.next_request()
        elif self.to_come:
            self.take_body()

    # ---- Requests ----

    def next_request(self):
        end = self.unread.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self.unread[:end].decode("latin-1").split("\r\n")
        del self.unread[: end + 4]
        method, target, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path, _, query = target.partition("?")
        path = unquote(path)[1:]
        self.close_at_end = headers.get("connection", "").lower() == "close"
        self.seen = Seen(method, path, headers.get("range"), headers, id(self), time.monotonic(), query)
        self.server.counters.begin(self.seen)
        self.rule = self.server.rule_for(method, path)
        self.to_come, self.received = int(headers.get("content-length", 0)), bytearray()
        if self.rule.silent:
            return
        if self.rule.close_at_once:
            self.end_badly()
        elif self.to_come:
            self.take_body()
        else:
            self.decide()

    def take_body(self):
        piece = self.unread[: self.to_come]
        del self.unread[: self.to_come]
        self.to_come -= len(piece)
        self.received += piece
        self.seen.received += len(piece)
        if self.rule.cut_body is not None and len(self.received) >= self.rule.cut_body:
            self.end_badly()
        elif not self.to_come:
            self.decide()

    def decide(self):
        """All of the request is there: answer now, or when the rule says."""
        if self.rule.gate is not None:
            self.rule.gate.pass_or_wait(self.answer)
        elif self.rule.delay:
            # The loop's clock ticks in milliseconds and rounds up: this makes the mean right.
            self.loop.call_later(max(self.rule.delay - 0.0005, 0), self.answer)
        else:
            self.answer()

    def answer(self):
        if self.closed:
            return
        seen, rule = self.seen, self.rule
        if rule.status is not None:
            self.respond(rule.status, {}, error_body(rule.status))
        elif seen.method not in ("GET", "HEAD") or "list-type=2" in seen.query:
            status, headers, body = s3.answer(self.server, seen, bytes(self.received))
            if rule.lose_answer:
                self.end_badly()
            else:
                self.respond(status, headers, body or (error_body(status) if status >= 400 else b""))
        else:
            self.respond_to_get()

    def respond_to_get(self):
        seen, rule = self.seen, self.rule
        found = self.server.objects.get(seen.path)
        if found is None:
            self.respond(404, {}, error_body(404))
            return
        etag = rule.etag or found.etag
        headers = {"ETag": etag, "Last-Modified": MODIFIED, "Accept-Ranges": "bytes"}
        if seen.headers.get("if-match", etag) not in (etag, "*"):
            self.respond(412, headers, error_body(412))
        elif seen.headers.get("if-none-match") == etag:
            self.respond(304, headers, b"")
        else:
            self.respond_with_object(found.data, headers, rule)

    def respond_with_object(self, data: memoryview, headers: dict, rule: Rule):
        try:
            wanted = None if rule.ignore_range else span(self.seen.range, len(data))
        except ValueError:
            self.respond(416, {**headers, "Content-Range": f"bytes */{len(data)}"}, error_body(416))
            return
        if wanted is None:
            self.respond(200, headers, self.reshaped(data))
            return
        start, stop = wanted
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self.respond(206, headers, self.reshaped(data[start:stop]))

    def reshaped(self, body):
        if self.rule.longer:
            return memoryview(bytes(body) + b"\xa5" * self.rule.longer)
        return body[: max(len(body) - self.rule.shorter, 0)]

    def respond(self, status: int, headers: dict, body):
        rule, seen = self.rule, self.seen
        seen.status = status
        headers = {
            "Content-Length": str(len(body)),
            "Content-Type": "application/octet-stream",
            **headers,
            **rule.headers,
        }
        length = headers["Content-Length"]
        # After a wrong length the connection is of no use: whoever waits for more learns that there is none.
        self.close_at_end = self.close_at_end or rule.close_after is not None or length != str(len(body))
        if self.close_at_end:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}\r\n{lines}\r\n".encode("latin-1")
        if seen.method == "HEAD":
            body = b""
        self.body, self.position = memoryview(body), 0
        limits = [bound for bound in (rule.close_after, rule.stall_after) if bound is not None]
        self.limit = min([len(body), *limits])
        if self.limit <= PIECE and rule.rate is None:  # head and body in one write
            self.position = seen.sent = self.limit
            self.transport.write(b"".join((head, self.body[: self.limit])))
            self.sent_all()
        else:
            self.transport.write(head)
            self.send()

    def send(self):
        """Hand over more of the body, as much as the transport or the rate lets through."""
        while self.seen is not None and not (self.paused or self.closed) and self.position < self.limit:
            rate = self.rule.rate
            size = PIECE if rate is None else max(1, min(PIECE, int(rate / 50)))
            piece = self.body[self.position : min(self.position + size, self.limit)]
            self.position += len(piece)
            self.seen.sent = self.position
            self.transport.write(piece)
            if self.position == self.limit:
                break
            if rate is not None:
                self.loop.call_later(len(piece) / rate, self.send)
                return
        if self.seen is not None and self.limit and self.position == self.limit and not self.closed:
            self.sent_all()

    def sent_all(self):
        if self.limit < len(self.body):
            if self.rule.close_after is not None:
                self.end_badly()
            return  # a stall: the request stays in flight until the client gives up
        self.body = memoryview(b"")
        self.server.counters.end(self.seen, time.monotonic())
        self.seen = None
        if self.close_at_end:
            self.hang_up()
        elif self.unread:
            self.next_request()

    def end_badly(self):
        self.server.counters.end(self.seen, time.monotonic())
        self.seen = None
        self.hang_up()

    def hang_up(self):
        if self.rule.reset:
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.transport.close()


def error_body(status: int) -> bytes:
    """An error as S3 words it."""
    codes = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}
    code = (codes | {429: "SlowDown", 503: "SlowDown"}).get(status)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code or "Error"}</Code></Error>'
    return text.encode()
