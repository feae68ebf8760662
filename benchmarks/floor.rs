//! The floor: programs written by hand for exactly one layout, as fast as this machine allows, for `large.py` to put
//! beside zarrs_c. No planning, no checks, no errors to tell: each thread takes the next chunk, reads it into scratch
//! that it keeps, decodes it there, and copies its rows into the caller's memory, past the caches where it can.
//!
//! ```text
//! cargo build --release --example floor        # target/release/examples/libfloor.so, loaded by ctypes
//! ```
//!
//! The array is a cube of uint16 in C order, chunks are cubes, stored as `c/z/y/x`; inner chunks are cubes, too, and
//! their shard's index, with its checksum, is at the end.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ITEM: usize = 2;
const BLOCK: usize = 256 << 10;

/// How chunks are stored, and for raw ones how they are read.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Raw, block by block into scratch, then row by row.
    Copied,
    /// Raw, by `preadv` into the rows.
    Scattered,
    Zstd,
    /// zstd in shards.
    Shards,
}

#[derive(Clone, Copy)]
struct Cube {
    kind: Kind,
    side: usize,
    chunk: usize,
    inner: usize,
    out: *mut u8,
}

// SAFETY: `out` is only written to, and each thread writes to chunks of its own.
unsafe impl Sync for Cube {}

#[derive(Default)]
struct Scratch {
    encoded: Vec<u8>,
    decoded: Vec<u8>,
}

/// Scratch of threads that have ended, for the next ones.
static KEPT: Mutex<Vec<Scratch>> = Mutex::new(Vec::new());

fn grown(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        *buffer = vec![0; len];
    }
    &mut buffer[..len]
}

impl Cube {
    /// Copy a cube of `n` elements a side from `from` to its place, whose first element is at `z, y, x`.
    fn copy_rows(&self, from: &[u8], n: usize, [z, y, x]: [usize; 3]) {
        let row = n * ITEM;
        for i in 0..n {
            for j in 0..n {
                let to = (((z + i) * self.side + y + j) * self.side + x) * ITEM;
                let at = (i * n + j) * row;
                // SAFETY: the row lies within the cube that `out` has room for, and `from` has n³ elements.
                unsafe { copy_row(from.as_ptr().add(at), self.out.add(to), row) };
            }
        }
        finish();
    }

    /// A raw chunk, read in blocks that stay in the core's own cache until they are copied.
    fn copy_blocks(&self, file: &File, [z, y, x]: [usize; 3], scratch: &mut Scratch) {
        let (n, row) = (self.chunk, self.chunk * ITEM);
        let rows = (BLOCK / row).clamp(1, n * n);
        for first in (0..n * n).step_by(rows) {
            let block = grown(&mut scratch.encoded, rows.min(n * n - first) * row);
            file.read_exact_at(block, (first * row) as u64).unwrap();
            for (r, from) in block.chunks(row).enumerate() {
                let (i, j) = ((first + r) / n, (first + r) % n);
                let to = (((z + i) * self.side + y + j) * self.side + x) * ITEM;
                // SAFETY: the row lies within the cube that `out` has room for.
                unsafe { copy_row(from.as_ptr(), self.out.add(to), row) };
            }
        }
        finish();
    }

    fn read_into_rows(&self, file: &File, [z, y, x]: [usize; 3]) {
        let (row, n) = (self.chunk * ITEM, self.chunk);
        let place = |r: usize| {
            let (i, j) = (r / n, r % n);
            let to = (((z + i) * self.side + y + j) * self.side + x) * ITEM;
            // SAFETY: the row lies within the cube.
            libc::iovec { iov_base: unsafe { self.out.add(to) }.cast(), iov_len: row }
        };
        for first in (0..n * n).step_by(1024) {
            let rows: Vec<_> = (first..(first + 1024).min(n * n)).map(place).collect();
            // SAFETY: each vector is a row within the cube.
            let got = unsafe {
                libc::preadv(file.as_raw_fd(), rows.as_ptr(), rows.len() as i32, (first * row) as i64)
            };
            assert_eq!(got, (rows.len() * row) as isize);
        }
    }

    fn read_chunk(&self, path: &Path, at: [usize; 3], scratch: &mut Scratch) {
        let file = File::open(path).unwrap();
        let chunk_bytes = self.chunk.pow(3) * ITEM;
        if self.kind == Kind::Scattered {
            return self.read_into_rows(&file, at);
        }
        if self.kind == Kind::Copied {
            return self.copy_blocks(&file, at, scratch);
        }
        let len = file.metadata().unwrap().len() as usize;
        let encoded = grown(&mut scratch.encoded, len);
        match self.kind {
            Kind::Zstd => {
                file.read_exact_at(encoded, 0).unwrap();
                let decoded = grown(&mut scratch.decoded, chunk_bytes);
                decompress(encoded, decoded);
                self.copy_rows(decoded, self.chunk, at);
            }
            Kind::Shards => {
                file.read_exact_at(encoded, 0).unwrap();
                let (n, inner_bytes) = (self.chunk / self.inner, self.inner.pow(3) * ITEM);
                let index = &encoded[len - 4 - 16 * n.pow(3)..];
                let entry =
                    |i: usize| u64::from_le_bytes(index[8 * i..8 * i + 8].try_into().unwrap()) as usize;
                let decoded = grown(&mut scratch.decoded, inner_bytes);
                for i in 0..n.pow(3) {
                    let (offset, size) = (entry(2 * i), entry(2 * i + 1));
                    decompress(&encoded[offset..offset + size], decoded);
                    let inner = [i / (n * n), i / n % n, i % n];
                    self.copy_rows(decoded, self.inner, [0, 1, 2].map(|d| at[d] + inner[d] * self.inner));
                }
            }
            Kind::Copied | Kind::Scattered => unreachable!(),
        }
    }
}

/// Copy a row to memory that nobody reads soon.
///
/// # Safety
/// `len` bytes are readable at `from` and writable at `to`.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_row(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_stream_si128};
    let head = to.align_offset(16).min(len);
    let end = head + (len - head) / 16 * 16;
    // SAFETY: within the row; streaming stores begin at multiples of 16.
    unsafe {
        to.copy_from_nonoverlapping(from, head);
        for at in (head..end).step_by(16) {
            _mm_stream_si128(to.add(at).cast(), _mm_loadu_si128(from.add(at).cast()));
        }
        to.add(end).copy_from_nonoverlapping(from.add(end), len - end);
    }
}

#[cfg(target_arch = "x86_64")]
fn finish() {
    // SAFETY: SSE is part of every x86-64.
    unsafe { std::arch::x86_64::_mm_sfence() };
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_row(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { to.copy_from_nonoverlapping(from, len) };
}

#[cfg(not(target_arch = "x86_64"))]
fn finish() {}

fn decompress(from: &[u8], to: &mut [u8]) {
    thread_local!(static CONTEXT: RefCell<zstd_safe::DCtx<'static>> = RefCell::new(zstd_safe::DCtx::create()));
    let len = CONTEXT.with(|context| context.borrow_mut().decompress(&mut *to, from).unwrap());
    assert_eq!(len, to.len());
}

/// Read the cube at `path` into `out` on `threads` threads. `kind`: 0 copied, 1 scattered, 2 zstd, 3 shards.
///
/// # Safety
/// `path` is a NUL-terminated string, and `out` has room for `side`³ elements of 2 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn floor_read(
    path: *const c_char,
    kind: i32,
    side: usize,
    chunk: usize,
    inner: usize,
    threads: usize,
    out: *mut u8,
) {
    // SAFETY: the caller's promise.
    let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().unwrap());
    let kind = [Kind::Copied, Kind::Scattered, Kind::Zstd, Kind::Shards][kind as usize];
    let cube = Cube { kind, side, chunk, inner, out };
    let (next, per_side) = (AtomicUsize::new(0), side / chunk);
    let work = |cube: &Cube| {
        let mut scratch = KEPT.lock().unwrap().pop().unwrap_or_default();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= per_side.pow(3) {
                break;
            }
            let [z, y, x] = [i / (per_side * per_side), i / per_side % per_side, i % per_side];
            cube.read_chunk(&path.join(format!("c/{z}/{y}/{x}")), [z, y, x].map(|n| n * chunk), &mut scratch);
        }
        KEPT.lock().unwrap().push(scratch);
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(|| work(&cube))));
        work(&cube);
    });
}
