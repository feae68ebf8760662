"""What the asynchronous calls promise to asyncio programs, on asyncio's loop and on uvloop, over both bridges."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import CANARY, canary
from helpers.running import SECONDS, python, run

import zarrs_c
from zarrs_c import sync

LOOPS = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
except ImportError:
    assert sys.platform == "win32", "uvloop belongs to the test dependencies"


@pytest.fixture(params=list(itertools.product(LOOPS, ["fd", "dispatcher"])), ids="-".join)
def running(request, monkeypatch):
    """`run` on each kind of loop, over each kind of bridge."""
    loop, bridge = request.param
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    return lambda main, **options: run(main, factory=LOOPS[loop], **options)


@pytest.fixture
def array(field):
    return sync.open_array(field.path)


@pytest.fixture
def slow_array(slow):
    return sync.open_array(slow.path)


def small(slow_array):
    """A small buffer for all of the slow array."""
    return canary((slow_array.shape[0], slow_array.shape[1] // simple.STRIDE), np.uint8), np.s_[:, :: simple.STRIDE]


def idle():
    """Nothing under way: no operation, no bytes, no requests."""
    now = zarrs_c.stats()
    return (now.operations_in_flight, now.bytes_in_flight, now.requests_in_flight) == (0, 0, 0)


def wait_until(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)


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
        while not idle():
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
        gc.collect()
        assert watched() is None

    running(main())


# ---- Cancelling ----


def test_cancelled_read_leaves_the_buffer_safe_to_reuse(running, slow_array, slow):
    async def main():
        buffer, selection = small(slow_array)
        for pause in (0, 0, 0.02, 0.1):
            future = zarrs_c.read_into(buffer, slow_array, selection)
            await asyncio.sleep(pause)
            assert future.cancel()
            with pytest.raises(asyncio.CancelledError):
                await future
            assert future.cancelled()
            assert idle(), "CancelledError came before the read had let go of the buffer"
            buffer[...] = 0x5A
            await asyncio.sleep(0.02)
            assert (buffer == 0x5A).all(), "a cancelled read wrote to the buffer"
        rows = slice(10, 30)
        await zarrs_c.read_into(buffer[rows], slow_array, (rows, selection[1]))
        np.testing.assert_array_equal(buffer[rows], slow.data[rows, :: simple.STRIDE])
        assert (buffer[30:] == 0x5A).all()

    before = zarrs_c.stats().cancelled
    running(main())
    assert zarrs_c.stats().cancelled > before


def test_a_cancelled_read_skips_what_it_had_not_started(running, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        before = zarrs_c.stats().chunks_decoded
        future = zarrs_c.read_into(buffer, slow_array, selection)
        await asyncio.sleep(0.05)
        future.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await future
        assert zarrs_c.stats().chunks_decoded - before < slow_array.shape[0] // 2

    running(main())


def test_cancel_is_idempotent_and_after_the_end_it_is_refused(running, array, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection)
        future.cancel()
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        assert not future.cancel()
        future = zarrs_c.read(array)
        await future
        assert not future.cancel()
        assert not future.cancelled()

    running(main())


def test_every_kind_of_operation_can_be_cancelled_at_once(running, array, field):
    async def main():
        futures = [
            zarrs_c.read_into(canary(array.shape, "f4"), array),
            zarrs_c.read(array),
            zarrs_c.read_many([(canary(array.shape, "f4"), array)]),
            zarrs_c.read_encoded_chunk(array, (0, 0)),
            zarrs_c.open_array(field.path),
            zarrs_c.read(field.path),
        ]
        for future in futures:
            assert future.cancel()
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * len(futures)
        assert idle()

    running(main())


def test_storms_of_cancelled_reads_leave_every_buffer_safe(running, array, field):
    async def main():
        rng = np.random.default_rng(8)
        for _ in range(20):
            buffers = [canary(field.data.shape, "f4") for _ in range(20)]
            futures = [zarrs_c.read_into(buffer, array) for buffer in buffers]
            for _ in range(rng.integers(3)):
                await asyncio.sleep(0)
            chosen = rng.random(20) < 0.5
            asked = [future.cancel() for future, cancel in zip(futures, chosen, strict=True) if cancel]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert idle()
            kinds = iter(asked)
            for buffer, result, cancel in zip(buffers, results, chosen, strict=True):
                if cancel and next(kinds):
                    assert isinstance(result, asyncio.CancelledError)
                else:
                    assert result is buffer
                    np.testing.assert_array_equal(buffer, field.data)

    running(main())


def test_wait_for_cancels_the_read_and_waits_until_the_buffer_is_safe(running, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(zarrs_c.read_into(buffer, slow_array, selection), 0.05)
        assert idle()

    running(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout and TaskGroup came with Python 3.11")
def test_timeout_and_task_groups_cancel_reads(running, array, slow_array, field):
    async def read(*arguments):
        return await zarrs_c.read_into(*arguments)

    async def main():
        buffer, selection = small(slow_array)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await zarrs_c.read_into(buffer, slow_array, selection)
        assert idle()
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(read(buffer, slow_array, selection))
                group.create_task(read(canary((1, 1), "f4"), array))
        assert caught.group_contains(zarrs_c.BufferMismatchError)
        assert reading.cancelled()
        assert idle()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(canary((63,), "f4"), array, row)) for row in range(30)]
        np.testing.assert_array_equal(np.stack([task.result() for task in tasks]), field.data[:30])

    running(main())


def test_a_cancelled_task_waits_for_its_read_to_let_go(running, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        states = []

        async def reader():
            try:
                await zarrs_c.read_into(buffer, slow_array, selection)
            except asyncio.CancelledError:
                states.append(idle())
                raise

        task = asyncio.create_task(reader())
        await asyncio.sleep(0.03)
        task.cancel("stop")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert states == [True]

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


# ---- Loops ----


def test_a_loop_closed_with_reads_in_flight_leaves_them_to_end_silently(running, slow_array, array, field, caplog):
    buffer, selection = small(slow_array)
    futures = []

    async def start():
        futures.append(zarrs_c.read_into(buffer, slow_array, (slice(0, 20), selection[1])[:0] or selection))
        futures.append(zarrs_c.read(array))

    running(start())
    assert not futures[0].done()
    futures.clear()
    gc.collect()
    wait_until(idle, "the reads of the closed loop to end")
    buffer[...] = CANARY
    gc.collect()

    async def again():
        np.testing.assert_array_equal(await zarrs_c.read(array), field.data)

    running(again())
    assert (buffer == CANARY).all()
    assert not caplog.records


def test_loops_one_after_another_each_get_their_own_results(running, array, field):
    for row in range(40):

        async def main(row=row):
            np.testing.assert_array_equal(await zarrs_c.read(array, row), field.data[row])

        running(main())


def test_loops_leave_no_thread_and_no_descriptor_behind(running, array):
    async def main():
        await zarrs_c.read(array, 0)

    def left():
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    running(main())
    gc.collect()
    before = left()
    for _ in range(30):
        running(main())
    gc.collect()
    wait_until(lambda: left()[0] <= before[0], "dispatchers of closed loops to end")
    assert left()[1] <= before[1] + 2


def test_loops_in_several_threads_share_an_array(running, array, field):
    wrong = []

    def work(seed):
        async def main():
            rng = np.random.default_rng(seed)
            for _ in range(10):
                rows = [int(row) for row in rng.integers(0, 95, 40)]
                results = await asyncio.gather(*[zarrs_c.read(array, row) for row in rows])
                np.testing.assert_array_equal(np.stack(results), field.data[rows])

        try:
            running(main())
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not wrong


def test_debug_mode_has_nothing_to_say(running, array, field, caplog):
    async def main():
        rows = await asyncio.gather(*[zarrs_c.read(array, row) for row in range(95)])
        np.testing.assert_array_equal(np.stack(rows), field.data)
        future = zarrs_c.read(array)
        future.cancel()
        await asyncio.wait([future])

    running(main(), debug=True)
    slow_callbacks = [record for record in caplog.records if "took" not in record.getMessage()]
    assert not slow_callbacks


PROGRAM = """
    import asyncio, sys
    import numpy as np
    import zarrs_c

    async def main(path):
        array = await zarrs_c.open_array(path)
        rows = await asyncio.gather(*[zarrs_c.read(array, row) for row in range(95)])
        whole = await zarrs_c.read_into(np.empty(array.shape, array.dtype), array)
        assert (np.stack(rows) == whole).all()
        for future in [zarrs_c.read(array) for _ in range(50)]:
            future.cancel()
        zarrs_c.read(array)  # never awaited
        try:
            await zarrs_c.read(array, 1000)
        except IndexError:
            pass
        try:
            await zarrs_c.open_array(path + "/nothing")
        except FileNotFoundError:
            pass

    {run}
    assert (zarrs_c.sync.read(zarrs_c.sync.open_array(sys.argv[1]), 3) >= 0).all()
    print("well")
"""


@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
@pytest.mark.parametrize("loop", ["asyncio.run(main(sys.argv[1]))", "import uvloop; uvloop.run(main(sys.argv[1]))"])
def test_dev_mode_with_warnings_as_errors_runs_clean(loop, bridge, field):
    flags = ["-X", "dev", "-W", "error"]
    if "uvloop" in loop and sys.version_info >= (3, 14):
        flags = ["-X", "dev"]  # uvloop uses what asyncio deprecates there
    program = PROGRAM.format(run=loop)
    done = python(program, field.path, flags=flags, environment={"ZARRS_C_BRIDGE": bridge})
    assert done.stdout == "well\n"


def test_an_unknown_bridge_is_refused(array, monkeypatch):
    monkeypatch.setenv("ZARRS_C_BRIDGE", "rope")

    async def main():
        with pytest.raises(ValueError, match="rope"):
            zarrs_c.read(array)

    run(main())


def test_with_the_descriptor_as_bridge_no_thread_of_pythons_starts(field):
    program = """
        import asyncio, sys, threading
        import zarrs_c

        async def main(path):
            await zarrs_c.read(path)
            return [thread.name for thread in threading.enumerate()]

        print(asyncio.run(main(sys.argv[1])))
    """
    done = python(program, field.path, environment={"ZARRS_C_BRIDGE": "fd"})
    assert done.stdout == "['MainThread']\n"
    done = python(program, field.path, environment={"ZARRS_C_BRIDGE": "dispatcher"})
    assert len(eval(done.stdout)) == 2


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
