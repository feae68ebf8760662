"""Partial writes into what somebody broke: one error, and nothing is overwritten; whole chunks mend it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import simple
from helpers.running import SECONDS, python

import zarrs_c
from zarrs_c import sync

PER_SHARD = 16
EMPTY = 2**64 - 1


@pytest.fixture
def shards(tmp_path):
    """32 x 20 int32 in 2 shards of 4 x 4 inner chunks each, without compression and without checksums."""
    data = simple.random_array((32, 20), "int32", seed=1) + 1
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    return simple.store(tmp_path / "a", data, (4, 5), shards=(16, 20), codecs=[little], index_codecs=[little])


def with_index(stored, change):
    """The first shard, with its index changed."""
    path = stored.chunk_path(0, 0)
    shard = bytearray(path.read_bytes())
    index = np.frombuffer(shard[-16 * PER_SHARD :], "<u8").reshape(PER_SHARD, 2).copy()
    change(index)
    shard[-16 * PER_SHARD :] = index.tobytes()
    path.write_bytes(shard)
    return path


def entry(number, offset, length):
    def change(index):
        index[number] = offset, length

    return change


BROKEN = {
    "beyond the end": entry(0, 1 << 20, 80),
    "across the end": entry(0, 16 * 80, 100_000),
    "absurd": entry(0, 1 << 62, 1 << 62),
    "wraps": entry(0, EMPTY - 10, 80),
    "half missing": entry(0, EMPTY, 80),
    "other half missing": entry(0, 0, EMPTY),
}


@pytest.mark.parametrize("touched", [True, False], ids=["changed", "copied"])
@pytest.mark.parametrize("what", BROKEN)
def test_an_index_that_lies_is_one_error_and_the_shard_stays(what, touched, shards):
    path = with_index(shards, BROKEN[what])
    before = path.read_bytes()
    array = sync.open_array(shards.path)
    selection = np.s_[1:3, 1:3] if touched else np.s_[5:7, 6:8]
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.write(array, 7, selection)
    assert caught.value.key == "c/0/0"
    assert path.read_bytes() == before
    sync.write(array, 7, np.s_[:16])
    assert (array[:16] == 7).all()


@pytest.mark.parametrize("what", ["empty", "short", "zeros"])
def test_a_shard_that_is_none_is_one_error_and_stays(what, shards):
    path = shards.chunk_path(0, 0)
    broken = {"empty": b"", "short": b"x" * 20, "zeros": bytes(4000)}[what]
    path.write_bytes(broken)
    array = sync.open_array(shards.path)
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.write(array, 7, np.s_[1:3, 1:3])
    assert caught.value.key == "c/0/0"
    assert path.read_bytes() == broken


def test_inner_chunks_that_share_bytes_are_copied_apart(shards):
    """Some writers store equal inner chunks once."""

    def share(index):
        index[:] = index[5]

    with_index(shards, share)
    array = sync.open_array(shards.path)
    inner = shards.data[4:8, 5:10]
    expected = np.tile(inner, (4, 4))
    np.testing.assert_array_equal(array[:16], expected)
    sync.write(array, -5, np.s_[4:8, 5:10])
    expected[4:8, 5:10] = -5
    np.testing.assert_array_equal(array[:16], expected)


def test_chunks_of_a_wrong_length_are_one_error_and_stay(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20,), dtype="i4", chunks=(10,), compressors=None)
    path = tmp_path / "a" / "c" / "0"
    for length in (0, 39, 41, 4000):
        sync.write_encoded_chunk(array, (0,), bytes(length))
        with pytest.raises(zarrs_c.CodecError) as caught:
            sync.write(array, 7, np.s_[2:4])
        assert caught.value.key == "c/0"
        assert path.read_bytes() == bytes(length)


FORKED = """
    import os, sys
    import numpy as np
    from zarrs_c import sync
    array = sync.open_array(sys.argv[1])
    sync.write(array, 1)
    child = os.fork()
    if child == 0:
        sync.write(array, 2, np.s_[:5])
        sync.write(sync.create_array(sys.argv[1], "child", shape=(5,), dtype="i4"), 3)
        os._exit(0)
    sync.write(array, 4, np.s_[10:])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_writes_as_its_parent_does(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20,), dtype="i4", chunks=(5,))
    python(FORKED, tmp_path / "a")
    np.testing.assert_array_equal(array[...], np.repeat([2, 1, 4, 4], 5))
    assert (sync.open_array(tmp_path / "a", "child")[...] == 3).all()


LEAVING = """
    import asyncio, sys, threading
    import numpy as np
    import zarrs_c
    from zarrs_c import sync
    array = sync.open_array(sys.argv[1])
    data = np.random.default_rng(0).integers(0, 8, array.shape, np.uint8)
    async def main():
        futures = [zarrs_c.write(array, data) for _ in range(3)]
        await asyncio.sleep(0.02)
        if sys.argv[2] == "thread":
            threading.Thread(target=sync.write, args=(array, data), daemon=True).start()
            await asyncio.sleep(0.02)
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["loop", "thread"])
def test_a_program_that_ends_with_writes_under_way_ends_well(how, tmp_path):
    gzip = {"name": "gzip", "configuration": {"level": 9}}
    array = sync.create_array(
        tmp_path / "a", shape=(60, 1 << 20), dtype="u1", chunks=(1, 1 << 20), compressors=gzip
    )
    done = python(LEAVING, tmp_path / "a", how, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    data = np.random.default_rng(0).integers(0, 8, array.shape, np.uint8)
    for row in range(0, 60, 6):  # each chunk is there, or it is not
        got = array[row]
        assert not got.any() or (got == data[row]).all()


REMOTE = """
    import resource, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync
    budget = 32 << 20
    zarrs_c.configure(max_bytes=budget, codec_threads=2)
    options = dict(aws_endpoint=sys.argv[1], aws_region="us-east-1", aws_allow_http="true", aws_skip_signature="true")
    store = zarrs_c.open_store("s3://bucket", options)
    array = sync.create_array(store, "a", shape=(128, 1 << 20), dtype="u1", chunks=(1, 1 << 20), compressors=None)
    data = np.broadcast_to(np.arange(1, (1 << 20) + 1, dtype="u8").view("u1")[: 1 << 20], array.shape)
    sync.write(array, data[:8], np.s_[:8])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sync.write(array, data)
    sync.write(array, data[:, 5:-5], np.s_[:, 5:-5])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    stats = zarrs_c.stats()
    assert stats.peak_bytes_in_flight <= budget, stats
    assert stats.bytes_in_flight == 0, stats
    print(grown)
"""


def test_puts_that_wait_for_a_slow_store_stay_within_the_byte_budget(faults):
    """128 MiB, twice, with a budget of 32 MiB and a store that takes its time over each put."""
    faults.rule("bucket/a/c/*", method="PUT", delay=0.005)
    done = python(REMOTE, faults.endpoint)
    assert int(done.stdout) < 64 << 20


@pytest.mark.skipif("ZARRS_C_NO_FAST_PATH" in os.environ, reason="this is the run without the fast path")
def test_without_the_fast_path_others_read_the_same():
    """Encoding by zarrs alone (ZARRS_C_NO_FAST_PATH is read at import): a part of the differential tests, once more."""
    file = os.path.join(os.path.dirname(__file__), "test_write_differential.py")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            file,
            "-k",
            "any_selection and (5-v or 0-v)",
        ],
        env={**os.environ, "ZARRS_C_NO_FAST_PATH": "1"},
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    if sys.version_info >= (3, 11):
        assert "passed" in done.stdout
