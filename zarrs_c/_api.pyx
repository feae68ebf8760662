"""The C API for extension modules: the table of zarrs_c_import.h, in a capsule."""

from cpython.pycapsule cimport PyCapsule_New

from zarrs_c._array cimport Array, wrap_array
from zarrs_c._capi cimport (
    zrc_array,
    zrc_array_retain,
    zrc_array_store,
    zrc_error,
    zrc_runtime,
    zrc_runtime_release,
    zrc_runtime_retain,
    zrc_status,
    zrc_store,
    zrc_store_release,
    zrc_store_retain,
    zrc_store_runtime,
    zrc_version,
)
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport take_error
from zarrs_c._store cimport Store, wrap_store


cdef extern from "_table.h":
    ctypedef struct zrc_api:
        const char *version
        zrc_runtime *(*zrc_python_runtime)() except NULL
        zrc_array *(*zrc_array_from_python)(object) except NULL
        zrc_store *(*zrc_store_from_python)(object) except NULL
        object (*zrc_array_to_python)(zrc_array *)
        object (*zrc_store_to_python)(zrc_store *)
        int (*zrc_raise)(zrc_status, zrc_error *) except -1
    zrc_api zrc_table


cdef zrc_runtime *_python_runtime() except NULL:
    cdef zrc_runtime *process = runtime()
    zrc_runtime_retain(process)
    return process


cdef zrc_array *_array_from_python(object array) except NULL:
    if not isinstance(array, Array):
        raise TypeError(f"a zarrs_c.Array is needed, not {type(array).__name__}")
    zrc_array_retain((<Array>array).ptr)
    return (<Array>array).ptr


cdef zrc_store *_store_from_python(object store) except NULL:
    if not isinstance(store, Store):
        raise TypeError(f"a zarrs_c.Store is needed, not {type(store).__name__}")
    zrc_store_retain((<Store>store).ptr)
    return (<Store>store).ptr


cdef object _store_to_python(zrc_store *store):
    if store is NULL:
        raise ValueError("a zrc_store is needed, not NULL")
    cdef zrc_runtime *own = zrc_store_runtime(store)
    zrc_runtime_release(own)
    if own is not runtime():
        raise ValueError(
            "the store was opened with a runtime of its own: Python can only use what belongs to the process's "
            "(zrc_python_runtime)"
        )
    zrc_store_retain(store)
    return wrap_store(store)


cdef object _array_to_python(zrc_array *array):
    if array is NULL:
        raise ValueError("a zrc_array is needed, not NULL")
    cdef zrc_store *pointer = zrc_array_store(array)
    try:
        store = _store_to_python(pointer)
    finally:
        zrc_store_release(pointer)
    zrc_array_retain(array)
    return wrap_array(array, store)


cdef int _raise(zrc_status status, zrc_error *error) except -1:
    raise take_error(status, error)


zrc_table.version = zrc_version()
zrc_table.zrc_python_runtime = _python_runtime
zrc_table.zrc_array_from_python = _array_from_python
zrc_table.zrc_store_from_python = _store_from_python
zrc_table.zrc_array_to_python = _array_to_python
zrc_table.zrc_store_to_python = _store_to_python
zrc_table.zrc_raise = _raise

_C_API = PyCapsule_New(&zrc_table, "zarrs_c._C_API", NULL)
