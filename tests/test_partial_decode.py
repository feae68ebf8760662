"""Of zstd and blosc chunks no more is decoded than is wanted, unless a checksum of the whole is stored; and what is
copied block by block is what is copied at once."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simple
from helpers.counting import Counted

from zarrs_c import sync

SHAPE = (40, 256, 256)  # of the only chunk: 5 MiB of uint16, in blocks of 128 KiB
BLOCK = 128 << 10
CHUNK = 2 * int(np.prod(SHAPE))


def values() -> np.ndarray:
    z, y, x = np.indices(SHAPE)
    return (z * 997 + y * y // 5 + x * 3 + (x * y) % 7).astype("uint16")


DATA = values()


def zstd(checksum=False) -> dict:
    return {"name": "zstd", "configuration": {"level": 1, "checksum": checksum}}


def blosc(cname="lz4", shuffle="shuffle") -> dict:
    chosen = {"cname": cname, "clevel": 1, "shuffle": shuffle, "typesize": 2, "blocksize": BLOCK}
    return {"name": "blosc", "configuration": chosen}


def written(folder, *compressors, order=None):
    """DATA in one chunk; `order` is that of a transpose."""
    codecs = [{"name": "transpose", "configuration": {"order": order}}] if order else []
    array = sync.create_array(
        folder, shape=SHAPE, chunks=SHAPE, dtype="uint16", filters=codecs, compressors=compressors
    )
    array[...] = DATA
    return array


def blosc_block(folder) -> int:
    """The size of the blocks of the only chunk, which need not be what was asked for."""
    return int.from_bytes((folder / "c/0/0/0").read_bytes()[8:12], "little")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return written(tmp_path_factory.mktemp("plain"), zstd())


@pytest.mark.parametrize("planes", [1, 2, 3, 20, 39, 40])
def test_decoding_stops_after_the_last_wanted_byte(planes, plain):
    with Counted() as counted:
        found = plain[:planes]
    np.testing.assert_array_equal(found, DATA[:planes])
    wanted = CHUNK * planes // SHAPE[0]
    assert wanted <= counted.bytes_decoded <= min(wanted + BLOCK, CHUNK)


def test_a_chunk_is_decoded_as_far_as_any_region_wants(plain):
    with Counted() as counted:
        regions = [(np.zeros_like(DATA[at]), plain, at) for at in (0, np.s_[9, ::-3, 5])]
        sync.read_many(regions)
    for out, _, at in regions:
        np.testing.assert_array_equal(out, DATA[at])
    assert counted.chunks_decoded == 1
    assert CHUNK // 4 - BLOCK <= counted.bytes_decoded <= CHUNK // 4 + BLOCK


def test_a_checksum_is_checked_even_where_only_the_beginning_is_wanted(tmp_path):
    array = written(tmp_path, zstd(checksum=True))
    with Counted() as counted:
        np.testing.assert_array_equal(array[0], DATA[0])
    assert counted.bytes_decoded == CHUNK
    path = tmp_path / "c/0/0/0"
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)
    with pytest.raises(Exception, match=r"c/0/0/0.*zstd|zstd.*c/0/0/0"):
        array[0]


@pytest.mark.parametrize("selection", [np.s_[0], np.s_[17], np.s_[39], np.s_[20:23], np.s_[:]], ids=str)
def test_of_blosc_only_blocks_with_something_wanted_are_decoded(selection, tmp_path):
    array = written(tmp_path, blosc())
    with Counted() as counted:
        np.testing.assert_array_equal(array[selection], DATA[selection])
    block, plane = blosc_block(tmp_path), CHUNK // SHAPE[0]
    assert block < CHUNK // 4
    planes = np.arange(SHAPE[0])[selection].reshape(-1)
    first, end = planes[0] * plane // block * block, -(-(planes[-1] + 1) * plane // block) * block
    assert counted.bytes_decoded == min(end, CHUNK) - first


def test_a_checksum_after_blosc_is_checked_whatever_is_wanted(tmp_path):
    array = written(tmp_path, blosc(), {"name": "crc32c"})
    path = tmp_path / "c/0/0/0"
    stored = bytearray(path.read_bytes())
    stored[len(stored) // 2] ^= 1
    path.write_bytes(stored)
    with pytest.raises(Exception, match=r"c/0/0/0.*crc32c|crc32c.*c/0/0/0"):
        array[39]


def test_a_chunk_that_is_cut_off_is_an_error_even_where_only_the_beginning_is_wanted(tmp_path):
    array = written(tmp_path, zstd())
    path = tmp_path / "c/0/0/0"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match=r"c/0/0/0.*zstd|zstd.*c/0/0/0"):
        array[0]


SELECTIONS = [
    np.s_[:],
    np.s_[3:],
    np.s_[::-1],
    np.s_[30::-7, ::-5, 1::3],
    np.s_[:, 100],
    np.s_[:, :, 7],
    np.s_[17, 200:, ::-1],
    np.s_[5, 6, 7],
]


COMPRESSORS = {
    "zstd": [zstd()],
    "zstd, checked": [zstd(checksum=True), {"name": "crc32c"}],
    "blosc lz4": [blosc()],
    "blosc zstd, bits": [blosc("zstd", "bitshuffle")],
    "gzip": [simple.GZIP],
}


@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("order", [None, [2, 1, 0], [1, 2, 0]], ids=str)
@pytest.mark.parametrize("large", [False, True], ids=["small", "past the caches"])
def test_what_is_copied_block_by_block_is_what_numpy_selects(compressor, order, large, tmp_path):
    array = written(tmp_path, *COMPRESSORS[compressor], order=order)
    for selection in SELECTIONS:
        expected = DATA[selection]
        # From 16 MiB on results go past the caches.
        repeat = min(-(-(16 << 20) // expected.nbytes), 64) if large else 1
        outs = [np.zeros_like(expected, order="F" if i % 2 else "C") for i in range(repeat)]
        sync.read_many([(out, array, selection) for out in outs])
        for out in outs:
            np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "shape", [(2, 1200, 1100), (3, 2, 700, 600), (2, 1, 1_300_000), (1201, 1103)], ids=str
)
def test_chunks_of_few_large_planes(shape, tmp_path):
    """Of which much would have to be there at once, were they copied plane by plane."""
    data = (np.arange(np.prod(shape), dtype="u4") * 2654435761 >> 17).astype("u2").reshape(shape) // 64
    array = sync.create_array(tmp_path, shape=shape, chunks=shape, dtype="uint16", compressors=[zstd()])
    array[...] = data
    for selection in (np.s_[:], np.s_[..., ::-1], np.s_[::-1, ..., 3::7], np.s_[-1], np.s_[..., 77]):
        expected = data[selection]
        for order in "CF":
            out = np.zeros_like(expected, order=order)
            sync.read_into(out, array, selection)
            np.testing.assert_array_equal(out, expected)
