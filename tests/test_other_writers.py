"""Arrays that zarr-python does not write: by tensorstore (bfloat16, its own sharding), and on irregular grids."""

from __future__ import annotations

import itertools
import json
import shutil
import warnings

import numpy as np
import pytest
from helpers import buffers, selections, simple

import zarrs_c

BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
BIG = {"name": "bytes", "configuration": {"endian": "big"}}
ZSTD = {"name": "zstd", "configuration": {"level": 1}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2, "blocksize": 0},
}
CRC = {"name": "crc32c"}


def transpose(*order):
    return {"name": "transpose", "configuration": {"order": list(order)}}


def sharding(inner, codecs, location="end"):
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": list(inner),
            "codecs": codecs,
            "index_codecs": [BYTES, CRC],
            "index_location": location,
        },
    }


CHAINS = {
    "raw": [BYTES],
    "big": [BIG, ZSTD],
    "blosc": [BYTES, BLOSC],
    "crc": [BYTES, ZSTD, CRC],
    "transpose": [transpose(1, 0), BYTES, ZSTD],
    "shards": [sharding((4, 3), [BYTES, ZSTD])],
    "shards-at-start": [sharding((4, 3), [transpose(1, 0), BIG, CRC], "start")],
    "transposed-shards": [transpose(1, 0), sharding((3, 4), [BYTES, BLOSC])],
    "shards-in-shards": [sharding((8, 6), [sharding((4, 3), [BYTES, ZSTD])])],
}
DTYPES = ["bfloat16", "float8_e5m2", "int4", "float16", "uint16", "int64", "complex64", "bool"]


def write_by_tensorstore(path, data, chunks, codecs, fill_value):
    import tensorstore as ts

    metadata = {
        "shape": list(data.shape),
        "data_type": data.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "codecs": codecs,
        "fill_value": fill_value,
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    array = ts.open(spec, create=True).result()
    array[8:].write(data[8:]).result()  # the first rows are missing chunks, or inner chunks
    return array.read().result()


def check_selections(array, expected, seed, folder, count=25):
    rng = np.random.default_rng(seed)
    for make in itertools.islice(itertools.cycle(buffers.ALL), count):
        selection = selections.random_selection(rng, expected.shape)
        want = selections.select(expected, selection)
        destination = make(want.shape, want.dtype, rng, folder)
        zarrs_c.sync.read_into(destination.buffer, array, selection)
        assert destination.result() == np.ascontiguousarray(want).tobytes(), selections.describe(selection)
        assert destination.undisturbed(), selections.describe(selection)
        destination.close()


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_tensorstore_writes_is_read_the_same(dtype, chain, tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    rng = np.random.default_rng(7)
    data = rng.integers(0, {"bool": 2, "int4": 8}.get(dtype.name, 200), (31, 29)).astype(dtype)
    fill = {"bool": True, "complex64": [1.5, "NaN"]}.get(dtype.name, 3)
    expected = write_by_tensorstore(tmp_path / "a", data, (16, 12), CHAINS[chain], fill)
    array = zarrs_c.sync.open_array(tmp_path / "a")
    assert array.dtype == dtype
    check_selections(array, expected, 11, tmp_path)


# Chunk lengths along each dimension, and how the grid is written: by the extension `rectilinear` of zarr-extensions.
RECTILINEAR = [
    ((20,), ([5, 1, 14],), [[5, 1, 14]]),
    ((20, 11), ([3] * 5 + [5], [4, 7]), [[[3, 5], 5], [4, 7]]),
    ((13, 10), ([1, 12], [4, 4, 4]), [[1, 12], 4]),  # a scalar: a regular dimension, with an edge chunk
    ((6, 5, 7), ([2, 4], [5], [1, 1, 1, 4]), [[2, 4], [5], [[1, 3], 4]]),
]


def write_rectilinear(path, data, edges, chunk_shapes, codecs, skip):
    """Each chunk is written by tensorstore as an array of one chunk, whose file then goes where the grid has it."""
    starts = [np.concatenate([[0], np.cumsum(lengths)]) for lengths in edges]
    expected = np.full(data.shape, 9, data.dtype)
    for index in np.ndindex(*map(len, edges)):
        if skip(index):
            continue
        low = [starts[d][i] for d, i in enumerate(index)]
        shape = [edges[d][i] for d, i in enumerate(index)]
        box = tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))
        piece = np.full(shape, 255, data.dtype)  # an edge chunk reaches beyond the array
        piece[tuple(slice(n) for n in data[box].shape)] = data[box]
        expected[box] = data[box]
        one = simple.store(path / "one", piece, shape, codecs=codecs)
        target = path / "a" / one.chunk_key(*index)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(one.chunk_files()[0], target)
        metadata = json.loads((path / "one" / "zarr.json").read_text())
        shutil.rmtree(path / "one")
    metadata["shape"] = list(data.shape)
    metadata["fill_value"] = 9
    metadata["chunk_grid"] = {
        "name": "rectilinear",
        "configuration": {"kind": "inline", "chunk_shapes": chunk_shapes},
    }
    (path / "a" / "zarr.json").write_text(json.dumps(metadata))
    return expected


@pytest.mark.parametrize("case", range(len(RECTILINEAR)))
@pytest.mark.parametrize("codecs", [[BYTES], [BIG, ZSTD]], ids=["raw", "zstd-big"])
def test_rectilinear_grids_are_read_by_their_own_chunk_shapes(case, codecs, tmp_path):
    shape, edges, chunk_shapes = RECTILINEAR[case]
    data = np.random.default_rng(case).integers(1, 200, shape).astype("uint16")
    expected = write_rectilinear(tmp_path, data, edges, chunk_shapes, codecs, skip=lambda i: sum(i) % 4 == 3)
    array = zarrs_c.sync.open_array(tmp_path / "a")
    assert array.grid_shape == tuple(map(len, edges))
    check_selections(array, expected, case, tmp_path)
    for index in np.ndindex(*array.grid_shape):
        box = tuple(slice(sum(edges[d][:i]), sum(edges[d][: i + 1])) for d, i in enumerate(index))
        assert zarrs_c.sync.read(array, chunks=index).tobytes() == expected[box].tobytes(), index


@pytest.mark.parametrize("case", range(len(RECTILINEAR)))
def test_rectilinear_grids_that_zarr_python_writes_are_read_the_same(case, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")
    if "rectilinear_chunks" not in zarr.config.get("array"):
        pytest.skip(f"zarr-python {zarr.__version__} writes regular grids only")
    shape, edges, _ = RECTILINEAR[case]
    edges = [[*lengths[:-1], n - sum(lengths[:-1])] for lengths, n in zip(edges, shape, strict=True)]
    with zarr.config.set({"array.rectilinear_chunks": True}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = zarr.create_array(
            str(tmp_path / "a"), shape=shape, chunks=edges, dtype="f4", fill_value=float("nan")
        )
        theirs[shape[0] // 2 :] = np.random.default_rng(case).random(theirs[shape[0] // 2 :].shape)
        expected = theirs[...]
    array = zarrs_c.sync.open_array(tmp_path / "a")
    assert array.chunks == tuple(map(tuple, edges))
    check_selections(array, expected, case, tmp_path)
