"""What one operation has done so far: an OpStats for those who ask, a Progress for those who watch."""

from collections import namedtuple

cimport cython

from zarrs_c._capi cimport ZRC_INIT, zrc_op, zrc_op_get_stats, zrc_op_stats

OpStats = namedtuple("OpStats", [
    "requests", "heads", "bytes_fetched", "bytes_decoded", "bytes_placed", "chunks_decoded", "chunks_missing",
    "objects_total", "objects_done", "puts", "deletes", "bytes_written", "chunks_encoded",
])
OpStats.__module__ = "zarrs_c"
OpStats.__doc__ = """What one operation has done so far; of a read by URL or path, its opening of the array too.

requests: to the store: GETs, PUTs, DELETEs, or reads and writes of local files; heads: of these, requests that
only asked for a size; bytes_fetched: bytes that reads returned; bytes_decoded: bytes that came out of the codecs;
bytes_placed: bytes written to the caller's memory, or taken from it; chunks_decoded: chunks, or inner chunks of shards; chunks_missing: those
that were not stored and gave the fill value; objects_total: chunks or shards that it touches; objects_done: of
these, finished or skipped; puts: objects stored; deletes: objects removed, had they been there or not;
bytes_written: bytes of the objects stored; chunks_encoded: chunks, or inner chunks of shards.
"""

Progress = namedtuple("Progress", ["chunks_done", "chunks_total", "bytes"])
Progress.__module__ = "zarrs_c"
Progress.__doc__ = """How far a read is; no figure ever goes back.

chunks_done: chunks (or shards, where the array is sharded) that are finished; chunks_total: all that the read
touches, 0 until the array of a read by URL or path is open; bytes: written to the caller's memory, or taken from it.
"""


@cython.final
cdef class Figures:
    """The figures of an operation at one moment."""

    def stats(self):
        return OpStats(
            requests=self.counted.requests,
            heads=self.counted.heads,
            bytes_fetched=self.counted.bytes_fetched,
            bytes_decoded=self.counted.bytes_decoded,
            bytes_placed=self.counted.bytes_placed,
            chunks_decoded=self.counted.chunks_decoded,
            chunks_missing=self.counted.chunks_missing,
            objects_total=self.counted.objects_total,
            objects_done=self.counted.objects_done,
            puts=self.counted.puts,
            deletes=self.counted.deletes,
            bytes_written=self.counted.bytes_written,
            chunks_encoded=self.counted.chunks_encoded,
        )

    def progress(self):
        return Progress(self.counted.objects_done, self.counted.objects_total, self.counted.bytes_placed)


cdef Figures figures(zrc_op *op, Figures past):
    """What `op` (NULL: none) has done, and before it the operations that `past` (None: none) counted."""
    cdef Figures now = Figures.__new__(Figures)
    ZRC_INIT(&now.counted)
    if op is not NULL:
        zrc_op_get_stats(op, &now.counted)  # which fails for other sizes of the struct only
    if past is not None:
        _add(&now.counted, &past.counted)
    return now


cdef void _add(zrc_op_stats *into, const zrc_op_stats *more) noexcept:
    into.requests += more.requests
    into.heads += more.heads
    into.bytes_fetched += more.bytes_fetched
    into.bytes_decoded += more.bytes_decoded
    into.bytes_placed += more.bytes_placed
    into.chunks_decoded += more.chunks_decoded
    into.chunks_missing += more.chunks_missing
    into.objects_total += more.objects_total
    into.objects_done += more.objects_done
    into.puts += more.puts
    into.deletes += more.deletes
    into.bytes_written += more.bytes_written
    into.chunks_encoded += more.chunks_encoded


cdef int check_progress(object progress) except -1:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function of a zarrs_c.Progress, or None, not {progress!r}")
    return 0
