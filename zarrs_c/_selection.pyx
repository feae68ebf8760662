"""Selections: NumPy's basic indexing, of elements or of chunks, as start, step and shape."""

from cpython.long cimport PyLong_AsSsize_t, PyLong_CheckExact
from cpython.slice cimport PySlice_AdjustIndices, PySlice_Check, PySlice_Unpack

from libc.stdint cimport uint64_t

from zarrs_c._array cimport MAX_NDIM, Array
from zarrs_c._capi cimport zrc_array_chunks_extent, zrc_array_grid_shape
from zarrs_c._status cimport check

from zarrs_c._errors import SelectionError


cdef int select(Array array, object selection, object chunks, Box *box) except -1:
    """Parse a selection of elements, or of chunks where `chunks` is not None; check it against the array."""
    if chunks is None:
        return _parse(array, selection, array.dims, "elements", box)
    if selection is not Ellipsis:
        raise SelectionError("give a selection of elements or chunks=, not both")
    return _select_chunks(array, chunks, box)


cdef tuple result_shape(const Box *box):
    cdef int i
    return tuple([box.shape[box.axes[i]] for i in range(box.rank)])


cdef int _parse(Array array, object selection, const uint64_t *dims, str unit, Box *box) except -1:
    """Fill `box` from one index or a tuple of them. `dims` is the shape that is indexed, in `unit`."""
    cdef int given, item, axis = 0, ellipsis = -1
    cdef tuple items
    box.ndim = array.rank
    box.rank = 0
    box.stepped = False
    if selection is Ellipsis:
        _take_all(box, dims, 0, array.rank)
        return 0
    items = <tuple>selection if type(selection) is tuple else _as_tuple(selection)
    given = _count(items, array, &ellipsis)
    for item in range(len(items)):
        if item == ellipsis:
            _take_all(box, dims, axis, axis + array.rank - given)
            axis += array.rank - given
        else:
            _take(box, dims[axis], unit, axis, items[item], array)
            axis += 1
    _take_all(box, dims, axis, array.rank)
    return 0


cdef tuple _as_tuple(object selection):
    # A subclass of tuple is a tuple of indices too, as in NumPy; a list is an index array.
    return tuple(selection) if isinstance(selection, tuple) else (selection,)


cdef int _count(tuple items, Array array, int *ellipsis) except -1:
    """How many of the items are indices; where the Ellipsis is."""
    cdef int given = 0
    cdef Py_ssize_t position
    for position in range(len(items)):
        if items[position] is not Ellipsis:
            given += 1
            continue
        if ellipsis[0] >= 0:
            raise SelectionError(f"a selection can have one Ellipsis only: {items!r}")
        ellipsis[0] = position
    if given > array.rank:
        raise SelectionError(
            f"too many indices: the array has {array.rank} dimensions (shape {array.shape}), "
            f"and the selection {given} indices: {items!r}"
        )
    return given


cdef inline void _take_all(Box *box, const uint64_t *dims, int begin, int end) noexcept:
    cdef int axis
    for axis in range(begin, end):
        box.start[axis] = 0
        box.shape[axis] = dims[axis]
        box.step[axis] = 1
        box.axes[box.rank] = axis
        box.rank += 1


cdef int _take(Box *box, uint64_t length, str unit, int axis, object item, Array array) except -1:
    """One index of one dimension."""
    cdef Py_ssize_t start, stop, step, count
    if PySlice_Check(item):
        _unpack(item, &start, &stop, &step)
        count = PySlice_AdjustIndices(<Py_ssize_t>length, &start, &stop, step)
        box.start[axis] = <uint64_t>start if count else 0
        box.shape[axis] = count
        # The step of one element or none does not matter; 1 keeps the read on the plain path.
        box.step[axis] = step if count > 1 else 1
        box.stepped = box.stepped or box.step[axis] != 1
        box.axes[box.rank] = axis
        box.rank += 1
        return 0
    start = _integer(item)
    if start < 0:
        start += <Py_ssize_t>length
    if start < 0 or start >= <Py_ssize_t>length:
        raise SelectionError(
            f"index {item} is out of bounds for dimension {axis}, which has {length} {unit} "
            f"(array of shape {array.shape})"
        )
    box.start[axis] = start
    box.shape[axis] = 1
    box.step[axis] = 1
    return 0


cdef int _unpack(object item, Py_ssize_t *start, Py_ssize_t *stop, Py_ssize_t *step) except -1:
    try:
        PySlice_Unpack(item, start, stop, step)
    except ValueError:
        raise SelectionError(f"the step of a slice must not be 0: {item!r}") from None
    except TypeError:
        raise SelectionError(f"the bounds of a slice must be integers or None: {item!r}") from None
    return 0


cdef Py_ssize_t _integer(object item) except? -1:
    if PyLong_CheckExact(item):
        number = item
    elif isinstance(item, bool) or getattr(item, "ndim", 0) or not hasattr(item, "__index__"):
        raise _unsupported(item)
    else:
        try:
            number = item.__index__()
        except TypeError:  # such as numpy.bool, or a 0-d array of floats
            raise _unsupported(item) from None
    try:
        return PyLong_AsSsize_t(number)
    except OverflowError:
        raise SelectionError(f"index {number} is out of bounds of any array") from None


cdef object _unsupported(object item):
    if item is None:
        what = "None (newaxis)"
    elif isinstance(item, (list, tuple)) or getattr(item, "ndim", 0):
        what = f"an index array ({type(item).__name__})"
    else:
        what = f"{item!r} ({type(item).__name__})"
    return SelectionError(
        f"a selection cannot have {what}: "
        "integers, slices and Ellipsis are supported (NumPy's basic indexing)"
    )


cdef int _select_chunks(Array array, object chunks, Box *box) except -1:
    """Chunks, by their indices in the grid, as the elements that they cover. An int keeps its dimension."""
    cdef uint64_t grid[MAX_NDIM]
    cdef uint64_t first[MAX_NDIM]
    cdef uint64_t count[MAX_NDIM]
    cdef int axis
    cdef bint empty = False
    check(zrc_array_grid_shape(array.ptr, grid, MAX_NDIM), NULL)
    _parse(array, chunks, grid, "chunks", box)
    if box.stepped:
        raise SelectionError(f"chunks= takes slices of step 1 only (a box of chunks): {chunks!r}")
    box.rank = array.rank
    for axis in range(array.rank):
        box.axes[axis] = axis
        first[axis], count[axis] = box.start[axis], box.shape[axis]
        empty = empty or count[axis] == 0
    check(zrc_array_chunks_extent(array.ptr, first, count, box.start, box.shape), NULL)
    return 0
