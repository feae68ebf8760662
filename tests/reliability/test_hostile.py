"""Stored bytes and metadata that were made to do harm: one clear error each, the process alive, little memory taken.

Rust's own tests (`rust_ffi/tests/hostile.rs`, `rust_ffi/tests/fuzz`) go through the codecs; these go through the front
door, in a process whose address space may grow by `ROOM` and no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import remote, simple
from helpers.running import python

import zarrs_c
from zarrs_c import sync

ROOT = Path(__file__).resolve().parent.parent.parent
ROOM = 256 << 20
HUGE = 1 << 40

ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}

BASE = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [60, 40],
    "data_type": "float32",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [20, 10]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [simple.LITTLE, ZSTD],
}


def grid(*chunk_shape):
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk_shape)}}}


def rectilinear(*shapes):
    configuration = {"kind": "inline", "chunk_shapes": list(shapes)}
    return {"chunk_grid": {"name": "rectilinear", "configuration": configuration}}


def codecs(*them):
    return {"codecs": list(them)}


def codec(name, **configuration):
    return {"name": name, "configuration": configuration}


def keys(suffix):
    configuration = {"separator": "/", "suffix": suffix}
    return {"chunk_key_encoding": {"name": "zarrs.default_suffix", "configuration": configuration}}


def sharding(*inner_shape, inner=(simple.LITTLE,), index=(simple.LITTLE,)):
    return codecs(codec("sharding_indexed", chunk_shape=inner_shape, codecs=inner, index_codecs=index))


def nested(depth):
    inner = [simple.LITTLE]
    for _ in range(depth):
        inner = sharding(20, 10, inner=inner)["codecs"]
    return codecs(*inner)


# What the metadata says, and whether it is refused (or is only odd, so that reading one element is right or an error).
METADATA = {
    "deep": ('{"a":' * 100_000, True),
    "deep attributes": (BASE | {"attributes": "DEEP"}, False),
    "large attributes": (BASE | {"attributes": {"a": [[]] * 3_000_000}}, False),
    "large": (BASE | {"made_up": {"must_understand": False, "a": [[]] * 6_000_000}}, True),
    "chunk of 0": (BASE | grid(0, 10), True),
    "chunk of 2^63": (BASE | grid(1 << 63, 10), True),
    "chunk of 2^64 - 1": (BASE | grid((1 << 64) - 1, 1), True),
    "chunk beyond 2^64": (BASE | grid(1 << 64, 10), True),
    "chunk whose product overflows": (BASE | grid(1 << 33, 1 << 33), True),
    "chunk of terabytes": (BASE | grid(1 << 20, 1 << 20), False),
    "shape whose product overflows": (BASE | {"shape": [1 << 62, 1 << 62]}, False),
    "shape beyond 2^64": (BASE | {"shape": [1 << 64, 1]}, True),
    "negative shape": (BASE | {"shape": [-1, 4]}, True),
    "a thousand dimensions": (BASE | {"shape": [1] * 1000} | grid(*[1] * 1000), True),
    "a grid of 2^62 chunks, run-length encoded": (BASE | rectilinear([[1, 1 << 62]], [40]), True),
    "grids that are too large together": (BASE | rectilinear([[1, 1 << 22]], [[1, 1 << 22]]), True),
    "an element of 2^62 bytes": (
        BASE
        | {"data_type": codec("fixed_length_utf32", length_bytes=1 << 62), "fill_value": ""}
        | codecs(simple.LITTLE),
        True,
    ),
    "an element of a terabit": (BASE | {"data_type": f"r{HUGE}", "fill_value": [0]}, True),
    "key that climbs": (BASE | keys("/../../../../../../../../etc/passwd"), True),
    "key with an empty part": (BASE | keys("//x"), True),
    "shard that its chunks do not divide": (
        BASE | sharding(7, 7),
        True,
    ),
    "shard of 2^60 chunks": (
        BASE
        | grid(1 << 60, 1)
        | sharding(1, 1),
        True,
    ),
    "index codecs of variable size": (
        BASE | sharding(20, 10, index=(simple.LITTLE, ZSTD)),
        True,
    ),
    "shards in shards": (BASE | nested(20), False),
    "shards in shards in shards, too many": (BASE | nested(60), True),
    "transpose to nowhere": (BASE | codecs(codec("transpose", order=[7, 0]), simple.LITTLE), True),
    "transpose twice the same": (BASE | codecs(codec("transpose", order=[0, 0]), simple.LITTLE), True),
    "zstd level": (BASE | codecs(simple.LITTLE, codec("zstd", level=1 << 40, checksum=False)), True),
    "gzip level": (BASE | codecs(simple.LITTLE, codec("gzip", level=1 << 20)), True),
    "bz2 level": (BASE | codecs(simple.LITTLE, codec("numcodecs.bz2", level=0)), True),
    "shuffle of nothing": (BASE | codecs(simple.LITTLE, codec("numcodecs.shuffle", elementsize=0)), False),
    "zfp rate": (BASE | codecs(codec("zfp", mode="fixed_rate", rate=1e12)), True),
    "packbits of no bits": (BASE | {"data_type": "int32"} | codecs(codec("packbits", first_bit=1 << 63)), False),
    "bitround": (BASE | codecs(codec("bitround", keepbits=1 << 30), simple.LITTLE), False),
}  # fmt: skip
V2 = {
    "zarr_format": 2,
    "shape": [9],
    "chunks": [4],
    "dtype": "<f4",
    "order": "C",
    "filters": None,
    "compressor": None,
    "fill_value": None,
}
METADATA_V2 = {
    "an element of exabytes": V2 | {"dtype": "|V999999999999999999"},
    "a string of exabytes": V2 | {"dtype": "<U999999999999999999"},
    "chunks of 0": V2 | {"chunks": [0]},
    "chunks of 2^64 - 1": V2 | {"chunks": [(1 << 64) - 1]},
}

ZSTD_TERABYTE = struct.pack("<IBQ", 0xFD2FB528, 0xE0, HUGE) + b"\x01\x00\x00" * 3
BLOSC_GIGABYTES = struct.pack("<BBBBIII", 2, 1, 0x21, 4, (1 << 31) - 20, 1 << 30, 40) + bytes(24)


def index_of(*entries):
    return b"".join(struct.pack("<QQ", *entry) for entry in entries)


SHARD = sharding(10, 10)
ZSTD_SHARD = sharding(10, 10, inner=(simple.LITTLE, ZSTD))
NESTED = sharding(10, 10, inner=ZSTD_SHARD["codecs"])
BLOSC = codec("blosc", cname="lz4", clevel=5, shuffle="shuffle", typesize=4, blocksize=0)
MISSING = ((1 << 64) - 1, (1 << 64) - 1)

# A chunk of 20 x 10 float32, and codecs. A number of bytes stands for a file of so many that holds nothing.
CHUNKS = {
    "a frame that claims a terabyte": (codecs(simple.LITTLE, ZSTD), ZSTD_TERABYTE),
    "a blosc frame that claims gigabytes": (codecs(simple.LITTLE, BLOSC), BLOSC_GIGABYTES),
    "a gdeflate header that claims a terabyte": (
        codecs(simple.LITTLE, codec("zarrs.gdeflate", level=1)),
        struct.pack("<QQQ", HUGE, HUGE >> 16, 10) + bytes(100),
    ),
    "a file of a terabyte": (codecs(simple.LITTLE, ZSTD), HUGE),
    "a raw file of a terabyte": (codecs(simple.LITTLE), HUGE),
    "a shard of a terabyte whose chunk is all of it": (SHARD, (HUGE, index_of((0, HUGE), MISSING))),
    "a shard of a terabyte whose chunk claims a terabyte": (ZSTD_SHARD, (HUGE, index_of((0, HUGE - 32), MISSING))),
    "a size that wraps": (SHARD, bytes(800) + index_of((800, (1 << 64) - 400), MISSING)),
    "an offset that wraps": (SHARD, bytes(800) + index_of(((1 << 64) - 400, 800), MISSING)),
    "an inner chunk outside": (SHARD, bytes(800) + index_of((800, 400), MISSING)),
    "an inner chunk of the wrong size": (SHARD, bytes(800) + index_of((0, 399), MISSING)),
    "a nested frame that claims a terabyte": (
        NESTED,
        (shard := ZSTD_TERABYTE + index_of((0, len(ZSTD_TERABYTE)))) + index_of((0, len(shard)), MISSING),
    ),
    "a shard that is too short": (SHARD, bytes(10)),
}  # fmt: skip


def write(path: Path, metadata, chunk=None):
    path.mkdir()
    text = (
        metadata
        if isinstance(metadata, str)
        else json.dumps(metadata).replace('"DEEP"', '{"a":' * 500 + "1" + "}" * 500)
    )
    (path / (".zarray" if '"zarr_format": 2' in text else "zarr.json")).write_text(text)
    if chunk is None:
        return
    file = path / "c" / "0" / "0"
    file.parent.mkdir(parents=True)
    size, end = (
        chunk if isinstance(chunk, tuple) else (chunk, b"") if isinstance(chunk, int) else (len(chunk), chunk)
    )
    with file.open("wb") as out:
        out.truncate(size)
        out.seek(size - len(end))
        out.write(end)


CHILD = """
    import json, os, resource, sys
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    warm = sync.open_array(sys.argv[1])[...]
    held = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (held + int(sys.argv[2]), resource.RLIM_INFINITY))
    for path in sys.argv[3:]:
        print(json.dumps([path]), flush=True)  # which one it was, should the process end
        said = ["", "", None]
        try:
            array = sync.open_array(path)
            said = ["opened", "", None]
            if array.ndim <= 32:
                sync.read(array, (0,) * array.ndim)
            if array.nbytes <= 1 << 20:
                sync.read(array)
            said = ["read", "", None]
        except zarrs_c.Error as error:
            said = [*said[:1], f"{type(error).__name__}: {error}", error.key]
        print(json.dumps(said), flush=True)
        assert (sync.open_array(sys.argv[1])[...] == warm).all()  # and the process goes on
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory, field):
    """What became of each array, in one process that has little room."""
    if not sys.platform.startswith("linux"):
        pytest.skip("/proc is Linux's")
    folder = tmp_path_factory.mktemp("hostile")
    for name, (metadata, _) in METADATA.items():
        write(folder / name, metadata)
    for name, metadata in METADATA_V2.items():
        write(folder / f"v2 {name}", metadata)
    for name, (changes, chunk) in CHUNKS.items():
        write(folder / f"chunk {name}", BASE | {"shape": [20, 10]} | grid(20, 10) | changes, chunk)
    paths = sorted(folder.iterdir())
    done = python(CHILD, field.path, ROOM, *paths, check=False, timeout=200)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} at {lines[-1]}: {done.stderr}"
    assert done.stderr == ""
    return {Path(path).name: what for (path,), what in zip(lines[::2], lines[1::2], strict=True)}


@pytest.mark.parametrize("name", METADATA)
def test_hostile_metadata_is_one_clear_error(name, said):
    how, error, key = said[name]
    if METADATA[name][1]:
        assert (how, key) == ("", None if "dimensions" in name else "zarr.json"), (how, error)
        assert error.split(":")[0] in ("InvalidError", "UnsupportedError"), error
    else:
        assert how in ("opened", "read")
        assert error.split(":")[0] in ("", "CodecError", "MemoryError", "InvalidError", "UnsupportedError"), (
            error
        )


@pytest.mark.parametrize("name", METADATA_V2)
def test_hostile_metadata_of_format_2_is_one_clear_error(name, said):
    how, error, key = said[f"v2 {name}"]
    assert (how, key) == ("", ".zarray"), (how, error)


@pytest.mark.parametrize("name", CHUNKS)
def test_a_hostile_chunk_is_a_codec_error_and_takes_no_memory(name, said):
    how, error, key = said[f"chunk {name}"]
    assert (how, key) == ("opened", "c/0/0"), error
    assert error.startswith("CodecError"), error


def test_the_docs_say_how_many_they_are():
    n = len(METADATA) + len(METADATA_V2) + len(CHUNKS)
    assert f"| {n} documents and chunks " in (ROOT / "docs/reliability.md").read_text()


def test_inner_chunks_that_lie_on_each_other_are_read_as_the_index_says(tmp_path):
    stored = np.arange(100, dtype="<f4").tobytes()
    write(
        tmp_path / "a",
        BASE | {"shape": [20, 10]} | grid(20, 10) | SHARD,
        stored + index_of((0, 400), (0, 400)),
    )
    array = sync.open_array(tmp_path / "a")
    np.testing.assert_array_equal(array[:10], array[10:])


def test_metadata_of_gigabytes_is_refused_before_it_is_read(tmp_path, faults):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "zarr.json").open("wb") as out:
        out.truncate(HUGE)
    faults.put("a/zarr.json", b"{}")
    faults.rule("a/zarr.json", headers={"Content-Length": str(HUGE)})
    for where, options in [(tmp_path / "a", None), (faults.url("a"), remote.NO_RETRIES)]:
        with pytest.raises(zarrs_c.Error, match="more than") as caught:
            sync.open_array(where, storage_options=options)
        assert caught.value.key == "zarr.json"


def test_an_encoded_chunk_is_no_larger_than_a_chunk_can_be(tmp_path):
    write(tmp_path / "a", BASE, HUGE)
    with pytest.raises(zarrs_c.CodecError, match="more than"):
        sync.read_encoded_chunk(sync.open_array(tmp_path / "a"), (0, 0))


def test_objects_whose_length_changes_between_requests(faults, tmp_path):
    """Longer, shorter and back, while it is read: the data of one version, or an error."""
    stored = remote.sharded_rows(tmp_path / "a", shards=1, inner=16, inner_bytes=300)
    url = remote.serve(faults, stored, "a")
    shard = bytes(faults.objects["a/c/0/0"].data)
    rng = np.random.default_rng(0)
    for _ in range(60):
        array = sync.open_array(url, storage_options=remote.NO_RETRIES)
        cut = int(rng.integers(0, len(shard)))
        faults.put(
            "a/c/0/0", shard[:cut] + bytes(int(rng.integers(0, 400))) if rng.random() < 0.5 else shard[cut:]
        )
        with contextlib.suppress(
            zarrs_c.CodecError, zarrs_c.StorageError
        ):  # or it is read, if nothing was lost
            array[3:6]
        faults.put("a/c/0/0", shard)
        np.testing.assert_array_equal(array[3:6], stored.data[3:6])


def test_a_path_does_not_leave_its_store(field, tmp_path):
    os.symlink(field.path, tmp_path / "elsewhere")
    for path in ("../elsewhere", "a/../../elsewhere", "..", "a/./b", "a//b"):
        with pytest.raises(zarrs_c.Error, match="not a path"):
            sync.open_array(tmp_path, path)
