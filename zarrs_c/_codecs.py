"""Codecs as a new array's metadata has them, from what users give for `filters`, `serializer` and `compressors`."""

from collections.abc import Iterable, Mapping

from zarrs_c._errors import InvalidError, UnsupportedError

# What can be written, by kind: docs/codecs.md has the same lists.
FILTERS = {"transpose", "bitround", "numcodecs.bitround", "numcodecs.fixedscaleoffset", "reshape"}
FILTERS |= {"zarrs.squeeze"}
SERIALIZERS = {"bytes", "sharding_indexed", "packbits", "numcodecs.pcodec", "zfp", "numcodecs.zfpy"}
COMPRESSORS = {"zstd", "blosc", "gzip", "crc32c", "zarrs.gdeflate"} | {
    "numcodecs." + name for name in ("zlib", "bz2", "shuffle", "adler32", "fletcher32")
}
CODECS_V2 = {"zstd", "blosc", "gzip", "zlib", "bz2", "shuffle", "adler32", "fletcher32"}
CODECS_V2 |= {"fixedscaleoffset", "pcodec", "zfpy"}
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_LIST = "see docs/codecs.md for the codecs that can be written"


def codecs_v3(filters, serializer, compressors, kind, ndim):
    """The list of codecs of a chunk, in format 3."""
    if serializer is None or isinstance(serializer, (list, tuple)):
        raise TypeError(f'serializer must be one codec or "auto", not {serializer!r}')
    if _is_auto(serializer):
        serializer = {"name": "bytes"}
        if kind.has_byte_order:
            serializer["configuration"] = {"endian": "little"}
    filters = [] if _is_auto(filters) else filters
    compressors = [{"name": "zstd"}] if _is_auto(compressors) else compressors
    return [
        *_chain_v3("filters", filters, FILTERS, kind, ndim),
        *_chain_v3("serializer", [serializer], SERIALIZERS, kind, ndim),
        *_chain_v3("compressors", compressors, COMPRESSORS, kind, ndim),
    ]


def codecs_v2(filters, compressors):
    """The filters (or None) and the compressor (or None) of format 2."""
    chosen = [{"id": "zstd", "level": 0}] if _is_auto(compressors) else _listed("compressors", compressors)
    if len(chosen) > 1:
        raise InvalidError(f"compressors: format 2 has one compressor, not {len(chosen)}")
    chain = _chain_v2("filters", [] if _is_auto(filters) else _listed("filters", filters))
    return chain or None, next(iter(_chain_v2("compressors", chosen)), None)


def _is_auto(given):
    return isinstance(given, str) and given == "auto"


def _listed(argument, given):
    """None, one codec, or several, as a list."""
    if given is None:
        return []
    if _is_codec(given):
        return [given]
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f'{argument} must be "auto", None, a codec or a list of codecs, not {given!r}')
    return list(given)


def _is_codec(given):
    return isinstance(given, Mapping) or hasattr(given, "to_dict") or hasattr(given, "get_config")


# ==== Format 3 ====


def _chain_v3(argument, given, names, kind, ndim):
    chain = []
    for number, codec in enumerate(_listed(argument, given)):
        where = argument if argument == "serializer" else f"{argument}[{number}]"
        name, settings = _named(where, codec)
        if name not in names:
            _refuse(where, name, names)
        _complete(where, name, settings, kind, ndim)
        # zarr-python does without an empty configuration, except with those of numcodecs.
        needed = settings or name.startswith("numcodecs.")
        chain.append({"name": name, "configuration": settings} if needed else {"name": name})
    return chain


def _refuse(where, name, names):
    others = {"filters": FILTERS, "serializer": SERIALIZERS, "compressors": COMPRESSORS}
    for argument, known in others.items():
        if name in known and known is not names:
            raise InvalidError(f"{where}: {name!r} is not a codec of that kind: give it as {argument}")
    raise UnsupportedError(f"{where}: the codec {name!r} cannot be written; {_LIST}")


def _named(where, codec):
    """The name of a codec and a copy of its configuration."""
    if isinstance(codec, Mapping):
        metadata = dict(codec)
    elif hasattr(codec, "to_dict"):
        metadata = dict(codec.to_dict())
        settings = dict(metadata.get("configuration") or {})
        # What one of zarr-python's was not given, it takes from the array's data type; so do we.
        for name in getattr(codec, "_tunable_attrs", ()):
            settings.pop(name, None)
        metadata["configuration"] = settings
    elif hasattr(codec, "get_config"):
        metadata = _numcodec_in_v3(where, codec.get_config())
    else:
        raise TypeError(f"{where} must be a codec, or its metadata as a dict, not {codec!r}")
    name, settings = metadata.pop("name", None), metadata.pop("configuration", None) or {}
    if not isinstance(name, str) or not isinstance(settings, Mapping) or metadata:
        form = '{"name": ..., "configuration": {...}}'
        raise InvalidError(f"{where}: the metadata of a codec of format 3 is {form}, not {codec!r}")
    return name, dict(settings)


def _numcodec_in_v3(where, config):
    """A codec of numcodecs in format 3: under the name of the specification where that has it."""
    config = dict(config)
    name = config.pop("id")
    if name == "blosc":
        shuffle = config.pop("shuffle", 1)
        if shuffle in _SHUFFLES:  # else automatic, which depends on the element's size
            config["shuffle"] = _SHUFFLES[shuffle]
        config = {key: value for key, value in config.items() if value is not None}
    if name not in ("zstd", "blosc", "gzip"):
        name = "numcodecs." + name
    return {"name": name, "configuration": config}


def _complete(where, name, settings, kind, ndim):
    """Fill in what the configuration leaves to defaults, as zarr-python does, and check what depends on the array."""
    itemsize = kind.dtype.itemsize
    match name:
        case "bytes" if not kind.has_byte_order:
            settings.pop("endian", None)
        case "bytes" if settings.get("endian") not in ("little", "big"):
            raise InvalidError(f'{where}: the configuration of bytes needs "endian": "little" or "big" here')
        case "zstd":
            settings.setdefault("level", 0)
            settings.setdefault("checksum", False)
        case "gzip":
            settings.setdefault("level", 5)
        case "blosc":
            settings.setdefault("typesize", itemsize)
            settings.setdefault("cname", "zstd")
            settings.setdefault("clevel", 5)
            settings.setdefault("shuffle", "bitshuffle" if itemsize == 1 else "shuffle")
            settings.setdefault("blocksize", 0)
        case "numcodecs.shuffle":
            settings.setdefault("elementsize", itemsize)
        case "numcodecs.fixedscaleoffset":
            settings.setdefault("dtype", kind.dtype.str)
        case "transpose":
            order = settings.get("order")
            if not isinstance(order, (list, tuple)) or sorted(order) != list(range(ndim)):
                axes = list(range(ndim))
                raise InvalidError(f"{where}: the order of transpose must permute {axes}, not {order!r}")
            settings["order"] = list(order)


# ==== Format 2 ====


def _chain_v2(argument, given):
    chain = []
    for number, codec in enumerate(given):
        where = f"{argument}[{number}]"
        if hasattr(codec, "get_config"):
            codec = codec.get_config()
        if not isinstance(codec, Mapping):
            example = '{"id": "zlib", "level": 1}'
            raise TypeError(
                f"{where}: format 2 takes codecs of numcodecs, or dicts such as {example}, not {codec!r}"
            )
        config = dict(codec)
        name = config.get("id")
        if not isinstance(name, str):
            raise InvalidError(f'{where}: the metadata of a codec of format 2 has an "id": {codec!r}')
        if name not in CODECS_V2:
            raise UnsupportedError(f"{where}: the codec {name!r} cannot be written in format 2; {_LIST}")
        if name == "zstd" and not config.get("checksum"):
            config.pop("checksum", None)  # which readers older than it refuse
        chain.append(config)
    return chain
