from zarrs_c._capi cimport zrc_error, zrc_status, zrc_str


cdef str text(zrc_str borrowed)
cdef object take_error(zrc_status status, zrc_error *error)
cdef void set_exiting()
cdef int check(zrc_status status, zrc_error *error) except -1
