"""Statuses and errors of the C ABI as Python exceptions."""

from zarrs_c._capi cimport (
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


cdef str text(zrc_str borrowed):
    return borrowed.ptr[:borrowed.len].decode("utf-8", "replace")


cdef object take_error(zrc_status status, zrc_error *error):
    """The exception for a failure; frees `error`, which may be NULL."""
    cdef str key, message
    if error is NULL:
        return from_status(status, zrc_status_name(status).decode("ascii"))
    try:
        message, key = text(zrc_error_message(error)), text(zrc_error_key(error))
    finally:
        zrc_error_free(error)
    return from_status(status, message, key or None)


cdef int check(zrc_status status, zrc_error *error) except -1:
    if status != ZRC_OK:
        raise take_error(status, error)
    return 0
