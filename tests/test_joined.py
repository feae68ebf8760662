"""Many small reads at once, which the library joins: each is right, or cancelled, or fails, by itself."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.loops import idle
from helpers.running import run

import zarrs_c
from zarrs_c import sync

COUNT = 600


@pytest.fixture(params=["plain", "sharded"])
def stored(request, tmp_path):
    data = simple.random_array((120, 90), "int32", seed=3)
    data[20:40, 30:60] = 0
    shards = {"plain": None, "sharded": (40, 30)}[request.param]
    return simple.store(tmp_path / "a", data, (10, 10), shards=shards)


@pytest.fixture(params=["files", "http"])
def array(request, stored):
    if request.param == "files":
        return sync.open_array(stored.path)
    faults = request.getfixturevalue("faults")
    url = helpers.serve(faults, stored, "a")
    faults.rule("a/c/*", delay=0.002)
    return sync.open_array(url)


def windows(seed: int) -> list:
    corners = np.random.default_rng(seed).integers(0, (120 - 12, 90 - 7), (COUNT, 2)).tolist()
    return [np.s_[y : y + 12, x : x + 7] for y, x in corners]


def test_each_gets_its_own_window(array, stored):
    async def main():
        for seed in range(3):
            places = windows(seed)
            out = np.full((COUNT, 12, 7), -1, np.int32)
            await asyncio.gather(*(zarrs_c.read_into(out[i], array, places[i]) for i in range(COUNT)))
            for part, place in zip(out, places, strict=True):
                np.testing.assert_array_equal(part, stored.data[place])

    run(main())


def test_those_that_are_cancelled_leave_the_others_alone(array, stored):
    async def main():
        places, out = windows(7), np.full((COUNT, 12, 7), -1, np.int32)
        futures = [zarrs_c.read_into(out[i], array, places[i]) for i in range(COUNT)]
        cancelled = set(np.random.default_rng(8).permutation(COUNT)[: COUNT // 2].tolist())
        for i in sorted(cancelled):
            futures[i].cancel()
            if i % 50 == 0:
                await asyncio.sleep(0)
        for i, future in enumerate(futures):
            try:
                await future
            except asyncio.CancelledError:
                assert i in cancelled
                out[i] = 77  # whose buffer it is again
        for i, future in enumerate(futures):
            right = 77 if future.cancelled() else stored.data[places[i]]
            np.testing.assert_array_equal(out[i], np.broadcast_to(right, out[i].shape))
        assert idle()

    run(main())


def test_blocking_reads_of_many_threads_are_right(array, stored):
    places, wrong = windows(9), []

    def read(thread):
        out = np.empty((12, 7), np.int32)
        for place in places[thread::12]:
            sync.read_into(out, array, place)
            if not np.array_equal(out, stored.data[place]):
                wrong.append(place)

    threads = [threading.Thread(target=read, args=(thread,)) for thread in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_broken_chunk_fails_those_that_touch_it(stored):
    path = stored.chunk_path(1, 0)
    path.write_bytes(path.read_bytes()[:-3] + b"???")
    chunk = (10, 10) if stored.shards is None else (40, 30)

    async def main():
        array, places = sync.open_array(stored.path), windows(11)
        results = await asyncio.gather(
            *(zarrs_c.read(array, place) for place in places), return_exceptions=True
        )
        failed = 0
        for place, result in zip(places, results, strict=True):
            if isinstance(result, zarrs_c.CodecError):
                y, x = place
                assert y.stop > chunk[0], place
                assert y.start < 2 * chunk[0], place
                assert x.start < chunk[1], place
                assert "c/1/0" in str(result)
                assert "region" not in str(result)
                failed += 1
            else:
                np.testing.assert_array_equal(result, stored.data[place])
        assert failed > 0

    run(main())


def test_a_request_that_fails_fails_those_that_want_what_it_was_for(faults, tmp_path):
    """Of one shard, whose other inner chunks are none of its business."""
    far = helpers.sharded_rows(tmp_path / "far", shards=1, inner=16, inner_bytes=300_000)
    array = sync.open_array(helpers.serve(faults, far, "a"))
    helpers.one_row_chunks(faults, "others", 100)
    others = sync.open_array(faults.url("others"))
    sync.read(array, 5)  # the shard's index is kept

    async def main():
        gate = faults.gate()
        faults.rule("others/c/*", gate=gate)
        long = zarrs_c.read(others)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 64)
        faults.rule("a/c/*", status=403, skip=1, times=1)  # the first read asks alone
        rows = [0, 12] * 20
        reads = [zarrs_c.read(array, np.s_[rows[0], :100])]
        await asyncio.sleep(0.05)  # it waits for a request, and the others for it
        reads += [zarrs_c.read(array, np.s_[row, :100]) for row in rows[1:]]
        gate.open()
        results = await asyncio.gather(*reads, return_exceptions=True)
        await long
        failed = {row for row, result in zip(rows, results, strict=True) if isinstance(result, zarrs_c.Error)}
        assert len(failed) == 1
        for row, result in zip(rows, results, strict=True):
            if row not in failed:
                np.testing.assert_array_equal(result, far.data[row, :100])

    run(main())
