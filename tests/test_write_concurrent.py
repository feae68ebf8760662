"""Writes of one process at the same time: none is lost, each chunk is the work of one after the other."""

from __future__ import annotations

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import writing
from helpers.loops import idle
from helpers.running import SECONDS, python, run

import zarrs_c
from zarrs_c import sync

STORES = ["local", "memory", "s3"]


@pytest.fixture(params=STORES)
def place(request, tmp_path):
    """A store that can be written, of each kind."""
    if request.param == "s3":
        faults = request.getfixturevalue("faults")
        return zarrs_c.open_store("s3://bucket", faults.s3_options)
    address = tmp_path / "store" if request.param == "local" else f"memory://{uuid.uuid4().hex}"
    return zarrs_c.open_store(address)


@pytest.mark.parametrize("shards", [None, (64,)], ids=["chunks", "shards"])
def test_a_thousand_writes_of_one_chunk_each_all_last(shards, place):
    """Each writes one element of an array of two chunks, or shards."""
    count = 1000
    array = sync.create_array(
        place, "a", shape=(count,), dtype="i4", chunks=(shards and (16,)) or (500,), shards=shards
    )

    async def main():
        data = np.arange(1, count + 1, dtype="i4")
        await asyncio.gather(*(zarrs_c.write(array, data[i : i + 1], np.s_[i : i + 1]) for i in range(count)))
        return await zarrs_c.read(array)

    np.testing.assert_array_equal(run(main()), np.arange(1, count + 1))


def test_writes_of_many_threads_and_arrays_all_last(place):
    """Through an Array of each thread's own: the lock is the chunk's, not the object's."""
    threads, each = 8, 40
    sync.create_array(place, "a", shape=(threads * each,), dtype="i4", chunks=(threads * each,))

    def writer(number):
        array = sync.open_array(place, "a")
        for i in range(each):
            index = i * threads + number
            sync.write(array, np.int32(index + 1), index)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(writer, range(threads)))
    np.testing.assert_array_equal(sync.open_array(place, "a")[...], np.arange(1, threads * each + 1))


def test_the_lock_is_the_chunks_whatever_the_stores_address(tmp_path):
    """One folder under two addresses, one path split in two ways."""
    (tmp_path / "x").mkdir()
    sync.create_array(tmp_path / "x" / "a", shape=(400,), dtype="i4", chunks=(400,))
    arrays = [
        sync.open_array(tmp_path / "x" / "a"),
        sync.open_array(tmp_path, "x/a"),
        sync.open_array(f"file://{tmp_path}/x", "a"),
        sync.open_array(f"{tmp_path}/x/../x", "a"),
    ]

    async def main():
        writes = [zarrs_c.write(arrays[i % 4], np.int32(i + 1), i) for i in range(400)]
        await asyncio.gather(*writes)

    run(main())
    np.testing.assert_array_equal(arrays[0][...], np.arange(1, 401))


def test_attributes_that_are_updated_at_once_all_last(place):
    array = sync.create_array(place, "a", shape=(4,), dtype="i4")

    async def main():
        await asyncio.gather(*(zarrs_c.update_attributes(array, {f"k{i}": i}) for i in range(50)))

    run(main())
    assert sync.open_array(place, "a").attrs == {f"k{i}": i for i in range(50)}


def test_readers_beside_a_writer_see_whole_chunks(tmp_path):
    shape, chunk = (64, 64), (16, 64)
    array = sync.create_array(tmp_path / "a", shape=shape, dtype="i4", chunks=chunk)
    sync.write(array, 1)
    stop = threading.Event()
    wrong = []

    def reader():
        while not stop.is_set():
            data = array[...]
            for row in range(0, 64, 16):
                if len(np.unique(data[row : row + 16])) != 1:
                    wrong.append(data)
                    return

    readers = [threading.Thread(target=reader) for _ in range(2)]
    for thread in readers:
        thread.start()
    for value in range(2, 200):
        sync.write(array, value)
    stop.set()
    for thread in readers:
        thread.join(SECONDS)
    assert not wrong


PROCESS = """
    import sys
    import numpy as np
    from zarrs_c import sync
    array = sync.open_array(sys.argv[1])
    first = int(sys.argv[2])
    for row in range(first, array.shape[0], 4):
        sync.write(array, np.full((1, array.shape[1]), row + 1, array.dtype), np.s_[row : row + 1])
"""


def test_processes_that_write_chunks_of_their_own_do_not_disturb_each_other(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(80, 50), dtype="i4", chunks=(1, 20))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda first: python(PROCESS, tmp_path / "a", first), range(4)))
    np.testing.assert_array_equal(array[...], np.broadcast_to(np.arange(1, 81)[:, None], (80, 50)))


# ==== Cancelling ====


@pytest.fixture
def slow_target(tmp_path):
    """An array whose encoding takes seconds: gzip at level 9."""
    gzip = {"name": "gzip", "configuration": {"level": 9}}
    return sync.create_array(
        tmp_path / "slow", shape=(200, 1 << 20), dtype="u1", chunks=(1, 1 << 20), compressors=gzip
    )


def test_a_cancelled_write_leaves_the_data_free_and_each_chunk_old_or_new(running, slow_target, tmp_path):
    row = np.random.default_rng(0).integers(0, 8, 1 << 20, np.uint8)
    data = np.broadcast_to(row, slow_target.shape).copy()

    async def main():
        for pause in (0, 0.02, 0.1):
            before = zarrs_c.stats().chunks_encoded
            future = zarrs_c.write(slow_target, data)
            await asyncio.sleep(pause)
            assert future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            assert idle(), "CancelledError came before the write had let go of the data"
            assert zarrs_c.stats().chunks_encoded - before < 150, "it was not cancelled"

    running(main())
    found = writing.chunk_files(tmp_path / "slow")
    assert not [name for name in found if "tmp" in name]
    for row_number in range(0, 200, 20):
        got = slow_target[row_number]
        assert (got == row).all() or not got.any()


def test_a_write_cancelled_while_it_waits_for_a_chunk_lets_the_next_one_have_it(faults):
    store = zarrs_c.open_store("s3://bucket", faults.s3_options)
    array = sync.create_array(store, "a", shape=(10,), dtype="i4", chunks=(10,))
    gate = faults.gate()
    faults.rule("bucket/a/c/*", method="PUT", gate=gate)

    async def main():
        first = zarrs_c.write(array, 1, np.s_[:3])
        await asyncio.to_thread(faults.wait, lambda seen: seen.of("bucket/a/c/0", "PUT"))
        second = zarrs_c.write(array, 2, np.s_[3:6])
        third = zarrs_c.write(array, 3, np.s_[6:9])
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.open()
        await asyncio.gather(first, third)
        return await zarrs_c.read(array)

    np.testing.assert_array_equal(run(main()), [1, 1, 1, 0, 0, 0, 3, 3, 3, 0])


def test_a_failed_write_lets_the_next_one_have_its_chunks(faults):
    store = zarrs_c.open_store("s3://bucket", faults.s3_options | {"max_retries": "0"})
    array = sync.create_array(store, "a", shape=(10,), dtype="i4", chunks=(5,))
    rule = faults.rule("bucket/a/c/*", method="PUT", status=403)
    for _ in range(3):
        with pytest.raises(zarrs_c.StorageError):
            sync.write(array, 1, np.s_[2:8])
    assert rule.hits
    faults.clear_rules()
    sync.write(array, 1, np.s_[2:8])
    np.testing.assert_array_equal(array[...], [0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
