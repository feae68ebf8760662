"""A web server that misbehaves on demand and counts what is asked of it.

It runs in a thread of the test process, so tests set its rules and read its counters by plain calls. Paths may have any
depth, and ranges, suffixes and ETags work, so that it serves `http://` and, by path-style addresses without
signatures, `s3://`, which can also be written. Run as a program it serves a folder with a fixed delay:

    python tests/servers/faults.py FOLDER --delay 0.05
"""

from __future__ import annotations

import argparse
import asyncio
import mmap
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers.http1 import Connection
from servers.rules import HONEST, Counters, Gate, Rule

HOST = "127.0.0.1"
SECONDS = 30.0


class Stored:
    """An object and its ETag."""

    def __init__(self, data, etag: str):
        self.data, self.etag = memoryview(data), etag


class FaultServer:
    """`with FaultServer() as server:` listens on a free port until the end of the block."""

    def __init__(self, tls=None, port: int = 0):
        """tls: an ssl.SSLContext, to speak HTTPS."""
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[
            str, dict[int, bytes]
        ] = {}  # in parts, that have neither been completed nor aborted
        self.rules: list[Rule] = []
        self.counters = Counters()
        self.loop = asyncio.new_event_loop()
        self._tls, self._open, self._versions = tls, set(), 0
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._thread.start()
        self.port = self._call(self._listen(port))
        self.endpoint = f"{'https' if tls else 'http'}://{HOST}:{self.port}"

    # ---- What it serves ----

    def put(self, key: str, data) -> None:
        """Store an object, or replace it: its ETag changes."""
        self._versions += 1
        self.objects[key] = Stored(data, f'"{self._versions:x}-{len(data):x}"')

    def load(self, folder, prefix: str = "") -> None:
        """Serve the files of a folder."""
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}".lstrip("/"), _mapped(path))

    def url(self, path: str = "") -> str:
        return f"{self.endpoint}/{path}"

    def s3(self, path: str) -> str:
        """`path` starts with the bucket; open it with the options of `s3_options`."""
        return f"s3://{path}"

    @property
    def s3_options(self) -> dict:
        return {
            "aws_endpoint": self.endpoint,
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
            "aws_skip_signature": "true",
        }

    # ---- Rules ----

    def rule(self, pattern: str = "*", **what) -> Rule:
        """Add a rule, behind the others: see `Rule`."""
        added = Rule(pattern, **what)
        self.rules = [*self.rules, added]
        return added

    def clear_rules(self) -> None:
        self.rules = []

    def gate(self) -> Gate:
        return Gate(self.loop)

    def held(self, pattern: str, times: int, *, method: str | None = None, **later) -> Gate:
        """Have the first requests that fit, so many, wait for the gate that is returned, and the rest do `later`."""
        gate = self.gate()
        self.rule(pattern, method=method, gate=gate, times=times)
        self.rule(pattern, method=method, **later)
        return gate

    def rule_for(self, method: str, path: str) -> Rule:
        return next((rule for rule in self.rules if rule.applies(method, path)), HONEST)

    # ---- What it saw ----

    def reset(self) -> None:
        """Count from here."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (self.counters.reset(), done.set()))
        assert done.wait(SECONDS)

    def wait(self, condition, seconds: float = SECONDS):
        """Wait until `condition(counters)` is true; return it. An AssertionError tells what was seen instead."""
        deadline = time.monotonic() + seconds
        while not (held := condition(self.counters)):
            assert time.monotonic() < deadline, (
                f"not within {seconds} s; the last requests: {self.counters.log[-20:]}"
            )
            time.sleep(0.002)
        return held

    def accepted(self, connection: Connection) -> None:
        self._open.add(connection)
        self.counters.connections += 1
        self.counters.open_connections += 1

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self.counters.open_connections -= 1

    # ---- Life ----

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS)

    async def _listen(self, port: int) -> int:
        self._server = await self.loop.create_server(
            lambda: Connection(self), HOST, port, ssl=self._tls, backlog=4096
        )
        return self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        # One that has just been accepted is known to us some turns of the loop later; its end takes one, too.
        for _ in range(4):
            for connection in list(self._open):
                connection.transport.abort()
            await asyncio.sleep(0)

    def close(self) -> None:
        if not self.loop.is_closed():
            self._call(self._stop())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(SECONDS)
            self.loop.close()

    def drop_connections(self) -> None:
        """Close every open connection, idle ones too."""
        self.loop.call_soon_threadsafe(
            lambda: [connection.transport.abort() for connection in list(self._open)]
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _mapped(path: Path):
    size = path.stat().st_size
    if size < 1 << 16:  # a mapping holds a descriptor, of which there are few
        return path.read_bytes()
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def main() -> None:
    parser = argparse.ArgumentParser(description="serve a folder over HTTP, slowly")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    with FaultServer(port=options.port) as server:
        server.load(options.folder)
        server.rule(delay=options.delay)
        print(server.endpoint, flush=True)
        while line := sys.stdin.readline():  # "report" answers what was seen since the last
            if line.strip() == "report":
                seen = server.counters
                served = [one.ended - one.began for one in seen.log if one.done]
                mean = sum(served) / len(served) if served else 0.0
                print(
                    f"{seen.requests} {seen.heads} {seen.peak_in_flight} {seen.bytes_sent} {mean:.6f}",
                    flush=True,
                )
                server.reset()
            elif line.startswith("delay "):
                server.rules = [Rule(delay=float(line.split()[1]))]
                print("ok", flush=True)


if __name__ == "__main__":
    main()
