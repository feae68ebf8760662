"""Stores that are Python objects: read and written as any other, on a thread of Python's own."""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading

import numpy as np
import pytest
from helpers.running import python, run

import zarrs_c
from zarrs_c import sync

ROWS = np.s_[3:4]


class Plain:
    """Blocking methods, the fewest that do. Counts its calls."""

    def __init__(self, values):
        self.values, self.calls, self.threads = values, [], set()

    def _called(self, *what):
        self.calls.append(what)
        self.threads.add(threading.current_thread())

    def get(self, key):
        self._called("get", key)
        return self.values[key]


class Async(Plain):
    """Everything, and asynchronous."""

    async def get(self, key):
        self._called("get", key)
        await asyncio.sleep(0)
        return self.values.get(key)  # None for a missing value

    async def get_range(self, key, *, start, end):
        self._called("get_range", key, start, end)
        return memoryview(self.values[key])[start:end]

    async def head(self, key):
        self._called("head", key)
        return {"size": len(self.values[key])}

    async def put(self, key, data):
        self._called("put", key)
        self.values[key] = bytes(data)

    async def delete(self, key):
        self._called("delete", key)
        del self.values[key]

    async def list(self, prefix):
        self._called("list", prefix)
        for key in [key for key in self.values if key.startswith(prefix)]:
            yield key, len(self.values[key])


class Ranges(Plain):
    """get_ranges instead of get_range, and a head that gives a number."""

    def get_ranges(self, key, *, starts, ends):
        self._called("get_ranges", key, starts, ends)
        return [self.values[key][start:end] for start, end in zip(starts, ends, strict=True)]

    def head(self, key):
        return len(self.values[key])


def obstore_memory(values):
    import obstore
    from obstore.store import MemoryStore

    store = MemoryStore()
    for key, value in values.items():
        obstore.put(store, key, value)
    return store


@pytest.fixture(scope="session")
def values(field, sharded):
    """Both arrays as a mapping."""
    found = {}
    for name, stored in {"field": field, "sharded": sharded}.items():
        for path in stored.path.glob("**/*"):
            if path.is_file():
                found[f"{name}/{path.relative_to(stored.path)}"] = path.read_bytes()
    return found


KINDS = {"plain": Plain, "async": Async, "ranges": Ranges, "obstore": obstore_memory}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def store(request, values):
    return request.param(dict(values))


def test_arrays_read_as_from_files(store, field, sharded, running):
    async def main():
        opened = zarrs_c.open_store(store)
        for name, data in [("field", field.data), ("sharded", sharded.data)]:
            array = await zarrs_c.open_array(opened, name)
            assert (await zarrs_c.read(array) == data).all()
            assert (await zarrs_c.read(array, np.s_[::-2, 5:9]) == data[::-2, 5:9]).all()

    running(main())
    for name, data in [("field", field.data), ("sharded", sharded.data)]:
        array = sync.open_array(store, name)
        assert (array[...] == data).all()
        assert (array[ROWS] == data[ROWS]).all()


def test_a_missing_array_and_missing_chunks(values, field):
    with pytest.raises(zarrs_c.NotFoundError, match="no array there"):
        sync.open_array(Async(dict(values)), "nothing")
    fewer = {key: value for key, value in values.items() if key != "field/c/0/0"}
    data = field.data.copy()
    data[:10, :7] = 0
    for kind in (Plain, Async):
        assert (sync.open_array(kind(fewer), "field")[...] == data).all()


def test_a_shard_is_read_by_its_index_and_by_merged_ranges(values):
    store = Async(dict(values))
    array = sync.open_array(store, "sharded")
    store.calls.clear()
    array[0:1, 0:10]
    kinds = [call[0] for call in store.calls]
    assert kinds == ["head", "get_range", "get_range"], (
        store.calls
    )  # the index at the end, two inner chunks as one


@pytest.mark.parametrize("kind", [Async, obstore_memory])
def test_writing(kind):
    store = kind({})
    array = sync.create_array(store, "new", shape=(20, 20), chunks=(10, 10), dtype="int16", shards=(20, 20))
    data = np.arange(400, dtype="int16").reshape(20, 20)
    sync.write(array, data)
    array[3:5, 2:4] = 7
    data[3:5, 2:4] = 7
    assert (sync.open_array(store, "new")[...] == data).all()
    sync.create_array(store, "new", shape=(4,), chunks=(4,), dtype="u1", overwrite=True)
    assert sync.open_array(store, "new")[...].tolist() == [0] * 4


def test_what_a_store_cannot_do_is_said(values):
    array = sync.open_array(Plain(dict(values)), "field")
    with pytest.raises(zarrs_c.UnsupportedError, match='no "put"'):
        sync.write(array, np.ones((95, 63), "float32"))


def test_methods_run_on_threads_of_python(values):
    store = Plain(dict(values))
    sync.open_array(store, "field")[...]
    names = {thread.name for thread in store.threads}
    assert names == {"zarrs_c store call"}
    assert threading.current_thread() not in store.threads
    store = Async(dict(values))
    sync.open_array(store, "field")[...]
    assert {thread.name for thread in store.threads} == {"zarrs_c stores"}


def test_plain_methods_run_side_by_side(values):
    barrier = threading.Barrier(4)

    class Meeting(Plain):
        def get(self, key):
            if "/c/" in key:
                barrier.wait(60)  # passes only when four calls are in it at once
            return self.values[key]

    array = sync.open_array(Meeting(dict(values)), "field")
    sync.read(array, np.s_[:20, :14])


def test_errors_of_methods_are_the_reads(values):
    class Broken(Plain):
        def get(self, key):
            if "/c/" in key:
                raise ZeroDivisionError("no luck\0 today")
            return self.values[key]

    array = sync.open_array(Broken(dict(values)), "field")
    with pytest.raises(zarrs_c.StorageError, match="ZeroDivisionError: no luck  today") as caught:
        array[ROWS]
    assert caught.value.key.startswith("field/c/0/")


@pytest.mark.parametrize("answer", ["text", 5, b"short"])
def test_wrong_answers_are_errors(answer, values):
    class Wrong(Async):
        async def get_range(self, key, *, start, end):
            return answer

    array = sync.open_array(Wrong(dict(values)), "sharded")
    with pytest.raises(zarrs_c.Error):
        array[0:1, 0:1]


def test_a_cancelled_read_cancels_its_methods(values):
    cancelled, started = threading.Event(), threading.Event()

    class Hanging(Async):
        async def get(self, key):
            if "/c/" not in key:
                return self.values.get(key)
            started.set()
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    async def main():
        array = await zarrs_c.open_array(Hanging(dict(values)), "field")
        future = zarrs_c.read(array, np.s_[0:1, 0:1])
        await asyncio.to_thread(started.wait, 60)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main())
    assert cancelled.wait(60)


def test_the_object_is_let_go(values):
    import gc
    import weakref

    store = Async(dict(values))
    gone = threading.Event()
    known = weakref.ref(store, lambda _: gone.set())
    array = sync.open_array(store, "field")
    array[ROWS]
    del store, array
    gc.collect()
    assert gone.wait(60), gc.get_referrers(known())


def test_a_blocking_read_in_a_method_is_refused_not_deadlocked(values):
    class Nested(Async):
        async def get(self, key):
            if "/c/" in key:
                sync.open_array(Async(self.values), "field")
            return self.values.get(key)

    array = sync.open_array(Nested(dict(values)), "field")
    with pytest.raises(zarrs_c.StorageError, match="use the asynchronous call"):
        array[ROWS]


def test_pickles_when_the_object_does(values, field):
    array = sync.open_array(Plain_at(str(field.path.parent)), field.path.name)
    assert (pickle.loads(pickle.dumps(array))[...] == field.data).all()


class Plain_at:
    def __init__(self, folder):
        self.folder = folder

    def get(self, key):
        with open(os.path.join(self.folder, key), "rb") as file:
            return file.read()


def test_what_is_no_store_is_refused():
    for thing in (3, object(), dict):
        with pytest.raises(TypeError, match="a store is a URL, a path"):
            zarrs_c.open_store(thing)
    with pytest.raises(TypeError, match="storage_options belong to a URL"):
        zarrs_c.open_store({}, {"a": "b"})
    assert repr(zarrs_c.open_store({})) == "<zarrs_c.Store python:dict>"


PROGRAM = """
    import asyncio, os, sys, threading, time
    import numpy as np
    import zarrs_c
    from zarrs_c import sync

    class Files:
        def __init__(self, hang=None):
            self.hang = hang
        def get(self, key):
            if self.hang == "plain" and "/c/" in key:
                time.sleep(1000)
            with open(os.path.join(sys.argv[1], key), "rb") as file:
                return file.read()
    class Slow(Files):
        async def get(self, key):
            if "/c/" in key:
                await asyncio.sleep(1000)
            return Files.get(self, key)

    async def leave(store):
        array = await zarrs_c.open_array(store, sys.argv[2])
        zarrs_c.read(array)
        await asyncio.sleep(0.05)
"""

FORK = (
    PROGRAM
    + """
    array = sync.open_array(Files(), sys.argv[2])
    data = array[...]
    child = os.fork()
    if child == 0:
        try:
            array[...]
        except zarrs_c.ForkedError as error:
            assert "belongs to the parent process" in str(error)
            assert (sync.open_array(Files(), sys.argv[2])[...] == data).all()
            sys.exit(3)
        sys.exit(4)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert (array[...] == data).all()
    print(status)
"""
)


def test_after_a_fork_the_child_opens_its_own(field):
    assert (
        python(FORK, field.path.parent, field.path.name, flags=["-X", "dev", "-W", "error"]).stdout == "3\n"
    )


@pytest.mark.parametrize("store", ["Files('plain')", "Slow()"])
def test_exits_with_methods_under_way(store, field):
    program = PROGRAM + f"    asyncio.run(leave({store}))\n    print('left')\n"
    done = python(program, field.path.parent, field.path.name, flags=["-X", "dev", "-W", "error"])
    assert done.stdout == "left\n"


@pytest.mark.skipif(sys.platform == "win32", reason="threads are named by POSIX")
def test_nothing_starts_before_there_is_such_a_store():
    program = "import sys, threading, zarrs_c; print(threading.active_count(), 'asyncio' in sys.modules)"
    assert python(program).stdout == "1 False\n"


def test_many_arrays_and_loops_share_one_thread(values, field):
    async def main():
        arrays = [await zarrs_c.open_array(Async(dict(values)), "field") for _ in range(5)]
        results = await asyncio.gather(*(zarrs_c.read(array) for array in arrays for _ in range(4)))
        assert all((result == field.data).all() for result in results)

    threads = [threading.Thread(target=lambda: run(main())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(thread.name == "zarrs_c stores" for thread in threading.enumerate()) == 1


def test_random_boxes(values, field, sharded):
    rng = np.random.default_rng(3)
    arrays = [
        (sync.open_array(Async(dict(values)), n), s.data) for n, s in [("field", field), ("sharded", sharded)]
    ]
    for _ in range(40):
        array, data = arrays[rng.integers(2)]
        box = tuple(slice(*sorted(rng.integers(0, n + 1, 2))) for n in data.shape)
        assert (array[box] == data[box]).all()
