"""Array: an open Zarr array, immutable, and what its metadata says."""

import json
import math

import numpy as np

cimport cython
from libc.stdint cimport INT64_MAX, uint64_t

from zarrs_c._capi cimport (
    ZRC_INIT,
    ZRC_OK,
    zrc_array_chunk_shape,
    zrc_array_dtype,
    zrc_array_fill_value,
    zrc_array_from_metadata,
    zrc_array_grid_shape,
    zrc_array_inner_chunk_shape,
    zrc_array_metadata_json,
    zrc_array_ndim,
    zrc_array_options,
    zrc_array_path,
    zrc_array_release,
    zrc_array_shape,
    zrc_array_zarr_format,
    zrc_dtype,
    zrc_error,
    zrc_status,
)
from zarrs_c._status cimport check, text

from zarrs_c._dtypes import numpy_dtype
from zarrs_c._errors import UnsupportedError

cdef object _TOKEN = object()  # known to `wrap_array` alone: an Array always has a handle


@cython.final
cdef class Array:
    """An open Zarr array. Made by `open_array`; immutable, picklable, safe to share between threads.

    `array[selection]` reads at once, in NumPy's way; `read_into` and `read` are the asynchronous forms.
    """

    def __cinit__(self, token=None):
        if token is not _TOKEN:
            raise TypeError("an Array is made by zarrs_c.open_array")

    def __dealloc__(self):
        zrc_array_release(self.ptr)

    # `shape`, `dtype` and `store` are attributes: see _array.pxd.

    @property
    def ndim(self):
        """The number of dimensions."""
        return self.rank

    @property
    def size(self):
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self):
        """The number of bytes of all elements in memory (decoded)."""
        return math.prod(self.shape) * self.itemsize

    @property
    def path(self):
        """Where the array is in its store, without a leading slash."""
        return text(zrc_array_path(self.ptr))

    @property
    def zarr_format(self):
        """2 or 3."""
        return zrc_array_zarr_format(self.ptr)

    @property
    def metadata(self):
        """The array's metadata as stored, attributes included: a new dict."""
        return json.loads(text(zrc_array_metadata_json(self.ptr)))

    @property
    def attrs(self):
        """The array's attributes: a new dict."""
        return self.metadata.get("attributes") or {}

    @property
    def dimension_names(self):
        """A tuple of names, None for a dimension without one; or None when the array names none."""
        names = self.metadata.get("dimension_names") if self.zarr_format == 3 else None
        return None if names is None else tuple(names)

    @property
    def fill_value(self):
        """What missing chunks hold, as a NumPy scalar; None for a variable-length data type."""
        if self.itemsize == 0:
            return None
        value = np.empty((), np.dtype(f"V{self.itemsize}"))
        cdef unsigned char[::1] memory = value.reshape(1).view(np.uint8)
        check(zrc_array_fill_value(self.ptr, &memory[0], self.itemsize), NULL)
        return value.view(self.dtype)[()]

    @property
    def grid_shape(self):
        """The number of chunks along each dimension; of shards, where the array is sharded."""
        cdef uint64_t counts[MAX_NDIM]
        check(zrc_array_grid_shape(self.ptr, counts, MAX_NDIM), NULL)
        return tuple([counts[i] for i in range(self.rank)])

    @property
    def chunks(self):
        """The shape of a chunk, and of an inner chunk where the array is sharded.

        Where chunks differ (a rectilinear grid): for each dimension, the tuple of the chunks' lengths along
        it.
        """
        inner = self._inner_shape()
        return self._edges() if inner is None else inner

    @property
    def shards(self):
        """The shape of a shard, in the form of `chunks`; None when the array is not sharded."""
        return None if self._inner_shape() is None else self._edges()

    cdef tuple _inner_shape(self):
        cdef uint64_t lengths[MAX_NDIM]
        if zrc_array_inner_chunk_shape(self.ptr, lengths, MAX_NDIM) != ZRC_OK:
            return None
        return tuple([lengths[i] for i in range(self.rank)])

    cdef tuple _edges(self):
        """The stored chunks' shape, or their lengths along each dimension where they differ."""
        metadata = self.metadata
        if self.zarr_format == 2:
            return tuple(metadata["chunks"])
        grid = metadata["chunk_grid"]
        if grid["name"] == "regular":
            return tuple(grid["configuration"]["chunk_shape"])
        cdef uint64_t index[MAX_NDIM]
        cdef uint64_t lengths[MAX_NDIM]
        cdef int dimension, i
        cdef Py_ssize_t at
        edges = []
        for dimension, count in enumerate(self.grid_shape):
            for i in range(self.rank):
                index[i] = 0
            along = []
            for at in range(count):
                index[dimension] = at
                check(zrc_array_chunk_shape(self.ptr, index, lengths, MAX_NDIM), NULL)
                along.append(lengths[dimension])
            edges.append(tuple(along))
        return tuple(edges)

    def __getitem__(self, selection):
        """Read a selection (NumPy basic indexing) into a new array, blocking; see `zarrs_c.sync.read`."""
        from zarrs_c._sync import read

        return read(self, selection)

    def __setitem__(self, selection, data):
        """Write to a selection (NumPy basic indexing), blocking; see `zarrs_c.sync.write`."""
        from zarrs_c._sync import write

        write(self, data, selection)

    def __array__(self, dtype=None, copy=None):
        """The whole array in memory, read blocking."""
        if copy is False:
            raise ValueError("a zarrs_c.Array is not in memory: it cannot be one of NumPy's without a copy")
        from zarrs_c._sync import read

        result = read(self)
        return result if dtype is None else result.astype(dtype, copy=False)

    def __len__(self):
        if self.rank == 0:
            raise TypeError("len() of a 0-d array")
        return self.shape[0]

    def __repr__(self):
        where = self.store.url.rstrip("/") + ("/" + self.path if self.path else "")
        return f"<zarrs_c.Array {where} shape={self.shape} dtype={self.dtype}>"

    def __reduce__(self):
        return _rebuild, (self.store, self.path, text(zrc_array_metadata_json(self.ptr)))


def _rebuild(Store store not None, path, metadata):
    """An array of a pickle, from its metadata, without any I/O."""
    cdef zrc_array *ptr = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    encoded_path, encoded_metadata = path_bytes(path), metadata.encode("utf-8")
    cdef const char *c_path = encoded_path
    cdef const char *c_metadata = encoded_metadata
    status = zrc_array_from_metadata(store.ptr, c_path, c_metadata, &ptr, &error)
    check(status, error)
    return wrap_array(ptr, store)


cdef Array wrap_array(zrc_array *ptr, Store store):
    """An Array that owns `ptr`, also when this fails."""
    cdef Array array = Array.__new__(Array, _TOKEN)
    cdef zrc_dtype described
    cdef int i
    array.ptr = ptr
    array.store = store
    if zrc_array_ndim(ptr) > MAX_NDIM:
        raise UnsupportedError(
            f"the array has {zrc_array_ndim(ptr)} dimensions: at most {MAX_NDIM} are supported, as in NumPy"
        )
    array.rank = zrc_array_ndim(ptr)
    check(zrc_array_shape(ptr, array.dims, MAX_NDIM), NULL)
    for i in range(array.rank):
        if array.dims[i] > <uint64_t>INT64_MAX:
            raise UnsupportedError(f"dimension {i} has {array.dims[i]} elements, more than can be indexed")
    array.shape = tuple([array.dims[i] for i in range(array.rank)])
    ZRC_INIT(&described)
    check(zrc_array_dtype(ptr, &described), NULL)
    array.itemsize = described.itemsize
    typestr, name = described.typestr.decode("utf-8"), described.name.decode("utf-8")
    array.dtype = numpy_dtype(typestr, name, array.itemsize)
    return array


cdef bytes path_bytes(object path):
    """A path in a store as the C ABI takes it."""
    if not isinstance(path, str):
        raise TypeError(f"path must be a string, not {type(path).__name__}")
    try:
        encoded = path.strip("/").encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"path must be valid Unicode, not {ascii(path)}") from None
    if b"\0" in encoded:
        raise ValueError("path must not contain a NUL character")
    return encoded




cdef const zrc_array_options *format_option(zrc_array_options *options, object zarr_format) except? NULL:
    """How to open an array of a given format; NULL where any will do."""
    if zarr_format is None:
        return NULL
    if zarr_format not in (2, 3):
        raise ValueError(f"zarr_format must be 2, 3 or None, not {zarr_format!r}")
    ZRC_INIT(options)
    options.zarr_format = zarr_format
    return options
