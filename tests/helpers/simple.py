"""Arrays for tests whose subject is not the format: written by tensorstore, which every supported Python has."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ZSTD = {"name": "zstd", "configuration": {"level": 1}}
GZIP = {"name": "gzip", "configuration": {"level": 1}}
LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
CRC32C = {"name": "crc32c"}


@dataclass(frozen=True)
class Stored:
    """An array on disk and what is in it."""

    path: Path
    data: np.ndarray
    chunks: tuple
    shards: tuple | None = None

    @property
    def grid_shape(self) -> tuple:
        box = self.shards or self.chunks
        return tuple(-(-n // c) for n, c in zip(self.data.shape, box, strict=True))

    def chunk_key(self, *index) -> str:
        return "/".join(["c", *map(str, index)])

    def chunk_path(self, *index) -> Path:
        return self.path / self.chunk_key(*index)

    def chunk_files(self) -> list[Path]:
        return sorted(path for path in self.path.glob("c/**/*") if path.is_file())


def random_array(shape, dtype="float32", seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    return rng.integers(0, 120, shape).astype(dtype)


def store(
    path, data, chunks, *, shards=None, codecs=(LITTLE, ZSTD), index_codecs=(LITTLE, CRC32C), index_end=True
):
    """Write `data` as a Zarr v3 array. `codecs` are those of the (inner) chunks."""
    import tensorstore as ts

    codecs = list(codecs)
    if shards is not None:
        codecs = [
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": list(chunks),
                    "codecs": codecs,
                    "index_codecs": list(index_codecs),
                    "index_location": "end" if index_end else "start",
                },
            }
        ]
    metadata = {
        "shape": list(data.shape),
        "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shards or chunks)}},
        "codecs": codecs,
        "fill_value": False if data.dtype == bool else 0,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    ts.open(spec, create=True).result().write(data).result()
    return Stored(Path(path), data, tuple(chunks), tuple(shards) if shards else None)


def store_slow(path, chunks=400, chunk_bytes=4 << 20) -> Stored:
    """An array whose chunks take long to decode, and whose reads can be small: read `[:, ::STRIDE]` of it.

    All chunks are hard links of one file, gzip of random 3-bit numbers: tens of milliseconds of decoding each."""
    path = Path(path)
    row = np.random.default_rng(0).integers(0, 8, (1, chunk_bytes), np.uint8)
    one = store(
        path / "one",
        row,
        (1, chunk_bytes),
        codecs=[{"name": "bytes"}, GZIP],
    )
    metadata = json.loads((one.path / "zarr.json").read_text())
    metadata["shape"][0] = chunks
    slow = path / "slow"
    for index in range(chunks):
        folder = slow / "c" / str(index)
        folder.mkdir(parents=True)
        os.link(one.chunk_path(0, 0), folder / "0")
    (slow / "zarr.json").write_text(json.dumps(metadata))
    return Stored(slow, np.broadcast_to(row[0], (chunks, chunk_bytes)), (1, chunk_bytes))


STRIDE = 1 << 16


def digest(array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
