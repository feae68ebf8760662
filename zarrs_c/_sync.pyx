"""The blocking calls: each submits one operation and waits for it without the GIL, minding signals."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint32_t, uint64_t

from zarrs_c._array cimport MAX_NDIM, Array, format_option, path_bytes, wrap_array
from zarrs_c._batch cimport Batch, make_batch
from zarrs_c._capi cimport (
    ZRC_CREATE_OVERWRITE,
    ZRC_E_TIMEOUT,
    ZRC_INIT,
    ZRC_OK,
    zrc_array,
    zrc_array_create_async,
    zrc_array_open_async,
    zrc_array_options,
    zrc_array_release,
    zrc_array_update_async,
    zrc_buf,
    zrc_buf_free,
    zrc_completion,
    zrc_erase_chunk_async,
    zrc_error,
    zrc_error_free,
    zrc_op,
    zrc_op_cancel,
    zrc_op_release,
    zrc_op_wait,
    zrc_read_async,
    zrc_read_encoded_chunk_async,
    zrc_runtime,
    zrc_status,
    zrc_write_async,
    zrc_write_encoded_chunk_async,
)
from zarrs_c._encoded cimport parse_chunk_index, wrap_encoded
from zarrs_c._figures cimport check_progress, figures
from zarrs_c._request cimport NEW, Request, an_array, choose, prepare, prepare_write, write_flags
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport check, take_error
from zarrs_c._store cimport Store, as_store, check_blocking

from zarrs_c._metadata import with_attributes, with_shape

cdef enum:
    SIGNAL_CHECK_MS = 50  # how long Ctrl-C may go unnoticed
    PROGRESS_WAITS = 2    # of so long each, between two calls of `progress`

ctypedef void (*Discard)(void *result) noexcept


cdef void *_wait(zrc_op *op, Discard discard, object progress) except? NULL:
    """Wait until `op` is final, however long that takes, and release it. Returns what its completion carries.

    A signal handler that raises (Ctrl-C), or `progress`, cancels the operation; its error comes once the
    operation has ended, so the memory is the caller's again on every way out.
    """
    cdef zrc_completion completion
    cdef zrc_status status
    cdef int waits = 0
    interrupt = None
    ZRC_INIT(&completion)
    status = ZRC_E_TIMEOUT
    while status == ZRC_E_TIMEOUT:
        with nogil:
            status = zrc_op_wait(op, SIGNAL_CHECK_MS, &completion)
        waits += 1
        try:
            if status == ZRC_E_TIMEOUT:
                PyErr_CheckSignals()
            if progress is not None and interrupt is None and (status == ZRC_OK or waits % PROGRESS_WAITS == 0):
                progress(figures(op, None).progress())
        except BaseException as error:
            interrupt = error
            zrc_op_cancel(op)
    zrc_op_release(op)
    if status != ZRC_OK:
        raise take_error(status, NULL)
    if interrupt is not None:
        zrc_error_free(completion.error)
        if discard is not NULL:
            discard(completion.result)
        raise interrupt
    check(completion.status, completion.error)
    return completion.result


cdef void _discard_array(void *result) noexcept:
    zrc_array_release(<zrc_array *>result)


cdef void _discard_encoded(void *result) noexcept:
    zrc_buf_free(<zrc_buf *>result)


cdef object _read(
    object buf, object array, object selection, object chunks, object max_requests, object max_bytes,
    object progress,
):
    cdef Request request
    cdef Py_buffer view
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    check_progress(progress)
    cdef zrc_runtime *process = runtime()
    cdef Array opened = <Array>array if isinstance(array, Array) else open_array(array)
    check_blocking(opened.store)
    request.chosen = choose(&request.options, max_requests, max_bytes, 0)
    result = prepare(&request, &view, buf, opened, selection, chunks)
    try:
        with nogil:
            status = zrc_read_async(process, &request.region, 1, request.chosen, NULL, &op, &error)
        check(status, error)
        _wait(op, NULL, progress)
    finally:
        PyBuffer_Release(&view)
    return result


def open_array(store, path="", *, storage_options=None, zarr_format=None):
    """Open an array. Arguments and errors as those of `zarrs_c.open_array`, whose blocking twin this is."""
    cdef zrc_array_options options
    cdef const zrc_array_options *chosen = format_option(&options, zarr_format)
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Store opened = as_store(store, storage_options)
    check_blocking(opened)
    cdef bytes encoded = path_bytes(path)
    cdef const char *c_path = encoded
    with nogil:
        status = zrc_array_open_async(opened.ptr, c_path, chosen, NULL, &op, &error)
    check(status, error)
    return wrap_array(<zrc_array *>_wait(op, _discard_array, None), opened)


def read_into(buf, array, selection=..., *, chunks=None, max_requests=None, max_bytes=None, progress=None):
    """Read a selection into `buf` and return it. As `zarrs_c.read_into`, but blocking.

    What `progress` raises ends the read, and is raised.
    """
    return _read(buf, array, selection, chunks, max_requests, max_bytes, progress)


def read(array, selection=..., *, chunks=None, max_requests=None, max_bytes=None, progress=None):
    """Read a selection into a new NumPy array in C order. As `zarrs_c.read`, but blocking."""
    return _read(NEW, array, selection, chunks, max_requests, max_bytes, progress)


def read_many(regions, *, max_requests=None, max_bytes=None, progress=None):
    """Read many regions as one operation; returns the list of the buffers. `zarrs_c.read_many`, blocking."""
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    check_progress(progress)
    cdef zrc_runtime *process = runtime()
    regions = list(regions)
    cdef Batch batch = make_batch(regions, max_requests, max_bytes)
    for region in regions:
        check_blocking((<Array>region[1]).store)
    results = batch.results
    try:
        with nogil:
            status = zrc_read_async(process, batch.regions, batch.count, batch.chosen, NULL, &op, &error)
        check(status, error)
        _wait(op, NULL, progress)
    finally:
        batch.release()
    return results


def read_encoded_chunk(array, chunk_index, *, inner=False):
    """Read a chunk as stored: an `EncodedChunk`, or None. `zarrs_c.read_encoded_chunk`, but blocking."""
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    parse_chunk_index(opened, chunk_index, inner, index, &flags)
    with nogil:
        status = zrc_read_encoded_chunk_async(opened.ptr, index, flags, NULL, &op, &error)
    check(status, error)
    return wrap_encoded(<zrc_buf *>_wait(op, _discard_encoded, None))


# ---- Writing ----

def write(
    array, data, selection=..., *, chunks=None, write_empty_chunks=False, fsync=False, if_unchanged=False,
    max_requests=None, max_bytes=None, progress=None,
):
    """Write `data` to a selection of `array`. As `zarrs_c.write`, but blocking.

    What `progress` raises ends the write, and is raised.
    """
    cdef Request request
    cdef Py_buffer view
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    check_progress(progress)
    cdef zrc_runtime *process = runtime()
    request.chosen = choose(
        &request.options, max_requests, max_bytes, write_flags(write_empty_chunks, fsync, if_unchanged)
    )
    prepare_write(&request, &view, data, opened, selection, chunks)
    try:
        with nogil:
            status = zrc_write_async(process, &request.region, 1, request.chosen, NULL, &op, &error)
        check(status, error)
        _wait(op, NULL, progress)
    finally:
        PyBuffer_Release(&view)


def write_encoded_chunk(array, chunk_index, data):
    """Store bytes as a chunk, as they are. `zarrs_c.write_encoded_chunk`, but blocking."""
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef Py_buffer view
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    parse_chunk_index(opened, chunk_index, False, index, &flags)
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        with nogil:
            status = zrc_write_encoded_chunk_async(
                opened.ptr, index, view.buf, view.len, flags, NULL, &op, &error
            )
        check(status, error)
        _wait(op, NULL, None)
    finally:
        PyBuffer_Release(&view)


def erase_chunk(array, chunk_index):
    """Erase a chunk. `zarrs_c.erase_chunk`, but blocking."""
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    parse_chunk_index(opened, chunk_index, False, index, &flags)
    with nogil:
        status = zrc_erase_chunk_async(opened.ptr, index, flags, NULL, &op, &error)
    check(status, error)
    _wait(op, NULL, None)


# ---- Making and changing arrays ----

def create_array(
    store, path="", *, shape, dtype, chunks="auto", shards=None, filters="auto", serializer="auto",
    compressors="auto", fill_value=None, order=None, chunk_key_encoding=None, attributes=None,
    dimension_names=None, zarr_format=3, overwrite=False, storage_options=None,
):
    """Make an array and store its metadata. `zarrs_c.create_array`, but blocking: returns the `Array`."""
    from zarrs_c._create import array_metadata

    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef uint32_t flags = ZRC_CREATE_OVERWRITE if overwrite else 0
    cdef bytes json = array_metadata(
        shape=shape, dtype=dtype, chunks=chunks, shards=shards, filters=filters, serializer=serializer,
        compressors=compressors, fill_value=fill_value, order=order, chunk_key_encoding=chunk_key_encoding,
        attributes=attributes, dimension_names=dimension_names, zarr_format=zarr_format,
    ).encode("utf-8")
    cdef Store opened = as_store(store, storage_options)
    check_blocking(opened)
    cdef bytes encoded = path_bytes(path)
    cdef const char *c_path = encoded
    cdef const char *c_json = json
    with nogil:
        status = zrc_array_create_async(opened.ptr, c_path, c_json, flags, NULL, &op, &error)
    check(status, error)
    return wrap_array(<zrc_array *>_wait(op, _discard_array, None), opened)


cdef object _update(Array array, str metadata):
    cdef zrc_op *op = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef bytes json = metadata.encode("utf-8")
    cdef const char *c_json = json
    with nogil:
        status = zrc_array_update_async(array.ptr, c_json, 0, NULL, &op, &error)
    check(status, error)
    return wrap_array(<zrc_array *>_wait(op, _discard_array, None), array.store)


def resize(array, shape):
    """Give an array another shape. `zarrs_c.resize`, but blocking: returns the new `Array`."""
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    return _update(opened, with_shape(opened, shape))


def update_attributes(array, attributes):
    """Set attributes of an array. `zarrs_c.update_attributes`, but blocking: returns the new `Array`."""
    cdef Array opened = an_array(array)
    check_blocking(opened.store)
    return _update(opened, with_attributes(opened, attributes))
