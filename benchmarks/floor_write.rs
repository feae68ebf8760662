//! The floor of writes: a program written by hand for exactly one layout, as fast as this machine allows, for
//! `writes.py` to put beside zarrs_c. No planning, no checks, no locks, no temporary names: each thread takes the next
//! chunk, copies its rows into scratch that it keeps, encodes it there, and writes the file.
//!
//! The array is a cube of uint16 in C order, chunks are cubes of zstd, stored as `c/z/y/x`; or shards of such cubes,
//! whose index, with its checksum, is at the end.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ITEM: usize = 2;
const LEVEL: i32 = 0;

#[derive(Clone, Copy)]
struct Cube {
    side: usize,
    chunk: usize,
    /// 0: there are no shards.
    inner: usize,
    data: *const u8,
}

// SAFETY: `data` is only read.
unsafe impl Sync for Cube {}

struct Scratch {
    elements: Vec<u8>,
    encoded: Vec<u8>,
    context: zstd_safe::CCtx<'static>,
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
    /// Copy a cube of `n` elements a side, whose first element is at `z, y, x`, into `to`.
    fn gather(&self, to: &mut [u8], n: usize, [z, y, x]: [usize; 3]) {
        for (r, row) in to.chunks_exact_mut(n * ITEM).enumerate() {
            let (i, j) = (r / n, r % n);
            let at = (((z + i) * self.side + y + j) * self.side + x) * ITEM;
            // SAFETY: the row lies within the cube.
            row.copy_from_slice(unsafe { std::slice::from_raw_parts(self.data.add(at), n * ITEM) });
        }
    }

    /// Encode a cube of `n` elements a side to `to`; returns how many bytes that gave.
    fn encode(&self, n: usize, at: [usize; 3], scratch: &mut Scratch, to: usize) -> usize {
        let elements = grown(&mut scratch.elements, n.pow(3) * ITEM);
        self.gather(elements, n, at);
        scratch.context.compress(&mut scratch.encoded[to..], elements, LEVEL).unwrap()
    }

    fn write_chunk(&self, path: &Path, at: [usize; 3], scratch: &mut Scratch) {
        // How many inner chunks a side; none where the chunk is no shard.
        let inner = self.chunk.checked_div(self.inner);
        let parts = inner.map_or(1, |n| n.pow(3));
        let part = zstd_safe::compress_bound((self.chunk.pow(3) * ITEM) / parts);
        grown(&mut scratch.encoded, parts * (part + 16) + 4);
        let len = match inner {
            None => self.encode(self.chunk, at, scratch, 0),
            Some(n) => self.encode_shard(at, scratch, n),
        };
        File::create(path).unwrap().write_all_at(&scratch.encoded[..len], 0).unwrap();
    }

    fn encode_shard(&self, at: [usize; 3], scratch: &mut Scratch, n: usize) -> usize {
        let (mut end, mut index) = (0, Vec::with_capacity(16 * n.pow(3)));
        for i in 0..n.pow(3) {
            let inner = [i / (n * n), i / n % n, i % n];
            let len = self.encode(self.inner, [0, 1, 2].map(|d| at[d] + inner[d] * self.inner), scratch, end);
            index.extend([end as u64, len as u64].map(u64::to_le_bytes).concat());
            end += len;
        }
        index.extend(crc32c::crc32c(&index).to_le_bytes());
        scratch.encoded[end..end + index.len()].copy_from_slice(&index);
        end + index.len()
    }
}

/// Write the cube `data` of `side`³ elements under `path`, on `threads` threads.
///
/// # Safety
/// `path` is a NUL-terminated string, and `data` has `side`³ elements of 2 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn floor_write(
    path: *const c_char,
    side: usize,
    chunk: usize,
    inner: usize,
    threads: usize,
    data: *const u8,
) {
    // SAFETY: the caller's promise.
    let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().unwrap());
    let cube = Cube { side, chunk, inner, data };
    let (next, per_side) = (AtomicUsize::new(0), side / chunk);
    for i in 0..per_side * per_side {
        std::fs::create_dir_all(path.join(format!("c/{}/{}", i / per_side, i % per_side))).unwrap();
    }
    let work = |cube: &Cube| {
        let fresh = || Scratch { elements: vec![], encoded: vec![], context: zstd_safe::CCtx::create() };
        let mut scratch = KEPT.lock().unwrap().pop().unwrap_or_else(fresh);
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= per_side.pow(3) {
                break;
            }
            let [z, y, x] = [i / (per_side * per_side), i / per_side % per_side, i % per_side];
            cube.write_chunk(
                &path.join(format!("c/{z}/{y}/{x}")),
                [z, y, x].map(|n| n * chunk),
                &mut scratch,
            );
        }
        KEPT.lock().unwrap().push(scratch);
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(|| work(&cube))));
        work(&cube);
    });
}
