"""zarrs_c and its peers behind one interface: open an array by URL (not timed), then read all of it (timed)."""

from __future__ import annotations

import asyncio
import importlib.util

import numpy as np


class Zarrs_c:
    """Into a buffer that the caller gave."""

    name = "zarrs_c"

    def open(self, base: str, path: str, out: np.ndarray):
        import zarrs_c

        self.array, self.out = zarrs_c.sync.open_array(base, path), out

    def read(self) -> np.ndarray:
        import zarrs_c

        async def main():
            return await zarrs_c.read_into(self.out, self.array)

        return asyncio.run(main())


class Tensorstore:
    """Into a buffer that the caller gave."""

    name = "tensorstore"

    def open(self, base: str, path: str, out: np.ndarray):
        import tensorstore as ts

        kvstore = {"driver": "http", "base_url": base, "path": f"/{path}/"}
        self.array = ts.open({"driver": "zarr3", "kvstore": kvstore}, open=True, read=True).result()
        self.out, self.into = out, ts.array(out)

    def read(self) -> np.ndarray:
        self.into.write(self.array).result()
        return self.out


class ZarrPython:
    """Over obstore, into an array of its own."""

    name = "zarr-python + obstore"

    def open(self, base: str, path: str, out: np.ndarray):
        import zarr
        from obstore.store import HTTPStore
        from zarr.storage import ObjectStore

        store = HTTPStore.from_url(base, client_options={"allow_http": True})
        self.array = zarr.open_array(ObjectStore(store, read_only=True), path=path, mode="r")

    def read(self) -> np.ndarray:
        return self.array[...]


class Zarrista:
    """One call for the whole array."""

    name = "zarrista"

    def open(self, base: str, path: str, out: np.ndarray):
        from obstore.store import HTTPStore
        from zarrista import AsyncArray

        store = HTTPStore.from_url(base, client_options={"allow_http": True})

        async def main():
            return await AsyncArray.open(store, f"/{path}")

        self.array, self.out = asyncio.run(main()), out

    def read(self) -> np.ndarray:
        async def main():
            return await self.array.retrieve_array_subset(...)

        return asyncio.run(main()).to_numpy()


class ZarristaGathered(Zarrista):
    """One call a chunk, gathered, each copied into the given buffer."""

    name = "zarrista, gathered by chunk"

    def read(self) -> np.ndarray:
        async def one(index):
            tensor = await self.array.retrieve_chunk(list(index))
            self.out[self.array.chunk_subset(list(index))] = tensor.to_numpy()

        async def main():
            await asyncio.gather(*(one(index) for index in np.ndindex(*self.array.chunk_grid_shape)))

        asyncio.run(main())
        return self.out


MODULES = {
    Zarrs_c: "zarrs_c",
    Tensorstore: "tensorstore",
    ZarrPython: "zarr",
    Zarrista: "zarrista",
    ZarristaGathered: "zarrista",
}


def available(only=None) -> list:
    """A reader of each kind that is installed, zarrs_c first."""
    found = [kind for kind, module in MODULES.items() if importlib.util.find_spec(module)]
    return [kind() for kind in found if only is None or any(kind.name.startswith(word) for word in only)]
