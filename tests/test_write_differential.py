"""Whatever zarrs_c writes, zarr-python and tensorstore read the same, bit for bit, from any memory layout.

The arrays are those of the seeded program of the tests of reading (helpers/specs.py).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re

import numpy as np
import pytest
from helpers import buffers, writers, writing
from helpers.running import run
from helpers.scale import SCALE
from helpers.selections import describe, random_chunk_box
from helpers.specs import large_specs, specs

import zarrs_c
from zarrs_c import sync

pytest.importorskip("zarr", reason="zarr-python 3 needs Python 3.11")

SEED = int(os.environ.get("ZARRS_C_TEST_SEED", "20265"))
SPECS = specs(SEED, int(330 * SCALE))
LARGE = large_specs(SEED, int(14 * SCALE) or 1)
LOSSLESS = [spec for spec in [*SPECS, *LARGE] if spec.chain.lossless]
LOSSY = [spec for spec in SPECS if not spec.chain.lossless]
PIECES = 6
CHUNK_KEY = re.compile(r"c([./]\d+)*|\d+([./]\d+)*")


@pytest.fixture(scope="module")
def makers():
    return itertools.cycle(buffers.ALL)


def check_read_by_all(spec, folder, expected):
    """zarr-python, tensorstore and zarrs_c read `expected`, and nothing is left but metadata and chunks."""
    assert writers.read(folder, spec).tobytes() == expected.tobytes(), "zarr-python reads something else"
    theirs = writing.read_by_tensorstore(folder, spec.zarr_format, spec.dtype)
    if theirs is not None:
        assert theirs.tobytes() == expected.tobytes(), "tensorstore reads something else"
    assert sync.read(sync.open_array(folder)).tobytes() == expected.tobytes()
    strays = [key for key in writing.chunk_files(folder) if not CHUNK_KEY.fullmatch(key)]
    assert not strays


@pytest.mark.parametrize("spec", LOSSLESS, ids=lambda spec: spec.id)
def test_any_selection_from_any_layout_is_what_others_read(spec, tmp_path, makers):
    folder = tmp_path / "a"
    array = writing.create(spec, folder, by_zarr_python=spec.number % 2 == 0)
    rng = np.random.default_rng(spec.seed)
    expected = writing.filled(spec, array)
    pieces = list(writing.random_pieces(rng, spec, PIECES if spec.number < 1000 else 3))
    if spec.number % 3:  # begin with whole chunks
        whole = writers.with_holes(rng, writers.random_data(rng, array.dtype, spec.shape), spec, spec.chunks)
        pieces.insert(0, (..., whole))
    for number, (selection, data) in enumerate(pieces):
        source = writing.source(next(makers), data, rng, tmp_path)
        options = {"write_empty_chunks": spec.write_empty}
        if number % 2:

            async def main(source=source, selection=selection, options=options):
                return await zarrs_c.write(array, source.buffer, selection, **options)

            assert run(main()) is None
        else:
            assert sync.write(array, source.buffer, selection, **options) is None
        assert source.result() == data.tobytes(), "a write changed what it was given"
        source.close()
        expected[selection] = data
        got = sync.read(array)
        assert got.tobytes() == expected.tobytes(), f"after writing {describe(selection)}"
    check_read_by_all(spec, folder, expected)


@pytest.mark.parametrize("spec", LOSSY, ids=lambda spec: spec.id)
def test_what_lossy_codecs_keep_is_what_they_keep_for_zarr_python(spec, tmp_path):
    array = writing.create(spec, tmp_path / "ours", by_zarr_python=True)
    rng = np.random.default_rng(spec.seed)
    data = writers.random_data(rng, array.dtype, spec.shape, narrow=True)
    sync.write(array, data)
    ours = writers.read(tmp_path / "ours", spec)
    assert sync.read(array).tobytes() == ours.tobytes()
    if spec.chain.name == "zfpy-rate":  # see test_known_limits.py
        return
    theirs = writers.create(tmp_path / "theirs", **writers.creation(spec, np.random.default_rng(spec.seed)))
    theirs[...] = data
    assert ours.tobytes() == writers.read(tmp_path / "theirs", spec).tobytes()


@pytest.mark.parametrize(
    "spec", [spec for spec in LOSSLESS if 0 not in spec.shape][::4], ids=lambda spec: spec.id
)
def test_boxes_of_chunks_and_many_writes_at_once(spec, tmp_path):
    array = writing.create(spec, tmp_path / "a", by_zarr_python=spec.number % 2 == 1)
    rng = np.random.default_rng(spec.seed + 1)
    box_shape = array.shards or array.chunks
    expected = writing.filled(spec, array)
    for _ in range(3):
        box = random_chunk_box(rng, array.grid_shape)
        where = tuple(
            slice(b.start * c, min(b.stop * c, n)) for b, c, n in zip(box, box_shape, spec.shape, strict=True)
        )
        data = writers.random_data(rng, array.dtype, expected[where].shape)
        sync.write(array, data, chunks=box)
        expected[where] = data
    assert sync.read(array).tobytes() == expected.tobytes()

    rows = writers.random_data(rng, array.dtype, spec.shape)

    async def all_rows_at_once():
        await asyncio.gather(
            *(zarrs_c.write(array, rows[i : i + 1], np.s_[i : i + 1]) for i in range(len(rows)))
        )

    if spec.shape and 0 < spec.shape[0] <= 100:
        run(all_rows_at_once())
        expected = rows
    check_read_by_all(spec, tmp_path / "a", expected)


@pytest.mark.parametrize("spec", LOSSLESS[::5], ids=lambda spec: spec.id)
def test_the_same_data_gives_the_same_bytes(spec, tmp_path):
    rng = np.random.default_rng(spec.seed)
    found = []
    for name in ("first", "second"):
        array = writing.create(spec, tmp_path / name, by_zarr_python=True)
        if not found:
            data = writers.with_holes(
                rng, writers.random_data(rng, array.dtype, spec.shape), spec, spec.chunks
            )
        sync.write(array, data)
        found.append(writing.chunk_files(tmp_path / name))
    assert found[0] == found[1]
