from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Literal, SupportsIndex

from numpy.typing import NDArray
from typing_extensions import Buffer

from zarrs_c import (
    _B,
    Array,
    EncodedChunk,
    Store,
    _ChunkIndex,
    _OnProgress,
    _Region,
    _Selection,
    _StoreLike,
)
from zarrs_c import configure as configure
from zarrs_c import open_store as open_store
from zarrs_c import stats as stats

__all__ = [
    "configure",
    "create_array",
    "erase_chunk",
    "open_array",
    "open_store",
    "read",
    "read_encoded_chunk",
    "read_into",
    "read_many",
    "resize",
    "stats",
    "update_attributes",
    "write",
    "write_encoded_chunk",
]

def open_array(
    store: _StoreLike | Store,
    path: str = "",
    *,
    storage_options: Mapping[str, str] | None = None,
    zarr_format: Literal[2, 3] | None = None,
) -> Array: ...
def read_into(
    buf: _B,
    array: Array | _StoreLike | Store,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> _B: ...
def read(
    array: Array | _StoreLike | Store,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> NDArray[Any]: ...
def read_many(
    regions: Iterable[_Region],
    *,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> list[Any]: ...
def read_encoded_chunk(
    array: Array,
    chunk_index: _ChunkIndex,
    *,
    inner: bool = False,
) -> EncodedChunk | None: ...
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
) -> Array: ...
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
) -> None: ...
def write_encoded_chunk(array: Array, chunk_index: _ChunkIndex, data: Buffer) -> None: ...
def erase_chunk(array: Array, chunk_index: _ChunkIndex) -> None: ...
def resize(array: Array, shape: SupportsIndex | Iterable[SupportsIndex]) -> Array: ...
def update_attributes(array: Array, attributes: Mapping[str, Any]) -> Array: ...
