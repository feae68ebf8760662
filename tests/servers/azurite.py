"""Azurite, Microsoft's own emulator of Azure's blob storage. Like Azure, it refuses ranges that name a suffix."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import shutil
import subprocess
from email.utils import formatdate
from pathlib import Path

from .process import HOST, Process, ServerMissing, files_below, free_ports, request

VERSION = "3.35.0"
ACCOUNT = "zarrsctest"
SECRET = base64.b64encode(b"azure-secret-that-nobody-may-print, of some length").decode()
PUBLIC, PRIVATE = "public", "private"
API = "2021-12-02"


def installed() -> list[str]:
    """The command that starts Azurite, which npm installs into a cache folder at the first call."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise ServerMissing("Azurite needs node and npm: apt install nodejs npm, or https://nodejs.org")
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("ZARRS_C_CACHE") or Path(caches) / "zarrs_c") / f"azurite-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may find it missing at once
        if not (folder / "done").exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--omit=dev", f"azurite@{VERSION}"]
            (folder / "package.json").write_text('{"private": true}\n')
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode or not script.exists():
                raise ServerMissing(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
            (folder / "done").touch()
    return [node, str(script)]


class Azurite:
    """A blob server with two containers: everyone may read PUBLIC, and who has the key may do all."""

    scheme = "az"

    def __init__(self, folder: Path):
        command = installed()
        (self.port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{self.port}/{ACCOUNT}"
        self.process = Process(
            [
                *(*command, "--blobHost", HOST, "--blobPort", self.port, "--location", folder / "data"),
                *("--silent", "--disableTelemetry", "--skipApiVersionCheck", "--disableProductStyleUrl"),
            ],
            folder / "azurite.log",
            environment={**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{SECRET}"},
        )
        self.process.wait(lambda: self.create(PUBLIC, public=True))
        self.create(PRIVATE)

    @property
    def anonymous(self) -> dict:
        return {
            "azure_storage_account_name": ACCOUNT,
            "azure_storage_endpoint": self.endpoint,
            "azure_allow_http": "true",
            "azure_skip_signature": "true",
        }

    @property
    def options(self) -> dict:
        return {
            "azure_storage_account_name": ACCOUNT,
            "azure_storage_account_key": SECRET,
            "azure_storage_endpoint": self.endpoint,
            "azure_allow_http": "true",
        }

    @property
    def wrong_options(self) -> dict:
        return {**self.options, "azure_storage_account_key": base64.b64encode(b"not the key").decode()}

    @property
    def environment(self) -> dict:
        """The options as the variables that users of Azure set."""
        return {name.upper(): value for name, value in self.options.items()}

    secret = SECRET

    def url(self, path: str, bucket: str = PRIVATE) -> str:
        return f"az://{bucket}/{path}"

    def store(self, bucket: str = PRIVATE):
        """The container as obstore sees it."""
        from obstore.store import AzureStore

        return AzureStore(
            bucket,
            account_name=ACCOUNT,
            account_key=SECRET,
            endpoint=self.endpoint,
            client_options={"allow_http": True},
        )

    def create(self, container: str, public: bool = False) -> None:
        """Make a container, by a request signed as "Authorize with Shared Key" of Azure's documents has it."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API}
        if public:
            headers["x-ms-blob-public-access"] = "blob"
        canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
        text = "PUT" + "\n" * 12 + canonical + resource
        key = hmac.new(base64.b64decode(SECRET), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}"
        request("PUT", f"{self.endpoint}/{container}?restype=container", headers=headers)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        import obstore

        obstore.put(self.store(bucket), key, data)

    def upload(self, folder: Path, prefix: str, bucket: str = PRIVATE) -> None:
        for key, data in files_below(folder):
            self.put(bucket, f"{prefix}/{key}", data)

    def stop(self) -> None:
        self.process.kill()
