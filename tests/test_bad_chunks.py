"""Chunks that do not decode: CodecError with the chunk's key, the process alive, the buffer free to reuse."""

from __future__ import annotations

import asyncio
import os
import shutil

import numpy as np
import pytest
from helpers import simple
from helpers.buffers import canary
from helpers.running import run

import zarrs_c
from zarrs_c import sync


def corrupt(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "one byte short":
        data = data[:-1]
    elif how == "one byte long":
        data += b"\0"
    elif how == "flipped bit":
        data[len(data) // 2] ^= 0x10
    elif how == "flipped bit at the end":
        data[-1] ^= 1
    elif how == "noise":
        data = bytearray(np.random.default_rng(5).integers(0, 256, len(data), np.uint8).tobytes())
    path.write_bytes(data)


CHECKED_ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": True}}
BLOSC = {
    "name": "blosc",
    "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "shuffle", "typesize": 4, "blocksize": 0},
}
CORRUPTIONS = [
    ("raw", [simple.LITTLE], ["truncated", "empty", "one byte short", "one byte long"]),
    ("zstd", [simple.LITTLE, simple.ZSTD], ["truncated", "empty", "one byte short", "noise"]),
    ("zstd-checksum", [simple.LITTLE, CHECKED_ZSTD], ["flipped bit", "flipped bit at the end", "truncated"]),
    (
        "crc32c",
        [simple.LITTLE, simple.CRC32C],
        ["flipped bit", "flipped bit at the end", "truncated", "empty"],
    ),
    ("zstd-crc32c", [simple.LITTLE, simple.ZSTD, simple.CRC32C], ["flipped bit", "truncated", "noise"]),
    ("gzip", [simple.LITTLE, simple.GZIP], ["truncated", "empty", "noise", "flipped bit at the end"]),
    ("blosc", [simple.LITTLE, BLOSC], ["truncated", "empty", "noise", "one byte short"]),
]


@pytest.mark.parametrize(
    ("codecs", "how"),
    [pytest.param(codecs, how, id=f"{name}-{how}") for name, codecs, hows in CORRUPTIONS for how in hows],
)
def test_a_corrupt_chunk_is_a_codec_error_with_its_key_and_the_buffer_is_free_to_reuse(codecs, how, tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array((60, 40)) + 1, (20, 10), codecs=codecs)
    good = stored.chunk_path(1, 2).read_bytes()
    corrupt(stored.chunk_path(1, 2), how)
    array = sync.open_array(stored.path)
    buffer = canary((60, 40), "f4")

    async def main():
        with pytest.raises(zarrs_c.CodecError) as caught:
            await zarrs_c.read_into(buffer, array)
        assert zarrs_c.stats().operations_in_flight == 0
        buffer[...] = -1  # nobody else writes to it any more
        await asyncio.sleep(0.01)
        assert (buffer == -1).all()
        await zarrs_c.read_into(buffer[:20], array, np.s_[:20])  # a part that does not need the chunk
        return caught.value

    error = run(main())
    assert error.key == stored.chunk_key(1, 2)
    assert error.code == 4
    assert isinstance(error, ValueError)
    np.testing.assert_array_equal(buffer[:20], stored.data[:20])
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.read(array, np.s_[25, 25])
    assert caught.value.key == error.key
    stored.chunk_path(1, 2).write_bytes(good)
    np.testing.assert_array_equal(sync.read_into(buffer, array), stored.data)


@pytest.mark.parametrize("codecs", [c for _, c, _ in CORRUPTIONS], ids=[name for name, _, _ in CORRUPTIONS])
@pytest.mark.parametrize("shape", [(20, 9), (20, 11), (1, 1), (200, 100)], ids=str)
def test_a_sound_chunk_of_another_shape_is_a_codec_error_with_its_key(shape, codecs, tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array((60, 40)) + 1, (20, 10), codecs=codecs)
    other = simple.store(tmp_path / "b", simple.random_array(shape) + 1, shape, codecs=codecs)
    shutil.copy(other.chunk_path(0, 0), stored.chunk_path(1, 2))
    array = sync.open_array(stored.path)
    for selection in (..., np.s_[20:40, 20:30], np.s_[39, 29]):
        with pytest.raises(zarrs_c.CodecError) as caught:
            sync.read(array, selection)
        assert caught.value.key == stored.chunk_key(1, 2)
    np.testing.assert_array_equal(array[:, 30:], stored.data[:, 30:])


def test_a_failure_stops_the_work_on_the_other_chunks(slow, tmp_path):
    shutil.copytree(slow.path, tmp_path / "a", copy_function=os.link)
    path = tmp_path / "a" / slow.chunk_key(3, 0)
    path.unlink()
    path.write_bytes(b"no gzip")
    array = sync.open_array(tmp_path / "a")
    before = zarrs_c.stats().chunks_decoded
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.read(array, np.s_[:, :: simple.STRIDE])
    assert caught.value.key == slow.chunk_key(3, 0)
    assert zarrs_c.stats().chunks_decoded - before < array.grid_shape[0] // 4


def shard_index(path):
    """The index of a shard of 16 inner chunks at its end: (offset, size) of each, then a checksum."""
    data = bytearray(path.read_bytes())
    return data, len(data) - 16 * 16 - 4


SHARD_DAMAGE = {
    "checksum": lambda data, at: data.__setitem__(slice(-4, None), b"oops"),
    "entry": lambda data, at: data.__setitem__(at + 3, data[at + 3] ^ 0xFF),
    "no index": lambda data, at: data.__delitem__(slice(at, None)),
    "nothing": lambda data, at: data.clear(),
    "a few bytes": lambda data, at: data.__delitem__(slice(10, None)),
}


@pytest.mark.parametrize("what", SHARD_DAMAGE)
def test_a_broken_shard_index_is_a_codec_error_with_the_shards_key(what, sharded, tmp_path):
    shutil.copytree(sharded.path, tmp_path / "a")
    path = tmp_path / "a" / sharded.chunk_key(1, 0)
    data, at = shard_index(path)
    SHARD_DAMAGE[what](data, at)
    path.write_bytes(data)
    array = sync.open_array(tmp_path / "a")
    for selection in (..., np.s_[16:20, 0:5], np.s_[17, 3]):
        with pytest.raises(zarrs_c.CodecError) as caught:
            sync.read(array, selection)
        assert caught.value.key == sharded.chunk_key(1, 0)
    np.testing.assert_array_equal(array[:16], sharded.data[:16])


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (2**62, 10),
        (10, 2**62),
        (2**64 - 2, 10),
        (2**64 - 1, 10),
        (0, 2**64 - 1),
        (2**63, 2**63),
        (0, 0),
        (0, 10**9),
    ],
)
def test_a_shard_index_that_points_nowhere_is_a_codec_error(offset, size, tmp_path):
    little = [simple.LITTLE]  # an index without a checksum, so that the entry itself must be judged
    stored = simple.store(
        tmp_path / "a",
        simple.random_array((16, 20), "int32") + 1,
        (4, 5),
        shards=(16, 20),
        index_codecs=little,
    )
    path = stored.chunk_path(0, 0)
    data = bytearray(path.read_bytes())
    data[-256:-240] = offset.to_bytes(8, "little") + size.to_bytes(8, "little")
    path.write_bytes(data)
    array = sync.open_array(stored.path)
    buffer = canary((16, 20), "i4")
    with pytest.raises(zarrs_c.CodecError) as caught:
        sync.read_into(buffer, array)
    assert caught.value.key == "c/0/0"
    np.testing.assert_array_equal(array[4:], stored.data[4:])


def test_an_inner_chunk_that_does_not_decode_is_a_codec_error_with_the_shards_key(tmp_path):
    codecs = [simple.LITTLE, simple.CRC32C]
    stored = simple.store(
        tmp_path / "a", simple.random_array((32, 20), "int32") + 1, (4, 5), shards=(16, 20), codecs=codecs
    )
    path = stored.chunk_path(1, 0)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    array = sync.open_array(stored.path)
    with pytest.raises(zarrs_c.CodecError) as caught:
        array[...]
    assert caught.value.key == "c/1/0"
    np.testing.assert_array_equal(array[:16], stored.data[:16])


def test_a_folder_in_place_of_a_chunk_is_no_chunk(field, tmp_path):
    """As zarr-python has it: it is what nested keys look like in a file system."""
    shutil.copytree(field.path, tmp_path / "a")
    path = tmp_path / "a" / field.chunk_key(2, 3)
    path.unlink()
    path.mkdir()
    array = sync.open_array(tmp_path / "a")
    assert not array[20:30, 21:28].any()
    assert sync.read_encoded_chunk(array, (2, 3)) is None


def test_a_chunk_that_cannot_be_read_is_a_storage_error_with_its_key(field, tmp_path):
    shutil.copytree(field.path, tmp_path / "a")
    path = tmp_path / "a" / field.chunk_key(2, 3)
    path.unlink()
    path.symlink_to(path)  # permissions would not stop root
    array = sync.open_array(tmp_path / "a")
    with pytest.raises(zarrs_c.StorageError) as caught:
        array[...]
    assert caught.value.key == field.chunk_key(2, 3)
    assert isinstance(caught.value, OSError)


def test_a_bad_region_of_a_batch_stops_the_others_and_is_named(tmp_path):
    stored = simple.store(tmp_path / "a", simple.random_array((60, 40)) + 1, (20, 10))
    corrupt(stored.chunk_path(2, 0), "noise")
    array = sync.open_array(stored.path)
    buffers = [canary((20, 40), "f4") for _ in range(3)]

    async def main():
        await zarrs_c.read_many([(b, array, np.s_[20 * i : 20 * i + 20]) for i, b in enumerate(buffers)])

    with pytest.raises(zarrs_c.CodecError, match="region 2") as caught:
        run(main())
    assert caught.value.key == stored.chunk_key(2, 0)
