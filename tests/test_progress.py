"""Progress and figures of single operations: told truly, on the right thread, and of no harm to the read."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import numpy as np
import pytest
from helpers.failing import raised_by_the_call
from helpers.loops import idle, small, wait_until
from helpers.running import run

import zarrs_c
from zarrs_c import sync

ROWS = min(400, 30 * os.cpu_count())  # of the slow array: a good part of a second


class Watch:
    """Takes progress, and checks of each call what always holds."""

    def __init__(self):
        self.seen, self.times, self.thread = [], [], threading.get_ident()

    def __call__(self, progress):
        assert isinstance(progress, zarrs_c.Progress)
        assert threading.get_ident() == self.thread
        assert progress.chunks_done <= progress.chunks_total or progress.chunks_total == 0
        if self.seen:
            assert all(old <= new for old, new in zip(self.seen[-1], progress, strict=True))
        self.seen.append(progress)
        self.times.append(time.monotonic())

    def check(self, chunks, nbytes):
        assert self.seen[-1] == (chunks, chunks, nbytes)
        # Timers may be late, never early: but for the last call, which comes when the read ends.
        gaps = np.diff(self.times[:-1])
        assert (gaps > 0.09).all(), gaps


def part_of(slow_array):
    """A buffer for some rows of the slow array, and the selection that fills it."""
    buffer, selection = small(slow_array)
    return buffer[:ROWS], (slice(0, ROWS), selection[1])


def test_a_long_read_tells_its_progress_and_ends_with_all_of_it(running, slow_array):
    async def main():
        watch = Watch()
        buffer, selection = part_of(slow_array)
        await zarrs_c.read_into(buffer, slow_array, selection, progress=watch)
        calls = len(watch.seen)
        assert calls >= 2
        watch.check(ROWS, buffer.nbytes)
        await asyncio.sleep(0.25)
        assert len(watch.seen) == calls, "it was called after the read's end"

    running(main())


def test_a_short_read_tells_its_end_once(running, array, field):
    async def main():
        for read, nbytes, chunks in [
            (lambda watch: zarrs_c.read(array, progress=watch), field.data.nbytes, 90),
            (lambda watch: zarrs_c.read(field.path, np.s_[3:5], progress=watch), 2 * 63 * 4, 9),
            (lambda watch: zarrs_c.read(array, np.s_[0:0], progress=watch), 0, 0),
            (
                lambda watch: zarrs_c.read_many(
                    [(np.empty(63, "f4"), array, row) for row in (0, 1, 50)], progress=watch
                ),
                3 * 63 * 4,
                18,
            ),
        ]:
            watch = Watch()
            await read(watch)
            watch.check(chunks, nbytes)

    running(main())


def test_what_progress_raises_goes_to_the_loops_handler_and_the_read_goes_on(running, slow_array, slow):
    async def main():
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        buffer, selection = part_of(slow_array)

        def fail(progress):
            raise ZeroDivisionError(progress)

        assert await zarrs_c.read_into(buffer, slow_array, selection, progress=fail) is buffer
        np.testing.assert_array_equal(buffer, slow.data[selection])
        kinds = {type(context["exception"]) for context in told}
        assert kinds == {ZeroDivisionError}
        assert len(told) >= 2
        assert told[-1]["exception"].args[0].chunks_done == ROWS

    running(main())


def test_the_end_of_a_cancelled_and_of_a_failed_read_is_told_too(running, slow_array, tmp_path):
    from helpers import simple

    stored = simple.store(tmp_path / "a", simple.random_array((20, 20)), (10, 10))
    stored.chunk_path(1, 1).write_bytes(b"no zstd")
    broken = sync.open_array(stored.path)

    async def main():
        watch = Watch()
        buffer, selection = small(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection, progress=watch)
        await asyncio.sleep(0.15)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        assert len(watch.seen) >= 2
        assert watch.seen[-1].chunks_total == len(buffer)
        assert watch.seen[-1].bytes < buffer.nbytes
        assert idle()
        watch = Watch()
        with pytest.raises(zarrs_c.CodecError):
            await zarrs_c.read(broken, progress=watch)
        assert len(watch.seen) == 1
        assert watch.seen[0].bytes < stored.data.nbytes

    running(main())


def test_progress_may_cancel_its_read(running, slow_array):
    async def main():
        buffer, selection = small(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection, progress=lambda progress: future.cancel())
        with pytest.raises(asyncio.CancelledError):
            await future
        assert idle()

    running(main())


def test_progress_that_cannot_be_called_is_refused(array):
    for value in (True, "bar", 3):
        raised_by_the_call(TypeError, zarrs_c.read, array, progress=value)
        raised_by_the_call(TypeError, zarrs_c.read_many, [], progress=value)
        for call in (lambda: sync.read(array, progress=value), lambda: sync.read_many([], progress=value)):  # noqa: B023
            with pytest.raises(TypeError, match="progress"):
                call()


# ---- Blocking ----


def test_the_blocking_twins_tell_their_progress(slow_array, array, field):
    watch = Watch()
    buffer, selection = part_of(slow_array)
    sync.read_into(buffer, slow_array, selection, progress=watch)
    assert len(watch.seen) >= 2
    watch.check(ROWS, buffer.nbytes)
    watch = Watch()
    sync.read(array, progress=watch)
    watch.check(90, field.data.nbytes)
    watch = Watch()
    sync.read_many([(np.empty(63, "f4"), array, 7)], progress=watch)
    watch.check(9, 63 * 4)


def test_what_progress_raises_ends_a_blocking_read(slow_array, array):
    buffer, selection = small(slow_array)
    calls = []

    def fail(progress):
        calls.append(progress)
        raise ZeroDivisionError

    before = zarrs_c.stats().cancelled
    with pytest.raises(ZeroDivisionError):
        sync.read_into(buffer, slow_array, selection, progress=fail)
    assert idle()
    assert (len(calls), zarrs_c.stats().cancelled) == (1, before + 1)
    with pytest.raises(ZeroDivisionError):
        sync.read(array, progress=fail)
    assert len(calls) == 2


# ---- Figures of one operation ----


def test_the_figures_of_a_read_are_its_own(running, array, field, sharded):
    """Whatever else is read meanwhile, that has no chunk in common with it."""
    other = sync.open_array(sharded.path)

    async def main():
        selection = np.s_[3:25, 10:12]
        others = [zarrs_c.read(other) for _ in range(5)]
        future = zarrs_c.read(array, selection)
        await asyncio.gather(future, *others)
        figures = future.stats()
        assert isinstance(figures, zarrs_c.OpStats)
        files = [field.chunk_path(row, 1) for row in range(3)]
        assert figures == zarrs_c.OpStats(
            requests=3,
            heads=0,
            bytes_fetched=sum(path.stat().st_size for path in files),
            bytes_decoded=3 * 10 * 7 * 4,
            bytes_placed=22 * 2 * 4,
            chunks_decoded=3,
            chunks_missing=0,
            objects_total=3,
            objects_done=3,
            puts=0,
            deletes=0,
            bytes_written=0,
            chunks_encoded=0,
        )
        assert future.stats() == figures

    running(main())


def test_what_small_reads_share_is_counted_for_one_of_them(running, array, field):
    async def main():
        selections = [np.s_[row : row + 3, 10:12] for row in range(20)]
        before = zarrs_c.stats()
        futures = [zarrs_c.read(array, selection) for selection in selections]
        await asyncio.gather(*futures)
        after, figures = zarrs_c.stats(), [future.stats() for future in futures]
        for name in ("requests", "bytes_fetched", "bytes_decoded", "bytes_placed", "chunks_decoded"):
            told = sum(getattr(each, name) for each in figures)
            assert told == getattr(after, name) - getattr(before, name), name
        assert {each.bytes_placed for each in figures} == {3 * 2 * 4}
        # Rows 8, 9, 18 and 19 are where a read has part of two chunks.
        assert [each.objects_done for each in figures] == [1 + (row % 10 > 7) for row in range(20)]
        assert all(each.objects_total == each.objects_done for each in figures)
        assert 3 <= sum(each.chunks_decoded for each in figures) <= 24

    running(main())


def test_figures_grow_during_a_read(running, slow_array):
    async def main():
        buffer, selection = part_of(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection)
        seen = [future.stats()]
        while not future.done():
            await asyncio.sleep(0.01)
            seen.append(future.stats())
        done = [figures.chunks_decoded for figures in seen]
        assert done == sorted(done)
        assert (done[0] < ROWS, done[-1]) == (True, ROWS)
        assert len(set(done)) > 2
        assert {figures.objects_total for figures in seen} == {ROWS}

    running(main())


def test_figures_of_every_kind_of_operation(running, array, field, tmp_path):
    async def main():
        opening = zarrs_c.open_array(field.path, zarr_format=3)
        await opening
        assert (opening.stats().requests, opening.stats().chunks_decoded) == (1, 0)
        encoded = zarrs_c.read_encoded_chunk(array, (0, 0))
        chunk = await encoded
        assert (encoded.stats().requests, encoded.stats().bytes_fetched) == (1, len(chunk))
        many = zarrs_c.read_many([(np.empty(63, "f4"), array, row) for row in range(10)])
        await many
        assert (many.stats().chunks_decoded, many.stats().bytes_placed) == (9, 10 * 63 * 4)
        by_path = zarrs_c.read(field.path, 0)
        await by_path
        assert by_path.stats().chunks_decoded == by_path.stats().objects_done == 9
        assert by_path.stats().requests > 9, "the requests of opening belong to it"
        cancelled = zarrs_c.read(array)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        assert cancelled.stats().bytes_placed <= field.data.nbytes

    running(main())


def test_figures_stay_when_the_loop_is_closed_under_the_read(slow_array):
    async def main():
        buffer, selection = part_of(slow_array)
        future = zarrs_c.read_into(buffer, slow_array, selection, progress=calls.append)
        await asyncio.sleep(0.15)
        return future

    calls = []
    future = run(main())
    told = len(calls)
    wait_until(idle, "the read to end")
    wait_until(lambda: future.stats().objects_done == ROWS, "its figures")
    assert (future.done(), len(calls)) == (False, told)
