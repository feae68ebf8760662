from zarrs_c._array cimport Array
from zarrs_c._buffer cimport Layout
from zarrs_c._capi cimport zrc_io_options, zrc_region
from zarrs_c._selection cimport Box

cdef struct Request:
    # One region of a read or a write, with everything that `region` and `chosen` point to. It must stay where it is.
    Box box
    Layout layout
    zrc_region region
    zrc_io_options options
    const zrc_io_options *chosen  # NULL: the defaults


cdef object NEW  # as `buf`: read into a new array

cdef object prepare(
    Request *request, Py_buffer *view, object buf, Array array, object selection, object chunks
)
cdef int prepare_write(
    Request *request, Py_buffer *view, object data, Array array, object selection, object chunks
) except -1
cdef int write_flags(object write_empty_chunks, object fsync, object if_unchanged) except -1
cdef void point(zrc_region *region, Array array, Box *box, const Py_buffer *view, Layout *layout)
cdef const zrc_io_options *choose(
    zrc_io_options *options, object max_requests, object max_bytes, int flags
) except? NULL
cdef Array an_array(object array)
