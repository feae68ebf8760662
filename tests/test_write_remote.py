"""Writes to object stores: real servers take them, and whatever a server does wrong, the old data stay."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.running import run

import zarrs_c
from zarrs_c import sync

WRITABLE = {"s3": "seaweedfs", "az": "azurite"}  # fake-gcs-server refuses the puts of object_store


@pytest.fixture(params=WRITABLE)
def server(request):
    return request.getfixturevalue(WRITABLE[request.param])


@pytest.fixture
def root(server, request):
    """A store of the test's own on a real server."""
    name = "".join(letter for letter in request.node.name if letter.isalnum())
    return zarrs_c.open_store(server.url(f"writes/{name}"), server.options)


def s3(faults, **options):
    return zarrs_c.open_store("s3://bucket", faults.s3_options | helpers.QUICK_RETRIES | options)


# ==== Real servers ====


@pytest.mark.parametrize(("zarr_format", "shards"), [(3, None), (3, (16, 20)), (2, None)], ids=str)
def test_arrays_are_created_written_resized_and_erased(zarr_format, shards, root, server):
    data = simple.random_array((45, 37), "int32") + 1

    async def main():
        array = await zarrs_c.create_array(
            root, "g/a", shape=(45, 37), dtype="i4", chunks=(4, 5), shards=shards, zarr_format=zarr_format
        )
        await zarrs_c.write(array, data)
        expected = data.copy()
        expected[3:20, ::3] = 7
        await zarrs_c.write(array, 7, np.s_[3:20, ::3])
        np.testing.assert_array_equal(await zarrs_c.read(array), expected)
        check_by_zarr_python(server, array, expected)
        array = await zarrs_c.resize(array, (20, 37))
        array = await zarrs_c.update_attributes(array, {"a": 1})
        await zarrs_c.erase_chunk(array, (0, 0))
        box = shards or (4, 5)
        expected = expected[:20]
        expected[: box[0], : box[1]] = 0
        again = await zarrs_c.open_array(root, "g/a")
        assert (again.shape, again.attrs) == ((20, 37), {"a": 1})
        np.testing.assert_array_equal(await zarrs_c.read(again), expected)
        with pytest.raises(zarrs_c.ExistsError):
            await zarrs_c.create_array(root, "g/a", shape=(2,), dtype="i4")
        array = await zarrs_c.create_array(
            root, "g/a", shape=(45, 37), dtype="i4", chunks=(4, 5), overwrite=True
        )
        assert not (await zarrs_c.read(array)).any()

    run(main())


def check_by_zarr_python(server, array, expected):
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    from zarr.storage import ObjectStore

    path = array.store.url.split("/", 3)[3].strip("/") + "/" + array.path
    theirs = zarr.open_array(ObjectStore(server.store(), read_only=True), path=path, mode="r")
    np.testing.assert_array_equal(theirs[...], expected)


def test_two_writers_of_one_chunk_with_conditional_puts_lose_nothing_in_silence(root):
    """Two processes in effect: two runtimes cannot share a lock, so one of the two must hear of a conflict."""
    array = sync.create_array(root, "a", shape=(10,), dtype="i4", chunks=(10,))
    for i in range(5):
        sync.write(array, np.int32(i + 1), i, if_unchanged=True)
    np.testing.assert_array_equal(array[...], [1, 2, 3, 4, 5, 0, 0, 0, 0, 0])


def test_a_store_that_only_may_be_read_is_one_clear_error(seaweedfs):
    store = zarrs_c.open_store(seaweedfs.url("writes/denied", "public"), seaweedfs.anonymous)
    with pytest.raises(zarrs_c.StorageError) as caught:
        sync.create_array(store, "a", shape=(5,), dtype="i4")
    assert "403" in str(caught.value) or "denied" in str(caught.value).lower()
    with pytest.raises(zarrs_c.NotFoundError):
        sync.open_array(store, "a")


def test_fake_gcs_refuses_puts(fake_gcs):
    """So writes to Google Cloud Storage are tested by the same code on other stores only."""
    store = zarrs_c.open_store(fake_gcs.url("writes"), fake_gcs.options | {"max_retries": "0"})
    with pytest.raises(zarrs_c.Error):
        sync.create_array(store, "a", shape=(5,), dtype="i4")


def test_memory_stores_of_one_name_are_one_store():
    array = sync.create_array("memory://write-test", "a", shape=(50, 50), dtype="f4", chunks=(7, 7))
    data = simple.random_array((50, 50))
    sync.write(array, data[3:], np.s_[3:])
    np.testing.assert_array_equal(sync.open_array("memory://write-test", "a")[3:], data[3:])
    sync.write(array, data, if_unchanged=True)
    np.testing.assert_array_equal(array[...], data)


# ==== Counted requests ====


def test_whole_chunks_take_one_put_each_and_nothing_else(faults):
    array = sync.create_array(s3(faults), "a", shape=(45, 37), dtype="i4", chunks=(10, 10))
    faults.reset()
    sync.write(array, simple.random_array((45, 37), "i4") + 1)
    assert {seen.method for seen in faults.counters.log} == {"PUT"}
    assert faults.counters.puts == 20


def test_partial_chunks_take_one_get_and_one_put_each(faults):
    array = sync.create_array(s3(faults), "a", shape=(40, 40), dtype="i4", chunks=(10, 10))
    sync.write(array, 5)
    faults.reset()
    sync.write(array, 6, np.s_[5:15, 10:20])
    assert sorted(seen.method for seen in faults.counters.log) == ["GET", "GET", "PUT", "PUT"]


def test_a_shard_takes_few_requests_however_many_inner_chunks_change(faults):
    store = s3(faults)
    array = sync.create_array(store, "a", shape=(64, 64), dtype="i4", chunks=(4, 4), shards=(64, 64))
    sync.write(array, np.arange(4096, dtype="i4").reshape(64, 64))
    faults.reset()
    sync.write(array, 6, np.s_[::8, ::8])
    methods = [seen.method for seen in faults.counters.log]
    assert methods.count("PUT") == 1
    assert len(methods) <= 3  # the index and the rest, or the whole, and the put


def test_puts_are_as_many_at_once_as_the_budget_lets_through(faults):
    array = sync.create_array(s3(faults), "a", shape=(64,), dtype="u1", chunks=(1,), compressors=None)

    async def peak(first: int, **limit) -> int:
        """Of the requests in flight, while the first 64, or as many as there may be, are not answered."""
        faults.clear_rules()
        faults.reset()
        gate = faults.held("bucket/a/c/*", 64, method="PUT", delay=0.02)
        writing = zarrs_c.write(array, np.arange(first, first + 64, dtype="u1"), **limit)
        most = limit.get("max_requests", 64)
        await asyncio.to_thread(faults.wait, lambda seen: seen.in_flight == most)
        gate.open()
        await writing
        return faults.counters.peak_in_flight

    assert run(peak(1, max_requests=5)) == 5
    assert run(peak(2)) == 64


# ==== Uploads in parts ====

LARGE = 68 << 20  # more than 4 parts of 16 MiB


def large(faults, **options):
    """An array of one chunk that is put in parts, and what it held before."""
    array = sync.create_array(
        s3(faults, **options), "a", shape=(LARGE,), dtype="u1", chunks=(LARGE,), compressors=None
    )
    return array, np.arange(1, LARGE + 1, dtype="u8").view("u1")[:LARGE]


def test_large_values_are_put_in_parts(faults):
    array, data = large(faults)
    sync.write(array, data)
    parts = [seen for seen in faults.counters.of("bucket/a/c/0", "PUT") if "partNumber" in seen.query]
    assert len(parts) > 1
    assert max(part.received for part in parts) < LARGE
    assert (faults.uploads, bytes(faults.objects["bucket/a/c/0"].data)) == ({}, data.tobytes())


@pytest.mark.parametrize("fault", [{"status": 403}, {"cut_body": 1000}, {"close_at_once": True}], ids=str)
def test_uploads_in_parts_that_fail_are_aborted_and_the_old_value_stays(fault, faults):
    array, data = large(faults, max_retries="0")
    sync.write_encoded_chunk(array, (0,), bytes(16))
    faults.rule("bucket/a/c/0", method="PUT", skip=2, **fault)
    with pytest.raises(zarrs_c.StorageError) as caught:
        sync.write(array, data)
    assert caught.value.key == "a/c/0"
    faults.wait(lambda seen: seen.of("bucket/a/c/0", "DELETE"))
    assert faults.uploads == {}
    assert bytes(faults.objects["bucket/a/c/0"].data) == bytes(16)


def test_uploads_in_parts_that_are_cancelled_are_aborted(faults):
    array, data = large(faults)
    faults.rule("bucket/a/c/0", method="PUT", skip=1, gate=faults.gate())

    async def main():
        future = zarrs_c.write(array, data)
        await asyncio.to_thread(faults.wait, lambda seen: len(seen.of("bucket/a/c/0", "PUT")) > 1)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main())
    faults.wait(lambda seen: seen.of("bucket/a/c/0", "DELETE"))
    assert faults.uploads == {}
    assert "bucket/a/c/0" not in faults.objects


# ==== Faults ====

FAULTS = {  # what the server does to the put of one chunk, and whether the write must succeed
    "500 once": ({"status": 500, "times": 1}, True),
    "503 always": ({"status": 503}, False),
    "403": ({"status": 403}, False),
    "closed at once, once": ({"close_at_once": True, "times": 1}, True),
    "closed at once, always": ({"close_at_once": True}, False),
    "reset at once, always": ({"close_at_once": True, "reset": True}, False),
    "cut once": ({"cut_body": 10, "times": 1}, True),
    "cut always": ({"cut_body": 10}, False),
    "cut always by reset": ({"cut_body": 10, "reset": True}, False),
    "answer lost once": ({"lose_answer": True, "times": 1}, True),
    "silent": ({"silent": True}, False),
    "slow": ({"delay": 0.2}, True),
}


@pytest.mark.parametrize("partial", [False, True], ids=["whole", "partial"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_put_is_mended_or_one_clear_error_and_old_data_stay(fault, partial, faults):
    what, succeeds = FAULTS[fault]
    store = s3(faults, max_retries="2", timeout="1s")
    array = sync.create_array(store, "a", shape=(60,), dtype="i4", chunks=(15,), compressors=None)
    old = np.arange(60, dtype="i4")
    sync.write(array, old)
    faults.rule("bucket/a/c/2", method="PUT", **what)
    new = old + 1000
    selection = np.s_[5:58] if partial else np.s_[:]
    expected = old.copy()
    expected[selection] = new[selection]
    error = None
    try:
        sync.write(array, new[selection], selection)
    except zarrs_c.Error as caught:
        error = caught
    faults.clear_rules()
    got = array[...]
    if succeeds:
        assert error is None
        np.testing.assert_array_equal(got, expected)
    else:
        assert isinstance(error, zarrs_c.StorageError | zarrs_c.TimeoutError), repr(error)
        assert error.key == "a/c/2"
        np.testing.assert_array_equal(got[30:45], old[30:45])
        for chunk in range(0, 60, 15):
            box = np.s_[chunk : chunk + 15]
            assert (got[box] == old[box]).all() or (got[box] == expected[box]).all()


@pytest.mark.parametrize("what", [{"status": 403}, {"status": 503}, {"close_after": 5}], ids=str)
def test_a_partial_chunk_that_cannot_be_read_is_not_put(what, faults):
    array = sync.create_array(s3(faults), "a", shape=(60,), dtype="i4", chunks=(15,), compressors=None)
    sync.write(array, 5)
    faults.rule("bucket/a/c/2", method="GET", **what)
    faults.reset()
    with pytest.raises(zarrs_c.Error) as caught:
        sync.write(array, 6, np.s_[31:33])
    assert caught.value.key == "a/c/2"
    assert faults.counters.puts == 0


def test_a_list_or_delete_that_fails_is_one_clear_error(faults):
    store = s3(faults, max_retries="0")
    array = sync.create_array(store, "a", shape=(60,), dtype="i4", chunks=(5,))
    sync.write(array, 5)
    faults.rule("bucket*", method="POST", status=403)
    faults.rule("bucket*", method="DELETE", status=403)
    for call in (
        lambda: sync.resize(array, (5,)),
        lambda: sync.erase_chunk(array, (0,)),
        lambda: sync.create_array(store, "a", shape=(1,), dtype="i4", overwrite=True),
        lambda: sync.write(array, 0),
    ):
        with pytest.raises(zarrs_c.StorageError, match=r"403|Forbidden|denied|Denied"):
            call()


def test_keys_that_a_server_lists_in_pages_are_all_erased(faults):
    store = s3(faults)
    for name in ("a", "ab", "b"):
        sync.write(sync.create_array(store, name, shape=(40,), dtype="i4", chunks=(2,)), 1)
    sync.create_array(store, "a", shape=(40,), dtype="i4", overwrite=True)
    assert [key for key in faults.objects if key.startswith("bucket/a/")] == ["bucket/a/zarr.json"]
    assert len([key for key in faults.objects if key.startswith(("bucket/ab/", "bucket/b/"))]) == 42


# ==== Conditional puts ====


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("shards", [None, (20,)], ids=["chunk", "shard"])
def test_a_lost_update_is_an_error_and_not_a_silence(existed, shards, faults):
    """Somebody else puts the chunk between our read of it and our put."""
    store = s3(faults)
    chunks = (5,) if shards else (20,)
    array = sync.create_array(
        store, "a", shape=(20,), dtype="i4", chunks=chunks, shards=shards, compressors=None
    )
    if existed:
        sync.write(array, 1)
    other = sync.create_array(
        store, "b", shape=(20,), dtype="i4", chunks=chunks, shards=shards, compressors=None
    )
    sync.write(other, 2)
    theirs = bytes(faults.objects["bucket/b/c/0"].data)
    gate = faults.gate()
    faults.rule("bucket/a/c/0", method="PUT", gate=gate)
    faults.reset()  # the put that is waited for is the next one

    async def main():
        future = zarrs_c.write(array, 3, np.s_[3:6], if_unchanged=True)
        await asyncio.to_thread(faults.wait, lambda seen: seen.of("bucket/a/c/0", "PUT"))
        faults.put("bucket/a/c/0", theirs)
        gate.open()
        with pytest.raises(zarrs_c.ConflictError) as caught:
            await future
        return caught.value

    error = run(main())
    assert isinstance(error, zarrs_c.StorageError)
    assert (error.code, error.key) == (14, "a/c/0")
    np.testing.assert_array_equal(array[...], np.full(20, 2))
    faults.clear_rules()
    sync.write(array, 3, np.s_[3:6], if_unchanged=True)
    assert (array[3:6] == 3).all()


def test_without_the_option_the_later_put_wins(faults):
    array = sync.create_array(s3(faults), "a", shape=(20,), dtype="i4", chunks=(20,), compressors=None)
    sync.write(array, 1)
    sync.write(array, 3, np.s_[3:6])
    puts = faults.counters.of("bucket/a/c/0", "PUT")
    assert not [seen for seen in puts if {"if-match", "if-none-match"} & set(seen.headers)]


def test_only_partial_chunks_are_put_on_a_condition(faults):
    array = sync.create_array(s3(faults), "a", shape=(20,), dtype="i4", chunks=(5,), compressors=None)
    sync.write(array, 1)
    faults.reset()
    sync.write(array, 2, np.s_[3:18], if_unchanged=True)
    conditional = {
        seen.path for seen in faults.counters.log if seen.method == "PUT" and "if-match" in seen.headers
    }
    assert conditional == {"bucket/a/c/0", "bucket/a/c/3"}
