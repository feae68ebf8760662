"""The metadata of new arrays: what zarr-python writes for the same arguments, and what it would not write, refused."""

from __future__ import annotations

import json
import re
import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_docs_codecs import column

from zarrs_c import InvalidError, UnsupportedError, sync
from zarrs_c._codecs import CODECS_V2, COMPRESSORS, FILTERS, SERIALIZERS
from zarrs_c._create import array_metadata
from zarrs_c._data_types import data_type


def ours(**arguments) -> dict:
    return json.loads(array_metadata(**arguments))


def theirs(**arguments) -> dict:
    """What zarr-python stores for the same arguments, in the form of ours."""
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    store = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not in the core of the specification
        zarr.create_array(zarr.storage.MemoryStore(store), **arguments)
    stored = {key: json.loads(value.to_bytes()) for key, value in store.items()}
    if "zarr.json" in stored:
        return stored["zarr.json"]
    return stored[".zarray"] | {"attributes": stored[".zattrs"]}


def exact(value) -> str:
    """JSON text that tells 0 from 0.0 and from -0.0, whatever the order of members."""
    return json.dumps(value, sort_keys=True)


def check_same(**arguments):
    assert exact(ours(**arguments)) == exact(theirs(**arguments))


def opened(folder, **arguments):
    """The array that our reader finds in the metadata."""
    metadata = ours(**arguments)
    folder.mkdir(exist_ok=True)
    if metadata["zarr_format"] == 3:
        (folder / "zarr.json").write_text(json.dumps(metadata))
    else:
        (folder / ".zattrs").write_text(json.dumps(metadata.pop("attributes")))
        (folder / ".zarray").write_text(json.dumps(metadata))
    return sync.open_array(folder)


# ==== The same as zarr-python ====

PLAIN = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]
SPELLINGS = [*PLAIN, "<f4", ">f4", ">i2", "?", "u1", "c8", "U3", ">U7", float, int, bool, complex, np.int8]
SPELLINGS += [np.float32, np.dtype(">c16")]
TIMES = ["M8[ns]", "M8[D]", "m8[s]", "m8[10us]", "datetime64", "timedelta64[ms]"]


@pytest.mark.parametrize("zarr_format", [3, 2])
@pytest.mark.parametrize("dtype", SPELLINGS, ids=str)
def test_data_types(dtype, zarr_format):
    check_same(shape=(10, 4), dtype=dtype, chunks=(3, 4), zarr_format=zarr_format)


@pytest.mark.parametrize("dtype", TIMES)
def test_times(dtype):
    check_same(shape=10, dtype=dtype, chunks=3)
    with pytest.raises(UnsupportedError, match="dtype"):
        array_metadata(shape=10, dtype=dtype, zarr_format=2)


def test_raw_bytes_are_the_same_in_format_2_and_the_specifications_own_in_format_3():
    check_same(shape=10, dtype="V5", chunks=3, zarr_format=2)
    check_same(shape=10, dtype="V5", chunks=3, zarr_format=2, fill_value=b"abcde")
    metadata = ours(shape=10, dtype="V5", chunks=3, fill_value=b"abcde")
    assert (metadata["data_type"], metadata["fill_value"]) == ("r40", list(b"abcde"))
    assert ours(shape=10, dtype="r40") == ours(shape=10, dtype=np.dtype("V5"))


def test_data_types_of_zarr_python_and_in_the_form_of_metadata():
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    for dtype in (
        zarr.dtype.Int16(),
        zarr.dtype.DateTime64(unit="s", scale_factor=10),
        {"name": "numpy.timedelta64", "configuration": {"unit": "generic", "scale_factor": 1}},
        {"name": "fixed_length_utf32", "configuration": {"length_bytes": 12}},
    ):
        check_same(shape=10, dtype=dtype, chunks=3)


VALUES = {
    "bool": [True, False, np.True_, 1],
    "int8": [-128, 127, np.int64(5), 3.0, True],
    "uint64": [2**64 - 1, 2**53 + 1],
    "int64": [-(2**63), np.array(7)],
    "float16": [0.1, np.inf, 65504],
    "float32": [np.nan, np.inf, -np.inf, -0.0, 0.1, np.float64(0.1), np.float32(0.1), "NaN", 2**24 + 1],
    "float64": [np.nan, 5e-324, 0.1, 2**53 + 1, np.float32(0.1), "-Infinity", 1e308],
    "complex64": [1 + 2j, complex("nan"), complex(-0.0, np.inf), 1, 0.1],
    "complex128": [np.complex64(0.1), -1j],
    "U3": ["é", "", "🦓ab"],
    "M8[D]": [np.datetime64("2020-01-02"), "2020-01-02", "NaT", 5, -5],
    "M8[ns]": [np.datetime64("2020-01-02"), "2020-01-02T03:04:05.000000006"],
    "m8[s]": [np.timedelta64(1, "D"), np.timedelta64("NaT"), 5, "NaT"],
}


@pytest.mark.parametrize(
    ("dtype", "value"), [(d, v) for d, values in VALUES.items() for v in values], ids=repr
)
def test_fill_values(dtype, value, tmp_path):
    for zarr_format in (3, 2) if dtype[0] not in "mM" else (3,):
        arguments = {"shape": 4, "dtype": dtype, "chunks": 2, "fill_value": value, "zarr_format": zarr_format}
        check_same(**arguments)
        array = opened(tmp_path / str(zarr_format), **arguments)
        stored = (
            value
            if not isinstance(value, str) or dtype[0] in "UMm"
            else float(value.replace("Infinity", "inf"))
        )
        expected = np.array(stored).astype(dtype)
        assert np.array(array.fill_value, array.dtype).tobytes() == expected.tobytes()
        assert array[...].tobytes() == 4 * expected.tobytes()


SHARDED = {"shape": (64, 60), "dtype": "uint16", "chunks": (4, 5), "shards": (32, 20)}
VARIATIONS = {
    "no-compressor": {"compressors": None},
    "empty-compressors": {"compressors": ()},
    "gzip": {"compressors": {"name": "gzip", "configuration": {"level": 3}}},
    "gzip-default": {"compressors": {"name": "gzip", "configuration": {}}},
    "zstd-default": {"compressors": [{"name": "zstd", "configuration": {}}]},
    "blosc-default": {"compressors": [{"name": "blosc", "configuration": {}}]},
    "blosc": {
        "compressors": [
            {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 9, "shuffle": "noshuffle"}}
        ]
    },
    "several": {
        "compressors": [
            {"name": "zstd", "configuration": {"level": 3, "checksum": True}},
            {"name": "crc32c"},
        ],
        "filters": [{"name": "transpose", "configuration": {"order": [1, 0]}}],
    },
    "big": {"serializer": {"name": "bytes", "configuration": {"endian": "big"}}},
    "bytes-of-one": {"dtype": "int8", "serializer": {"name": "bytes", "configuration": {"endian": "big"}}},
    "zlib": {"compressors": {"name": "numcodecs.zlib", "configuration": {"level": 3}}},
    "shuffle": {"compressors": {"name": "numcodecs.shuffle", "configuration": {}}},
    "names": {"dimension_names": ("y", None)},
    "attributes": {"attributes": {"a": 1, "b": [1.5, None, {"c": "é"}], "d": True, "long": 2**70}},
    "v2-keys": {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "default-keys": {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}}},
    "keys-by-name": {"chunk_key_encoding": {"name": "v2"}},
    "0-d": {"shape": (), "chunks": ()},
    "auto": {"chunks": "auto"},
    "one": {"shape": 100, "chunks": 10},
    "empty": {"shape": (0, 5), "chunks": "auto"},
    "shards": SHARDED,
    "shards-at-start": SHARDED | {"shards": {"shape": (32, 20), "index_location": "start"}},
    "shards-plain": SHARDED | {"compressors": None, "fill_value": 9},
    "shards-auto": SHARDED | {"shards": "auto"},
    "shards-auto-auto": SHARDED | {"shards": "auto", "chunks": "auto", "shape": (9000, 7000)},
    "shards-as-serializer": {
        "serializer": {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [5, 1],
                "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
                "index_location": "start",
            },
        },
        "compressors": None,
    },
    "numpy-integers": {"shape": np.array([10, 4]), "chunks": (np.int64(5), np.uint8(2))},
}


@pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS)
def test_arguments_of_format_3(variation, tmp_path):
    arguments = {"shape": (10, 4), "dtype": "float32", "chunks": (5, 2)} | variation
    check_same(**arguments)
    array = opened(tmp_path / "a", **arguments)
    assert array.dtype == np.dtype(arguments["dtype"])
    assert not np.any(array[...] != array.fill_value)


def test_codecs_of_zarr_python():
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    import zarr.codecs.numcodecs as numcodecs_v3

    codecs = zarr.codecs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = [
            codecs.ZstdCodec(level=4),
            [codecs.GzipCodec(), codecs.Crc32cCodec()],
            codecs.BloscCodec(),
            codecs.BloscCodec(typesize=8, shuffle="noshuffle"),
            codecs.BloscCodec(cname="lz4", clevel=2),
            (numcodecs_v3.Zlib(level=2), numcodecs_v3.Adler32()),
            numcodecs_v3.Shuffle(),
        ]
        filters = [codecs.TransposeCodec(order=(1, 0)), numcodecs_v3.BitRound(keepbits=3)]
    for dtype in ("int8", "float32"):
        for compressors in chosen:
            check_same(shape=(10, 4), dtype=dtype, chunks=(5, 2), compressors=compressors)
    check_same(
        shape=(10, 4), dtype="f4", chunks=(5, 2), filters=filters, serializer=codecs.BytesCodec(endian="big")
    )


def test_codecs_of_numcodecs_in_format_3_have_the_names_that_everyone_reads():
    numcodecs = pytest.importorskip("numcodecs", reason="numcodecs needs Python 3.11")
    for codec, name, configuration in [
        (numcodecs.Zstd(level=3), "zstd", {"level": 3, "checksum": False}),
        (numcodecs.GZip(level=2), "gzip", {"level": 2}),
        (
            numcodecs.Blosc("lz4", 3, numcodecs.Blosc.BITSHUFFLE),
            "blosc",
            {"cname": "lz4", "clevel": 3, "shuffle": "bitshuffle", "blocksize": 0, "typesize": 2},
        ),
        (
            numcodecs.Blosc("zstd", 3, numcodecs.Blosc.AUTOSHUFFLE),
            "blosc",
            {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "blocksize": 0, "typesize": 2},
        ),
        (numcodecs.Zlib(level=2), "numcodecs.zlib", {"level": 2}),
        (numcodecs.Shuffle(2), "numcodecs.shuffle", {"elementsize": 2}),
    ]:
        metadata = ours(shape=10, dtype="int16", chunks=5, compressors=codec)
        assert metadata["codecs"][1] == {"name": name, "configuration": configuration}


def test_arguments_of_format_2(tmp_path):
    numcodecs = pytest.importorskip("numcodecs", reason="numcodecs needs Python 3.11")
    variations = [
        {},
        {"compressors": None},
        {"compressors": ()},
        {"compressors": numcodecs.Zlib(level=3)},
        {"compressors": [numcodecs.Zstd(level=3, checksum=True)]},
        {"compressors": {"id": "gzip", "level": 3}},
        {"compressors": numcodecs.Blosc()},
        {"compressors": numcodecs.Blosc(shuffle=numcodecs.Blosc.AUTOSHUFFLE)},
        {"filters": [numcodecs.Shuffle(4)], "compressors": numcodecs.BZ2(2)},
        {"filters": None, "order": "F"},
        {"filters": [], "attributes": {"x": [1, 2]}},
        {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"shape": (), "chunks": ()},
    ]
    for number, variation in enumerate(variations):
        arguments = {"shape": (10, 4), "dtype": "<f4", "chunks": (5, 2), "zarr_format": 2} | variation
        check_same(**arguments)
        assert not opened(tmp_path / str(number), **arguments)[...].any()
    assert exact(ours(shape=5, dtype="f4", zarr_format=2, filters=numcodecs.Shuffle(4))["filters"]) == exact(
        [{"id": "shuffle", "elementsize": 4}]
    )


lengths = st.integers(0, 10**6) | st.integers(0, 30) | st.integers(0, 2**62)


@settings(max_examples=300, deadline=None)
@given(
    shape=st.lists(lengths, max_size=5),
    dtype=st.sampled_from(["int8", "uint16", "float64", "U1000", "complex128"]),
    shards=st.sampled_from([None, "auto"]),
)
@example(shape=[1024, 1024, 1024], dtype="uint16", shards=None)
@example(shape=[2**62] * 32, dtype="complex128", shards="auto")
@example(shape=[0], dtype="U1000", shards=None)
def test_automatic_chunks_and_shards(shape, dtype, shards):
    if shards and not shape:
        return  # zarrs and tensorstore have no shards without dimensions
    check_same(shape=shape, dtype=dtype, chunks="auto", shards=shards)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_float_is_kept_bit_for_bit(data, tmp_path_factory):
    dtype = np.dtype(
        data.draw(st.sampled_from(["float16", "float32", "float64", "complex64", "complex128", "bfloat16"]))
    )
    raw = data.draw(st.binary(min_size=dtype.itemsize, max_size=dtype.itemsize))
    value = np.frombuffer(raw, dtype)[0]
    array = opened(tmp_path_factory.mktemp("fill"), shape=2, dtype=dtype, fill_value=value)
    assert np.asarray(array.fill_value).tobytes() == raw
    assert array[...].tobytes() == 2 * raw


def test_format_2_has_one_nan(tmp_path):
    other = np.array(0xFFC00001, "u4").view("f4")[()]
    metadata = ours(shape=2, dtype="f4", fill_value=other, zarr_format=2)
    assert metadata["fill_value"] == "NaN"
    assert ours(shape=2, dtype="f4", fill_value=other)["fill_value"] == "0xffc00001"
    assert ours(shape=2, dtype="f4", fill_value="0xffc00001")["fill_value"] == "0xffc00001"


# ==== What zarr-python does not have ====

SMALL = {
    "bfloat16": [(1.5, 1.5), ("0x7fc1", "0x7fc1"), (np.inf, "0x7f80"), (np.nan, "NaN"), (-0.0, -0.0)],
    "float8_e4m3": [(1.5, "0x3c"), (np.inf, "0x78"), ("0x80", "0x80"), (None, "0x00")],
    "float8_e5m2": [(ml_dtypes.float8_e5m2(-2), "0xc0")],
    "int4": [(-8, -8), (7, 7), (None, 0), (ml_dtypes.int4(3), 3)],
    "uint2": [(3, 3)],
}


@pytest.mark.parametrize(
    ("name", "value", "stored"), [(name, *pair) for name, pairs in SMALL.items() for pair in pairs], ids=repr
)
def test_types_of_ml_dtypes(name, value, stored, tmp_path):
    for dtype in (name, getattr(ml_dtypes, name), np.dtype(name)):
        metadata = ours(shape=4, dtype=dtype, chunks=2, fill_value=value)
        assert (metadata["data_type"], exact(metadata["fill_value"])) == (name, exact(stored))
        endian = {"configuration": {"endian": "little"}} if name == "bfloat16" else {}
        assert metadata["codecs"][0] == {"name": "bytes"} | endian
    array = opened(tmp_path, shape=4, dtype=name, chunks=2, fill_value=value)
    assert array.dtype == np.dtype(name)
    if isinstance(value, str):
        assert int(np.asarray(array.fill_value).view(f"u{array.dtype.itemsize}")) == int(value, 16)
    elif value is not None:
        np.testing.assert_array_equal(array.fill_value.astype("f8"), np.asarray(value).astype("f8"))


@pytest.mark.parametrize(
    "name", [name for name in column("Data types", 1) if "numpy." not in name and "utf" not in name]
)
def test_every_data_type_of_the_documents_can_be_created(name, tmp_path):
    assert opened(tmp_path, shape=4, dtype=name, chunks=2)[...].shape == (4,)


def test_the_codecs_are_those_of_the_documents():
    assert {*FILTERS, *SERIALIZERS, *COMPRESSORS} - {"numcodecs.bitround"} == set(column("Codecs", 2))
    assert set(column("Codecs", 3)) - {'"order": "F"'} == CODECS_V2


# ==== What is refused ====

ZLIB = {"name": "numcodecs.zlib", "configuration": {}}
REFUSED = {
    "shape": [
        ({"shape": (-1, 4)}, InvalidError, r"shape .*-1"),
        ({"shape": 2**63}, InvalidError, "shape"),
        ({"shape": (1.5, 4)}, TypeError, r"shape .*1\.5"),
        ({"shape": None}, TypeError, "shape"),
        ({"shape": "10"}, TypeError, "shape"),
        ({"shape": (True, 4)}, TypeError, "shape .*True"),
    ],
    "dtype": [
        ({"dtype": "quaternion"}, InvalidError, "dtype.*quaternion"),
        ({"dtype": None}, TypeError, "dtype"),
        ({"dtype": 17}, TypeError, "dtype"),
        ({"dtype": str}, UnsupportedError, "variable length"),
        ({"dtype": "string"}, UnsupportedError, "variable length"),
        ({"dtype": object}, UnsupportedError, "dtype"),
        ({"dtype": "S4"}, UnsupportedError, "S4"),
        ({"dtype": [("a", "i4")]}, UnsupportedError, "dtype"),
        ({"dtype": "longdouble"}, UnsupportedError, "longdouble"),
        ({"dtype": "float8_e4m3fn"}, UnsupportedError, "float8_e4m3fn"),
        ({"dtype": "bfloat16", "zarr_format": 2}, UnsupportedError, "bfloat16"),
        ({"dtype": {"name": "structured", "configuration": {}}}, UnsupportedError, "structured"),
        ({"dtype": {"name": "numpy.datetime64", "configuration": {}}}, InvalidError, "datetime64"),
        ({"dtype": "r12"}, InvalidError, "r12"),
    ],
    "chunks": [
        ({"chunks": (0, 2)}, InvalidError, r"chunks .*0"),
        ({"chunks": (2,)}, InvalidError, r"chunks \[2\] has 1 .* shape \[10, 4\] has 2"),
        ({"chunks": 5}, InvalidError, "chunks"),
        ({"chunks": None}, TypeError, "chunks"),
        ({"chunks": "big"}, TypeError, "chunks.*big"),
        ({"chunks": (2, "x")}, TypeError, "chunks"),
        ({"chunks": ((5, 5), (2, 2))}, TypeError, "chunks"),
    ],
    "shards": [
        (
            {"shards": (5, 4), "chunks": (2, 2)},
            InvalidError,
            r"shards .*multiples of chunks.*\[5, 4\] of \[2, 2\]",
        ),
        ({"shards": (4,)}, InvalidError, "shards"),
        ({"shards": (4, 0), "chunks": (2, 2)}, InvalidError, "shards"),
        ({"shards": {"size": 4}}, InvalidError, "shards"),
        ({"shards": {"shape": (10, 4), "index_location": "middle"}}, InvalidError, "index_location"),
        ({"shards": (10, 4), "zarr_format": 2}, InvalidError, "shards"),
    ],
    "codecs": [
        ({"compressors": "zstd"}, TypeError, "compressors.*zstd"),
        ({"compressors": 5}, TypeError, "compressors"),
        ({"compressors": [5]}, TypeError, r"compressors\[0\]"),
        ({"compressors": {"id": "zlib"}}, InvalidError, r"compressors\[0\].*name"),
        ({"compressors": {"name": "numcodecs.lzma", "configuration": {}}}, UnsupportedError, "lzma"),
        (
            {"compressors": [ZLIB, {"name": "transpose"}]},
            InvalidError,
            r"compressors\[1\].*transpose.*filters",
        ),
        ({"filters": [ZLIB]}, InvalidError, r"filters\[0\].*compressors"),
        ({"filters": [{"name": "transpose", "configuration": {"order": [0, 0]}}]}, InvalidError, "order"),
        ({"serializer": None}, TypeError, "serializer"),
        ({"serializer": {"name": "bytes"}}, InvalidError, "endian"),
        ({"zarr_format": 2, "compressors": [{"id": "zlib"}, {"id": "gzip"}]}, InvalidError, "one compressor"),
        ({"zarr_format": 2, "compressors": ZLIB}, InvalidError, '"id"'),
        ({"zarr_format": 2, "compressors": {"id": "lzma"}}, UnsupportedError, "lzma"),
        ({"zarr_format": 2, "filters": ["zlib"]}, TypeError, r"filters\[0\]"),
        ({"zarr_format": 2, "serializer": {"name": "bytes"}}, InvalidError, "serializer"),
    ],
    "fill_value": [
        ({"dtype": "u1", "fill_value": 256}, InvalidError, "fill_value: 256.*0 to 255"),
        ({"dtype": "u1", "fill_value": 1.5}, InvalidError, "fill_value"),
        ({"dtype": "i4", "fill_value": float("nan")}, InvalidError, "fill_value"),
        ({"dtype": "i4", "fill_value": "1"}, TypeError, "fill_value.*'1'"),
        ({"dtype": "i4", "fill_value": 1j}, TypeError, "fill_value"),
        ({"dtype": "?", "fill_value": 2}, InvalidError, "fill_value"),
        ({"fill_value": 1e39}, InvalidError, "too large"),
        ({"fill_value": 10**400}, InvalidError, "too large"),
        ({"fill_value": "nan"}, InvalidError, "NaN"),
        ({"fill_value": "0x7fc0"}, InvalidError, "8 hexadecimal digits"),
        ({"fill_value": [1, 2]}, TypeError, "fill_value"),
        ({"fill_value": np.zeros(3)}, TypeError, "fill_value"),
        ({"dtype": "U2", "fill_value": "abc"}, InvalidError, "2 characters"),
        ({"dtype": "U2", "fill_value": 5}, TypeError, "string"),
        ({"dtype": "U2", "fill_value": "\ud800"}, InvalidError, "Unicode"),
        ({"dtype": "V2", "fill_value": b"abc"}, InvalidError, "3 bytes, not 2"),
        ({"dtype": "V2", "fill_value": 0}, TypeError, "2 bytes"),
        ({"dtype": "M8[D]", "fill_value": "2020-01-01T01"}, InvalidError, "unit"),
        ({"dtype": "M8[D]", "fill_value": "someday"}, InvalidError, "someday"),
        ({"dtype": "M8[ns]", "fill_value": np.datetime64("5000-01-01")}, InvalidError, "fill_value"),
        ({"dtype": "m8[s]", "fill_value": 1.5}, TypeError, "fill_value"),
        ({"dtype": "m8[s]", "fill_value": np.timedelta64(1, "Y")}, InvalidError, "fill_value"),
        ({"dtype": "int4", "fill_value": 8}, InvalidError, "-8 to 7"),
        ({"dtype": "float8_e5m2", "fill_value": 1e9}, InvalidError, "fill_value"),
    ],
    "names": [
        ({"dimension_names": ["x"]}, InvalidError, "dimension_names has 1 .*2 dimensions"),
        ({"dimension_names": "xy"}, TypeError, "dimension_names"),
        ({"dimension_names": ["x", 1]}, TypeError, "dimension_names"),
        ({"dimension_names": ["x", "y"], "zarr_format": 2}, InvalidError, "dimension_names"),
    ],
    "attributes": [
        ({"attributes": [1]}, TypeError, "attributes"),
        ({"attributes": {1: 2}}, TypeError, "attributes.*1"),
        ({"attributes": {"a": [0, {"b": np.nan}]}}, InvalidError, r"attributes\['a'\]\[1\]\['b'\].*nan"),
        ({"attributes": {"a": np.float32(1)}}, TypeError, r"attributes\['a'\].*float32"),
        ({"attributes": {"a": "\ud800"}}, InvalidError, "Unicode"),
    ],
    "others": [
        ({"zarr_format": 1}, InvalidError, "zarr_format"),
        ({"zarr_format": None}, InvalidError, "zarr_format"),
        ({"order": "F"}, InvalidError, "order.*transpose"),
        ({"order": "A", "zarr_format": 2}, InvalidError, "order"),
        ({"chunk_key_encoding": "v2"}, TypeError, "chunk_key_encoding"),
        ({"chunk_key_encoding": {"name": "v2", "separator": "-"}}, InvalidError, "chunk_key_encoding"),
        ({"chunk_key_encoding": {"name": "v1"}}, InvalidError, "chunk_key_encoding"),
        ({"chunk_key_encoding": {"name": "default"}, "zarr_format": 2}, InvalidError, "chunk_key_encoding"),
    ],
}


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [case for cases in REFUSED.values() for case in cases],
    ids=lambda case: None,
)
def test_what_makes_no_sense_is_refused_by_name(change, kind, message):
    with pytest.raises(kind) as caught:
        array_metadata(**{"shape": (10, 4), "dtype": "float32"} | change)
    assert type(caught.value) is kind
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


def test_without_ml_dtypes_small_floats_are_given_by_their_bits(monkeypatch):
    monkeypatch.setattr("zarrs_c._data_types.ml_dtype", lambda name, itemsize: None)
    assert data_type("bfloat16").dtype == np.dtype("V2")
    assert ours(shape=4, dtype="bfloat16", fill_value="0x7FC1")["fill_value"] == "0x7fc1"
    assert ours(shape=4, dtype="int4", fill_value=-8)["fill_value"] == -8
    with pytest.raises(UnsupportedError, match="ml_dtypes"):
        array_metadata(shape=4, dtype="float8_e5m2", fill_value=1.0)
