"""Arrays to write to, sources of any memory layout, and what others read of what was written."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np

import zarrs_c
from zarrs_c._create import array_metadata

from . import buffers, selections, writers
from .specs import Spec


def store_metadata(folder: Path, metadata: dict) -> None:
    """Put the metadata that `array_metadata` makes where a reader looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    if metadata["zarr_format"] == 3:
        (folder / "zarr.json").write_text(json.dumps(metadata))
    else:
        (folder / ".zattrs").write_text(json.dumps(metadata.pop("attributes")))
        (folder / ".zarray").write_text(json.dumps(metadata))


def create(spec: Spec, folder: Path, by_zarr_python: bool):
    """A new array as `spec` describes it, with nothing in it yet."""
    arguments = writers.creation(spec, np.random.default_rng(spec.seed))
    if by_zarr_python:
        writers.create(folder, **arguments)
    else:
        if np.dtype(spec.dtype).kind == "V":
            arguments["fill_value"] = None
        store_metadata(folder, json.loads(array_metadata(**arguments)))
    return zarrs_c.sync.open_array(folder)


def filled(spec: Spec, array) -> np.ndarray:
    """What an array of `spec` holds before anything is written: the fill value, bit for bit."""
    return np.full(spec.shape, np.asarray(array.fill_value, array.dtype), array.dtype)


def source(maker, values: np.ndarray, rng, folder) -> buffers.Destination:
    """`values` in a memory layout of `maker`'s."""
    made = maker(values.shape, values.dtype, rng, folder)
    made.view[...] = values
    return made


def random_pieces(rng, spec: Spec, count: int):
    """Selections, each with data for it: random elements, or the fill value in some chunks."""
    dtype = spec.numpy_dtype().newbyteorder("=")
    for _ in range(count):
        selection = selections.random_selection(rng, spec.shape)
        shape = np.empty(spec.shape, bool)[selection].shape
        data = writers.random_data(rng, dtype, shape, narrow=not spec.chain.lossless)
        if rng.random() < 0.2:
            data[...] = writers.fill_array(spec)
        yield selection, data


def read_by_tensorstore(folder: Path, zarr_format=3, dtype=None):
    """What tensorstore reads of the array at `folder`; None where it lacks a codec or the data type."""
    import tensorstore as ts

    if dtype is not None and np.dtype(dtype).kind == "V" and np.dtype(dtype).type is np.void:
        return None  # which it reads as characters, with a dimension more
    spec = {
        "driver": {2: "zarr", 3: "zarr3"}[zarr_format],
        "kvstore": {"driver": "file", "path": f"{folder}/"},
    }
    try:
        result = ts.open(spec).result().read().result()
    except (ValueError, NotImplementedError):
        return None
    return np.ascontiguousarray(result, result.dtype.newbyteorder("="))


def read_by_zarr_python(folder: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(writers.reopen(folder)[...])


def chunk_files(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below an array's folder that is not metadata."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("zarr.json", ".zarray", ".zattrs")
    }
