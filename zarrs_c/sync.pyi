from collections.abc import Iterable, Mapping
from typing import Any, Literal, SupportsIndex

from numpy.typing import NDArray

from zarrs_c import (
    _B,
    Array,
    EncodedChunk,
    Store,
    _Address,
    _OnProgress,
    _Region,
    _Selection,
)
from zarrs_c import configure as configure
from zarrs_c import open_store as open_store
from zarrs_c import stats as stats

__all__ = [
    "configure",
    "open_array",
    "open_store",
    "read",
    "read_encoded_chunk",
    "read_into",
    "read_many",
    "stats",
]

def open_array(
    store: _Address | Store,
    path: str = "",
    *,
    storage_options: Mapping[str, str] | None = None,
    zarr_format: Literal[2, 3] | None = None,
) -> Array: ...
def read_into(
    buf: _B,
    array: Array | _Address | Store,
    selection: _Selection = ...,
    *,
    chunks: _Selection | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: _OnProgress | None = None,
) -> _B: ...
def read(
    array: Array | _Address | Store,
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
    chunk_index: SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex],
    *,
    inner: bool = False,
) -> EncodedChunk | None: ...
