"""Many regions to read as one operation."""

from cpython.buffer cimport PyBuffer_Release
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from zarrs_c._array cimport Array
from zarrs_c._buffer cimport Layout, acquire
from zarrs_c._capi cimport ZRC_IO_FAIL_FAST, zrc_region
from zarrs_c._request cimport an_array, choose, point
from zarrs_c._selection cimport Box, select

from zarrs_c._errors import Error


cdef class Batch:
    def __dealloc__(self):
        self.release()
        PyMem_Free(self.regions)
        PyMem_Free(self.views)
        PyMem_Free(self.vectors)

    cdef void release(self):
        """Give all the memory back to its owners."""
        cdef size_t i
        for i in range(self.count):
            PyBuffer_Release(&self.views[i])
        self.count = 0
        self.results = None

    cdef int add(self, object item, int64_t **vectors) except -1:
        """One more region, whose vectors go to `vectors`."""
        cdef Box box
        cdef Layout layout
        cdef zrc_region *region = &self.regions[self.count]
        cdef Py_buffer *view = &self.views[self.count]
        cdef Array array
        buf, wanted, selection = item
        array = <Array>wanted
        select(array, selection, None, &box)
        acquire(buf, array, &box, view, &layout)
        point(region, array, &box, view, &layout)
        self.count += 1
        self.results.append(buf)
        region.start = <uint64_t *>_keep(vectors, box.start, array.rank)
        region.shape = <uint64_t *>_keep(vectors, box.shape, array.rank)
        if region.step is not NULL:
            region.step = _keep(vectors, box.step, array.rank)
        if region.strides is not NULL:
            region.strides = _keep(vectors, layout.strides, array.rank)
        return 0


cdef inline int64_t *_keep(int64_t **vectors, const void *values, int rank) noexcept:
    cdef int64_t *kept = vectors[0]
    memcpy(kept, values, rank * sizeof(int64_t))
    vectors[0] += rank
    return kept


cdef Batch make_batch(object items, object max_requests, object max_bytes):
    """A batch of (buf, array) or (buf, array, selection); an error says which of them it is about."""
    cdef Batch batch = Batch.__new__(Batch)
    cdef size_t values = 0
    cdef int64_t *vectors
    regions = [_region(number, item) for number, item in enumerate(items)]
    for _, array, _ in regions:
        values += 4 * (<Array>array).rank
    batch.chosen = choose(&batch.options, max_requests, max_bytes, ZRC_IO_FAIL_FAST)
    batch.results = []
    batch.regions = <zrc_region *>PyMem_Malloc(len(regions) * sizeof(zrc_region))
    batch.views = <Py_buffer *>PyMem_Malloc(len(regions) * sizeof(Py_buffer))
    batch.vectors = vectors = <int64_t *>PyMem_Malloc(values * sizeof(int64_t))
    if batch.regions is NULL or batch.views is NULL or vectors is NULL:
        raise MemoryError()
    for item in regions:
        try:
            batch.add(item, &vectors)
        except Error as error:
            message = f"region {batch.count}: {error.message}"
            raise type(error)(message, key=error.key, code=error.code) from None
        except TypeError as error:
            raise TypeError(f"region {batch.count}: {error}") from None
    return batch


cdef tuple _region(number, item):
    if not isinstance(item, tuple) or len(item) not in (2, 3):
        raise TypeError(f"region {number} must be (buf, array, selection) or (buf, array), not {item!r}")
    try:
        an_array(item[1])
    except TypeError as error:
        raise TypeError(f"region {number}: {error}") from None
    return item if len(item) == 3 else (*item, Ellipsis)
