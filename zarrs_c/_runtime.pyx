"""The process's one runtime: made at first use, from `configure` and from the environment."""

import os
from collections import namedtuple

from libc.stdint cimport UINT32_MAX, UINT64_MAX, uint32_t, uint64_t

from zarrs_c._capi cimport (
    ZRC_INIT,
    zrc_abi_version,
    zrc_error,
    zrc_runtime,
    zrc_runtime_get_stats,
    zrc_runtime_new,
    zrc_runtime_options,
    zrc_runtime_shutdown,
    zrc_stats,
    zrc_status,
    zrc_version,
)
from zarrs_c._status cimport check

# What `configure` may set, with the largest value that the C ABI takes.
cdef dict _LIMITS = {
    "io_threads": 4096,
    "codec_threads": 4096,
    "max_requests": UINT32_MAX,
    "max_bytes": UINT64_MAX,
    "range_gap": UINT64_MAX,
    "range_cap": UINT64_MAX,
    "index_cache_bytes": UINT64_MAX,
    "put_part_bytes": UINT64_MAX,
}
cdef dict _configured = {}
cdef zrc_runtime *_runtime = NULL


cdef uint64_t limit(str name, object value, uint64_t most) except? 0:
    """A positive integer option as C takes it, or an error that names it."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a positive integer, not {value!r}")
    try:
        number = value.__index__()
    except AttributeError:
        raise TypeError(f"{name} must be a positive integer, not {value!r}") from None
    if not 1 <= number <= most:
        raise ValueError(f"{name} must be between 1 and {most}, not {number}")
    return number


cdef dict _settings():
    """The options in force: those of `configure`, else of the environment, else (absent) the defaults."""
    settings = {}
    for name, most in _LIMITS.items():
        variable = "ZARRS_C_" + name.upper()
        text = os.environ.get(variable, "").strip()
        if name in _configured:
            settings[name] = _configured[name]
        elif text:
            try:
                settings[name] = limit(variable, int(text), most)
            except ValueError:
                raise ValueError(
                    f"{variable} (environment) must be an integer between 1 and {most}, not {text!r}"
                ) from None
    return settings


cdef zrc_runtime *runtime() except NULL:
    """The runtime, borrowed. It lives as long as the process."""
    global _runtime
    cdef zrc_runtime_options options
    cdef zrc_runtime *made = NULL
    cdef zrc_error *error = NULL
    cdef zrc_status status
    if _runtime is not NULL:
        return _runtime
    settings = _settings()
    ZRC_INIT(&options)
    options.io_threads = settings.get("io_threads", 0)
    options.codec_threads = settings.get("codec_threads", 0)
    options.max_requests = settings.get("max_requests", 0)
    options.max_bytes = settings.get("max_bytes", 0)
    options.range_gap = settings.get("range_gap", 0)
    options.range_cap = settings.get("range_cap", 0)
    options.index_cache_bytes = settings.get("index_cache_bytes", 0)
    options.put_part_bytes = settings.get("put_part_bytes", 0)
    status = zrc_runtime_new(&options, &made, &error)
    check(status, error)
    _configured.clear()
    _configured.update(settings)
    _runtime = made
    return _runtime


cdef void shut_down(unsigned int timeout_ms):
    """Stop the runtime for good, at the interpreter's exit."""
    if _runtime is not NULL:
        with nogil:
            zrc_runtime_shutdown(_runtime, timeout_ms)


def configure(
    *, io_threads=None, codec_threads=None, max_requests=None, max_bytes=None, range_gap=None, range_cap=None,
    index_cache_bytes=None, put_part_bytes=None,
):
    """Set the process's defaults, before anything is opened or read.

    io_threads: threads that wait for the network (default 2).
    codec_threads: threads that decode, and that read local files (default: the cores available).
    max_requests: requests in flight at once, over all operations (default 64).
    max_bytes: bytes in flight at once, encoded and decoded together (default 268435456, which is 256 MiB).
    range_gap: ranges of a remote object with at most so many unwanted bytes between them are fetched as one
    (default 64 KiB); range_cap: the most bytes that one such request fetches (default 64 MiB).
    index_cache_bytes: decoded indexes of remote shards that are kept (default 64 MiB).
    put_part_bytes: remote objects of more than 4 times so many bytes are put in parts of so many (default
    16 MiB; S3 wants at least 5 MiB).

    What is None stays as it is. Environment variables named ZARRS_C_IO_THREADS, ZARRS_C_MAX_BYTES and so on
    do the same where this function was not called. Raises RuntimeError when the runtime has started (at the
    first store, array or read) with another value, TypeError and ValueError for what is not a positive
    integer.
    """
    given = {
        "io_threads": io_threads,
        "codec_threads": codec_threads,
        "max_requests": max_requests,
        "max_bytes": max_bytes,
        "range_gap": range_gap,
        "range_cap": range_cap,
        "index_cache_bytes": index_cache_bytes,
        "put_part_bytes": put_part_bytes,
    }
    given = {name: limit(name, value, _LIMITS[name]) for name, value in given.items() if value is not None}
    if _runtime is not NULL:
        changed = sorted(name for name, value in given.items() if _configured.get(name) != value)
        if changed:
            variables = ", ".join("ZARRS_C_" + name.upper() for name in changed)
            raise RuntimeError(
                f"configure({', '.join(changed)}) came too late: the runtime has started. "
                f"Call it before the first store is opened, or set {variables}"
            )
        return
    _configured.update(given)


def abi_version():
    """The version of the C ABI of the loaded library: (major, minor)."""
    cdef uint32_t packed = zrc_abi_version()
    return packed >> 16, packed & 0xFFFF


def version():
    """The version of the loaded library, such as "0.1.0"."""
    return zrc_version().decode("ascii")


Stats = namedtuple("Stats", [
    "requests", "heads", "bytes_fetched", "bytes_decoded", "chunks_decoded", "peak_bytes_in_flight",
    "peak_requests_in_flight", "operations", "cancelled", "wakes", "failed", "operations_in_flight",
    "bytes_placed", "chunks_missing", "bytes_in_flight", "requests_in_flight", "puts", "deletes",
    "bytes_written", "chunks_encoded",
])
Stats.__module__ = "zarrs_c"
Stats.__doc__ = """What the process has done since the runtime was made (in a forked child: since the fork).

requests: to stores: GETs, PUTs, DELETEs, or reads and writes of local files; heads: of these, requests that only
asked for a size;
bytes_fetched: bytes that reads returned; bytes_decoded: bytes that came out of the codecs; bytes_placed:
bytes written to callers' memory, or taken from it; chunks_decoded: chunks, or inner chunks of shards; chunks_missing: those
that were not stored and gave the fill value; puts: objects stored; deletes: objects removed, had they been
there or not; bytes_written: bytes of the objects stored; chunks_encoded: chunks, or inner chunks of shards;
operations: those that ended, of which cancelled and
failed;
wakes: times that the bridge woke an event loop, at most; *_in_flight: now; peak_*: the most at any time.
"""


def runtime_stats(uint64_t wakes):
    """The counters of the runtime with those of the bridges; all zero before the runtime was made."""
    cdef zrc_stats counted
    if _runtime is NULL:
        return Stats._make([0] * len(Stats._fields))
    ZRC_INIT(&counted)
    check(zrc_runtime_get_stats(_runtime, &counted), NULL)
    return Stats(
        requests=counted.requests,
        heads=counted.heads,
        bytes_fetched=counted.bytes_fetched,
        bytes_decoded=counted.bytes_decoded,
        chunks_decoded=counted.chunks_decoded,
        peak_bytes_in_flight=counted.peak_bytes_in_flight,
        peak_requests_in_flight=counted.peak_requests_in_flight,
        operations=counted.operations,
        cancelled=counted.cancelled,
        wakes=wakes,
        failed=counted.failed,
        operations_in_flight=counted.operations_in_flight,
        bytes_placed=counted.bytes_placed,
        chunks_missing=counted.chunks_missing,
        bytes_in_flight=counted.bytes_in_flight,
        requests_in_flight=counted.requests_in_flight,
        puts=counted.puts,
        deletes=counted.deletes,
        bytes_written=counted.bytes_written,
        chunks_encoded=counted.chunks_encoded,
    )
