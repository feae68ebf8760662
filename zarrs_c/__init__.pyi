import builtins
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from os import PathLike
from types import EllipsisType
from typing import Any, Literal, NamedTuple, Protocol, SupportsIndex, TypeAlias, TypeVar, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Buffer, Self

from zarrs_c import sync as sync
from zarrs_c._future import ReadFuture

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

__version__: str

_Address: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]

class _HasGet(Protocol):
    # `open_store` says what else such an object may have.
    def get(self, key: str, /) -> Any: ...

class _HasGetAsync(Protocol):  # a store of obstore's
    def get_async(self, path: str, /, *, options: Any = None) -> Any: ...
    def head_async(self, path: str, /) -> Any: ...

_StoreLike: TypeAlias = _Address | _HasGet | _HasGetAsync
_Index: TypeAlias = SupportsIndex | slice | EllipsisType
_Selection: TypeAlias = _Index | tuple[_Index, ...]
_Region: TypeAlias = tuple[Buffer, Array] | tuple[Buffer, Array, _Selection]
_ChunkIndex: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex]
_OnProgress: TypeAlias = Callable[[Progress], object]
_B = TypeVar("_B", bound=Buffer)

class Error(Exception):
    code: int
    key: str | None
    message: str
    def __init__(self, message: str = "", *, key: str | None = None, code: int | None = None) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

class InvalidError(Error, ValueError): ...

class NotFoundError(Error, FileNotFoundError):
    errno: int
    def __init__(self, message: str = "", *, key: str | None = None, code: int | None = None) -> None: ...

class StorageError(Error, OSError): ...
class CodecError(Error, ValueError): ...
class UnsupportedError(Error, NotImplementedError): ...
class SelectionError(Error, IndexError): ...
class BufferMismatchError(Error, ValueError): ...
class CancelledError(Error): ...
class ShutdownError(Error, RuntimeError): ...
class ForkedError(Error, RuntimeError): ...
class PanicError(Error, RuntimeError): ...
class TimeoutError(Error, builtins.TimeoutError): ...
class MemoryError(Error, builtins.MemoryError): ...

class ExistsError(Error, FileExistsError):
    errno: int
    def __init__(self, message: str = "", *, key: str | None = None, code: int | None = None) -> None: ...

class ConflictError(StorageError): ...

@final
class Store:
    def __new__(cls, url: _StoreLike, storage_options: Mapping[str, str] | None = None) -> Self: ...
    @property
    def url(self) -> str: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Array:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def store(self) -> Store: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def zarr_format(self) -> Literal[2, 3]: ...
    @property
    def metadata(self) -> dict[str, Any]: ...
    @property
    def attrs(self) -> dict[str, Any]: ...
    @property
    def dimension_names(self) -> tuple[str | None, ...] | None: ...
    @property
    def fill_value(self) -> Any: ...
    @property
    def grid_shape(self) -> tuple[int, ...]: ...
    @property
    def chunks(self) -> tuple[int, ...] | tuple[tuple[int, ...], ...]: ...
    @property
    def shards(self) -> tuple[int, ...] | tuple[tuple[int, ...], ...] | None: ...
    def __getitem__(self, selection: _Selection, /) -> NDArray[Any]: ...
    def __setitem__(
        self, selection: _Selection, data: Buffer | complex | str | date | timedelta, /
    ) -> None: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...
    def __len__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class EncodedChunk:
    @property
    def nbytes(self) -> int: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...
    def __bytes__(self) -> bytes: ...

class Stats(NamedTuple):
    requests: int
    heads: int
    bytes_fetched: int
    bytes_decoded: int
    chunks_decoded: int
    peak_bytes_in_flight: int
    peak_requests_in_flight: int
    operations: int
    cancelled: int
    wakes: int
    failed: int
    operations_in_flight: int
    bytes_placed: int
    chunks_missing: int
    bytes_in_flight: int
    requests_in_flight: int
    puts: int
    deletes: int
    bytes_written: int
    chunks_encoded: int

class OpStats(NamedTuple):
    requests: int
    heads: int
    bytes_fetched: int
    bytes_decoded: int
    bytes_placed: int
    chunks_decoded: int
    chunks_missing: int
    objects_total: int
    objects_done: int
    puts: int
    deletes: int
    bytes_written: int
    chunks_encoded: int

class Progress(NamedTuple):
    chunks_done: int
    chunks_total: int
    bytes: int

def abi_version() -> tuple[int, int]: ...
def configure(
    *,
    io_threads: int | None = None,
    codec_threads: int | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    range_gap: int | None = None,
    range_cap: int | None = None,
    index_cache_bytes: int | None = None,
    put_part_bytes: int | None = None,
) -> None: ...
def stats() -> Stats: ...
def get_cdef() -> str: ...
def get_include() -> str: ...
def get_libraries() -> list[str]: ...
def get_library_dirs() -> list[str]: ...
def get_library_path() -> str: ...
def open_store(url: _StoreLike, storage_options: Mapping[str, str] | None = None) -> Store: ...
def open_array(
    store: _StoreLike | Store,
    path: str = "",
    *,
    storage_options: Mapping[str, str] | None = None,
    zarr_format: Literal[2, 3] | None = None,
) -> ReadFuture[Array]: ...
def read_into(
    buf: _B,
    array: Array | _StoreLike | Store,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> ReadFuture[_B]: ...
def read(
    array: Array | _StoreLike | Store,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> ReadFuture[NDArray[Any]]: ...
def read_many(
    regions: Iterable[_Region],
    *,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> ReadFuture[list[Any]]: ...
def read_encoded_chunk(
    array: Array,
    chunk_index: _ChunkIndex,
    *,
    inner: bool = False,
) -> ReadFuture[EncodedChunk | None]: ...
def create_array(
    store: _StoreLike | Store,
    path: str = "",
    *,
    shape: SupportsIndex | Iterable[SupportsIndex],
    dtype: Any,
    chunks: Any = "auto",
    shards: Any = None,
    filters: Any = "auto",
    serializer: Any = "auto",
    compressors: Any = "auto",
    fill_value: Any = None,
    order: Literal["C", "F"] | None = None,
    chunk_key_encoding: Any = None,
    attributes: Mapping[str, Any] | None = None,
    dimension_names: Iterable[str | None] | None = None,
    zarr_format: Literal[2, 3] = 3,
    overwrite: bool = False,
    storage_options: Mapping[str, str] | None = None,
) -> ReadFuture[Array]: ...
def write(
    array: Array,
    data: Buffer | complex | str | date | timedelta,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    write_empty_chunks: bool = False,
    fsync: bool = False,
    if_unchanged: bool = False,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> ReadFuture[None]: ...
def write_encoded_chunk(array: Array, chunk_index: _ChunkIndex, data: Buffer) -> ReadFuture[None]: ...
def erase_chunk(array: Array, chunk_index: _ChunkIndex) -> ReadFuture[None]: ...
def resize(array: Array, shape: SupportsIndex | Iterable[SupportsIndex]) -> ReadFuture[Array]: ...
def update_attributes(array: Array, attributes: Mapping[str, Any]) -> ReadFuture[Array]: ...
