"""Requests and bytes in flight stay within their budgets, reads are fair to each other, a cancelled one lets go."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.running import python, run

import zarrs_c
from zarrs_c import sync

# ---- Requests ----


@pytest.mark.parametrize("limit", [1, 4, 17])
def test_a_read_keeps_to_its_own_limit_of_requests(limit, faults):
    data = helpers.one_row_chunks(faults, "a", 60)
    array = sync.open_array(faults.url("a"))
    faults.reset()
    gate = faults.held("a/c/*", limit, delay=0.01)

    async def main():
        reading = zarrs_c.read(array, max_requests=limit)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == limit)
        gate.open()
        np.testing.assert_array_equal(await reading, data)

    run(main())
    assert faults.counters.peak_in_flight == limit


PEAK = """
    import asyncio, sys, zarrs_c

    async def main():
        array = await zarrs_c.open_array(sys.argv[1])
        await asyncio.gather(*(zarrs_c.read(array) for _ in range(int(sys.argv[2]))))

    asyncio.run(main())
    print(zarrs_c.stats().peak_requests_in_flight)
"""


@pytest.mark.parametrize(("limit", "reads"), [(8, 1), (8, 5), (200, 1)])
def test_the_process_keeps_to_its_limit_of_requests(limit, reads, faults):
    """However many reads there are; and a limit above the default is used in full."""
    helpers.one_row_chunks(faults, "a", 300)
    gate = faults.gate()
    faults.rule("a/c/*", gate=gate)
    with ThreadPoolExecutor(1) as pool:
        settings = {"ZARRS_C_MAX_REQUESTS": str(limit)}
        program = pool.submit(python, PEAK, faults.url("a"), reads, environment=settings)
        try:
            faults.wait(lambda seen: seen.in_flight == limit or program.done())
        finally:
            gate.open()
        assert int(program.result().stdout) == limit
    assert faults.counters.peak_in_flight == limit
    assert faults.counters.gets == 300 * reads + 2


def test_a_read_cannot_exceed_the_limit_of_the_process(faults):
    helpers.one_row_chunks(faults, "a", 100)
    gate = faults.held("a/c/*", 5, delay=0.02)
    code = """
        import sys, zarrs_c
        zarrs_c.sync.read(zarrs_c.sync.open_array(sys.argv[1]), max_requests=50)
    """
    with ThreadPoolExecutor(1) as pool:
        program = pool.submit(python, code, faults.url("a"), environment={"ZARRS_C_MAX_REQUESTS": "5"})
        try:
            faults.wait(lambda seen: seen.in_flight == 5 or program.done())
        finally:
            gate.open()
        program.result()
    assert faults.counters.peak_in_flight == 5


# ---- Bytes ----


def big_chunks(server, folder, name: str, chunks: int, chunk_bytes: int, codecs=()) -> None:
    """An array of `chunks` equal chunks: one object, which the server has under many keys."""
    row = np.arange(-(-chunk_bytes // 4), dtype=np.uint32).view(np.uint8)[:chunk_bytes]
    one = simple.store(folder / name, row[None], (1, chunk_bytes), codecs=[{"name": "bytes"}, *codecs])
    metadata = json.loads((one.path / "zarr.json").read_text())
    metadata["shape"][0] = chunks
    server.put(f"{name}/zarr.json", json.dumps(metadata).encode())
    encoded = one.chunk_path(0, 0).read_bytes()
    for index in range(chunks):
        server.put(f"{name}/c/{index}/0", encoded)


# Reads the whole array column by column into one small buffer, so that what the process grows by is the library's.
MEMORY = """
    import json, resource, sys
    import numpy as np
    import zarrs_c

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    array = zarrs_c.sync.open_array(sys.argv[1])
    warm = np.empty((1, 1), np.uint8)
    out = np.ones((array.shape[0], -(-array.shape[1] // 4096)), np.uint8)
    before = peak()
    zarrs_c.sync.read_into(out, array, np.s_[:, ::4096])
    assert (out == out[0]).all()
    stats = zarrs_c.stats()
    print(json.dumps([stats.peak_bytes_in_flight, peak() - before, stats.chunks_decoded]))
"""


@pytest.mark.parametrize("codecs", [[], [simple.ZSTD]], ids=["raw", "zstd"])
@pytest.mark.parametrize(("chunk_bytes", "chunks"), [
    (4 << 10, 4000),
    (256 << 10, 1500),
    (4 << 20, 120),
    (64 << 20, 8),
])  # fmt: skip
def test_memory_stays_within_the_budget_of_bytes(chunk_bytes, chunks, codecs, faults, tmp_path):
    budget = 256 << 20  # the default
    big_chunks(faults, tmp_path, "a", chunks, chunk_bytes, codecs)
    in_flight, grown, decoded = json.loads(python(MEMORY, faults.url("a")).stdout)
    assert decoded == chunks
    assert in_flight <= budget * 1.1
    assert grown <= budget * 1.1, f"the process grew by {grown / 2**20:.0f} MiB"


@pytest.mark.parametrize("chunk_bytes", [4 << 10, 1 << 20, 16 << 20])
def test_a_small_budget_of_bytes_is_kept_too(chunk_bytes, faults, tmp_path):
    budget = 64 << 20
    big_chunks(faults, tmp_path, "a", max(8, (40 << 20) // chunk_bytes), chunk_bytes)
    settings = {"ZARRS_C_MAX_BYTES": str(budget)}
    in_flight, grown, _ = json.loads(python(MEMORY, faults.url("a"), environment=settings).stdout)
    assert in_flight <= budget * 1.1
    assert grown <= budget * 1.1 + (8 << 20), f"the process grew by {grown / 2**20:.0f} MiB"


def test_chunks_beyond_the_budget_are_read_one_at_a_time(faults, tmp_path):
    big_chunks(faults, tmp_path, "a", 6, 4 << 20)
    faults.rule("a/c/*", delay=0.01)
    python(MEMORY, faults.url("a"), environment={"ZARRS_C_MAX_BYTES": str(1 << 20)})
    assert faults.counters.gets == 8  # with those of zarr.json and .zarray
    assert max(overlapping(faults.counters.of("a/c/*"))) == 1


def test_a_read_keeps_to_its_own_limit_of_bytes(faults, tmp_path):
    big_chunks(faults, tmp_path, "a", 12, 1 << 20)
    array = sync.open_array(faults.url("a"))
    faults.rule("a/c/*", delay=0.01)

    async def main():
        await zarrs_c.read(array, max_bytes=4 << 20)

    run(main())
    assert max(overlapping(faults.counters.of("a/c/*"))) <= 4


def overlapping(log) -> list[int]:
    """For each request, how many were in flight when it began, itself included."""
    return [sum(other.began <= seen.began < other.ended for other in log) for seen in log]


# ---- Fairness ----


def test_a_small_read_does_not_wait_for_a_huge_one(faults):
    """It is answered while most of the huge one has not even been asked for."""
    huge = helpers.one_row_chunks(faults, "huge", 2000)
    small = helpers.one_row_chunks(faults, "small", 1, row_bytes=4096)
    arrays = [sync.open_array(faults.url(name)) for name in ("huge", "small")]
    gate = faults.held("*/c/*", 64, delay=0.02)

    async def main():
        faults.reset()
        long = zarrs_c.read(arrays[0])
        faults.wait(lambda seen: seen.in_flight == 64)
        short = zarrs_c.read(arrays[1])
        gate.open()
        np.testing.assert_array_equal(await short, small)
        assert not long.done()
        np.testing.assert_array_equal(await long, huge)

    run(main())
    order = [seen.path.split("/")[0] for seen in faults.counters.log]
    # Those in flight when it came, and as many again for the time that it takes to be asked for.
    assert order.index("small") <= 64 * 3, order.index("small")


def test_a_huge_read_does_not_wait_for_another_to_end(faults):
    data = helpers.one_row_chunks(faults, "a", 600), helpers.one_row_chunks(faults, "b", 600)
    arrays = [sync.open_array(faults.url(name)) for name in "ab"]
    gate = faults.held("*/c/*", 64, delay=0.01)

    async def main():
        faults.reset()
        first = zarrs_c.read(arrays[0])
        faults.wait(lambda seen: seen.in_flight == 64)
        second = zarrs_c.read(arrays[1])
        gate.open()
        for future, expected in zip((first, second), data, strict=True):
            np.testing.assert_array_equal(await future, expected)

    run(main())
    order = "".join(seen.path[0] for seen in faults.counters.log)
    assert order[: order.rindex("a")].count("b") >= 60, order


# ---- Cancelling ----


def released(server) -> None:
    """Nothing is left: neither at the server nor in the budgets."""
    server.wait(lambda seen: seen.in_flight == 0)
    server.wait(lambda _: zarrs_c.stats().requests_in_flight == 0 and zarrs_c.stats().bytes_in_flight == 0)


def test_a_cancelled_read_closes_its_requests(faults):
    data = helpers.one_row_chunks(faults, "a", 200)
    array = sync.open_array(faults.url("a"))
    rule = faults.rule("a/c/*", silent=True)

    async def main():
        reading = zarrs_c.read(array)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 64)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.to_thread(released, faults)
        assert rule.hits == 64  # none was begun after
        faults.clear_rules()
        np.testing.assert_array_equal(await zarrs_c.read(array), data)

    run(main())
    assert faults.counters.aborted == 64


@pytest.mark.parametrize("stage", ["metadata", "index", "range", "encoded"])
def test_whatever_is_cancelled_closes_its_request(stage, faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16)
    url = helpers.serve(faults, stored, "a")
    array = sync.open_array(url)
    if stage == "range":
        array[0]
    faults.reset()
    faults.rule("a/*", silent=True)

    async def main():
        if stage == "metadata":
            waiting = zarrs_c.open_array(url, zarr_format=3)
        elif stage == "encoded":
            waiting = zarrs_c.read_encoded_chunk(array, (0, 0))
        else:
            waiting = zarrs_c.read(array, 3)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.to_thread(released, faults)

    run(main())
    assert faults.counters.aborted == faults.counters.requests == 1


def test_a_cancelled_read_of_an_index_leaves_it_to_the_others(faults, tmp_path):
    """One index, two reads that wait for it, and the one that asked for it gives up."""
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16)
    array = sync.open_array(helpers.serve(faults, stored, "a"))
    gate = faults.gate()
    faults.rule("a/c/*", gate=gate)

    async def main():
        first, second = zarrs_c.read(array, 3), None
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 1)
        second = zarrs_c.read(array, 5)
        await asyncio.sleep(0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.open()
        np.testing.assert_array_equal(await second, stored.data[5])

    run(main())
    released(faults)


def test_wait_for_gives_up_in_time(faults):
    helpers.one_row_chunks(faults, "a", 10)
    array = sync.open_array(faults.url("a"))
    faults.rule("a/c/*", silent=True)

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(zarrs_c.read(array), 0.2)

    run(main())
    released(faults)


def test_a_read_that_fails_closes_its_other_requests(faults):
    helpers.one_row_chunks(faults, "a", 64)
    array = sync.open_array(faults.url("a"), storage_options=helpers.NO_RETRIES)
    gate = faults.gate()
    faults.rule("a/c/40/0", status=403, gate=gate)
    faults.rule("a/c/*", silent=True)

    async def main():
        reading = zarrs_c.read(array)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 64)
        gate.open()
        with pytest.raises(zarrs_c.StorageError) as caught:
            await reading
        assert caught.value.key == "c/40/0"
        await asyncio.to_thread(released, faults)

    run(main())
    assert faults.counters.aborted == 63


def test_a_dropped_future_finishes_and_leaves_nothing(faults):
    helpers.one_row_chunks(faults, "a", 100)
    array = sync.open_array(faults.url("a"))
    faults.rule("a/c/*", delay=0.02)

    async def main():
        before = zarrs_c.stats().operations
        zarrs_c.read(array)  # never awaited, nor kept
        await asyncio.to_thread(faults.wait, lambda _: zarrs_c.stats().operations > before)

    run(main())
    released(faults)


def test_many_cancelled_reads_leave_nothing(faults):
    data = helpers.one_row_chunks(faults, "a", 50)
    array = sync.open_array(faults.url("a"))
    faults.rule("a/c/*", delay=0.01)

    async def main():
        for step in range(20):
            reading = [zarrs_c.read(array) for _ in range(3)]
            await asyncio.sleep(0.002 * step)
            for future in reading:
                future.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
        await asyncio.to_thread(released, faults)
        np.testing.assert_array_equal(await zarrs_c.read(array), data)

    run(main())


def test_decoding_does_not_wait_for_the_last_chunk(faults):
    """63 chunks are there and decoded while the server keeps the 64th back."""
    helpers.one_row_chunks(faults, "a", 64)
    array = sync.open_array(faults.url("a"))
    gate = faults.gate()
    faults.rule("a/c/0/0", gate=gate)
    before = zarrs_c.stats().chunks_decoded

    async def main():
        reading = zarrs_c.read(array)
        await asyncio.to_thread(faults.wait, lambda _: zarrs_c.stats().chunks_decoded - before == 63)
        assert not reading.done()
        gate.open()
        await reading

    run(main())
