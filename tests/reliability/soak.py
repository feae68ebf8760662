"""Everything at once, for as long as one likes: reads, writes, cancels, forks, faults and loops that come and go.

    python tests/reliability/soak.py --minutes 5 [--seed 1]

Each byte that is read is compared with what must be there. At the end, and once warm, it tells memory, descriptors and
threads; the status is not 0 when something was wrong or has grown.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from helpers import remote, simple
from servers.faults import FaultServer

import zarrs_c
from zarrs_c import sync

ROWS = 240
KINDS = [
    {"status": 500},
    {"status": 503},
    {"close_after": 50},
    {"silent": True},
    {"stall_after": 50},
    {"close_after": 50, "reset": True},
    {"close_at_once": True},
    {"close_at_once": True, "reset": True},
    {"ignore_range": True},
    {"etag": '"another"'},
    {"shorter": 1},
    {"longer": 1},
    {"delay": 0.05},
    {"rate": 20_000.0},
]
EXPECTED = (zarrs_c.Error, asyncio.CancelledError, asyncio.TimeoutError)


class Soak:
    """The arrays, what must be in them, and what has been done."""

    def __init__(self, folder: Path, server: FaultServer, seed: int):
        self.rng, self.server, self.counts = np.random.default_rng(seed), server, collections.Counter()
        self.stored = [
            simple.store(folder / "plain", simple.random_array((95, 63)), (10, 7)),
            simple.store(folder / "sharded", simple.random_array((48, 40), "int32"), (4, 5), shards=(16, 20)),
        ]
        self.data = remote.one_row_chunks(server, "rows", ROWS)
        shards = remote.sharded_rows(folder / "remote", shards=3, inner=16)
        remote.serve(server, shards, "shards")
        options = {**remote.QUICK_RETRIES, "max_retries": "1", "timeout": "400ms"}
        self.reads = [(sync.open_array(stored.path), stored.data) for stored in self.stored]
        for name, data in (("rows", self.data), ("shards", shards.data)):
            self.reads.append((sync.open_array(server.url(name), storage_options=options), data))
        # Writers own rows, of which several share a chunk, and a shard.
        self.own = [np.zeros((5, 64), "float64") for _ in range(12)]
        make = {"shape": (60, 64), "dtype": "float64", "chunks": (4, 16)}
        self.writes = [
            sync.create_array(folder / "written", **make),
            sync.create_array(folder / "written_shards", shards=(8, 32), **make),
        ]
        self.held = [[rows.copy() for rows in self.own] for _ in self.writes]

    def box(self, shape):
        start = [int(self.rng.integers(n)) for n in shape]
        return tuple(slice(s, int(self.rng.integers(s, n)) + 1) for s, n in zip(start, shape, strict=True))

    async def read(self):
        array, data = self.reads[self.rng.integers(len(self.reads))]
        selection = self.box(data.shape)
        right = data[selection]
        buffer = np.empty(right.shape, right.dtype, order="CF"[self.rng.integers(2)])
        future = zarrs_c.read_into(buffer, array, selection)
        if self.rng.random() < 0.2:
            asyncio.get_running_loop().call_later(float(self.rng.random()) * 0.05, future.cancel)
        try:
            await (asyncio.wait_for(future, 0.3) if self.rng.random() < 0.2 else future)
        except EXPECTED as error:
            self.counts[f"reads that ended as {type(error).__name__}"] += 1
            buffer[...] = 0  # which is allowed: nobody else writes to it
        else:
            self.counts["reads that were right"] += 1
            np.testing.assert_array_equal(buffer, right)

    async def write(self, which: int, owner: int):
        """Change some of the owner's rows, and see that they are as they were written, whoever writes beside them."""
        array, held = self.writes[which], self.held[which][owner]
        box = self.box(held.shape)
        value = self.rng.random(held[box].shape)
        there = (slice(owner * 5 + box[0].start, owner * 5 + box[0].stop), box[1])
        await zarrs_c.write(array, value, there)
        held[box] = value
        np.testing.assert_array_equal(await zarrs_c.read(array, np.s_[owner * 5 : owner * 5 + 5]), held)
        self.counts["writes that were read back"] += 1

    async def round(self):
        work = [self.read() for _ in range(40)]
        for which in range(len(self.writes)):
            owners = self.rng.permutation(len(self.own))[:6]
            work += [self.write(which, int(owner)) for owner in owners]
        running = [asyncio.ensure_future(one) for one in work]
        if self.rng.random() < 0.3:
            self.fork()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def abandon(self):
        zarrs_c.read(self.reads[2][0]).add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0.01)

    def fork(self):
        """In the midst of it all, a child that reads, and exits."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                for array, data in self.reads[:2]:
                    assert (sync.read(array) == data).all()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        self.counts["forks"] += 1

    def run(self, seconds: float):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.server.clear_rules()
            for _ in range(30):
                row = self.rng.integers(ROWS)
                self.server.rule(f"rows/c/{row}/0", times=2, **KINDS[self.rng.integers(len(KINDS))])
            self.server.rule("shards/c/*", times=3, **KINDS[self.rng.integers(len(KINDS))])
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self.round())
                if self.rng.random() < 0.2:  # closed with reads in flight
                    loop.run_until_complete(self.abandon())
            finally:
                loop.close()
            for array, data in self.reads[:2]:
                np.testing.assert_array_equal(sync.read(array), data)
            self.counts["loops"] += 1
            self.server.reset()  # its log would grow
        for array, held in zip(self.writes, self.held, strict=True):
            np.testing.assert_array_equal(sync.read(array), np.concatenate(held))


def levels(server: FaultServer) -> dict[str, int]:
    """What may not grow, once all is idle."""
    end = time.monotonic() + 30
    gc.collect()
    while zarrs_c.stats().operations_in_flight or server.counters.in_flight:
        assert time.monotonic() < end, f"not idle: {zarrs_c.stats()}"
        time.sleep(0.01)
    now = zarrs_c.stats()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "memory (MiB)": int(status["VmRSS"].split()[0]) >> 10,
        # Both ends of each connection are here.
        "descriptors": len(os.listdir("/proc/self/fd")) - 2 * server.counters.open_connections,
        "threads": int(status["Threads"]),
        "bytes in flight": now.bytes_in_flight,
        "requests in flight": now.requests_in_flight,
    }


ROOM = {"memory (MiB)": 150, "descriptors": 40, "threads": 2, "bytes in flight": 0, "requests in flight": 0}


def soak(seconds: float, seed: int) -> tuple[collections.Counter, dict, dict]:
    with tempfile.TemporaryDirectory() as folder, FaultServer() as server:
        work = Soak(Path(folder), server, seed)
        work.run(max(seconds / 5, 4))
        before = levels(server)
        work.run(seconds * 4 / 5)
        return work.counts, before, levels(server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    counts, before, after = soak(options.minutes * 60, options.seed)
    for what, n in sorted(counts.items()):
        print(f"{n:9} {what}")
    for what in before:
        print(f"{what}: {before[what]} once warm, {after[what]} at the end")
    sys.exit(any(after[what] > before[what] + room for what, room in ROOM.items()))


if __name__ == "__main__":
    main()
