"""Whatever a server does wrong, a read ends soon, with the right data or with one clear error."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.running import run

import zarrs_c
from zarrs_c import sync

pytestmark = pytest.mark.timeout(60)

OPTIONS = {**helpers.QUICK_RETRIES, "max_retries": "2", "timeout": "1s"}

# What the server does to a request, and whether the data must come through: RIGHT (in spite of it), ERROR, or EITHER.
RIGHT, ERROR, EITHER = "right", "error", "either"
FAULTS = {
    "500 once": ({"status": 500, "times": 1}, RIGHT),
    "429 twice": ({"status": 429, "times": 2}, RIGHT),
    "503 always": ({"status": 503}, ERROR),
    "slow": ({"delay": 0.2}, RIGHT),
    "trickle": ({"rate": 20_000.0}, RIGHT),
    "closed at once, once": ({"close_at_once": True, "times": 1}, RIGHT),
    "closed at once, always": ({"close_at_once": True}, ERROR),
    "reset at once, once": ({"close_at_once": True, "reset": True, "times": 1}, RIGHT),
    "reset at once, always": ({"close_at_once": True, "reset": True}, ERROR),
    "silent once": ({"silent": True, "times": 1}, RIGHT),
    "silent always": ({"silent": True}, ERROR),
    "stalls once": ({"stall_after": 50, "times": 1}, RIGHT),
    "stalls always": ({"stall_after": 50}, ERROR),
    "cut once": ({"close_after": 50, "times": 1}, RIGHT),
    "cut always": ({"close_after": 50}, ERROR),
    "cut by reset": ({"close_after": 50, "reset": True}, ERROR),
    "cut before the first byte": ({"close_after": 0}, ERROR),
    "shorter by one": ({"shorter": 1}, ERROR),
    "shorter by all": ({"shorter": 1 << 30}, ERROR),
    "longer by one": ({"longer": 1}, EITHER),
    "longer by much": ({"longer": 1 << 20}, EITHER),
    "no length": ({"headers": {"Content-Length": None}, "close_after": 1 << 30}, EITHER),
    "length too small": ({"headers": {"Content-Length": "10"}}, ERROR),
    "length too large": ({"headers": {"Content-Length": "1000000"}}, ERROR),
    "length absurd": ({"headers": {"Content-Length": str(1 << 62)}}, ERROR),
    "length no number": ({"headers": {"Content-Length": "many"}}, ERROR),
    "length negative": ({"headers": {"Content-Length": "-1"}}, ERROR),
    "no ETag": ({"headers": {"ETag": None}}, RIGHT),
    "HEAD refused": ({"method": "HEAD", "status": 405}, RIGHT),
    "204": ({"status": 204}, ERROR),
    "416": ({"status": 416}, ERROR),
    "418": ({"status": 418}, ERROR),
}
# Of ranges only. What is promised beyond what was asked for does no harm when it does not come.
RANGE_FAULTS = {
    "length too large": (FAULTS["length too large"][0], EITHER),
    "length absurd": (FAULTS["length absurd"][0], EITHER),
    "range ignored": ({"ignore_range": True}, RIGHT),
    "no Content-Range": ({"headers": {"Content-Range": None}}, ERROR),
    "another range": ({"headers": {"Content-Range": "bytes 0-9/100"}}, ERROR),
    "range no range": ({"headers": {"Content-Range": "bytes all"}}, ERROR),
    "range unknown size": ({"headers": {"Content-Range": "bytes 0-9/*"}}, ERROR),
    "range absurd": ({"headers": {"Content-Range": f"bytes 0-{1 << 62}/{1 << 63}"}}, ERROR),
    "range backwards": ({"headers": {"Content-Range": "bytes 9-0/100"}}, ERROR),
}


def attempt(call):
    """What a call returns and what it raises, one of which is None."""
    try:
        return call(), None
    except zarrs_c.Error as error:
        return None, error


def check(expected, call, right, key):
    """Call, and compare: with `right`, or with one error that names `key`."""
    got, error = attempt(call)
    if error is None:
        assert expected != ERROR, "a fault went unnoticed"
        np.testing.assert_array_equal(got, right)
    else:
        assert expected != RIGHT, error
        assert isinstance(error, zarrs_c.StorageError | zarrs_c.CodecError | zarrs_c.TimeoutError), repr(
            error
        )
        assert error.key == key, repr(error)


@pytest.mark.parametrize("scheme", ["http", "s3"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_a_chunk(fault, scheme, faults):
    what, expected = FAULTS[fault]
    data = helpers.one_row_chunks(faults, "bucket/a", 4)
    array = opened(faults, scheme)
    faults.rule("bucket/a/c/2/0", **what)
    check(expected, lambda: sync.read(array), data, "c/2/0")
    faults.clear_rules()
    np.testing.assert_array_equal(sync.read(array), data)


def opened(server, scheme):
    if scheme == "http":
        return sync.open_array(server.url("bucket/a"), storage_options=OPTIONS)
    return sync.open_array("s3://bucket/a", storage_options={**server.s3_options, **OPTIONS})


@pytest.mark.parametrize("part", ["index", "inner chunks"])
@pytest.mark.parametrize("fault", {**FAULTS, **RANGE_FAULTS})
def test_a_fault_on_a_shard(fault, part, faults, tmp_path):
    what, expected = {**FAULTS, **RANGE_FAULTS}[fault]
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16, inner_bytes=300)
    helpers.serve(faults, stored, "bucket/a")
    array = opened(faults, "http")
    if part == "inner chunks":
        array[0]
    faults.rule("bucket/a/c/*", **what)
    check(expected, lambda: array[3:6], stored.data[3:6], "c/0/0")
    faults.clear_rules()
    np.testing.assert_array_equal(array[2:9], stored.data[2:9])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_metadata(fault, faults):
    what, expected = FAULTS[fault]
    data = helpers.one_row_chunks(faults, "bucket/a", 4)
    faults.rule("bucket/a/zarr.json", **what)
    array, error = attempt(lambda: opened(faults, "http"))
    if error is None:
        assert expected != ERROR, "a fault went unnoticed"
        np.testing.assert_array_equal(sync.read(array), data)
    else:
        assert expected != RIGHT, error
        assert not isinstance(error, zarrs_c.NotFoundError), error
        assert "zarr.json" in str(error)


# ---- Servers without ranges ----


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_a_server_that_ignores_ranges_is_read_whole_and_once(scheme, faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=3, inner=16)
    helpers.serve(faults, stored, "bucket/a")
    faults.rule("bucket/a/c/*", ignore_range=True)
    array = opened(faults, scheme)
    np.testing.assert_array_equal(array[3], stored.data[3])
    faults.reset()
    np.testing.assert_array_equal(array[14:35:3], stored.data[14:35:3])
    assert faults.counters.gets == 3  # one a shard, now that it is known


def test_a_server_that_refuses_suffixes_is_an_error_or_read(faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16)
    url = helpers.serve(faults, stored, "a")
    faults.rule("a/c/*", status=416, times=1)
    got, error = attempt(lambda: sync.open_array(url)[3])
    if error is None:
        np.testing.assert_array_equal(got, stored.data[3])
    else:
        assert (type(error), error.key) == (zarrs_c.StorageError, "c/0/0")
        assert "416" in str(error)


# ---- Objects that change ----


def versions(tmp_path, *constant) -> list:
    """Arrays of one shape, for each of which so many of the first rows compress, so that all that follows moves."""
    made = []
    for version, rows in enumerate(constant):
        data = np.random.default_rng(version).integers(1, 256, (16, 512), np.uint8)
        data[:rows] = 7
        codecs = [{"name": "bytes"}, helpers.ZSTD]
        made.append(simple.store(tmp_path / f"v{version}", data, (1, 512), shards=(16, 512), codecs=codecs))
    return made


def test_a_shard_that_was_replaced_is_read_anew(faults, tmp_path):
    old, new = versions(tmp_path, 0, 3)
    array = sync.open_array(helpers.serve(faults, old, "a"))
    np.testing.assert_array_equal(array[8:11], old.data[8:11])
    helpers.serve(faults, new, "a")
    np.testing.assert_array_equal(array[8:11], new.data[8:11])
    faults.reset()
    np.testing.assert_array_equal(array[5], new.data[5])
    assert faults.counters.requests == 1  # and its index is cached again


@pytest.mark.parametrize("rows", [1, 15], ids=["ends within a range", "ends before a range"])
def test_a_shard_that_was_replaced_by_a_shorter_one_is_read_anew(rows, faults, tmp_path):
    old, new = versions(tmp_path, 0, rows)
    array = sync.open_array(helpers.serve(faults, old, "a"))
    np.testing.assert_array_equal(array[15], old.data[15])
    helpers.serve(faults, new, "a")
    np.testing.assert_array_equal(array[15], new.data[15])


def test_a_shard_that_was_deleted_is_missing(faults, tmp_path):
    (old,) = versions(tmp_path, 0)
    array = sync.open_array(helpers.serve(faults, old, "a"))
    array[8]
    del faults.objects["a/c/0/0"]
    assert not array[8:11].any()


def test_a_shard_that_is_never_the_same_is_an_error(faults, tmp_path):
    (old,) = versions(tmp_path, 0)
    array = sync.open_array(helpers.serve(faults, old, "a"))
    for number in range(200):
        faults.rule("a/c/*", etag=f'"{number}"', times=1)
    # It cannot be told from an index that lies, which is what CodecError says.
    with pytest.raises(zarrs_c.Error, match="replaced") as caught:
        array[8]
    assert type(caught.value) in (zarrs_c.StorageError, zarrs_c.CodecError)
    assert caught.value.key == "c/0/0"
    assert faults.counters.requests < 50


def test_reads_during_replacements_are_of_one_version_each(faults, tmp_path):
    """A row comes from one shard: the old or the new, never from the old index and the new bytes."""
    old, new = versions(tmp_path, 0, 3)
    array = sync.open_array(helpers.serve(faults, old, "a"))
    bodies = [stored.chunk_path(0, 0).read_bytes() for stored in (old, new)]

    async def main():
        for round in range(60):
            reading = [zarrs_c.read(array, row) for row in range(16)]
            await asyncio.sleep(0.001)
            faults.put("a/c/0/0", bodies[round % 2])
            for row, got in enumerate(await asyncio.gather(*reading)):
                assert (got == old.data[row]).all() or (got == new.data[row]).all()

    run(main())


# ---- All at once ----


def test_a_server_that_does_everything_wrong_at_random_ends_every_read(faults):
    data = helpers.one_row_chunks(faults, "a", 300)
    array = sync.open_array(faults.url("a"), storage_options={**OPTIONS, "timeout": "500ms"})
    rng = np.random.default_rng(0)
    kinds = [what for what, expected in FAULTS.values() if expected in (RIGHT, ERROR)]
    for row in range(0, 300, 10):
        faults.rule(f"a/c/{row}/0", **{"times": 2, **kinds[rng.integers(len(kinds))]})

    async def main():
        reading = [zarrs_c.read(array, np.s_[row : row + 15]) for row in range(0, 280, 7)]
        outcomes = await asyncio.gather(*reading, return_exceptions=True)
        for row, outcome in zip(range(0, 280, 7), outcomes, strict=True):
            if isinstance(outcome, np.ndarray):
                np.testing.assert_array_equal(outcome, data[row : row + 15])
            else:
                assert isinstance(outcome, zarrs_c.Error), outcome

    run(main())
    faults.clear_rules()
    faults.wait(lambda seen: seen.in_flight == 0)
    faults.wait(lambda _: zarrs_c.stats().bytes_in_flight == 0)
    np.testing.assert_array_equal(sync.read(array), data)
