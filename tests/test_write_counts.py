"""Writes do no more than they must: counted requests, chunks and bytes, and what lies on the disk."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simple, writing
from helpers.counting import Counted
from helpers.running import python

import zarrs_c
from zarrs_c import sync

INNER = (4, 5)
SHARD = (16, 20)
PER_SHARD = 16


@pytest.fixture
def plain(tmp_path):
    """95 x 63 float32 in 10 x 7 chunks, so 10 x 9 of them, those of the last row cut at the bounds."""
    data = simple.random_array((95, 63)) + 1
    return simple.store(tmp_path / "plain", data, (10, 7))


@pytest.fixture
def sharded(tmp_path):
    """48 x 40 int32 in 3 x 2 shards of 4 x 4 inner chunks each."""
    data = simple.random_array((48, 40), "int32", seed=1) + 1
    return simple.store(tmp_path / "sharded", data, INNER, shards=SHARD)


def empty_like(stored, path):
    """A new array with the metadata of another."""
    path.mkdir()
    (path / "zarr.json").write_bytes((stored.path / "zarr.json").read_bytes())
    return sync.open_array(path)


def size_of_chunks(path) -> int:
    return sum(len(value) for value in writing.chunk_files(path).values())


# ==== Chunks ====


def test_whole_chunks_are_never_read_not_even_cut_ones(plain, tmp_path):
    array = sync.open_array(plain.path)
    data = simple.random_array((95, 63), seed=5) + 1
    with Counted() as counted:
        sync.write(array, data)
    assert (counted.requests - counted.puts, counted.chunks_decoded) == (0, 0)
    assert (counted.puts, counted.chunks_encoded, counted.deletes) == (90, 90, 0)
    assert counted.bytes_written == size_of_chunks(plain.path)
    np.testing.assert_array_equal(writing.read_by_tensorstore(plain.path), data)
    with Counted() as counted:
        sync.write(array, data[90:, 14:63], np.s_[90:, 14:])  # cut by one bound, and by the other
    assert (counted.requests - counted.puts, counted.puts) == (0, 7)


def test_partial_chunks_are_read_once_whole_ones_beside_them_never(plain):
    array = sync.open_array(plain.path)
    expected = plain.data.copy()
    selection = np.s_[5:40, 7:28]  # 3 x 3 whole chunks, and 3 of which the lower half is covered
    expected[selection] = 7
    with Counted() as counted:
        sync.write(array, np.full((35, 21), 7, "float32"), selection)
    assert (counted.requests - counted.puts, counted.chunks_decoded) == (3, 3)
    assert (counted.puts, counted.chunks_encoded) == (12, 12)
    np.testing.assert_array_equal(writing.read_by_tensorstore(plain.path), expected)


def test_partial_chunks_that_are_missing_start_from_the_fill_value(plain, tmp_path):
    array = empty_like(plain, tmp_path / "a")
    with Counted() as counted:
        sync.write(array, np.ones((2, 2), "float32"), np.s_[9:11, 6:8])
    assert (counted.puts, counted.chunks_decoded, counted.chunks_encoded) == (4, 0, 4)
    expected = np.zeros((95, 63), "float32")
    expected[9:11, 6:8] = 1
    np.testing.assert_array_equal(writing.read_by_tensorstore(tmp_path / "a"), expected)


def test_a_selection_with_steps_changes_each_chunk_once(plain):
    array = sync.open_array(plain.path)
    expected = plain.data.copy()
    expected[::-3, 1::2] = np.arange(32 * 31).reshape(32, 31)
    with Counted() as counted:
        sync.write(array, expected[::-3, 1::2], np.s_[::-3, 1::2])
    assert (counted.puts, counted.requests - counted.puts, counted.chunks_decoded) == (90, 90, 90)
    np.testing.assert_array_equal(writing.read_by_tensorstore(plain.path), expected)


def test_nothing_to_write_writes_nothing(plain):
    array = sync.open_array(plain.path)
    before = writing.chunk_files(plain.path)
    with Counted() as counted:
        sync.write(array, np.empty((0, 63), "float32"), np.s_[5:5])
    assert (counted.puts, counted.requests, counted.deletes) == (0, 0, 0)
    assert writing.chunk_files(plain.path) == before


# ==== The fill value ====


@pytest.mark.parametrize("partial", [False, True], ids=["whole", "partial"])
def test_chunks_of_the_fill_value_alone_are_erased_unless_told_otherwise(partial, plain):
    array = sync.open_array(plain.path)
    sync.write(array, np.zeros((20, 63), "float32"), np.s_[:20])
    if partial:  # what is left of other chunks, bit by bit
        sync.write(array, np.zeros((5, 63), "float32"), np.s_[20:25])
        assert (plain.path / "c/2/0").exists()
        sync.write(array, np.zeros((5, 63), "float32"), np.s_[25:30])
    gone = range(3 if partial else 2)
    for row in range(10):
        for column in range(9):
            assert (plain.path / f"c/{row}/{column}").exists() == (row not in gone)
    with Counted() as counted:
        sync.write(array, np.zeros((20, 63), "float32"), np.s_[:20], write_empty_chunks=True)
    assert counted.puts == 18
    assert (plain.path / "c/0/0").exists()
    expected = plain.data.copy()
    expected[: 30 if partial else 20] = 0
    np.testing.assert_array_equal(writing.read_by_tensorstore(plain.path), expected)


def test_minus_zero_is_not_the_fill_value_zero(plain):
    array = sync.open_array(plain.path)
    sync.write(array, np.full((95, 63), -0.0, "float32"))
    assert len(writing.chunk_files(plain.path)) == 90
    assert np.signbit(array[...]).all()


def test_erasing_what_is_not_there_is_no_error(plain, tmp_path):
    array = empty_like(plain, tmp_path / "a")
    sync.write(array, np.zeros((95, 63), "float32"))
    assert writing.chunk_files(tmp_path / "a") == {}


# ==== Shards ====


def inner_chunks(shard: bytes) -> dict[int, bytes]:
    """The stored inner chunks of a shard whose index is at its end, by their number in C order."""
    index = np.frombuffer(shard[-(PER_SHARD * 16 + 4) : -4], "<u8").reshape(PER_SHARD, 2)
    return {
        number: shard[int(offset) : int(offset + length)]
        for number, (offset, length) in enumerate(index)
        if offset != 2**64 - 1
    }


def layout(shard: bytes) -> list[tuple[int, int]]:
    index = np.frombuffer(shard[-(PER_SHARD * 16 + 4) : -4], "<u8").reshape(PER_SHARD, 2)
    return [(int(o), int(n)) for o, n in index if o != 2**64 - 1]


def check_dense_in_c_order(shard: bytes):
    """Inner chunks lie one behind the other, in C order, and then comes the index."""
    end = 0
    for offset, length in layout(shard):
        assert offset == end
        end += length
    assert end + PER_SHARD * 16 + 4 == len(shard)


def test_whole_shards_are_written_by_one_put_each_and_never_read(sharded):
    array = sync.open_array(sharded.path)
    data = simple.random_array((48, 40), "int32", seed=7) + 1
    with Counted() as counted:
        sync.write(array, data)
    assert (counted.puts, counted.requests - counted.puts, counted.chunks_decoded) == (6, 0, 0)
    assert counted.chunks_encoded == 6 * PER_SHARD
    assert counted.bytes_written == size_of_chunks(sharded.path)
    for shard in writing.chunk_files(sharded.path).values():
        check_dense_in_c_order(shard)
    np.testing.assert_array_equal(writing.read_by_tensorstore(sharded.path), data)


def test_a_shard_is_read_and_written_once_and_what_does_not_change_is_copied_as_bytes(sharded):
    array = sync.open_array(sharded.path)
    before = writing.chunk_files(sharded.path)
    expected = sharded.data.copy()
    selection = np.s_[2:9, 3:8]  # of shard (0, 0): 1 inner chunk whole in no dimension alone, 6 touched
    expected[selection] = 1000
    with Counted() as counted:
        sync.write(array, np.full((7, 5), 1000, "int32"), selection)
    touched = {4 * row + column for row in (0, 1, 2) for column in (0, 1)}
    assert counted.puts == 1
    assert counted.requests - counted.puts <= 2  # the whole, or the index and the rest
    assert (counted.chunks_decoded, counted.chunks_encoded) == (6, 6)
    after = writing.chunk_files(sharded.path)
    assert {key for key in after if after[key] != before[key]} == {"c/0/0"}
    old, new = inner_chunks(before["c/0/0"]), inner_chunks(after["c/0/0"])
    for number in range(PER_SHARD):
        assert (old[number] == new[number]) == (number not in touched)
    check_dense_in_c_order(after["c/0/0"])
    np.testing.assert_array_equal(writing.read_by_tensorstore(sharded.path), expected)


def test_inner_chunks_that_are_wholly_covered_are_not_decoded(sharded):
    array = sync.open_array(sharded.path)
    with Counted() as counted:
        sync.write(array, np.full((8, 10), 5, "int32"), np.s_[4:12, 5:15])
    assert (counted.puts, counted.chunks_decoded, counted.chunks_encoded) == (1, 0, 4)


def test_unchanged_inner_chunks_are_copied_even_if_they_do_not_decode(sharded):
    """Whoever decoded and encoded them again would fail."""
    path = sharded.chunk_path(0, 0)
    shard = bytearray(path.read_bytes())
    (offset, length) = layout(bytes(shard))[15]
    shard[offset : offset + length] = bytes(length)
    path.write_bytes(shard)
    array = sync.open_array(sharded.path)
    sync.write(array, np.full((4, 5), 5, "int32"), np.s_[0:4, 0:5])
    assert inner_chunks(path.read_bytes())[15] == bytes(length)
    with pytest.raises(zarrs_c.CodecError):
        array[12:16, 15:20]


def test_inner_chunks_of_the_fill_value_leave_the_shard_and_the_last_one_takes_it_along(sharded):
    array = sync.open_array(sharded.path)
    sync.write(array, np.zeros((4, 5), "int32"), np.s_[4:8, 5:10])
    shard = sharded.chunk_path(0, 0).read_bytes()
    assert set(range(PER_SHARD)) - set(inner_chunks(shard)) == {5}
    check_dense_in_c_order(shard)
    sync.write(array, np.zeros((4, 5), "int32"), np.s_[4:8, 5:10], write_empty_chunks=True)
    assert len(inner_chunks(sharded.chunk_path(0, 0).read_bytes())) == PER_SHARD
    with Counted() as counted:
        sync.write(array, np.zeros((16, 20), "int32"), np.s_[:16, :20])
    assert counted.puts == 0
    assert not sharded.chunk_path(0, 0).exists()
    expected = sharded.data.copy()
    expected[:16, :20] = 0
    np.testing.assert_array_equal(writing.read_by_tensorstore(sharded.path), expected)


@pytest.mark.parametrize("at_start", [False, True], ids=["end", "start"])
def test_shards_are_the_same_bytes_every_run(at_start, tmp_path):
    data = simple.random_array((256, 256), "uint16", seed=3)
    stored = simple.store(tmp_path / "a", data, (8, 8), shards=(128, 256), index_end=not at_start)
    array = sync.open_array(stored.path)
    found = []
    for _ in range(3):
        sync.write(array, data[::-1])
        sync.write(array, data[3:250, 5:201], np.s_[3:250, 5:201])
        found.append(writing.chunk_files(stored.path))
    assert found[0] == found[1] == found[2]


# ==== Budgets ====

MEMORY = """
    import resource, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync
    budget = 32 << 20
    zarrs_c.configure(max_bytes=budget, codec_threads=2)
    array = sync.open_array(sys.argv[1])
    row = np.random.default_rng(0).integers(0, 2**16, array.shape[1:], np.uint16)
    data = np.broadcast_to(row, array.shape)  # which takes no memory of its own
    sync.write(array, data[:64], np.s_[:64])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sync.write(array, data)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    stats = zarrs_c.stats()
    assert stats.peak_bytes_in_flight <= budget, stats
    assert stats.bytes_in_flight == 0, stats
    print(grown)
"""


@pytest.mark.parametrize("shards", [None, (32, 256, 256)], ids=["chunks", "shards"])
def test_memory_stays_within_the_byte_budget(shards, tmp_path):
    """256 MiB are written, in chunks or shards of 4 MiB, with a budget of 32 MiB."""
    array = sync.create_array(
        tmp_path / "a",
        shape=(2048, 256, 256),
        dtype="uint16",
        chunks=(8, 128, 128) if shards else (32, 256, 256),
        shards=shards,
    )
    assert array.nbytes == 256 << 20
    done = python(MEMORY, tmp_path / "a")
    assert int(done.stdout) < 64 << 20
