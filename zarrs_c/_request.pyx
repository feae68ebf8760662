"""One region to read or to write, from Python's objects to the C ABI's structs."""

import os

from libc.stdint cimport UINT32_MAX, UINT64_MAX

from zarrs_c._array cimport Array
from zarrs_c._buffer cimport Layout, acquire, acquire_source, fresh
from zarrs_c._capi cimport (
    ZRC_INIT,
    ZRC_IO_IF_UNCHANGED,
    ZRC_IO_NO_FAST_PATH,
    ZRC_IO_SYNC,
    ZRC_IO_WRITE_EMPTY,
    zrc_io_options,
    zrc_region,
)
from zarrs_c._runtime cimport limit
from zarrs_c._selection cimport Box, select

cdef object NEW = object()

# To test and compare: ZARRS_C_NO_FAST_PATH=1 has every read decode, and every write encode, through zarrs' generic codecs.
cdef int _always = ZRC_IO_NO_FAST_PATH if os.environ.get("ZARRS_C_NO_FAST_PATH", "0") not in ("", "0") else 0


cdef object prepare(
    Request *request, Py_buffer *view, object buf, Array array, object selection, object chunks
):
    """Fill `request`; export the memory into `view`, which the caller releases. Returns the read's result."""
    select(array, selection, chunks, &request.box)
    result = fresh(array, &request.box) if buf is NEW else buf
    acquire(result, array, &request.box, view, &request.layout)
    point(&request.region, array, &request.box, view, &request.layout)
    return result


cdef int prepare_write(
    Request *request, Py_buffer *view, object data, Array array, object selection, object chunks
) except -1:
    """Fill `request`; export the memory of `data` into `view`, which the caller releases."""
    select(array, selection, chunks, &request.box)
    acquire_source(data, array, &request.box, view, &request.layout)
    point(&request.region, array, &request.box, view, &request.layout)
    return 0


cdef int write_flags(object write_empty_chunks, object fsync, object if_unchanged) except -1:
    return (
        (ZRC_IO_WRITE_EMPTY if write_empty_chunks else 0)
        | (ZRC_IO_SYNC if fsync else 0)
        | (ZRC_IO_IF_UNCHANGED if if_unchanged else 0)
    )


cdef void point(zrc_region *region, Array array, Box *box, const Py_buffer *view, Layout *layout):
    region.array = array.ptr
    region.start = box.start
    region.shape = box.shape
    region.step = box.step if box.stepped else NULL
    region.data = view.buf
    region.nbytes = view.len  # of all elements, also where they share memory
    region.strides = NULL if layout.contiguous else layout.strides


cdef const zrc_io_options *choose(
    zrc_io_options *options, object max_requests, object max_bytes, int flags
) except? NULL:
    """The options of one call; NULL where all are the defaults."""
    flags |= _always
    if max_requests is None and max_bytes is None and flags == 0:
        return NULL
    ZRC_INIT(options)
    options.region_size = sizeof(zrc_region)
    options.flags = flags
    if max_requests is not None:
        options.max_requests = limit("max_requests", max_requests, UINT32_MAX)
    if max_bytes is not None:
        options.max_bytes = limit("max_bytes", max_bytes, UINT64_MAX)
    return options


cdef Array an_array(object array):
    if not isinstance(array, Array):
        raise TypeError(f"array must be a zarrs_c.Array (see open_array), not {type(array).__name__}")
    return <Array>array
