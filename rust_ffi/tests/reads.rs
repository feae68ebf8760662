//! The engine against zarrs itself: arrays that zarrs writes, read by us into all kinds of memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use zarrs::array::codec::{
    BytesCodec, Crc32cCodec, GzipCodec, ShardingCodecBuilder, TransposeCodec, TransposeOrder, ZstdCodec,
};
use zarrs::array::{Array as Zarrs, ArrayBuilder, ArraySubset, data_type};
use zarrs::filesystem::FilesystemStore;
use zarrs_c::engine::array::Array;
use zarrs_c::engine::encoded::read_encoded_chunk;
use zarrs_c::engine::error::Status;
use zarrs_c::engine::open::open_array;
use zarrs_c::engine::operation::{Completion, Operation, Output};
use zarrs_c::engine::read::{IoOptions, StatusSlots, read};
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::{Runtime, RuntimeConfig};
use zarrs_c::engine::stats::Counter;
use zarrs_c::storage::Store;

const SHAPE: [u64; 3] = [13, 10, 17];
const UNTOUCHED: u32 = 0xAAAA_AAAA;

/// A small generator of numbers, the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

fn value(i: u64, j: u64, k: u64) -> u32 {
    (i * 1_000_003 + j * 10_007 + k) as u32
}

/// Chunks, or inner chunks, that are missing from every array, whose fill value is 7.
fn is_missing(i: u64, j: u64) -> bool {
    i < 4 && j < 5
}

fn runtime(codec_threads: usize) -> Arc<Runtime> {
    Runtime::new(RuntimeConfig { codec_threads, ..Default::default() }).unwrap()
}

fn open(runtime: &Arc<Runtime>, folder: &Path, path: &str) -> Arc<Array> {
    let store = Store::open(runtime, folder.to_str().unwrap(), &BTreeMap::new()).unwrap();
    let opened = open_array(&store, path, None, None).unwrap().wait(None).unwrap().completion;
    let Output::Array(array) = opened.result.unwrap() else { panic!("no array") };
    array
}

/// Write all but the missing chunks.
fn fill(array: &Zarrs<FilesystemStore>) {
    array.store_metadata().unwrap();
    for i in (0..SHAPE[0]).step_by(4) {
        for j in (0..SHAPE[1]).step_by(5).filter(|j| !is_missing(i, *j)) {
            let (ni, nj) = ((SHAPE[0] - i).min(4), (SHAPE[1] - j).min(5));
            let rows = (i..i + ni).flat_map(|i| (j..j + nj).map(move |j| (i, j)));
            let data: Vec<u32> = rows.flat_map(|(i, j)| (0..SHAPE[2]).map(move |k| value(i, j, k))).collect();
            let subset = ArraySubset::new_with_start_shape(vec![i, j, 0], vec![ni, nj, SHAPE[2]]).unwrap();
            array.store_array_subset(&subset, data).unwrap();
        }
    }
}

/// Write the same array in several codings.
fn write_arrays(folder: &Path) -> [&'static str; 6] {
    let store = Arc::new(FilesystemStore::new(folder).unwrap());
    let builder =
        |chunks: [u64; 3]| ArrayBuilder::new(SHAPE.to_vec(), chunks.to_vec(), data_type::uint32(), 7u32);
    let zstd = || Arc::new(ZstdCodec::new(1, true));
    let order = Arc::new(TransposeCodec::new(TransposeOrder::new(&[2, 0, 1]).unwrap()));
    let inner_shape = [4u64, 5, 6].map(|n| n.try_into().unwrap()).to_vec();
    let mut sharding = ShardingCodecBuilder::new(inner_shape, &data_type::uint32());
    sharding.bytes_to_bytes_codecs(vec![zstd()]);
    let chunks = [4, 5, 6];
    let mut codings = [
        ("raw", builder(chunks)),
        ("zstd", builder(chunks)),
        ("gzip", builder(chunks)),
        ("transposed", builder(chunks)),
        ("big", builder(chunks)),
        ("sharded", builder([8, 10, 18])),
    ];
    codings[1].1.bytes_to_bytes_codecs(vec![zstd(), Arc::new(Crc32cCodec::new())]);
    codings[2].1.bytes_to_bytes_codecs(vec![Arc::new(GzipCodec::new(5).unwrap())]);
    codings[3].1.array_to_array_codecs(vec![order]);
    codings[4].1.array_to_bytes_codec(Arc::new(BytesCodec::big()));
    codings[5].1.array_to_bytes_codec(Arc::new(sharding.build()));
    codings.map(|(name, builder)| {
        fill(&builder.build(store.clone(), &format!("/{name}")).unwrap());
        name
    })
}

/// A random box with steps, and memory for it in a random layout.
struct Request {
    start: [u64; 3],
    shape: [u64; 3],
    step: [i64; 3],
    strides: [i64; 3],
    memory: Vec<u32>,
    origin: usize,
}

impl Request {
    fn random(random: &mut Random) -> Self {
        let (mut start, mut shape, mut step) = ([0u64; 3], [0u64; 3], [1i64; 3]);
        for d in 0..3 {
            step[d] = [1, 1, 1, 2, 3, 7, -1, -2, -5][random.below(9) as usize];
            start[d] = random.below(SHAPE[d]);
            let room = if step[d] > 0 { SHAPE[d] - 1 - start[d] } else { start[d] };
            shape[d] = random.below(room / step[d].unsigned_abs() + 2);
        }
        let mut order = [0, 1, 2];
        order.swap(0, random.below(3) as usize);
        order.swap(1, 1 + random.below(2) as usize);
        let (mut strides, mut extent, mut origin) = ([0i64; 3], 1i64, 0i64);
        for d in order {
            let sign = if random.below(3) == 0 { -1 } else { 1 };
            strides[d] = 4 * sign * extent;
            let count = shape[d].max(1) as i64;
            origin += if sign < 0 { (count - 1) * extent } else { 0 };
            extent = extent * count + random.below(2) as i64;
        }
        Self {
            start,
            shape,
            step,
            strides,
            memory: vec![UNTOUCHED; extent as usize + 1],
            origin: origin as usize,
        }
    }

    fn region(&mut self, array: &Arc<Array>) -> Region {
        Region {
            array: array.clone(),
            start: self.start.into_iter().collect(),
            shape: self.shape.into_iter().collect(),
            step: Some(self.step.into_iter().collect()),
            data: self.memory[self.origin..].as_mut_ptr().cast(),
            nbytes: self.shape.iter().product::<u64>() as usize * 4,
            strides: Some(self.strides.into_iter().collect()),
        }
    }

    /// The memory as it must be after the read: gaps untouched.
    fn expected(&self) -> Vec<u32> {
        let mut memory = vec![UNTOUCHED; self.memory.len()];
        let [ni, nj, nk] = self.shape;
        for (a, b, c) in (0..ni).flat_map(|a| (0..nj).flat_map(move |b| (0..nk).map(move |c| (a, b, c)))) {
            let k = [a, b, c];
            let [i, j, l] = [0, 1, 2].map(|d| self.start[d].wrapping_add_signed(k[d] as i64 * self.step[d]));
            let at: i64 = (0..3).map(|d| k[d] as i64 * self.strides[d] / 4).sum();
            memory[(self.origin as i64 + at) as usize] = if is_missing(i, j) { 7 } else { value(i, j, l) };
        }
        memory
    }
}

/// A row of `out.len()` elements along the last dimension.
fn row(array: &Arc<Array>, start: [u64; 3], out: &mut [u32]) -> Region {
    Region {
        array: array.clone(),
        start: start.into_iter().collect(),
        shape: [1, 1, out.len() as u64].into_iter().collect(),
        step: None,
        data: out.as_mut_ptr().cast(),
        nbytes: out.len() * 4,
        strides: None,
    }
}

fn submit(runtime: &Arc<Runtime>, regions: Vec<Region>, options: IoOptions) -> Arc<Operation> {
    // SAFETY: every test keeps the regions' memory until it has waited for the operation.
    unsafe { read(runtime, regions, options, None) }.unwrap()
}

#[test]
fn random_boxes_into_random_memory_agree_with_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_arrays(folder.path());
    for threads in [1, 3] {
        let runtime = runtime(threads);
        for name in names {
            let array = open(&runtime, folder.path(), name);
            let mut random = Random(threads as u64);
            for round in 0..300 {
                let mut requests: Vec<_> = (0..1 + round % 3).map(|_| Request::random(&mut random)).collect();
                let regions = requests.iter_mut().map(|request| request.region(&array)).collect();
                let options = IoOptions { no_fast_path: round % 5 == 0, ..Default::default() };
                submit(&runtime, regions, options).wait(None).unwrap().completion.result.unwrap();
                for request in &requests {
                    assert_eq!(
                        request.memory,
                        request.expected(),
                        "{name} {:?} {:?}",
                        request.start,
                        request.shape
                    );
                }
            }
        }
    }
}

#[test]
fn a_chunk_that_several_regions_touch_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(2);
    for (name, requests) in [("zstd", 2), ("sharded", 3)] {
        let array = open(&runtime, folder.path(), name);
        // Eight rows of six elements: four in each of two neighbouring chunks of one shard.
        let mut memory = [0u32; 8 * 6];
        let rows = memory.chunks_mut(6).enumerate();
        let regions =
            rows.map(|(i, out)| row(&array, [4 + i as u64 % 4, 2 + 5 * (i as u64 / 4), 6], out)).collect();
        let operation = submit(&runtime, regions, IoOptions::default());
        operation.wait(None).unwrap().completion.result.unwrap();
        assert_eq!(operation.counters.get(Counter::ChunksDecoded), 2, "{name}");
        assert_eq!(operation.counters.get(Counter::Requests), requests, "{name}");
        assert_eq!(memory[6 + 1], value(5, 2, 7));
    }
}

#[test]
fn each_operation_completes_exactly_once_however_it_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(3);
    let array = open(&runtime, folder.path(), "sharded");
    let mut random = Random(1);
    for _ in 0..500 {
        let (send, receive) = mpsc::channel();
        let count = Arc::new(AtomicUsize::new(0));
        let mut request = Request::random(&mut random);
        let counted = count.clone();
        let on_complete = Box::new(move |completion: Completion| {
            counted.fetch_add(1, Ordering::SeqCst);
            send.send(completion.result.map(drop)).unwrap();
        });
        // SAFETY: the memory is kept until the completion has come.
        let operation =
            unsafe { read(&runtime, vec![request.region(&array)], IoOptions::default(), Some(on_complete)) }
                .unwrap();
        operation.cancel();
        match receive.recv().unwrap() {
            Ok(()) => assert_eq!(request.memory, request.expected()),
            Err(error) => assert_eq!(error.status, Status::Cancelled),
        }
        operation.wait(None).unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
    assert_eq!(runtime.live().operations_in_flight.level(), 0);
    assert_eq!(runtime.live().bytes.level(), 0);
}

#[test]
fn a_corrupted_chunk_fails_its_region_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let key = "zstd/c/1/0/1";
    let file = folder.path().join(key);
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let runtime = runtime(2);
    let array = open(&runtime, folder.path(), "zstd");
    let mut memory = [0u32; 2 * 4];
    let (first, second) = memory.split_at_mut(4);
    let regions = vec![row(&array, [4, 0, 6], first), row(&array, [8, 0, 6], second)];
    let mut statuses = [-1; 2];
    let options = IoOptions { statuses: StatusSlots::new(statuses.as_mut_ptr()), ..Default::default() };
    let error = submit(&runtime, regions, options).wait(None).unwrap().completion.result.err().unwrap();
    assert_eq!((error.status, error.key.as_deref()), (Status::Codec, Some(key)), "{error}");
    assert_eq!(statuses, [Status::Codec as i32, 0]);
    assert_eq!(memory[4..], (6..10).map(|k| value(8, 0, k)).collect::<Vec<_>>());
}

#[test]
fn encoded_chunks_come_as_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(1);
    let array = open(&runtime, folder.path(), "zstd");
    let get = |index: &[u64]| {
        read_encoded_chunk(&array, index, false, None).unwrap().wait(None).unwrap().completion
    };
    let Output::Bytes(bytes) = get(&[1, 1, 0]).result.unwrap() else { panic!("missing") };
    assert_eq!(bytes, std::fs::read(folder.path().join("zstd/c/1/1/0")).unwrap());
    assert!(matches!(get(&[0, 0, 0]).result.unwrap(), Output::Nothing));
    assert_eq!(read_encoded_chunk(&array, &[9, 0, 0], false, None).err().unwrap().status, Status::Invalid);
}

#[test]
fn a_runtime_that_is_shut_down_refuses_work_and_has_no_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(2);
    let array = open(&runtime, folder.path(), "raw");
    runtime.shutdown(Duration::from_secs(10)).unwrap();
    let mut request = Request::random(&mut Random(3));
    // SAFETY: the read is refused.
    let refused = unsafe { read(&runtime, vec![request.region(&array)], IoOptions::default(), None) };
    assert_eq!(refused.err().unwrap().status, Status::Shutdown);
}
