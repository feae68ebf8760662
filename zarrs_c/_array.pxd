from libc.stdint cimport uint64_t

from zarrs_c._capi cimport zrc_array, zrc_array_options
from zarrs_c._store cimport Store

cdef enum:
    MAX_NDIM = 64  # NumPy's


cdef class Array:
    cdef zrc_array *ptr
    cdef readonly Store store
    cdef readonly object dtype
    cdef readonly tuple shape
    cdef int rank
    cdef Py_ssize_t itemsize       # 0: variable length
    cdef uint64_t dims[MAX_NDIM]
    cdef object __weakref__

    cdef tuple _inner_shape(self)
    cdef tuple _edges(self)


cdef Array wrap_array(zrc_array *ptr, Store store)
cdef bytes path_bytes(object path)
cdef const zrc_array_options *format_option(zrc_array_options *options, object zarr_format) except? NULL
