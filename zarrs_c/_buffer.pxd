from libc.stdint cimport int64_t

from zarrs_c._array cimport MAX_NDIM, Array
from zarrs_c._selection cimport Box

cdef struct Layout:
    # How the elements of a selection lie in the memory that they fill.
    bint contiguous              # C order without gaps
    int64_t strides[MAX_NDIM]    # for each dimension of the array, also those that an int took away


cdef int acquire(object buf, Array array, const Box *box, Py_buffer *view, Layout *layout) except -1
cdef int acquire_source(object data, Array array, const Box *box, Py_buffer *view, Layout *layout) except -1
cdef object fresh(Array array, const Box *box)
