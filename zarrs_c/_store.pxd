from zarrs_c._capi cimport zrc_store


cdef class Store:
    cdef zrc_store *ptr
    cdef object _address   # what the user gave: may hold a secret, so it is never shown
    cdef bytes _options
    cdef bint _is_object   # Python's methods answer for it
    cdef object __weakref__

    cdef int _open_object(self, object store, object storage_options) except -1


cdef Store wrap_store(zrc_store *ptr)
cdef Store as_store(object store, object storage_options)
cdef int check_blocking(Store store) except -1
