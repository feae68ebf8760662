"""Any basic index means what it means to NumPy: hypothesis looks for the smallest one that does not."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simple
from helpers.scale import SCALE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zarrs_c
from zarrs_c import sync

SHAPE = (13, 9, 7)
DATA = np.arange(np.prod(SHAPE), dtype="int16").reshape(SHAPE) + 1
LAYOUTS = {
    "one chunk": {"chunks": SHAPE},
    "chunks": {"chunks": (4, 3, 2)},
    "single elements": {"chunks": (1, 1, 1)},
    "chunks larger than the array": {"chunks": (20, 5, 11)},
    "shards": {"chunks": (2, 3, 1), "shards": (4, 6, 4)},
    "raw": {"chunks": (4, 3, 7), "codecs": [simple.LITTLE]},
    "transposed": {
        "chunks": (4, 3, 2),
        "codecs": [{"name": "transpose", "configuration": {"order": [2, 0, 1]}}, simple.LITTLE, simple.ZSTD],
    },
}


def indices(size: int):
    bound = st.none() | st.integers(-2 * size, 2 * size)
    step = st.none() | st.integers(-2 * size, 2 * size).filter(bool)
    return st.integers(-size, size - 1) | st.builds(slice, bound, bound, step)


@st.composite
def selections(draw):
    chosen = [draw(indices(size)) for size in SHAPE]
    if draw(st.booleans()):
        chosen = chosen[: draw(st.integers(0, 3))]
    elif draw(st.booleans()):
        first = draw(st.integers(0, 3))
        chosen[first : draw(st.integers(first, 3))] = [...]
    return tuple(chosen)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selections")
    return {
        name: sync.open_array(simple.store(folder / str(number), DATA, **layout).path)
        for number, (name, layout) in enumerate(LAYOUTS.items())
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_selection_means_what_it_means_to_numpy(layout, arrays):
    array = arrays[layout]

    @settings(max_examples=int(150 * SCALE), deadline=None, suppress_health_check=list(HealthCheck))
    @given(selection=selections(), reverse=st.booleans())
    def check(selection, reverse):
        want = np.asarray(DATA[selection])
        np.testing.assert_array_equal(array[selection], want, strict=True)
        buffer = np.empty(want.shape, want.dtype).T
        buffer = buffer[::-1].T if reverse and want.ndim else buffer.T
        np.testing.assert_array_equal(sync.read_into(buffer, array, selection), want, strict=True)

    check()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_index_that_numpy_refuses_is_refused(layout, arrays):
    array = arrays[layout]

    @settings(max_examples=int(50 * SCALE), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.integers(-20, 20), max_size=5).map(tuple))
    def check(selection):
        try:
            want = DATA[selection]
        except IndexError:
            with pytest.raises(zarrs_c.SelectionError):
                sync.read(array, selection)
        else:
            np.testing.assert_array_equal(array[selection], want)

    check()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chunks_read_one_by_one_are_the_array(layout, arrays):
    array = arrays[layout]
    box = array.shards or array.chunks
    result = np.zeros(SHAPE, "int16")
    for index in np.ndindex(*array.grid_shape):
        part = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, box, strict=True))
        result[part] = sync.read(array, chunks=index)
    np.testing.assert_array_equal(result, DATA)
    np.testing.assert_array_equal(sync.read(array, chunks=...), DATA)
    np.testing.assert_array_equal(sync.read(array, chunks=-1), DATA[(array.grid_shape[0] - 1) * box[0] :])
    assert sync.read(array, chunks=np.s_[0:0]).shape[0] == 0
