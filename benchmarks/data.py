"""Arrays for the benchmarks, written once, by tensorstore, into a cache folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC = {"name": "crc32c"}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}


def write(path: Path, shape: tuple, dtype: str, chunks: tuple, codecs: list, planes, inner=None) -> Path:
    """An array of format 3, unless it is there: `planes(start, stop)` gives its elements from `start` along the first
    dimension, a row of chunks at a time. With `inner`, chunks are shards of inner chunks of that shape."""
    import tensorstore as ts

    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    if inner:
        sharding = {
            "chunk_shape": list(inner),
            "codecs": codecs,
            "index_codecs": [LITTLE, CRC],
            "index_location": "end",
        }
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    metadata = {
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "codecs": codecs,
        "fill_value": 0,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True).result()
    # Some megabytes at a time.
    step = -(-max(1, (64 << 20) // array[:1].size) // chunks[0]) * chunks[0]
    for start in range(0, shape[0], step):
        stop = min(start + step, shape[0])
        array[start:stop].write(planes(start, stop)).result()
    (path / "done").touch()
    return path


def cube(start: int, stop: int, side: int) -> np.ndarray:
    """Planes [start, stop) of the public benchmark's cube: (g2 + g1² / 32 + g0³) mod 65536, as uint16."""
    g0 = np.arange(start, stop, dtype=np.uint64)[:, None, None]
    g1 = np.arange(side, dtype=np.uint64)[None, :, None]
    g2 = np.arange(side, dtype=np.uint64)[None, None, :]
    return ((g2 + g1**2 // 32 + g0**3) % 65536).astype(np.uint16)


def write_cube(folder: Path, side: int, chunk: int, inner: int | None, codecs=None) -> Path:
    """The cube in zstd chunks (or what `codecs` says), or in shards of such inner chunks."""
    codecs = [LITTLE, ZSTD] if codecs is None else codecs
    name = f"cube-{side}-{chunk}-{inner or 'plain'}" + ("" if len(codecs) == 2 else "-raw")
    return write(
        folder / name,
        (side,) * 3,
        "uint16",
        (chunk,) * 3,
        codecs,
        lambda start, stop: cube(start, stop, side),
        (inner,) * 3 if inner else None,
    )


def write_floats(folder: Path, side: int, chunk: int) -> Path:
    """A cube of float32 in chunks of blosc's lz4 with shuffle."""

    def planes(start, stop):
        g0 = np.arange(start, stop, dtype=np.float32)[:, None, None]
        g1 = np.arange(side, dtype=np.float32)[None, :, None]
        g2 = np.arange(side, dtype=np.float32)[None, None, :]
        return np.sin(g0 / 50) * np.cos(g1 / 70) + g2 / 1024

    return write(
        folder / f"floats-{side}-{chunk}", (side,) * 3, "float32", (chunk,) * 3, [LITTLE, BLOSC], planes
    )


def write_steps(folder: Path) -> Path:
    """200 time steps of a field of 361 x 720 float32, 50 steps of a quarter of it a chunk, as archives of the weather
    have them: blosc's lz4 with shuffle."""

    def steps(start, stop):
        t = np.arange(start, stop, dtype=np.float32)[:, None, None]
        y = np.arange(361, dtype=np.float32)[None, :, None]
        x = np.arange(720, dtype=np.float32)[None, None, :]
        return 280 + 20 * np.cos(y / 60) * np.sin(x / 90 + t / 12) + (t * y * x % 11) / 16

    return write(folder / "steps", (200, 361, 720), "float32", (50, 181, 360), [LITTLE, BLOSC], steps)


def write_table(folder: Path, chunks: int) -> Path:
    """A long table of float32, 100 rows of 1,000 columns a chunk: a column goes through every chunk."""

    def rows(start, stop):
        return np.arange(start, stop, dtype=np.float32)[:, None] + np.arange(1000, dtype=np.float32) / 1024

    return write(
        folder / f"table-{chunks}", (100 * chunks, 1000), "float32", (100, 1000), [LITTLE, ZSTD], rows
    )


def write_raster(folder: Path, side: int) -> Path:
    """A sharded uint16 raster: shards of 2,000 x 2,000, inner chunks of 250 x 250."""

    def rows(start, stop):
        y = np.arange(start, stop, dtype=np.uint32)[:, None]
        x = np.arange(side, dtype=np.uint32)[None, :]
        return ((x // 3 + y * y // 5000 + (x * y) % 7) % 65536).astype(np.uint16)

    codecs = [LITTLE, ZSTD]
    return write(folder / f"raster-{side}", (side,) * 2, "uint16", (2000,) * 2, codecs, rows, (250,) * 2)


def write_rows(folder: Path, rows: int, row_bytes: int, per_shard: int | None = None) -> Path:
    """A uint8 array of one row a chunk, or of shards of one row an inner chunk, without compression."""
    values = np.random.default_rng(0).integers(1, 256, (rows, row_bytes), np.uint8)
    return write(
        folder / f"rows-{rows}-{row_bytes}-{per_shard or 'plain'}",
        (rows, row_bytes),
        "uint8",
        (per_shard or 1, row_bytes),
        [{"name": "bytes"}],
        lambda start, stop: values[start:stop],
        (1, row_bytes) if per_shard else None,
    )
