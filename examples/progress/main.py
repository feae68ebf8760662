"""Read an array, or some of its rows, behind a progress bar, and say what the read did.

python examples/progress/main.py /data/era5.zarr/t2m
python examples/progress/main.py s3://bucket/era5.zarr/t2m --rows 0:24 --option aws_skip_signature=true
"""

import argparse
import asyncio

from tqdm import tqdm

import zarrs_c


async def read_behind_a_bar(array, selection):
    """The selection, and the figures of the read."""
    with tqdm(unit=" chunks") as bar:

        def show(progress):
            bar.total = progress.chunks_total
            bar.set_postfix_str(f"{progress.bytes / 1e6:,.1f} MB", refresh=False)
            bar.update(progress.chunks_done - bar.n)

        future = zarrs_c.read(array, selection, progress=show)
        return await future, future.stats()


async def main(url, rows, options):
    array = await zarrs_c.open_array(url, storage_options=options)
    data, figures = await read_behind_a_bar(array, rows)
    print(f"{data.shape} of {data.dtype}, from {data.min()} to {data.max()}")
    print(
        f"{figures.requests:,} requests, {figures.bytes_fetched:,} bytes fetched,"
        f" {figures.chunks_decoded:,} chunks decoded, {figures.chunks_missing:,} missing"
    )


def rows_of(text):
    return slice(*(int(part) if part else None for part in text.split(":")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="URL or path of an array")
    parser.add_argument("--rows", type=rows_of, default=..., help="such as 0:24; all, without")
    parser.add_argument("--option", action="append", default=[], help="KEY=VALUE for the store")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.url, arguments.rows, dict(one.split("=", 1) for one in arguments.option)))
