"""Random windows out of a sharded raster, all at once: what training jobs ask of local files and of servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import data
import numpy as np

SIDE, SIZE = 20_000, 64  # of the raster, and of a window


def gathered(start: Callable, count: int) -> float:
    """Run `start(i)` for each i at once on one loop; the time without the loop's own."""

    async def main():
        begin = time.perf_counter()
        await asyncio.gather(*[start(i) for i in range(count)])
        return time.perf_counter() - begin

    return asyncio.run(main())


class Windows:
    """So many windows, memory for them, and readers that fill it: by a future each, and by one call."""

    def __init__(self, folder: Path, count: int):
        self.path, self.count = data.write_raster(folder, SIDE), count
        corners = np.random.default_rng(2).integers(0, SIDE - SIZE, (count, 2)).tolist()
        self.places = [np.s_[y : y + SIZE, x : x + SIZE] for y, x in corners]
        self.out = np.zeros((count, SIZE, SIZE), np.uint16)
        self.parts, self.right = list(self.out), None

    def checked(self, read: Callable[[], float]) -> Callable[[], float]:
        """`read`, and a look at what came: every reader's is as the first one's."""

        def one():
            self.out.fill(0)
            seconds = read()
            if self.right is None:
                self.right = self.out.copy()
            np.testing.assert_array_equal(self.out, self.right)
            assert self.out.any()
            return seconds

        return one

    def zarrs_c(self, array) -> dict[str, Callable[[], float]]:
        import zarrs_c

        async def call():
            begin = time.perf_counter()
            await zarrs_c.read_many(
                [(part, array, place) for part, place in zip(self.parts, self.places, strict=True)]
            )
            return time.perf_counter() - begin

        start = lambda i: zarrs_c.read_into(self.parts[i], array, self.places[i])  # noqa: E731
        return {
            "zarrs_c": self.checked(lambda: gathered(start, self.count)),
            "zarrs_c, one call": self.checked(lambda: asyncio.run(call())),
        }

    def tensorstore(self, array) -> dict[str, Callable[[], float]]:
        import tensorstore as ts

        async def batch():
            begin = time.perf_counter()
            with ts.Batch() as all_of_them:
                windows = [array[place].read(batch=all_of_them) for place in self.places]
            for i, window in enumerate(windows):
                self.out[i] = await window
            return time.perf_counter() - begin

        into = ts.array(self.out)
        start = lambda i: into[i].write(array[self.places[i]])  # noqa: E731
        return {
            "tensorstore": self.checked(lambda: gathered(start, self.count)),
            "tensorstore, one batch": self.checked(lambda: asyncio.run(batch())),
        }

    def zarrista(self, array) -> dict[str, Callable[[], float]]:
        async def copied(i):
            self.out[i] = (await array.retrieve_array_subset(self.places[i])).to_numpy()

        return {"zarrista, async": self.checked(lambda: gathered(copied, self.count))}
