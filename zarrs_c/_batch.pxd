from libc.stdint cimport int64_t

from zarrs_c._capi cimport zrc_io_options, zrc_region


cdef class Batch:
    # Many regions to read as one operation, with the memory that they fill.
    cdef list results
    cdef zrc_region *regions
    cdef Py_buffer *views
    cdef int64_t *vectors         # start, shape, step and strides of each region
    cdef size_t count             # regions, and views that are held
    cdef zrc_io_options options
    cdef const zrc_io_options *chosen

    cdef int add(self, object item, int64_t **vectors) except -1
    cdef void release(self)


cdef Batch make_batch(object items, object max_requests, object max_bytes)
