"""Zarr data types as NumPy's."""

import numpy as np


def numpy_dtype(typestr, name, itemsize):
    """The dtype of an array, from the C ABI's `zrc_dtype`.

    NumPy has no name for bfloat16 and the small floats and integers: these are ml_dtypes' where that is
    installed, and raw bytes (a void dtype) where it is not.
    """
    if "V" in typestr:
        return ml_dtype(name, itemsize) or np.dtype(f"V{itemsize}")
    return np.dtype(typestr)


def ml_dtype(name, itemsize):
    """The dtype of ml_dtypes that has this Zarr name, or None."""
    if not name.startswith(("bfloat", "float", "int", "uint", "complex")):
        return None
    try:
        import ml_dtypes
    except ImportError:
        return None
    scalar = getattr(ml_dtypes, name, None)
    if scalar is None:
        return None
    dtype = np.dtype(scalar)
    return dtype if dtype.itemsize == itemsize else None
