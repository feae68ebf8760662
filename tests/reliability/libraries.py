"""The libraries that the same programs run on: text that defines `opened`, `start` and `read` in a program.

opened(where): an open array; where is a folder's path or an http:// URL.
start(array, selection): begins an asynchronous read on the running loop; something to be awaited.
read(array, selection): a blocking read; a NumPy array.
"""

from __future__ import annotations

import importlib.util

ZARRS_C = """
import zarrs_c
from zarrs_c import sync

opened, start, read = sync.open_array, zarrs_c.read, sync.read
"""

TENSORSTORE = """
import tensorstore

def opened(where):
    if where.startswith("http"):
        base, _, path = where.rpartition("/")
        kvstore = {"driver": "http", "base_url": base, "path": f"/{path}/"}
    else:
        kvstore = {"driver": "file", "path": f"{where}/"}
    return tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, open=True, read=True).result()

def start(array, selection):
    async def main():
        return await array[selection].read()
    return asyncio.ensure_future(main())

def read(array, selection):
    return array[selection].read().result()
"""

ZARR = """
import zarr

def opened(where):
    if where.startswith("http"):
        from obstore.store import HTTPStore
        from zarr.storage import ObjectStore
        store = HTTPStore.from_url(where, client_options={"allow_http": True})
        return zarr.open_array(ObjectStore(store, read_only=True), mode="r")
    return zarr.open_array(where, mode="r")

def start(array, selection):
    return asyncio.ensure_future(array.async_array.getitem(selection))

def read(array, selection):
    return array[selection]
"""

ZARRISTA = """
import zarrista

def _store(where):
    from obstore.store import HTTPStore, LocalStore
    if where.startswith("http"):
        return HTTPStore.from_url(where, client_options={"allow_http": True})
    return LocalStore(where)

def opened(where):
    async def main():
        return await zarrista.AsyncArray.open(_store(where), "/")
    return asyncio.run(main())

def _boxed(array, selection):
    # It knows no steps: as many rows, of all columns.
    return selection[0] if isinstance(selection, tuple) else selection

def start(array, selection):
    async def main():
        tensor = await array.retrieve_array_subset(_boxed(array, selection))
        return tensor.to_numpy()
    return asyncio.ensure_future(main())

def read(array, selection):
    async def main():
        return await start(array, selection)
    return asyncio.run(main())
"""

LIBRARIES = {"zarrs_c": ZARRS_C, "tensorstore": TENSORSTORE, "zarr": ZARR, "zarrista": ZARRISTA}


def installed() -> list[str]:
    return [name for name in LIBRARIES if importlib.util.find_spec(name)]
