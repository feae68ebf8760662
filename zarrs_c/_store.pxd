from zarrs_c._capi cimport zrc_store


cdef class Store:
    cdef zrc_store *ptr
    cdef object _address   # what the user gave: may hold a secret, so it is never shown
    cdef bytes _options
    cdef object __weakref__


cdef Store wrap_store(zrc_store *ptr)
cdef Store as_store(object store, object storage_options)
