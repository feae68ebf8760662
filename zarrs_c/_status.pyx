"""Statuses and errors of the C ABI as Python exceptions."""

import threading
import time

from zarrs_c._capi cimport (
    ZRC_E_SHUTDOWN,
    ZRC_OK,
    zrc_error,
    zrc_error_free,
    zrc_error_key,
    zrc_error_message,
    zrc_status,
    zrc_status_name,
    zrc_str,
)

from zarrs_c._errors import from_status

cdef bint _exiting = False


cdef str text(zrc_str borrowed):
    return borrowed.ptr[:borrowed.len].decode("utf-8", "replace")


cdef object take_error(zrc_status status, zrc_error *error):
    """The exception for a failure; frees `error`, which may be NULL."""
    cdef str key, message
    if status == ZRC_E_SHUTDOWN and _exiting:
        _end_daemon()
    if error is NULL:
        return from_status(status, zrc_status_name(status).decode("ascii"))
    try:
        message, key = text(zrc_error_message(error)), text(zrc_error_key(error))
    finally:
        zrc_error_free(error)
    return from_status(status, message, key or None)


cdef void set_exiting():
    """The interpreter is about to end, and the runtime to be shut down."""
    global _exiting
    _exiting = True


cdef int _end_daemon() except -1:
    """Python ends daemon threads wherever they are. One that reads would live to print a ShutdownError."""
    if threading.current_thread().daemon:
        while True:
            time.sleep(3600)
    return 0


cdef int check(zrc_status status, zrc_error *error) except -1:
    if status != ZRC_OK:
        raise take_error(status, error)
    return 0
