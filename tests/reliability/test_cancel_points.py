"""Cancelling at every point at which a read can wait, one after another, and at none of them anything stays behind.

The server's gate holds the n-th request of a read, so a read waits where it is told to: for metadata, an index, a
range, a chunk; in line for a request or for bytes. What is cancelled there ends there.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import numpy as np
import pytest
from helpers import remote
from helpers.buffers import CANARY
from helpers.loops import idle, wait_until
from helpers.running import python, run

import zarrs_c
from zarrs_c import sync


@pytest.fixture
def sharded_url(faults, tmp_path):
    stored = remote.sharded_rows(tmp_path / "a", shards=4, inner=8, inner_bytes=512)
    return remote.serve(faults, stored, "a"), stored


def opening(url, _):
    return zarrs_c.open_array(url), None


def reading(url, array):
    buffer = np.full(array.shape, CANARY, np.uint8)
    return zarrs_c.read_into(buffer, array), buffer


def a_part(url, array):
    buffer = np.full((4, 512), CANARY, np.uint8)
    return zarrs_c.read_into(buffer, array, np.s_[6:10]), buffer


def one_at_a_time(url, array):
    buffer = np.full(array.shape, CANARY, np.uint8)
    return zarrs_c.read_into(buffer, array, max_requests=1), buffer


def few_bytes(url, array):
    buffer = np.full(array.shape, CANARY, np.uint8)
    return zarrs_c.read_into(buffer, array, max_bytes=1), buffer


def by_url(url, _):
    return zarrs_c.read(url), None


def encoded(url, array):
    return zarrs_c.read_encoded_chunk(array, (9, 0), inner=True), None


CALLS = [opening, reading, a_part, one_at_a_time, few_bytes, by_url, encoded]


@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
@pytest.mark.parametrize("call", CALLS)
def test_a_read_is_cancelled_at_each_of_its_requests(call, bridge, sharded_url, faults, monkeypatch):
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    url, stored = sharded_url

    async def cancelled_at(n: int) -> bool:
        """Let n requests pass and cancel while the next waits; False where there is no next."""
        faults.clear_rules()
        array = await zarrs_c.open_array(url)  # a store of its own, whose indexes are not kept yet
        faults.reset()
        gate = faults.gate()
        faults.rule("a/*", skip=n, gate=gate)
        future, buffer = call(url, array)
        while not future.done() and faults.counters.requests <= n:  # noqa: ASYNC110, it is another thread's
            await asyncio.sleep(0.001)
        more = faults.counters.requests > n
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await (future if more else asyncio.shield(cancelled()))
        assert idle()
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 0)  # its requests are closed
        gate.open()
        if buffer is not None and more:
            buffer[...] = CANARY
            await asyncio.sleep(0.005)
            assert (buffer == CANARY).all()
        faults.clear_rules()
        assert (await zarrs_c.read(array, np.s_[9]) == stored.data[9]).all()
        return more

    async def cancelled():
        raise asyncio.CancelledError

    async def main():
        n = 0
        while await cancelled_at(n):
            n += 1
        return n

    assert run(main()) >= 2, "the read made too few requests to wait at"


# 4 shards of 4 chunks of 4 elements.
MAKE = {"shape": (64,), "dtype": "i4", "chunks": (4,), "shards": (16,), "compressors": None}
NEW = np.arange(100, 164, dtype="i4")


def writing(store, array, shard):
    return zarrs_c.write(array, NEW)


def writing_parts(store, array, shard):
    return zarrs_c.write(array, NEW[2:62], np.s_[2:62])


def one_write_at_a_time(store, array, shard):
    return zarrs_c.write(array, NEW[1:63], np.s_[1:63], max_requests=1)


def writing_encoded(store, array, shard):
    return zarrs_c.write_encoded_chunk(array, (3,), shard)


def erasing(store, array, shard):
    return zarrs_c.erase_chunk(array, (2,))


def creating(store, array, shard):
    return zarrs_c.create_array(store, "b", **MAKE)


def describing(store, array, shard):
    return zarrs_c.update_attributes(array, {"a": 1})


WRITES = [writing, writing_parts, one_write_at_a_time, writing_encoded, erasing, creating, describing]


@pytest.mark.parametrize("call", WRITES)
def test_a_write_is_cancelled_at_each_of_its_requests(call, faults):
    """Then it has let go of everything, and each shard is what it was or what it was to be."""
    store = zarrs_c.open_store("s3://bucket", faults.s3_options | remote.NO_RETRIES)

    async def cancelled_at(n: int) -> bool:
        """Let n requests pass and cancel while the next waits; False where there is no next."""
        faults.clear_rules()
        faults.objects.clear()
        array = await zarrs_c.create_array(store, "a", **MAKE)
        await zarrs_c.write(array, -NEW)
        shard = bytes(faults.objects["bucket/a/c/1"].data)
        faults.reset()
        gate = faults.gate()
        faults.rule("bucket*", skip=n, gate=gate)
        future = call(store, array, shard)
        while not future.done() and faults.counters.requests <= n:  # noqa: ASYNC110, it is another thread's
            await asyncio.sleep(0.001)
        more = faults.counters.requests > n
        future.cancel()
        await asyncio.wait([future])
        assert future.cancelled() == more
        assert idle()
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == 0)  # its requests are closed
        gate.open()
        faults.clear_rules()
        parts = (await zarrs_c.read(array)).reshape(4, 16)
        whole = [NEW, -NEW, 0 * NEW, np.concatenate([-NEW[:48], -NEW[16:32]])]
        mixed = [np.concatenate([-NEW[:i], NEW[i : 64 - i], -NEW[64 - i :]]) for i in (1, 2)]
        for i, part in enumerate(parts):
            assert any((part == all.reshape(4, 16)[i]).all() for all in whole + mixed), part
        await zarrs_c.write(array, NEW)  # no lock of a key is left behind
        np.testing.assert_array_equal(await zarrs_c.read(array), NEW)
        return more

    async def main():
        n = 0
        while await cancelled_at(n):
            n += 1
        return n

    assert run(main()) >= 1, "the call made too few requests to wait at"


@pytest.mark.parametrize("steps", range(12))
def test_a_task_is_cancelled_after_any_number_of_steps_of_the_loop(steps, array, field):
    async def main():
        buffers = [np.full(array.shape, CANARY, array.dtype) for _ in range(10)]
        tasks = [asyncio.ensure_future(waiting(buffer)) for buffer in buffers]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task, buffer in zip(tasks, buffers, strict=True):
            try:
                assert await task is buffer
                np.testing.assert_array_equal(buffer, field.data)
            except asyncio.CancelledError:
                pass
        assert idle()

    async def waiting(buffer):
        return await zarrs_c.read_into(buffer, array)

    run(main())


def threads() -> int:
    return (
        len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
    )


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_storms_over_a_faulty_server_leave_nothing_behind(faults):
    """Reads that are cancelled, time out, fail or end well, on loop after loop: then everything is as before."""
    data = remote.one_row_chunks(faults, "a", 200)
    options = {**remote.QUICK_RETRIES, "max_retries": "1", "timeout": "300ms"}
    array = sync.open_array(faults.url("a"), storage_options=options)
    rng = np.random.default_rng(3)
    kinds = [
        {"status": 500},
        {"close_after": 50},
        {"silent": True},
        {"stall_after": 50},
        {"close_at_once": True, "reset": True},
        {"shorter": 1},
        {"delay": 0.05},
    ]

    async def storm():
        buffers = [bytearray(256 * 20) for _ in range(60)]
        starts = [int(rng.integers(180)) for _ in buffers]
        views = [np.frombuffer(b, np.uint8).reshape(20, 256) for b in buffers]
        reads = [
            zarrs_c.read_into(view, array, np.s_[start : start + 20])
            for view, start in zip(views, starts, strict=True)
        ]
        waits = [
            asyncio.wait_for(read, 0.2) if rng.random() < 0.3 else asyncio.ensure_future(read)
            for read in reads
        ]
        waits = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0.01)
        for wait in waits:
            if rng.random() < 0.3:
                wait.cancel()
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        for outcome, start in zip(outcomes, starts, strict=True):
            if isinstance(outcome, np.ndarray):
                np.testing.assert_array_equal(outcome, data[start : start + 20])
            else:
                kind = zarrs_c.Error, asyncio.CancelledError, asyncio.TimeoutError
                assert isinstance(outcome, kind), repr(outcome)
        del views, outcomes, waits, wait, reads, outcome
        for _ in range(5):  # the loop's own callbacks hold what they were called with
            await asyncio.sleep(0)
        gc.collect()
        for buffer in buffers:
            buffer.append(0)  # a BufferError while it is exported

    before = None
    for round in range(8):
        faults.clear_rules()
        for row in range(0, 200, 4):
            faults.rule(f"a/c/{row}/0", **kinds[rng.integers(len(kinds))], times=2)
        run(storm())
        gc.collect()
        wait_until(idle, "the storm to end")
        faults.wait(lambda seen: seen.in_flight == 0)
        if round == 1:
            before = threads(), descriptors() - 2 * faults.counters.open_connections
    faults.clear_rules()
    np.testing.assert_array_equal(sync.read(array), data)
    # Each connection is two descriptors here, where the server lives, too.
    after = threads(), descriptors() - 2 * faults.counters.open_connections
    assert after[0] <= before[0] + 1
    assert after[1] <= before[1] + 8


TRIO = """
    import sys, threading
    import numpy as np
    import trio
    import zarrs_c

    async def read(array, selection=...):
        '''The recipe of docs/reliability.md.'''
        return await trio.to_thread.run_sync(zarrs_c.sync.read, array, selection)

    async def main():
        array = await trio.to_thread.run_sync(zarrs_c.sync.open_array, sys.argv[1])
        rows = [None] * 20
        async def one(row):
            rows[row] = await read(array, row)
        async with trio.open_nursery() as nursery:
            for row in range(20):
                nursery.start_soon(one, row)
        assert (np.stack(rows) == (await read(array))[:20]).all()
        print("well")

    trio.run(main)
"""


def test_trio_reads_by_the_recipe(field):
    pytest.importorskip("trio")
    assert python(TRIO, field.path).stdout == "well\n"
