"""Write an array that a `Spec` describes with zarr-python, and read it back as zarr-python does."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from .specs import INDEX_CODECS, Sharding, Spec, v3


def random_data(rng, dtype: np.dtype, shape, narrow=False) -> np.ndarray:
    """Random elements with awkward ones among them: NaNs with payloads, infinities, signed zeros, NaT, extremes.

    `narrow` keeps floats where a lossy codec can hold them."""
    native = dtype.newbyteorder("=")
    count = int(np.prod(shape, dtype=np.int64))
    if narrow:
        return (rng.integers(-80, 80, count) / 8).astype(native).reshape(shape)
    if native.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if native.kind == "U":
        letters = np.array(list("abcé東🦓\x00 z"))
        text = ["".join(rng.choice(letters, native.itemsize // 4)) for _ in range(count)]
        return np.array(text, dtype=native).reshape(shape)
    bits = rng.integers(0, 256, count * native.itemsize, dtype=np.uint8)
    if rng.random() < 0.5:  # compressible
        bits[rng.random(bits.size) < 0.7] = 0
    return bits.view(native).reshape(shape) if count else np.empty(shape, native)


def with_holes(rng, data: np.ndarray, spec: Spec, box) -> np.ndarray:
    """`data` with `spec.holes` of the boxes of the grid (chunks or inner chunks) holding the fill value."""
    if not spec.holes or not data.size:
        return data
    fill = fill_array(spec)
    for index in np.ndindex(*(-(-s // b) for s, b in zip(data.shape, box, strict=True))):
        if rng.random() < spec.holes:
            data[tuple(slice(i * b, (i + 1) * b) for i, b in zip(index, box, strict=True))] = fill
    return data


def fill_array(spec: Spec) -> np.ndarray:
    dtype = spec.numpy_dtype().newbyteorder("=")
    return np.zeros((), dtype) if dtype.kind == "V" else np.array(spec.fill_value, dtype)


def resolve(codec: dict, spec: Spec, rng) -> dict:
    """Fill in what depends on the array: permutations, element sizes, data types."""
    ndim, dtype = len(spec.shape), np.dtype(spec.dtype)
    codec = {key: dict(value) if isinstance(value, dict) else value for key, value in codec.items()}
    settings = codec.get("configuration", codec)
    if settings.get("order") == "reverse":
        settings["order"] = list(range(ndim))[::-1]
    elif settings.get("order") == "random":
        settings["order"] = [int(i) for i in rng.permutation(ndim)]
    if settings.get("typesize") == 0:
        settings["typesize"] = dtype.itemsize
    if settings.get("elementsize") == 0:
        settings["elementsize"] = dtype.itemsize
    if settings.get("dtype") == "same":
        settings["dtype"] = spec.numpy_dtype().str
    return codec


def codecs_v3(spec: Spec, rng) -> dict:
    """The arguments of zarr.create_array that have to do with chunks and codecs."""
    filters = [resolve(c, spec, rng) for c in spec.chain.filters]
    serializer = spec.chain.serializer
    serializer = resolve(serializer, spec, rng) if serializer else v3("bytes", endian=spec.endian)
    compressors = [resolve(c, spec, rng) for c in spec.chain.compressors]
    if spec.sharding is None:
        return {
            "chunks": spec.chunks,
            "filters": filters,
            "serializer": serializer,
            "compressors": compressors,
        }
    sharding: Sharding = spec.sharding
    codecs, inner, factors = (
        [*filters, serializer, *compressors],
        spec.chunks,
        sharding.factors[: len(spec.chunks)],
    )
    outer_filters = []
    if sharding.transposed:  # the shard then has the array's dimensions in reverse
        outer_filters = [v3("transpose", order=list(range(len(inner)))[::-1])]
        inner, factors = inner[::-1], factors[::-1]
    if sharding.nested:
        codecs = [shard_codec(inner, codecs, sharding)]
        inner = tuple(2 * c for c in inner)
    shard = tuple(c * f for c, f in zip(inner, factors, strict=True))
    return {
        "chunks": shard[::-1] if sharding.transposed else shard,
        "filters": outer_filters,
        "serializer": shard_codec(inner, codecs, sharding),
        "compressors": list(sharding.outer),
    }


def shard_codec(inner, codecs, sharding: Sharding) -> dict:
    return v3(
        "sharding_indexed",
        chunk_shape=list(inner),
        codecs=codecs,
        index_codecs=INDEX_CODECS[sharding.index_codecs],
        index_location=sharding.index_location,
    )


def creation(spec: Spec, rng) -> dict:
    """The arguments of zarr.create_array for the array of `spec`."""
    import numcodecs

    dtype = spec.numpy_dtype()
    arguments = {"shape": spec.shape, "zarr_format": spec.zarr_format, "fill_value": spec.fill_value}
    if spec.zarr_format == 3:
        arguments |= codecs_v3(spec, rng)
        dtype = dtype.newbyteorder("=")
    else:
        chain = spec.chain
        arguments |= {"chunks": spec.chunks, "order": spec.order}
        arguments["filters"] = [numcodecs.get_codec(resolve(c, spec, rng)) for c in chain.filters] or None
        arguments["compressors"] = [numcodecs.get_codec(dict(c)) for c in chain.compressors] or None
    if dtype.kind == "V":
        arguments["fill_value"] = np.zeros((), dtype)[()]
    if spec.separator:
        arguments["chunk_key_encoding"] = {
            "name": "v2" if spec.zarr_format == 2 else "default",
            "separator": spec.separator,
        }
    return arguments | {"dtype": dtype}


def create(folder: Path, write_empty_chunks=False, **arguments):
    """zarr.create_array, without its warnings of what is not in the core of the specification."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zarr.create_array(str(folder), config={"write_empty_chunks": write_empty_chunks}, **arguments)


def read(folder: Path, spec: Spec) -> np.ndarray:
    """What zarr-python reads of the array of `spec` at `folder`: native-endian, in C order."""
    native = spec.numpy_dtype().newbyteorder("=")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.asarray(reopen(folder)[...], spec.numpy_dtype())
    return np.ascontiguousarray(found, native).reshape(spec.shape)


def write(spec: Spec, folder: Path) -> np.ndarray:
    """Write the array of `spec` at `folder` with zarr-python; return what zarr-python reads there, native-endian."""
    rng = np.random.default_rng(spec.seed)
    arguments = creation(spec, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = create(folder, spec.write_empty, **arguments)
        data = random_data(rng, arguments["dtype"], spec.shape, narrow=not spec.chain.lossless)
        array[...] = with_holes(rng, data, spec, spec.chunks)
    return read(folder, spec)


def reopen(folder: Path):
    """The array at `folder`, as zarr-python sees it."""
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return zarr.open_array(str(folder), mode="r")
