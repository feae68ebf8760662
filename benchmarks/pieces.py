"""The pieces of a read under pytest-benchmark: planning, scattering, decoding, submission, and the way to the loop.

    python -m pytest benchmarks/pieces.py

Not part of `make test`: times are not what tests assert.
"""

from __future__ import annotations

import asyncio

import common
import data
import numpy as np
import pytest

import zarrs_c
from zarrs_c import sync


@pytest.fixture(scope="session")
def folder():
    common.DATA.mkdir(parents=True, exist_ok=True)
    return common.DATA


@pytest.fixture(scope="session")
def rows(folder):
    return sync.open_array(data.write_rows(folder, 4000, 1024))


@pytest.fixture(scope="session")
def floats(folder):
    return sync.open_array(data.write_floats(folder, 128, 32))


def test_plan_of_a_million_chunks_none_of_which_is_stored(benchmark, tmp_path):
    """Planning and filling alone: one element of each of 100 chunks of a grid of a million."""
    path = data.write(
        tmp_path / "a", (10_000, 10_000), "uint8", (10, 10), [{"name": "bytes"}], lambda a, b: 0
    )
    array, out = sync.open_array(path), np.empty(100, np.uint8)
    benchmark(sync.read_into, out, array, np.s_[5, ::100])


@pytest.mark.parametrize("order", ["C", "F"])
def test_scatter(benchmark, floats, order):
    out = np.empty(floats.shape, floats.dtype, order=order)
    benchmark(sync.read_into, out, floats)


def test_decode_of_one_chunk(benchmark, floats):
    out = np.empty((32, 32, 32), floats.dtype)
    benchmark(sync.read_into, out, floats, np.s_[:32, :32, :32])


def test_submission_alone(benchmark, rows):
    out, futures = np.empty((4000, 1024), np.uint8), []
    parts = list(out)

    async def main():
        def submit():
            futures.append(zarrs_c.read_into(parts[len(futures) % 4000], rows, len(futures) % 4000))

        benchmark.pedantic(submit, rounds=4000)
        await asyncio.gather(*futures)

    asyncio.run(main())


@pytest.mark.parametrize("bridge", ["fd", "dispatcher"])
def test_the_way_there_and_back_of_a_thousand_reads(benchmark, rows, bridge, monkeypatch):
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    parts = list(np.empty((1000, 1024), np.uint8))

    async def main():
        await asyncio.gather(*[zarrs_c.read_into(part, rows, row) for row, part in enumerate(parts)])

    benchmark(lambda: asyncio.run(main()))
