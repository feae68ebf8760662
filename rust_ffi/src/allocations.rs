//! Tests: how many blocks of memory the library asks for, for reads as C makes them, once all has been read before. One block
//! more for each read, or for each chunk, and they fail; fewer are welcome.
//!
//! Every block that Rust code asks for counts, on whichever thread, so each test is a process of its own. The least of many
//! reads is what is compared: now and then a thread has to be woken, or a list of a thread's grows.

use std::collections::BTreeMap;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::abi::{zrc_completion, zrc_sink};
use crate::abi::{
    zrc_queue, zrc_queue_complete, zrc_queue_drain, zrc_queue_new, zrc_queue_release, zrc_queue_wait,
};
use crate::abi::{zrc_read, zrc_read_async, zrc_region};
use crate::allocator;
use crate::engine::array::Array;
use crate::engine::read::IoOptions;
use crate::engine::region::Region;
use crate::engine::runtime::{Runtime, RuntimeConfig};
use crate::engine::scratch;
use crate::engine::write::write;
use crate::storage::Store;

/// Blocks asked for so far.
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// Those of them that are kept once they are given back, but were not there.
static MISSED: AtomicU64 = AtomicU64::new(0);

const ROWS: usize = 64;
const ROW: usize = 4096;

/// A block is asked for.
pub fn count() {
    BLOCKS.fetch_add(1, Ordering::Relaxed);
}

/// One that would be kept comes from the system.
pub fn count_missed() {
    MISSED.fetch_add(1, Ordering::Relaxed);
}

/// Run a test in a process in which nothing else allocates.
fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "ZARRS_C_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("allocations::{name}"), "--nocapture"]).env(ALONE, "1");
    let done = command.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// An array of 64 rows of 4 KB, a chunk each, or an inner chunk of one shard.
fn open(runtime: &Arc<Runtime>, url: &str, sharded: bool) -> Arc<Array> {
    let store = Store::open(runtime, url, &BTreeMap::new()).unwrap();
    let codecs = r#"[{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}]"#;
    let sharding = format!(
        r#"[{{"name": "sharding_indexed", "configuration": {{"chunk_shape": [1, {ROW}], "codecs": {codecs},
        "index_codecs": [{{"name": "bytes", "configuration": {{"endian": "little"}}}}, {{"name": "crc32c"}}]}}}}]"#
    );
    let (rows, codecs) = if sharded { (ROWS, sharding.as_str()) } else { (1, codecs) };
    let json = format!(
        r#"{{"zarr_format": 3, "node_type": "array", "shape": [{ROWS}, {ROW}], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": [{rows}, {ROW}]}}}},
        "chunk_key_encoding": {{"name": "default"}}, "codecs": {codecs}}}"#
    );
    Array::from_metadata(&store, if sharded { "sharded" } else { "plain" }, &json).unwrap()
}

/// The same, written.
fn array(runtime: &Arc<Runtime>, url: &str, sharded: bool) -> Arc<Array> {
    let array = open(runtime, url, sharded);
    let mut data: Vec<u8> = (0..ROWS * ROW).map(|i| (i % 251) as u8).collect();
    let region = Region {
        array: array.clone(),
        start: [0, 0].into_iter().collect(),
        shape: [ROWS as u64, ROW as u64].into_iter().collect(),
        step: None,
        data: data.as_mut_ptr(),
        nbytes: data.len(),
        strides: None,
    };
    // SAFETY: the data stays until the write has ended.
    let written = unsafe { write(runtime, vec![region], IoOptions::default(), None) }.unwrap();
    written.wait(None).unwrap().completion.result.unwrap();
    array
}

/// A program in C, as far as it matters here.
struct Caller {
    runtime: Arc<Runtime>,
    queue: *mut zrc_queue,
    out: Vec<u8>,
}

impl Caller {
    fn new() -> Self {
        let runtime =
            Runtime::new(RuntimeConfig { codec_threads: 1, io_threads: 1, ..Default::default() }).unwrap();
        let mut queue = ptr::null_mut();
        // SAFETY: the pointers are valid for the call.
        assert_eq!(unsafe { zrc_queue_new(&raw mut queue, ptr::null_mut()) }, 0);
        Self { runtime, queue, out: vec![0; ROWS * ROW] }
    }

    /// Read some rows, in one region or a region each, and wait: for the call, or in the queue.
    fn read(&mut self, array: &Arc<Array>, rows: usize, batch: bool, queued: bool) {
        let starts: [[u64; 2]; ROWS] = std::array::from_fn(|row| [row as u64, 0]);
        let count = if batch { rows } else { 1 };
        let shape = [(rows / count) as u64, ROW as u64];
        let regions: [zrc_region; ROWS] = std::array::from_fn(|i| zrc_region {
            array: Arc::as_ptr(array).cast_mut(),
            start: starts[i].as_ptr(),
            shape: shape.as_ptr(),
            step: ptr::null(),
            data: self.out[i * ROW..].as_mut_ptr().cast(),
            nbytes: rows / count * ROW,
            strides: ptr::null(),
        });
        let runtime = Arc::as_ptr(&self.runtime).cast_mut();
        let none = ptr::null_mut();
        if !queued {
            // SAFETY: everything lives until the call has returned.
            assert_eq!(unsafe { zrc_read(runtime, regions.as_ptr(), count, ptr::null(), none) }, 0);
            return;
        }
        let sink = zrc_sink { r#fn: Some(zrc_queue_complete), ctx: self.queue.cast(), tag: 1 };
        let mut done = std::mem::MaybeUninit::<zrc_completion>::zeroed();
        // SAFETY: everything lives until the completion has come; the completion is plain data.
        unsafe {
            let op = ptr::null_mut();
            assert_eq!(
                zrc_read_async(runtime, regions.as_ptr(), count, ptr::null(), &raw const sink, op, none),
                0
            );
            assert_eq!(zrc_queue_wait(self.queue, u32::MAX), 0);
            (*done.as_mut_ptr()).struct_size = size_of::<zrc_completion>();
            assert_eq!(zrc_queue_drain(self.queue, done.as_mut_ptr(), 1), 1);
            assert_eq!(done.assume_init().status, 0);
        }
    }

    /// The blocks that such a read asks for.
    fn blocks(&mut self, array: &Arc<Array>, rows: usize, batch: bool, queued: bool) -> u64 {
        let (mut least, pool) = (u64::MAX, self.runtime.live().pool().unwrap());
        for _ in 0..300 {
            // A read that finds the worker of the last one busy waits in a list, which is more.
            while !pool.is_idle() {
                std::thread::yield_now();
            }
            let before = BLOCKS.load(Ordering::Relaxed);
            self.read(array, rows, batch, queued);
            least = least.min(BLOCKS.load(Ordering::Relaxed) - before);
        }
        assert!(self.out.iter().take(rows * ROW).enumerate().all(|(i, byte)| *byte == (i % 251) as u8));
        least
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nothing uses it any more.
        unsafe { zrc_queue_release(self.queue) };
    }
}

/// Check the blocks of reads of so many rows, in one region or (`true`) in as many. A completion in a queue is one more.
fn check(array: &Arc<Array>, caller: &mut Caller, most: &[(usize, bool, u64)]) {
    // To wake a thread takes one: each time where one processor is all, so that nobody looks out for work, or where that is
    // over by the time that a request has come.
    let woken = u64::from(crate::sync::processors() == 1 || array.store().is_remote());
    for &(rows, batch, most) in most {
        for queued in [false, true] {
            let blocks = caller.blocks(array, rows, batch, queued);
            let most = most + u64::from(queued) + woken;
            let url = array.store().url();
            assert!(
                blocks <= most,
                "{url}, {}, {rows} rows, batch: {batch}, queue: {queued}: {blocks} blocks, {most} at most",
                array.path()
            );
        }
    }
}

#[test]
fn a_read_of_a_file_takes_eight_blocks_and_two_for_each_further_chunk() {
    alone("a_read_of_a_file_takes_eight_blocks_and_two_for_each_further_chunk", || {
        let (folder, mut caller) = (tempfile::tempdir().unwrap(), Caller::new());
        let array = array(&caller.runtime, folder.path().to_str().unwrap(), false);
        // In a batch, lists that grow.
        check(
            &array,
            &mut caller,
            &[(1, false, 8), (2, false, 8 + 2), (64, false, 8 + 2 * 63), (64, true, 142)],
        );
    });
}

#[test]
fn a_read_of_a_shard_takes_fifteen_blocks_however_many_inner_chunks_it_touches() {
    alone("a_read_of_a_shard_takes_fifteen_blocks_however_many_inner_chunks_it_touches", || {
        let (folder, mut caller) = (tempfile::tempdir().unwrap(), Caller::new());
        let array = array(&caller.runtime, folder.path().to_str().unwrap(), true);
        check(&array, &mut caller, &[(1, false, 15), (2, false, 15), (64, false, 15), (64, true, 27)]);
    });
}

#[test]
fn a_request_takes_no_more_blocks_than_it_did() {
    alone("a_request_takes_no_more_blocks_than_it_did", || {
        let mut caller = Caller::new();
        let url = "memory://allocations"; // the store itself takes some
        let (plain, sharded) = (array(&caller.runtime, url, false), array(&caller.runtime, url, true));
        check(
            &plain,
            &mut caller,
            &[(1, false, 29), (64, false, 29 + 63 * 17 + 8), (64, true, 29 + 63 * 17 + 16)],
        );
        check(&sharded, &mut caller, &[(1, false, 37), (64, false, 33), (64, true, 45)]);
    });
}

#[test]
fn a_chunk_that_lies_in_memory_as_it_decodes_is_decoded_there() {
    alone("a_chunk_that_lies_in_memory_as_it_decodes_is_decoded_there", || {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().to_str().unwrap();
        let writer = Caller::new();
        array(&writer.runtime, url, false);
        writer.runtime.shutdown(Duration::from_secs(60)).unwrap();
        // What its threads have kept ends with them.
        while scratch::kept() > 0 {
            std::thread::yield_now();
        }
        let mut caller = Caller::new();
        let array = open(&caller.runtime, url, false);
        caller.read(&array, 1, false, false);
        // One page for the chunk as it is stored; none for a copy of what it decodes to.
        assert_eq!(scratch::kept(), 4096);
    });
}

#[test]
fn blocks_that_one_thread_asks_for_and_another_gives_back_do_not_come_from_the_system() {
    alone("blocks_that_one_thread_asks_for_and_another_gives_back_do_not_come_from_the_system", || {
        let (folder, mut caller) = (tempfile::tempdir().unwrap(), Caller::new());
        let array = array(&caller.runtime, folder.path().to_str().unwrap(), false);
        caller.read(&array, 1, false, true);
        let mut missed = || {
            let before = MISSED.load(Ordering::Relaxed);
            caller.read(&array, 1, false, true);
            MISSED.load(Ordering::Relaxed) - before
        };
        // A block that both threads are at is neither taken nor kept.
        let none = (0..300).filter(|_| missed() == 0).count();
        assert!(none > 200, "{none} of 300 reads");
    });
}

#[test]
fn no_block_is_kept_where_the_environment_says_so() {
    alone("no_block_is_kept_where_the_environment_says_so", || {
        for (system, keeps) in [("0", true), ("1", false)] {
            // SAFETY: no other thread looks at the environment: the runtime of the round before has none any more.
            unsafe { std::env::set_var("ZARRS_C_SYSTEM_ALLOCATOR", system) };
            let mut caller = Caller::new();
            allocator::give_back();
            let array = array(&caller.runtime, "memory://kept", false);
            caller.read(&array, 1, false, true);
            caller.runtime.shutdown(Duration::from_secs(60)).unwrap();
            assert_eq!(allocator::kept() > 0, keeps);
        }
    });
}
