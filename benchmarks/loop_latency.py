"""How much a read disturbs its event loop, and what the ways to wake the loop cost.

    python benchmarks/loop_latency.py              # 2 GiB: some minutes, and 4 GiB of memory
    python benchmarks/loop_latency.py --gib 0.5 --runs 2

First: a ticker on the loop sleeps for 1 ms again and again and notes how late it wakes, with nothing running, and
while zarrs_c, tensorstore or zarr-python reads one array through asyncio; the same from C (caller_thread.c). Then:
2,000 small reads gathered, over each bridge (ZARRS_C_BRIDGE) and each loop, with nothing else on the loop and beside
a task that computes in steps of 1 ms.
Runs are interleaved; the table has medians over the runs, but for the latest tick, which is of all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import data
import numpy as np

import zarrs_c

ROOT = Path(__file__).resolve().parent.parent
SIDE, CHUNK = 1024, 128
TICK = 0.001
READS, ROW_BYTES = 2000, 256


def run(main, new_loop=asyncio.new_event_loop):
    loop = new_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def write_planes(folder: Path, gib: float) -> Path:
    """Planes of the public benchmark's cube, uint16, in zstd chunks of 4 MiB."""
    import tensorstore as ts

    planes = max(1, round(gib * 2**30 / (SIDE * SIDE * 2 * CHUNK))) * CHUNK
    path = folder / f"planes-{planes}-{SIDE}-{CHUNK}"
    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    metadata = {
        "shape": [planes, SIDE, SIDE],
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK] * 3}},
        "codecs": [data.LITTLE, data.ZSTD],
        "fill_value": 0,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True).result()
    for start in range(0, planes, CHUNK):
        array[start : start + CHUNK].write(data.cube(start, start + CHUNK, SIDE)).result()
    (path / "done").touch()
    return path


# ---- The ticker ----


async def nothing(path, out):
    await asyncio.sleep(2)


async def with_zarrs_c(path, out):
    await zarrs_c.read_into(out, path)


async def with_tensorstore(path, out):
    import tensorstore as ts

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    await ts.array(out).write(await ts.open(spec, open=True, read=True))


async def with_zarr_python(path, out):
    import zarr.api.asynchronous as zarr_python

    array = await zarr_python.open_array(store=path, mode="r")
    return await array.getitem(...)


READERS = {
    "nothing": nothing,
    "zarrs_c": with_zarrs_c,
    "tensorstore": with_tensorstore,
    "zarr-python": with_zarr_python,
}
MODULES = {"tensorstore": "tensorstore", "zarr-python": "zarr"}


async def ticks_beside(reader, path, out):
    """Seconds of the read, and by how many seconds each tick was late."""
    late = []
    await asyncio.sleep(0)
    start = time.perf_counter()
    reading = asyncio.ensure_future(reader(path, out))
    while not reading.done():
        due = time.perf_counter() + TICK
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - due)
    seconds = time.perf_counter() - start
    result = await reading
    if reader is not nothing:
        check(out if result is None else result)
    return seconds, np.array(late)


def check(read: np.ndarray) -> None:
    last = len(read) - 1
    if not (np.array_equal(read[last:], data.cube(last, last + 1, SIDE)) and read[:, -1, -1].any()):
        raise SystemExit("what was read is not what was written")


def latency(options) -> None:
    path = write_planes(options.data, options.gib)
    out = np.zeros(zarrs_c.sync.open_array(path).shape, np.uint16)
    readers = {
        name: reader
        for name, reader in READERS.items()
        if name not in MODULES or importlib.util.find_spec(MODULES[name])
    }
    seen = {name: [] for name in readers}
    for turn in range(options.runs + 1):  # the first is for warming up
        for name, reader in readers.items():
            out[...] = 0
            gc.collect()
            figures = run(ticks_beside(reader, path, out))
            if turn:
                seen[name].append(figures)
    print(f"\nA 1 ms ticker on asyncio's loop while {out.nbytes / 2**30:.2f} GiB are read; lateness in ms")
    print(f"  {'beside':<12} {'seconds':>8} {'ticks':>7} {'mean':>7} {'p99':>7} {'max':>7}")
    for name, figures in seen.items():
        seconds = statistics.median(one for one, _ in figures)
        late = [1000 * one for _, one in figures]
        columns = [
            np.median([f(one) for one in late]) for f in (len, np.mean, lambda x: np.percentile(x, 99))
        ]
        latest = max(one.max() for one in late)
        print(
            f"  {name:<12} {seconds:8.2f} {columns[0]:7.0f} {columns[1]:7.2f} {columns[2]:7.2f} {latest:7.2f}"
        )
    sys.stdout.flush()
    from_c(path, options.data)


def from_c(path: Path, folder: Path) -> None:
    """The same read from C: the thread that submits it ticks on."""
    program, library = folder / "caller_thread", zarrs_c.get_library_dirs()[0]
    command = [
        os.environ.get("CC", "cc"),
        "-O2",
        f"-I{zarrs_c.get_include()}",
        str(ROOT / "benchmarks/caller_thread.c"),
    ]
    command += [f"-L{library}", "-lzarrs_c", f"-Wl,-rpath,{library}", "-o", str(program)]
    subprocess.run(command, check=True)
    subprocess.run([str(program), str(path)], check=True)


# ---- The bridges ----


def loops() -> dict:
    found = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


async def compute():
    """A loop that others use as well: 1 ms of Python, then their turn."""
    while True:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def small_reads(array, rows, busy: bool):
    """Microseconds a read, and how often the loop was woken for all of them."""
    await zarrs_c.read(array, 0)
    other = asyncio.ensure_future(compute()) if busy else None
    wakes, start = zarrs_c.stats().wakes, time.perf_counter()
    results = await asyncio.gather(*[zarrs_c.read(array, row) for row in range(READS)])
    seconds, wakes = time.perf_counter() - start, zarrs_c.stats().wakes - wakes
    if other is not None:
        other.cancel()
        await asyncio.wait([other])
    if not np.array_equal(np.stack(results), rows):
        raise SystemExit("what was read is not what was written")
    return 1e6 * seconds / READS, wakes


def bridges(options) -> None:
    path = data.write_rows(options.data, READS, ROW_BYTES)
    array = zarrs_c.sync.open_array(path)
    rows = array[...]
    ways = [
        (bridge, name, busy) for busy in (False, True) for name in loops() for bridge in ("fd", "dispatcher")
    ]
    seen = {way: [] for way in ways}
    for turn in range(5 * options.runs + 1):
        for bridge, name, busy in ways:
            os.environ["ZARRS_C_BRIDGE"] = bridge
            figures = run(small_reads(array, rows, busy), loops()[name])
            if turn:
                seen[bridge, name, busy].append(figures)
    print(f"\n{READS:,} gathered reads of one chunk of {ROW_BYTES} bytes each")
    print(f"  {'loop':<8} {'beside it':<10} {'bridge':<11} {'us a read':>9} {'wakes':>6}")
    for (bridge, name, busy), figures in seen.items():
        each, wakes = (statistics.median(values) for values in zip(*figures, strict=True))
        print(f"  {name:<8} {'computing' if busy else 'nothing':<10} {bridge:<11} {each:9.1f} {wakes:6.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gib", type=float, default=2, help="of the array that is read beside the ticker")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT / ".cache" / "benchmarks")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    latency(options)
    bridges(options)


if __name__ == "__main__":
    main()
