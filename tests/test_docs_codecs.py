"""docs/codecs.md tells the truth: what it lists opens, and what it says is not read is refused by name."""

import base64
import json
import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import zarrs_c

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "codecs.md").read_text()
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def column(heading: str, number: int) -> list[str]:
    """The names in backticks in one column of the table under a heading."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.replace(r"\|", "¦").split("|") for line in section.splitlines() if line.startswith("|")][2:]
    return [name.replace("¦", "|") for row in rows for name in re.findall(r"`([^`]+)`", row[number])]


def not_read(heading: str) -> str:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return next(paragraph for paragraph in section.split("\n\n") if paragraph.startswith("Not read"))


def open_v3(folder, data_type="float32", fill_value=0, codecs=(LITTLE,), grid=None):
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 6],
        "data_type": data_type,
        "chunk_grid": grid or {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill_value,
        "codecs": list(codecs),
    }
    (folder / "zarr.json").write_text(json.dumps(metadata))
    return zarrs_c.sync.open_array(folder)


def open_v2(folder, dtype="<f4", fill_value=0, **changes):
    metadata = {
        "zarr_format": 2,
        "shape": [4, 6],
        "dtype": dtype,
        "chunks": [2, 3],
        "fill_value": fill_value,
        "order": "C",
        "filters": None,
        "compressor": None,
    }
    (folder / ".zarray").write_text(json.dumps(metadata | changes))
    return zarrs_c.sync.open_array(folder)


# ==== Data types ====

TEN_SECONDS = {"unit": "s", "scale_factor": 10}
DATA_TYPES = {  # those that need a configuration, or a fill value that is not 0, or are not NumPy's by name
    "bool": ("bool", False, np.dtype(bool)),
    "complex64": ("complex64", [0, 0], np.dtype("c8")),
    "complex128": ("complex128", [0, 0], np.dtype("c16")),
    "bfloat16": ("bfloat16", 0, np.dtype(ml_dtypes.bfloat16)),
    "numpy.datetime64": (
        {"name": "numpy.datetime64", "configuration": TEN_SECONDS},
        "NaT",
        np.dtype("M8[10s]"),
    ),
    "numpy.timedelta64": (
        {"name": "numpy.timedelta64", "configuration": TEN_SECONDS},
        "NaT",
        np.dtype("m8[10s]"),
    ),
    "fixed_length_utf32": (
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}},
        "",
        np.dtype("U3"),
    ),
    "r8": ("r8", [0], np.dtype("V1")),
    "r16": ("r16", [0, 0], np.dtype("V2")),
    "r24": ("r24", [0, 0, 0], np.dtype("V3")),
}


@pytest.mark.parametrize("name", column("Data types", 1))
def test_a_data_type_of_the_table_opens_as_its_numpy_type(name, tmp_path):
    data_type, fill_value, dtype = DATA_TYPES.get(name) or (name, 0, np.dtype(name))
    array = open_v3(tmp_path, data_type, fill_value)
    assert array.dtype == dtype
    assert array[:].dtype == dtype


@pytest.mark.parametrize("dtype", column("Data types", 2))
def test_a_v2_data_type_of_the_table_opens_as_its_numpy_type(dtype, tmp_path):
    dtype = dtype + "3" if dtype.endswith("U") else dtype
    fill_value = {
        "b": False,
        "U": "",
        "c": [0, 0],
        "V": base64.b64encode(bytes(int(dtype[2:]))).decode(),
    }.get(dtype[1], 0)
    array = open_v2(tmp_path, dtype, fill_value)
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    assert array[:].dtype == array.dtype


@pytest.mark.parametrize(
    "name", ["int2", "int4", "uint2", "uint4", "float8_e4m3", "float8_e5m2", "float6_e2m3fn"]
)
def test_small_types_come_as_one_byte(name, tmp_path):
    assert open_v3(tmp_path, name, "0x00" if name.startswith("float") else 0)[:].itemsize == 1


@pytest.mark.parametrize(
    ("data_type", "fill_value"),
    [
        ({"name": "null_terminated_bytes", "configuration": {"length_bytes": 4}}, ""),
        ({"name": "structured", "configuration": {"fields": [["a", "int8"]]}}, "AA=="),
    ],
    ids=["null_terminated_bytes", "structured"],
)
def test_a_data_type_that_zarrs_lacks_is_refused_by_name(data_type, fill_value, tmp_path):
    with pytest.raises(zarrs_c.UnsupportedError, match=data_type["name"]):
        open_v3(tmp_path, data_type, fill_value)


@pytest.mark.parametrize("dtype", ["|S4", "<M8[s]", "<m8[s]"])
def test_a_v2_data_type_that_zarrs_lacks_is_refused(dtype, tmp_path):
    with pytest.raises(zarrs_c.UnsupportedError):
        open_v2(tmp_path, dtype, None)


@pytest.mark.parametrize(("name", "codec"), [("string", "vlen-utf8"), ("bytes", "vlen-bytes")])
def test_variable_length_types_open_and_are_not_read(name, codec, tmp_path):
    array = open_v3(tmp_path, name, "" if name == "string" else [], [{"name": codec}])
    assert array.shape == (4, 6)
    with pytest.raises(zarrs_c.UnsupportedError, match="variable length"):
        array[:]


# ==== Codecs ====

SCALE = {"offset": 0, "scale": 10, "dtype": "<f4", "astype": "<i2"}
BLOSC = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0}
PCODEC = {"level": 8, "mode_spec": "auto", "delta_spec": "auto", "paging_spec": "equal_pages_up_to"}
PCODEC |= {"delta_encoding_order": None, "equal_pages_up_to": 262144}
ZFPY = {"mode": 4, "compression_kwargs": {"tolerance": 0.1}, "tolerance": 0.1, "rate": -1, "precision": -1}
SHARDS = {"chunk_shape": [2, 3], "codecs": [LITTLE], "index_codecs": [LITTLE, {"name": "crc32c"}]}
CODECS = {
    "transpose": {"order": [1, 0]},
    "bitround": {"keepbits": 10},
    "numcodecs.fixedscaleoffset": SCALE,
    "reshape": {"shape": [6]},
    "zarrs.squeeze": {},
    "bytes": {"endian": "big"},
    "sharding_indexed": SHARDS,
    "packbits": {},
    "numcodecs.pcodec": PCODEC,
    "zfp": {"mode": "reversible"},
    "numcodecs.zfpy": ZFPY,
    "zstd": {"level": 1, "checksum": True},
    "blosc": BLOSC,
    "gzip": {"level": 1},
    "crc32c": {},
    "numcodecs.zlib": {"level": 1},
    "numcodecs.bz2": {"level": 1},
    "numcodecs.shuffle": {"elementsize": 4},
    "numcodecs.adler32": {},
    "numcodecs.fletcher32": {},
    "zarrs.gdeflate": {"level": 1},
}
TO_ARRAY = {"transpose", "bitround", "numcodecs.fixedscaleoffset", "reshape", "zarrs.squeeze"}
TO_BYTES = {"bytes", "sharding_indexed", "packbits", "numcodecs.pcodec", "zfp", "numcodecs.zfpy"}
V2_CODECS = {
    "fixedscaleoffset": SCALE,
    "pcodec": PCODEC,
    "zfpy": ZFPY,
    "zstd": {"level": 1},
    "blosc": BLOSC | {"shuffle": 1},
    "gzip": {"level": 1},
    "zlib": {"level": 1},
    "bz2": {"level": 1},
    "shuffle": {"elementsize": 4},
    "adler32": {},
    "fletcher32": {},
}
NOT_READ = re.findall(r"`([a-z0-9_]+)`", not_read("Codecs").split("A v3 codec")[0])
V2_FILTERS = {"fixedscaleoffset", "shuffle"}


@pytest.mark.parametrize("name", column("Codecs", 2))
def test_a_codec_of_the_table_opens(name, tmp_path):
    codec = {"name": name, "configuration": CODECS[name]}
    chain = [codec] if name in TO_BYTES else [codec, LITTLE] if name in TO_ARRAY else [LITTLE, codec]
    data_type = "bool" if name == "packbits" else "float32"
    array = open_v3(tmp_path, data_type, False if data_type == "bool" else 0, chain)
    assert not array[:].any()


@pytest.mark.parametrize("name", [name for name in column("Codecs", 3) if name in V2_CODECS])
def test_a_v2_codec_of_the_table_opens(name, tmp_path):
    codec = {"id": name} | V2_CODECS[name]
    place = {"filters": [codec]} if name in V2_FILTERS else {"compressor": codec}
    assert not open_v2(tmp_path, **place)[:].any()


def test_the_v2_column_has_nothing_untested():
    assert set(column("Codecs", 3)) - set(V2_CODECS) == {'"order": "F"'}


@pytest.mark.parametrize("name", NOT_READ)
def test_a_codec_that_zarrs_lacks_is_refused_by_name(name, tmp_path):
    with pytest.raises(zarrs_c.UnsupportedError, match=name):
        open_v2(tmp_path, compressor={"id": name})
    if name not in CODECS:
        with pytest.raises(zarrs_c.UnsupportedError, match=name):
            open_v3(tmp_path, codecs=[LITTLE, {"name": f"numcodecs.{name}", "configuration": {}}])


def test_a_codec_that_need_not_be_understood_is_passed_over(tmp_path):
    codec = {"name": "example.unheard-of", "configuration": {}, "must_understand": False}
    assert not open_v3(tmp_path, codecs=[LITTLE, codec])[:].any()


# ==== Grids ====


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("regular", {"chunk_shape": [3, 4]}),
        ("rectilinear", {"kind": "inline", "chunk_shapes": [[1, 3], [[2, 3]]]}),
    ],
)
def test_the_chunk_grids_named_open(name, configuration, tmp_path):
    assert f"`{name}`" in TEXT
    array = open_v3(tmp_path, grid={"name": name, "configuration": configuration})
    assert not array[:].any()


def test_a_chunk_grid_of_another_name_is_refused_by_name(tmp_path):
    with pytest.raises(zarrs_c.UnsupportedError, match="hexagonal"):
        open_v3(tmp_path, grid={"name": "hexagonal", "configuration": {}})
