"""Results that exceed the caches take ways of their own: past them, by blocks, into memory that is not NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simple
from helpers.running import python, run

import zarrs_c
from zarrs_c import sync

SHAPE, DTYPE = (66, 301, 467), "int16"  # 18.6 MB: results from 16 MiB on count as large
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2, "blocksize": 0},
}
KINDS = {
    "raw": {"codecs": [simple.LITTLE]},
    "raw transposed": {
        "codecs": [{"name": "transpose", "configuration": {"order": [2, 0, 1]}}, simple.LITTLE]
    },
    "zstd": {},
    "shards": {"shards": (66, 180, 240)},
    # Small ones are decoded side by side.
    "small raw": {"codecs": [simple.LITTLE]},
    "small blosc": {"codecs": [simple.LITTLE, BLOSC]},
    "small zstd in shards": {"shards": (66, 60, 192)},
    "small raw in shards": {"shards": (66, 60, 192), "codecs": [simple.LITTLE]},
}


@pytest.fixture(scope="module", params=KINDS)
def large(request, tmp_path_factory):
    data = np.random.default_rng(0).integers(-30000, 30000, SHAPE).astype(DTYPE)
    small = request.param.startswith("small")
    chunks = (33, 60, 80) if request.param == "shards" else (22, 60, 32) if small else (50, 100, 200)
    return simple.store(tmp_path_factory.mktemp("large") / "a", data, chunks, **KINDS[request.param])


def odd(shape):
    """Memory that begins at an odd address, with rows a few bytes apart."""
    rows, length = int(np.prod(shape[:-1])), shape[-1]
    memory = np.zeros(rows * (length + 3) * 2 + 1, np.uint8)[1:]
    return memory.view(DTYPE).reshape(*shape[:-1], length + 3)[..., :length]


DESTINATIONS = {
    "C": lambda shape: np.zeros(shape, DTYPE),
    "Fortran": lambda shape: np.zeros(shape, DTYPE, order="F"),
    "odd": odd,
    "backwards": lambda shape: np.zeros(shape, DTYPE)[::-1, :, ::-1],
}
SELECTIONS = [np.s_[...], np.s_[::-1, :, :], np.s_[:, 1:, 3:], np.s_[:, ::-1, ::-1]]


@pytest.mark.parametrize("where", DESTINATIONS)
@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_large_results_are_what_was_written(selection, where, large):
    right = large.data[selection]
    out = DESTINATIONS[where](right.shape)
    sync.read_into(out, sync.open_array(large.path), selection)
    np.testing.assert_array_equal(out, right)


def test_a_large_fresh_result_is_an_array_like_any_other(large):
    array = sync.open_array(large.path)

    async def main():
        return await zarrs_c.read(array)

    for result in (sync.read(array), array[...], run(main())):
        assert type(result) is np.ndarray
        assert (result.dtype, result.shape) == (large.data.dtype, SHAPE)
        assert result.flags.c_contiguous
        assert result.flags.writeable
        np.testing.assert_array_equal(result, large.data)
        result[...] = 1
        assert result.copy().sum() == result.size


SLOW = """
    import sys, numpy as np
    from zarrs_c import sync
    np.save(sys.argv[2], sync.read(sync.open_array(sys.argv[1])))
"""


def test_the_slow_path_gives_the_same(large, tmp_path):
    python(SLOW, large.path, tmp_path / "slow.npy", environment={"ZARRS_C_NO_FAST_PATH": "1"})
    np.testing.assert_array_equal(np.load(tmp_path / "slow.npy"), sync.read(sync.open_array(large.path)))


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [(np.s_[5], 128 * 128), (np.s_[:, 5], 128 * 128), (np.s_[3, 5, 7:9], 2), (np.s_[...], 128**3)],
    ids=str,
)
def test_of_a_raw_chunk_only_what_is_wanted_is_read(selection, wanted, tmp_path):
    data = simple.random_array((128, 128, 128), "int16")
    stored = simple.store(tmp_path / "a", data, (128, 128, 128), codecs=[simple.LITTLE])
    array, out = sync.open_array(stored.path), np.zeros(data[selection].shape, "int16", order="F")
    before = zarrs_c.stats().bytes_fetched
    sync.read_into(out, array, selection)
    assert zarrs_c.stats().bytes_fetched - before == wanted * 2
    np.testing.assert_array_equal(out, data[selection])
