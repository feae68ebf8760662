"""Whatever zarr-python writes, zarrs_c reads the same, bit for bit, into any memory layout.

The arrays come from a seeded program (helpers/specs.py). What zarr-python reads of the whole array is the reference,
and tensorstore must agree wherever it can read the array at all. NaN payloads count: raw bytes are compared.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import buffers, selections, writers
from helpers.running import SECONDS, run
from helpers.scale import SCALE
from helpers.specs import CHAINS_V3, large_specs, specs

import zarrs_c

pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")

SEED = int(os.environ.get("ZARRS_C_TEST_SEED", "20261"))
SPECS = specs(SEED, int(330 * SCALE))
LARGE = large_specs(SEED, int(14 * SCALE) or 1)
SELECTIONS = 10  # of each array, and as many boxes of chunks and regions of read_many
SUBSET = 7  # every so many arrays are read again without the fast path


@pytest.fixture(scope="module")
def makers():
    return itertools.cycle(buffers.ALL)


def written(spec, folder: Path) -> np.ndarray:
    expected = writers.write(spec, folder)
    theirs = read_by_tensorstore(spec, folder)
    if theirs is not None:
        assert theirs.tobytes() == expected.tobytes(), (
            "zarr-python and tensorstore differ: the test cannot tell"
        )
    return expected


def read_by_tensorstore(spec, folder: Path):
    import tensorstore as ts

    driver = {2: "zarr", 3: "zarr3"}[spec.zarr_format]
    try:
        array = ts.open({"driver": driver, "kvstore": {"driver": "file", "path": f"{folder}/"}}).result()
        result = array.read().result()
    except (ValueError, NotImplementedError):  # a codec or data type that tensorstore does not have
        return None
    if np.dtype(spec.dtype).kind == "V":  # which it reads as characters, with a dimension more
        return None
    return np.ascontiguousarray(result, result.dtype.newbyteorder("="))


def differences(expected: np.ndarray, destination, what) -> list[str]:
    """What is wrong with a read whose result should be `expected`."""
    found = []
    if destination.result() != np.ascontiguousarray(expected).tobytes():
        found.append(f"{what}: the elements differ")
    if not destination.undisturbed():
        found.append(f"{what}: memory outside of the selection was written")
    return found


@pytest.mark.parametrize("spec", [*SPECS, *LARGE], ids=lambda spec: spec.id)
def test_any_selection_into_any_layout_is_what_zarr_python_reads(spec, tmp_path, makers):
    expected = written(spec, tmp_path / "a")
    rng = np.random.default_rng(spec.seed)
    chosen = [..., *(selections.random_selection(rng, spec.shape) for _ in range(SELECTIONS))]
    results = [selections.select(expected, selection) for selection in chosen]
    array = zarrs_c.sync.open_array(tmp_path / "a")
    assert (array.shape, array.dtype, array.ndim) == (spec.shape, expected.dtype, len(spec.shape))
    destinations = [next(makers)(result.shape, result.dtype, rng, tmp_path) for result in results]

    async def all_at_once():
        reads = [
            zarrs_c.read_into(destination.buffer, array, selection)
            for destination, selection in zip(destinations, chosen, strict=True)
        ]
        return await asyncio.gather(*reads)

    if spec.number % 3:
        returned = run(all_at_once())
    else:
        returned = [
            zarrs_c.sync.read_into(destination.buffer, array, selection)
            for destination, selection in zip(destinations, chosen, strict=True)
        ]
    wrong = []
    for selection, result, destination, back in zip(chosen, results, destinations, returned, strict=True):
        assert back is destination.buffer
        wrong += differences(result, destination, f"{selections.describe(selection)}")
    del returned, back
    for destination in destinations:
        destination.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("spec", SPECS[::3], ids=lambda spec: spec.id)
def test_new_arrays_chunk_boxes_and_batches_are_what_zarr_python_reads(spec, tmp_path, makers):
    expected = written(spec, tmp_path / "a")
    rng = np.random.default_rng(spec.seed + 1)
    array = zarrs_c.sync.open_array(tmp_path / "a")

    fresh = [selections.random_selection(rng, spec.shape) for _ in range(4)]
    for selection in fresh:
        want, got = selections.select(expected, selection), array[selection]
        assert (got.shape, got.dtype, got.flags.c_contiguous) == (want.shape, want.dtype, True), selection
        assert got.tobytes() == want.tobytes(), selections.describe(selection)
    assert np.asarray(array).tobytes() == expected.tobytes()

    if 0 not in spec.shape:
        box_shape = array.shards or array.chunks
        assert array.grid_shape == tuple(-(-n // c) for n, c in zip(spec.shape, box_shape, strict=True))
        for _ in range(4):
            box = selections.random_chunk_box(rng, array.grid_shape)
            want = selections.select(expected, selections.elements_of_chunks(box, box_shape, spec.shape))
            assert zarrs_c.sync.read(array, chunks=box).tobytes() == want.tobytes(), f"chunks={box}"

    regions, wants = [], []
    for _ in range(SELECTIONS):
        selection = selections.random_selection(rng, spec.shape)
        wants.append(selections.select(expected, selection))
        regions.append((next(makers)(wants[-1].shape, wants[-1].dtype, rng, tmp_path), selection))

    async def batch():
        return await zarrs_c.read_many([(region.buffer, array, selection) for region, selection in regions])

    returned = run(batch())
    assert [id(buffer) for buffer in returned] == [id(region.buffer) for region, _ in regions]
    del returned
    wrong = []
    for want, (region, selection) in zip(wants, regions, strict=True):
        wrong += differences(want, region, f"{selections.describe(selection)}")
        region.close()
    assert not wrong, "\n".join(wrong)


def test_read_many_mixes_arrays_of_different_types_and_formats(tmp_path, makers):
    rng = np.random.default_rng(SEED)
    regions, wants = [], []
    for spec in SPECS[5::11]:
        expected = written(spec, tmp_path / str(spec.number))
        array = zarrs_c.sync.open_array(tmp_path / str(spec.number))
        for _ in range(3):
            selection = selections.random_selection(rng, spec.shape)
            wants.append(selections.select(expected, selection))
            regions.append((next(makers)(wants[-1].shape, wants[-1].dtype, rng, tmp_path), array, selection))
    zarrs_c.sync.read_many([(region.buffer, array, selection) for region, array, selection in regions])
    wrong = []
    for want, (region, array, selection) in zip(wants, regions, strict=True):
        wrong += differences(want, region, f"{array!r} {selections.describe(selection)}")
        region.close()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("spec", SPECS[1::9], ids=lambda spec: spec.id)
def test_encoded_chunks_are_the_files_bytes_and_none_where_there_is_no_file(spec, tmp_path):
    written(spec, tmp_path / "a")
    array = zarrs_c.sync.open_array(tmp_path / "a")
    reference = writers.reopen(tmp_path / "a")

    async def read(index):
        return await zarrs_c.read_encoded_chunk(array, index)

    for index in itertools.islice(np.ndindex(*array.grid_shape), 40):
        path = tmp_path / "a" / reference.metadata.encode_chunk_key(index)
        encoded = zarrs_c.sync.read_encoded_chunk(array, index)
        if not path.exists():
            assert encoded is None
            assert run(read(index)) is None
        else:
            assert bytes(encoded) == path.read_bytes()
            assert bytes(memoryview(run(read(index)))) == path.read_bytes()


def test_metadata_is_told_as_it_is(tmp_path):
    for spec in SPECS[2::13]:
        written(spec, tmp_path / str(spec.number))
        array = zarrs_c.sync.open_array(tmp_path / str(spec.number))
        reference = writers.reopen(tmp_path / str(spec.number))
        assert (array.zarr_format, array.size) == (spec.zarr_format, int(np.prod(spec.shape, dtype=int)))
        assert array.nbytes == array.size * array.dtype.itemsize
        fill = np.asarray(reference.fill_value).astype(array.dtype)
        assert np.asarray(array.fill_value, array.dtype).tobytes() == fill.tobytes(), spec.id
        if spec.sharding is None:
            assert (array.chunks, array.shards) == (reference.chunks, None)


@pytest.mark.skipif("ZARRS_C_NO_FAST_PATH" in os.environ, reason="this is the run without the fast path")
def test_without_the_fast_path_the_same_bytes_come_out():
    """The fast path off (ZARRS_C_NO_FAST_PATH is read when the runtime is made): a part of this file, once more."""
    environment = {**os.environ, "ZARRS_C_NO_FAST_PATH": "1"}
    chosen = [spec.id for spec in [*SPECS[::SUBSET], *LARGE[::2]]] + [
        spec.id for spec in SPECS if spec.chain in CHAINS_V3[:3]
    ]
    tests = [
        f"{__file__}::test_any_selection_into_any_layout_is_what_zarr_python_reads[{spec_id}]"
        for spec_id in dict.fromkeys(chosen)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        env=environment,
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
