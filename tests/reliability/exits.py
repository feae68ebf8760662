"""Programs that end while reads are under way, and what became of them. As a program it runs many:

    python tests/reliability/exits.py --count 1000                    # make reliability
    python tests/reliability/exits.py --library tensorstore --count 90
    python tests/reliability/exits.py --python python3.12 --python python3.13

An exit is well when its status is the right one, it says nothing, and it takes less than `SECONDS` from the moment at
which the program's own code is done.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import simple
from reliability.libraries import LIBRARIES
from servers.faults import FaultServer

SECONDS = 2.0
PATIENCE = 60.0  # after which a program is taken to hang

# How a program ends: its last lines, its status, and what it prints besides the time.
KINDS = {
    "falls off the end": ("asyncio.run(main())", 0, ""),
    "sys.exit in the loop": ("asyncio.run(main(sys.exit, 7))", 7, ""),
    "an exception in the loop": ("asyncio.run(main(divide, 0))", 1, "ZeroDivisionError"),
    "a loop that is never closed": (
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",
        0,
        "",
    ),
    "os._exit": ("asyncio.run(main(os._exit, 5))", 5, ""),
    "a loop in a daemon thread": (
        "threading.Thread(target=lambda: asyncio.run(main(time.sleep, 1000)), daemon=True).start();"
        " started.wait(); over()",
        0,
        "",
    ),
    "blocking reads in daemon threads": (
        "[threading.Thread(target=endless, daemon=True).start() for _ in range(3)]; time.sleep(0.05); over()",
        0,
        "",
    ),
    "a handler that was registered first": (
        "asyncio.run(main()); assert first",
        0,
        "",
    ),
    "a handler that was registered last": (
        "atexit.register(lambda: read(field, np.s_[0])); asyncio.run(main())",
        0,
        "",
    ),
    "reads that nobody has": ("asyncio.run(main(forget))", 0, ""),
    "killed by SIGTERM": (
        "asyncio.run(main(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(1000))))",
        -15,
        "",
    ),
    "Ctrl-C in the loop": (
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        " asyncio.run(main(os.kill, os.getpid(), signal.SIGINT))",
        -2,
        "KeyboardInterrupt",
    ),
    "sys.exit in a forked child": (
        "asyncio.run(main());"
        " child = os.fork(); child or sys.exit(3);"
        " sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        3,
        "",
    ),
}

PROGRAM = """
import asyncio, atexit, os, signal, sys, threading, time, warnings
import numpy as np
first = [atexit.register(lambda: time.sleep(0.01))]
{library}
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
sys.excepthook = lambda kind, error, trace: print(kind.__name__, flush=True)
slow, field = opened(sys.argv[1]), opened(sys.argv[2])
everything = np.s_[:, ::{stride}]
started = threading.Event()

def over():
    print(time.monotonic(), flush=True)

def divide(by):
    return 1 / by

def forget():
    reads.clear()

def endless():
    try:
        read(slow, everything)
    except BaseException:
        pass  # refused or stopped at the exit, when nobody listens

reads = []

async def main(end=None, *arguments):
    reads.extend(start(slow, everything) for _ in range(3))
    reads.extend(start(field, np.s_[row]) for row in range(20))
    await asyncio.sleep({pause})
    started.set()
    if end is not time.sleep:
        over()
    if end:
        end(*arguments)

{end}
"""


@dataclass(frozen=True)
class Exit:
    """One program to be run."""

    kind: str
    store: str  # of the slow array: a key of what `stores` gives
    bridge: str
    library: str = "zarrs_c"
    python: str = sys.executable


@dataclass
class Outcome:
    exit: Exit
    status: int | str
    output: str
    errors: str
    seconds: float

    @property
    def is_well(self) -> bool:
        _, status, text = KINDS[self.exit.kind]
        # A KeyboardInterrupt that nobody catches ends a program by the signal, or as shells have it.
        right = self.status == status or (status == -2 and self.status == 130)
        return right and not self.errors and self.output == text

    def __str__(self):
        return f"{self.exit}: status {self.status}, {self.output!r}, {self.errors[-800:]!r}"


def run(exit: Exit, slow: str, field: str, pause: float = 0.03) -> Outcome:
    end, _, _ = KINDS[exit.kind]
    program = PROGRAM.format(
        library=textwrap.dedent(LIBRARIES[exit.library]), stride=simple.STRIDE, pause=pause, end=end
    )
    environment = {**os.environ, "ZARRS_C_BRIDGE": exit.bridge, "RUST_BACKTRACE": "0"}
    command = [exit.python, "-c", program, slow, field]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    except subprocess.TimeoutExpired as late:
        stderr = (late.stderr or b"").decode(errors="replace")
        return Outcome(exit, "hangs", "", stderr, PATIENCE)
    ended = time.monotonic()
    first, _, rest = done.stdout.partition("\n")
    try:
        seconds = ended - float(first)
    except ValueError:
        seconds, rest = 0.0, done.stdout
    return Outcome(exit, done.returncode, rest.strip(), done.stderr, seconds)


def serve(server: FaultServer, slow: simple.Stored) -> dict[str, str]:
    """Where the slow array is: a folder; a server that never answers, one that stops halfway, one that trickles."""
    stores = {"local": str(slow.path)}
    rules = {"silent": {"silent": True}, "stalled": {"stall_after": 100}, "trickling": {"rate": 20_000.0}}
    for name, what in rules.items():
        server.put(f"{name}/zarr.json", (slow.path / "zarr.json").read_bytes())
        chunk = slow.chunk_path(0, 0).read_bytes()
        for row in range(100):
            server.put(f"{name}/c/{row}/0", chunk)
        server.rule(f"{name}/c/*", **what)
        stores[name] = server.url(name)
    return stores


@contextlib.contextmanager
def arrays():
    """The slow arrays by the names of their stores, and a quick one."""
    with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
        slow = simple.store_slow(Path(folder) / "slow")
        field = simple.store(Path(folder) / "field", simple.random_array((95, 63)), (10, 7))
        yield serve(server, slow), str(field.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--library", choices=LIBRARIES, default="zarrs_c")
    parser.add_argument(
        "--python",
        action="append",
        help="an interpreter that has the library; more than one are taken in turn",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--kind", choices=KINDS, action="append")
    options = parser.parse_args()
    with arrays() as (stores, field):
        bridges = ["fd", "dispatcher"] if options.library == "zarrs_c" else ["fd"]
        pythons = options.python or [sys.executable]
        every = itertools.product(options.kind or KINDS, stores, bridges, pythons)
        exits = [
            Exit(kind, store, bridge, options.library, python)
            for kind, store, bridge, python in itertools.islice(itertools.cycle(every), options.count)
        ]
        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(lambda exit: run(exit, stores[exit.store], field), exits))
    report(options.library, outcomes)


def report(library: str, outcomes: list[Outcome]) -> None:
    bad = [outcome for outcome in outcomes if not outcome.is_well]
    late = [outcome for outcome in outcomes if outcome.is_well and outcome.seconds > SECONDS]
    for outcome in [*bad[:20], *late[:5]]:
        print(f"{outcome.seconds:.2f} s: {outcome}")
    well = len(outcomes) - len(bad) - len(late)
    slowest = max(outcome.seconds for outcome in outcomes)
    print(f"{library}: {well} of {len(outcomes)} exits are well; the slowest took {slowest:.2f} s")
    for (kind, store, status), n in sorted(
        collections.Counter((o.exit.kind, o.exit.store, str(o.status)) for o in [*bad, *late]).items()
    ):
        print(f"  {n} x {kind}, {store} store: status {status}")
    sys.exit(bool(bad or late))


if __name__ == "__main__":
    main()
