"""The asynchronous calls: each checks its arguments, submits one operation and returns its future.

No coroutine, no task and no lock: whoever reads ten thousand windows pays for ten thousand futures.
"""

from functools import partial

cimport cython
from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport uint32_t, uint64_t

from zarrs_c._array cimport MAX_NDIM, Array, format_option, path_bytes, wrap_array
from zarrs_c._batch cimport Batch, make_batch
from zarrs_c._bridge cimport CHAINED, Bridge, Pending, bridge_of, running_loop
from zarrs_c._capi cimport (
    ZRC_OK,
    zrc_array,
    zrc_array_open_async,
    zrc_array_options,
    zrc_array_release,
    zrc_buf,
    zrc_buf_free,
    zrc_error,
    zrc_read_async,
    zrc_read_encoded_chunk_async,
    zrc_runtime,
    zrc_sink,
    zrc_status,
)
from zarrs_c._encoded cimport parse_chunk_index, wrap_encoded
from zarrs_c._figures cimport check_progress
from zarrs_c._request cimport NEW, Request, an_array, choose, prepare
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport take_error
from zarrs_c._store cimport Store, as_store

from zarrs_c._progress import watch


@cython.no_gc  # as Pending
cdef class _ReadPending(Pending):
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
    cdef _ReadPending pending = _ReadPending.__new__(_ReadPending)
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


# ---- The public functions ----

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
