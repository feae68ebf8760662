from zarrs_c._capi cimport zrc_completion, zrc_op, zrc_queue, zrc_sink

cdef extern from "pythread.h":
    ctypedef void *PyThread_type_lock


cdef class Pending:
    # An operation that has been submitted with a bridge's queue as its sink.
    cdef zrc_op *op
    cdef object future
    cdef object message          # of the cancel that was requested
    cdef bint cancel_requested

    cdef void release(self)
    cdef object take(self, Bridge bridge, object future, void *result)
    cdef void discard(self, void *result)


cdef class Bridge:
    cdef zrc_queue *queue
    cdef object loop_ref
    cdef size_t key              # of this bridge in the table of bridges
    cdef Py_ssize_t in_flight    # operations without their final completion yet
    cdef bint orphaned           # the loop is closed or gone
    # The dispatcher, where the loop cannot watch the queue's descriptor; later the sweeper.
    cdef object thread
    cdef object callback
    cdef PyThread_type_lock drained
    cdef bint posted
    cdef bint stopping
    cdef object reader_ref
    cdef object __weakref__

    cdef int begin(self, Pending pending, object loop, object future, zrc_sink *sink) except -1
    cdef void abandon(self, Pending pending)
    cdef int drain(self) except -1
    cdef Pending reclaim(self, zrc_completion *completion)
    cdef int settle(self, zrc_completion *completion) except -1
    cdef void drop(self, zrc_completion *completion)
    cdef void sweep(self)
    cdef void orphan(self)
    cdef void release_dispatcher(self)


cdef object CHAINED              # what Pending.take returns when another operation took its future over
cdef object running_loop()
cdef Bridge bridge_of(object loop)
