"""EncodedChunk: the bytes of a chunk as they are stored."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint32_t, uint64_t

from zarrs_c._array cimport Array
from zarrs_c._capi cimport ZRC_CHUNK_INNER, zrc_buf, zrc_buf_data, zrc_buf_free, zrc_buf_len

from zarrs_c._errors import SelectionError, UnsupportedError

cdef object _TOKEN = object()  # known to `wrap_encoded` alone: a chunk always has a handle


@cython.final
cdef class EncodedChunk:
    """The bytes of one chunk (or shard) as stored, not decoded: a read-only buffer. `bytes()` copies them."""

    def __cinit__(self, token=None):
        if token is not _TOKEN:
            raise TypeError("an EncodedChunk is made by zarrs_c.read_encoded_chunk")

    def __dealloc__(self):
        zrc_buf_free(self.ptr)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>zrc_buf_data(self.ptr), self.length, 1, flags)

    def __len__(self):
        return self.length

    @property
    def nbytes(self):
        """The number of bytes."""
        return self.length

    def __bytes__(self):
        return (<const char *>zrc_buf_data(self.ptr))[:self.length]

    def __repr__(self):
        return f"<zarrs_c.EncodedChunk of {self.length} bytes>"


cdef object wrap_encoded(zrc_buf *ptr):
    """An EncodedChunk that owns `ptr`; None for NULL, which is a missing chunk."""
    if ptr is NULL:
        return None
    cdef EncodedChunk chunk = EncodedChunk.__new__(EncodedChunk, _TOKEN)
    chunk.ptr = ptr
    chunk.length = zrc_buf_len(ptr)
    return chunk


cdef int parse_chunk_index(
    Array array, object chunk_index, object inner, uint64_t *index, uint32_t *flags
) except -1:
    """A chunk's index in the grid: as many integers as the array has dimensions (one may stand alone)."""
    cdef int axis
    items = tuple(chunk_index) if isinstance(chunk_index, (tuple, list)) else (chunk_index,)
    if len(items) != array.rank:
        raise SelectionError(
            f"a chunk's index has {array.rank} integers in arrays of shape {array.shape}: not {chunk_index!r}"
        )
    flags[0] = ZRC_CHUNK_INNER if inner else 0
    grid = _inner_grid(array) if inner else array.grid_shape
    for axis, item in enumerate(items):
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise SelectionError(f"a chunk's index must be of integers, not {item!r} ({type(item).__name__})")
        number = item.__index__()
        if not 0 <= number < grid[axis]:
            kind = "inner chunk" if inner else "chunk"
            raise SelectionError(f"there is no {kind} {chunk_index!r}: the grid of {kind}s has the shape {grid}")
        index[axis] = number
    return 0


cdef tuple _inner_grid(Array array):
    """How many inner chunks there are along each dimension, over the whole array."""
    lengths = array._inner_shape()
    if lengths is None:
        raise UnsupportedError(f"{array!r} is not sharded: it has no inner chunks")
    return tuple([-(-length // inner) for length, inner in zip(array.shape, lengths)])
