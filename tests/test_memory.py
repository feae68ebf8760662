"""Memory as the system counts it: what a read takes besides its output, and what is left of that afterwards."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from helpers import simple
from helpers.running import python

MB = 1_000_000
BUDGET = 256 << 20  # the default of max_bytes

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux counts peaks")

READS = """
    import json, sys, time
    from pathlib import Path
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    def memory(which):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))

    zarrs_c.configure(codec_threads=2)
    array = sync.open_array(sys.argv[1])
    out = np.full(array.shape, 1, array.dtype)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    sync.read_into(out, array)
    peak = memory("VmHWM") - before
    deadline = time.monotonic() + 30
    while (left := memory("VmRSS") - before) > 100_000_000 and time.monotonic() < deadline:
        time.sleep(0.1)
    print(json.dumps({"peak": peak, "left": left, "sum": int(out.sum(dtype="u8")), "zeros": int((out == 0).sum())}))
"""

# Bytes of a chunk, and of all of them.
SIZES = {"4 KB": (64, 16 << 20), "1 MB": (1024, 128 << 20), "64 MB": (8192, 384 << 20)}


@pytest.fixture(scope="module", params=SIZES)
def large(request, tmp_path_factory):
    """Chunks two abreast, so that none lies in the output as it decodes."""
    side, total = SIZES[request.param]
    rows = total // (2 * side * side) * side
    band = np.random.default_rng(0).integers(0, 4, (side, 2 * side), np.uint8)
    data = np.tile(band, (rows // side, 1))
    return simple.store(tmp_path_factory.mktemp("large") / "a", data, (side, side))


@pytest.mark.parametrize("where", ["local", "remote"])
def test_a_read_takes_no_more_than_the_budget_besides_its_output_and_gives_it_back(where, large, request):
    url = large.path
    if where == "remote":
        caddy = request.getfixturevalue("caddy")
        prefix = f"memory-{large.chunks[0]}"
        caddy.upload(large.path, prefix)
        url = caddy.url(prefix)
    seen = json.loads(python(READS, url).stdout)
    assert seen["sum"] == int(large.data.sum(dtype="u8"))
    assert seen["zeros"] == int((large.data == 0).sum())
    assert seen["peak"] <= BUDGET * 1.1
    assert seen["left"] <= 100 * MB


BLOSC = {"cname": "lz4", "clevel": 1, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0}


def two_chunks_of_64_mb(path, codec):
    data = np.random.default_rng(0).integers(0, 4, (8192, 2 * 8192), np.uint8)
    return simple.store(path, data, (8192, 8192), codecs=[{"name": "bytes"}, codec]).path


def test_much_that_is_kept_is_given_back_when_nothing_happens(tmp_path):
    path = two_chunks_of_64_mb(tmp_path / "a", {"name": "blosc", "configuration": BLOSC})
    seen = json.loads(python(READS.replace("100_000_000", "20_000_000"), path).stdout)
    assert seen["peak"] > 60 * MB  # or there was nothing to give back
    assert seen["left"] <= 40 * MB


def test_of_a_large_zstd_chunk_no_more_is_held_than_its_window(tmp_path):
    path = two_chunks_of_64_mb(tmp_path / "a", simple.ZSTD)
    encoded = sum(file.stat().st_size for file in (path / "c").rglob("*") if file.is_file())
    seen = json.loads(python(READS, path).stdout)
    assert seen["peak"] <= encoded + 30 * MB


WITHIN = """
    import asyncio, json, sys
    from pathlib import Path
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    def memory(which):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))

    url, configured, options = json.loads(sys.argv[1])
    zarrs_c.configure(codec_threads=8, **configured)
    array = sync.open_array(url)
    out = np.full(array.shape, 1, array.dtype)
    halves = [out] if options else np.split(out, 2)

    async def main():
        rows = len(halves[0])
        parts = [np.s_[i * rows : (i + 1) * rows] for i in range(len(halves))]
        reads = [zarrs_c.read_into(o, array, part, **options) for o, part in zip(halves, parts)]
        await asyncio.gather(*reads)

    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    asyncio.run(main())
    peak = memory("VmHWM") - before
    seen = {"peak": peak, "in_flight": zarrs_c.stats().peak_bytes_in_flight, "sum": int(out.sum(dtype="u8"))}
    print(json.dumps(seen))
"""


@pytest.mark.parametrize("whose", ["process", "call"])
@pytest.mark.parametrize("shards", [None, (8192, 8192)], ids=["chunks", "shards"])
def test_local_reads_hold_no_more_than_the_budget_however_many_threads_there_are(whose, shards, tmp_path):
    """The budget of all reads, two of them at a time, and that of one read. It has room for one chunk of 8 MB."""
    budget = 16 * MB
    data = np.tile(np.random.default_rng(0).integers(0, 4, (2048, 4096), np.uint8), (8, 2))
    stored = simple.store(tmp_path / "a", data, (2048, 4096), shards=shards)
    limits = ({"max_bytes": budget}, {}) if whose == "process" else ({}, {"max_bytes": budget})
    seen = json.loads(python(WITHIN, json.dumps([str(stored.path), *limits])).stdout)
    assert seen["sum"] == int(data.sum(dtype="u8"))
    assert 0 < seen["in_flight"] <= budget
    assert seen["peak"] <= 2 * budget
