"""The asynchronous calls: each checks its arguments, submits one operation and returns its future.

No coroutine, no task and no lock: whoever reads ten thousand windows pays for ten thousand futures.
"""

from functools import partial

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t

from zarrs_c._array cimport MAX_NDIM, Array, format_option, path_bytes, wrap_array
from zarrs_c._batch cimport Batch, make_batch
from zarrs_c._bridge cimport CHAINED, Bridge, Pending, bridge_of, running_loop
from zarrs_c._capi cimport (
    ZRC_CREATE_OVERWRITE,
    ZRC_OK,
    zrc_array,
    zrc_array_create_async,
    zrc_array_open_async,
    zrc_array_options,
    zrc_array_release,
    zrc_array_update_async,
    zrc_buf,
    zrc_buf_free,
    zrc_erase_chunk_async,
    zrc_error,
    zrc_read_async,
    zrc_read_encoded_chunk_async,
    zrc_runtime,
    zrc_sink,
    zrc_status,
    zrc_write_async,
    zrc_write_encoded_chunk_async,
)
from zarrs_c._encoded cimport parse_chunk_index, wrap_encoded
from zarrs_c._figures cimport check_progress
from zarrs_c._request cimport NEW, Request, an_array, choose, prepare, prepare_write, write_flags
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport take_error
from zarrs_c._store cimport Store, as_store

from zarrs_c._metadata import with_attributes, with_shape
from zarrs_c._progress import watch


@cython.no_gc  # as Pending
cdef class _ViewPending(Pending):
    # A read into, or a write from, one buffer.
    cdef Py_buffer view
    cdef bint held
    cdef object result

    def __dealloc__(self):
        if self.held:  # it was never submitted
            PyBuffer_Release(&self.view)

    cdef void release(self):
        if self.held:
            self.held = False
            PyBuffer_Release(&self.view)

    cdef object take(self, Bridge bridge, object future, void *result):
        return self.result


@cython.no_gc  # as Pending
cdef class _BatchPending(Pending):
    cdef Batch batch
    cdef list results

    cdef void release(self):
        self.batch.release()

    cdef object take(self, Bridge bridge, object future, void *result):
        return self.results


@cython.no_gc  # as Pending
cdef class _OpenPending(Pending):
    cdef Store store
    cdef object then  # None, or a function of (bridge, future, array) that goes on with the same future

    cdef object take(self, Bridge bridge, object future, void *result):
        array = wrap_array(<zrc_array *>result, self.store)
        if self.then is None:
            return array
        self.then(bridge, future, array)
        return CHAINED

    cdef void discard(self, void *result):
        zrc_array_release(<zrc_array *>result)


@cython.no_gc  # as Pending
cdef class _EncodedPending(Pending):
    cdef object take(self, Bridge bridge, object future, void *result):
        return wrap_encoded(<zrc_buf *>result)

    cdef void discard(self, void *result):
        zrc_buf_free(<zrc_buf *>result)


# ---- Submission ----

cdef object _submit_read(
    object loop, Bridge bridge, object future, object buf, Array array, object selection, object chunks,
    object max_requests, object max_bytes,
):
    """Start to read one region, for a new future where `future` is None."""
    cdef Request request
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef _ViewPending pending = _ViewPending.__new__(_ViewPending)
    request.chosen = choose(&request.options, max_requests, max_bytes, 0)
    pending.result = prepare(&request, &pending.view, buf, array, selection, chunks)
    pending.held = True
    bridge.begin(pending, loop, future, &sink)
    status = zrc_read_async(runtime(), &request.region, 1, request.chosen, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


cdef object _submit_open(
    object loop, Bridge bridge, Store store, object path, object zarr_format, object then
):
    cdef zrc_array_options options
    cdef const zrc_array_options *chosen = format_option(&options, zarr_format)
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef bytes encoded = path_bytes(path)
    cdef const char *c_path = encoded
    cdef _OpenPending pending = _OpenPending.__new__(_OpenPending)
    pending.store = store
    pending.then = then
    bridge.begin(pending, loop, None, &sink)
    status = zrc_array_open_async(store.ptr, c_path, chosen, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


def _read_opened(bridge, future, array, *, buf, selection, chunks, max_requests, max_bytes):
    """The second half of a read of a URL: the array is open."""
    _submit_read(None, bridge, future, buf, array, selection, chunks, max_requests, max_bytes)


cdef object _read(
    object buf, object array, object selection, object chunks, object max_requests, object max_bytes,
    object progress,
):
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    check_progress(progress)
    if isinstance(array, Array):
        future = _submit_read(
            loop, bridge, None, buf, <Array>array, selection, chunks, max_requests, max_bytes
        )
    else:
        future = _submit_read_of_url(loop, bridge, buf, array, selection, chunks, max_requests, max_bytes)
    if progress is not None:
        watch(future, progress)
    return future


cdef object _submit_read_of_url(
    object loop, Bridge bridge, object buf, object array, object selection, object chunks,
    object max_requests, object max_bytes,
):
    store = as_store(array, None)
    then = partial(
        _read_opened, buf=buf, selection=selection, chunks=chunks,
        max_requests=max_requests, max_bytes=max_bytes,
    )
    return _submit_open(loop, bridge, store, "", None, then)


# ---- Reading ----

def open_array(store, path="", *, storage_options=None, zarr_format=None):
    """Open an array: a future of an `Array`.

    store: a URL, a path or a `Store`; path: where the array is in it ("" for its root).
    storage_options: a mapping of strings to strings, for a URL; see `open_store`.
    zarr_format: 2 or 3; None looks for both, and 3 wins.

    The future fails with NotFoundError (nothing there, or a group), InvalidError (broken metadata),
    UnsupportedError (codec, data type) or StorageError.
    """
    loop = running_loop()
    return _submit_open(loop, bridge_of(loop), as_store(store, storage_options), path, zarr_format, None)


def read_into(buf, array, selection=..., *, chunks=None, max_requests=None, max_bytes=None, progress=None):
    """Read a selection into `buf`: a future of `buf` itself.

    buf: a writable buffer of the selection's shape and of the array's dtype, with any strides; or exactly as
    many plain bytes (`bytearray`, a memoryview of bytes), filled in C order. It belongs to the read until the
    future is done, which a cancelled one is only once its memory is safe to reuse.
    array: an `Array`; or the URL or path of one, which is opened first (then `buf` is checked after that).
    selection: NumPy basic indexing: integers, which take their dimension away, slices with steps of either
    sign, `...`.
    chunks: instead of a selection, the same in chunk coordinates: a box of chunks of the grid (shards, where
    the array is sharded), cut at the array's bounds. An integer keeps its dimension.
    max_requests, max_bytes: limits of this read alone, within the process's.
    progress: a function that is called with a `Progress` on the loop's thread, ten times a second at most
    while the read runs, and once at its end, however that comes. What it raises goes to the loop's exception
    handler and stops nothing.

    Raises SelectionError, BufferMismatchError and UnsupportedError at the call; the future fails with
    StorageError or CodecError. After a failure the buffer may hold anything, and is free to reuse.
    """
    return _read(buf, array, selection, chunks, max_requests, max_bytes, progress)


def read(array, selection=..., *, chunks=None, max_requests=None, max_bytes=None, progress=None):
    """Read a selection: a future of a new NumPy array in C order (0-d for a single element).

    Arguments and errors as those of `read_into`.
    """
    return _read(NEW, array, selection, chunks, max_requests, max_bytes, progress)


def read_many(regions, *, max_requests=None, max_bytes=None, progress=None):
    """Read many regions, of any arrays, as one operation: a future of the list of the buffers.

    regions: an iterable of (buf, array, selection), each as for `read_into`, or (buf, array) for a whole
    array. The buffers must not overlap. A chunk that several regions touch is fetched and decoded once. All
    are filled, or the first error stops the rest, and its message says which region failed. `progress` as for
    `read_into`.
    """
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Batch batch
    cdef Bridge bridge
    cdef zrc_runtime *process
    loop = running_loop()
    check_progress(progress)
    batch = make_batch(regions, max_requests, max_bytes)
    cdef _BatchPending pending = _BatchPending.__new__(_BatchPending)
    pending.batch = batch
    pending.results = batch.results
    bridge = bridge_of(loop)
    process = runtime()
    bridge.begin(pending, loop, None, &sink)
    with nogil:
        status = zrc_read_async(process, batch.regions, batch.count, batch.chosen, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    future = pending.future
    if progress is not None:
        watch(future, progress)
    return future


def read_encoded_chunk(array, chunk_index, *, inner=False):
    """Read a chunk (or shard) as stored, not decoded: a future of an `EncodedChunk`, or of None if missing.

    chunk_index: the chunk's indices in the grid, one for each dimension, from 0. Raises SelectionError for
    others.
    inner: whether `chunk_index` counts the inner chunks of a sharded array, over the whole array. Raises
    UnsupportedError for an array that is not sharded.
    """
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    cdef Bridge bridge
    loop = running_loop()
    parse_chunk_index(opened, chunk_index, inner, index, &flags)
    cdef _EncodedPending pending = _EncodedPending.__new__(_EncodedPending)
    bridge = bridge_of(loop)
    bridge.begin(pending, loop, None, &sink)
    status = zrc_read_encoded_chunk_async(opened.ptr, index, flags, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


# ---- Writing ----

def write(
    array, data, selection=..., *, chunks=None, write_empty_chunks=False, fsync=False, if_unchanged=False,
    max_requests=None, max_bytes=None, progress=None,
):
    """Write `data` to a selection of `array`: a future of None.

    data: a buffer of the array's dtype, with any strides, whose shape is the selection's or broadcasts to it as in
    NumPy; exactly as many plain bytes as the selection has, in C order; or a scalar. It must not change until the
    future is done.
    selection, chunks: as for `read_into`. Chunks that the selection replaces as a whole are not read; of others,
    the rest stays.
    write_empty_chunks: whether chunks that hold only the fill value are stored; otherwise they are erased.
    fsync: whether local files are on the disk when the future is done.
    if_unchanged: whether a chunk that is changed in part must still be what it was when it was read; needs a store
    that puts on a condition (S3, Google Cloud Storage, Azure, memory).
    max_requests, max_bytes, progress: as for `read_into`.

    Each chunk (or shard) is the old or the new one, whatever happens; when the write fails or is cancelled, some
    may be new. Raises SelectionError, BufferMismatchError and UnsupportedError (a store that cannot be written) at
    the call; the future fails with StorageError, CodecError or ConflictError (`if_unchanged`).
    """
    cdef Request request
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    cdef _ViewPending pending = _ViewPending.__new__(_ViewPending)
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    check_progress(progress)
    request.chosen = choose(
        &request.options, max_requests, max_bytes, write_flags(write_empty_chunks, fsync, if_unchanged)
    )
    prepare_write(&request, &pending.view, data, opened, selection, chunks)
    pending.held = True
    bridge.begin(pending, loop, None, &sink)
    status = zrc_write_async(runtime(), &request.region, 1, request.chosen, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    future = pending.future
    if progress is not None:
        watch(future, progress)
    return future


def write_encoded_chunk(array, chunk_index, data):
    """Store bytes as a chunk (or shard), as they are: a future of None.

    chunk_index: as for `read_encoded_chunk`. data: a contiguous buffer, which must not change until the future is
    done. Nothing checks that it decodes.
    """
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    parse_chunk_index(opened, chunk_index, False, index, &flags)
    cdef _ViewPending pending = _ViewPending.__new__(_ViewPending)
    PyObject_GetBuffer(data, &pending.view, PyBUF_SIMPLE)
    pending.held = True
    bridge.begin(pending, loop, None, &sink)
    status = zrc_write_encoded_chunk_async(
        opened.ptr, index, pending.view.buf, pending.view.len, flags, &sink, &pending.op, &error
    )
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


def erase_chunk(array, chunk_index):
    """Erase a chunk (or shard), which then reads as the fill value: a future of None. A missing one is no error.

    chunk_index: as for `read_encoded_chunk`.
    """
    cdef uint64_t index[MAX_NDIM]
    cdef uint32_t flags
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef Array opened = an_array(array)
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    parse_chunk_index(opened, chunk_index, False, index, &flags)
    cdef Pending pending = _ViewPending.__new__(_ViewPending)
    bridge.begin(pending, loop, None, &sink)
    status = zrc_erase_chunk_async(opened.ptr, index, flags, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


# ---- Making and changing arrays ----

cdef object _submit_create(Store store, object path, str metadata, bint overwrite):
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef bytes encoded = path_bytes(path), json = metadata.encode("utf-8")
    cdef const char *c_path = encoded
    cdef const char *c_json = json
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    cdef _OpenPending pending = _OpenPending.__new__(_OpenPending)
    pending.store = store
    bridge.begin(pending, loop, None, &sink)
    status = zrc_array_create_async(
        store.ptr, c_path, c_json, ZRC_CREATE_OVERWRITE if overwrite else 0, &sink, &pending.op, &error
    )
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


cdef object _submit_update(Array array, str metadata):
    cdef zrc_sink sink
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef bytes json = metadata.encode("utf-8")
    cdef const char *c_json = json
    loop = running_loop()
    cdef Bridge bridge = bridge_of(loop)
    cdef _OpenPending pending = _OpenPending.__new__(_OpenPending)
    pending.store = array.store
    bridge.begin(pending, loop, None, &sink)
    status = zrc_array_update_async(array.ptr, c_json, 0, &sink, &pending.op, &error)
    if status != ZRC_OK:
        bridge.abandon(pending)
        raise take_error(status, error)
    return pending.future


def create_array(
    store, path="", *, shape, dtype, chunks="auto", shards=None, filters="auto", serializer="auto",
    compressors="auto", fill_value=None, order=None, chunk_key_encoding=None, attributes=None,
    dimension_names=None, zarr_format=3, overwrite=False, storage_options=None,
):
    """Make an array and store its metadata: a future of the `Array`.

    store, path, storage_options: as for `open_array`. The other arguments mean what they mean for zarr-python's
    `create_array`: see docs/writing.md.
    overwrite: whether whatever is at the path, other arrays under it included, is erased first.

    Raises InvalidError, UnsupportedError and TypeError at the call; the future fails with ExistsError (an array or
    a group is there already) or StorageError.
    """
    from zarrs_c._create import array_metadata

    metadata = array_metadata(
        shape=shape, dtype=dtype, chunks=chunks, shards=shards, filters=filters, serializer=serializer,
        compressors=compressors, fill_value=fill_value, order=order, chunk_key_encoding=chunk_key_encoding,
        attributes=attributes, dimension_names=dimension_names, zarr_format=zarr_format,
    )
    return _submit_create(as_store(store, storage_options), path, metadata, overwrite)


def resize(array, shape):
    """Give an array another shape: a future of the new `Array`. The old one stays as it is.

    Chunks that lie outside of the new shape are erased; of chunks at its edge, what lies outside is kept, and is
    there again when the array grows.
    """
    cdef Array opened = an_array(array)
    return _submit_update(opened, with_shape(opened, shape))


def update_attributes(array, attributes):
    """Set attributes of an array, beside those that it has: a future of the new `Array`. The old one stays.

    attributes: a mapping of strings to what JSON can hold.
    """
    cdef Array opened = an_array(array)
    return _submit_update(opened, with_attributes(opened, attributes))
