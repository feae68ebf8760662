"""What one call costs, by the way it is made: reads of one cached chunk of 4 KB, one after another, microseconds each.

    python benchmarks/call_overhead.py [--reads 20000] [--runs 5]

All ways read the same local array, interleaved; the figures are medians of the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cffi
import numpy as np

import zarrs_c

HERE = Path(__file__).resolve().parent

CYTHON = """
# cython: language_level=3
from libc.stdint cimport uint64_t
from zarrs_c cimport *
zrc_import()

def reads(array, int count):
    cdef uint64_t[1] start = [0], shape = [4096]
    cdef char[4096] data
    cdef zrc_region region
    cdef int i
    cdef zrc_array *handle = zrc_array_from_python(array)
    cdef zrc_runtime *runtime = zrc_python_runtime()
    region.array, region.data, region.nbytes = handle, data, 4096
    region.start, region.shape, region.step, region.strides = start, shape, NULL, NULL
    for i in range(count):
        with nogil:
            zrc_read(runtime, &region, 1, NULL, NULL)
    zrc_array_release(handle)
    zrc_runtime_release(runtime)
"""


def build(folder: Path):
    flags = ["-I", zarrs_c.get_include(), "-L", zarrs_c.get_library_dirs()[0], "-lzarrs_c"]
    flags.append(f"-Wl,-rpath,{zarrs_c.get_library_dirs()[0]}")
    program = folder / "call_overhead"
    subprocess.run(["cc", "-O2", HERE / "call_overhead.c", "-o", program, *flags], check=True)
    (folder / "ways.pyx").write_text(CYTHON)
    (folder / "setup.py").write_text(
        "import zarrs_c\nfrom Cython.Build import cythonize\nfrom setuptools import Extension, setup\n"
        "setup(ext_modules=cythonize([Extension('ways', ['ways.pyx'], include_dirs=[zarrs_c.get_include()])]))\n"
    )
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    import ways

    return program, ways


def by_cffi(path):
    ffi = cffi.FFI()
    ffi.cdef(zarrs_c.get_cdef())
    lib = ffi.dlopen(zarrs_c.get_library_path())
    runtime, store, array = ffi.new("zrc_runtime **"), ffi.new("zrc_store **"), ffi.new("zrc_array **")
    assert lib.zrc_runtime_new(ffi.NULL, runtime, ffi.NULL) == 0
    assert lib.zrc_store_open(runtime[0], str(path).encode(), ffi.NULL, store, ffi.NULL) == 0
    assert lib.zrc_array_open(store[0], b"", ffi.NULL, array, ffi.NULL) == 0
    start, shape, data = ffi.new("uint64_t[]", [0]), ffi.new("uint64_t[]", [4096]), ffi.new("char[4096]")
    region = ffi.new("zrc_region *", [array[0], start, shape, ffi.NULL, data, 4096, ffi.NULL])

    def reads(count):
        for _ in range(count):
            lib.zrc_read(runtime[0], region, 1, ffi.NULL, ffi.NULL)

    return reads, (ffi, start, shape, data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reads", type=int, default=20000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.reads, options.runs)


def measure(folder, count, runs):
    path = folder / "array"
    array = zarrs_c.sync.create_array(path, shape=(4096,), chunks=(4096,), dtype="u1", compressors=None)
    zarrs_c.sync.write(array, np.arange(4096).astype("u1"))
    program, ways = build(folder)
    cffi_reads, _keep = by_cffi(path)
    buffer = np.empty(4096, "u1")

    def blocking(count):
        for _ in range(count):
            zarrs_c.sync.read_into(buffer, array)

    async def awaited(count):
        for _ in range(count):
            await zarrs_c.read_into(buffer, array)

    in_python = {
        "Cython, from another extension": lambda n: ways.reads(array, n),
        "cffi": cffi_reads,
        "Python, zarrs_c.sync.read_into": blocking,
        "Python, await read_into": lambda n: asyncio.run(awaited(n)),
    }
    figures = {"C, blocking": [], "C, callback": [], **{name: [] for name in in_python}}
    for _ in range(runs):
        output = subprocess.run(
            [program, path, str(count)], check=True, capture_output=True, text=True
        ).stdout
        for name, figure in zip(figures, output.split()[:2], strict=False):
            figures[name].append(float(figure))
        for name, reads in in_python.items():
            reads(500)
            start = time.perf_counter()
            reads(count)
            figures[name].append((time.perf_counter() - start) / count * 1e6)
    for name, values in figures.items():
        print(f"{name:34} {statistics.median(values):7.1f} µs   ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
