//! What the library has done, as numbers.

use std::sync::atomic::Ordering::Relaxed;

use super::error::zrc_status;
use super::layout::{Filled, versioned};
use super::op::zrc_op;
use super::runtime::zrc_runtime;
use super::{guard, pointers};
use crate::engine::stats::Counter;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_stats {
    pub struct_size: usize,
    pub operations: u64,
    pub operations_in_flight: u64,
    pub cancelled: u64,
    pub failed: u64,
    pub requests: u64,
    pub heads: u64,
    pub bytes_fetched: u64,
    pub bytes_decoded: u64,
    pub bytes_placed: u64,
    pub chunks_decoded: u64,
    pub chunks_missing: u64,
    pub bytes_in_flight: u64,
    pub peak_bytes_in_flight: u64,
    pub requests_in_flight: u64,
    pub peak_requests_in_flight: u64,
    pub puts: u64,
    pub deletes: u64,
    pub bytes_written: u64,
    pub chunks_encoded: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_op_stats {
    pub struct_size: usize,
    pub objects_total: u64,
    pub objects_done: u64,
    pub requests: u64,
    pub heads: u64,
    pub bytes_fetched: u64,
    pub bytes_decoded: u64,
    pub bytes_placed: u64,
    pub chunks_decoded: u64,
    pub chunks_missing: u64,
    pub puts: u64,
    pub deletes: u64,
    pub bytes_written: u64,
    pub chunks_encoded: u64,
}
versioned!(zrc_stats, zrc_op_stats);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_runtime_get_stats(
    runtime: *const zrc_runtime,
    out: *mut zrc_stats,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (runtime, out) =
            unsafe { (pointers::borrow(runtime, "runtime")?, Filled::required(out, "out")?) };
        let live = runtime.live();
        let count = |counter| live.counters.get(counter);
        out.put(&zrc_stats {
            struct_size: 0,
            operations: live.operations.load(Relaxed),
            operations_in_flight: live.operations_in_flight.level(),
            cancelled: live.operations_cancelled.load(Relaxed),
            failed: live.operations_failed.load(Relaxed),
            requests: count(Counter::Requests),
            heads: count(Counter::Heads),
            bytes_fetched: count(Counter::BytesFetched),
            bytes_decoded: count(Counter::BytesDecoded),
            bytes_placed: count(Counter::BytesPlaced),
            chunks_decoded: count(Counter::ChunksDecoded),
            chunks_missing: count(Counter::ChunksMissing),
            bytes_in_flight: live.bytes.level(),
            peak_bytes_in_flight: live.bytes.peak(),
            requests_in_flight: live.requests.level(),
            peak_requests_in_flight: live.requests.peak(),
            puts: count(Counter::Puts),
            deletes: count(Counter::Deletes),
            bytes_written: count(Counter::BytesWritten),
            chunks_encoded: count(Counter::ChunksEncoded),
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_op_get_stats(op: *const zrc_op, out: *mut zrc_op_stats) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (op, out) = unsafe { (pointers::borrow(op, "op")?, Filled::required(out, "out")?) };
        let count = |counter| op.counters.get(counter);
        out.put(&zrc_op_stats {
            struct_size: 0,
            objects_total: op.objects_total.load(Relaxed),
            objects_done: op.objects_done.load(Relaxed),
            requests: count(Counter::Requests),
            heads: count(Counter::Heads),
            bytes_fetched: count(Counter::BytesFetched),
            bytes_decoded: count(Counter::BytesDecoded),
            bytes_placed: count(Counter::BytesPlaced),
            chunks_decoded: count(Counter::ChunksDecoded),
            chunks_missing: count(Counter::ChunksMissing),
            puts: count(Counter::Puts),
            deletes: count(Counter::Deletes),
            bytes_written: count(Counter::BytesWritten),
            chunks_encoded: count(Counter::ChunksEncoded),
        });
        Ok(())
    })
}
