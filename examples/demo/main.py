"""Read the whole world through hundreds of windows at once, into one canvas, and draw it.

Windows of very different sizes tile the world. Each is one `zarrs_c.read_into` whose buffer is a view of the
canvas; all of them are in flight together. The canvas is compared with the source, and zarr-python then does
the same reads.
"""

import asyncio
import random
import time

import numpy as np
from PIL import Image
from prepare import CACHE, LAYOUTS, SHAPE, source_mask
from progress import Progress

import zarrs_c

try:
    import zarr.api.asynchronous as zarr_python
except ImportError:  # it needs Python 3.11
    zarr_python = None

WINDOWS = 700
SHRINK = 16  # elements a pixel, each way
SEA, LAND = np.array([(24, 78, 119), (233, 216, 166)], dtype=np.float32)
UNREAD = 0xFF  # neither True nor False


def tile_the_world(count: int, seed: int = 1) -> list[tuple[slice, slice]]:
    """`count` windows that cover the array once, made by cutting some window in two again and again."""
    rng = random.Random(seed)
    boxes = [((0, SHAPE[0]), (0, SHAPE[1]))]
    while len(boxes) < count:
        box = boxes.pop(rng.randrange(len(boxes)))
        sizes = [stop - start for start, stop in box]
        axis = sizes[1] > sizes[0]
        if sizes[axis] < 2:
            boxes.append(box)
            continue
        start, stop = box[axis]
        cut = rng.randrange(start + 1, stop)
        for part in ((start, cut), (cut, stop)):
            boxes.append((box[0], part) if axis else (part, box[1]))
    return [(slice(*rows), slice(*columns)) for rows, columns in boxes]


async def with_zarrs_c(path, windows, canvas, progress) -> None:
    array = await zarrs_c.open_array(path)
    futures = [zarrs_c.read_into(canvas[window], array, window) for window in windows]
    for future in futures:
        future.add_done_callback(progress.step)
    await asyncio.gather(*futures)


async def with_zarr_python(path, windows, canvas, progress) -> None:
    array = await zarr_python.open_array(store=path, mode="r")

    async def read(window):
        canvas[window] = await array.getitem(window)
        progress.step()

    await asyncio.gather(*map(read, windows))


def run(reader, what: str, path, windows, canvas, source) -> float:
    """Seconds from opening the array to the last window, timed without the check that follows."""
    canvas.view(np.uint8).fill(UNREAD)
    with Progress(what, len(windows)) as progress:
        start = time.perf_counter()
        asyncio.run(reader(path, windows, canvas, progress))
        seconds = time.perf_counter() - start
    for window in windows:
        if not np.array_equal(canvas[window].view(np.uint8), source[window].view(np.uint8)):
            raise SystemExit(f"{what}: {window} differs from the source")
    return seconds


def report(what: str, canvas, seconds: float, more: str) -> None:
    size = canvas.nbytes / 1e6
    print(
        f"  {what:<12} {WINDOWS} reads  {size:,.0f} MB  {seconds:6.2f} s  equal to the source  {more}",
        flush=True,
    )


def picture(canvas) -> Image.Image:
    """The share of sea in each pixel, as a colour between land's and sea's."""
    height, width = SHAPE[0] // SHRINK, SHAPE[1] // SHRINK
    pixels = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        strip = canvas[row * SHRINK : (row + 1) * SHRINK].reshape(SHRINK, width, SHRINK)
        sea = strip.mean(axis=(0, 2), dtype=np.float32)[:, None]
        pixels[row] = LAND + sea * (SEA - LAND)
    return Image.fromarray(pixels)


def main() -> None:
    windows = tile_the_world(WINDOWS)
    sizes = sorted((rows.stop - rows.start) * (columns.stop - columns.start) for rows, columns in windows)
    print(
        f"the world, {SHAPE[0]:,} x {SHAPE[1]:,}, in {len(windows)} windows of {sizes[0]:,} to {sizes[-1]:,}"
        f" elements (median {sizes[len(sizes) // 2]:,}), all read at once into one canvas",
        flush=True,
    )
    with Progress("loading the source", 1):
        source = source_mask()
    canvas = np.empty(SHAPE, bool)
    ours = {}
    for name in LAYOUTS:
        print(name, flush=True)
        before = zarrs_c.stats()
        ours[name] = run(with_zarrs_c, "zarrs_c", CACHE / name, windows, canvas, source)
        decoded = zarrs_c.stats().chunks_decoded - before.chunks_decoded
        report("zarrs_c", canvas, ours[name], f"{decoded:,} chunks decoded")
    picture(canvas).save(CACHE / "world.png")
    print(f"the canvas, as zarrs_c read it: {CACHE / 'world.png'}")
    if zarr_python is None:
        print("zarr-python 3 is not installed: nothing to compare with")
        return
    for name in LAYOUTS:
        print(name, flush=True)
        theirs = run(with_zarr_python, "zarr-python", CACHE / name, windows, canvas, source)
        report("zarr-python", canvas, theirs, f"zarrs_c: {theirs / ours[name]:.1f} times as fast")


if __name__ == "__main__":
    main()
