"""EncodedChunk: the bytes of a chunk as they are stored."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint64_t

from zarrs_c._array cimport MAX_NDIM, Array
from zarrs_c._capi cimport zrc_array_grid_shape, zrc_buf, zrc_buf_data, zrc_buf_free, zrc_buf_len
from zarrs_c._status cimport check

from zarrs_c._errors import SelectionError

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


cdef int parse_chunk_index(Array array, object chunk_index, uint64_t *index) except -1:
    """A chunk's index in the grid: as many integers as the array has dimensions (one may stand alone)."""
    cdef uint64_t grid[MAX_NDIM]
    cdef int axis
    items = tuple(chunk_index) if isinstance(chunk_index, (tuple, list)) else (chunk_index,)
    if len(items) != array.rank:
        raise SelectionError(
            f"a chunk's index has {array.rank} integers in arrays of shape {array.shape}: not {chunk_index!r}"
        )
    check(zrc_array_grid_shape(array.ptr, grid, MAX_NDIM), NULL)
    for axis, item in enumerate(items):
        if isinstance(item, bool) or not hasattr(item, "__index__"):
            raise SelectionError(f"a chunk's index must be of integers, not {item!r} ({type(item).__name__})")
        number = item.__index__()
        if not 0 <= number < grid[axis]:
            raise SelectionError(
                f"there is no chunk {chunk_index!r}: the grid of chunks has the shape {array.grid_shape}"
            )
        index[axis] = number
    return 0
