"""The seeded program that decides which arrays the differential tests write.

A `Spec` says everything about one array; `specs(seed, count)` gives the same list for the same seed. Every data type,
codec chain, shape and layout is visited in turn, and what it is combined with is drawn at random.
"""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass, field, replace

import numpy as np

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
PLAIN = ["bool", *INTEGERS, *FLOATS, *COMPLEX]
TIMES = ["M8[D]", "M8[ns]", "M8[10us]", "m8[s]", "m8[ns]", "m8[25ms]"]
STRINGS = ["U1", "U7"]
RAW = ["V1", "V5", "V16"]

# zarrs has no v2 form of times, and no v3 form of raw bytes that zarr-python writes.
DTYPES = {2: [*PLAIN, *STRINGS, *RAW], 3: [*PLAIN, *TIMES, *STRINGS]}

# (shape, chunks): primes, edges, chunks larger than the array, one element, no element, no dimension, many dimensions.
SHAPES = [
    ((), ()),
    ((1,), (1,)),
    ((0,), (3,)),
    ((97,), (10,)),
    ((64,), (64,)),
    ((5,), (100,)),
    ((200,), (1,)),
    ((31, 37), (7, 5)),
    ((16, 16), (8, 8)),
    ((1, 53), (1, 53)),
    ((53, 1), (8, 1)),
    ((40, 0), (8, 3)),
    ((3, 4), (50, 60)),
    ((13, 17, 11), (4, 17, 3)),
    ((8, 8, 8), (4, 4, 8)),
    ((2, 3, 5), (2, 3, 5)),
    ((7, 0, 3), (2, 2, 2)),
    ((5, 7, 3, 4), (2, 3, 3, 1)),
    ((4, 4, 4, 4), (4, 2, 4, 2)),
    ((3, 2, 4, 5, 3), (2, 2, 3, 2, 2)),
]

# Chunks of some MB, where a reader may go other ways than with small ones.
LARGE_SHAPES = [
    ((1100, 1300), (512, 700)),
    ((3, 900, 700), (2, 900, 512)),
    ((150, 140, 130), (64, 140, 128)),
    ((2_000_000,), (750_000,)),
]
LARGE_CHAINS = [
    "raw",
    "zstd",
    "zstd-crc32c",
    "gzip",
    "blosc-lz4-shuffle",
    "blosc-zstd-bitshuffle",
    "transpose-zstd",
]

# How many times larger a shard is than its inner chunk, along each dimension in turn.
SHARD_FACTORS = [(1, 1, 1, 1, 1), (2, 2, 2, 2, 2), (1, 3, 2, 1, 1), (4, 1, 1, 2, 1), (5, 7, 1, 1, 2)]

BLOSC = [
    {"cname": cname, "clevel": clevel, "shuffle": shuffle}
    for (cname, shuffle), clevel in zip(
        itertools.product(
            ["lz4", "lz4hc", "blosclz", "snappy", "zlib", "zstd"], ["noshuffle", "shuffle", "bitshuffle"]
        ),
        itertools.cycle([1, 5, 9, 3, 0]),
    )
    if cname != "snappy"  # numcodecs' wheels have no snappy
]


@dataclass(frozen=True)
class Chain:
    """A chain of codecs, and the data types that it takes (`kinds`: NumPy's kind characters, None for any)."""

    name: str
    filters: tuple = ()
    serializer: dict | None = None
    compressors: tuple = ()
    kinds: str | None = None
    itemsizes: tuple | None = None
    lossless: bool = True

    @property
    def takes_any_endian(self) -> bool:
        """Whether a bytes codec, which has an endianness, does the serializing."""
        return self.serializer is None and not {"pcodec", "zfpy"} & {c.get("id") for c in self.compressors}

    def takes(self, dtype: np.dtype) -> bool:
        return (self.kinds is None or dtype.kind in self.kinds) and (
            self.itemsizes is None or dtype.itemsize in self.itemsizes
        )


def v3(name, **configuration):
    return {"name": name, "configuration": configuration}


def v2(name, **configuration):
    return {"id": name, **configuration}


ZSTD = v3("zstd", level=1, checksum=False)
CRC = {"name": "crc32c"}

CHAINS_V3 = [
    Chain("raw"),
    Chain("zstd", compressors=(ZSTD,)),
    Chain("zstd-checksum", compressors=(v3("zstd", level=3, checksum=True),)),
    Chain("gzip", compressors=(v3("gzip", level=5),)),
    Chain("crc32c", compressors=(CRC,)),
    Chain("zstd-crc32c", compressors=(ZSTD, CRC)),
    Chain("gzip-zstd", compressors=(v3("gzip", level=1), ZSTD)),
    *(
        Chain(f"blosc-{b['cname']}-{b['shuffle']}", compressors=(v3("blosc", typesize=0, blocksize=0, **b),))
        for b in BLOSC
    ),
    Chain("zlib", compressors=(v3("numcodecs.zlib", level=3),)),
    Chain("bz2", compressors=(v3("numcodecs.bz2", level=1),)),
    Chain("adler32", compressors=(v3("numcodecs.adler32"),)),
    # Of an even number of bytes: see test_known_limits.py.
    Chain("fletcher32", compressors=(v3("numcodecs.fletcher32"),), itemsizes=(2, 4, 8, 16)),
    Chain("shuffle-zstd", compressors=(v3("numcodecs.shuffle", elementsize=0), ZSTD)),
    Chain("transpose", filters=(v3("transpose", order="reverse"),)),
    Chain("transpose-zstd", filters=(v3("transpose", order="random"),), compressors=(ZSTD,)),
    Chain("transpose-twice", filters=(v3("transpose", order="reverse"), v3("transpose", order="random"))),
    Chain("bitround", filters=(v3("numcodecs.bitround", keepbits=4),), kinds="f", lossless=False),
    Chain(
        "fixedscaleoffset",
        filters=(v3("numcodecs.fixedscaleoffset", scale=8, offset=3, dtype="same", astype="i2"),),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
    Chain("pcodec", serializer=v3("numcodecs.pcodec", level=4), kinds="iuf", itemsizes=(2, 4, 8)),
    Chain(
        "pcodec-crc32c",
        serializer=v3("numcodecs.pcodec", level=1),
        compressors=(CRC,),
        kinds="iu",
        itemsizes=(4, 8),
    ),
    Chain(
        "zfpy-precision",
        serializer=v3("numcodecs.zfpy", mode=3, precision=20),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
    Chain(
        "zfpy-default",
        serializer=v3("numcodecs.zfpy", mode=4, tolerance=-1),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
    Chain(
        "zfpy-tolerance",
        serializer=v3("numcodecs.zfpy", mode=4, tolerance=0.01),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
    Chain(
        "zfpy-rate",
        serializer=v3("numcodecs.zfpy", mode=2, rate=12),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
]

CHAINS_V2 = [
    Chain("raw"),
    Chain("zstd", compressors=(v2("zstd", level=1),)),
    Chain("zstd-checksum", compressors=(v2("zstd", level=3, checksum=True),)),
    Chain("gzip", compressors=(v2("gzip", level=5),)),
    Chain("zlib", compressors=(v2("zlib", level=5),)),
    Chain("bz2", compressors=(v2("bz2", level=1),)),
    *(
        Chain(
            f"blosc-{b['cname']}-{b['shuffle']}",
            compressors=(v2("blosc", blocksize=0, **{**b, "shuffle": SHUFFLE_NUMBER[b["shuffle"]]}),),
        )
        for SHUFFLE_NUMBER in [{"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}]
        for b in BLOSC
    ),
    Chain("shuffle-zlib", filters=(v2("shuffle", elementsize=0),), compressors=(v2("zlib", level=1),)),
    Chain("adler32", filters=(v2("adler32"),), compressors=(v2("zstd", level=1),)),
    Chain(
        "fletcher32", filters=(v2("fletcher32"),), compressors=(v2("gzip", level=1),), itemsizes=(2, 4, 8, 16)
    ),
    Chain(
        "fixedscaleoffset",
        filters=(v2("fixedscaleoffset", scale=8, offset=3, dtype="same", astype="<i2"),),
        compressors=(v2("zlib", level=1),),
        kinds="f",
        itemsizes=(4, 8),
        lossless=False,
    ),
    Chain("pcodec", compressors=(v2("pcodec", level=2),), kinds="iuf", itemsizes=(2, 4, 8)),
    Chain(
        "zfpy", compressors=(v2("zfpy", mode=4, tolerance=0.01),), kinds="f", itemsizes=(4, 8), lossless=False
    ),
]

if importlib.util.find_spec("zfpy") is None:  # it has no wheels for Python 3.13
    CHAINS_V3 = [chain for chain in CHAINS_V3 if not chain.name.startswith("zfpy")]
    CHAINS_V2 = [chain for chain in CHAINS_V2 if not chain.name.startswith("zfpy")]

INDEX_CODECS = {
    "crc32c": [v3("bytes", endian="little"), CRC],
    "bare": [v3("bytes", endian="little")],
    "big": [v3("bytes", endian="big"), CRC],
}


@dataclass(frozen=True)
class Sharding:
    """How inner chunks lie in a shard. `nested` > 1 puts shards in shards; `outer` are codecs around the shard."""

    factors: tuple
    index_location: str = "end"
    index_codecs: str = "crc32c"
    nested: bool = False
    transposed: bool = False
    outer: tuple = ()


@dataclass(frozen=True)
class Spec:
    number: int
    zarr_format: int
    dtype: str
    shape: tuple
    chunks: tuple
    chain: Chain
    endian: str = "little"
    order: str = "C"
    sharding: Sharding | None = None
    separator: str | None = None
    holes: float = 0.0
    write_empty: bool = False
    fill_value: object = field(default=0)
    seed: int = 0

    @property
    def id(self) -> str:
        parts = [f"{self.number:03d}", f"v{self.zarr_format}", self.dtype, self.chain.name]
        if self.sharding:
            parts.append("nested-shards" if self.sharding.nested else "shards")
        if self.endian == "big":
            parts.append("big")
        if self.order == "F":
            parts.append("F")
        return "-".join([*parts, "x".join(map(str, self.shape)) or "0d"])

    def numpy_dtype(self) -> np.dtype:
        """The data type as stored."""
        return np.dtype(self.dtype).newbyteorder(">" if self.endian == "big" else "<")


def special_fill(rng, dtype: np.dtype, chance=0.6):
    """A fill value: 0 often, else one that is easily got wrong."""
    if rng.random() > chance:
        return {"U": "", "b": False}.get(dtype.kind, 0)
    pick = lambda values: values[rng.integers(len(values))]  # noqa: E731
    if dtype.kind == "f":
        return pick([float("nan"), float("inf"), -float("inf"), -0.0, 1.5, 0.1])
    if dtype.kind == "c":
        return complex(pick([float("nan"), 1.5, -0.0]), pick([float("inf"), 2.25, -0.0]))
    if dtype.kind in "iu":
        return int(pick([np.iinfo(dtype).max, np.iinfo(dtype).min, 42]))
    return {"b": True, "U": "é", "M": "NaT", "m": "NaT"}.get(dtype.kind, 0)


def complete(rng, number: int, zarr_format: int, dtype=None, chain=None, shape=None, sharded=None) -> Spec:
    """A spec with what is given, and the rest drawn at random so that it fits."""
    pick = lambda values: values[rng.integers(len(values))]  # noqa: E731
    chains = CHAINS_V3 if zarr_format == 3 else CHAINS_V2
    dtype = dtype or pick([d for d in DTYPES[zarr_format] if chain is None or chain.takes(np.dtype(d))])
    chain = chain or pick([c for c in chains if c.takes(np.dtype(dtype))])
    shape, chunks = shape or pick(SHAPES)
    if chain.name.startswith("zfpy"):  # zfp compresses one to four dimensions
        while not 1 <= len(shape) <= 4:
            shape, chunks = pick(SHAPES)
    if "transpose" in chain.name:  # zarrs has no permutation of no dimension
        while not shape:
            shape, chunks = pick(SHAPES)
    spec = Spec(
        number=number,
        zarr_format=zarr_format,
        dtype=dtype,
        shape=shape,
        chunks=chunks,
        chain=chain,
        endian="big"
        if rng.random() < 0.3 and chain.takes_any_endian and np.dtype(dtype).itemsize > 1
        else "little",
        separator=pick([None, ".", "/"]),
        holes=float(pick([0.0, 0.0, 0.3, 0.7, 1.0])),
        write_empty=bool(rng.random() < 0.3),
        fill_value=special_fill(rng, np.dtype(dtype)),
        seed=int(rng.integers(2**31)),
    )
    if chain.name == "fixedscaleoffset":  # see test_known_limits.py
        spec = replace(spec, endian="little", fill_value=0)
    if zarr_format == 2:
        return replace(spec, order="C" if chain.name == "zfpy" else pick(["C", "F"]))
    if (rng.random() < 0.35 if sharded is None else sharded) and shape and 0 not in shape:
        sharding = random_sharding(rng, spec)
        # zarr-python checks inner chunks against the shard as if there were no transpose around them.
        chunks = (min(chunks),) * len(chunks) if sharding.transposed else chunks
        spec = replace(spec, sharding=sharding, chunks=chunks)
    return spec


def random_sharding(rng, spec: Spec) -> Sharding:
    pick = lambda values: values[rng.integers(len(values))]  # noqa: E731
    nested = bool(rng.random() < 0.2) and not spec.chain.filters
    return Sharding(
        # zarr-python gives pcodec and zfpy inner chunks as slices of the shard, and they want contiguous ones.
        factors=pick(SHARD_FACTORS) if spec.chain.serializer is None else (3, 1, 1, 1, 1),
        index_location=pick(["end", "start"]),
        index_codecs=pick(list(INDEX_CODECS)),
        nested=nested,
        transposed=bool(rng.random() < 0.1) and spec.chain.serializer is None,
        outer=pick([(), (), (), (), (v3("gzip", level=1),), (CRC,)]),
    )


def specs(seed: int, count: int) -> list[Spec]:
    """`count` specs or more: first a visit to every data type, chain and shape, then whatever comes."""
    rng = np.random.default_rng(seed)
    made: list[Spec] = []

    def add(zarr_format, **given):
        made.append(complete(rng, len(made), zarr_format, **given))

    for zarr_format, chains in ((3, CHAINS_V3), (2, CHAINS_V2)):
        for chain in chains:
            add(zarr_format, chain=chain, shape=((29, 23), (8, 6)), sharded=False)
        for dtype in DTYPES[zarr_format]:
            add(zarr_format, dtype=dtype)
    for chain in CHAINS_V3:
        add(3, chain=chain, shape=((19, 30), (3, 5)), sharded=True)
    for zarr_format, shape in itertools.product((3, 2), SHAPES):
        add(zarr_format, shape=shape)
    while len(made) < count:
        add(int(rng.choice([2, 3], p=[0.3, 0.7])))
    return made


def large_specs(seed: int, count: int) -> list[Spec]:
    """`count` specs of large chunks, with or without shards."""
    rng = np.random.default_rng(seed)
    chains = {chain.name: chain for chain in CHAINS_V3}
    dtypes = itertools.cycle(["uint16", "float32", "complex64", "int8", "float64", "bool", "M8[ns]"])
    shapes, names = itertools.cycle(LARGE_SHAPES), itertools.cycle(LARGE_CHAINS)
    return [
        complete(
            rng, 1000 + number, 3, next(dtypes), chains[next(names)], next(shapes), sharded=number % 4 == 3
        )
        for number in range(count)
    ]
