"""What the fault server is told to do, and what it has seen."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field


class Gate:
    """Holds the answers of a rule back until it is opened. Made by `FaultServer.gate`."""

    def __init__(self, loop):
        self._loop, self._waiting, self.is_open = loop, [], False

    def open(self) -> None:
        """Let all through, from now on. From any thread."""
        self._loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        self.is_open = True
        waiting, self._waiting = self._waiting, []
        for proceed in waiting:
            proceed()

    def pass_or_wait(self, proceed) -> None:
        if self.is_open:
            proceed()
        else:
            self._waiting.append(proceed)


@dataclass
class Rule:
    """How requests are answered whose path fits `pattern`. The first rule that fits decides; the rest is honest."""

    pattern: str = "*"  # of the path without its leading "/", as fnmatch has it: * crosses folders
    method: str | None = None  # GET, HEAD, PUT ... only
    skip: int = 0  # requests to let pass first
    times: int | None = None  # requests to answer so, then none

    delay: float = 0.0  # seconds before the answer
    gate: Gate | None = None  # hold the answer back until it opens
    status: int | None = None  # an error instead of the object
    ignore_range: bool = False  # 200 and the whole object
    headers: dict = field(default_factory=dict)  # added or replaced; None takes one away
    etag: str | None = None  # instead of the object's own

    silent: bool = False  # no answer at all, ever
    stall_after: int | None = None  # so many bytes of the body, and then nothing, ever
    close_after: int | None = None  # so many bytes of the body, and then close, although more was promised
    reset: bool = False  # close by a reset
    shorter: int = 0  # a body shorter by so many bytes, honestly announced as such in Content-Length
    longer: int = 0  # likewise longer
    close_at_once: bool = False  # close instead of answering
    rate: float | None = None  # bytes of the body a second
    cut_body: int | None = None  # take so many bytes of the request's body, and close
    lose_answer: bool = False  # of a request that changes something: do it, and close instead of answering

    hits: int = 0  # requests that fitted

    def applies(self, method: str, path: str) -> bool:
        """Whether the rule decides about this request; counts it."""
        if self.method not in (None, method) or not fnmatch.fnmatchcase(path, self.pattern):
            return False
        self.hits += 1
        return self.hits > self.skip and (self.times is None or self.hits <= self.skip + self.times)


HONEST = Rule()


@dataclass
class Seen:
    """One request, as the server saw it."""

    method: str
    path: str
    range: str | None  # as sent, such as "bytes=0-99" or "bytes=-20"
    headers: dict
    connection: int
    began: float
    query: str = ""
    received: int = 0  # bytes of the request's body
    status: int = 0
    sent: int = 0  # bytes of the body handed to the system
    ended: float = 0.0
    aborted: bool = False  # the client closed the connection before it had the whole answer

    @property
    def done(self) -> bool:
        return self.ended > 0.0


class Counters:
    """What the server has seen since the last `reset`."""

    def __init__(self):
        self.in_flight = 0
        self.open_connections = 0
        self.reset()

    def reset(self) -> None:
        self.log: list[Seen] = []
        self.peak_in_flight = self.in_flight
        self.connections = 0

    def begin(self, seen: Seen) -> None:
        self.log.append(seen)
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def end(self, seen: Seen, now: float, aborted: bool = False) -> None:
        if not seen.done:
            seen.ended, seen.aborted = now, aborted
            self.in_flight -= 1

    def of(self, pattern: str = "*", method: str | None = None) -> list[Seen]:
        return [
            seen
            for seen in self.log
            if fnmatch.fnmatchcase(seen.path, pattern) and method in (None, seen.method)
        ]

    @property
    def requests(self) -> int:
        return len(self.log)

    @property
    def heads(self) -> int:
        return len(self.of(method="HEAD"))

    @property
    def gets(self) -> int:
        return len(self.of(method="GET"))

    @property
    def puts(self) -> int:
        return len(self.of(method="PUT"))

    @property
    def ranges(self) -> list[str]:
        return [seen.range for seen in self.log if seen.range is not None]

    @property
    def aborted(self) -> int:
        return sum(seen.aborted for seen in self.log)

    @property
    def bytes_sent(self) -> int:
        return sum(seen.sent for seen in self.log)
