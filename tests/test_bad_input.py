"""Bad input: one clear error of the named class, at the call, with nothing written to the buffer."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from helpers.buffers import canary
from helpers.failing import failure_to_open, is_canary, raised_by_the_call

import zarrs_c
from zarrs_c import sync


def read_only(array):
    array.setflags(write=False)
    return array


# The array is (95, 63) float32. (buffer, selection, class, words that the message has)
MISMATCHES = {
    "shape": (lambda: canary((95, 62), "f4"), ..., ["(95, 63)", "(95, 62)", "float32"]),
    "shape of a selection": (lambda: canary((5, 63), "f4"), np.s_[0:4], ["(4, 63)", "(5, 63)"]),
    "dimension of an int": (lambda: canary((1, 63), "f4"), np.s_[0], ["(63,)", "(1, 63)"]),
    "same bytes, other shape": (lambda: canary((63, 95), "f4"), ..., ["(95, 63)", "(63, 95)"]),
    "dtype": (lambda: canary((95, 63), "f8"), ..., ["float32", "float64"]),
    "dtype of the same size": (lambda: canary((95, 63), "i4"), ..., ["float32", "int32"]),
    "byte order": (lambda: canary((95, 63), ">f4"), ..., ["float32", ">f4"]),
    "0-d": (lambda: canary((1,), "f4"), np.s_[3, 4], ["()", "(1,)"]),
    "zero-size": (lambda: canary((0, 62), "f4"), np.s_[5:5], ["(0, 63)", "(0, 62)"]),
    "read-only": (lambda: read_only(canary((95, 63), "f4")), ..., ["read-only", "writable"]),
    "overlapping": (
        lambda: np.lib.stride_tricks.as_strided(canary((95 + 63,), "f4"), (95, 63), (4, 4), writeable=True),
        ...,
        ["overlap"],
    ),
    "broadcast": (
        lambda: np.lib.stride_tricks.as_strided(canary((63,), "f4"), (95, 63), (0, 4), writeable=True),
        ...,
        ["overlap"],
    ),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_a_buffer_that_does_not_fit_is_refused_untouched(what, field):
    make, selection, words = MISMATCHES[what]
    array = sync.open_array(field.path)
    buffer = make()
    before = sync_stats()
    error = raised_by_the_call(zarrs_c.BufferMismatchError, zarrs_c.read_into, buffer, array, selection)
    with pytest.raises(zarrs_c.BufferMismatchError) as caught:
        sync.read_into(buffer, array, selection)
    assert isinstance(error, ValueError)
    for message in (str(error), str(caught.value)):
        assert [word for word in words if word not in message] == [], message
    assert is_canary(buffer)
    assert sync_stats() == before


def sync_stats():
    return zarrs_c.stats().requests, zarrs_c.stats().chunks_decoded


@pytest.mark.parametrize(
    "buffer",
    [bytearray(95 * 63 * 4 - 1), bytearray(95 * 63 * 4 + 1), bytearray(), memoryview(bytearray(95 * 63))],
)
def test_bytes_of_the_wrong_length_are_refused(buffer, field):
    array = sync.open_array(field.path)
    with pytest.raises(zarrs_c.BufferMismatchError, match=rf"{95 * 63 * 4}.*{len(buffer)}"):
        sync.read_into(buffer, array)
    raised_by_the_call(zarrs_c.BufferMismatchError, zarrs_c.read_into, buffer, array)
    assert not any(buffer)


def test_read_only_bytes_are_refused(field):
    array = sync.open_array(field.path)
    for buffer in (bytes(95 * 63 * 4), memoryview(bytes(95 * 63 * 4))):
        with pytest.raises(zarrs_c.BufferMismatchError, match="read-only"):
            sync.read_into(buffer, array)
        assert not any(buffer)


@pytest.mark.parametrize("buffer", [None, 5, "text", [1, 2], object()])
def test_what_is_no_buffer_is_a_type_error(buffer, field):
    array = sync.open_array(field.path)
    with pytest.raises(TypeError, match=type(buffer).__name__):
        sync.read_into(buffer, array)
    raised_by_the_call(TypeError, zarrs_c.read_into, buffer, array)


SELECTIONS = {
    "beyond": (np.s_[95], ["95", "out of bounds"]),
    "before": (np.s_[-96], ["-96", "out of bounds"]),
    "second dimension": (np.s_[0, 63], ["63", "out of bounds"]),
    "huge": (np.s_[2**70], [str(2**70)]),
    "too many": (np.s_[0, 0, 0], ["2 dimensions", "3"]),
    "two ellipses": (np.s_[..., ...], ["Ellipsis"]),
    "step 0": (np.s_[::0], ["step", "0"]),
    "newaxis": (np.s_[None], ["None"]),
    "list": (np.s_[[1, 2]], ["integers, slices"]),
    "mask": (np.s_[np.ones((95, 63), bool)], ["integers, slices"]),
    "index array": (np.s_[np.array([1, 2])], ["integers, slices"]),
    "float": (np.s_[1.5], ["1.5", "integers, slices"]),
    "bool": (np.s_[True], ["True", "integers, slices"]),
    "string": (np.s_["a"], ["'a'", "integers, slices"]),
    "float bounds": (np.s_[0.5:2], ["0.5"]),
}


@pytest.mark.parametrize("what", SELECTIONS)
def test_a_bad_selection_is_an_index_error_that_says_why(what, field):
    selection, words = SELECTIONS[what]
    array = sync.open_array(field.path)
    buffer = canary((95, 63), "f4")
    errors = [
        raised_by_the_call(zarrs_c.SelectionError, zarrs_c.read_into, buffer, array, selection),
        raised_by_the_call(zarrs_c.SelectionError, zarrs_c.read, array, selection),
        raised_by_the_call(zarrs_c.SelectionError, zarrs_c.read_many, [(buffer, array, selection)]),
    ]
    with pytest.raises(IndexError) as caught:
        array[selection]
    for error in [*errors, caught.value]:
        assert [word for word in words if word not in str(error)] == [], str(error)
    assert is_canary(buffer)


@pytest.mark.parametrize("chunks", [(10, 0), (0, 9), (-11, 0), (0, 0, 0), np.s_[::2], np.s_[::-1]])
def test_a_bad_box_of_chunks_is_an_index_error(chunks, field):
    array = sync.open_array(field.path)
    with pytest.raises(zarrs_c.SelectionError):
        sync.read(array, chunks=chunks)


def test_a_selection_and_chunks_together_are_refused(field):
    array = sync.open_array(field.path)
    with pytest.raises(zarrs_c.SelectionError, match="both"):
        sync.read(array, np.s_[0], chunks=(0, 0))


@pytest.mark.parametrize("index", [(10, 0), (0, 9), (-11, 0), (0,), (0, 0, 0), 0, np.s_[0:1, 0], (0.5, 0)])
def test_an_encoded_chunk_outside_of_the_grid_is_an_index_error(index, field):
    array = sync.open_array(field.path)
    with pytest.raises(zarrs_c.SelectionError):
        sync.read_encoded_chunk(array, index)
    raised_by_the_call(zarrs_c.SelectionError, zarrs_c.read_encoded_chunk, array, index)


def test_the_error_of_a_batch_says_which_region(field):
    array = sync.open_array(field.path)
    buffers = [canary((1, 63), "f4"), canary((1, 63), "f4"), canary((2, 63), "f4")]
    regions = [(buffer, array, np.s_[i : i + 1]) for i, buffer in enumerate(buffers)]
    error = raised_by_the_call(zarrs_c.BufferMismatchError, zarrs_c.read_many, regions)
    with pytest.raises(zarrs_c.BufferMismatchError) as caught:
        sync.read_many(regions)
    for message in (str(error), str(caught.value)):
        assert [word for word in ("region 2", "(2, 63)", "(1, 63)") if word not in message] == [], message
    assert all(map(is_canary, buffers))


@pytest.mark.parametrize("regions", [[5], [(1,)], [None], 7, [(np.zeros(1), "not an array", 0, 0)]])
def test_regions_that_are_none_are_a_type_error(regions):
    with pytest.raises(TypeError):
        sync.read_many(regions)


@pytest.mark.parametrize("array", [None, 5, np.zeros(3), object()])
def test_what_is_no_array_is_a_type_error(array):
    with pytest.raises(TypeError):
        sync.read(array)


@pytest.mark.parametrize("name", ["max_requests", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True])
def test_a_limit_is_a_positive_integer(name, value, field):
    array = sync.open_array(field.path)
    with pytest.raises((TypeError, ValueError), match=name):
        sync.read(array, **{name: value})
    assert sync.read(array, **{name: 3}).tobytes() == field.data.tobytes()


@pytest.mark.parametrize("url", ["ftp://host/a", "gopher://x", "made-up://host/b"])
def test_an_unknown_scheme_is_unsupported(url):
    with pytest.raises(zarrs_c.UnsupportedError, match=url.split(":")[0]):
        zarrs_c.open_store(url)


@pytest.mark.parametrize("url", ["", None, 5, "a\0b"])
def test_what_is_no_store_is_refused(url):
    with pytest.raises((TypeError, ValueError)):
        zarrs_c.open_store(url)


def test_options_that_a_store_does_not_know_are_refused_without_telling_their_value(tmp_path):
    with pytest.raises(zarrs_c.Error, match="made_up") as caught:
        zarrs_c.open_store(tmp_path, {"made_up": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(TypeError, match="strings") as caught:
        zarrs_c.open_store(tmp_path, {"made_up": 12345})
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("path", ["../a", "x/../../a", "..", "a/../.."])
def test_a_path_does_not_leave_its_store(path, field):
    with pytest.raises(zarrs_c.Error):
        sync.open_array(field.path.parent / "inside", path)


def test_every_error_is_what_python_programmers_catch():
    bases = {
        "NotFoundError": FileNotFoundError,
        "StorageError": OSError,
        "CodecError": ValueError,
        "UnsupportedError": NotImplementedError,
        "SelectionError": IndexError,
        "BufferMismatchError": ValueError,
        "TimeoutError": TimeoutError,
        "ShutdownError": RuntimeError,
        "PanicError": RuntimeError,
    }
    for name, base in bases.items():
        kind = getattr(zarrs_c, name)
        assert issubclass(kind, zarrs_c.Error)
        assert issubclass(kind, base)


def test_errors_can_be_pickled(tmp_path):
    error = failure_to_open(tmp_path / "nothing")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.key, copy.code) == (type(error), str(error), error.key, error.code)


def test_outside_of_a_running_loop_asynchronous_calls_say_so(field):
    array = sync.open_array(field.path)
    buffer = canary((95, 63), "f4")
    for call in (
        lambda: zarrs_c.read_into(buffer, array),
        lambda: zarrs_c.read(array),
        lambda: zarrs_c.read_many([(buffer, array)]),
        lambda: zarrs_c.read_encoded_chunk(array, (0, 0)),
        lambda: zarrs_c.open_array(field.path),
    ):
        with pytest.raises(RuntimeError, match="running event loop"):
            call()
    assert is_canary(buffer)
