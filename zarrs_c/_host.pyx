"""Stores that are Python objects: their methods run on one event loop, in a thread of Python's own.

The library's threads only put requests on a queue (see "Stores of the host's own" in zarrs_c.h), whose descriptor that
loop watches. So no thread of the library ever runs Python, and whoever waits for a read, be it a loop or a blocked
thread, waits for another thread than the one that answers.
"""

import asyncio
import atexit
import os
import threading
from functools import partial

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport Py_INCREF
from libc.stdint cimport UINT64_MAX, intptr_t
from libc.stdlib cimport free, malloc

from zarrs_c._capi cimport (
    ZRC_COMPLETION_CANCEL_REQUESTED,
    ZRC_COMPLETION_REQUEST,
    ZRC_COMPLETION_STORE_END,
    ZRC_E_IO,
    ZRC_E_NOT_FOUND,
    ZRC_INIT,
    ZRC_REQUEST_ERASE,
    ZRC_REQUEST_GET,
    ZRC_REQUEST_LIST,
    ZRC_REQUEST_PUT,
    ZRC_REQUEST_SIZE,
    ZRC_REQUEST_SUFFIX,
    ZRC_STORE_NO_SUFFIX,
    zrc_answer,
    zrc_completion,
    zrc_entry,
    zrc_error,
    zrc_queue,
    zrc_queue_drain,
    zrc_queue_fd,
    zrc_queue_new,
    zrc_queue_request,
    zrc_request,
    zrc_request_answer,
    zrc_request_release,
    zrc_request_retain,
    zrc_status,
    zrc_store,
    zrc_store_callbacks,
    zrc_store_from_callbacks,
)
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport check, text

from zarrs_c import _host_objects
from zarrs_c._errors import Error
from zarrs_c._host_objects import MISSING

cdef enum:
    BATCH = 64
    NOGIL_BYTES = 1 << 16  # an answer from so many bytes on is copied without the GIL

cdef double EXIT_SECONDS = 0.5  # for requests under way when the interpreter exits

cdef _Thread _thread = None


@cython.final
cdef class _Request:
    """A request of the library. One that is dropped without an answer fails."""

    cdef zrc_request *ptr

    def __dealloc__(self):
        zrc_request_release(self.ptr)

    cdef object key(self):
        return text(self.ptr.key)

    cdef object value(self):
        """What a put brings: read-only memory that is valid as long as anybody holds it."""
        return memoryview(_Value(self))

    cdef int send(self, zrc_answer *answer) except -1:
        cdef zrc_request *ptr = self.ptr
        self.ptr = NULL
        if answer.nbytes >= NOGIL_BYTES:
            with nogil:
                zrc_request_answer(ptr, answer)
        else:
            zrc_request_answer(ptr, answer)
        return 0

    cdef int fail(self, zrc_status status, str message) except -1:
        cdef zrc_answer answer
        ZRC_INIT(&answer)
        answer.status = status
        encoded = message.replace("\0", " ").encode("utf-8", "replace")
        answer.message = <const char *>encoded
        return self.send(&answer)

    cdef int found(self, data, size, etag) except -1:
        cdef zrc_answer answer
        cdef Py_buffer view
        ZRC_INIT(&answer)
        encoded = None if etag is None else etag.encode("utf-8")
        if encoded is not None:
            answer.etag = encoded
        answer.size = 0 if size is None else size
        if data is None:
            return self.send(&answer)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            answer.data = view.buf
            answer.nbytes = view.len
            return self.send(&answer)
        finally:
            PyBuffer_Release(&view)

    cdef int listed(self, entries) except -1:
        cdef zrc_answer answer
        cdef Py_ssize_t i, count = len(entries)
        keys = [(key.encode("utf-8"), size) for key, size in entries]
        cdef zrc_entry *memory = <zrc_entry *>malloc((count + 1) * sizeof(zrc_entry))
        if memory is NULL:
            raise MemoryError()
        ZRC_INIT(&answer)
        try:
            for i in range(count):
                memory[i].key, memory[i].size = <const char *>keys[i][0], keys[i][1]
            answer.entries, answer.count = memory, count
            return self.send(&answer)
        finally:
            free(memory)


@cython.final
cdef class _Value:
    """The bytes of a put, as a buffer that keeps the request."""

    cdef zrc_request *ptr

    def __cinit__(self, _Request request):
        self.ptr = request.ptr
        zrc_request_retain(self.ptr)

    def __dealloc__(self):
        zrc_request_release(self.ptr)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>self.ptr.data, self.ptr.nbytes, 1, flags)


async def _serve(adapter, _Request request):
    """Answer one request."""
    cdef unsigned int kind = request.ptr.kind
    key = request.key()
    try:
        if kind == ZRC_REQUEST_GET:
            length = None if request.ptr.length >= UINT64_MAX - request.ptr.offset else request.ptr.length
            suffix = bool(request.ptr.flags & ZRC_REQUEST_SUFFIX)
            data, size, etag = await adapter.get(key, request.ptr.offset, length, suffix)
            request.found(data, size, etag)
        elif kind == ZRC_REQUEST_SIZE:
            size, etag = await adapter.size(key)
            request.found(None, size, etag)
        elif kind == ZRC_REQUEST_PUT:
            etag = await adapter.put(key, request.value())
            request.found(None, None, etag)
        elif kind == ZRC_REQUEST_ERASE:
            await adapter.erase(key)
            request.found(None, None, None)
        else:
            entries = await adapter.list(key)
            request.listed(entries)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        if request.ptr is NULL:
            raise
        if isinstance(error, MISSING) and kind != ZRC_REQUEST_LIST:
            request.fail(ZRC_E_NOT_FOUND, "")
        else:
            code = error.code if isinstance(error, Error) else ZRC_E_IO
            request.fail(code or ZRC_E_IO, f"{type(error).__name__}: {error}")
        if not isinstance(error, Exception):
            raise


@cython.final
cdef class _Thread:
    """The thread, its loop, and what is under way on it."""

    cdef zrc_queue *queue
    cdef object thread, loop, stopping
    cdef dict adapters       # by the tag of the store
    cdef dict tasks          # by the address of the request
    cdef size_t next_tag

    def __cinit__(self):
        cdef zrc_error *error = NULL
        cdef intptr_t fd = -1
        cdef zrc_status status = zrc_queue_new(&self.queue, &error)
        check(status, error)
        self.adapters, self.tasks = {}, {}
        status = zrc_queue_fd(self.queue, &fd, &error)
        check(status, error)
        self.loop = asyncio.SelectorEventLoop()
        self.loop.add_reader(fd, self._drain)
        self.thread = threading.Thread(target=self._run, name="zarrs_c stores", daemon=True)
        self.thread.start()

    # The queue is the process's: like the runtime it lives as long as that does.

    def _run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def _drain(self):
        cdef zrc_completion batch[BATCH]
        cdef size_t i, taken
        ZRC_INIT(&batch[0])
        taken = zrc_queue_drain(self.queue, batch, BATCH)
        for i in range(taken):
            self.take(&batch[i])

    cdef int take(self, zrc_completion *item) except -1:
        if item.flags & ZRC_COMPLETION_STORE_END:
            self.adapters.pop(item.tag, None)
            return 0
        cdef _Request request = _Request.__new__(_Request)
        request.ptr = <zrc_request *>item.result
        address = <size_t>item.result
        if item.flags & ZRC_COMPLETION_CANCEL_REQUESTED:
            # Still the same request: its address is not used again while `request` holds it.
            task = self.tasks.get(address)
            if task is not None:
                task.cancel()
            return 0
        task = self.loop.create_task(_serve(self.adapters[item.tag], request))
        self.tasks[address] = task
        task.add_done_callback(partial(self._done, address))
        return 0

    def _done(self, address, task):
        if self.tasks.get(address) is task:
            del self.tasks[address]
        if not task.cancelled():
            task.exception()  # it was answered, if not otherwise then by dropping the request

    def stop(self):
        """Cancel what is under way and end the thread; at the interpreter's exit."""
        try:
            self.loop.call_soon_threadsafe(self._begin_stop)
        except RuntimeError:
            return
        self.thread.join(2 * EXIT_SECONDS)

    def _begin_stop(self):
        self.stopping = self.loop.create_task(self._stop(list(self.tasks.values())))

    async def _stop(self, tasks):
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=EXIT_SECONDS)
        for task in tasks:
            task._log_destroy_pending = False
        self.loop.stop()


def host_store(object adapter, str url):
    """The address of a new `zrc_store` that asks `adapter` (see _host_objects.py)."""
    global _thread
    cdef zrc_store_callbacks callbacks
    cdef zrc_store *store = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    if _thread is None:
        _thread = _Thread()
    encoded = url.encode("ascii")
    ZRC_INIT(&callbacks)
    _thread.next_tag += 1
    callbacks.tag, callbacks.ctx, callbacks.url = _thread.next_tag, _thread.queue, <const char *>encoded
    callbacks.get = callbacks.cancel = zrc_queue_request
    if "size" in adapter.KINDS:
        callbacks.size = zrc_queue_request
    if "list" in adapter.KINDS:
        callbacks.list = zrc_queue_request
    if "put" in adapter.KINDS:
        callbacks.put = zrc_queue_request
    if "erase" in adapter.KINDS:
        callbacks.erase = zrc_queue_request
    callbacks.flags = 0 if adapter.takes_suffixes else ZRC_STORE_NO_SUFFIX
    _thread.adapters[callbacks.tag] = adapter
    status = zrc_store_from_callbacks(runtime(), &callbacks, &store, &error)
    if status != 0:
        del _thread.adapters[callbacks.tag]
    check(status, error)
    return <size_t>store


def check_thread():
    """A blocking read on the thread that answers the requests of Python's stores would wait for itself."""
    if _thread is not None and threading.get_ident() == _thread.thread.ident:
        raise RuntimeError(
            "a blocking read of a store that is a Python object, called from such a store's own method: use the "
            "asynchronous call"
        )


def _at_exit():
    if _thread is not None:
        _thread.stop()


def _after_fork_in_child():
    """The child's stores get a thread of their own; the parent's queue is leaked, as its lock may be held."""
    global _thread
    if _thread is not None:
        Py_INCREF(_thread)  # its loop must not be closed: the parent's descriptors are the same
    _thread = None
    _host_objects.forget_threads()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
