from libc.stdint cimport uint32_t, uint64_t

from zarrs_c._array cimport Array
from zarrs_c._capi cimport zrc_buf


cdef class EncodedChunk:
    cdef zrc_buf *ptr
    cdef Py_ssize_t length        # the exports' shape


cdef object wrap_encoded(zrc_buf *ptr)
cdef int parse_chunk_index(
    Array array, object chunk_index, object inner, uint64_t *index, uint32_t *flags
) except -1
