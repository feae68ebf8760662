"""The way from the library's threads to an event loop's futures.

Library threads never attach to Python: they put completions in a queue, one for each loop. The queue's
descriptor wakes the loop by `add_reader`; where a loop has none, a dispatcher thread (Python's own) waits in
the queue without the GIL and makes one `call_soon_threadsafe` a burst. ZARRS_C_BRIDGE=fd|dispatcher|auto
chooses. Either way `drain` runs on the loop's thread: it settles futures, releases the exports of buffers and
frees errors.

Ownership: each operation under way owns one reference to its Pending (the tag of its completion), which holds
the future and the exported buffer. It is given back at the final completion only, so the memory stays even
when nobody has the future any more, when the loop is closed, or when the interpreter exits with the read
under way.
"""

import atexit
import os
import threading
import weakref

cimport cython
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport UINT32_MAX, intptr_t, uint64_t

from zarrs_c._capi cimport (
    ZRC_COMPLETION_CANCEL_REQUESTED,
    ZRC_E_CANCELLED,
    ZRC_INIT,
    ZRC_OK,
    zrc_completion,
    zrc_error,
    zrc_error_free,
    zrc_op_cancel,
    zrc_op_release,
    zrc_queue_complete,
    zrc_queue_drain,
    zrc_queue_fd,
    zrc_queue_get_stats,
    zrc_queue_new,
    zrc_queue_release,
    zrc_queue_stats,
    zrc_queue_wait,
    zrc_queue_wake,
    zrc_sink,
    zrc_status,
)
from zarrs_c._figures cimport figures
from zarrs_c._runtime cimport shut_down
from zarrs_c._status cimport check, set_exiting, take_error

from zarrs_c._errors import ShutdownError
from zarrs_c._runtime import runtime_stats

cdef extern from "pythread.h" nogil:
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait)
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int intr)
    void PyThread_release_lock(PyThread_type_lock lock)

cdef enum:
    BATCH = 64             # completions taken from the queue at once
    BATCHES = 16           # of them in one call on the loop, which others want to use as well
    LOOP_CHECK_US = 250000 # how often a dispatcher whose call has not run looks whether its loop is closed
    EXIT_TIMEOUT_MS = 1500 # for operations under way when the interpreter exits

cdef object CHAINED = object()
cdef dict _bridges = {}         # by the id of the loop, while it is open
cdef set _threaded = set()      # bridges whose thread runs
cdef uint64_t _past_wakes = 0   # of bridges that are gone
cdef bint _exiting = False

# asyncio takes as long to import as all the rest: it comes with the first asynchronous call.
cdef object _get_running_loop = None
cdef object _future_class = None
cdef object _cancel_now = None


@cython.no_gc  # its cycle with the future ends with the operation, which holds it until then anyway
cdef class Pending:
    """An operation under way; subclasses say what it holds and gives."""

    def request_cancel(self, message):
        """Ask the operation to stop. Its future is cancelled once it has."""
        self.cancel_requested = True
        self.message = message
        if self.op is not NULL:
            zrc_op_cancel(self.op)

    cdef void release(self):
        """Let go of the caller's memory: the operation has ended."""

    cdef object take(self, Bridge bridge, object future, void *result):
        """The future's result, from the completion's, which this owns; CHAINED: the future has gone on."""
        return None

    cdef void discard(self, void *result):
        """Free a completion's result that nobody wants."""


cdef class _Reader:
    """What a loop calls when the queue is readable. Only the loop refers to it: they end together."""

    cdef Bridge bridge
    cdef object __weakref__

    def __call__(self):
        self.bridge.drain()


cdef class Bridge:
    """One loop's queue of completions."""

    def __cinit__(self, loop):
        cdef zrc_error *error = NULL
        cdef zrc_status status = zrc_queue_new(&self.queue, &error)
        check(status, error)
        self.key = <size_t><PyObject *>loop
        self.loop_ref = weakref.ref(loop, self._loop_gone)
        mode = os.environ.get("ZARRS_C_BRIDGE", "auto")
        if mode not in ("auto", "fd", "dispatcher"):
            raise ValueError(f"ZARRS_C_BRIDGE (environment) must be auto, fd or dispatcher, not {mode!r}")
        if mode == "dispatcher" or not self._watch(loop, mode == "fd"):
            self._start_thread("zarrs_c dispatcher")

    def __dealloc__(self):
        global _past_wakes
        _past_wakes += _wakes(self)
        zrc_queue_release(self.queue)
        if self.drained is not NULL:
            PyThread_free_lock(self.drained)

    # ---- Submission ----

    cdef int begin(self, Pending pending, object loop, object future, zrc_sink *sink) except -1:
        """Before a submission: give `pending` a future (a new one for None), the operation its reference."""
        if future is None:
            future = _future_class(loop=loop)
            future._figures = None
        future._pending = pending
        pending.future = future
        sink.fn = zrc_queue_complete
        sink.ctx = self.queue
        sink.tag = <uint64_t><size_t><PyObject *>pending
        Py_INCREF(pending)
        self.in_flight += 1
        return 0

    cdef void abandon(self, Pending pending):
        """After a refused submission, of which there is no completion."""
        self.in_flight -= 1
        pending.future._pending = None
        pending.future = None
        pending.release()
        Py_DECREF(pending)

    # ---- Completion ----

    cdef int drain(self) except -1:
        """Settle what the queue has, on the loop's thread, up to a bound: who woke us will do so again."""
        cdef zrc_completion batch[BATCH]
        cdef size_t taken = BATCH, i
        cdef int round
        failure = None
        for round in range(BATCHES):
            if taken < BATCH or self.queue is NULL:
                break
            ZRC_INIT(&batch[0])
            taken = zrc_queue_drain(self.queue, batch, BATCH)
            for i in range(taken):
                try:
                    self.settle(&batch[i])
                except BaseException as error:  # KeyboardInterrupt, say: the others are settled all the same
                    failure = error if failure is None else failure
        if failure is not None:
            raise failure
        return 0

    cdef Pending reclaim(self, zrc_completion *completion):
        """What the ended operation held: its figures are kept, the caller's memory and the operation let go."""
        cdef Pending pending = <Pending><PyObject *><size_t>completion.tag
        Py_DECREF(pending)
        self.in_flight -= 1
        pending.future._figures = figures(pending.op, pending.future._figures)
        zrc_op_release(pending.op)
        pending.op = NULL
        pending.release()
        return pending

    cdef int settle(self, zrc_completion *completion) except -1:
        cdef Pending pending = self.reclaim(completion)
        future, pending.future = pending.future, None
        cancelled = (
            pending.cancel_requested
            or completion.flags & ZRC_COMPLETION_CANCEL_REQUESTED
            or completion.status == ZRC_E_CANCELLED
        )
        if cancelled or future.done():
            zrc_error_free(completion.error)
            pending.discard(completion.result)
            future._pending = None
            _cancel_now(future, pending.message)  # False, and nothing done, if it is done already
            return 0
        if completion.status != ZRC_OK:
            future._pending = None
            future.set_exception(take_error(completion.status, completion.error))
            return 0
        try:
            result = pending.take(self, future, completion.result)
        except Exception as error:
            future._pending = None
            future.set_exception(error)
            return 0
        if result is not CHAINED:
            future._pending = None
            future.set_result(result)
        return 0

    # ---- A loop that is closed ----

    cdef void drop(self, zrc_completion *completion):
        """Free what belongs to a completion whose loop is closed. Its future is never settled."""
        cdef Pending pending = self.reclaim(completion)
        zrc_error_free(completion.error)
        pending.discard(completion.result)
        pending.future = None

    cdef void sweep(self):
        cdef zrc_completion batch[BATCH]
        cdef size_t taken = BATCH, i
        while taken == BATCH and self.queue is not NULL:
            ZRC_INIT(&batch[0])
            taken = zrc_queue_drain(self.queue, batch, BATCH)
            for i in range(taken):
                self.drop(&batch[i])

    def _loop_gone(self, _):
        self.orphan()

    cdef void orphan(self):
        """The loop is closed or gone: a thread sweeps what comes now, and ends with the last operation."""
        if self.orphaned:
            return
        self.orphaned = True
        self.loop_ref = _no_loop
        self.reader_ref = None
        if _bridges.get(self.key) is self:
            del _bridges[self.key]
        if self.thread is not None:
            self.release_dispatcher()
        elif self.in_flight and not _exiting and self.queue is not NULL:
            try:
                self._start_thread("zarrs_c sweeper")
            except RuntimeError:
                pass  # the interpreter is exiting: the memory stays exported, as it must

    # ---- Waking the loop ----

    def _watch(self, loop, must):
        """Let the loop watch the queue's descriptor. False where it cannot."""
        cdef intptr_t fd = -1
        cdef zrc_error *error = NULL
        cdef zrc_status status = zrc_queue_fd(self.queue, &fd, &error)
        if status != ZRC_OK:
            failure = take_error(status, error)
            if must:
                raise failure
            return False
        reader = _Reader()
        (<_Reader>reader).bridge = self
        self.reader_ref = weakref.ref(reader, self._loop_gone)
        try:
            loop.add_reader(fd, reader)
        except (NotImplementedError, AttributeError):
            self.reader_ref = None
            if must:
                raise
            return False
        return True

    def _start_thread(self, name):
        if self.drained is NULL:
            self.drained = PyThread_allocate_lock()
            if self.drained is NULL:
                raise MemoryError()
            PyThread_acquire_lock(self.drained, 1)
        self.callback = self._drain_posted
        # A daemon, yet never one at the interpreter's end: our atexit handler joins it. An ordinary thread
        # would have to end before the handlers run, while a loop in another thread may still wait for its
        # reads.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        _threaded.add(self)
        try:
            self.thread.start()
        except BaseException:
            self.thread = None
            _threaded.discard(self)
            raise

    def _run(self):
        """The dispatcher: one call to the loop a burst, and no other before that has run."""
        cdef zrc_status status
        try:
            while not self.stopping:
                if self.orphaned:
                    self.sweep()
                    if self.in_flight == 0:
                        return
                with nogil:
                    status = zrc_queue_wait(self.queue, UINT32_MAX)
                if status != ZRC_OK:
                    return
                if not (self.stopping or self.orphaned) and not self._post():
                    self.orphan()
        finally:
            _threaded.discard(self)

    def _post(self):
        """Have the loop drain the queue, and wait until it has. False: it is closed."""
        cdef PyLockStatus got
        loop = self.loop_ref()
        if loop is None:
            return False
        self.posted = True
        try:
            loop.call_soon_threadsafe(self.callback)
        except RuntimeError:
            self.posted = False
            return False
        del loop
        while True:
            with nogil:
                got = PyThread_acquire_lock_timed(self.drained, LOOP_CHECK_US, 0)
            if got == PY_LOCK_ACQUIRED:
                return True
            loop = self.loop_ref()
            if loop is None or loop.is_closed():
                self.posted = False
                return False
            del loop

    def _drain_posted(self):
        try:
            self.drain()
        finally:
            # If something is left, the queue is not empty, so the dispatcher will be back at once.
            if self.posted:
                self.posted = False
                PyThread_release_lock(self.drained)

    cdef void release_dispatcher(self):
        """Wake the thread wherever it waits."""
        if self.posted:
            self.posted = False
            PyThread_release_lock(self.drained)
        if self.queue is not NULL:
            zrc_queue_wake(self.queue)


def _no_loop():
    return None


cdef object running_loop():
    """The running loop of this thread."""
    global _get_running_loop, _future_class, _cancel_now
    if _get_running_loop is None:
        import asyncio

        from zarrs_c._future import ReadFuture, cancel_now

        _future_class, _cancel_now = ReadFuture, cancel_now
        _get_running_loop = asyncio.get_running_loop
    try:
        return _get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "no running event loop: this function returns a future of the running loop. "
            "Call it from a coroutine, or use its blocking twin in zarrs_c.sync"
        ) from None


cdef Bridge bridge_of(object loop):
    """The bridge of a running loop."""
    bridge = _bridges.get(<size_t><PyObject *>loop)
    return _new_bridge(loop) if bridge is None else <Bridge>bridge


cdef Bridge _new_bridge(object loop):
    cdef Bridge other, bridge
    if _exiting:
        raise ShutdownError("the interpreter is exiting")
    for other in list(_bridges.values()):  # a loop that is closed but kept
        known = other.loop_ref()
        if known is None or known.is_closed():
            other.orphan()
    bridge = Bridge(loop)
    _bridges[bridge.key] = bridge
    return bridge


cdef uint64_t _wakes(Bridge bridge) noexcept:
    cdef zrc_queue_stats counted
    if bridge.queue is NULL:
        return 0
    ZRC_INIT(&counted)
    zrc_queue_get_stats(bridge.queue, &counted)
    return counted.wakes


def figures_of(pending, past):
    """What the operations of a future have done so far: the Pending under way, if any, and those before it."""
    return figures(NULL if pending is None else (<Pending>pending).op, past)


def stats():
    """What the library has done in this process so far: a `Stats`."""
    cdef Bridge bridge
    cdef uint64_t wakes = _past_wakes
    for bridge in {*_bridges.values(), *_threaded}:
        wakes += _wakes(bridge)
    return runtime_stats(wakes)


def _at_exit():
    """Stop the operations under way, then the threads. What does not stop in time keeps its memory."""
    global _exiting
    cdef Bridge bridge
    _exiting = True
    set_exiting()
    shut_down(EXIT_TIMEOUT_MS)
    threads = []
    for bridge in list(_threaded):
        bridge.stopping = True
        bridge.release_dispatcher()
        threads.append(bridge.thread)
    for thread in threads:
        thread.join(1.0)


def _after_fork_in_child():
    """Forget the parent's bridges. Their queues are leaked: a lock in them may be held for ever."""
    global _past_wakes
    cdef Bridge bridge
    for bridge in {*_bridges.values(), *_threaded}:
        bridge.queue = NULL
        bridge.thread = None
        bridge.orphaned = True
    _bridges.clear()
    _threaded.clear()
    _past_wakes = 0


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
