"""The metadata of a new array, from arguments that mean what they mean for zarr-python's `create_array`."""

import json
import math
from collections.abc import Iterable, Mapping

from zarrs_c._codecs import codecs_v2, codecs_v3
from zarrs_c._data_types import data_type, fill_value_json
from zarrs_c._errors import InvalidError, UnsupportedError

_LONGEST = 2**63 - 1
_MIB = 1 << 20


def array_metadata(
    *,
    shape,
    dtype,
    chunks="auto",
    shards=None,
    filters="auto",
    serializer="auto",
    compressors="auto",
    fill_value=None,
    order=None,
    chunk_key_encoding=None,
    attributes=None,
    dimension_names=None,
    zarr_format=3,
):
    """The text of zarr.json; of .zarray in format 2, with the member "attributes", which .zattrs is to have.

    Raises InvalidError (a value that makes no sense), UnsupportedError (a data type or codec that cannot be written)
    and TypeError; each names the argument.
    """
    if zarr_format not in (2, 3) or isinstance(zarr_format, (bool, float)):
        raise InvalidError(f"zarr_format must be 2 or 3, not {zarr_format!r}")
    shape = lengths("shape", shape)
    kind = data_type(dtype)
    if kind.v2 is None and zarr_format == 2:
        raise UnsupportedError(f"dtype: {kind.v3!r} cannot be written in format 2; see docs/codecs.md")
    shards, index_location = _shard_arguments(shards)
    chunks, shards = _chunk_shapes(shape, chunks, shards, kind.dtype.itemsize)
    metadata = {
        "zarr_format": zarr_format,
        "shape": shape,
        "fill_value": fill_value_json(fill_value, kind, zarr_format),
        "attributes": plain_json("attributes", {} if attributes is None else attributes, Mapping),
    }
    names = _dimension_names(dimension_names, len(shape))
    if zarr_format == 2:
        _refuse_in_v2(shards=shards, dimension_names=dimension_names, serializer=serializer)
        metadata |= _layout_v2(kind, chunks, codecs_v2(filters, compressors), order, chunk_key_encoding)
    else:
        codecs = codecs_v3(filters, serializer, compressors, kind, len(shape))
        if shards is not None:
            chunks, codecs = shards, [_sharding(chunks, codecs, index_location)]
        metadata |= _layout_v3(kind, chunks, codecs, order, chunk_key_encoding)
        if names is not None:
            metadata["dimension_names"] = names
    return json.dumps(metadata, indent=2, allow_nan=False)


def _layout_v3(kind, chunks, codecs, order, key_encoding):
    if order is not None:
        raise InvalidError(f"order: format 3 has none ({order!r} given): give a transpose codec as filters")
    return {
        "node_type": "array",
        "data_type": kind.v3,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": _key_encoding(key_encoding, "default", "/"),
        "codecs": codecs,
        "storage_transformers": [],
    }


def _layout_v2(kind, chunks, codecs, order, key_encoding):
    if order not in (None, "C", "F"):
        raise InvalidError(f'order must be "C" or "F", not {order!r}')
    key_encoding = _key_encoding(key_encoding, "v2", ".")
    if key_encoding["name"] != "v2":
        raise InvalidError(f'chunk_key_encoding: format 2 has "v2" only, not {key_encoding["name"]!r}')
    filters, compressor = codecs
    return {
        "chunks": chunks,
        "dtype": kind.v2,
        "order": order or "C",
        "filters": filters,
        "dimension_separator": key_encoding["configuration"]["separator"],
        "compressor": compressor,
    }


def _refuse_in_v2(**arguments):
    for name, value in arguments.items():
        if value is not None and not (name == "serializer" and value == "auto"):
            raise InvalidError(f"{name}: format 2 has none ({value!r} given)")


def _sharding(chunks, codecs, index_location):
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    settings = {
        "chunk_shape": chunks,
        "codecs": codecs,
        "index_codecs": [little, {"name": "crc32c"}],
        "index_location": index_location,
    }
    return {"name": "sharding_indexed", "configuration": settings}


def _key_encoding(given, name, separator):
    if given is None:
        return {"name": name, "configuration": {"separator": separator}}
    if hasattr(given, "to_dict"):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        example = '{"name": "v2", "separator": "/"}'
        raise TypeError(f"chunk_key_encoding must be a dict such as {example}, not {given!r}")
    name = given.get("name")
    settings = given.get("configuration") or {}
    separator = given.get("separator", settings.get("separator", {"default": "/", "v2": "."}.get(name)))
    if name not in ("default", "v2") or separator not in ("/", "."):
        raise InvalidError(
            f'chunk_key_encoding: the name is "default" or "v2", the separator "/" or ".", not {dict(given)!r}'
        )
    return {"name": name, "configuration": {"separator": separator}}


def _dimension_names(given, ndim):
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"dimension_names must be a list of strings and None, not {given!r}")
    names = list(given)
    for name in names:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"dimension_names must be strings or None, not {name!r} ({type(name).__name__})")
    if len(names) != ndim:
        raise InvalidError(f"dimension_names has {len(names)} names, {names!r}, the array {ndim} dimensions")
    return plain_json("dimension_names", names, list) or None


# ==== Shapes ====


def lengths(argument, given, least=0):
    """A shape, from an integer (one dimension) or a sequence of integers."""
    if hasattr(given, "__index__") and not getattr(given, "ndim", 0):
        given = (given,)
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{argument} must be an integer or a sequence of integers, not {given!r}")
    given = tuple(given)
    found = []
    for length in given:
        if isinstance(length, bool) or not hasattr(length, "__index__"):
            kind = type(length).__name__
            raise TypeError(f"{argument} must consist of integers, not {length!r} ({kind}): {given!r}")
        found.append(length.__index__())
    if not all(least <= length <= _LONGEST for length in found):
        raise InvalidError(f"{argument} must consist of integers from {least} to {_LONGEST}, not {given!r}")
    return found


def _shard_arguments(shards):
    """The shape of shards as given, and where their index is to be."""
    if not isinstance(shards, Mapping):
        return shards, "end"
    location = shards.get("index_location", "end")
    location = getattr(location, "value", location)  # of zarr-python's enumeration
    if "shape" not in shards or set(shards) - {"shape", "index_location"} or location not in ("start", "end"):
        raise InvalidError(
            'shards, as a dict, has "shape" and maybe "index_location", which is "start" or "end": '
            f"{dict(shards)!r}"
        )
    return shards["shape"], location


def _chunk_shapes(shape, chunks, shards, itemsize):
    """The shapes of chunks and of shards (None: no shards), given or chosen as zarr-python does."""
    if isinstance(chunks, str) and chunks == "auto":
        chunks = _guess_chunks(shape, itemsize, 64 * _MIB if shards is None else _MIB)
    else:
        chunks = _box("chunks", chunks, shape)
    if shards is None:
        return chunks, None
    if isinstance(shards, str) and shards == "auto":
        # Two chunks along each dimension that has many.
        pairs = zip(shape, chunks, strict=True)
        return chunks, [2 * chunk if length // chunk > 8 else chunk for length, chunk in pairs]
    shards = _box("shards", shards, shape)
    if any(shard % chunk for shard, chunk in zip(shards, chunks, strict=True)):
        raise InvalidError(f"shards must be multiples of chunks along each dimension: {shards} of {chunks}")
    return chunks, shards


def _box(argument, given, shape):
    if isinstance(given, str) or given is None:
        raise TypeError(f'{argument} must be a sequence of integers or "auto", not {given!r}')
    box = lengths(argument, given, least=1)
    if len(box) != len(shape):
        counts = f"{len(box)} dimensions, shape {shape} has {len(shape)}"
        raise InvalidError(f"{argument} {box} has {counts}")
    return box


def _guess_chunks(shape, itemsize, most):
    """Halve the dimensions in turn until a chunk has about the bytes that suit an array of this size."""
    lengths = [max(float(length), 1.0) for length in shape]
    target = _MIB / 4 * 2 ** math.log10(math.prod(lengths) * itemsize / _MIB)
    target = max(min(target, most), _MIB / 8)
    dimension = 0
    while (elements := math.prod(lengths)) > 1:
        chunk_bytes = elements * itemsize
        if chunk_bytes < most and chunk_bytes < 1.5 * target:
            break
        lengths[dimension] = float(math.ceil(lengths[dimension] / 2))
        dimension = (dimension + 1) % len(lengths)
    return [int(length) for length in lengths]


# ==== Attributes ====


def plain_json(where, value, kind=None):
    """`value`, if it is what JSON can hold without loss; errors say where in it something else is."""
    if kind is not None and not isinstance(value, kind):
        raise TypeError(f"{where} must be a dict of strings to what JSON can hold, not {value!r}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidError(f"{where}: JSON has no {float(value)!r}")
        return float(value)
    if isinstance(value, str):
        return _text(where, value)
    if isinstance(value, Mapping):
        return {_key(where, key): plain_json(f"{where}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(f"{where}[{number}]", item) for number, item in enumerate(value)]
    raise TypeError(f"{where}: JSON cannot hold a {type(value).__name__}: {value!r}")


def _key(where, key):
    if not isinstance(key, str):
        raise TypeError(f"{where} must have strings as keys, not {key!r} ({type(key).__name__})")
    return _text(where, key)


def _text(where, text):
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"{where}: not valid Unicode: {text!a}") from None
    return text
