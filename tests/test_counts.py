"""Work is counted, not timed: `stats()` says what a read fetched, decoded and how often it woke the loop."""

from __future__ import annotations

import asyncio
import os
import time

import numpy as np
import pytest
from helpers import simple
from helpers.counting import Counted
from helpers.running import SECONDS, python, run

import zarrs_c
from zarrs_c import sync

INDEX_BYTES = 16 * 16 + 4  # of a shard of 16 inner chunks, with its checksum


def touched(selection, shape, box) -> set:
    """The indices of the boxes of the grid that a selection touches, by asking NumPy for every element."""
    index = np.indices(shape).reshape(len(shape), *shape)
    picked = index[(slice(None), *selection)].reshape(len(shape), -1)
    return {tuple(int(i) for i in column) for column in (picked // np.array(box)[:, None]).T}


SELECTIONS = [
    np.s_[:, :],
    np.s_[3, 3],
    np.s_[0:1, :],
    np.s_[:, 20:21],
    np.s_[9:11, 6:8],
    np.s_[::10, ::7],
    np.s_[::-25, ::31],
    np.s_[80:, 50:],
    np.s_[5:40:34, 0:63:62],
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_each_chunk_that_overlaps_is_fetched_and_decoded_once(selection, field):
    array = sync.open_array(field.path)
    chunks = touched(selection, field.data.shape, field.chunks)
    with Counted() as counted:
        result = array[selection]
    np.testing.assert_array_equal(result, field.data[selection])
    assert counted.chunks_decoded == len(chunks)
    assert counted.requests == len(chunks)
    assert counted.bytes_fetched == sum(field.chunk_path(*index).stat().st_size for index in chunks)
    assert counted.bytes_decoded == len(chunks) * np.prod(field.chunks) * 4
    assert counted.bytes_placed == result.nbytes
    assert (counted.operations, counted.failed, counted.cancelled, counted.heads) == (1, 0, 0, 0)


SHARD_SELECTIONS = [
    np.s_[3, 3],
    np.s_[0:1, :],
    np.s_[:, 7:8],
    np.s_[3:5, 4:6],
    np.s_[15:17, 19:21],
    np.s_[::4, ::5],
    np.s_[:, :],
]


@pytest.mark.parametrize("selection", SHARD_SELECTIONS, ids=str)
def test_of_shards_only_the_inner_chunks_that_overlap_are_decoded(selection, sharded):
    array = sync.open_array(sharded.path)
    inner = touched(selection, sharded.data.shape, sharded.chunks)
    shards = touched(selection, sharded.data.shape, sharded.shards)
    with Counted() as counted:
        result = array[selection]
    np.testing.assert_array_equal(result, sharded.data[selection])
    assert counted.chunks_decoded == len(inner)
    assert counted.bytes_placed == result.nbytes
    whole = sum(sharded.chunk_path(*shard).stat().st_size for shard in shards)
    assert counted.bytes_fetched <= whole + len(shards) * INDEX_BYTES
    if len(inner) < len(shards) * 4:  # a few of the sixteen: not the whole shard
        assert counted.bytes_fetched < whole
    assert len(shards) <= counted.requests <= len(inner) + len(shards)


def test_one_inner_chunk_costs_its_bytes_and_the_index(tmp_path):
    data = simple.random_array((64, 64), "int32") + 1
    stored = simple.store(tmp_path / "a", data, (16, 16), shards=(64, 64), codecs=[simple.LITTLE])
    array = sync.open_array(stored.path)
    with Counted() as counted:
        array[17, 20]
    assert counted.chunks_decoded == 1
    assert counted.bytes_fetched <= 16 * 16 * 4 + INDEX_BYTES


def test_missing_chunks_are_counted_as_missing_and_not_decoded(field, tmp_path):
    stored = simple.store(tmp_path / "a", np.zeros((40, 40), "float32"), (10, 10))
    assert not stored.chunk_files()
    array = sync.open_array(stored.path)
    with Counted() as counted:
        assert not array[5:35].any()
    assert (counted.chunks_decoded, counted.chunks_missing, counted.bytes_fetched) == (0, 16, 0)


@pytest.mark.parametrize(
    "selection", [np.s_[5:5], np.s_[:, 7:3], np.s_[95:], np.s_[5:2, 1], np.s_[200:300]], ids=str
)
def test_an_empty_selection_asks_for_nothing(selection, field):
    array = sync.open_array(field.path)

    async def main():
        return await zarrs_c.read(array, selection)

    with Counted() as counted:
        assert run(main()).shape == field.data[selection].shape
        assert array[selection].size == 0
        sync.read_many([])
        sync.read_many([(np.empty((0, 63), "f4"), array, np.s_[0:0])])
    assert (counted.requests, counted.chunks_decoded, counted.bytes_fetched) == (0, 0, 0)


def test_reading_arrays_of_no_element_asks_for_nothing(tmp_path):
    stored = simple.store(tmp_path / "a", np.zeros((0, 5), "float32"), (2, 2))
    array = sync.open_array(stored.path)
    with Counted() as counted:
        assert array[...].shape == (0, 5)
    assert counted.requests == 0


def test_a_chunk_that_many_regions_share_is_fetched_and_decoded_once(field):
    array = sync.open_array(field.path)
    rows = list(range(95)) * 3
    with Counted() as counted:
        results = sync.read_many([(np.empty(63, "f4"), array, row) for row in rows])
    np.testing.assert_array_equal(np.stack(results), field.data[rows])
    assert counted.chunks_decoded == 90
    assert counted.requests == 90
    assert counted.operations == 1


def test_an_inner_chunk_that_many_regions_share_is_decoded_once(sharded):
    array = sync.open_array(sharded.path)
    columns = list(range(40)) * 2
    with Counted() as counted:
        results = sync.read_many([(np.empty(48, "i4"), array, np.s_[:, column]) for column in columns])
    np.testing.assert_array_equal(np.stack(results), sharded.data.T[columns])
    assert counted.chunks_decoded == (48 // 4) * (40 // 5)
    assert counted.requests <= 6 * (1 + 16)
    assert (
        counted.bytes_fetched <= sum(path.stat().st_size for path in sharded.chunk_files()) + 6 * INDEX_BYTES
    )


def test_two_views_of_one_array_in_a_batch_share_its_chunks(field):
    array = sync.open_array(field.path)
    with Counted() as counted:
        sync.read_many([(np.empty((95, 63), "f4"), array, ...) for _ in range(4)])
    assert counted.chunks_decoded == 90


def test_an_encoded_chunk_is_fetched_and_not_decoded(field):
    array = sync.open_array(field.path)
    with Counted() as counted:
        sync.read_encoded_chunk(array, (2, 2))
    size = field.chunk_path(2, 2).stat().st_size
    assert (counted.requests, counted.bytes_fetched, counted.chunks_decoded) == (1, size, 0)


def test_a_box_of_chunks_decodes_these_chunks(field):
    array = sync.open_array(field.path)
    with Counted() as counted:
        result = sync.read(array, chunks=np.s_[8:10, 7:9])
    np.testing.assert_array_equal(result, field.data[80:, 49:])
    assert counted.chunks_decoded == 4


def test_opening_an_open_store_asks_for_little(field):
    store = zarrs_c.open_store(field.path.parent)
    with Counted() as counted:
        sync.open_array(store, "a", zarr_format=3)
    assert counted.requests == 1
    assert counted.operations == 1


@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
def test_a_burst_of_a_thousand_completions_wakes_the_loop_a_handful_of_times(bridge, field, monkeypatch):
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    array = sync.open_array(field.path)

    async def main():
        await zarrs_c.read(array, 0)
        futures = [zarrs_c.read(array, row % 95) for row in range(1000)]
        # The loop is busy until all have ended: a queue that is not empty has woken the loop already.
        deadline = time.monotonic() + SECONDS
        while zarrs_c.stats().operations_in_flight and time.monotonic() < deadline:
            time.sleep(0.001)  # noqa: ASYNC251
        await asyncio.gather(*futures)

    with Counted() as counted:
        run(main())
    assert counted.operations == 1001
    # One for the first read, one for the burst, and one for each batch that the loop takes at a time.
    assert counted.wakes <= 20


def test_before_anything_ran_all_counters_are_zero_and_nothing_was_started():
    done = python("import zarrs_c; print(set(zarrs_c.stats()))")
    assert done.stdout == "{0}\n"


CONFIGURED = """
    import os, sys
    import zarrs_c
    from zarrs_c import sync
    {configure}
    array = sync.open_array(sys.argv[1])
    array[...]
    print(zarrs_c.stats().peak_requests_in_flight, len(os.listdir("/proc/self/task")))
    try:
        zarrs_c.configure(codec_threads=7)
    except RuntimeError as error:
        print("codec_threads" in str(error))
    zarrs_c.configure(codec_threads=3)  # as it is
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc here")
@pytest.mark.parametrize("how", ["call", "environment"])
def test_configured_threads_are_what_runs(how, field):
    configure = "zarrs_c.configure(codec_threads=3, max_requests=2)" if how == "call" else ""
    environment = {"ZARRS_C_CODEC_THREADS": "3", "ZARRS_C_MAX_REQUESTS": "2"} if how == "environment" else {}
    environment |= {"OPENBLAS_NUM_THREADS": "1"}
    done = python(CONFIGURED.format(configure=configure), field.path, environment=environment)
    first, second = done.stdout.splitlines()
    peak, threads = map(int, first.split())
    assert peak <= 3
    assert threads <= 1 + 3 + 2  # and the threads that wait for the network, if they have started
    assert second == "True"


@pytest.mark.parametrize("value", [0, -1, 5000, 1.5, "many", True])
def test_nonsense_in_the_configuration_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="codec_threads"):
        zarrs_c.configure(codec_threads=value)
    done = python(
        "import zarrs_c; zarrs_c.open_store('/tmp')",
        environment={"ZARRS_C_CODEC_THREADS": str(value)},
        check=False,
    )
    assert done.returncode == 1
    assert "ZARRS_C_CODEC_THREADS" in done.stderr
