"""Small chunks that lie side by side in a large result are decoded side by side, and written as one."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from helpers import simple
from helpers.counting import Counted
from helpers.running import python

from zarrs_c import sync

SHAPE, CHUNKS = (
    (128, 256, 130),
    (32, 32, 16),
)  # 17 MB of float32 in chunks of 64 KB, the last of a row cut off
CHUNK = 4 * int(np.prod(CHUNKS))


@pytest.fixture
def stored(tmp_path):
    return simple.store(tmp_path / "a", simple.random_array(SHAPE) + np.float32(1), CHUNKS)


def test_a_chunk_that_is_missing_among_others_is_filled(stored):
    right = stored.data.copy()
    for z, y, x in [(0, 0, 0), (1, 2, 3), (1, 2, 4), (3, 7, 8)]:
        stored.chunk_path(z, y, x).unlink()
        box = [slice(i * n, (i + 1) * n) for i, n in zip((z, y, x), CHUNKS, strict=True)]
        right[tuple(box)] = 0
    out = np.full(SHAPE, np.nan, np.float32)
    with Counted() as counted:
        sync.read_into(out, sync.open_array(stored.path))
    np.testing.assert_array_equal(out, right)
    total = int(np.prod(stored.grid_shape))
    assert (counted.chunks_decoded, counted.chunks_missing) == (total - 4, 4)
    assert (counted.bytes_decoded, counted.bytes_placed) == ((total - 4) * CHUNK, right.nbytes)


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 3, 4), (3, 7, 7)])
def test_a_chunk_that_is_broken_among_others_is_named(place, stored):
    path = stored.chunk_path(*place)
    path.write_bytes(path.read_bytes()[:-1])
    out = np.zeros(SHAPE, np.float32)
    with pytest.raises(Exception, match=re.escape(stored.chunk_key(*place))):
        sync.read_into(out, sync.open_array(stored.path))


PEAK = """
    import json, sys, numpy as np, zarrs_c
    from zarrs_c import sync
    zarrs_c.configure(codec_threads=1, **json.loads(sys.argv[2]))
    array = sync.open_array(sys.argv[1])
    out = np.zeros(array.shape, array.dtype)
    sync.read_into(out, array)
    print(json.dumps({"peak": zarrs_c.stats().peak_bytes_in_flight, "sum": float(out.sum(dtype="f8"))}))
"""


@pytest.mark.parametrize("max_bytes", [None, 5 * CHUNK, 2 * CHUNK])
@pytest.mark.parametrize("codecs", [[simple.LITTLE], [simple.LITTLE, simple.ZSTD]], ids=["raw", "zstd"])
def test_strips_are_as_long_as_the_budget_allows(codecs, max_bytes, tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array(SHAPE), CHUNKS, codecs=codecs)
    settings = json.dumps({} if max_bytes is None else {"max_bytes": max_bytes})
    seen = json.loads(python(PEAK, stored.path, settings).stdout)
    assert seen["sum"] == stored.data.sum(dtype="f8")
    if max_bytes is None:
        # A row of the array has eight whole chunks and a part of one.
        assert 8 * CHUNK <= seen["peak"] <= 10 * CHUNK
    else:
        assert seen["peak"] <= max_bytes
    assert seen["peak"] >= CHUNK
