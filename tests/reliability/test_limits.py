"""Too little memory, too few descriptors, no more threads: errors, after which the process goes on."""

from __future__ import annotations

import sys

import pytest
from helpers import remote, simple
from helpers.running import python

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits and /proc as Linux has them"
)

MEMORY = """
    import resource, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    small, large = sync.open_array(sys.argv[1]), sync.open_array(sys.argv[2])
    right = small[...]

    def limit(room):
        held = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) << 10
        resource.setrlimit(resource.RLIMIT_AS, (held + room, resource.RLIM_INFINITY))

    failed = 0
    for room in [1 << 20, 8 << 20, 20 << 20] * 3:
        limit(room)
        for _ in range(5):
            try:
                sync.read(large, np.s_[0, :4])
            except (zarrs_c.Error, MemoryError) as error:
                assert getattr(error, "code", 12) == 12, repr(error)
                failed += 1
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert (small[...] == right).all()
    assert failed, "there was room for everything"
    assert (sync.read(large, np.s_[0, :4]) == 7).all()
    now = zarrs_c.stats()
    print(now.operations_in_flight, now.bytes_in_flight, now.requests_in_flight)
"""


# Of zstd alone no more is held than its window.
CODECS = {"zstd twice": [simple.ZSTD, simple.ZSTD], "gzip": [simple.GZIP], "crc32c": [simple.CRC32C]}


@pytest.mark.parametrize("codecs", CODECS.values(), ids=CODECS)
def test_too_little_memory_is_an_error_and_the_process_goes_on(codecs, field, tmp_path):
    """One chunk takes 64 MiB, decoded."""
    import numpy as np

    data = np.full((1, 64 << 20), 7, np.uint8)
    stored = simple.store(tmp_path / "a", data, data.shape, codecs=[{"name": "bytes"}, *codecs])
    # A thread takes address space for itself at its first allocation, which is not what is tested.
    done = python(MEMORY, field.path, stored.path, environment={"MALLOC_ARENA_MAX": "1"})
    assert done.stdout == "0 0 0\n"


DESCRIPTORS = """
    import asyncio, os, resource, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    arrays = [sync.open_array(where) for where in sys.argv[1:]]
    right = [array[...] for array in arrays]

    async def rows(array):
        return await asyncio.gather(*[zarrs_c.read(array, row) for row in range(len(array))], return_exceptions=True)

    open_now = len(os.listdir("/proc/self/fd"))
    failed = 0
    for more in [0, 1, 3, 8]:
        held = [os.open("/", os.O_RDONLY) for _ in range(8)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for fd in held[:more]:
            os.close(fd)
        for array in arrays:
            try:
                array[...]
            except zarrs_c.StorageError as error:
                failed += 1
            try:
                sync.open_array(str(array.store.url), array.path)
            except zarrs_c.StorageError as error:
                failed += 1
        for fd in held[more:]:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for array, expected in zip(arrays, right):
            assert (array[...] == expected).all()
            assert (np.stack(asyncio.run(rows(array))) == expected).all()
    assert failed, "there were enough"
    now = zarrs_c.stats()
    print(now.operations_in_flight, now.bytes_in_flight, now.requests_in_flight)
"""


def test_too_few_descriptors_are_an_error_and_the_process_goes_on(field, faults):
    options = {"ZARRS_C_CODEC_THREADS": "2"}
    done = python(DESCRIPTORS, field.path, remote.serve(faults, field, "a"), environment=options)
    assert done.stdout == "0 0 0\n"


THREADS = """
    import os, resource, sys, time
    import zarrs_c
    from zarrs_c import sync

    threads = len(os.listdir("/proc/self/task"))
    zarrs_c.configure(codec_threads=4000)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
    for _ in range(3):
        try:
            sync.open_array(sys.argv[1])[...]
        except zarrs_c.Error as error:
            print(type(error).__name__, "codec threads" in str(error))
        while len(os.listdir("/proc/self/task")) > threads:  # those that could be had end, and give their stacks back
            time.sleep(0.001)
"""


def test_threads_that_cannot_be_had_are_an_error(field):
    """4,000 stacks do not fit. They are large, so that what is left beside the last one is enough for all else: a
    thread that has its stack and nothing more ends the process, in any Rust program."""
    environment = {"MALLOC_ARENA_MAX": "1", "RUST_MIN_STACK": str(64 << 20)}
    done = python(THREADS, field.path, environment=environment)
    assert done.stdout == "StorageError True\n" * 3
