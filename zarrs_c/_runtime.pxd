from libc.stdint cimport uint64_t

from zarrs_c._capi cimport zrc_runtime


cdef zrc_runtime *runtime() except NULL
cdef void shut_down(unsigned int timeout_ms)
cdef uint64_t limit(str name, object value, uint64_t most) except? 0
