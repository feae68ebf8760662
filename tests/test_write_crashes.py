"""Local files: whatever happens in the middle of a write, each chunk is what it was or what it is to be."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers import writing
from helpers.running import python

import zarrs_c
from zarrs_c import sync

KILLS = 100
SHAPE, CHUNKS = (64, 96, 64), (16, 32, 32)

# Writes one value after the other everywhere, and tells how far it is; partial chunks too.
WRITER = """
    import sys
    import numpy as np
    from zarrs_c import sync
    array = sync.open_array(sys.argv[1])
    value = int(sys.argv[2])
    # Its threads have started when it is ready: however slow the machine, it is then about to write.
    warm = sync.create_array(sys.argv[1] + "-warm", shape=(64,), dtype="u1", overwrite=True)
    sync.write(warm, 1)
    print("ready", flush=True)
    while True:
        value += 1
        sync.write(array, np.full(array.shape, value, array.dtype))
        sync.write(array, value, np.s_[5:60, 3:90, 1:63])
"""


def blocks(shape, chunks):
    for index in np.ndindex(*(-(-n // c) for n, c in zip(shape, chunks, strict=True))):
        yield tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))


@pytest.mark.parametrize("shards", [None, (32, 96, 64)], ids=["chunks", "shards"])
def test_a_killed_writer_leaves_each_chunk_old_or_new_and_nothing_in_the_way(shards, tmp_path):
    """50 SIGKILLs each of chunks and of shards, at random moments of writing."""
    array = sync.create_array(tmp_path / "a", shape=SHAPE, dtype="uint32", chunks=CHUNKS, shards=shards)
    rng = np.random.default_rng(0)
    value, cut_short = 1, 0
    sync.write(array, value)
    earlier = [value for _ in blocks(SHAPE, shards or CHUNKS)]
    program = textwrap.dedent(WRITER)
    for _ in range(KILLS // 2):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "a"), str(value)], stdout=subprocess.PIPE
        )
        assert writer.stdout.readline() == b"ready\n"
        # Any moment between the first and the tenth or so of its writes.
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(float(rng.uniform(0.0, 0.03)))
        writer.kill()
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        data = sync.open_array(tmp_path / "a")[...]
        found = []
        for block in blocks(SHAPE, shards or CHUNKS):
            (one,) = np.unique(data[block])  # one value in all of a chunk: it is not torn
            found.append(int(one))
        new = [one for one, before in zip(found, earlier, strict=True) if one != before]
        # Writes follow each other: what is new is of the last one, or of the one before.
        assert all(one > value for one in new)
        assert not new or max(new) - min(new) <= 1
        cut_short += 0 < len([one for one in found if one == max(found)]) < len(found)
        earlier, value = found, max(found)
    assert cut_short, "every kill came between two writes: this has shown nothing"
    assert writing.read_by_tensorstore(tmp_path / "a").tobytes() == data.tobytes()
    if sys.version_info >= (3, 11):
        assert (writing.read_by_zarr_python(tmp_path / "a") == data).all()
    check_no_visible_litter(tmp_path / "a")
    # What is left of killed writes does not keep the array from being written, erased or made anew.
    sync.write(array, 0)
    sync.create_array(tmp_path / "a", shape=SHAPE, dtype="uint32", chunks=CHUNKS, overwrite=True)
    assert writing.chunk_files(tmp_path / "a") == {}


def check_no_visible_litter(folder):
    """Every file that is not hidden is the metadata or a chunk; there are few of the others."""
    names = list(writing.chunk_files(folder))
    hidden = [name for name in names if Path(name).name.startswith(".")]
    assert all(name.startswith("c/") for name in names)
    assert all(part.isdigit() for name in set(names) - set(hidden) for part in name.split("/")[1:])
    assert len(hidden) <= 2 * KILLS


def test_nothing_temporary_is_left_of_writes_that_end(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(40, 40), dtype="u2", chunks=(7, 7))
    for value in (1, 2):
        sync.write(array, value)
        sync.write(array, value + 1, np.s_[3:30:2, 5:])
    names = set(writing.chunk_files(tmp_path / "a"))
    assert names == {f"c/{i}/{j}" for i in range(6) for j in range(6)}


# ==== Full disks ====


@contextmanager
def small_disk(folder: Path, size: str):
    """A file system of so many bytes, mounted at `folder`."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount() -> bool:
    """Root may, unless in a container without the right to."""
    if os.geteuid() != 0 or sys.platform != "linux":
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


needs_mount = pytest.mark.skipif(
    not can_mount(), reason="mounting needs root; the test with a limit of file sizes does without"
)


def incompressible(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, shape, np.uint32)


def fill(disk: Path, leave: int) -> None:
    """Take all of a disk but `leave` bytes."""
    free = os.statvfs(disk)
    with (disk / "filler").open("ab") as filler:
        filler.write(bytes(max(free.f_bavail * free.f_frsize - leave, 0)))


@needs_mount
@pytest.mark.parametrize("shards", [None, (64, 256)], ids=["chunks", "shards"])
def test_a_full_disk_is_one_clear_error_and_the_old_data_stay(shards, tmp_path):
    with small_disk(tmp_path / "disk", "3m") as disk:
        shape, box = (512, 256), shards or (32, 64)
        array = sync.create_array(disk / "a", shape=shape, dtype="u4", chunks=(32, 64), shards=shards)
        old, new = incompressible(shape), incompressible(shape, 2)
        old[256:] = 0
        sync.write(array, old[:256], np.s_[:256])  # 256 KiB
        fill(disk, leave=150 << 10)
        with pytest.raises(zarrs_c.StorageError) as caught:
            sync.write(array, new[256:], np.s_[256:])  # as many again
        check_disk_error(caught.value)
        fill(disk, leave=0)
        with pytest.raises(zarrs_c.StorageError) as caught:
            sync.write(array, new)
        check_disk_error(caught.value)
        with pytest.raises(zarrs_c.StorageError) as caught:
            sync.write(array, new[5:250, 3:200], np.s_[5:250, 3:200])
        check_disk_error(caught.value)
        after = array[...]
        for block in blocks(shape, box):
            assert (after[block] == old[block]).all() or (after[block] == new[block]).all()
        names = list(writing.chunk_files(disk / "a"))
        assert not [name for name in names if Path(name).name.startswith(".")], (
            "a failed write left something"
        )
        (disk / "filler").unlink()
        sync.write(array, new)
        assert (array[...] == new).all()


def check_disk_error(error):
    assert error.key is not None
    assert error.key.startswith("c/")
    assert "space" in str(error)
    assert error.code == 3


@needs_mount
def test_a_disk_without_room_for_metadata_creates_no_array(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(OSError):  # noqa: PT011
            (disk / "filler").write_bytes(bytes(1 << 20))
        with pytest.raises(zarrs_c.StorageError):
            sync.create_array(disk / "a", shape=(5,), dtype="u4", attributes={"long": "x" * 10_000})
        with pytest.raises(zarrs_c.NotFoundError):
            sync.open_array(disk / "a")


LIMITED = """
    import resource, signal, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    array = sync.open_array(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    data = np.random.default_rng(0).integers(0, 2**32, array.shape, np.uint32)
    try:
        sync.write(array, data)
    except zarrs_c.StorageError as error:
        print(error.key, "large" in str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_limit_of_file_sizes_is_one_clear_error_and_the_old_data_stay(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(128, 64), dtype="u4", chunks=(64, 64))
    sync.write(array, 7)
    before = writing.chunk_files(tmp_path / "a")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
    done = python(LIMITED, tmp_path / "a")
    key, clear = done.stdout.split()
    assert key in before
    assert clear == "True"
    assert writing.chunk_files(tmp_path / "a") == before


# ==== Folders that cannot be written ====


@contextmanager
def read_only(folder: Path):
    """A folder that nobody can write, not even root, where mounting is possible; else by its mode."""
    if can_mount():
        subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        for path in folders:
            path.chmod(0o500)
        try:
            yield
        finally:
            for path in folders:
                path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() == 0 and not can_mount(), reason="root may write everywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20, 20), dtype="u4", chunks=(7, 7))
    sync.write(array, 3)
    before = writing.chunk_files(tmp_path / "a")
    with read_only(tmp_path / "a"):
        calls = [
            lambda: sync.write(array, 5),
            lambda: sync.write(array, 5, np.s_[2:5]),
            lambda: sync.write_encoded_chunk(array, (0, 0), b"x"),
            lambda: sync.erase_chunk(array, (0, 0)),
            lambda: sync.resize(array, (5, 5)),
            lambda: sync.update_attributes(array, {"a": 1}),
            lambda: sync.create_array(tmp_path / "a", "b", shape=(5,), dtype="u4"),
            lambda: sync.create_array(tmp_path / "a", shape=(5,), dtype="u4", overwrite=True),
        ]
        for call in calls:
            with pytest.raises(zarrs_c.StorageError) as caught:
                call()
            assert "ead-only" in str(caught.value) or "ermission" in str(caught.value)
            assert caught.value.key
    assert writing.chunk_files(tmp_path / "a") == before
    assert sync.open_array(tmp_path / "a").shape == (20, 20)


def test_a_folder_where_a_chunk_belongs_is_one_clear_error(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20,), dtype="u4", chunks=(5,))
    (tmp_path / "a" / "c" / "2" / "in-the-way").mkdir(parents=True)
    with pytest.raises(zarrs_c.StorageError) as caught:
        sync.write(array, 5)
    assert caught.value.key == "c/2"


def test_a_file_where_a_folder_belongs_is_one_clear_error(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20,), dtype="u4", chunks=(5,))
    (tmp_path / "a" / "c").write_bytes(b"")
    with pytest.raises(zarrs_c.StorageError) as caught:
        sync.write(array, 5)
    assert caught.value.key.startswith("c/")


def test_chunks_that_do_not_decode_are_not_overwritten_by_a_partial_write(tmp_path):
    """A read, modify, write that cannot read says so; a whole chunk may replace it."""
    array = sync.create_array(tmp_path / "a", shape=(20,), dtype="u4", chunks=(5,))
    sync.write(array, 5)
    path = tmp_path / "a" / "c" / "1"
    path.write_bytes(b"garbage")
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.write(array, 6, np.s_[7:18])
    assert caught.value.key == "c/1"
    assert path.read_bytes() == b"garbage"
    sync.write(array, 6, np.s_[5:10])
    assert (array[5:10] == 6).all()


def test_with_fsync_the_same_is_written(tmp_path):
    array = sync.create_array(tmp_path / "a", shape=(20, 20), dtype="u4", chunks=(7, 7))
    sync.write(array, 3, fsync=True)
    sync.write(array, 4, np.s_[2:5], fsync=True)
    expected = np.full((20, 20), 3)
    expected[2:5] = 4
    np.testing.assert_array_equal(array[...], expected)
