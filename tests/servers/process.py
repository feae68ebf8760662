"""Starting a server as a process of its own, on free ports, and ending it."""

from __future__ import annotations

import random
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

SECONDS_TO_START = 60.0
HOST = "127.0.0.1"


class ServerMissing(Exception):
    """A server that the tests need is not installed; the message says how to install it."""


def free_ports(count: int, companion: int = 0) -> list[int]:
    """Ports that nobody listens on. With `companion`, port + companion is free as well.

    They lie below the range from which the system gives out ports for outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(12_000, 22_000)
        if port not in found and _is_free(port) and (not companion or _is_free(port + companion)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def refused_port() -> int:
    """A port on which a connection is refused."""
    return free_ports(1)[0]


class Process:
    """A server process. `log` receives what it prints."""

    def __init__(self, command: list, log: Path, environment: dict | None = None):
        self.command, self.log = [str(part) for part in command], log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def wait(self, ready) -> None:
        """Call `ready` until it returns, instead of raising OSError."""
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                ready()
                return
            except OSError as error:
                ended = self.popen.poll()
                if ended is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                state = f"ended with status {ended}" if ended is not None else "does not answer"
                self.kill()
                raise RuntimeError(f"{self.command[0]} {state}: {error}\n{self.tail()}") from error

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def kill(self) -> None:
        """KILL, since some servers take their time over TERM and none has anything to lose."""
        self.popen.kill()
        self.popen.wait()


def request(method: str, url: str, data: bytes | None = None, headers: dict | None = None) -> bytes:
    """One HTTP request, without any proxy. Raises OSError (HTTPError is one) unless the answer is 2xx."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
    try:
        with opener.open(asked, timeout=10) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace")
        raise OSError(f"{method} {url}: {error.code} {error.reason}: {said[:500]}") from None


def files_below(folder: Path):
    """(key, bytes) of every file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
