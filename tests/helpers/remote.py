"""Arrays to be served, and what the tests of remote reads share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from . import simple
from .simple import LITTLE, ZSTD, Stored

# Errors at once, for tests that expect one.
NO_RETRIES = {"max_retries": "0"}
# Retries without the wait between them that a real store deserves.
QUICK_RETRIES = {"max_retries": "3", "init_backoff": "0.01", "max_backoff": "0.02"}

RAW = (LITTLE,)


def store_v2(path, data, chunks) -> Stored:
    """Write `data` as a Zarr v2 array with zlib."""
    import tensorstore as ts

    metadata = {
        "shape": list(data.shape),
        "dtype": data.dtype.str,
        "chunks": list(chunks),
        "compressor": {"id": "zlib", "level": 1},
        "fill_value": 0,
        "dimension_separator": "/",
    }
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    ts.open(spec, create=True).result().write(data).result()
    return Stored(Path(path), data, tuple(chunks))


def samples(folder: Path) -> dict[str, Stored]:
    """A plain array with a missing chunk, a sharded one with missing inner chunks, one of format 2."""
    plain = simple.random_array((45, 37))
    plain[:10, 10:20] = 0
    sharded = simple.random_array((48, 40), "int32", seed=1)
    sharded[4:8, 5:10] = 0
    sharded[32:, 20:] = 0
    return {
        "plain": simple.store(folder / "plain", plain, (10, 10)),
        "sharded": simple.store(folder / "sharded", sharded, (4, 5), shards=(16, 20)),
        "v2": store_v2(folder / "v2", simple.random_array((30, 21), "float64", seed=2), (7, 8)),
    }


def one_row_chunks(server, name: str, rows: int, row_bytes: int = 256) -> np.ndarray:
    """Put a uint8 array of one row a chunk, without compression, on a fault server; return its data.

    All rows are alike but for their first 8 bytes, which number them."""
    data = np.broadcast_to(np.arange(row_bytes, dtype=np.uint8), (rows, row_bytes)).copy()
    data[:, :8] = np.arange(rows, dtype="<u8").view(np.uint8).reshape(rows, 8)
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(data.shape),
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, row_bytes]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes"}],
        "fill_value": 0,
    }
    server.put(f"{name}/zarr.json", json.dumps(metadata).encode())
    for row in range(rows):
        server.put(f"{name}/c/{row}/0", data[row].tobytes())
    return data


def serve(server, stored: Stored, name: str) -> str:
    """Put an array on a fault server; return its URL."""
    server.load(stored.path, name)
    return server.url(name)


def sharded_rows(
    path, *, shards: int, inner: int, inner_bytes: int = 1024, seed: int = 0, codecs=RAW, **more
) -> Stored:
    """A uint8 array of `shards` rows of shards, each of `inner` inner chunks of one row, incompressible."""
    data = np.random.default_rng(seed).integers(1, 256, (shards * inner, inner_bytes), np.uint8)
    codecs = [{"name": "bytes"} if codec is LITTLE else codec for codec in codecs]
    return simple.store(path, data, (1, inner_bytes), shards=(inner, inner_bytes), codecs=codecs, **more)


__all__ = [
    "NO_RETRIES",
    "QUICK_RETRIES",
    "RAW",
    "ZSTD",
    "one_row_chunks",
    "samples",
    "serve",
    "sharded_rows",
    "store_v2",
]
