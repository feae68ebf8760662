"""Where zarrs reads otherwise than the writer meant, or not at all: mended in zarrs_c, or refused by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

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
