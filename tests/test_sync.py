"""The blocking twins: the same results, with the GIL released, and Ctrl-C works."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import canary
from helpers.running import SECONDS, run

import zarrs_c
from zarrs_c import sync

CALLS = ["open_array", "read_into", "read", "read_many", "read_encoded_chunk"]


@pytest.fixture
def array(field):
    return sync.open_array(field.path)


@pytest.mark.parametrize("name", CALLS)
def test_each_twin_takes_the_same_arguments(name):
    blocking, asynchronous = getattr(sync, name), getattr(zarrs_c, name)
    assert inspect.signature(blocking) == inspect.signature(asynchronous)
    assert inspect.getdoc(blocking)


def test_the_twins_give_what_the_asynchronous_calls_give(array, field):
    async def main():
        return [
            await zarrs_c.read(array, np.s_[3:50:7, ::-2]),
            await zarrs_c.read_into(np.empty((7, 32), "f4"), array, np.s_[3:50:7, ::-2]),
            *await zarrs_c.read_many([(np.empty((7, 32), "f4"), array, np.s_[3:50:7, ::-2])]),
            await zarrs_c.read(array, np.s_[3, 4]),
            await zarrs_c.read(array, chunks=np.s_[2:4, 1]),
            bytes(await zarrs_c.read_encoded_chunk(array, (3, 4))),
            (await zarrs_c.open_array(field.path)).metadata,
        ]

    blocking = [
        sync.read(array, np.s_[3:50:7, ::-2]),
        sync.read_into(np.empty((7, 32), "f4"), array, np.s_[3:50:7, ::-2]),
        *sync.read_many([(np.empty((7, 32), "f4"), array, np.s_[3:50:7, ::-2])]),
        sync.read(array, np.s_[3, 4]),
        sync.read(array, chunks=np.s_[2:4, 1]),
        bytes(sync.read_encoded_chunk(array, (3, 4))),
        sync.open_array(field.path).metadata,
    ]
    for ours, theirs in zip(blocking, run(main()), strict=True):
        if isinstance(ours, np.ndarray):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_array_equal(ours, theirs)


def test_reading_is_indexing(array, field):
    np.testing.assert_array_equal(array[5:20, -3], field.data[5:20, -3])
    assert isinstance(array[3, 4], np.ndarray)
    assert (array[3, 4].shape, array[3, 4]) == ((), field.data[3, 4])
    np.testing.assert_array_equal(np.asarray(array), field.data)
    np.testing.assert_array_equal(np.asarray(array, "f8"), field.data.astype("f8"))
    assert len(array) == 95


def test_a_new_array_may_not_be_avoided(array):
    with pytest.raises(ValueError, match="copy"):
        array.__array__(copy=False)


def test_a_buffer_comes_back_as_it_was_given(array, field):
    buffer = bytearray(field.data.nbytes)
    assert sync.read_into(buffer, array) is buffer
    assert buffer == field.data.tobytes()
    buffer.append(0)  # not exported any more


def test_reads_by_path_and_by_store(field):
    store = zarrs_c.open_store(field.path.parent)
    for array in (
        str(field.path),
        field.path,
        field.path.as_uri(),
        sync.open_array(store, "a"),
        sync.open_array(store, "/a/"),
        sync.open_array(str(field.path.parent), "a"),
        sync.open_array(field.path, zarr_format=3),
    ):
        np.testing.assert_array_equal(sync.read(array, np.s_[3:9]), field.data[3:9])


def test_a_relative_path_is_of_the_folder_at_the_time(field, monkeypatch, tmp_path):
    monkeypatch.chdir(field.path.parent)
    array = sync.open_array("a")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(array[3:9], field.data[3:9])


NAMES = ["a b", "a%20b", "a#b", "a?b", "é東", "a+b&c=d", "~x", "q'\"", ".hidden", "a:b", "[x]", "*"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
def test_any_name_that_a_file_can_have_is_found(name, tmp_path):
    data = np.arange(6, dtype="i4").reshape(2, 3)
    path = simple.store(tmp_path / name, data, (1, 2)).path
    store = zarrs_c.open_store(tmp_path)
    for array in (sync.open_array(path), sync.open_array(path.as_uri()), sync.open_array(store, name)):
        np.testing.assert_array_equal(array[...], data)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[...], data)


def test_attributes_and_dimension_names_are_told(field, tmp_path):
    shutil.copytree(field.path, tmp_path / "a")
    metadata = json.loads((tmp_path / "a" / "zarr.json").read_text())
    metadata |= {"attributes": {"units": "K", "nested": {"é": [1, None]}}, "dimension_names": ["y", None]}
    (tmp_path / "a" / "zarr.json").write_text(json.dumps(metadata))
    array = sync.open_array(tmp_path / "a")
    assert array.attrs == metadata["attributes"]
    assert array.dimension_names == ("y", None)
    assert array.metadata == metadata


def test_attributes_of_format_2_are_in_a_file_of_their_own(tmp_path):
    metadata = {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<i2", "fill_value": 7, "order": "C"}
    metadata |= {"filters": None, "compressor": None}
    (tmp_path / ".zarray").write_text(json.dumps(metadata))
    (tmp_path / ".zattrs").write_text(json.dumps({"units": "m"}))
    array = sync.open_array(tmp_path)
    assert (array.zarr_format, array.attrs, array.dimension_names) == (2, {"units": "m"}, None)
    assert array[...].tolist() == [7] * 4


def test_inside_of_a_running_loop_the_twins_work_too(array, field):
    async def main():
        np.testing.assert_array_equal(sync.read(array, 3), field.data[3])
        return await zarrs_c.read(array, 4)

    np.testing.assert_array_equal(run(main()), field.data[4])


def test_other_threads_run_while_a_read_blocks(slow):
    array = sync.open_array(slow.path)
    counter, stop = 0, threading.Event()

    def count():
        nonlocal counter
        while not stop.is_set():
            counter += 1
            stop.wait(0.0005)

    thread = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SECONDS)  # nobody takes the GIL from us: we must give it
    try:
        thread.start()
        while not counter:
            stop.wait(0.001)
        before = counter
        result = sync.read(array, np.s_[:60, :: simple.STRIDE])
        during = counter - before
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    np.testing.assert_array_equal(result, slow.data[:60, :: simple.STRIDE])
    assert during >= 5


def test_threads_read_one_array_at_once(array, field):
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            row = int(rng.integers(95))
            if not np.array_equal(sync.read(array, row), field.data[row]):
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not wrong


INTERRUPTED = """
    import signal, sys, threading, time
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    signal.signal(signal.SIGINT, signal.default_int_handler)
    slow, quick = sync.open_array(sys.argv[1]), sync.open_array(sys.argv[2])
    buffer = np.full((slow.shape[0], slow.shape[1] // {stride}), 7, np.uint8)
    for attempt in range(3):
        decoded = zarrs_c.stats().chunks_decoded
        print("reading", flush=True)
        try:
            sync.{call}
        except KeyboardInterrupt:
            pass
        else:
            sys.exit("the read ended by itself")
        assert zarrs_c.stats().chunks_decoded - decoded < slow.shape[0], "it was read to the end"
        buffer[...] = 7
        time.sleep(0.1)
        assert (buffer == 7).all(), "an interrupted read wrote to the buffer"
        assert quick[3].shape == (63,)
    print("well")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "call",
    [
        "read_into(buffer, slow, np.s_[:, ::{stride}])",
        "read(slow, np.s_[:, ::{stride}])",
        "read_many([(buffer, slow, np.s_[:, ::{stride}])])",
    ],
    ids=["read_into", "read", "read_many"],
)
def test_ctrl_c_stops_a_blocking_read_and_the_buffer_is_safe(call, slow, field):
    program = INTERRUPTED.format(call=call.format(stride=simple.STRIDE), stride=simple.STRIDE)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(slow.path), str(field.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1] == "reading":
                # The read has seconds of work to do: whenever the signal comes, it is under way or about to start.
                threading.Timer(0.3, os.kill, (process.pid, signal.SIGINT)).start()
        stderr = process.stderr.read()
        process.wait(SECONDS)
        watchdog.cancel()
    assert (process.returncode, stderr) == (0, "")
    assert lines == ["reading"] * 3 + ["well"]


def test_ctrl_c_in_asyncio_cancels_the_read(slow):
    program = """
        import asyncio, os, signal, sys, threading
        import numpy as np
        import zarrs_c

        async def main():
            slow = await zarrs_c.open_array(sys.argv[1])
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await zarrs_c.read(slow, np.s_[:, ::{stride}])
            except asyncio.CancelledError:
                print("cancelled", flush=True)
                raise

        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program.format(stride=simple.STRIDE)), str(slow.path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Before 3.11 asyncio.run let the KeyboardInterrupt through at once, and cancelled what was left.
    assert done.stdout.split()[-1] == "interrupted"


def test_nothing_is_kept_of_a_blocking_read(array):
    buffer = canary((95, 63), "f4")
    before = sys.getrefcount(buffer)
    for _ in range(20):
        sync.read_into(buffer, array)
        with pytest.raises(zarrs_c.BufferMismatchError):
            sync.read_into(buffer, array, 3)
    assert sys.getrefcount(buffer) == before
