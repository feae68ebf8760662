"""Reads in a plain Python selector, without asyncio and without threads of ours that run Python.

    python main.py URL      # the sum of a 2-d array of float32, all rows at once

The selector watches the queue's descriptor as it would watch a socket.
"""

import selectors
import sys

import cffi
import numpy as np

import zarrs_c

ffi = cffi.FFI()
ffi.cdef(zarrs_c.get_cdef())
lib = ffi.dlopen(zarrs_c.get_library_path())


def check(status):
    if status != lib.ZRC_OK:
        raise RuntimeError(ffi.string(lib.zrc_status_name(status)).decode())


def made(kind, function, *arguments):
    out = ffi.new(kind)
    check(function(*arguments, out, ffi.NULL))
    return out[0]


def main(url):
    runtime = made("zrc_runtime **", lib.zrc_runtime_new, ffi.NULL)
    store = made("zrc_store **", lib.zrc_store_open, runtime, url.encode(), ffi.NULL)
    array = made("zrc_array **", lib.zrc_array_open, store, b"", ffi.NULL)
    queue = made("zrc_queue **", lib.zrc_queue_new)
    shape = ffi.new("uint64_t[2]")
    check(lib.zrc_array_shape(array, shape, 2))

    data = np.empty(tuple(shape), "float32")
    memory, row_bytes = ffi.from_buffer(data), data.strides[0]
    for row in range(len(data)):
        start, box = ffi.new("uint64_t[]", [row, 0]), ffi.new("uint64_t[]", [1, shape[1]])
        region = ffi.new(
            "zrc_region *", [array, start, box, ffi.NULL, memory + row * row_bytes, row_bytes, ffi.NULL]
        )
        sink = ffi.new("zrc_sink *", [lib.zrc_queue_complete, queue, row])
        check(lib.zrc_read_async(runtime, region, 1, ffi.NULL, sink, ffi.NULL, ffi.NULL))

    done, left = ffi.new("zrc_completion[16]"), len(data)
    done[0].struct_size = ffi.sizeof("zrc_completion")
    selector = selectors.DefaultSelector()
    selector.register(made("intptr_t *", lib.zrc_queue_fd, queue), selectors.EVENT_READ)
    while left:
        selector.select()
        for completion in done[0 : lib.zrc_queue_drain(queue, done, 16)]:
            lib.zrc_error_free(completion.error)
            check(completion.status)
            left -= 1
    print(f"{data.sum(dtype='float64'):.1f}")
    selector.close()
    check(lib.zrc_runtime_shutdown(runtime, 10_000))


if __name__ == "__main__":
    main(sys.argv[1])
