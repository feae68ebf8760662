"""Exits and forks with reads under way: the right status, no message, no hang."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys

import pytest
from helpers import simple
from helpers.running import SECONDS, python

EXITS = {
    "falls off the end": ("asyncio.run(main())", 0),
    "sys.exit in the loop": ("asyncio.run(main(lambda: sys.exit(7)))", 7),
    "an exception in the loop": ("asyncio.run(main(fail))", 1),
    "loop never closed": ("loop = asyncio.new_event_loop(); loop.run_until_complete(main())", 0),
    "os._exit": ("asyncio.run(main(lambda: os._exit(5)))", 5),
    "at exit of a daemon thread": (
        "threading.Thread(target=lambda: asyncio.run(main(time.sleep, 1000)), daemon=True).start(); started.wait()",
        0,
    ),
    "a blocking read in a daemon thread": (
        "threading.Thread(target=lambda: sync.read(slow, everything), daemon=True).start(); time.sleep(0.05)",
        0,
    ),
}

PROGRAM = """
    import asyncio, os, sys, threading, time
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    sys.excepthook = lambda kind, error, trace: print(kind.__name__)
    slow, field = sync.open_array(sys.argv[1]), sync.open_array(sys.argv[2])
    everything = np.s_[:, ::{stride}]
    started = threading.Event()

    def fail():
        raise ZeroDivisionError

    async def main(end=None, *arguments):
        reads = [zarrs_c.read(slow, everything) for _ in range(3)]
        reads += [zarrs_c.read(field, row) for row in range(20)]
        await asyncio.sleep(0.03)
        started.set()
        if end:
            end(*arguments)

    {end}
"""


@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
@pytest.mark.parametrize("how", EXITS)
def test_exit_with_reads_in_flight_is_quiet_and_has_the_right_status(how, bridge, slow, field):
    end, status = EXITS[how]
    program = PROGRAM.format(end=end, stride=simple.STRIDE)
    for _ in range(15 if how == "falls off the end" else 3):
        done = python(program, slow.path, field.path, environment={"ZARRS_C_BRIDGE": bridge}, check=False)
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout == ("ZeroDivisionError\n" if how == "an exception in the loop" else "")


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
# Python 3.12 and later warn of forks while other threads run: ours do, which is what is tested.
QUIET = ["-W", "ignore::DeprecationWarning"]

FORK = """
    import asyncio, os, sys, time
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    array = sync.open_array(sys.argv[1])
    expected = np.load(sys.argv[2])

    def check_sync():
        assert (array[...] == expected).all()
        assert (sync.read(sync.open_array(sys.argv[1]), 3) == expected[3]).all()

    async def check_async():
        rows = await asyncio.gather(*[zarrs_c.read(array, row) for row in range(95)])
        assert (np.stack(rows) == expected).all()

    def in_child(work):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)

    def all_of_it():
        check_sync()
        asyncio.run(check_async())

    {body}
    print("well")
"""

FORKS = {
    "before any use": "assert in_child(all_of_it) == 0; all_of_it()",
    "after a blocking read": "check_sync(); assert in_child(all_of_it) == 0; all_of_it()",
    "after a loop": "asyncio.run(check_async()); assert in_child(all_of_it) == 0; all_of_it()",
    "ten children": "all_of_it(); assert [in_child(all_of_it) for _ in range(10)] == [0] * 10; all_of_it()",
    "a grandchild": """all_of_it()
    def parent():
        all_of_it()
        assert in_child(all_of_it) == 0
        all_of_it()
    assert in_child(parent) == 0
    all_of_it()""",
    "within a loop": """
    async def forking():
        await check_async()
        status = in_child(check_sync)
        await check_async()
        return status
    assert asyncio.run(forking()) == 0""",
    "in the middle of reads": """
    async def forking():
        reads = [zarrs_c.read(array, row) for row in range(95)]
        status = in_child(check_sync)
        assert (np.stack(await asyncio.gather(*reads)) == expected).all()
        return status
    assert [asyncio.run(forking()) for _ in range(5)] == [0] * 5""",
    "child that exits as programs do": """all_of_it()
    child = os.fork()
    if child == 0:
        all_of_it()
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3""",
}


@forks
@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
@pytest.mark.parametrize("when", FORKS)
def test_a_forked_child_reads_and_so_does_its_parent(when, bridge, field, tmp_path):
    import numpy as np

    np.save(tmp_path / "expected.npy", field.data)
    program = FORK.format(body=FORKS[when])
    done = python(
        program, field.path, tmp_path / "expected.npy", flags=QUIET, environment={"ZARRS_C_BRIDGE": bridge}
    )
    assert done.stdout.endswith("well\n")


@forks
def test_a_fork_counts_from_zero_in_the_child(field):
    program = """
        import os, sys, zarrs_c
        array = zarrs_c.sync.open_array(sys.argv[1])
        array[...]
        child = os.fork()
        if child == 0:
            array[0]
            os._exit(zarrs_c.stats().operations)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert python(program, field.path, flags=QUIET).stdout == "1\n"


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_worker_processes_read_an_array_that_they_were_given(method, field, tmp_path):
    """In a program of its own: the tests' process has other libraries' threads, which fork badly."""
    program = tmp_path / "workers.py"
    program.write_text(
        """
import multiprocessing, sys
import zarrs_c

def row_sum(array, row):
    return float(array[row].sum())

if __name__ == "__main__":
    array = zarrs_c.sync.open_array(sys.argv[1])
    array[...]
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        print(pool.starmap(row_sum, [(array, row) for row in range(20)]))
"""
    )
    done = python(
        "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
        program,
        field.path,
        method,
        flags=QUIET,
    )
    assert eval(done.stdout) == [float(row.sum()) for row in field.data[:20]]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_program_killed_by_ctrl_c_ends_as_python_programs_do(slow):
    program = """
        import os, signal, sys, threading
        import numpy as np
        from zarrs_c import sync
        signal.signal(signal.SIGINT, signal.default_int_handler)
        slow = sync.open_array(sys.argv[1])
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        sync.read(slow, np.s_[:, ::{stride}])
    """
    done = python(program.format(stride=simple.STRIDE), slow.path, check=False, timeout=SECONDS)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
