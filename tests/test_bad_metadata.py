"""Arrays that are missing, broken or beyond what zarrs reads: the named class, and the file concerned."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from helpers.failing import failure_to_open
from helpers.running import run

import zarrs_c
from zarrs_c import sync


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


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "\x00\x01", '{"zarr_format": 3', "zarr", '{"a": 1} x']
)
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


UNSUPPORTED_V2 = {
    "codec": ({"compressor": {"id": "lz4", "acceleration": 1}}, "lz4"),
    "filter": ({"filters": [{"id": "delta", "dtype": "<f4"}]}, "delta"),
    "checksum": ({"filters": [{"id": "crc32c"}]}, "crc32c"),
    "time": ({"dtype": "<M8[s]"}, "<M8[s]"),
    "bytes": ({"dtype": "|S3", "fill_value": ""}, "|S3"),
    "structure": ({"dtype": [["a", "<f4"], ["b", "<i2"]], "fill_value": None}, "a"),
}


@pytest.mark.parametrize("what", UNSUPPORTED_V2)
def test_what_zarrs_does_not_have_for_v2_is_unsupported_by_name(what, tmp_path):
    changes, word = UNSUPPORTED_V2[what]
    metadata = {"zarr_format": 2, "shape": [4], "chunks": [2], "dtype": "<f4", "fill_value": 0, "order": "C"}
    metadata |= {"filters": None, "compressor": None} | changes
    (tmp_path / ".zarray").write_text(json.dumps(metadata))
    error = failure_to_open(tmp_path)
    assert isinstance(error, zarrs_c.UnsupportedError), repr(error)
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
