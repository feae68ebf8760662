"""A read over a network tells how far it is, and afterwards what it cost."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from helpers import remote as helpers
from helpers.running import run

import zarrs_c
from zarrs_c import sync


class Watch:
    """Takes progress; each figure may only grow, on the loop's thread."""

    def __init__(self):
        self.seen, self.thread, self.called = [], threading.get_ident(), asyncio.Event()

    def __call__(self, progress):
        assert threading.get_ident() == self.thread
        if self.seen:
            assert all(old <= new for old, new in zip(self.seen[-1], progress, strict=True))
        self.seen.append(progress)
        self.called.set()

    async def until(self, condition):
        """Wait for a call, which comes ten times a second, that fulfils `condition`."""
        while not (self.seen and condition(self.seen[-1])):
            self.called.clear()
            await asyncio.wait_for(self.called.wait(), 30)


def test_progress_follows_what_the_server_lets_through(faults):
    """Some chunks are held back: the figures stand still, however many more calls there are."""
    data = helpers.one_row_chunks(faults, "a", 100)
    array = sync.open_array(faults.url("a"))
    gates = [faults.gate(), faults.gate()]
    for row in range(100):
        if row % 10 < 3:
            faults.rule(f"a/c/{row}/0", gate=gates[row % 10 > 0])

    async def main():
        watch = Watch()
        reading = zarrs_c.read(array, progress=watch)
        for done, gate in ((70, gates[0]), (80, gates[1])):
            await watch.until(lambda progress: progress.chunks_done == done)  # noqa: B023
            calls = len(watch.seen)
            await watch.until(lambda _: len(watch.seen) >= calls + 2)  # noqa: B023
            assert watch.seen[-1] == (done, 100, done * data.shape[1])
            gate.open()
        np.testing.assert_array_equal(await reading, data)
        assert watch.seen[-1] == (100, 100, data.nbytes)

    run(main())


def test_progress_of_a_url_begins_before_it_is_open(faults):
    data = helpers.one_row_chunks(faults, "a", 10)
    gate = faults.gate()
    faults.rule("a/zarr.json", gate=gate)

    async def main():
        watch = Watch()
        reading = zarrs_c.read(faults.url("a"), progress=watch)
        await watch.until(lambda progress: progress.chunks_total == 0)
        gate.open()
        np.testing.assert_array_equal(await reading, data)
        assert watch.seen[-1] == (10, 10, data.nbytes)

    run(main())


@pytest.mark.parametrize("selection", [np.s_[:], np.s_[3:40:9], np.s_[5]], ids=str)
def test_the_figures_of_a_read_are_what_the_server_counted(selection, faults, tmp_path):
    stored = helpers.sharded_rows(tmp_path / "a", shards=4, inner=16)
    array = sync.open_array(helpers.serve(faults, stored, "a"))
    faults.reset()

    async def main():
        reading = zarrs_c.read(array, selection)
        got = await reading
        seen, told = faults.counters, reading.stats()
        assert (told.requests, told.heads, told.bytes_fetched) == (seen.requests, 0, seen.bytes_sent)
        assert told.bytes_placed == got.nbytes
        assert told.objects_done == told.objects_total == len({request.path for request in seen.log})

    run(main())


def test_a_read_that_failed_has_figures_too(faults):
    helpers.one_row_chunks(faults, "a", 4)
    array = sync.open_array(faults.url("a"), storage_options=helpers.QUICK_RETRIES)
    faults.rule("a/c/2/0", status=503)

    async def main():
        reading = zarrs_c.read(array)
        with pytest.raises(zarrs_c.StorageError):
            await reading
        told = reading.stats()
        assert 1 <= told.requests <= 4
        assert told.bytes_placed <= 3 * 256

    run(main())
