"""Store the GLOBE land/sea mask as Zarr v3, once: zstd chunks, and zstd chunks in shards.

The mask (NOAA's GLOBE elevation model at 30 arc-seconds; True is sea) comes with the package
global-land-mask. The arrays are written under another name and renamed when they are complete, so what is
found is whole.
"""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np
import tensorstore as ts
from progress import Progress

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "demo"
SHAPE = (21_600, 43_200)  # 30 arc-seconds: latitude from 90° north, longitude from 180° west
BAND = 3_600  # rows written at a time: a multiple of every chunk and shard below

ZSTD = [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 5, "checksum": False}}]
LAYOUTS = {  # folder: (chunks, inner chunks)
    "globe-zstd-1200.zarr": ((1_200, 1_200), None),
    "globe-zstd-600-in-shards-3600.zarr": ((3_600, 3_600), (600, 600)),
}


def source_mask() -> np.ndarray:
    """The mask out of the package's own file (importing the package would load it a second time)."""
    package = Path(importlib.util.find_spec("global_land_mask").origin).parent
    with np.load(package / "globe_combined_mask_compressed.npz") as archive:
        return archive["mask"]


def metadata(chunks, inner_chunks) -> dict:
    codecs = ZSTD
    if inner_chunks:
        index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
        sharding = {"chunk_shape": inner_chunks, "codecs": ZSTD, "index_codecs": index}
        codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    return {
        "shape": SHAPE,
        "data_type": "bool",
        "fill_value": False,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "dimension_names": ["latitude", "longitude"],
        "codecs": codecs,
    }


def store(mask: np.ndarray, folder: Path, chunks, inner_chunks) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="unfinished-") as scratch:
        unfinished = Path(scratch) / folder.name
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(unfinished)},
            "metadata": metadata(chunks, inner_chunks),
        }
        array = ts.open(spec, create=True).result()
        with Progress(folder.name, SHAPE[0] // BAND) as progress:
            for row in range(0, SHAPE[0], BAND):
                array[row : row + BAND].write(mask[row : row + BAND]).result()
                progress.step()
        unfinished.rename(folder)


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    missing = [name for name in LAYOUTS if not (CACHE / name).exists()]
    if not missing:
        return
    print(f"storing the GLOBE land/sea mask, {SHAPE[0]:,} x {SHAPE[1]:,}, as Zarr v3 in {CACHE}", flush=True)
    with Progress("loading the source", 1):
        mask = source_mask()
    for name in missing:
        store(mask, CACHE / name, *LAYOUTS[name])


if __name__ == "__main__":
    main()
