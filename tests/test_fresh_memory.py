"""Large memory that nobody has touched gets its pages before it is filled, from whatever is idle meanwhile."""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import sys

import numpy as np
import pytest
from helpers import remote as helpers
from helpers import simple
from helpers.running import run

import zarrs_c
from zarrs_c import sync

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages come as they are touched elsewhere")

PAGE = mmap.PAGESIZE
SIZE = 24 << 20
ROWS = 3


def untouched(offset: int) -> tuple[np.ndarray, np.ndarray]:
    """All of some new memory, and SIZE bytes of it from `offset` on."""
    whole = np.frombuffer(mmap.mmap(-1, SIZE + 64 * PAGE, flags=mmap.MAP_PRIVATE), np.uint8)
    return whole, whole[offset : offset + SIZE]


def resident(memory: np.ndarray) -> np.ndarray:
    """Which pages of `memory`, that begins with one, are there."""
    there = np.zeros(memory.nbytes // PAGE, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.c_void_p(memory.ctypes.data)
    assert libc.mincore(address, ctypes.c_size_t(memory.nbytes), there.ctypes.data_as(ctypes.c_void_p)) == 0
    return (there & 1).astype(bool)


@pytest.mark.parametrize("offset", [32 * PAGE, 32 * PAGE + 16, 32 * PAGE - 1])
def test_pages_are_made_while_a_server_is_waited_for_and_none_beside_them(offset, faults):
    data = helpers.one_row_chunks(faults, "a", ROWS, SIZE // ROWS)
    array = sync.open_array(faults.url("a"))
    faults.rule("a/c/*", silent=True)
    whole, out = untouched(offset)
    out = out.reshape(data.shape)

    def made() -> bool:
        return resident(whole).sum() * PAGE > SIZE - 16 * PAGE

    async def main():
        reading = zarrs_c.read_into(out, array)
        await asyncio.to_thread(faults.wait, lambda _: made())
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        there = resident(whole)
        assert not there[:31].any()
        assert not there[-31:].any()
        assert not whole.any()
        faults.clear_rules()
        await zarrs_c.read_into(out, array)

    run(main())
    np.testing.assert_array_equal(out, data)
    assert not whole[:offset].any()
    assert not whole[offset + SIZE :].any()


@pytest.mark.parametrize("touched", [0, 1, 7], ids=lambda n: f"{n} MiB of 8")
@pytest.mark.parametrize("kind", ["raw", "zstd"])
def test_memory_that_is_there_in_part_is_filled_as_any(touched, kind, tmp_path):
    data = np.random.default_rng(1).integers(0, 50, (ROWS, SIZE // ROWS), np.uint8)
    codecs = [{"name": "bytes"}] + ([simple.ZSTD] if kind == "zstd" else [])
    stored = simple.store(tmp_path / "a", data, (1, 1 << 20), codecs=codecs)
    whole, out = untouched(PAGE + 8)
    for begin in range(0, SIZE, 8 << 20):
        out[begin : begin + (touched << 20)] = 9
    sync.read_into(out.reshape(data.shape), sync.open_array(stored.path))
    np.testing.assert_array_equal(out.reshape(data.shape), data)
    assert not whole[: PAGE + 8].any()
    assert not whole[PAGE + 8 + SIZE :].any()
