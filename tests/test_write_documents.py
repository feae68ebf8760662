"""docs/codecs.md and docs/writing.md tell the truth about writing: what is listed is written, and read back."""

import json
import warnings

import ml_dtypes
import numpy as np
import pytest
from helpers import writing
from test_docs_codecs import CODECS, DATA_TYPES, TO_ARRAY, TO_BYTES, V2_CODECS, V2_FILTERS, column

from zarrs_c import sync

LOSSY = {"bitround", "numcodecs.fixedscaleoffset", "numcodecs.zfpy", "fixedscaleoffset", "zfpy"}
# zarr-python 3.1 has no codec of that name.
OURS_ALONE = {"bitround", "reshape", "zarrs.squeeze", "packbits", "zfp", "zarrs.gdeflate"}
RNG = np.random.default_rng(0)


def values(dtype, shape=(4, 6)):
    """Random elements of any type: zeros and ones of the smallest, any bits of others."""
    dtype = np.dtype(dtype)
    if dtype.kind == "U":
        return RNG.choice(np.array(["a", "bé", ""], dtype), shape)
    if dtype.kind in "bMm" or dtype.name in ("int2", "uint2"):
        return RNG.integers(0, 2, shape).astype("?" if dtype.kind == "b" else dtype)
    if dtype.type is np.void:
        return RNG.integers(0, 256, (*shape, dtype.itemsize), np.uint8).view(dtype)[..., 0]
    return RNG.integers(0, 8, shape).astype(dtype)


def check(folder, array, data, lossy=False, zarr_format=3, by_zarr_python=True):
    """Write the whole, then a part, and compare what everyone reads with what should be there."""
    sync.write(array, data)
    part = data[::-1][1:4, 2:5].copy()
    sync.write(array, part, np.s_[1:4, 2:5])
    expected = data.copy()
    expected[1:4, 2:5] = part
    got = array[...]
    if lossy:
        np.testing.assert_allclose(got, expected, atol=0.2, rtol=0.01)
    else:
        assert got.tobytes() == expected.tobytes()
    theirs = writing.read_by_tensorstore(folder, zarr_format, array.dtype)
    if theirs is not None:
        assert theirs.tobytes() == got.tobytes()
    if by_zarr_python:
        pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
        assert writing.read_by_zarr_python(folder).astype(array.dtype).tobytes() == got.tobytes()
    return theirs is not None


@pytest.mark.parametrize("name", column("Data types", 1))
def test_every_data_type_is_written(name, tmp_path):
    data_type, _, dtype = DATA_TYPES.get(name) or (name, 0, np.dtype(name))
    array = sync.create_array(tmp_path / "a", shape=(4, 6), dtype=data_type, chunks=(2, 3))
    known = not name.startswith("r") and name != "bfloat16"
    read = check(tmp_path / "a", array, values(dtype), by_zarr_python=known)
    assert read or name.startswith(("r", "numpy.", "fixed"))


@pytest.mark.parametrize("name", ["int4", "uint2", "float8_e5m2", "float8_e4m3fnuz", "float4_e2m1fn"])
def test_small_types_are_written_and_tensorstore_reads_those_that_it_has(name, tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(4, 6), dtype=name, chunks=(2, 3))
    read = check(tmp_path / "a", array, values(getattr(ml_dtypes, name)), by_zarr_python=False)
    assert read or name in ("uint2",)


@pytest.mark.parametrize("dtype", [d for d in column("Data types", 2) if d[0] != "|" or d[1] != "V"])
def test_every_data_type_of_format_2_is_written(dtype, tmp_path):
    dtype = dtype + "3" if dtype.endswith("U") else dtype
    array = sync.create_array(tmp_path / "a", shape=(4, 6), dtype=dtype, chunks=(2, 3), zarr_format=2)
    assert json.loads((tmp_path / "a" / ".zarray").read_text())["dtype"] == dtype
    check(tmp_path / "a", array, values(np.dtype(dtype).newbyteorder("=")), zarr_format=2)


def codec_arguments(name):
    codec = {"name": name, "configuration": dict(CODECS[name])}
    if name == "sharding_indexed":
        codec["configuration"]["index_codecs"] = CODECS[name]["index_codecs"]
    if name in TO_BYTES:
        return {"serializer": codec, "compressors": None}
    return {"filters" if name in TO_ARRAY else "compressors": codec}


@pytest.mark.parametrize("name", column("Codecs", 2))
def test_every_codec_is_written(name, tmp_path):
    dtype = "bool" if name == "packbits" else "float32"
    array = sync.create_array(
        tmp_path / "a", shape=(4, 6), dtype=dtype, chunks=(2, 3), **codec_arguments(name)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(
            tmp_path / "a", array, values(dtype), lossy=name in LOSSY, by_zarr_python=name not in OURS_ALONE
        )
    if name in OURS_ALONE and name != "bitround":
        with pytest.raises(Exception):  # noqa: B017, PT011
            writing.read_by_zarr_python(tmp_path / "a")


@pytest.mark.parametrize("name", V2_CODECS)
def test_every_codec_of_format_2_is_written(name, tmp_path):
    codec = {"id": name} | V2_CODECS[name]
    place = {"filters": [codec]} if name in V2_FILTERS else {"compressors": codec}
    array = sync.create_array(
        tmp_path / "a", shape=(4, 6), dtype="<f4", chunks=(2, 3), zarr_format=2, **place
    )
    check(tmp_path / "a", array, values("f4"), lossy=name in LOSSY, zarr_format=2)


def test_arrays_on_a_rectilinear_grid_are_written(tmp_path):
    from zarrs_c._create import array_metadata

    metadata = json.loads(array_metadata(shape=(7, 9), dtype="int32", chunks=(7, 9)))
    metadata["chunk_grid"] = {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": [[1, 4, 2], [[3, 3]]]},
    }
    writing.store_metadata(tmp_path / "a", metadata)
    array = sync.open_array(tmp_path / "a")
    expected = np.arange(63, dtype="i4").reshape(7, 9)
    sync.write(array, expected)
    sync.write(array, 5, np.s_[1::2, 2:8])
    expected[1::2, 2:8] = 5
    np.testing.assert_array_equal(array[...], expected)
    assert len(writing.chunk_files(tmp_path / "a")) == 9
    sync.write(array, 0, chunks=np.s_[1, 1])
    expected[1:5, 3:6] = 0
    np.testing.assert_array_equal(array[...], expected)
    assert len(writing.chunk_files(tmp_path / "a")) == 8
