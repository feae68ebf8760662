from libc.stdint cimport int64_t, uint64_t

from zarrs_c._array cimport MAX_NDIM, Array

cdef struct Box:
    # A selection of an array: for each of its dimensions start, step and how many elements.
    int ndim
    bint stepped            # some step is not 1
    uint64_t start[MAX_NDIM]
    uint64_t shape[MAX_NDIM]
    int64_t step[MAX_NDIM]
    # The result: the selection without the dimensions that an int took away.
    int rank
    int axes[MAX_NDIM]      # which of the array's dimensions each of the result's is


cdef int select(Array array, object selection, object chunks, Box *box) except -1
cdef tuple result_shape(const Box *box)
