"""Python objects as stores: what each offers, turned into the five things that the library asks of a store.

A store's methods are `async def`s, or plain ones, which run on threads of their own. Nothing here knows of C.
"""

import asyncio
import collections
import threading
from inspect import isawaitable, iscoroutinefunction

PLAIN_CALLS = 32  # of plain methods at once, over all stores

MISSING = (KeyError, FileNotFoundError)


def adapt(store):
    """An adapter for `store`; None for what is no store."""
    if callable(getattr(store, "get_async", None)) and callable(getattr(store, "head_async", None)):
        return Obstore(store)
    if callable(getattr(store, "get", None)) and not isinstance(store, type):
        return Methods(store)
    return None


class Obstore:
    """obstore's interface: methods whose names end in _async, keywords, mappings with what is known of a value."""

    KINDS = frozenset({"size", "put", "erase", "list"})

    def __init__(self, store):
        self.store = store
        # Azure knows no ranges that are counted from the end.
        self.takes_suffixes = "Azure" not in type(store).__name__

    async def get(self, key, start, length, suffix):
        if suffix:
            options = {"range": {"suffix": length}}
        elif length is None:
            options = {"range": {"offset": start}} if start else None
        else:
            options = {"range": (start, start + length)}
        try:
            result = await self.store.get_async(key, options=options)
        except MISSING:
            raise
        except Exception:
            if suffix or length is None or start < (size := (await self.size(key))[0]):
                raise
            return b"", size, None  # the range lies beyond the value's end
        return await result.bytes_async(), result.meta["size"], result.meta["e_tag"]

    async def size(self, key):
        meta = await self.store.head_async(key)
        return meta["size"], meta["e_tag"]

    async def put(self, key, data):
        return (await self.store.put_async(key, data))["e_tag"]

    async def erase(self, key):
        await self.store.delete_async(key)

    async def list(self, prefix):
        return [
            (item["path"], item["size"]) for item in await self.store.list(prefix or None).collect_async()
        ]


class Methods:
    """Methods named get, get_range or get_ranges, head, put, delete, list: all but the first may be absent."""

    takes_suffixes = True

    def __init__(self, store):
        self.store = store
        names = {"size": "head", "put": "put", "erase": "delete", "list": "list"}
        self.KINDS = frozenset(kind for kind, name in names.items() if callable(getattr(store, name, None)))

    async def get(self, key, start, length, suffix):
        if length is None and start == 0:
            data = await self._get(key)
            return data, len(memoryview(data).cast("B")), None
        ranged = next((name for name in ("get_range", "get_ranges") if hasattr(self.store, name)), None)
        size = None
        if suffix and ranged and "size" in self.KINDS:
            size = (await self.size(key))[0]
            start, length = max(size - length, 0), min(size, length)
        elif suffix or length is None or not ranged:
            data = memoryview(await self._get(key)).cast("B")
            size = len(data)
            if suffix:
                return data[max(size - length, 0) :], size, None
            return data[start : size if length is None else start + length], size, None
        if ranged == "get_range":
            data = await called(self.store.get_range, key, start=start, end=start + length)
        else:
            (data,) = await called(self.store.get_ranges, key, starts=[start], ends=[start + length])
        return present(key, data), size, None

    async def _get(self, key):
        return present(key, await called(self.store.get, key))

    async def size(self, key):
        found = present(key, await called(self.store.head, key))
        if isinstance(found, int):
            return found, None
        return found["size"], found.get("e_tag")

    async def put(self, key, data):
        await called(self.store.put, key, data)

    async def erase(self, key):
        await called(self.store.delete, key)

    async def list(self, prefix):
        found = await called(self.store.list, prefix)
        if hasattr(found, "__aiter__"):
            found = [item async for item in found]
        return [entry(item) for item in found]


def present(key, value):
    if value is None:
        raise KeyError(key)
    return value


def entry(item):
    """What a listing gives for a value: its key, (key, size), or a mapping with "path" and "size"."""
    if isinstance(item, str):
        return item, 0
    if isinstance(item, tuple):
        return item
    return item["path"], item["size"]


async def called(method, *arguments, **keywords):
    """Call a method: an `async def` here, a plain one on a thread of its own. An awaitable result is awaited."""
    if iscoroutinefunction(method):
        return await method(*arguments, **keywords)
    result = await _plain.call(method, arguments, keywords)
    return await result if isawaitable(result) else result


class PlainCalls:
    """Daemon threads for plain methods: one that blocks for ever does not keep the interpreter from ending."""

    def __init__(self):
        self.lock = threading.Condition()
        self.waiting = collections.deque()
        self.idle = self.threads = 0

    async def call(self, method, arguments, keywords):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with self.lock:
            self.waiting.append((loop, future, method, arguments, keywords))
            if self.idle:
                self.idle -= 1  # that thread is spoken for
                self.lock.notify()
            elif self.threads < PLAIN_CALLS:
                self.threads += 1
                threading.Thread(target=self._work, name="zarrs_c store call", daemon=True).start()
        return await future

    def _work(self):
        while True:
            with self.lock:
                while not self.waiting:
                    self.idle += 1
                    self.lock.wait()
                loop, future, method, arguments, keywords = self.waiting.popleft()
            try:
                outcome = future.set_result, method(*arguments, **keywords)
            except BaseException as error:
                outcome = future.set_exception, as_raised(error)
            try:
                loop.call_soon_threadsafe(settle, future, *outcome)
            except RuntimeError:
                return  # the loop is closed: the interpreter is ending
            del loop, future, method, arguments, keywords, outcome


def as_raised(error):
    """An exception that a future takes: it has its own mind about StopIteration."""
    return RuntimeError(repr(error)) if isinstance(error, StopIteration) else error


def settle(future, how, outcome):
    if not future.done():
        how(outcome)


_plain = PlainCalls()


def forget_threads():
    """In a forked child, which has none of them."""
    global _plain
    _plain = PlainCalls()
