"""The C ABI for Cython modules of other packages: `from zarrs_c cimport zrc_import, zrc_read, ...`.

Every function is called through the table of the installed zarrs_c (see zarrs_c_import.h): nothing has to be linked, but
`zrc_import()` must have been called, once, when the module is initialised. Compile with `zarrs_c.get_include()`.
"""

from zarrs_c._capi cimport *


cdef extern from "zarrs_c_import.h":
    int zrc_import() except -1
    zrc_runtime *zrc_python_runtime() except NULL
    zrc_array *zrc_array_from_python(object array) except NULL
    zrc_store *zrc_store_from_python(object store) except NULL
    object zrc_array_to_python(zrc_array *array)
    object zrc_store_to_python(zrc_store *store)
    int zrc_raise(zrc_status status, zrc_error *error) except -1
