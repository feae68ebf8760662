"""Whatever exports a writable buffer is filled: Python's own types, memory maps on files, other libraries' views."""

from __future__ import annotations

import array as arrays
import asyncio
import ctypes
import mmap
from multiprocessing import RawArray, shared_memory

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import canary
from helpers.running import run

import zarrs_c
from zarrs_c import sync

ROWS = np.s_[3:9]


@pytest.fixture
def rows(field):
    return field.data[ROWS]


def filled(buffer, array, selection=ROWS):
    """Read into `buffer` by both APIs; the bytes that are in it."""
    assert sync.read_into(buffer, array, selection) is buffer
    first = bytes(memoryview(buffer).cast("B")) if memoryview(buffer).c_contiguous else bytes(buffer)

    async def main():
        assert await zarrs_c.read_into(buffer, array, selection) is buffer

    run(main())
    return first


MAKERS = {
    "bytearray": bytearray,
    "memoryview of bytes": lambda n: memoryview(bytearray(n)),
    "part of a bytearray": lambda n: memoryview(bytearray(n + 7))[3 : n + 3],
    "memoryview of signed bytes": lambda n: memoryview(bytearray(n)).cast("b"),
    "memoryview of chars": lambda n: memoryview(bytearray(n)).cast("c"),
    "anonymous mmap": lambda n: mmap.mmap(-1, n),
    "ctypes bytes": lambda n: (ctypes.c_ubyte * n)(),
    "array of bytes": lambda n: arrays.array("B", bytes(n)),
    "multiprocessing.RawArray": lambda n: RawArray(ctypes.c_ubyte, n),
    "2-d floats of ctypes": lambda n: ((ctypes.c_float * 63) * 6)(),
    "2-d memoryview of floats": lambda n: memoryview(bytearray(n)).cast("f", (6, 63)),
}


@pytest.mark.parametrize("what", MAKERS)
def test_a_writable_buffer_is_filled(what, array, rows):
    assert filled(MAKERS[what](rows.nbytes), array) == rows.tobytes()


def test_one_dimension_of_floats_takes_one_row(array, field):
    for buffer in (
        arrays.array("f", [0] * 63),
        (ctypes.c_float * 63)(),
        memoryview(bytearray(252)).cast("f"),
    ):
        assert filled(buffer, array, 5) == field.data[5].tobytes()


def test_a_format_that_is_another_data_type_is_refused(array):
    for buffer in (arrays.array("i", [0] * 63), arrays.array("d", [0] * 63), (ctypes.c_uint32 * 63)()):
        with pytest.raises(zarrs_c.BufferMismatchError, match="float32"):
            sync.read_into(buffer, array, 5)
        assert not any(buffer)


def test_a_file_that_is_mapped_gets_the_elements(array, rows, tmp_path):
    path = tmp_path / "mapped"
    memory = np.memmap(path, "f4", "w+", shape=rows.shape)
    sync.read_into(memory, array, ROWS)
    memory.flush()
    assert path.read_bytes() == rows.tobytes()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = bytes(len(memory))
        sync.read_into(memory, array, ROWS)
        memory.flush()
    assert path.read_bytes() == rows.tobytes()


def test_a_read_only_map_is_refused(array, rows, tmp_path):
    path = tmp_path / "mapped"
    path.write_bytes(bytes(rows.nbytes))
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with memory, pytest.raises(zarrs_c.BufferMismatchError, match="read-only"):
        sync.read_into(memory, array, ROWS)
    with pytest.raises(zarrs_c.BufferMismatchError, match="read-only"):
        sync.read_into(np.memmap(path, "f4", "r", shape=rows.shape), array, ROWS)


def test_shared_memory_gets_the_elements(array, rows):
    memory = shared_memory.SharedMemory(create=True, size=rows.nbytes)
    try:
        part = memory.buf[: rows.nbytes]
        sync.read_into(part, array, ROWS)
        assert bytes(part) == rows.tobytes()
        part.release()
    finally:
        memory.close()
        memory.unlink()


def test_a_field_of_a_structured_array_is_a_strided_buffer(array, rows):
    records = np.zeros(rows.shape, [("before", "i2"), ("value", "f4"), ("after", "u1")])
    records["before"], records["after"] = -7, 9
    sync.read_into(records["value"], array, ROWS)
    np.testing.assert_array_equal(records["value"], rows)
    assert (records["before"] == -7).all()
    assert (records["after"] == 9).all()


def test_parts_of_a_complex_array_are_strided_buffers(array, rows):
    numbers = np.full(rows.shape, 1 + 2j, "c8")
    sync.read_into(numbers.imag, array, ROWS)
    np.testing.assert_array_equal(numbers.imag, rows)
    assert (numbers.real == 1).all()


def test_subclasses_of_ndarray_are_filled(array, rows):
    for buffer in (np.zeros(rows.shape, "f4").view(np.matrix), np.ma.zeros(rows.shape, "f4")):
        sync.read_into(buffer, array, ROWS)
        np.testing.assert_array_equal(np.asarray(buffer), rows)


def test_dimensions_of_one_element_may_have_any_stride(array, field):
    strange = np.lib.stride_tricks.as_strided(canary((63,), "f4"), (1, 63), (1 << 40, 4), writeable=True)
    sync.read_into(strange, array, np.s_[7:8])
    np.testing.assert_array_equal(strange[0], field.data[7])


def test_interleaved_regions_of_one_canvas_do_not_disturb_each_other(array, field):
    canvas = canary((63, 2 * 95), "f4")

    async def main():
        halves = canvas[:, 0::2].T, canvas[::-1, 1::2].T
        await asyncio.gather(*[zarrs_c.read_into(half, array) for half in halves])

    run(main())
    np.testing.assert_array_equal(canvas[:, 0::2].T, field.data)
    np.testing.assert_array_equal(canvas[::-1, 1::2].T, field.data)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8"])
def test_bytes_for_elements_of_one_byte_are_either(dtype, tmp_path):
    data = (np.arange(42).reshape(6, 7) % 2).astype(dtype)
    array = sync.open_array(simple.store(tmp_path / "a", data, (4, 4)).path)
    for buffer in (bytearray(42), np.zeros((6, 7), dtype), memoryview(np.zeros((6, 7), dtype))):
        sync.read_into(buffer, array)
        assert bytes(buffer) == data.tobytes()
