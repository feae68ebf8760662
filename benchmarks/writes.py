"""Writes to local files: zarrs_c beside tensorstore, zarr-python with and without the zarrs pipeline, and a program
written by hand for the one layout (`floor_write.rs`), interleaved in one run.

    cargo build --release --example floor_write        # once; without it the floor is left out
    python benchmarks/writes.py                        # 1024³ uint16 takes some minutes and gigabytes
    python benchmarks/writes.py --side 512 --runs 3 --only shards

Each turn writes a new array: folders and metadata are made before the clock starts, and what the disk has not taken yet
is flushed. Times are medians; what they mean on this machine only their ratios tell.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import zarrs_c
from zarrs_c import sync

ROOT = Path(__file__).resolve().parent.parent
OURS = "zarrs_c"
ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": False}}


def cube(side: int) -> np.ndarray:
    """The public benchmark's cube: (g2 + g1² / 32 + g0³) mod 65536, as uint16."""
    g = np.arange(side, dtype=np.uint64)
    plane = g[None, :] + g[:, None] ** 2 // 32
    made = np.empty((side,) * 3, np.uint16)
    for i in range(side):
        made[i] = (plane + np.uint64(i) ** np.uint64(3)) % np.uint64(65536)
    return made


# ==== Writers: each makes an empty array at a folder, and returns what writes it ====


def by_zarrs_c(folder: Path, data: np.ndarray, chunks, shards) -> Callable[[], object]:
    array = sync.create_array(
        folder, shape=data.shape, dtype=data.dtype, chunks=chunks, shards=shards, compressors=ZSTD
    )
    return lambda: sync.write(array, data)


def by_tensorstore(folder: Path, data: np.ndarray, chunks, shards) -> Callable[[], object]:
    import tensorstore as ts

    by_zarrs_c(folder, data, chunks, shards)  # the same metadata
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    array = ts.open(spec).result()
    return lambda: array.write(data, can_reference_source_data_indefinitely=True).result()


def by_zarr_python(folder: Path, data: np.ndarray, chunks, shards, pipeline=None) -> Callable[[], object]:
    import zarr

    by_zarrs_c(folder, data, chunks, shards)
    pipeline = pipeline or "zarr.core.codec_pipeline.BatchedCodecPipeline"
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(folder, mode="r+")
    # None of the others leaves chunks out here either: there is no fill value in the data.
    return lambda: array.__setitem__(Ellipsis, data)


def by_zarrs_pipeline(folder: Path, data: np.ndarray, chunks, shards) -> Callable[[], object]:
    import zarrs  # noqa: F401

    return by_zarr_python(folder, data, chunks, shards, "zarrs.ZarrsCodecPipeline")


def by_hand(folder: Path, data: np.ndarray, chunks, shards) -> Callable[[], object]:
    by_zarrs_c(folder, data, chunks, shards)
    chunk, inner = (shards or chunks)[0], chunks[0] if shards else 0
    sizes = [ctypes.c_size_t(n) for n in (data.shape[0], chunk, inner, os.cpu_count())]
    write = ctypes.CDLL(str(floor_library())).floor_write
    return lambda: write(str(folder).encode(), *sizes, ctypes.c_void_p(data.ctypes.data))


def floor_library() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "release" / "examples" / "libfloor_write.so"


WRITERS = {
    OURS: by_zarrs_c,
    "tensorstore": by_tensorstore,
    "zarr-python": by_zarr_python,
    "zarr-python, zarrs pipeline": by_zarrs_pipeline,
    "by hand (the floor)": by_hand,
}


# ==== Measuring ====


def usable(writers: dict, data: np.ndarray, folder: Path) -> dict:
    """Those that are installed."""
    found = {}
    for name, writer in writers.items():
        try:
            writer(folder / "probe", data[:1, :1, :1], (1, 1, 1), None)
            found[name] = writer
        except (ImportError, OSError) as error:
            print(f"  {name} is left out: {error}")
        shutil.rmtree(folder / "probe", ignore_errors=True)
    return found


def measure(data: np.ndarray, chunks, shards, options) -> dict[str, list[float]]:
    """Seconds of each writer's runs, interleaved; the first run of each does not count."""
    folder = options.folder / "array"
    writers = usable(WRITERS, data, options.folder)
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    for run in range(options.runs + 1):
        for name, writer in writers.items():
            shutil.rmtree(folder, ignore_errors=True)
            write = writer(folder, data, chunks, shards)
            os.sync()
            start = time.perf_counter()
            write()
            taken = time.perf_counter() - start
            if run:
                seconds[name].append(taken)
            elif not np.array_equal(sync.read(sync.open_array(folder)), data):
                raise SystemExit(f"{name} has written something else")
    shutil.rmtree(folder)
    return seconds


def report(title: str, seconds: dict[str, list[float]]) -> None:
    print(f"\n{title}")
    ours = statistics.median(seconds[OURS])
    for name, times in seconds.items():
        median = statistics.median(times)
        span = f"({min(times):.3f} to {max(times):.3f})"
        print(f"  {name:<30} {median:7.3f} s  {span:<18} {median / ours:6.2f} x")
    sys.stdout.flush()


WORKS = {"chunks": (256, None), "shards": (64, 256)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--data", type=Path, help="a folder for what is written; a temporary one")
    parser.add_argument("--json", type=Path, help="write every figure there")
    options = parser.parse_args()
    data = cube(options.side)
    print(
        f"{options.side}³ uint16, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.runs} runs"
    )
    results = {}
    with tempfile.TemporaryDirectory(dir=options.data) as folder:
        options.folder = Path(folder)
        for name in options.only:
            chunk, shard = (min(n, options.side) if n else None for n in WORKS[name])
            seconds = measure(data, (chunk,) * 3, (shard,) * 3 if shard else None, options)
            inner = f"shards of {shard}³ of {chunk}³" if shard else f"chunks of {chunk}³"
            report(f"whole cube, zstd, {inner}; goal: faster than all peers", seconds)
            results[name] = seconds
    print(f"\npeak memory of the process: {peak_memory() >> 20} MiB; zarrs_c's counters: {zarrs_c.stats()}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def peak_memory() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
