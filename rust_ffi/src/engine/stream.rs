//! Copies past the caches, for results that are larger than any cache.
//!
//! An ordinary store first fetches the line that it writes to. For gigabytes that nobody reads before the last of them is
//! there, that is half of all memory traffic: these stores do without.

/// Runs shorter than this are not worth it: their lines are written in parts.
pub const LEAST: usize = 128;

/// Bytes of a line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Results from so many bytes on are not expected in a cache by whoever reads them.
pub const LARGE: usize = 16 << 20;

/// Copy a run of `len` bytes. [`finish`] must follow, on this thread, before anybody is told that the bytes are there.
///
/// # Safety
/// `len` bytes must be readable at `src` and writable at `dst`, and the two must not overlap.
#[cfg(target_arch = "x86_64")]
pub unsafe fn run(src: *const u8, dst: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    const STEP: usize = size_of::<__m128i>();
    // A line that gets stores of both kinds is the dearest: where there have to be ordinary ones, they take whole lines.
    let whole = if (dst.addr() | len).is_multiple_of(STEP) { STEP } else { LINE };
    let head = dst.align_offset(whole).min(len);
    let end = head + (len - head) / whole * whole;
    // SAFETY: the caller's promise; every access lies within the run, and streaming stores begin at multiples of their
    // size. SSE2 is part of every x86-64.
    unsafe {
        dst.copy_from_nonoverlapping(src, head);
        for at in (head..end).step_by(STEP) {
            _mm_stream_si128(dst.add(at).cast(), _mm_loadu_si128(src.add(at).cast()));
        }
        dst.add(end).copy_from_nonoverlapping(src.add(end), len - end);
    }
}

/// Order what [`run`] has written before whatever this thread writes next.
#[cfg(target_arch = "x86_64")]
pub fn finish() {
    // SAFETY: SSE is part of every x86-64.
    unsafe { std::arch::x86_64::_mm_sfence() };
}

/// As above, by ordinary stores: Rust has no others for this processor.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "x86_64"))]
pub unsafe fn run(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { dst.copy_from_nonoverlapping(src, len) };
}

#[cfg(not(target_arch = "x86_64"))]
pub fn finish() {}
