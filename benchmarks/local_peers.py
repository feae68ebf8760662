"""zarrs_c and its peers on local files, behind one interface.

Each is made with the path of an array, and reads a selection of it into an array of its own (`read`), or, where the
library can, into a given one (`read_into`).
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import numpy as np


class Zarrs_c:
    name = "zarrs_c"

    def __init__(self, path: Path):
        import zarrs_c

        self.array = zarrs_c.sync.open_array(path)

    def read(self, selection=...) -> np.ndarray:
        import zarrs_c

        async def main():
            return await zarrs_c.read(self.array, selection)

        return asyncio.run(main())

    def read_into(self, out: np.ndarray, selection=...) -> None:
        import zarrs_c

        async def main():
            await zarrs_c.read_into(out, self.array, selection)

        asyncio.run(main())


class Tensorstore:
    name = "tensorstore"

    def __init__(self, path: Path):
        import tensorstore as ts

        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
        self.array = ts.open(spec, open=True, read=True).result()

    def read(self, selection=...) -> np.ndarray:
        return self.array[selection].read().result()

    def read_into(self, out: np.ndarray, selection=...) -> None:
        import tensorstore as ts

        ts.array(out).write(self.array[selection]).result()


class ZarrPython:
    name = "zarr-python"

    def __init__(self, path: Path):
        import zarr

        self.array = zarr.open_array(path, mode="r")

    def read(self, selection=...) -> np.ndarray:
        return self.array[selection]


class ZarrPythonZarrs(ZarrPython):
    name = "zarr-python, zarrs pipeline"

    def __init__(self, path: Path):
        import zarr

        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            super().__init__(path)


class ZarristaSync:
    name = "zarrista, sync"

    def __init__(self, path: Path):
        from zarrista import Array
        from zarrista.store import FilesystemStore

        self.array = Array.open(FilesystemStore(path), "/")

    def read(self, selection=...) -> np.ndarray:
        return self.array.retrieve_array_subset(selection).to_numpy()


class ZarristaAsync:
    name = "zarrista, async"

    def __init__(self, path: Path):
        from obstore.store import LocalStore
        from zarrista import AsyncArray

        async def main():
            return await AsyncArray.open(LocalStore(path), "/")

        self.array = asyncio.run(main())

    def read(self, selection=...) -> np.ndarray:
        async def main():
            return await self.array.retrieve_array_subset(selection)

        return asyncio.run(main()).to_numpy()


class ZarristaGathered(ZarristaAsync):
    """One call a chunk, each copied to its place."""

    name = "zarrista, async, gathered"

    def read_into(self, out: np.ndarray, selection=...) -> None:
        async def one(index):
            tensor = await self.array.retrieve_chunk(list(index))
            out[self.array.chunk_subset(list(index))] = tensor.to_numpy()

        async def main():
            await asyncio.gather(*(one(index) for index in np.ndindex(*self.array.chunk_grid_shape)))

        asyncio.run(main())


MODULES = {
    Zarrs_c: "zarrs_c",
    Tensorstore: "tensorstore",
    ZarrPython: "zarr",
    ZarrPythonZarrs: "zarrs",
    ZarristaSync: "zarrista",
    ZarristaAsync: "zarrista",
    ZarristaGathered: "zarrista",
}


def available(only=None) -> list:
    """The kinds that are installed, zarrs_c first."""
    found = [kind for kind, module in MODULES.items() if importlib.util.find_spec(module)]
    return [
        kind
        for kind in found
        if not only or kind is Zarrs_c or any(kind.name.startswith(word) for word in only)
    ]
