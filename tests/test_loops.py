"""Loops that close early, that follow one another, that run in threads; debug mode; programs in Python's dev mode."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.buffers import CANARY
from helpers.loops import BRIDGES, LOOPS, idle, small, wait_until
from helpers.running import SECONDS, python, run

import zarrs_c


def test_a_loop_closed_with_reads_in_flight_leaves_them_to_end_silently(
    running, slow_array, array, field, caplog
):
    buffer, selection = small(slow_array)
    buffer, selection = buffer[:30], (slice(30), selection[1])
    futures = []

    async def start():
        futures.append(zarrs_c.read_into(buffer, slow_array, selection))
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


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("kind", LOOPS)
def test_a_loop_stops_and_starts_with_reads_in_flight_and_others_run_meanwhile(
    kind, bridge, monkeypatch, slow_array, slow, array, field
):
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    buffer, selection = small(slow_array)
    buffer, selection = buffer[:40], (slice(40), selection[1])

    async def start():
        return [
            zarrs_c.read_into(buffer, slow_array, selection),
            *(zarrs_c.read(array, i) for i in range(20)),
        ]

    async def other():
        np.testing.assert_array_equal(await zarrs_c.read(array), field.data)

    async def end(reads):
        nested = asyncio.to_thread(run, other(), factory=LOOPS[kind])
        return (await asyncio.gather(*reads, nested))[:-1]

    loop = LOOPS[kind]()
    try:
        reads = loop.run_until_complete(start())
        for _ in range(5):
            loop.call_soon(loop.stop)
            loop.run_forever()
            run(other(), factory=LOOPS[kind])
        slowly, *rows = loop.run_until_complete(end(reads))
    finally:
        loop.close()
    np.testing.assert_array_equal(slowly, slow.data[selection])
    np.testing.assert_array_equal(rows, field.data[:20])


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
        asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no finding
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
@pytest.mark.parametrize(
    "loop", ["asyncio.run(main(sys.argv[1]))", "import uvloop; uvloop.run(main(sys.argv[1]))"]
)
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
