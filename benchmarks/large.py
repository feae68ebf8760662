"""Large reads of local files, zarrs_c beside its peers and beside the floor (floor.rs), interleaved in one run.

python benchmarks/large.py                          # everything; 1024³ takes some minutes, 6 GiB and 5 GiB of disk
python benchmarks/large.py --only zstd --runs 9 --peers tensorstore
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import common
import data
import local_peers
import numpy as np
from local_peers import Zarrs_c

KINDS = {"raw": [0, 1], "zstd": [2], "shards": [3]}  # and which programs of the floor read them
FLOORS = ["floor: read, then copy", "floor: preadv into rows", "floor", "floor"]
GOALS = {
    "raw": "zarrs_c <= 1.25 x the floor, tensorstore >= 2.5 x zarrs_c",
    "zstd": "zarrs_c <= 1.25 x the floor, tensorstore >= 2.5 x zarrs_c",
    "shards": "zarrs_c <= 1.25 x the floor, tensorstore >= 1.2 x zarrs_c",
}


def cube_path(kind: str, options) -> Path:
    side = options.side
    codecs = [data.LITTLE] if kind == "raw" else None
    return data.write_cube(options.data, side, side // 4, side // 16 if kind == "shards" else None, codecs)


def floor_library() -> ctypes.CDLL:
    """The floor's programs, built with cargo if they are not."""
    build = [sys.executable, str(common.ROOT / "scripts" / "rust_env.py"), "cargo", "build", "--release"]
    command = [*build, "--locked", "--example", "floor", "--message-format", "json"]
    made = subprocess.run(command, check=True, capture_output=True, text=True, cwd=common.ROOT).stdout
    for line in made.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "floor":
            return ctypes.CDLL(message["filenames"][0])
    raise SystemExit("cargo made no floor library")


class Floor:
    def __init__(self, options):
        self.side, self.library = options.side, floor_library()
        self.threads = os.cpu_count()

    def read_into(self, program: int, path: Path, out: np.ndarray) -> None:
        address = ctypes.c_void_p(out.ctypes.data)
        sizes = [ctypes.c_size_t(n) for n in (self.side, self.side // 4, self.side // 16, self.threads)]
        self.library.floor_read(os.fsencode(path), ctypes.c_int(program), *sizes, address)


class Checked:
    """Compares some planes of what was read with what was written."""

    def __init__(self, side: int):
        self.planes = {plane: data.cube(plane, plane + 1, side)[0] for plane in (0, 1, side // 3, side - 1)}

    def __call__(self, got: np.ndarray) -> None:
        for plane, right in self.planes.items():
            np.testing.assert_array_equal(got[plane], right)


def timed(read, check, out=None):
    """The time of `read()`, without that of checking what it gave."""

    def one():
        if out is not None:
            out[:, ::64, ::64] = 0
        start = time.perf_counter()
        got = read()
        seconds = time.perf_counter() - start
        check(out if got is None else got)
        return seconds

    return one


def cube(kind: str, options) -> dict:
    """All of a cube: into a given buffer where the library can, into a fresh array everywhere else."""
    path, out, check = (
        cube_path(kind, options),
        np.zeros((options.side,) * 3, np.uint16),
        Checked(options.side),
    )
    floor, into, fresh = Floor(options), {}, {}
    for program in KINDS[kind]:
        into[FLOORS[program]] = timed(lambda program=program: floor.read_into(program, path, out), check, out)
    for kind_of_peer in local_peers.available(options.peers):
        peer = kind_of_peer(path)
        if hasattr(peer, "read_into"):
            into[peer.name] = timed(lambda peer=peer: peer.read_into(out), check, out)
        if hasattr(peer, "read"):
            fresh[peer.name] = timed(peer.read, check)
    title = f"{options.side}³ uint16, {kind}"
    results = {f"{title}, into a buffer": common.take_turns(into, options.runs)}
    common.table(f"{title}, into a buffer", results[f"{title}, into a buffer"], GOALS[kind])
    if options.fresh:
        del out, into
        results[f"{title}, fresh"] = common.take_turns(fresh, options.runs)
        common.table(f"{title}, fresh", results[f"{title}, fresh"], "tensorstore >= 1.5 x zarrs_c")
    return results


def again(options) -> dict:
    """A read that is cancelled half-way, then done again: no slower than the first."""
    import zarrs_c

    path, check = cube_path("zstd", options), Checked(options.side)
    out, array = np.full((options.side,) * 3, 1, np.uint16), zarrs_c.sync.open_array(path)
    last = {"seconds": float("inf")}

    async def whole():
        start = time.perf_counter()
        await zarrs_c.read_into(out, array)
        seconds = time.perf_counter() - start
        last["seconds"] = min(last["seconds"], seconds)
        return seconds

    async def cancelled():
        for part in (2, 4, 8):  # of a small cube, half is over before the loop wakes
            future = zarrs_c.read_into(out, array)
            await asyncio.sleep(last["seconds"] / part)
            future.cancel()
            try:
                await future
            except asyncio.CancelledError:
                return await whole()
        raise SystemExit("it was not cancelled half-way")

    def then_checked(main):
        def one():
            seconds = asyncio.run(main())
            check(out)
            return seconds

        return one

    readers = {Zarrs_c.name: then_checked(whole), "after one that was cancelled": then_checked(cancelled)}
    results = common.take_turns(readers, options.runs)
    common.table("zstd, cancelled half-way and read again", results, "no slower")
    return {"cancelled half-way and read again": results}


THREADS = """
import asyncio, sys, time, numpy as np, zarrs_c
zarrs_c.configure(codec_threads=int(sys.argv[1]))
array = zarrs_c.sync.open_array(sys.argv[2])
out = np.zeros(array.shape, array.dtype)
for line in sys.stdin:
    start = time.perf_counter()
    zarrs_c.sync.read_into(out, array)
    print(time.perf_counter() - start, flush=True)
"""


def threads(options) -> dict:
    """1 codec thread against as many as there are cores, each in a process of its own."""
    path, all_of_them = cube_path("zstd", options), os.cpu_count()
    processes = {
        n: subprocess.Popen(
            [sys.executable, "-c", THREADS, str(n), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in (all_of_them, 1)
    }

    def ask(process):
        def one():
            process.stdin.write("read\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        return one

    def floor(n):
        def one():
            limit.threads = n
            start = time.perf_counter()
            limit.read_into(*KINDS["zstd"], path, out)
            return time.perf_counter() - start

        return one

    names = {all_of_them: Zarrs_c.name, 1: "1 codec thread"}
    readers = {names[n]: ask(process) for n, process in processes.items()}
    limit, out = Floor(options), np.ones((options.side,) * 3, np.uint16)
    readers |= {"floor": floor(all_of_them), "floor, 1 thread": floor(1)}
    results = common.take_turns(readers, options.runs)
    for process in processes.values():
        process.communicate()
    common.table(f"zstd, 1 codec thread against {all_of_them}", results, ">= 1.85 x with 2")
    return {"codec threads": results}


def blosc(options) -> dict:
    """4,096 chunks of 32³ float32."""
    side = options.side // 2
    path, out = data.write_floats(options.data, side, 32), np.zeros((side,) * 3, np.float32)
    readers, right = {}, {}

    def check(got):
        sample = got[::37, ::41, ::43]
        np.testing.assert_array_equal(sample, right.setdefault("sample", sample.copy()))
        assert sample.any()

    for kind in local_peers.available(options.peers):
        peer = kind(path)
        if hasattr(peer, "read_into"):
            readers[peer.name] = timed(lambda peer=peer: peer.read_into(out), check, out)
        else:
            readers[peer.name] = timed(peer.read, check)
    results = common.take_turns(readers, options.runs)
    title = f"{(side // 32) ** 3:,} chunks of 32³ float32, blosc-lz4 with shuffle"
    common.table(title, results, "the best peer >= 2 x zarrs_c")
    return {title: results}


WORKS = {kind: lambda options, kind=kind: cube(kind, options) for kind in KINDS}
WORKS |= {"again": again, "threads": threads, "blosc": blosc}

if __name__ == "__main__":
    common.run_works(__doc__, WORKS, side=1024, fresh=1)
