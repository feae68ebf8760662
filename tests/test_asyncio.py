"""What the asynchronous calls promise to asyncio programs, on asyncio's loop and on uvloop, over both bridges."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from helpers.buffers import canary
from helpers.loops import idle, small, wait_until
from helpers.running import SECONDS

import zarrs_c
from zarrs_c import sync


def test_a_call_gives_a_future_of_the_running_loop(running, array, field):
    async def main():
        buffer = np.empty(array.shape, array.dtype)
        futures = [
            zarrs_c.read_into(buffer, array),
            zarrs_c.read(array),
            zarrs_c.read_many([(np.empty(array.shape, array.dtype), array)]),
            zarrs_c.read_encoded_chunk(array, (0, 0)),
            zarrs_c.open_array(field.path),
        ]
        for future in futures:
            assert isinstance(future, asyncio.Future)
            assert asyncio.isfuture(future)
            assert future.get_loop() is asyncio.get_running_loop()
            assert not future.done(), "a future is settled by its loop, never within the call"
        into, read, many, encoded, opened = await asyncio.gather(*futures)
        assert into is buffer
        for result in (into, read, many[0], await zarrs_c.read(opened)):
            np.testing.assert_array_equal(result, field.data)
        assert bytes(encoded) == field.chunk_path(0, 0).read_bytes()

    running(main())


def test_a_thousand_reads_gathered_all_come_back_right(running, array, field):
    async def main():
        rng = np.random.default_rng(3)
        rows = [int(row) for row in rng.integers(0, field.data.shape[0], 1000)]
        results = await asyncio.gather(*[zarrs_c.read(array, row) for row in rows])
        np.testing.assert_array_equal(np.stack(results), field.data[rows])

    running(main())


def test_as_completed_and_wait_take_the_futures(running, array, field):
    async def main():
        futures = {zarrs_c.read(array, row): row for row in range(20)}
        done, pending = await asyncio.wait(futures, timeout=SECONDS)
        assert not pending
        for future in done:
            np.testing.assert_array_equal(future.result(), field.data[futures[future]])
        for future in asyncio.as_completed([zarrs_c.read(array, row) for row in range(20)]):
            assert (await future).shape == (63,)

    running(main())


def test_reading_by_path_opens_and_reads(running, field):
    async def main():
        np.testing.assert_array_equal(await zarrs_c.read(str(field.path), np.s_[3:9]), field.data[3:9])
        buffer = np.empty((6, 63), "f4")
        assert await zarrs_c.read_into(buffer, field.path, np.s_[3:9]) is buffer
        np.testing.assert_array_equal(buffer, field.data[3:9])
        with pytest.raises(zarrs_c.SelectionError):
            await zarrs_c.read(field.path, np.s_[0, 0, 0])

    running(main())


def test_callbacks_and_results_stay_after_the_read(running, array, field):
    async def main():
        seen = []
        future = zarrs_c.read(array, 5)
        future.add_done_callback(seen.append)
        result = await future
        await asyncio.sleep(0)
        assert seen == [future]
        assert future.result() is result is await future

    running(main())


def test_a_read_that_nobody_awaits_is_done_all_the_same(running, array, field):
    async def main():
        buffer = canary(field.data.shape, "f4")
        zarrs_c.read_into(buffer, array)
        while not idle():  # noqa: ASYNC110 (there is nothing to await: that is the point)
            await asyncio.sleep(0.001)
        await zarrs_c.read(array, 0)
        np.testing.assert_array_equal(buffer, field.data)

    running(main())


def test_memory_lives_as_long_as_the_read_whoever_drops_it(running, array, field):
    async def main():
        for _ in range(50):
            zarrs_c.read_into(np.empty(field.data.shape, "f4"), array)
            zarrs_c.read_into(bytearray(field.data.nbytes), array)
        gc.collect()
        await zarrs_c.read(array)

    running(main())
    wait_until(idle, "the reads to end")


def test_a_buffer_cannot_be_resized_under_a_read_and_can_after(running, slow_array):
    async def main():
        wanted, selection = small(slow_array)
        buffer = bytearray(wanted.nbytes)
        future = zarrs_c.read_into(buffer, slow_array, selection)
        with pytest.raises(BufferError):
            buffer.append(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        buffer.append(0)

    running(main())


def test_nothing_of_a_read_is_kept_once_it_is_done(running, array, field):
    class Buffer(np.ndarray):
        """An array that can be watched."""

    async def main():
        buffer = np.empty(field.data.shape, "f4").view(Buffer)
        watched = weakref.ref(buffer)
        await zarrs_c.read_into(buffer, array)
        del buffer
        await asyncio.sleep(0)  # until then, asyncio itself has the future
        gc.collect()
        assert watched() is None

    running(main())


def test_the_loop_runs_on_while_a_read_is_under_way(running, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection)
        turns = 0
        for _ in range(50):
            await asyncio.sleep(0)
            turns += not future.done()
        assert turns == 50
        future.cancel()
        await asyncio.wait([future])

    running(main())


# ---- Arrays ----


def test_a_pickled_array_reads_the_same_here_and_elsewhere(array, field):
    copy = pickle.loads(pickle.dumps(array))
    assert (copy.shape, copy.dtype, copy.chunks, copy.metadata) == (
        array.shape,
        array.dtype,
        array.chunks,
        array.metadata,
    )
    np.testing.assert_array_equal(copy[3:9], field.data[3:9])
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[3:9].sum())"
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(array), capture_output=True, timeout=SECONDS
    )
    assert done.stderr == b""
    assert float(done.stdout) == field.data[3:9].sum()


def test_an_array_made_by_hand_or_changed_is_refused(array):
    with pytest.raises(TypeError):
        type(array)()
    for name in ("shape", "dtype", "chunks", "made_up"):
        with pytest.raises(AttributeError):
            setattr(array, name, ())


def test_an_array_shows_what_it_is(array, field):
    assert str(field.path) in repr(array)
    assert "(95, 63)" in repr(array)
    assert "float32" in repr(array)
    assert array.metadata["shape"] == [95, 63]
    array.metadata["shape"].append(5)
    assert array.metadata["shape"] == [95, 63]
    assert (array.attrs, array.dimension_names, array.path) == ({}, None, "")
    store = zarrs_c.open_store(field.path.parent)
    named = sync.open_array(store, "a")
    assert (named.path, named.store is store) == ("a", True)
