"""Bad input: one clear error of the named class, at the call, with nothing written to the buffer."""

from __future__ import annotations

import asyncio
import json
import pickle
import shutil

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import CANARY, canary
from helpers.running import run

import zarrs_c
from zarrs_c import sync


def is_canary(array: np.ndarray) -> bool:
    return bool((np.ascontiguousarray(array).view(np.uint8) == CANARY).all())


def raised_by_the_call(kind, call, *arguments, **options):
    """The error of an asynchronous call, raised before there is anything to await."""

    async def main():
        with pytest.raises(kind) as caught:
            call(*arguments, **options)
        return caught.value

    return run(main())


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
    "buffer", [bytearray(95 * 63 * 4 - 1), bytearray(95 * 63 * 4 + 1), bytearray(), memoryview(bytearray(95 * 63))]
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


def test_regions_of_a_batch_that_share_memory_are_refused_or_the_result_of_one_of_them(field):
    """The contract forbids it; it must not crash."""
    array = sync.open_array(field.path)
    buffer = canary((10, 63), "f4")
    try:
        sync.read_many([(buffer, array, np.s_[0:10]), (buffer, array, np.s_[10:20])])
    except zarrs_c.BufferMismatchError as error:
        assert "overlap" in str(error)


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


# ---- What is stored ----


def failure_to_open(path, *arguments, **options):
    """The error of opening, which is the same from both APIs."""

    async def main():
        await zarrs_c.open_array(path, *arguments, **options)

    with pytest.raises(zarrs_c.Error) as caught:
        run(main())
    with pytest.raises(type(caught.value)):
        sync.open_array(path, *arguments, **options)
    return caught.value


def test_a_missing_array_is_not_found(tmp_path):
    error = failure_to_open(tmp_path / "nothing")
    assert isinstance(error, zarrs_c.NotFoundError)
    assert isinstance(error, FileNotFoundError)
    assert "nothing" in str(error)


def test_a_missing_array_in_a_store_is_not_found(field):
    error = failure_to_open(field.path.parent, "b")
    assert isinstance(error, zarrs_c.NotFoundError)
    assert "b" in str(error)


def test_reading_by_path_says_what_is_missing(tmp_path):
    async def main():
        await zarrs_c.read(str(tmp_path / "nothing"))

    with pytest.raises(zarrs_c.NotFoundError, match="nothing"):
        run(main())


@pytest.mark.parametrize(
    ("name", "metadata"),
    [("zarr.json", {"zarr_format": 3, "node_type": "group"}), (".zgroup", {"zarr_format": 2})],
)
def test_a_group_is_not_an_array(name, metadata, tmp_path):
    (tmp_path / name).write_text(json.dumps(metadata))
    error = failure_to_open(tmp_path)
    assert isinstance(error, zarrs_c.NotFoundError)
    assert "group" in str(error)


def test_the_other_format_is_not_found(field):
    assert isinstance(failure_to_open(field.path, zarr_format=2), zarrs_c.NotFoundError)


@pytest.mark.parametrize("zarr_format", [1, 4, "3", 2.5])
def test_a_format_that_there_is_not_is_refused(zarr_format, field):
    with pytest.raises((ValueError, TypeError), match="zarr_format"):
        sync.open_array(field.path, zarr_format=zarr_format)


@pytest.fixture
def broken(field, tmp_path):
    """A copy of an array, and a function that changes its metadata."""
    shutil.copytree(field.path, tmp_path / "a")

    def change(edit):
        path = tmp_path / "a" / "zarr.json"
        metadata = json.loads(path.read_text())
        path.write_text(json.dumps(edit(metadata) or metadata))
        return tmp_path / "a"

    change.path = tmp_path / "a"
    return change


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\x01", '{"zarr_format": 3', "zarr", '{"a": 1} x'])
def test_broken_json_is_an_error_that_names_the_file(text, broken):
    (broken.path / "zarr.json").write_text(text)
    error = failure_to_open(broken.path)
    assert error.code in (1, 5)
    assert error.key == "zarr.json"


def test_metadata_that_is_not_text_is_an_error_that_names_the_file(broken):
    (broken.path / "zarr.json").write_bytes(b"\xff\xfe{}")
    assert failure_to_open(broken.path).key == "zarr.json"


@pytest.mark.parametrize(
    "key", ["shape", "data_type", "chunk_grid", "chunk_key_encoding", "codecs", "fill_value", "zarr_format"]
)
def test_metadata_without_a_member_that_it_needs_is_an_error(key, broken):
    path = broken(lambda metadata: metadata.pop(key) and None)
    error = failure_to_open(path)
    assert error.key == "zarr.json"


def codec(name):
    return {"name": name, "configuration": {}}


UNKNOWN = {
    "unknown codec": (lambda m: m["codecs"].append(codec("made-up-codec")), "made-up-codec"),
    "unknown data type": (lambda m: m.update(data_type="float48"), "float48"),
    "unknown chunk grid": (lambda m: m["chunk_grid"].update(name="spiral"), "spiral"),
    "unknown key encoding": (lambda m: m.update(chunk_key_encoding={"name": "runes"}), "runes"),
    "unknown member": (lambda m: m.update(made_up={"must_understand": True}), "made_up"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_unknown_is_unsupported_by_name(what, broken):
    edit, word = UNKNOWN[what]
    error = failure_to_open(broken(lambda metadata: edit(metadata) and None))
    assert isinstance(error, zarrs_c.UnsupportedError), repr(error)
    assert isinstance(error, NotImplementedError)
    assert word in str(error)


NONSENSE = {
    "zero chunk": lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[0, 7]),
    "chunk of other rank": lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[10]),
    "negative shape": lambda m: m.update(shape=[-1, 63]),
    "fill value of another type": lambda m: m.update(fill_value="red"),
    "no array-to-bytes codec": lambda m: m.update(codecs=[m["codecs"][1]]),
    "two array-to-bytes codecs": lambda m: m.update(codecs=[m["codecs"][0], m["codecs"][0]]),
    "shape that overflows": lambda m: m.update(shape=[2**62, 2**62]),
    "format 4": lambda m: m.update(zarr_format=4),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_in_the_metadata_is_an_error_and_not_a_crash(what, broken):
    path = broken(lambda metadata: NONSENSE[what](metadata) and None)
    if what == "shape that overflows":  # which is sparse, not wrong
        array = sync.open_array(path)
        assert array[2**61, 2**61] == 0
        return
    assert isinstance(failure_to_open(path), (ValueError, NotImplementedError))


def test_a_chunk_that_no_memory_could_hold_is_an_error(broken):
    path = broken(lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[2**40, 2**40]))
    with pytest.raises(zarrs_c.Error):
        sync.read(sync.open_array(path), np.s_[0, 0])


def test_variable_length_data_types_are_unsupported_at_the_read(broken):
    def edit(metadata):
        metadata.update(data_type="string", fill_value="", codecs=[{"name": "vlen-utf8"}])

    path = broken(edit)
    with pytest.raises(zarrs_c.UnsupportedError):
        sync.read(sync.open_array(path))


# ---- Chunks that do not decode ----


def corrupt(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "one byte short":
        data = data[:-1]
    elif how == "one byte long":
        data += b"\0"
    elif how == "flipped bit":
        data[len(data) // 2] ^= 0x10
    elif how == "flipped bit at the end":
        data[-1] ^= 1
    elif how == "noise":
        data = bytearray(np.random.default_rng(5).integers(0, 256, len(data), np.uint8).tobytes())
    path.write_bytes(data)


CHECKED_ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
BLOSC = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
CORRUPTIONS = [
    ("raw", [simple.LITTLE], ["truncated", "empty", "one byte short", "one byte long"]),
    ("zstd", [simple.LITTLE, simple.ZSTD], ["truncated", "empty", "one byte short", "noise"]),
    ("zstd-checksum", [simple.LITTLE, CHECKED_ZSTD], ["flipped bit", "flipped bit at the end", "truncated"]),
    ("crc32c", [simple.LITTLE, simple.CRC32C], ["flipped bit", "flipped bit at the end", "truncated", "empty"]),
    ("zstd-crc32c", [simple.LITTLE, simple.ZSTD, simple.CRC32C], ["flipped bit", "truncated", "noise"]),
    ("gzip", [simple.LITTLE, GZIP], ["truncated", "empty", "noise", "flipped bit at the end"]),
    ("blosc", [simple.LITTLE, BLOSC], ["truncated", "empty", "noise", "one byte short"]),
]


@pytest.mark.parametrize(
    ("codecs", "how"),
    [pytest.param(codecs, how, id=f"{name}-{how}") for name, codecs, hows in CORRUPTIONS for how in hows],
)
def test_a_corrupt_chunk_is_a_codec_error_with_its_key_and_the_buffer_is_free_to_reuse(codecs, how, tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array((60, 40)) + 1, (20, 10), codecs=codecs)
    good = stored.chunk_path(1, 2).read_bytes()
    corrupt(stored.chunk_path(1, 2), how)
    array = sync.open_array(stored.path)
    buffer = canary((60, 40), "f4")

    async def main():
        with pytest.raises(zarrs_c.CodecError) as caught:
            await zarrs_c.read_into(buffer, array)
        assert zarrs_c.stats().operations_in_flight == 0
        buffer[...] = -1  # nobody else writes to it any more
        await asyncio.sleep(0.01)
        assert (buffer == -1).all()
        await zarrs_c.read_into(buffer[:20], array, np.s_[:20])  # a part that does not need the chunk
        return caught.value

    error = run(main())
    assert error.key == stored.chunk_key(1, 2)
    assert error.code == 4
    assert isinstance(error, ValueError)
    np.testing.assert_array_equal(buffer[:20], stored.data[:20])
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.read(array, np.s_[25, 25])
    assert caught.value.key == error.key
    stored.chunk_path(1, 2).write_bytes(good)
    np.testing.assert_array_equal(sync.read_into(buffer, array), stored.data)


def shard_index(path):
    """The index of a shard of 16 inner chunks at its end: (offset, size) of each, then a checksum."""
    data = bytearray(path.read_bytes())
    return data, len(data) - 16 * 16 - 4


SHARD_DAMAGE = {
    "checksum": lambda data, at: data.__setitem__(slice(-4, None), b"oops"),
    "entry": lambda data, at: data.__setitem__(at + 3, data[at + 3] ^ 0xFF),
    "no index": lambda data, at: data.__delitem__(slice(at, None)),
    "nothing": lambda data, at: data.clear(),
    "a few bytes": lambda data, at: data.__delitem__(slice(10, None)),
}


@pytest.mark.parametrize("what", SHARD_DAMAGE)
def test_a_broken_shard_index_is_a_codec_error_with_the_shards_key(what, sharded, tmp_path):
    shutil.copytree(sharded.path, tmp_path / "a")
    path = tmp_path / "a" / sharded.chunk_key(1, 0)
    data, at = shard_index(path)
    SHARD_DAMAGE[what](data, at)
    path.write_bytes(data)
    array = sync.open_array(tmp_path / "a")
    for selection in (..., np.s_[16:20, 0:5], np.s_[17, 3]):
        with pytest.raises(zarrs_c.CodecError) as caught:
            sync.read(array, selection)
        assert caught.value.key == sharded.chunk_key(1, 0)
    np.testing.assert_array_equal(array[:16], sharded.data[:16])


@pytest.mark.parametrize(
    ("offset", "size"),
    [(2**62, 10), (10, 2**62), (2**64 - 2, 10), (2**64 - 1, 10), (0, 2**64 - 1), (2**63, 2**63), (0, 0), (0, 10**9)],
)
def test_a_shard_index_that_points_nowhere_is_a_codec_error(offset, size, tmp_path):
    little = [simple.LITTLE]  # an index without a checksum, so that the entry itself must be judged
    stored = simple.store(
        tmp_path / "a", simple.random_array((16, 20), "int32") + 1, (4, 5), shards=(16, 20), index_codecs=little
    )
    path = stored.chunk_path(0, 0)
    data = bytearray(path.read_bytes())
    data[-256:-240] = offset.to_bytes(8, "little") + size.to_bytes(8, "little")
    path.write_bytes(data)
    array = sync.open_array(stored.path)
    buffer = canary((16, 20), "i4")
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.read_into(buffer, array)
    assert caught.value.key == "c/0/0"
    np.testing.assert_array_equal(array[4:], stored.data[4:])


def test_an_inner_chunk_that_does_not_decode_is_a_codec_error_with_the_shards_key(tmp_path):
    codecs = [simple.LITTLE, simple.CRC32C]
    stored = simple.store(
        tmp_path / "a", simple.random_array((32, 20), "int32") + 1, (4, 5), shards=(16, 20), codecs=codecs
    )
    path = stored.chunk_path(1, 0)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    array = sync.open_array(stored.path)
    with pytest.raises(zarrs_c.CodecError) as caught:
        array[...]
    assert caught.value.key == "c/1/0"
    np.testing.assert_array_equal(array[:16], stored.data[:16])


def test_a_folder_in_place_of_a_chunk_is_no_chunk(field, tmp_path):
    """As zarr-python has it: it is what nested keys look like in a file system."""
    shutil.copytree(field.path, tmp_path / "a")
    path = tmp_path / "a" / field.chunk_key(2, 3)
    path.unlink()
    path.mkdir()
    array = sync.open_array(tmp_path / "a")
    assert not array[20:30, 21:28].any()
    assert sync.read_encoded_chunk(array, (2, 3)) is None


def test_a_chunk_that_cannot_be_read_is_a_storage_error_with_its_key(field, tmp_path):
    shutil.copytree(field.path, tmp_path / "a")
    path = tmp_path / "a" / field.chunk_key(2, 3)
    path.unlink()
    path.symlink_to(path)  # permissions would not stop root
    array = sync.open_array(tmp_path / "a")
    with pytest.raises(zarrs_c.StorageError) as caught:
        array[...]
    assert caught.value.key == field.chunk_key(2, 3)
    assert isinstance(caught.value, OSError)


def test_a_bad_region_of_a_batch_stops_the_others_and_is_named(tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array((60, 40)) + 1, (20, 10))
    corrupt(stored.chunk_path(2, 0), "noise")
    array = sync.open_array(stored.path)
    buffers = [canary((20, 40), "f4") for _ in range(3)]

    async def main():
        await zarrs_c.read_many([(b, array, np.s_[20 * i : 20 * i + 20]) for i, b in enumerate(buffers)])

    with pytest.raises(zarrs_c.CodecError, match="region 2") as caught:
        run(main())
    assert caught.value.key == stored.chunk_key(2, 0)


# ---- Stores and errors ----


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
