"""Small reads of local files: rows, windows, planes, a column, time steps, and how long one read takes to come back.

python benchmarks/small.py
python benchmarks/small.py --only rows windows --peers tensorstore
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time

import common
import data
import large
import local_peers
import numpy as np
from common import ROOT
from local_peers import Tensorstore, Zarrs_c
from windows import Windows, gathered

ROWS, ROW_BYTES = 4000, 1024


def chosen(options) -> list:
    return local_peers.available(options.peers)


def rows(options) -> dict:
    """4,000 rows of one chunk each: one future a row, and one call for all of them."""
    import zarrs_c

    path = data.write_rows(options.data, ROWS, ROW_BYTES)
    order = np.random.default_rng(1).permutation(ROWS).tolist()
    out, array = np.zeros((ROWS, ROW_BYTES), np.uint8), zarrs_c.sync.open_array(path)
    right, parts = array[...][order], list(out)
    many = [(part, array, row) for part, row in zip(parts, order, strict=True)]

    def checked(read):
        def one():
            out.fill(0)
            seconds = read()
            np.testing.assert_array_equal(out, right)
            return seconds

        return one

    async def call():
        begin = time.perf_counter()
        await zarrs_c.read_many(many)
        return time.perf_counter() - begin

    single = {
        Zarrs_c.name: checked(lambda: gathered(lambda i: zarrs_c.read_into(parts[i], array, order[i]), ROWS))
    }
    together = {Zarrs_c.name: checked(lambda: asyncio.run(call()))}
    kinds = {kind.name: kind for kind in chosen(options)}
    if Tensorstore.name in kinds:
        import tensorstore as ts

        peer, into = Tensorstore(path).array, ts.array(out)
        whole = np.array(order)

        def one_call():
            begin = time.perf_counter()
            into.write(peer[whole]).result()
            return time.perf_counter() - begin

        single[Tensorstore.name] = checked(lambda: gathered(lambda i: into[i].write(peer[order[i]]), ROWS))
        together[Tensorstore.name] = checked(one_call)
    if "zarrista, async" in kinds:
        zarrista = kinds["zarrista, async"](path).array

        async def copied(i):
            out[i] = (await zarrista.retrieve_chunk([order[i], 0])).to_numpy()[0]

        single["zarrista, async"] = checked(lambda: gathered(copied, ROWS))
    micro = {"unit": "us a row", "scale": 1e6 / ROWS}
    titles = [f"{ROWS:,} rows of {ROW_BYTES} bytes, a future each", f"{ROWS:,} rows, one call"]
    results = {}
    goals = ["tensorstore >= 8 x zarrs_c; 10 us", "tensorstore >= 1.75 x zarrs_c; 3 us"]
    for title, readers, goal in zip(titles, (single, together), goals, strict=True):
        results[title] = common.take_turns(readers, options.runs)
        common.table(title, results[title], goal, **micro)
    return results


def windows(options) -> dict:
    """10,000 random windows of 64 x 64 out of a sharded raster, all at once."""
    windows = Windows(options.data, options.windows)
    kinds = {kind.name: kind for kind in chosen(options)}
    readers = windows.zarrs_c(Zarrs_c(windows.path).array)
    if Tensorstore.name in kinds:
        readers |= windows.tensorstore(Tensorstore(windows.path).array)
    if "zarrista, async" in kinds:
        readers |= windows.zarrista(kinds["zarrista, async"](windows.path).array)
    title = f"{windows.count:,} windows of 64² out of a sharded raster of 20,000²"
    results = common.take_turns(readers, options.runs)
    common.table(title, results, "the best peer >= 2 x zarrs_c", "us a window", 1e6 / windows.count)
    return {title: results}


def selection(title: str, path, select, options, goal: str) -> dict:
    """One selection of an array, into a buffer where the library can. Such are short: three times as many runs."""
    import zarrs_c

    right, array = Zarrs_c(path).read(select), zarrs_c.sync.open_array(path)
    out = np.zeros_like(right)

    def check(got):
        np.testing.assert_array_equal(got.reshape(right.shape), right)

    # The others start an event loop for each read.
    blocking = timed(lambda: zarrs_c.sync.read_into(out, array, select), check, out)
    readers = {"zarrs_c, blocking": blocking}

    for kind in chosen(options):
        if kind is local_peers.ZarristaGathered:  # it reads whole arrays
            continue
        peer = kind(path)
        if hasattr(peer, "read_into"):
            readers[peer.name] = timed(lambda peer=peer: peer.read_into(out, select), check, out)
        else:
            readers[peer.name] = timed(lambda peer=peer: peer.read(select), check, out)
    results = common.take_turns(readers, 3 * options.runs)
    common.table(title, results, goal, "ms", 1e3)
    return {title: results}


def timed(read, check, out):
    def one():
        out.fill(0)
        begin = time.perf_counter()
        got = read()
        seconds = time.perf_counter() - begin
        check(out if got is None else got)
        return seconds

    return one


def planes(options) -> dict:
    middle, results = options.side // 2 + 7, {}
    selections = {"xy": np.s_[middle], "xz": np.s_[:, middle], "yz": np.s_[:, :, middle]}
    for kind in large.KINDS:
        for name, select in selections.items():
            title = f"{name} plane of {options.side}³ uint16, {kind}"
            path = large.cube_path(kind, options)
            results |= selection(title, path, select, options, ">= the best peer, >= 2 x in most")
    return results


def column(options) -> dict:
    path = data.write_table(options.data, 1000)
    return selection("a column through 1,000 chunks", path, np.s_[:, 500], options, ">= the best peer")


def steps(options) -> dict:
    path = data.write_steps(options.data)
    title = "one time step out of chunks of 50, blosc-lz4"
    results = selection(title, path, np.s_[137], options, ">= the best peer")
    title = "the series of one place, blosc-lz4"
    return results | selection(title, path, np.s_[:, 100, 200], options, ">= the best peer")


def latency(options) -> dict:
    """From the submission of one read of a cached chunk of 4 KB to its completion."""
    import zarrs_c

    path, count = data.write_rows(options.data, 64, 4096), 2000
    array, out = zarrs_c.sync.open_array(path), np.zeros(4096, np.uint8)

    async def main():
        begin = time.perf_counter()
        for i in range(count):
            await zarrs_c.read_into(out, array, i % 64)
        return time.perf_counter() - begin

    def blocking():
        for i in range(count):
            zarrs_c.sync.read_into(out, array, i % 64)

    readers = {Zarrs_c.name: lambda: asyncio.run(main()), "zarrs_c.sync": blocking}
    if any(kind is Tensorstore for kind in chosen(options)):
        import tensorstore as ts

        peer, into = Tensorstore(path).array, ts.array(out)

        async def theirs():
            begin = time.perf_counter()
            for i in range(count):
                await into.write(peer[i % 64])
            return time.perf_counter() - begin

        readers[Tensorstore.name] = lambda: asyncio.run(theirs())
    results = common.take_turns(readers, options.runs)
    title = "one read of a cached 4 KB chunk after another"
    common.table(title, results, "<= 40 us on asyncio", "us", 1e6 / count)
    program, library = options.data / "callback", zarrs_c.get_library_dirs()[0]
    source = ROOT / "benchmarks" / "callback.c"
    command = [os.environ.get("CC", "cc"), "-O2", "-pthread", f"-I{zarrs_c.get_include()}", str(source)]
    command += [f"-L{library}", "-lzarrs_c", f"-Wl,-rpath,{library}", "-o", str(program)]
    subprocess.run(command, check=True)
    subprocess.run([str(program), str(path)], check=True)
    return {title: results}


WORKS = {
    "rows": rows,
    "windows": windows,
    "planes": planes,
    "column": column,
    "steps": steps,
    "latency": latency,
}

if __name__ == "__main__":
    common.run_works(__doc__, WORKS, side=1024, windows=10_000)
