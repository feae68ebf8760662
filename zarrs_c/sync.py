"""The blocking twins of zarrs_c's calls: the same names and arguments, without a loop.

The GIL is released while they wait, so other threads run, and Ctrl-C ends them.
"""

from zarrs_c._bridge import stats
from zarrs_c._runtime import configure
from zarrs_c._store import open_store
from zarrs_c._sync import (
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
