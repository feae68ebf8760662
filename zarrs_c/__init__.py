"""Read and write Zarr arrays in parallel, without blocking.

    array = await zarrs_c.open_array("/data/era5.zarr/t2m")
    await zarrs_c.read_into(buf, array, np.s_[0:24])   # fills buf in place
    day = await zarrs_c.read(array, np.s_[0:24])       # the same, into a new array
    day = array[0:24]                                  # blocking; see zarrs_c.sync for the rest
    await zarrs_c.write(array, day, np.s_[24:48])      # and back

Every asynchronous call checks its arguments at once and returns an `asyncio.Future` of the running loop.
"""

from zarrs_c import sync
from zarrs_c._api import _C_API as _C_API
from zarrs_c._array import Array
from zarrs_c._async import (
    create_array,
    erase_chunk,
    open_array,
    read,
    read_encoded_chunk,
    read_into,
    read_many,
    resize,
    update_attributes,
    write,
    write_encoded_chunk,
)
from zarrs_c._bridge import stats
from zarrs_c._cdef import get_cdef
from zarrs_c._encoded import EncodedChunk
from zarrs_c._errors import (
    BufferMismatchError,
    CancelledError,
    CodecError,
    ConflictError,
    Error,
    ExistsError,
    ForkedError,
    InvalidError,
    MemoryError,
    NotFoundError,
    PanicError,
    SelectionError,
    ShutdownError,
    StorageError,
    TimeoutError,
    UnsupportedError,
)
from zarrs_c._figures import OpStats, Progress
from zarrs_c._paths import get_include, get_libraries, get_library_dirs, get_library_path
from zarrs_c._runtime import Stats, abi_version, configure, version
from zarrs_c._store import Store, open_store

__version__ = version()
del version

__all__ = [
    "Array",
    "BufferMismatchError",
    "CancelledError",
    "CodecError",
    "ConflictError",
    "EncodedChunk",
    "Error",
    "ExistsError",
    "ForkedError",
    "InvalidError",
    "MemoryError",
    "NotFoundError",
    "OpStats",
    "PanicError",
    "Progress",
    "SelectionError",
    "ShutdownError",
    "Stats",
    "StorageError",
    "Store",
    "TimeoutError",
    "UnsupportedError",
    "__version__",
    "abi_version",
    "configure",
    "create_array",
    "erase_chunk",
    "get_cdef",
    "get_include",
    "get_libraries",
    "get_library_dirs",
    "get_library_path",
    "open_array",
    "open_store",
    "read",
    "read_encoded_chunk",
    "read_into",
    "read_many",
    "resize",
    "stats",
    "sync",
    "update_attributes",
    "write",
    "write_encoded_chunk",
]
