"""Cancelling: CancelledError comes when the buffer is safe to reuse, and not before."""

from __future__ import annotations

import asyncio
import builtins
import sys

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import canary
from helpers.loops import idle, small

import zarrs_c


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
        reading = []

        async def group_of_a_bad_and_a_slow_read():
            async with asyncio.TaskGroup() as group:
                reading.append(group.create_task(read(buffer, slow_array, selection)))
                group.create_task(read(canary((1, 1), "f4"), array))

        with pytest.raises(builtins.ExceptionGroup) as caught:
            await group_of_a_bad_and_a_slow_read()
        assert caught.group_contains(zarrs_c.BufferMismatchError)
        assert reading[0].cancelled()
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
