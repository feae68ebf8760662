"""Any sequence of writes, erases and resizes leaves what the same sequence leaves of a NumPy array."""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
import uuid
from pathlib import Path

import numpy as np
from helpers import selections, writing
from helpers.running import run
from helpers.scale import SCALE
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import zarrs_c
from zarrs_c import sync

seeds = st.integers(0, 2**32 - 1)
FILLS = {
    "int16": [0, -7],
    "float64": [0.0, -0.0, float("nan"), 1.5],
    "uint8": [0, 255],
    "bool": [False, True],
}


class Array(RuleBasedStateMachine):
    """An array in a store, and the NumPy array that it should be."""

    def __init__(self):
        super().__init__()
        self.model = None

    @initialize(seed=seeds, in_memory=st.booleans())
    def create(self, seed, in_memory):
        rng = np.random.default_rng(seed)
        ndim = int(rng.integers(0, 4))
        shape = tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 14, ndim))
        chunks = tuple(int(n) for n in rng.integers(1, 6, ndim))
        factors = tuple(int(n) for n in rng.integers(1, 4, ndim))
        sharded = bool(ndim and rng.random() < 0.5)
        dtype = str(rng.choice(list(FILLS)))
        fill = FILLS[dtype][rng.integers(len(FILLS[dtype]))]
        self.chunks = chunks
        self.box = tuple(c * f for c, f in zip(chunks, factors, strict=True)) if sharded else chunks
        self.folder = None if in_memory else self.new_folder()
        self.array = sync.create_array(
            f"memory://{uuid.uuid4().hex}" if in_memory else self.folder,
            shape=shape,
            dtype=dtype,
            chunks=chunks,
            shards=self.box if sharded else None,
            fill_value=fill,
            zarr_format=2 if not sharded and rng.random() < 0.3 else 3,
        )
        self.fill = np.array(fill, dtype)
        self.model = np.full(shape, fill, dtype)

    def new_folder(self):
        self.temporary = tempfile.TemporaryDirectory()
        return Path(self.temporary.name) / "a"

    def data(self, rng, shape):
        if rng.random() < 0.3:
            return np.full(shape, self.fill, self.model.dtype)
        return rng.integers(0, 2 if self.model.dtype == bool else 100, shape).astype(self.model.dtype)

    @rule(seed=seeds, keep_empty=st.booleans())
    def write(self, seed, keep_empty):
        rng = np.random.default_rng(seed)
        selection = selections.random_selection(rng, self.model.shape)
        data = self.data(rng, self.model[selection].shape)
        sync.write(self.array, data, selection, write_empty_chunks=keep_empty)
        self.model[selection] = data

    @rule(seed=seeds)
    def write_a_scalar(self, seed):
        rng = np.random.default_rng(seed)
        selection = selections.random_selection(rng, self.model.shape)
        value = self.data(rng, ())[()]
        self.array[selection] = value
        self.model[selection] = value

    @rule(seed=seeds)
    def write_parts_of_one_box_at_once(self, seed):
        """Elements that are disjoint, of chunks that are not."""
        if not self.model.size:
            return
        rng = np.random.default_rng(seed)
        data = self.data(rng, self.model.shape)
        count = int(rng.integers(2, 5))

        async def main():
            parts = [np.s_[i::count] for i in range(count)] if self.model.ndim else [...]
            await asyncio.gather(*(zarrs_c.write(self.array, data[part], part) for part in parts))

        run(main())
        self.model[...] = data

    @rule(seed=seeds)
    def erase_a_chunk(self, seed):
        if not self.model.size:
            return
        rng = np.random.default_rng(seed)
        index = tuple(int(rng.integers(n)) for n in self.array.grid_shape)
        sync.erase_chunk(self.array, index)
        self.model[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, self.box, strict=True))] = self.fill

    @rule(seed=seeds)
    def copy_a_chunk_as_stored(self, seed):
        if not self.model.size or any(n % c for n, c in zip(self.model.shape, self.box, strict=True)):
            return
        rng = np.random.default_rng(seed)
        source, target = ([int(rng.integers(n)) for n in self.array.grid_shape] for _ in range(2))
        encoded = sync.read_encoded_chunk(self.array, source)
        if encoded is not None:
            sync.write_encoded_chunk(self.array, target, encoded)
            boxes = [
                tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, self.box, strict=True))
                for index in (source, target)
            ]
            self.model[boxes[1]] = self.model[boxes[0]]

    @rule(seed=seeds)
    def resize(self, seed):
        rng = np.random.default_rng(seed)
        shape = tuple(int(n) for n in rng.integers(1, 14, self.model.ndim))
        kept = tuple(slice(0, min(a, b)) for a, b in zip(shape, self.model.shape, strict=True))
        # Of a chunk that is cut, what lies outside may come back when the array grows again: write it now.
        if shape != self.model.shape:
            outside = np.full(self.model.shape, self.fill, self.model.dtype)
            outside[kept] = self.model[kept]
            sync.write(self.array, outside)
        self.array = sync.resize(self.array, shape)
        resized = np.full(shape, self.fill, self.model.dtype)
        resized[kept] = self.model[kept]
        self.model = resized

    @invariant()
    def they_are_the_same(self):
        if self.model is not None:
            got = self.array[...]
            assert got.shape == self.model.shape
            assert got.tobytes() == self.model.tobytes()

    def teardown(self):
        if self.model is None or self.folder is None:
            return
        theirs = writing.read_by_tensorstore(self.folder, self.array.zarr_format)
        if theirs is not None:
            assert theirs.tobytes() == self.model.tobytes()
        if sys.version_info >= (3, 11):
            ours = writing.read_by_zarr_python(self.folder).astype(self.model.dtype)
            assert ours.tobytes() == self.model.tobytes()
        keys = writing.chunk_files(self.folder)
        box = [range(-(-n // c)) for n, c in zip(self.model.shape, self.box, strict=True)]
        assert len(keys) <= len(list(itertools.product(*box)))
        self.temporary.cleanup()


TestArray = Array.TestCase
TestArray.settings = settings(max_examples=int(60 * SCALE), stateful_step_count=12, deadline=None)
