"""Random NumPy basic indexing, and boxes of chunks."""

from __future__ import annotations

import numpy as np


def random_index(rng, size: int):
    """An index of one dimension: an integer of either sign and type, or a slice of either direction."""
    pick = lambda values: values[rng.integers(len(values))]  # noqa: E731
    kind = rng.random()
    if kind < 0.2 and size:
        return pick([int, np.int64, np.uint8, np.intp])(rng.integers(size))
    if kind < 0.3 and size:
        return int(rng.integers(-size, 0))
    if kind < 0.45:
        return slice(None)
    if kind < 0.5:
        return slice(int(rng.integers(0, size + 1)), int(rng.integers(0, size + 1)) - size)  # often empty
    low, high = sorted(int(i) for i in rng.integers(-1, size + 2, 2))
    step = pick([1, 1, 1, 2, 3, 7, size + 5, 10**6])
    start, stop = max(low, 0), high + 1
    if rng.random() < 0.4:
        start, stop, step = stop, (low - 1 if low > 0 else None), -step
    # Bounds are also given from the end, or left out, or lie beyond it.
    start = pick([start, start, start - size if 0 <= start < size else start, None])
    stop = pick([stop, stop, None, None if stop is None else pick([stop, stop + 10 * size])])
    return slice(start, stop, pick([step, np.int64(step)]) if step != 1 else pick([None, 1]))


def random_selection(rng, shape: tuple):
    """A selection of an array of `shape`, in any of the forms that NumPy's basic indexing has."""
    indices = [random_index(rng, size) for size in shape]
    form = rng.random()
    if form < 0.15:
        return ...
    if form < 0.35 and indices:  # trailing dimensions left out
        indices = indices[: rng.integers(len(indices) + 1)]
    elif form < 0.6:  # an ellipsis in place of some dimensions, or of none
        first, last = sorted(int(i) for i in rng.integers(0, len(indices) + 1, 2))
        indices = [*indices[:first], ..., *indices[last:]]
    if len(indices) == 1 and rng.random() < 0.5:
        return indices[0]
    return tuple(indices)


def select(array: np.ndarray, selection) -> np.ndarray:
    """`array[selection]` as an array of the same dtype, which NumPy's scalars of strings and bytes do not keep."""
    return np.asarray(array[selection], array.dtype)


def describe(selection) -> str:
    return repr(selection).replace("Ellipsis", "...")


def random_chunk_box(rng, grid_shape: tuple) -> tuple:
    """A non-empty box of chunks: one slice of step 1 a dimension."""
    starts = [int(rng.integers(n)) for n in grid_shape]
    return tuple(slice(a, int(rng.integers(a + 1, n + 1))) for a, n in zip(starts, grid_shape, strict=True))


def elements_of_chunks(box: tuple, chunks: tuple, shape: tuple) -> tuple:
    """The elements that a box of chunks of a regular grid covers, cut at the array's bounds."""
    return tuple(slice(b.start * c, min(b.stop * c, n)) for b, c, n in zip(box, chunks, shape, strict=True))
