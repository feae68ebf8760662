"""How many requests a read makes, of which kind and size, and how many at once: counted by the server."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.running import python, run

import zarrs_c
from zarrs_c import sync

INDEX_BYTES = 16 * 16 + 4  # of a shard of 16 inner chunks, with its checksum
INNER = 1024  # bytes of an inner chunk


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """4 shards of 16 inner chunks of one row each, which lie in the shard in order and are not compressed."""
    return helpers.sharded_rows(
        tmp_path_factory.mktemp("shards") / "a", shards=4, inner=16, inner_bytes=INNER
    )


def spans(server) -> list[tuple[int, int]]:
    """The ranges asked for, but those of a suffix: start and stop."""
    found = (re.fullmatch(r"bytes=(\d+)-(\d+)", text) for text in server.counters.ranges)
    return sorted((int(m[1]), int(m[2]) + 1) for m in found if m)


def suffixes(server) -> list[str]:
    return [text for text in server.counters.ranges if text.startswith("bytes=-")]


# ---- Opening ----


def test_opening_asks_for_both_formats_at_once(faults):
    helpers.one_row_chunks(faults, "a", 2)
    gate = faults.gate()
    faults.rule("a/*", gate=gate)

    async def main():
        opening = zarrs_c.open_array(faults.url("a"))
        faults.wait(lambda seen: seen.in_flight == 2)  # neither has been answered yet
        gate.open()
        await opening

    run(main())
    assert sorted(seen.path for seen in faults.counters.log) == ["a/.zarray", "a/zarr.json"]
    assert faults.counters.heads == 0


@pytest.mark.parametrize(("name", "zarr_format", "keys"), [
    ("plain", 3, ["zarr.json"]),
    ("v2", 2, [".zarray", ".zattrs"]),
])  # fmt: skip
def test_opening_a_known_format_asks_for_no_other(name, zarr_format, keys, faults, samples):
    url = helpers.serve(faults, samples[name], "a")
    faults.reset()
    assert sync.open_array(url, zarr_format=zarr_format).zarr_format == zarr_format
    assert sorted(seen.path for seen in faults.counters.log) == [f"a/{key}" for key in keys]


def test_opening_a_store_asks_for_nothing(faults):
    zarrs_c.open_store(faults.url("a"))
    zarrs_c.open_store("s3://bucket/a", faults.s3_options)
    assert faults.counters.connections == 0


def test_an_array_from_a_pickle_asks_for_nothing(faults):
    import pickle

    data = helpers.one_row_chunks(faults, "a", 2)
    pickled = pickle.dumps(sync.open_array(faults.url("a")))
    faults.reset()
    array = pickle.loads(pickled)
    assert faults.counters.requests == 0
    np.testing.assert_array_equal(array[1], data[1])
    assert faults.counters.requests == 1


# ---- Chunks ----


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_each_chunk_is_one_get_and_no_head(scheme, faults):
    data = helpers.one_row_chunks(faults, "bucket/a", 30)
    url, options = (
        (faults.url("bucket/a"), None) if scheme == "http" else ("s3://bucket/a", faults.s3_options)
    )
    array = sync.open_array(url, storage_options=options)
    faults.reset()
    np.testing.assert_array_equal(array[3:20:4], data[3:20:4])
    assert sorted(seen.path for seen in faults.counters.log) == sorted(
        f"bucket/a/c/{r}/0" for r in range(3, 20, 4)
    )
    assert {(seen.method, seen.range) for seen in faults.counters.log} == {("GET", None)}


def test_64_chunks_are_requested_at_once(faults):
    """By default, on any number of cores: one round trip and not sixty-four."""
    data = helpers.one_row_chunks(faults, "a", 64)
    array = sync.open_array(faults.url("a"))
    faults.reset()
    gate = faults.gate()
    faults.rule("a/c/*", gate=gate)

    async def main():
        reading = zarrs_c.read(array)
        faults.wait(lambda seen: seen.in_flight == 64)  # none of which has been answered
        gate.open()
        np.testing.assert_array_equal(await reading, data)

    run(main())
    assert faults.counters.requests == faults.counters.peak_in_flight == 64


def test_64_chunks_of_64_reads_are_requested_at_once(faults):
    data = helpers.one_row_chunks(faults, "a", 64)
    array = sync.open_array(faults.url("a"))
    gate = faults.gate()
    faults.rule("a/c/*", gate=gate)

    async def main():
        reading = [zarrs_c.read(array, row) for row in range(64)]
        faults.wait(lambda seen: seen.in_flight == 64)
        gate.open()
        for row, future in enumerate(reading):
            np.testing.assert_array_equal(await future, data[row])

    run(main())


def test_regions_that_share_a_chunk_fetch_it_once(faults):
    data = helpers.one_row_chunks(faults, "a", 4)
    array = sync.open_array(faults.url("a"))
    faults.reset()
    bufs = [np.empty(9, np.uint8) for _ in range(20)]
    sync.read_many([(buf, array, np.s_[i % 2, i : i + 9]) for i, buf in enumerate(bufs)])
    for i, buf in enumerate(bufs):
        np.testing.assert_array_equal(buf, data[i % 2, i : i + 9])
    assert faults.counters.requests == 2


def test_an_encoded_chunk_is_one_request(faults, shards):
    array = sync.open_array(helpers.serve(faults, shards, "a"))
    faults.reset()
    assert bytes(sync.read_encoded_chunk(array, (2, 0))) == shards.chunk_path(2, 0).read_bytes()
    assert [(seen.method, seen.path, seen.range) for seen in faults.counters.log] == [
        ("GET", "a/c/2/0", None)
    ]


def test_an_encoded_inner_chunk_is_one_range(faults, shards):
    array = sync.open_array(helpers.serve(faults, shards, "a"))
    faults.reset()
    assert bytes(sync.read_encoded_chunk(array, (37, 0), inner=True)) == shards.data[37].tobytes()
    assert suffixes(faults) == [f"bytes=-{INDEX_BYTES}"]
    assert spans(faults) == [(5 * INNER, 6 * INNER)]
    assert (faults.counters.requests, faults.counters.heads) == (2, 0)
    faults.reset()
    assert bytes(sync.read_encoded_chunk(array, (38, 0), inner=True)) == shards.data[38].tobytes()
    assert faults.counters.requests == 1  # the index was cached


# ---- Shards ----


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_eight_inner_chunks_of_two_shards_are_four_requests_and_then_two(scheme, faults, shards):
    helpers.serve(faults, shards, "bucket/a")
    url, options = (
        (faults.url("bucket/a"), None) if scheme == "http" else ("s3://bucket/a", faults.s3_options)
    )
    array = sync.open_array(url, storage_options=options)
    faults.reset()
    np.testing.assert_array_equal(array[12:20], shards.data[12:20])
    assert faults.counters.heads == 0
    assert len(faults.counters.log) == 4
    assert suffixes(faults) == [f"bytes=-{INDEX_BYTES}"] * 2
    assert spans(faults) == [(0, 4 * INNER), (12 * INNER, 16 * INNER)]
    faults.reset()
    np.testing.assert_array_equal(array[12:20], shards.data[12:20])
    assert (len(faults.counters.log), suffixes(faults)) == (2, [])


def test_an_index_at_the_start_of_a_shard_is_a_plain_range(faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=1, inner=16, index_end=False)
    array = sync.open_array(helpers.serve(faults, stored, "a"))
    faults.reset()
    np.testing.assert_array_equal(array[5], stored.data[5])
    assert spans(faults)[0] == (0, INDEX_BYTES)
    assert (faults.counters.requests, faults.counters.heads) == (2, 0)


def test_indexes_of_many_shards_are_fetched_at_once(faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=20, inner=4, inner_bytes=64)
    array = sync.open_array(helpers.serve(faults, stored, "a"))
    gate = faults.gate()
    faults.rule("a/c/*", gate=gate)

    async def main():
        reading = zarrs_c.read(array, np.s_[::4])
        faults.wait(lambda seen: seen.in_flight == 20)
        gate.open()
        np.testing.assert_array_equal(await reading, stored.data[::4])

    run(main())


def test_an_index_that_many_reads_want_is_fetched_once(faults, shards):
    array = sync.open_array(helpers.serve(faults, shards, "a"))
    faults.reset()
    gate = faults.gate()
    index = faults.rule("a/c/0/0", gate=gate, times=1)

    async def main():
        reading = [zarrs_c.read(array, row) for row in range(0, 16, 2)]
        faults.wait(lambda seen: seen.in_flight == 1)
        gate.open()
        for row, future in zip(range(0, 16, 2), reading, strict=True):
            np.testing.assert_array_equal(await future, shards.data[row])

    run(main())
    assert index.hits == 9
    assert len(suffixes(faults)) == 1


def test_missing_inner_chunks_are_never_requested(faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "holes", shards=1, inner=16, inner_bytes=INNER)
    data = stored.data.copy()
    data[2:9] = 0
    rewritten = simple.store(tmp_path / "a", data, (1, INNER), shards=(16, INNER), codecs=[{"name": "bytes"}])
    array = sync.open_array(helpers.serve(faults, rewritten, "a"))
    array[0]  # the index is cached from here on
    faults.reset()
    np.testing.assert_array_equal(array[3:8], data[3:8])
    assert faults.counters.requests == 0
    np.testing.assert_array_equal(array[1:10], data[1:10])
    assert sum(stop - start for start, stop in spans(faults)) == 2 * INNER


def test_a_shard_that_is_mostly_wanted_is_one_get(faults, shards):
    array = sync.open_array(helpers.serve(faults, shards, "a"))
    faults.reset()
    np.testing.assert_array_equal(sync.read(array), shards.data)
    assert [(seen.method, seen.range) for seen in faults.counters.log] == [("GET", None)] * 4


@pytest.mark.parametrize(("gap", "cap", "expected"), [
    (1, 1 << 20, [(0, 1), (5, 6), (10, 11), (15, 16)]),  # rows 0, 5, 10 and 15 of the shard
    (4 * INNER, 1 << 20, [(0, 16)]),
    (4 * INNER - 1, 1 << 20, [(0, 1), (5, 6), (10, 11), (15, 16)]),
    (4 * INNER, 6 * INNER, [(0, 6), (10, 16)]),
    (4 * INNER, 11 * INNER, [(0, 11), (15, 16)]),
])  # fmt: skip
def test_ranges_of_a_shard_are_merged_by_gap_and_cap(gap, cap, expected, faults, shards):
    url = helpers.serve(faults, shards, "a")
    program = """
        import sys, zarrs_c
        zarrs_c.configure(range_gap=int(sys.argv[2]), range_cap=int(sys.argv[3]))
        rows = zarrs_c.sync.open_array(sys.argv[1])[0:16:5]
        print(rows.tobytes().hex())
    """
    done = python(program, url, gap, cap)
    assert bytes.fromhex(done.stdout) == shards.data[0:16:5].tobytes()
    assert spans(faults) == [(start * INNER, stop * INNER) for start, stop in expected]


def test_gap_and_cap_may_come_from_the_environment(faults, shards):
    url = helpers.serve(faults, shards, "a")
    settings = {"ZARRS_C_RANGE_GAP": "1", "ZARRS_C_RANGE_CAP": str(1 << 20), "ZARRS_C_INDEX_CACHE_BYTES": "1"}
    program = """
        import sys, zarrs_c
        array = zarrs_c.sync.open_array(sys.argv[1])
        array[0:16:5]
        array[1]
    """
    python(program, url, environment=settings)
    assert len(spans(faults)) == 5
    assert len(suffixes(faults)) == 2  # a cache of one byte holds no index


# ---- Azure, whose servers refuse suffixes ----


def test_azure_needs_one_head_a_shard(azurite, samples):
    azurite.upload(samples["sharded"].path, "heads")
    array = sync.open_array(azurite.url("heads"), storage_options=azurite.options)
    before = zarrs_c.stats()
    data = samples["sharded"].data
    np.testing.assert_array_equal(array[0:2, 0:20:5], data[0:2, 0:20:5])
    middle = zarrs_c.stats()
    assert middle.heads - before.heads == 1
    np.testing.assert_array_equal(array[0:2, 0:20:5], data[0:2, 0:20:5])
    assert zarrs_c.stats().heads == middle.heads


@pytest.mark.parametrize("name", ["seaweedfs", "fake_gcs", "caddy"])
def test_others_need_no_head(name, request, samples):
    server = request.getfixturevalue(name)
    server.upload(samples["sharded"].path, "heads")
    before = zarrs_c.stats().heads
    array = sync.open_array(server.url("heads"), storage_options=server.options)
    np.testing.assert_array_equal(array[::9, ::11], samples["sharded"].data[::9, ::11])
    np.testing.assert_array_equal(array[0:2, 0:20:5], samples["sharded"].data[0:2, 0:20:5])
    assert zarrs_c.stats().heads == before


def test_the_library_counts_as_the_server_does(faults, shards):
    array = sync.open_array(helpers.serve(faults, shards, "a"))
    faults.reset()
    before = zarrs_c.stats()
    array[::7], array[:], array[3:5]
    after = zarrs_c.stats()
    assert after.requests - before.requests == faults.counters.requests
    assert after.heads == before.heads
    assert after.bytes_fetched - before.bytes_fetched == faults.counters.bytes_sent
