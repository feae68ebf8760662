"""zarrs_c through cffi's ABI mode: no compiler, and an awaitable of one's own.

    python zarr_cffi.py URL      # the sum of a 2-d array of float32, row by row, all rows at once

The same declarations serve PyPy, and any program that has the library but not the Python package's modules.
"""

import asyncio
import sys

import cffi

import zarrs_c

ffi = cffi.FFI()
ffi.cdef(zarrs_c.get_cdef())
lib = ffi.dlopen(zarrs_c.get_library_path())


def text(string):
    return ffi.unpack(string.ptr, string.len).decode()


def check(status, error=ffi.NULL):
    if status != lib.ZRC_OK:
        message = text(lib.zrc_error_message(error)) or ffi.string(lib.zrc_status_name(status)).decode()
        lib.zrc_error_free(error)
        raise RuntimeError(message)


def made(function, *arguments):
    """What a function of the form f(..., T **out, zrc_error **error) makes."""
    kind = ffi.typeof(function).args[len(arguments)]
    out, error = ffi.new(kind.item.cname + " *"), ffi.new("zrc_error **")
    check(function(*arguments, out, error), error[0])
    return out[0]


class Zarr:
    """A runtime, and a queue whose descriptor the running loop watches."""

    def __init__(self):
        self.runtime = made(lib.zrc_runtime_new, ffi.NULL)
        self.queue = made(lib.zrc_queue_new)
        self.futures = {}
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(made(lib.zrc_queue_fd, self.queue), self._drain)

    def _drain(self):
        done = ffi.new("zrc_completion[64]")
        done[0].struct_size = ffi.sizeof("zrc_completion")
        for completion in done[0 : lib.zrc_queue_drain(self.queue, done, 64)]:
            future, keep = self.futures.pop(completion.tag)
            try:
                check(completion.status, completion.error)
            except RuntimeError as error:
                future.set_exception(error)
            else:
                future.set_result(keep[0])

    def open(self, url):
        store = made(lib.zrc_store_open, self.runtime, url.encode(), ffi.NULL)
        return made(lib.zrc_array_open, store, b"", ffi.NULL)

    async def read(self, array, start, shape, itemsize):
        """The bytes of a box. A cancelled await leaves the read to itself, and its memory alive until it ends."""
        nbytes = itemsize
        for n in shape:
            nbytes *= n
        data, error = bytearray(nbytes), ffi.new("zrc_error **")
        starts, shapes, memory = (
            ffi.new("uint64_t[]", start),
            ffi.new("uint64_t[]", shape),
            ffi.from_buffer(data),
        )
        region = ffi.new("zrc_region *", [array, starts, shapes, ffi.NULL, memory, nbytes, ffi.NULL])
        future = self.loop.create_future()
        tag = id(future)
        sink = ffi.new("zrc_sink *", [lib.zrc_queue_complete, self.queue, tag])
        self.futures[tag] = future, (data, memory)
        try:
            check(lib.zrc_read_async(self.runtime, region, 1, ffi.NULL, sink, ffi.NULL, error), error[0])
        except RuntimeError:
            del self.futures[tag]
            raise
        return await asyncio.shield(future)


async def main(url):
    zarr = Zarr()
    array = zarr.open(url)
    shape = ffi.new("uint64_t[2]")
    check(lib.zrc_array_shape(array, shape, 2))
    rows = await asyncio.gather(*(zarr.read(array, [i, 0], [1, shape[1]], 4) for i in range(shape[0])))
    print(f"{sum(sum(memoryview(row).cast('f')) for row in rows):.1f}")
    lib.zrc_array_release(array)
    lib.zrc_runtime_shutdown(zarr.runtime, 10_000)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
