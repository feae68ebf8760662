"""Python's scalars as elements of an array, where that loses nothing."""

import datetime

import numpy as np

from zarrs_c._errors import BufferMismatchError

# The kinds of dtype that a number goes into; the first class that fits counts.
_KINDS = {bool: "biufc", int: "iufc", float: "fc", complex: "c"}
SCALARS = (*_KINDS, str, datetime.date, datetime.timedelta)


def scalar(value, dtype, array):
    """`value` as a 0-d array of `dtype`; `array` is its name in messages.

    A number goes into a dtype of its kind, or of a wider one: an int into a float, but not a float into an int.
    Raises BufferMismatchError for what does not fit.
    """
    if not _is_of_kind(value, dtype):
        raise BufferMismatchError(f"{array} holds {dtype}: {value!r} would not fit without loss")
    try:
        converted = np.array(value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise BufferMismatchError(f"{array} holds {dtype}, which {value!r} is not: {error}") from None
    whole = isinstance(value, str) and dtype.kind == "U" and converted[()] != value
    out_of_range = isinstance(value, int) and dtype.kind in "iu" and int(converted) != value
    if whole or out_of_range:
        raise BufferMismatchError(f"{array} holds {dtype}: {value!r} would not fit without loss")
    return converted


def _is_of_kind(value, dtype):
    kinds = next((kinds for cls, kinds in _KINDS.items() if isinstance(value, cls)), None)
    # ml_dtypes' small numbers are of kind V, like raw bytes, but have a class of their own.
    return kinds is None or dtype.kind in kinds or (dtype.kind == "V" and dtype.type is not np.void)
