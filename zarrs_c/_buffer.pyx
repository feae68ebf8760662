"""The caller's memory: any buffer of the selection's shape and dtype, or that many plain bytes.

A read wants one to fill (`acquire`); a write one to take from (`acquire_source`), which may also be a scalar, or
smaller than the selection where NumPy would broadcast it.

NumPy exports a buffer of every dtype as long as it isn't asked for the format, which the buffer protocol
lacks for datetime64 or bfloat16. So an ndarray's dtype is compared as a dtype, and its memory is asked for
without a format. Every other exporter is looked at through a memoryview, by NumPy's own reading of its
format.
"""

import numpy as np

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBUF_STRIDED,
    PyBUF_STRIDED_RO,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)

from zarrs_c._array cimport Array
from zarrs_c._selection cimport Box, result_shape

from zarrs_c._scalars import SCALARS, scalar
from zarrs_c._errors import BufferMismatchError, UnsupportedError

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef object ndarray = np.ndarray
cdef object generic = np.generic
cdef object empty = np.empty


# NumPy asks for huge pages for arrays from this size on. Where the system hands memory out lazily (a virtual machine
# does), their faults cost several times the read, so that large results lie in memory of their own.
cdef Py_ssize_t LARGE = 4 << 20

try:
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
except ImportError:  # Windows
    LARGE = PY_SSIZE_T_MAX


cdef object fresh(Array array, const Box *box):
    """A new array for the selection."""
    cdef int axis
    cdef double needed = array.itemsize
    _refuse_variable(array)
    for axis in range(box.ndim):
        needed *= box.shape[axis]
    if not LARGE <= needed < PY_SSIZE_T_MAX:
        return empty(result_shape(box), array.dtype)
    try:
        memory = mmap(-1, <Py_ssize_t>needed, flags=MAP_PRIVATE | MAP_ANONYMOUS)
    except OSError:
        return empty(result_shape(box), array.dtype)  # or NumPy's MemoryError, which names the shape
    return ndarray(result_shape(box), array.dtype, memory)


cdef int acquire(object buf, Array array, const Box *box, Py_buffer *view, Layout *layout) except -1:
    """Export `buf`'s memory into `view`, checked against the selection.

    Until the caller releases the view, it keeps the memory's owner alive and from being resized.
    """
    _refuse_variable(array)
    if not isinstance(buf, ndarray):
        viewed = _view(buf)
        if viewed.readonly:
            kind = type(buf).__name__
            raise BufferMismatchError(f"the buffer ({kind}) is read-only: a read needs a writable buffer")
        if _is_bytes(viewed) and _acquire_bytes(viewed, array, box, view, layout, PyBUF_WRITABLE):
            return 0
        buf = _as_array(viewed)
    dtype = buf.dtype
    if dtype is not array.dtype and dtype != array.dtype:
        raise _mismatch(buf, array, box)
    try:
        PyObject_GetBuffer(buf, view, PyBUF_STRIDED)
    except ValueError:
        raise BufferMismatchError("the buffer is read-only: a read needs a writable buffer") from None
    if not _fit(box, view, layout):
        PyBuffer_Release(view)
        raise _mismatch(buf, array, box)
    return 0


cdef int acquire_source(object data, Array array, const Box *box, Py_buffer *view, Layout *layout) except -1:
    """Export the memory of what is to be written into `view`; as `acquire`, but it is only read from."""
    _refuse_variable(array)
    if isinstance(data, (ndarray, generic)):
        pass
    elif isinstance(data, SCALARS):
        data = scalar(data, array.dtype, repr(array))
    else:
        viewed = _view(data)
        if _is_bytes(viewed) and _acquire_bytes(viewed, array, box, view, layout, 0):
            return 0
        data = _as_array(viewed)
    dtype = data.dtype
    if dtype is not array.dtype and dtype != array.dtype:
        raise _mismatch(data, array, box)
    shape = result_shape(box)
    if data.shape != shape:
        try:
            data = np.broadcast_to(_without_leading_ones(data, len(shape)), shape)
        except ValueError:
            raise _mismatch(data, array, box) from None
    elif isinstance(data, generic):
        data = np.asarray(data)
    PyObject_GetBuffer(data, view, PyBUF_STRIDED_RO)
    if not _fit(box, view, layout):
        PyBuffer_Release(view)
        raise _mismatch(data, array, box)
    return 0


cdef object _without_leading_ones(object data, Py_ssize_t ndim):
    """An assignment in NumPy drops dimensions of length 1 that are too many, at the front."""
    cdef Py_ssize_t extra = max(data.ndim - ndim, 0)
    while extra and data.shape[0] == 1:
        data, extra = data[0, ...], extra - 1
    return data


cdef bint _fit(const Box *box, const Py_buffer *view, Layout *layout) noexcept:
    """Compare the shapes; give the strides by the array's dimensions."""
    cdef Py_ssize_t dense = view.itemsize
    cdef int i, axis
    if view.ndim != box.rank:
        return False
    for axis in range(box.ndim):
        layout.strides[axis] = 0
    layout.contiguous = True
    for i in range(box.rank - 1, -1, -1):
        axis = box.axes[i]
        if <Py_ssize_t>box.shape[axis] != view.shape[i]:
            return False
        layout.strides[axis] = view.strides[i]
        if view.shape[i] != 1 and view.strides[i] != dense:
            layout.contiguous = False
        dense *= view.shape[i]
    return True


cdef object _view(object buf):
    try:
        return memoryview(buf)
    except TypeError:
        raise TypeError(f"expected a NumPy array or another buffer, not {type(buf).__name__}") from None


cdef bint _is_bytes(object viewed):
    return viewed.ndim == 1 and viewed.format.lstrip("@=<>!") in ("B", "b", "c") and viewed.c_contiguous


cdef bint _acquire_bytes(
    object viewed, Array array, const Box *box, Py_buffer *view, Layout *layout, int writable
) except -1:
    """Take plain bytes of exactly the right size, in C order. False: they may fit as elements."""
    shape = result_shape(box)
    needed = array.itemsize
    for length in shape:
        needed *= length
    if viewed.nbytes != needed:
        if array.itemsize == 1:
            return False
        raise BufferMismatchError(
            f"the selection has shape {shape} and dtype {array.dtype}, {needed} bytes in all; "
            f"the buffer is of {viewed.nbytes} plain bytes"
        )
    PyObject_GetBuffer(viewed, view, PyBUF_SIMPLE | writable)
    layout.contiguous = True
    return True


cdef object _as_array(object viewed):
    try:
        return np.asarray(viewed)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise BufferMismatchError(
            f"NumPy cannot read the buffer's format {viewed.format!r} ({error}): pass it as plain bytes"
        ) from None


cdef object _mismatch(object buf, Array array, const Box *box):
    return BufferMismatchError(
        f"the selection has shape {result_shape(box)} and dtype {array.dtype}, "
        f"the buffer shape {buf.shape} and dtype {buf.dtype}"
    )


cdef int _refuse_variable(Array array) except -1:
    if array.itemsize == 0:
        raise UnsupportedError(f"the data type of {array!r} is of variable length, which can be neither read nor written yet")
    return 0
