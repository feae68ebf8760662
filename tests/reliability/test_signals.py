"""Ctrl-C and other signals while reads are under way."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from helpers import remote, simple
from helpers.running import SECONDS, python

import zarrs_c
from zarrs_c import sync

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


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


@pytest.fixture
def alarm():
    """Call `alarm(when)` to have SIGALRM's handler raise as soon as `when()` is true."""

    class Rung(Exception):
        pass

    def ring(*_):
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    threads = []

    def start(when):
        def wait():
            while not when():
                time.sleep(0.001)
            start.sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGALRM)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    start.error = Rung
    yield start
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGALRM, before)


def test_a_signal_ends_a_blocking_read_of_a_server_that_never_answers(alarm, faults):
    remote.one_row_chunks(faults, "a", 100)
    array = sync.open_array(faults.url("a"), storage_options={"timeout": "60s"})
    faults.rule("a/c/*", silent=True)
    for _ in range(5):
        faults.reset()
        buffer = np.zeros(array.shape, np.uint8)
        alarm(lambda: faults.counters.in_flight >= 10)
        with pytest.raises(alarm.error):
            sync.read_into(buffer, array)
        waited = time.monotonic() - alarm.sent
        assert waited < 30, f"{waited} s, where 0.1 s are promised and the read itself would take a minute"
        now = zarrs_c.stats()
        assert (now.operations_in_flight, now.bytes_in_flight, now.requests_in_flight) == (0, 0, 0)
        faults.wait(lambda seen: seen.in_flight == 0)  # the requests were closed
        assert not buffer.any()


def test_signals_that_do_not_raise_leave_a_read_alone(slow, slow_array):
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.005)
    try:
        rows = sync.read(slow_array, np.s_[:60, :: simple.STRIDE])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    np.testing.assert_array_equal(rows, slow.data[:60, :: simple.STRIDE])
    assert rung


ASYNC = """
    import asyncio, os, signal, sys, threading
    import numpy as np
    import zarrs_c
    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow = zarrs_c.sync.open_array(sys.argv[1])

    async def main():
        buffer = np.zeros((slow.shape[0], slow.shape[1] // {stride}), slow.dtype)
        reading = zarrs_c.read_into(buffer, slow, np.s_[:, ::{stride}])
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await reading
        except asyncio.CancelledError:
            print("cancelled", zarrs_c.stats().operations_in_flight)
            raise

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.run cancels on SIGINT since Python 3.11")
@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
def test_ctrl_c_in_asyncio_cancels_the_read_as_it_does_any_task(bridge, slow):
    program = ASYNC.format(stride=simple.STRIDE)
    done = python(program, slow.path, environment={"ZARRS_C_BRIDGE": bridge})
    assert done.stdout == "cancelled 0\ninterrupted\n"
