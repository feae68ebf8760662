"""Forks at any moment, and pools of workers: both sides read on, nothing is shared, nothing hangs."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from helpers import remote
from helpers.running import python

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
    "from a thread, while another reads": """all_of_it()
    import threading
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(in_child(all_of_it))) for _ in range(3)]
    for thread in threads: thread.start()
    while any(thread.is_alive() for thread in threads): check_sync()
    assert statuses == [0] * 3""",
    "a future of the parent in the child": """
    async def forking():
        future = zarrs_c.read(array, 5)
        child = os.fork()
        if child == 0:
            future.cancel()  # its operation stayed in the parent
            check_sync()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (await future == expected[5]).all()
    asyncio.run(forking())""",
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


REMOTE = """
    import asyncio, os, sys, time
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    array = sync.open_array(sys.argv[1])
    rows = array.shape[0]

    def check(got):
        assert (got[:, 0] == np.arange(rows) % 256).all()

    async def some():
        return np.stack(await asyncio.gather(*[zarrs_c.read(array, row) for row in range(rows)]))

    check(sync.read(array))
    check(asyncio.run(some()))

    async def forking():
        reads = [asyncio.ensure_future(some()) for _ in range(3)]
        await asyncio.sleep(0.02)  # some have connections, some wait for one
        children = []
        for work in (lambda: check(sync.read(array)), lambda: check(sync.read(array))) * 2:
            child = os.fork()
            if child == 0:
                work()
                os._exit(0)
            children.append(child)
        for got in await asyncio.gather(*reads):
            check(got)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert asyncio.run(forking()) == [0] * 4
    child = os.fork()
    if child == 0:
        check(asyncio.run(some()))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    check(sync.read(array))
    print("well")
"""


@forks
@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
def test_processes_share_no_connection(bridge, faults):
    """Each request is answered on a connection of the process that made it: a shared one would mix up answers."""
    remote.one_row_chunks(faults, "a", 60)
    faults.rule("a/c/*", delay=0.002)
    done = python(REMOTE, faults.url("a"), flags=QUIET, environment={"ZARRS_C_BRIDGE": bridge})
    assert done.stdout == "well\n"
    seen = faults.counters.log
    assert {one.status for one in seen if not one.aborted} == {200, 404}  # 404: there is no .zarray
    # 60 chunks 2 + 3 + 1 times in the parent and once in each of five children: no read is made twice, none is lost.
    # The three are made at once, of the same rows, and may be joined.
    chunks = faults.counters.of("a/c/*")
    assert 60 * (2 + 1 + 1 + 5) <= len(chunks) <= 60 * (2 + 3 + 1 + 5)


LOADER = """
import multiprocessing, queue, sys
import numpy as np
import zarrs_c


def work(array, tasks, results):
    '''As a torch DataLoader's worker: indices in, batches out, for as long as there are some.'''
    while (rows := tasks.get()) is not None:
        buffers = [np.empty(array.shape[1:], array.dtype) for _ in rows]
        zarrs_c.sync.read_many([(buffer, array, row) for buffer, row in zip(buffers, rows)])
        results.put((rows, np.stack(buffers)))


def epoch(context, array, expected, workers=3):
    tasks, results = context.Queue(), context.Queue()
    pool = [context.Process(target=work, args=(array, tasks, results), daemon=True) for _ in range(workers)]
    for worker in pool:
        worker.start()
    order = np.random.default_rng(0).permutation(len(expected))
    batches = [order[i : i + 8].tolist() for i in range(0, len(order), 8)]
    for batch in batches:
        tasks.put(batch)
    seen = []
    for _ in batches:
        rows, got = results.get(timeout=50)
        assert (got == expected[rows]).all()
        assert (array[rows[0]] == expected[rows[0]]).all()  # the parent reads, too
        seen += rows
    assert sorted(seen) == list(range(len(expected)))
    for _ in pool:
        tasks.put(None)
    for worker in pool:
        worker.join(50)
        assert worker.exitcode == 0


if __name__ == "__main__":
    array, expected = zarrs_c.sync.open_array(sys.argv[1]), np.load(sys.argv[2])
    assert (array[...] == expected).all()  # threads run, connections are open
    for _ in range(2):
        epoch(multiprocessing.get_context(sys.argv[3]), array, expected)
    print("well")
"""


@pytest.mark.parametrize("store", ["local", "remote"])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_data_loader_of_workers_reads_every_row_once(method, store, field, faults, tmp_path):
    """With `fork` the workers inherit the open array, with the others it is pickled."""
    import numpy as np

    np.save(tmp_path / "expected.npy", field.data)
    program = tmp_path / "loader.py"
    program.write_text(LOADER)
    where = field.path if store == "local" else remote.serve(faults, field, "a")
    run = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    done = python(run, program, where, tmp_path / "expected.npy", method, flags=QUIET)
    assert done.stdout == "well\n"
