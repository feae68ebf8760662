from zarrs_c._capi cimport zrc_op, zrc_op_stats


cdef class Figures:
    cdef zrc_op_stats counted


cdef Figures figures(zrc_op *op, Figures past)
cdef int check_progress(object progress) except -1
