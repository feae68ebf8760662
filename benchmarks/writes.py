"""Writes to local files: zarrs_c beside tensorstore, zarr-python with and without the zarrs pipeline, and a program
written by hand for the one layout (floor_write.rs), interleaved in one run.

    python benchmarks/writes.py                        # 1024³ uint16 takes some minutes and gigabytes
    python benchmarks/writes.py --side 512 --runs 3 --only shards

Each turn writes a new array. Before the clock starts its metadata is made, what the disk has not taken yet is flushed,
and free memory is touched: a virtual machine gives free pages back to its host, and whoever needs them first pays for
all, with up to 0.4 s of processor time for what is written here.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import common
import data
import numpy as np

from zarrs_c import sync

INNER = {
    "chunks": None,
    "shards": 16,
}  # how many times smaller inner chunks are than the cube; chunks are 4 times
GOAL = "every peer >= 1 x zarrs_c"


def create(folder: Path, cube: np.ndarray, inner: int | None):
    """An array for the cube, with nothing in it."""
    shape = lambda factor: (cube.shape[0] // factor,) * 3  # noqa: E731
    chunks, shards = (shape(inner), shape(4)) if inner else (shape(4), None)
    return sync.create_array(
        folder, shape=cube.shape, dtype=cube.dtype, chunks=chunks, shards=shards, compressors=data.ZSTD
    )


# ==== Writers: each takes the folder of a new array, and returns what writes the cube to it ====


def by_zarrs_c(folder: Path, cube: np.ndarray) -> Callable[[], object]:
    return partial(sync.write, sync.open_array(folder), cube)


def by_tensorstore(folder: Path, cube: np.ndarray) -> Callable[[], object]:
    import tensorstore as ts

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/"}}
    array = ts.open(spec).result()
    return lambda: array.write(cube, can_reference_source_data_indefinitely=True).result()


def by_zarr_python(folder: Path, cube: np.ndarray, pipeline="zarr.core.codec_pipeline.BatchedCodecPipeline"):
    import zarr

    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(folder, mode="r+")
    return partial(array.__setitem__, Ellipsis, cube)


def by_zarrs_pipeline(folder: Path, cube: np.ndarray) -> Callable[[], object]:
    import zarrs  # noqa: F401

    return by_zarr_python(folder, cube, "zarrs.ZarrsCodecPipeline")


def by_hand(folder: Path, cube: np.ndarray) -> Callable[[], object]:
    array = sync.open_array(folder)
    chunk, inner = (array.shards or array.chunks)[0], array.chunks[0] if array.shards else 0
    sizes = [ctypes.c_size_t(n) for n in (cube.shape[0], chunk, inner, os.cpu_count())]
    write = floor().floor_write
    return lambda: write(os.fsencode(folder), *sizes, ctypes.c_void_p(cube.ctypes.data))


@cache
def floor() -> ctypes.CDLL:
    """The program of floor_write.rs, built with cargo if it is not."""
    build = [sys.executable, str(common.ROOT / "scripts" / "rust_env.py"), "cargo", "build", "--release"]
    command = [*build, "--locked", "--example", "floor_write", "--message-format", "json"]
    made = subprocess.run(command, check=True, capture_output=True, text=True, cwd=common.ROOT).stdout
    messages = map(json.loads, made.splitlines())
    (library,) = (m["filenames"][0] for m in messages if m.get("target", {}).get("name") == "floor_write")
    return ctypes.CDLL(library)


WRITERS = {
    common.OURS: by_zarrs_c,
    "tensorstore": by_tensorstore,
    "zarr-python": by_zarr_python,
    "zarr-python, zarrs pipeline": by_zarrs_pipeline,
    "floor": by_hand,
}


def installed(options, probe: Path, cube: np.ndarray) -> dict:
    """The writers that were asked for and that are installed."""
    found = {}
    for name, writer in WRITERS.items():
        asked = options.peers is None or name.startswith((common.OURS, *options.peers))
        try:
            if asked:
                writer(probe, cube)
                found[name] = writer
        except ImportError as error:
            print(f"  without {name}: {error}")
    return found


def turn(writer, folder: Path, cube: np.ndarray, inner: int | None) -> float:
    """Seconds of one write to a new array, of which some planes are then looked at."""
    shutil.rmtree(folder, ignore_errors=True)
    create(folder, cube, inner)
    write = writer(folder, cube)
    os.sync()
    np.ones(cube.nbytes, np.uint8)
    start = time.perf_counter()
    write()
    seconds = time.perf_counter() - start
    written = sync.open_array(folder)
    for plane in (0, cube.shape[0] // 3, cube.shape[0] - 1):
        np.testing.assert_array_equal(written[plane], cube[plane])
    return seconds


def whole_cube(side: int) -> np.ndarray:
    made = np.empty((side,) * 3, np.uint16)
    for start in range(0, side, 16):
        made[start : start + 16] = data.cube(start, min(start + 16, side), side)
    return made


def whole(kind: str, options) -> dict:
    """A whole cube in zstd chunks, or in shards of them."""
    cube, folder, inner = whole_cube(options.side), options.data / "written", INNER[kind]
    shutil.rmtree(folder, ignore_errors=True)
    create(folder, cube, inner)
    writers = installed(options, folder, cube)
    turns = {name: partial(turn, writer, folder, cube, inner) for name, writer in writers.items()}
    seconds = common.take_turns(turns, options.runs)
    shutil.rmtree(folder)
    title = f"{options.side}³ uint16 written, zstd, {kind}"
    common.table(title, seconds, GOAL)
    return {title: seconds}


if __name__ == "__main__":
    common.run_works(__doc__, {kind: partial(whole, kind) for kind in INNER}, side=1024)
