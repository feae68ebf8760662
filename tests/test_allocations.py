"""How many blocks Python asks for when it reads: one more for each read, and these fail. Those of the library itself
are counted by its Rust tests (`rust_ffi/src/allocations.rs`)."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from helpers import simple
from helpers.running import python
from test_c_abi import SOURCES, c_compiler

PROGRAM = """
    import asyncio, ctypes, json, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    blocks = ctypes.CDLL(sys.argv[1])
    blocks.count.restype = ctypes.c_ulonglong
    pythonapi = ctypes.pythonapi
    array = sync.open_array(sys.argv[2])
    outs = list(np.empty((64, 4096), np.uint8))

    def one():
        sync.read_into(outs[5], array, 5)

    async def many(n):
        for future in [zarrs_c.read_into(outs[i], array, i) for i in range(n)]:
            await future

    def batch(n):
        sync.read_many([(outs[i], array, i) for i in range(n)])

    def least(read, *arguments):
        counts = []
        for _ in range(100):
            before = blocks.count()
            read(*arguments)
            counts.append(blocks.count() - before)
        return min(counts)

    loop = asyncio.new_event_loop()

    def awaited(n):
        loop.run_until_complete(many(n))

    blocks.start(pythonapi.PyMem_GetAllocator, pythonapi.PyMem_SetAllocator)
    nothing = least(lambda: None)
    seen = {
        "sync": least(one) - nothing,
        "await": (least(awaited, 64) - least(awaited, 32)) / 32,
        "read_many": (least(batch, 64) - least(batch, 32)) / 32,
    }
    loop.close()
    print(json.dumps(seen))
"""

# What each read takes; of those that are awaited the future is one, and a list that grows some hundredths.
AWAITED = 5.1 if sys.version_info < (3, 12) else 6.1
MOST = {"sync": 1, "await": AWAITED, "read_many": 1.3}


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    library = folder / "count_blocks.so"
    command = [*c_compiler().split(), "-O2", "-shared", "-fPIC", SOURCES / "count_blocks.c", "-o", library]
    subprocess.run(command, check=True)
    data = np.random.default_rng(0).integers(0, 100, (64, 4096), np.uint8)
    stored = simple.store(folder / "a", data, (1, 4096))
    return json.loads(python(PROGRAM, library, stored.path).stdout)


@pytest.mark.skipif(
    sysconfig.get_config_var("Py_GIL_DISABLED") == 1, reason="blocks are counted under the GIL"
)
@pytest.mark.parametrize("way", MOST)
def test_a_read_asks_python_for_no_more_blocks_than_it_did(way, seen):
    assert seen[way] <= MOST[way]
