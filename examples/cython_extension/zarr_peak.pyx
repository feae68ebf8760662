# cython: language_level=3
"""A Cython extension that takes a user's open array: all of its reads run without the GIL, and nothing is linked."""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from zarrs_c cimport (
    zrc_array,
    zrc_array_from_python,
    zrc_array_release,
    zrc_array_shape,
    zrc_error,
    zrc_import,
    zrc_python_runtime,
    zrc_raise,
    zrc_read,
    zrc_region,
    zrc_runtime,
    zrc_runtime_release,
    zrc_status,
)

zrc_import()


def peak(array):
    """The greatest element of a 2-d `zarrs_c.Array` of float32, and where it is."""
    cdef uint64_t[2] shape, start = [0, 0]
    cdef uint64_t i, found = 0
    cdef zrc_error *error = NULL
    cdef zrc_status status
    cdef zrc_region region
    cdef zrc_array *handle = zrc_array_from_python(array)
    cdef zrc_runtime *runtime = zrc_python_runtime()
    zrc_array_shape(handle, shape, 2)
    region.nbytes = shape[0] * shape[1] * sizeof(float)
    cdef float *data = <float *>malloc(region.nbytes)
    region.array, region.data = handle, data
    region.start, region.shape, region.step, region.strides = start, shape, NULL, NULL
    with nogil:
        status = zrc_read(runtime, &region, 1, NULL, &error)
        if status == 0:
            for i in range(shape[0] * shape[1]):
                if data[i] > data[found]:
                    found = i
        zrc_array_release(handle)
        zrc_runtime_release(runtime)
    try:
        if status != 0:
            zrc_raise(status, error)
        return data[found], (found // shape[1], found % shape[1])
    finally:
        free(data)
