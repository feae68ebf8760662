"""The calls that write: what they take, what they return, and what they refuse before anything happens."""

from __future__ import annotations

import asyncio
import inspect
import json

import numpy as np
import pytest
from helpers import simple, writing
from helpers.failing import raised_by_the_call
from helpers.running import run

import zarrs_c
from zarrs_c import sync
from zarrs_c._create import array_metadata


def created(folder, shape=(20, 30), dtype="float32", chunks=(7, 8), **options):
    return sync.create_array(folder, shape=shape, dtype=dtype, chunks=chunks, **options)


@pytest.fixture
def target(tmp_path):
    return created(tmp_path / "target")


# ==== Creating ====


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("path", ["", "group/inner/name"])
def test_a_new_array_is_what_was_asked_for(path, zarr_format, tmp_path):
    names = {"dimension_names": ("y", None)} if zarr_format == 3 else {}
    attributes = {"units": "K", "nested": {"a": [1, 2.5, None, "é"]}, "empty": {}}
    arguments = {"shape": (20, 30), "dtype": "int16", "chunks": (7, 8), "fill_value": -5}
    arguments |= {"attributes": attributes, "zarr_format": zarr_format, **names}

    async def main():
        return await zarrs_c.create_array(tmp_path / "store", path, **arguments)

    array = run(main())
    assert isinstance(array, zarrs_c.Array)
    opened = sync.open_array(tmp_path / "store", path)
    for made in (array, opened):
        assert (made.shape, made.dtype, made.chunks, made.shards) == ((20, 30), np.dtype("i2"), (7, 8), None)
        assert (made.fill_value, made.attrs, made.zarr_format) == (-5, attributes, zarr_format)
        assert made.dimension_names == (("y", None) if zarr_format == 3 else None)
        assert made.path == path
    assert array.metadata == opened.metadata
    metadata = json.loads(array_metadata(**arguments))
    folder = tmp_path / "store" / path
    if zarr_format == 3:
        assert json.loads((folder / "zarr.json").read_text()) == metadata
    else:
        assert json.loads((folder / ".zattrs").read_text()) == metadata.pop("attributes")
        assert json.loads((folder / ".zarray").read_text()) == metadata
    assert (array[...] == -5).all()


def test_zarr_python_opens_what_was_created_and_finds_attributes_names_and_fill_values(tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    for number, fill in enumerate([float("nan"), float("inf"), -0.0, 0.1]):
        array = created(
            tmp_path / str(number),
            fill_value=fill,
            attributes={"a": {"b": [1, None]}},
            dimension_names=["y", "x"],
            shards=(14, 16),
        )
        sync.write(array, np.ones((3, 30), "f4"), np.s_[2:5])
        theirs = zarr.open_array(tmp_path / str(number), mode="r")
        assert (theirs.chunks, theirs.shards) == ((7, 8), (14, 16))
        assert dict(theirs.attrs) == {"a": {"b": [1, None]}}
        assert theirs.metadata.dimension_names == ("y", "x")
        assert np.float32(theirs.fill_value).tobytes() == np.float32(fill).tobytes()
        expected = np.full((20, 30), fill, "f4")
        expected[2:5] = 1
        assert theirs[...].tobytes() == expected.tobytes()


def test_an_array_that_exists_is_kept_unless_told_otherwise(tmp_path):
    array = created(tmp_path / "a")
    sync.write(array, np.ones((20, 30), "f4"))
    with pytest.raises(zarrs_c.ExistsError) as caught:
        created(tmp_path / "a")
    assert isinstance(caught.value, FileExistsError)
    assert (caught.value.code, "a" in str(caught.value)) == (13, True)
    assert (sync.open_array(tmp_path / "a")[...] == 1).all()
    again = created(tmp_path / "a", overwrite=True, dtype="int8")
    assert (again.dtype, again[...].any()) == (np.dtype("i1"), False)
    assert writing.chunk_files(tmp_path / "a") == {}


@pytest.mark.parametrize("before", [2, 3])
def test_overwriting_one_format_by_the_other_leaves_nothing_of_it(before, tmp_path):
    array = created(tmp_path / "a", zarr_format=before, attributes={"old": 1})
    sync.write(array, np.ones((20, 30), "f4"))
    with pytest.raises(zarrs_c.ExistsError):
        created(tmp_path / "a", zarr_format=5 - before)
    array = created(tmp_path / "a", zarr_format=5 - before, overwrite=True)
    assert (array.zarr_format, array.attrs) == (5 - before, {})
    assert not sync.open_array(tmp_path / "a")[...].any()
    metadata = {"zarr.json"} if before == 2 else {".zarray", ".zattrs"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == metadata


def test_a_group_in_the_way_is_an_array_that_exists(tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    with pytest.raises(zarrs_c.ExistsError):
        created(tmp_path / "g")


def test_overwriting_does_not_touch_the_neighbours(tmp_path):
    for name in ("a", "ab", "b"):
        created(tmp_path / name)[...] = 1
    created(tmp_path / "a", overwrite=True)
    assert (sync.open_array(tmp_path / "ab")[...] == 1).all()
    assert (sync.open_array(tmp_path / "b")[...] == 1).all()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"dtype": "quaternion"}, zarrs_c.InvalidError),
        ({"dtype": "string"}, zarrs_c.UnsupportedError),
        ({"chunks": (0, 1)}, zarrs_c.InvalidError),
        ({"shape": "x"}, TypeError),
        ({"dimension_names": ["x"]}, zarrs_c.InvalidError),
        ({"zarr_format": 4}, zarrs_c.InvalidError),
        ({"store": 5}, TypeError),
        ({"path": 5}, TypeError),
    ],
)
def test_bad_arguments_of_create_array_raise_at_the_call(change, kind, tmp_path):
    arguments = {
        "store": tmp_path / "a",
        "path": "",
        "shape": (20, 30),
        "dtype": "f4",
        "chunks": (7, 8),
    } | change
    store, path = arguments.pop("store"), arguments.pop("path")
    error = raised_by_the_call(kind, zarrs_c.create_array, store, path, **arguments)
    with pytest.raises(type(error)):
        sync.create_array(store, path, **arguments)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        {"compressors": {"name": "gzip", "configuration": {"level": 11}}},
        {"compressors": {"name": "zstd", "configuration": {"level": 99}}},
        {"compressors": {"name": "blosc", "configuration": {"cname": "lzma"}}},
        {"shape": (), "chunks": (), "filters": {"name": "transpose", "configuration": {"order": []}}},
    ],
    ids=str,
)
def test_what_zarrs_cannot_write_is_refused_and_nothing_is_created(arguments, tmp_path):
    with pytest.raises((zarrs_c.UnsupportedError, zarrs_c.InvalidError)):
        created(tmp_path / "a", **arguments)
    assert not (tmp_path / "a").exists() or not any((tmp_path / "a").iterdir())


# ==== Data ====


def test_scalars_and_smaller_arrays_are_broadcast_as_numpy_does(target):
    expected = np.zeros((20, 30), "f4")
    rng = np.random.default_rng(0)
    for selection, data in [
        (..., 5),
        (np.s_[3:9], 2.5),
        (np.s_[4], True),
        (np.s_[::2, 3], np.float32(7)),
        (np.s_[:, 5:9], np.arange(4, dtype="f4")),
        (np.s_[2:7, ::-1], rng.random((5, 1), "f4")),
        (np.s_[1, 2], np.array(3, "f4")),
        (np.s_[5:10, 7:9], rng.random((1, 5, 2), "f4")),  # NumPy drops leading ones
        (np.s_[:3, :3], np.broadcast_to(np.float32(1), (3, 3))),
        (np.s_[6:6], 1),
        (np.s_[8, :], rng.random(30, "f4")[::-1]),
    ]:
        expected[selection] = data
        sync.write(target, data, selection)
        np.testing.assert_array_equal(target[...], expected)


def test_assignment_by_index_writes_and_blocks(target):
    expected = np.zeros((20, 30), "f4")
    target[3:9, ::2] = 4
    expected[3:9, ::2] = 4
    target[-1] = np.arange(30, dtype="f4")
    expected[-1] = np.arange(30)
    target[5, 6] = 2
    expected[5, 6] = 2
    np.testing.assert_array_equal(target[...], expected)
    target[...] = expected[::-1]
    np.testing.assert_array_equal(target[...], expected[::-1])
    target[...] += np.float32(1)
    np.testing.assert_array_equal(target[...], expected[::-1] + 1)


def test_sources_may_be_read_only_and_plain_bytes(target):
    data = np.random.default_rng(0).random((20, 30), "f4")
    data.setflags(write=False)
    sync.write(target, data)
    np.testing.assert_array_equal(target[...], data)
    sync.write(target, bytes(data[::-1].tobytes()))
    np.testing.assert_array_equal(target[...], data[::-1])
    sync.write(target, memoryview(data))
    np.testing.assert_array_equal(target[...], data)


def test_the_caller_may_reuse_the_data_once_the_write_has_ended(target):
    async def main():
        data = np.full((20, 30), 3, "f4")
        await zarrs_c.write(target, data)
        data[...] = 9
        return await zarrs_c.read(target)

    assert (run(main()) == 3).all()


SCALARS = [
    ("uint8", 255),
    ("int64", -(2**63)),
    ("float32", 0.1),
    ("float32", float("nan")),
    ("complex64", 1 + 2j),
    ("bool", True),
    ("U5", "é"),
    ("M8[s]", np.datetime64("2020-01-01T00:00:07")),
    ("int16", np.int16(-3)),
]


@pytest.mark.parametrize(("dtype", "value"), SCALARS, ids=repr)
def test_scalars_that_lose_nothing_are_converted(dtype, value, tmp_path):
    array = created(tmp_path / "a", dtype=dtype)
    array[2:5] = value
    expected = np.full((3, 30), value).astype(dtype)
    assert array[2:5].tobytes() == expected.tobytes()


REFUSED = [  # selection, data, error, message
    (np.s_[3:9], np.zeros((5, 30), "f4"), zarrs_c.BufferMismatchError, r"\(6, 30\).*\(5, 30\)"),
    (..., np.zeros((30, 20), "f4"), zarrs_c.BufferMismatchError, r"\(20, 30\).*\(30, 20\)"),
    (..., np.zeros((1, 1, 20, 31), "f4"), zarrs_c.BufferMismatchError, "31"),
    (..., np.zeros((20, 30), "f8"), zarrs_c.BufferMismatchError, "float32.*float64"),
    (..., np.zeros((20, 30), ">f4"), zarrs_c.BufferMismatchError, ">f4"),
    (..., np.float64(0.1), (zarrs_c.BufferMismatchError, zarrs_c.InvalidError), "float64"),
    (..., bytes(7), zarrs_c.BufferMismatchError, "2400|7"),
    (..., "text", zarrs_c.BufferMismatchError, "text"),
    (..., 1j, zarrs_c.BufferMismatchError, "1j"),
    (..., None, TypeError, "None"),
    (..., [[1.0]], TypeError, "list"),
    (np.s_[20], 1, zarrs_c.SelectionError, "20"),
    (np.s_[0, 0, 0], 1, zarrs_c.SelectionError, "too many"),
    (np.s_[[1, 2]], 1, zarrs_c.SelectionError, "list"),
    (np.s_[::0], 1, zarrs_c.SelectionError, "step"),
]


@pytest.mark.parametrize(("selection", "data", "kind", "message"), REFUSED, ids=lambda case: None)
def test_bad_data_and_selections_raise_at_the_call_and_write_nothing(
    selection, data, kind, message, target, tmp_path
):
    error = raised_by_the_call(kind, zarrs_c.write, target, data, selection)
    with pytest.raises(kind, match=message):
        sync.write(target, data, selection)
    with pytest.raises(type(error)):
        target[selection] = data
    assert writing.chunk_files(tmp_path / "target") == {}


INTEGER_SCALARS = [("uint8", 256), ("uint8", -1), ("uint8", 5.0), ("int32", float("nan")), ("bool", 2)]


@pytest.mark.parametrize(("dtype", "value"), INTEGER_SCALARS, ids=repr)
def test_scalars_that_would_lose_something_are_refused(dtype, value, tmp_path):
    array = created(tmp_path / "a", dtype=dtype)
    with pytest.raises((zarrs_c.InvalidError, zarrs_c.BufferMismatchError, OverflowError)) as caught:
        array[...] = value
    assert str(value) in str(caught.value)
    assert writing.chunk_files(tmp_path / "a") == {}


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"max_requests": 0}, ValueError),
        ({"max_bytes": -1}, ValueError),
        ({"max_bytes": "many"}, TypeError),
        ({"chunks": np.s_[0:1], "selection": np.s_[0:1]}, zarrs_c.SelectionError),
        ({"chunks": np.s_[::2]}, zarrs_c.SelectionError),
        ({"progress": 5}, TypeError),
        ({"if_unchanged": True}, zarrs_c.UnsupportedError),  # on local files
    ],
    ids=str,
)
def test_bad_options_raise_at_the_call(options, kind, target, tmp_path):
    error = raised_by_the_call(kind, zarrs_c.write, target, 1, **options)
    with pytest.raises(type(error)):
        sync.write(target, 1, **options)
    assert writing.chunk_files(tmp_path / "target") == {}


def test_only_an_array_can_be_written(tmp_path):
    created(tmp_path / "a")
    for wrong in (5, None, np.zeros(3), tmp_path / "a"):
        with pytest.raises(TypeError):
            sync.write(wrong, 1)


# ==== Chunks as they are stored ====


def test_encoded_chunks_are_stored_as_they_are_and_read_back(tmp_path):
    array = created(tmp_path / "a", compressors=None)
    chunk = np.arange(56, dtype="<f4").reshape(7, 8)
    assert sync.write_encoded_chunk(array, (1, 2), chunk.tobytes()) is None

    async def main():
        assert await zarrs_c.write_encoded_chunk(array, (0, 0), bytearray(chunk.tobytes())) is None
        assert await zarrs_c.erase_chunk(array, (0, 0)) is None
        assert await zarrs_c.erase_chunk(array, (0, 0)) is None

    run(main())
    assert list(writing.chunk_files(tmp_path / "a")) == ["c/1/2"]
    np.testing.assert_array_equal(array[7:14, 16:24], chunk)
    other = created(tmp_path / "b", compressors=None)
    sync.write_encoded_chunk(other, [2, 3], sync.read_encoded_chunk(array, (1, 2)))
    assert bytes(sync.read_encoded_chunk(other, (2, 3))) == chunk.tobytes()
    sync.erase_chunk(array, (1, 2))
    assert not array[...].any()


@pytest.mark.parametrize("index", [(3, 0), (0, 4), (-1, 0), (0,), (0, 0, 0), 5, "a", (0.0, 0)], ids=str)
def test_a_chunk_that_the_grid_has_not_is_refused(index, target, tmp_path):
    for call in (
        lambda: sync.write_encoded_chunk(target, index, b"x"),
        lambda: sync.erase_chunk(target, index),
    ):
        with pytest.raises((zarrs_c.SelectionError, zarrs_c.InvalidError, TypeError)):
            call()
    raised_by_the_call((zarrs_c.Error, TypeError), zarrs_c.write_encoded_chunk, target, index, b"x")
    raised_by_the_call((zarrs_c.Error, TypeError), zarrs_c.erase_chunk, target, index)
    assert writing.chunk_files(tmp_path / "target") == {}


@pytest.mark.parametrize(
    "data", [5, None, "text", np.zeros((4, 4))[::2]], ids=["int", "None", "str", "strided"]
)
def test_encoded_chunks_are_contiguous_bytes(data, target, tmp_path):
    with pytest.raises((TypeError, ValueError)):
        sync.write_encoded_chunk(target, (0, 0), data)
    assert writing.chunk_files(tmp_path / "target") == {}


# ==== Shape and attributes ====


@pytest.mark.parametrize(("zarr_format", "shards"), [(3, None), (3, (14, 16)), (2, None)], ids=str)
def test_resizing_keeps_what_is_inside_and_erases_chunks_outside(zarr_format, shards, tmp_path):
    array = created(tmp_path / "a", shards=shards, zarr_format=zarr_format, attributes={"a": 1})
    data = np.random.default_rng(0).random((20, 30), "f4")
    sync.write(array, data)

    async def main():
        return await zarrs_c.resize(array, (8, 40))

    resized = run(main())
    assert (array.shape, resized.shape, resized.attrs) == ((20, 30), (8, 40), {"a": 1})
    assert sync.open_array(tmp_path / "a").shape == (8, 40)
    expected = np.zeros((8, 40), "f4")
    expected[:, :30] = data[:8]
    np.testing.assert_array_equal(resized[...], expected)
    box = shards or (7, 8)
    kept = {(i, j) for i in range(-(-8 // box[0])) for j in range(-(-30 // box[1]))}
    assert len(writing.chunk_files(tmp_path / "a")) == len(kept)
    theirs = writing.read_by_tensorstore(tmp_path / "a", zarr_format)
    np.testing.assert_array_equal(theirs, expected)
    grown = sync.resize(resized, [20, 30])
    # Chunks that were wholly outside are gone; of those that were cut, what lay outside may be there still.
    assert (grown[14:] == 0).all()
    np.testing.assert_array_equal(grown[:8], data[:8])


def test_resizing_to_nothing_and_back(tmp_path):
    array = created(tmp_path / "a")
    array[...] = 1
    empty = sync.resize(array, (0, 30))
    assert writing.chunk_files(tmp_path / "a") == {}
    assert (empty.shape, sync.resize(empty, (20, 30))[...].any()) == ((0, 30), False)


@pytest.mark.parametrize("shape", [(20,), (20, 30, 1), (-1, 30), "x", None, (2.5, 30), (2**63, 1)], ids=str)
def test_a_shape_that_makes_no_sense_is_refused(shape, target, tmp_path):
    error = raised_by_the_call((zarrs_c.InvalidError, TypeError), zarrs_c.resize, target, shape)
    with pytest.raises(type(error), match="shape"):
        sync.resize(target, shape)
    assert sync.open_array(tmp_path / "target").shape == (20, 30)


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_attributes_are_merged_and_null_stays_null(zarr_format, tmp_path):
    array = created(tmp_path / "a", zarr_format=zarr_format, attributes={"a": 1, "b": {"c": 2}})
    array[...] = 7

    async def main():
        return await zarrs_c.update_attributes(array, {"b": [3], "d": None, "é": "ü"})

    updated = run(main())
    expected = {"a": 1, "b": [3], "d": None, "é": "ü"}
    assert (array.attrs, updated.attrs) == ({"a": 1, "b": {"c": 2}}, expected)
    assert sync.open_array(tmp_path / "a").attrs == expected
    assert (updated[...] == 7).all()
    again = sync.update_attributes(updated, {})
    assert again.attrs == expected
    assert again.metadata | {"attributes": 0} == array.metadata | {"attributes": 0}


def test_attributes_that_json_cannot_hold_are_refused(target):
    for attributes, kind in [
        ({"a": float("nan")}, zarrs_c.InvalidError),
        ({1: 2}, TypeError),
        ([1], TypeError),
        ({"a": object()}, TypeError),
    ]:
        raised_by_the_call(kind, zarrs_c.update_attributes, target, attributes)
        with pytest.raises(kind, match="attributes"):
            sync.update_attributes(target, attributes)


def test_members_of_metadata_that_nobody_understands_survive_an_update(tmp_path):
    created(tmp_path / "a")
    path = tmp_path / "a" / "zarr.json"
    metadata = json.loads(path.read_text()) | {"example": {"must_understand": False, "x": [1, 2]}}
    path.write_text(json.dumps(metadata))
    updated = sync.update_attributes(sync.open_array(tmp_path / "a"), {"a": 1})
    resized = sync.resize(updated, (5, 5))
    stored = json.loads(path.read_text())
    assert stored["example"] == {"must_understand": False, "x": [1, 2]}
    assert (stored["shape"], stored["attributes"], resized.attrs) == ([5, 5], {"a": 1}, {"a": 1})


def test_changes_of_the_same_array_object_are_all_kept(tmp_path):
    """An Array does not change; what is stored does, and that is what the next change starts from."""
    for zarr_format in (2, 3):
        array = created(tmp_path / str(zarr_format), zarr_format=zarr_format, attributes={"a": 1, "b": 2})
        sync.resize(array, (40, 30))
        sync.update_attributes(array, {"c": 3})
        sync.update_attributes(array, {"a": 4})
        last = sync.resize(array, (10, 30))
        for found in (last, sync.open_array(tmp_path / str(zarr_format))):
            assert (found.shape, found.attrs) == ((10, 30), {"a": 4, "b": 2, "c": 3})
        assert (array.shape, array.attrs) == ((20, 30), {"a": 1, "b": 2})


def test_an_array_that_was_made_anew_meanwhile_is_not_changed(tmp_path):
    array = created(tmp_path / "a")
    created(tmp_path / "a", dtype="int8", overwrite=True)
    for call in (lambda: sync.resize(array, (5, 5)), lambda: sync.update_attributes(array, {"a": 1})):
        with pytest.raises(zarrs_c.ConflictError):
            call()
    assert sync.open_array(tmp_path / "a").shape == (20, 30)


def test_attributes_with_the_nan_of_other_writers_can_be_updated(tmp_path):
    created(tmp_path / "a", attributes={"a": 1})
    path = tmp_path / "a" / "zarr.json"
    path.write_text(path.read_text().replace('"a": 1', '"a": NaN'))
    array = sync.open_array(tmp_path / "a")
    updated = sync.resize(sync.update_attributes(array, {"b": 2}), (5, 5))
    assert np.isnan(updated.attrs["a"])
    assert (updated.attrs["b"], updated.shape) == (2, (5, 5))


# ==== Where nothing can be written ====


def test_a_store_that_cannot_be_written_says_so_at_the_call(faults):
    stored = json.loads(array_metadata(shape=(20, 30), dtype="f4", chunks=(7, 8)))
    faults.put("a/zarr.json", json.dumps(stored).encode())
    array = sync.open_array(faults.url("a"))
    before = faults.counters.requests
    calls = [
        (zarrs_c.write, (array, 1)),
        (zarrs_c.write_encoded_chunk, (array, (0, 0), b"x")),
        (zarrs_c.erase_chunk, (array, (0, 0))),
        (zarrs_c.resize, (array, (5, 5))),
        (zarrs_c.update_attributes, (array, {"a": 1})),
    ]
    for call, arguments in calls:
        error = raised_by_the_call(zarrs_c.UnsupportedError, call, *arguments)
        assert "http" in str(error)
        with pytest.raises(zarrs_c.UnsupportedError):
            getattr(sync, call.__name__)(*arguments)
    arguments = {"shape": (5,), "dtype": "f4"}
    raised_by_the_call(zarrs_c.UnsupportedError, zarrs_c.create_array, faults.url("b"), **arguments)
    with pytest.raises(zarrs_c.UnsupportedError):
        array[0] = 1
    assert faults.counters.requests == before


# ==== Twins, futures ====

CALLS = [
    "create_array",
    "write",
    "write_encoded_chunk",
    "erase_chunk",
    "resize",
    "update_attributes",
]


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_a_blocking_twin_with_the_same_arguments(name):
    ours, twin = getattr(zarrs_c, name), getattr(sync, name)
    assert inspect.signature(ours) == inspect.signature(twin)
    assert twin.__doc__
    assert ours.__doc__
    assert name in zarrs_c.__all__
    assert name in sync.__all__


def test_writes_are_futures_of_the_running_loop(target):
    async def main():
        future = zarrs_c.write(target, 1)
        assert isinstance(future, asyncio.Future)
        assert future.get_loop() is asyncio.get_running_loop()
        assert await future is None
        stats = future.stats()
        assert (stats.puts, stats.chunks_encoded, stats.objects_total, stats.objects_done) == (12, 12, 12, 12)
        assert stats.bytes_written > 0
        zarrs_c.write(target, 2)  # may be forgotten: it goes on
        await asyncio.sleep(0)

    run(main())
    with pytest.raises(RuntimeError, match="loop"):
        zarrs_c.write(target, 1)


def test_progress_of_a_write_is_told_and_never_goes_back(target):
    told = []
    sync.write(target, 1, progress=told.append)
    assert told
    assert [step.chunks_done for step in told] == sorted(step.chunks_done for step in told)
    assert (told[-1].chunks_done, told[-1].chunks_total) == (12, 12)


def test_writes_work_on_every_loop_and_bridge(running, tmp_path):
    array = created(tmp_path / "a")
    data = np.random.default_rng(1).random((20, 30), "f4")

    async def main():
        rows = [zarrs_c.write(array, data[i], i) for i in range(20)]
        await asyncio.gather(*rows)
        return await zarrs_c.read(array)

    np.testing.assert_array_equal(running(main()), data)


def test_arrays_are_shared_between_a_reader_and_a_writer(target):
    """What is written is what the next read gives, through the same array and through others."""
    other = sync.open_array(target.store, target.path)
    for value in range(5):
        sync.write(target, value)
        assert (other[...] == value).all()
        assert (target[3:5] == value).all()


def test_shard_indexes_that_were_kept_do_not_outlive_a_write(tmp_path):
    store = zarrs_c.open_store("memory://kept")
    array = sync.create_array(store, "a", shape=(64,), dtype="i4", chunks=(4,), shards=(32,))
    rng = np.random.default_rng(0)
    for _ in range(10):
        data = rng.integers(0, 1000, 64, "i4")
        selection = np.s_[rng.integers(0, 30) : rng.integers(31, 64)]
        expected = array[...]
        expected[selection] = data[selection]
        sync.write(array, data[selection], selection)
        np.testing.assert_array_equal(array[...], expected)
        np.testing.assert_array_equal(array[30:34], expected[30:34])


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_a_shard_index_that_another_store_object_has_kept_is_known_to_be_stale(kind, faults):
    address = ("s3://bucket", faults.s3_options) if kind == "s3" else ("memory://twice",)
    stores = [zarrs_c.open_store(*address) for _ in range(2)]
    writer = sync.create_array(stores[0], "a", shape=(64,), dtype="i4", chunks=(4,), shards=(64,))
    reader = sync.open_array(stores[1], "a")
    for value in range(1, 4):
        data = np.arange(64, dtype="i4") ** value
        sync.write(writer, data)
        np.testing.assert_array_equal(reader[3:61], data[3:61])
        sync.write(writer, -1, np.s_[10:40])
        data[10:40] = -1
        np.testing.assert_array_equal(reader[3:61], data[3:61])


def test_simple_arrays_of_other_writers_can_be_updated(tmp_path):
    """tensorstore's shards have their inner chunks in another order."""
    data = simple.random_array((64, 64), "uint16")
    stored = simple.store(tmp_path / "a", data, (8, 8), shards=(32, 64))
    array = sync.open_array(stored.path)
    data[10:20, 5:50] = 9
    sync.write(array, data[10:20, 5:50], np.s_[10:20, 5:50])
    np.testing.assert_array_equal(writing.read_by_tensorstore(stored.path), data)
