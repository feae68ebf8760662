"""Inner chunks of shards as they are stored: `read_encoded_chunk(..., inner=True)`."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simple
from helpers.failing import raised_by_the_call
from helpers.running import run

import zarrs_c
from zarrs_c import sync

INNER = (4, 5)


@pytest.fixture(scope="module", params=[True, False], ids=["index at the end", "index at the start"])
def plain(request, tmp_path_factory):
    """Shards without compression that the array's edge cuts; one shard and one inner chunk are missing."""
    data = simple.random_array((44, 33), "int32", seed=7) + 1
    data[16:32, :20] = 0
    data[4:8, 5:10] = 0
    folder = tmp_path_factory.mktemp("inner")
    codecs = [simple.LITTLE]
    return simple.store(folder / "a", data, INNER, shards=(16, 20), codecs=codecs, index_end=request.param)


def inner_chunk(stored, index) -> np.ndarray:
    """An inner chunk's elements, with the fill value beyond the array's edge."""
    chunk = np.zeros(INNER, stored.data.dtype)
    part = stored.data[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, INNER, strict=True))]
    chunk[tuple(map(slice, part.shape))] = part
    return chunk


def test_each_inner_chunk_is_found_by_its_index_over_the_array(plain):
    array = sync.open_array(plain.path)

    async def main():
        return [await zarrs_c.read_encoded_chunk(array, index, inner=True) for index in indices]

    indices = list(np.ndindex(11, 7))
    stored = 0
    for index, later in zip(indices, run(main()), strict=True):
        now = sync.read_encoded_chunk(array, index, inner=True)
        expected = inner_chunk(plain, index)
        if not expected.any():
            assert (now, later) == (None, None)
            continue
        stored += 1
        assert bytes(now) == bytes(later) == expected.tobytes()
    assert stored == 11 * 7 - 4 * 4 - 1


def test_an_inner_chunk_costs_its_bytes_and_the_index(plain):
    array = sync.open_array(plain.path)
    before = zarrs_c.stats()
    sync.read_encoded_chunk(array, (5, 5), inner=True)
    after = zarrs_c.stats()
    fetched = after.bytes_fetched - before.bytes_fetched
    assert 4 * 5 * 4 <= fetched <= 4 * 5 * 4 + 4 * 4 * 16 + 4
    assert after.chunks_decoded == before.chunks_decoded


@pytest.mark.parametrize(
    "index", [(11, 0), (0, 7), (-1, 0), (0,), (0, 0, 0), (True, 0), "00", (0.0, 0)], ids=str
)
def test_an_inner_chunk_that_is_not_there_is_refused(index, plain):
    array = sync.open_array(plain.path)
    error = raised_by_the_call(zarrs_c.SelectionError, zarrs_c.read_encoded_chunk, array, index, inner=True)
    if index in ((11, 0), (0, 7)):
        assert "inner chunk" in str(error)
        assert "(11, 7)" in str(error)
    with pytest.raises(zarrs_c.SelectionError):
        sync.read_encoded_chunk(array, index, inner=True)


def test_an_array_without_shards_has_no_inner_chunks(field):
    array = sync.open_array(field.path)
    raised_by_the_call(zarrs_c.UnsupportedError, zarrs_c.read_encoded_chunk, array, (0, 0), inner=True)
    with pytest.raises(zarrs_c.UnsupportedError, match="not sharded"):
        sync.read_encoded_chunk(array, (0, 0), inner=True)
