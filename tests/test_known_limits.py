"""Where zarrs reads otherwise than the writer meant, or not at all: mended in zarrs_c, or refused by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import writing

import zarrs_c
from zarrs_c import sync

zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")


def write(path, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(str(path), shape=data.shape, dtype=data.dtype, chunks=data.shape, **options)
        array[...] = data
        return np.asarray(array[...])


def test_fletcher32_of_an_odd_number_of_bytes_is_ours_and_right(tmp_path):
    """zarrs 0.23 leaves the odd byte out of the checksum, and refuses such chunks."""
    fletcher32 = {"name": "numcodecs.fletcher32", "configuration": {}}
    expected = write(tmp_path / "a", np.arange(35, dtype="int8"), compressors=[fletcher32])
    np.testing.assert_array_equal(sync.open_array(tmp_path / "a")[...], expected)


def test_zarrs_takes_the_rate_of_zfp_for_that_of_three_dimensions(tmp_path):
    """zarrs 0.23 has 64 times the rate as the bits of a block, which are 16 elements in two dimensions, 256 in four."""
    pytest.importorskip("zfpy", reason="zfpy has no wheels for Python 3.13")
    zfpy = {"name": "numcodecs.zfpy", "configuration": {"mode": 2, "rate": 8}}
    sizes = {}
    for ndim in (1, 2, 3, 4):
        data = np.random.default_rng(0).random((8,) * ndim, "float32")
        folder = tmp_path / str(ndim)
        write(folder / "theirs", data, serializer=zfpy, compressors=None)
        array = sync.create_array(
            folder / "ours",
            shape=data.shape,
            dtype="f4",
            chunks=data.shape,
            serializer=zfpy,
            compressors=None,
        )
        sync.write(array, data)
        np.testing.assert_array_equal(writing.read_by_zarr_python(folder / "ours"), array[...])
        sizes[ndim] = [
            len(bytes(sync.read_encoded_chunk(sync.open_array(folder / name), (0,) * ndim)))
            for name in ("ours", "theirs")
        ]
    assert sizes[3][0] == sizes[3][1]
    assert sizes[1][0] > sizes[1][1]
    assert sizes[2][0] > sizes[2][1]
    assert sizes[4][0] < sizes[4][1]


def test_a_transpose_of_no_dimension_is_unsupported(tmp_path):
    transpose = {"name": "transpose", "configuration": {"order": []}}
    write(tmp_path / "a", np.array(5.0), filters=[transpose])
    with pytest.raises(zarrs_c.UnsupportedError, match="ranspose"):
        sync.open_array(tmp_path / "a")


def test_a_filter_of_format_2_with_another_byte_order_is_never_read_wrong(tmp_path):
    import numcodecs

    filters = [numcodecs.FixedScaleOffset(scale=8, offset=3, dtype=">f8", astype="<i2")]
    data = np.arange(20) / 8
    expected = write(tmp_path / "a", data.astype(">f8"), filters=filters, compressors=None, zarr_format=2)
    try:
        result = sync.open_array(tmp_path / "a")[...]
    except zarrs_c.UnsupportedError:
        return
    np.testing.assert_array_equal(result, expected)
