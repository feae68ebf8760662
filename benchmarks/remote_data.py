"""Arrays for the benchmark of remote reads, written once into a cache folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def cube(start: int, stop: int, side: int) -> np.ndarray:
    """Planes [start, stop) of the public benchmark's cube: (g2 + g1² / 32 + g0³) mod 65536, as uint16."""
    g0 = np.arange(start, stop, dtype=np.uint64)[:, None, None]
    g1 = np.arange(side, dtype=np.uint64)[None, :, None]
    g2 = np.arange(side, dtype=np.uint64)[None, None, :]
    return ((g2 + g1**2 // 32 + g0**3) % 65536).astype(np.uint16)


def write_cube(folder: Path, side: int, chunk: int, inner: int | None) -> Path:
    """The cube in zstd chunks, or in shards of zstd inner chunks."""
    import tensorstore as ts

    path = folder / f"cube-{side}-{chunk}-{inner or 'plain'}"
    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    codecs = [LITTLE, ZSTD]
    if inner:
        sharding = {
            "chunk_shape": [inner] * 3,
            "codecs": codecs,
            "index_codecs": [LITTLE, {"name": "crc32c"}],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    metadata = {
        "shape": [side] * 3,
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk] * 3}},
        "codecs": codecs,
        "fill_value": 0,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True).result()
    for start in range(0, side, chunk):
        stop = min(start + chunk, side)
        array[start:stop].write(cube(start, stop, side)).result()
    (path / "done").touch()
    return path


def write_rows(folder: Path, rows: int, row_bytes: int, per_shard: int | None = None) -> Path:
    """A uint8 array of one row a chunk, or of shards of one row an inner chunk, without compression."""
    import tensorstore as ts

    path = folder / f"rows-{rows}-{row_bytes}-{per_shard or 'plain'}"
    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    codecs = [{"name": "bytes"}]
    if per_shard:
        sharding = {
            "chunk_shape": [1, row_bytes],
            "codecs": codecs,
            "index_codecs": [LITTLE, {"name": "crc32c"}],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    metadata = {
        "shape": [rows, row_bytes],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [per_shard or 1, row_bytes]}},
        "codecs": codecs,
        "fill_value": 0,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    data = np.random.default_rng(0).integers(1, 256, (rows, row_bytes), np.uint8)
    ts.open(spec, create=True).result().write(data).result()
    (path / "done").touch()
    return path
