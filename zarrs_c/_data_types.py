"""Data types and fill values as a new array's metadata has them."""

import base64
import datetime
import math
import numbers
import re
from typing import NamedTuple

import numpy as np

from zarrs_c._dtypes import ml_dtype
from zarrs_c._errors import InvalidError, UnsupportedError

# Zarr's names of types that NumPy has not, with the bytes of an element in memory.
_SMALL = {"bfloat16": 2} | dict.fromkeys(
    (
        *("int2", "int4", "uint2", "uint4", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4"),
        *("float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
        "float8_e8m0fnu",
    ),
    1,
)
_VARIABLE = ("string", "str", "bytes", "variable_length_bytes", "variable_length_utf8")
_PLAIN = {np.dtype(code) for code in ("?", *"bhilqBHILQefdFD")}
# The bits that "NaN" stands for, by the bytes of a float.
_NAN_BITS = {2: 0x7E00, 4: 0x7FC00000, 8: 0x7FF8000000000000}
_BFLOAT16_NAN = 0x7FC0
_UNSUPPORTED = "see docs/codecs.md for the data types that can be written"


class DataType(NamedTuple):
    """A data type that can be written.

    v3, v2: what zarr.json and .zarray call it; v2 is None where format 2 does not have it. dtype: NumPy's, or raw
    bytes where neither NumPy nor an installed ml_dtypes knows it. small: Zarr's name, of a type that NumPy has not.
    """

    v3: object
    v2: str | None
    dtype: np.dtype
    small: str | None = None

    @property
    def has_byte_order(self):
        """Whether the bytes codec of format 3 is told one."""
        return self.small == "bfloat16" or (self.dtype.kind not in "bV" and self.dtype.itemsize > 1)


def data_type(given):
    """The data type that the argument `dtype` of `create_array` means."""
    if hasattr(given, "to_native_dtype"):  # one of zarr-python's
        given = given.to_native_dtype()
    name = given.name if isinstance(given, np.dtype) else getattr(given, "__name__", given)
    if isinstance(name, str) and name in _SMALL:
        itemsize = _SMALL[name]
        return DataType(name, None, ml_dtype(name, itemsize) or np.dtype(f"V{itemsize}"), name)
    return _of_numpy(_numpy(given), given)


def _numpy(given):
    """NumPy's dtype for what is not one of the small types."""
    if isinstance(given, dict) and "name" in given:
        return _of_json(given)
    if isinstance(given, str) and (raw := re.fullmatch(r"r([1-9]\d*)", given)) and int(raw[1]) % 8 == 0:
        return np.dtype(f"V{int(raw[1]) // 8}")
    if given is str or given is bytes or (isinstance(given, str) and given in _VARIABLE):
        name = given if isinstance(given, str) else given.__name__
        raise UnsupportedError(f"dtype: {name!r} is of variable length; {_UNSUPPORTED}")
    try:
        if given is not None:  # which NumPy takes for float64
            return np.dtype(given)
    except (TypeError, ValueError) as error:
        if isinstance(given, str):
            raise InvalidError(f"dtype: neither NumPy nor Zarr has a data type {given!r}") from error
    raise TypeError(f"dtype must be a NumPy dtype, or the name of a NumPy or Zarr data type, not {given!r}")


def _of_json(given):
    """A data type that has a configuration, in the form of zarr.json."""
    settings = given.get("configuration") or {}
    try:
        match given["name"]:
            case "numpy.datetime64" | "numpy.timedelta64":
                unit, scale = settings["unit"], settings["scale_factor"]
                name = given["name"].removeprefix("numpy.")
                return np.dtype(name if unit == "generic" else f"{name}[{scale}{unit}]")
            case "fixed_length_utf32":
                return np.dtype(f"U{settings['length_bytes'] // 4}")
            case "raw_bytes":
                return np.dtype(f"V{settings['length_bytes']}")
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidError(f"dtype: not the configuration of a data type: {given!r}") from error
    raise UnsupportedError(f"dtype: the data type {given['name']!r} cannot be written; {_UNSUPPORTED}")


def _of_numpy(dtype, given):
    kind, itemsize = dtype.kind, dtype.itemsize
    if dtype.newbyteorder("=") in _PLAIN:
        return DataType(dtype.name, dtype.str, dtype)
    if kind in "Mm":
        return DataType(_time_json(dtype), None, dtype)
    if kind == "U" and itemsize:
        configuration = {"length_bytes": itemsize}
        return DataType({"name": "fixed_length_utf32", "configuration": configuration}, dtype.str, dtype)
    if kind == "V" and itemsize and dtype.type is np.void and dtype.fields is None and dtype.subdtype is None:
        return DataType(f"r{8 * itemsize}", dtype.str, dtype)
    raise UnsupportedError(f"dtype: {given!r} ({dtype!r}) cannot be written; {_UNSUPPORTED}")


def _time_json(dtype):
    unit, scale = np.datetime_data(dtype)
    name = "numpy.datetime64" if dtype.kind == "M" else "numpy.timedelta64"
    return {"name": name, "configuration": {"unit": unit, "scale_factor": scale}}


# ==== Fill values ====


def fill_value_json(value, kind, zarr_format):
    """The fill value as metadata has it; None stands for the type's zero, or NaT, or the empty string."""
    if kind.small is not None:
        return _small_json(value, kind)
    dtype = kind.dtype.newbyteorder("=")
    element = np.zeros((), dtype) if value is None else _element(value, dtype)
    match dtype.kind:
        case "M" | "m":
            return int((np.array("NaT", dtype) if value is None else element).view(np.int64))
        case "f":
            return _float_json(element, zarr_format)
        case "c":
            return [_float_json(part, zarr_format) for part in (element.real, element.imag)]
        case "V" if zarr_format == 2:
            return base64.b64encode(element.tobytes()).decode("ascii")
        case "V":
            return list(element.tobytes())
        case _:
            return element.item()


def _element(value, dtype):
    """`value` as an element: a 0-d array of `dtype`. Refuses what it could not hold."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic) and value.dtype.newbyteorder("=") == dtype:
        return np.array(value, dtype)  # every bit of it
    convert = {"b": _bool, "i": _int, "u": _int, "f": _float, "c": _complex, "U": _text, "V": _raw}
    return convert.get(dtype.kind, _time)(value, dtype)


def _is_real(value):
    """Whether it is a real number; NumPy has its timedelta64 among the integers."""
    return isinstance(value, (numbers.Real, np.bool_)) and not isinstance(value, np.timedelta64)


def _misfit(value, dtype, why=""):
    return InvalidError(f"fill_value: {value!r} is not a value of the data type {dtype}{why}")


def _wrong_type(value, dtype, expected):
    return TypeError(
        f"fill_value must be {expected} for the data type {dtype}, not {value!r} ({type(value).__name__})"
    )


def _bool(value, dtype):
    if not _is_real(value):
        raise _wrong_type(value, dtype, "a bool")
    if value not in (0, 1):
        raise _misfit(value, dtype)
    return np.array(bool(value), dtype)


def _int(value, dtype):
    if not _is_real(value):
        raise _wrong_type(value, dtype, "an integer")
    limits = np.iinfo(dtype)
    if not math.isfinite(value) or value != int(value) or not limits.min <= value <= limits.max:
        raise _misfit(value, dtype, f" (integers from {limits.min} to {limits.max})")
    return np.array(int(value), dtype)


def _float(value, dtype):
    if isinstance(value, str):
        return _float_of_text(value, dtype)
    if not _is_real(value):
        raise _wrong_type(value, dtype, "a number")
    try:
        with np.errstate(over="ignore"):
            element = np.array(value if isinstance(value, np.floating) else float(value)).astype(dtype)
    except OverflowError:
        raise _misfit(value, dtype, ": it is too large") from None
    if np.isinf(element) and not math.isinf(value):
        raise _misfit(value, dtype, ": it is too large")
    return element


def _float_of_text(value, dtype):
    """A float in one of the forms that metadata has for what is not a number: "NaN", "-Infinity", "0x7fc00001"."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return np.array(float(value), dtype)
    digits = 2 * dtype.itemsize
    if not re.fullmatch(f"0x[0-9a-fA-F]{{{digits}}}", value):
        expected = f'"NaN", "Infinity", "-Infinity", or "0x" and {digits} hexadecimal digits'
        raise _misfit(value, dtype, f" ({expected})")
    return np.array(int(value, 16), f"u{dtype.itemsize}").view(dtype)


def _complex(value, dtype):
    if isinstance(value, (list, tuple)) and len(value) == 2:
        parts = value
    elif _is_real(value) or isinstance(value, numbers.Complex):
        parts = (value.real, value.imag)
    else:
        raise _wrong_type(value, dtype, "a number, or a pair of them,")
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return np.stack([_float(number, part) for number in parts]).view(dtype).reshape(())


def _text(value, dtype):
    if not isinstance(value, str):
        raise _wrong_type(value, dtype, "a string")
    if len(value) > dtype.itemsize // 4:
        raise _misfit(value, dtype, f": it has more than {dtype.itemsize // 4} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _misfit(value, dtype, ": it is not valid Unicode")
    return np.array(value, dtype)


def _raw(value, dtype):
    try:
        raw = bytes(memoryview(value))
    except TypeError:
        raise _wrong_type(value, dtype, f"{dtype.itemsize} bytes") from None
    if len(raw) != dtype.itemsize:
        raise _misfit(value, dtype, f": it has {len(raw)} bytes, not {dtype.itemsize}")
    return np.frombuffer(raw, dtype).reshape(())


def _time(value, dtype):
    """A time: a count of the type's unit, or what NumPy converts to one without loss."""
    scalar = np.datetime64 if dtype.kind == "M" else np.timedelta64
    ours = (datetime.date, np.datetime64) if dtype.kind == "M" else (datetime.timedelta, np.timedelta64)
    if isinstance(value, str) and (value == "NaT" or dtype.kind == "M"):
        value = _time_of_text(value, dtype)
    elif isinstance(value, numbers.Integral) and not isinstance(value, (bool, *ours)):
        limits = np.iinfo(np.int64)
        if not limits.min <= value <= limits.max:
            raise _misfit(value, dtype)
        return np.array(int(value), np.int64).view(dtype)
    elif not isinstance(value, ours):
        raise _wrong_type(value, dtype, f"an integer, or something that numpy.{scalar.__name__} takes,")
    try:
        given = np.array(scalar(value))
        element = given.astype(dtype, casting="same_kind")
    except (TypeError, ValueError, OverflowError) as error:
        raise _misfit(value, dtype, f": {error}") from error
    if not np.isnat(given) and element.astype(given.dtype) != given:
        raise _misfit(value, dtype, ": the unit is too coarse, or too fine")
    return element


def _time_of_text(value, dtype):
    try:
        return np.datetime64(value) if dtype.kind == "M" else np.timedelta64(value)
    except ValueError as error:
        raise _misfit(value, dtype, f": {error}") from error


def _float_json(element, zarr_format):
    """A float as JSON has it, or as the text that stands for what JSON has not."""
    if np.isnan(element):
        bits = int(element.view(f"u{element.itemsize}"))
        if zarr_format == 2 or bits == _NAN_BITS[element.itemsize]:  # format 2 has one NaN
            return "NaN"
        return f"0x{bits:0{2 * element.itemsize}x}"
    if np.isinf(element):
        return "Infinity" if element > 0 else "-Infinity"
    return float(element)


def _small_json(value, kind):
    """The fill value of a type that NumPy has not: small integers as they are, small floats by their bits."""
    name, dtype = kind.small, kind.dtype
    if value is None:
        return 0 if "int" in name else 0.0 if name == "bfloat16" else "0x00"
    if "int" in name:
        return _small_int(value, name)
    digits = 2 * dtype.itemsize
    if isinstance(value, str) and re.fullmatch(f"0x[0-9a-fA-F]{{{digits}}}", value):
        return value.lower()
    if dtype.kind == "V" and dtype.type is np.void:
        raise UnsupportedError(
            f'fill_value: without ml_dtypes, that of {name} is given as "0x" and {digits} hexadecimal digits'
        )
    number = value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value
    if isinstance(number, str) or not isinstance(number, (numbers.Real, np.generic)):
        raise _wrong_type(value, name, f'a number, or "0x" and {digits} hexadecimal digits,')
    element = np.array(number).astype(dtype)
    if bool(np.isfinite(float(number))) != bool(np.isfinite(float(element))):
        raise _misfit(value, name)
    bits = int(element.view(f"u{dtype.itemsize}"))
    if name == "bfloat16" and np.isfinite(float(element)):
        return float(element)
    return "NaN" if name == "bfloat16" and bits == _BFLOAT16_NAN else f"0x{bits:0{digits}x}"


def _small_int(value, name):
    if not isinstance(value, (numbers.Real, np.generic)):
        raise _wrong_type(value, name, "an integer")
    bits = int(name[-1])
    low, high = (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if int(value) != value or not low <= value <= high:
        raise _misfit(value, name, f" (integers from {low} to {high})")
    return int(value)
