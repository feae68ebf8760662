"""Destinations for reads: every memory layout that `read_into` promises to fill.

A maker takes `(shape, dtype, rng, folder)` and returns a `Destination`. `result()` is what the read left there, in C
order; `undisturbed()` says whether memory around and between the elements is as it was.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import shared_memory

import numpy as np

CANARY = 0xA5


@dataclass
class Destination:
    buffer: object
    view: np.ndarray
    backing: np.ndarray | None = None
    touched: np.ndarray | None = None
    close: Callable = field(default=lambda: None)

    def result(self) -> bytes:
        return np.ascontiguousarray(self.view).tobytes()

    def undisturbed(self) -> bool:
        if self.backing is None:
            return True
        return bool((self.backing[~self.touched] == CANARY).all())


def canary(shape, dtype, order="C") -> np.ndarray:
    array = np.empty(shape, dtype, order)
    array.reshape(-1, order="A").view(np.uint8)[...] = CANARY
    return array


def c_order(shape, dtype, rng, folder):
    array = canary(shape, dtype)
    return Destination(array, array)


def fortran_order(shape, dtype, rng, folder):
    array = canary(shape, dtype, "F")
    return Destination(array, array)


def within(shape, dtype, parent_shape, choose) -> Destination:
    """A strided view that `choose` makes of a larger array, which must stay as it is elsewhere."""
    dtype = np.dtype(dtype)
    parent = canary(parent_shape, dtype)
    view = choose(parent)
    assert view.shape == tuple(shape)
    backing = parent.reshape(-1).view(np.uint8).reshape(*parent.shape, dtype.itemsize)
    touched = np.zeros(parent.shape, bool)
    choose(touched)[...] = True
    return Destination(view, view, backing, np.broadcast_to(touched[..., None], backing.shape))


def negative_strides(shape, dtype, rng, folder):
    backwards = tuple(slice(None, None, -1 if rng.random() < 0.7 else 1) for _ in shape)
    return within(shape, dtype, shape, lambda parent: parent[(..., *backwards)])


def gaps(shape, dtype, rng, folder):
    steps = [int(rng.integers(1, 4)) for _ in shape]
    offsets = [int(rng.integers(0, 3)) for _ in shape]
    parent = [o + n * s for o, n, s in zip(offsets, shape, steps, strict=True)]
    index = tuple(slice(o, o + n * s, s) for o, n, s in zip(offsets, shape, steps, strict=True))
    return within(shape, dtype, parent, lambda p: p[(..., *index)])


def gaps_backwards(shape, dtype, rng, folder):
    index = tuple(slice(None, None, -2) for _ in shape)
    return within(shape, dtype, [2 * n for n in shape], lambda p: p[(..., *index)])


def transposed(shape, dtype, rng, folder):
    axes = rng.permutation(len(shape))
    parent = [shape[i] for i in axes]
    return within(shape, dtype, parent, lambda p: p.transpose(np.argsort(axes)))


def window_of_a_canvas(shape, dtype, rng, folder):
    return within(shape, dtype, [n + 3 for n in shape], lambda p: p[(..., *(slice(1, 1 + n) for n in shape))])


def unaligned(shape, dtype, rng, folder):
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.full(count * dtype.itemsize + 2, CANARY, np.uint8)
    array = raw[1:-1].view(dtype).reshape(shape) if count else np.empty(shape, dtype)
    touched = np.ones(raw.shape, bool)
    touched[[0, -1]] = False
    return Destination(array, array, raw, touched)


def memory_mapped(shape, dtype, rng, folder):
    array = (
        np.memmap(folder / f"map-{rng.integers(2**60)}", dtype, "w+", shape=tuple(shape))
        if 0 not in shape
        else None
    )
    if array is None:
        return c_order(shape, dtype, rng, folder)  # an empty file cannot be mapped
    return Destination(array, array)


def shared(shape, dtype, rng, folder):
    nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = shared_memory.SharedMemory(create=True, size=max(nbytes, 1))
    array = np.ndarray(shape, dtype, memory.buf)
    destination = Destination(array, array)

    def close():
        destination.view = destination.buffer = None
        memory.close()
        memory.unlink()

    destination.close = close
    return destination


def flat(make):
    """A maker of plain byte buffers of exactly the right size."""

    def maker(shape, dtype, rng, folder):
        dtype = np.dtype(dtype)
        buffer = make(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        memory = np.frombuffer(buffer, np.uint8)
        return Destination(
            buffer, memory.view(dtype).reshape(shape) if memory.size else np.empty(shape, dtype)
        )

    return maker


byte_array = flat(bytearray)
memory_view = flat(lambda n: memoryview(bytearray(n)))
anonymous_map = flat(lambda n: mmap.mmap(-1, n) if n else bytearray())

STRIDED = [
    c_order,
    fortran_order,
    negative_strides,
    gaps,
    gaps_backwards,
    transposed,
    window_of_a_canvas,
    unaligned,
    memory_mapped,
    shared,
]
PLAIN = [byte_array, memory_view, anonymous_map]
ALL = [*STRIDED, *PLAIN]


def makers():
    """All makers in turn, without end."""
    return itertools.cycle(ALL)
