//! The engine against zarrs itself: arrays that we write from all kinds of memory, read by zarrs.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Random, Request, SHAPE, is_missing, open, row, runtime, value, write_arrays};
use zarrs::array::{Array as Zarrs, ArraySubset};
use zarrs::filesystem::FilesystemStore;
use zarrs_c::engine::array::Array;
use zarrs_c::engine::encoded::read_encoded_chunk;
use zarrs_c::engine::error::{Result, Status};
use zarrs_c::engine::operation::{Operation, Output};
use zarrs_c::engine::pool::Once;
use zarrs_c::engine::read::IoOptions;
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::{Runtime, RuntimeConfig};
use zarrs_c::engine::stats::Counter;
use zarrs_c::engine::write::write;
use zarrs_c::engine::write_encoded::{Lent, write_encoded_chunk};
use zarrs_c::storage::Store;

fn submit(runtime: &Arc<Runtime>, regions: Vec<Region>, options: IoOptions) -> Result<Arc<Operation>> {
    // SAFETY: every test keeps the regions' memory until it has waited for the operation.
    unsafe { write(runtime, regions, options, None) }
}

fn finish(operation: &Operation) -> Result<()> {
    operation.wait(None).unwrap().completion.result.map(drop)
}

/// All of an array, as zarrs reads it.
fn read_by_zarrs(folder: &Path, name: &str) -> Vec<u32> {
    let store = Arc::new(FilesystemStore::new(folder).unwrap());
    let array = Zarrs::open(store, &format!("/{name}")).unwrap();
    let all = ArraySubset::new_with_shape(SHAPE.to_vec());
    array.retrieve_array_subset::<Vec<u32>>(&all).unwrap()
}

fn position([i, j, k]: [u64; 3]) -> usize {
    ((i * SHAPE[1] + j) * SHAPE[2] + k) as usize
}

/// What `write_arrays` has written.
fn before() -> Vec<u32> {
    let [ni, nj, nk] = SHAPE;
    let all = (0..ni).flat_map(|i| (0..nj).flat_map(move |j| (0..nk).map(move |k| (i, j, k))));
    all.map(|(i, j, k)| if is_missing(i, j) { 7 } else { value(i, j, k) }).collect()
}

#[test]
fn random_boxes_from_random_memory_are_what_zarrs_reads() {
    for (threads, seed) in [(1, 5), (3, 6)] {
        let folder = tempfile::tempdir().unwrap();
        let (names, runtime) = (write_arrays(folder.path()), runtime(threads));
        for name in names {
            let array = open(&runtime, folder.path(), name);
            let (mut random, mut model) = (Random(seed), before());
            for round in 0..150 {
                let mut request = Request::random(&mut random);
                // Often the fill value alone, so that chunks vanish and come back.
                let fills = round % 4 == 0;
                request
                    .memory
                    .iter_mut()
                    .for_each(|n| *n = if fills { 7 } else { random.below(1000) as u32 });
                request.places().for_each(|(index, at)| model[position(index)] = request.memory[at]);
                let options = IoOptions {
                    no_fast_path: round % 5 == 0,
                    write_empty: round % 3 == 0,
                    sync: round % 50 == 0,
                    ..Default::default()
                };
                let operation = submit(&runtime, vec![request.region(&array)], options).unwrap();
                finish(&operation).unwrap();
                if round % 10 == 9 {
                    assert!(read_by_zarrs(folder.path(), name) == model, "{name}, round {round}");
                }
            }
        }
        assert_eq!(runtime.live().bytes.level(), 0);
    }
}

#[test]
fn what_is_replaced_as_a_whole_is_not_read_and_what_stays_is_copied_as_bytes() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(2);
    // The array's last chunk along each dimension reaches beyond it. One region, then the same in two.
    for parts in [1, 2] {
        let array = open(&runtime, folder.path(), "zstd");
        let mut memory = [3u32; 5 * 5];
        let rows = memory.chunks_mut(25 / 5 * (5 / parts + parts - 1)).enumerate();
        let regions: Vec<_> = rows
            .map(|(i, rows)| Region {
                shape: [1, (rows.len() / 5) as u64, 5].into_iter().collect(),
                ..row(&array, [12, 5 + 3 * i as u64, 12], rows)
            })
            .collect();
        let operation = submit(&runtime, regions, IoOptions::default()).unwrap();
        finish(&operation).unwrap();
        assert_eq!(operation.counters.get(Counter::BytesFetched), 0, "{parts} regions");
        assert_eq!(operation.counters.get(Counter::Puts), 1);
    }
    // One element of one inner chunk of a shard: that one is decoded and encoded, the others keep their bytes.
    let array = open(&runtime, folder.path(), "sharded");
    // The inner chunks of the shard at [1, 0, 0].
    let inner_chunks = || -> Vec<Vec<u8>> {
        let all = (0..2).flat_map(|i| (0..2).flat_map(move |j| (0..3).map(move |k| [2 + i, j, k])));
        let stored = all.map(|index| {
            let read = read_encoded_chunk(&array, &index, true, None).unwrap();
            match read.wait(None).unwrap().completion.result.unwrap() {
                Output::Bytes(bytes) => bytes,
                _ => vec![],
            }
        });
        stored.collect()
    };
    let old = inner_chunks();
    let mut one = [9u32];
    let operation = submit(&runtime, vec![row(&array, [12, 9, 16], &mut one)], IoOptions::default()).unwrap();
    finish(&operation).unwrap();
    assert_eq!(operation.counters.get(Counter::ChunksDecoded), 1);
    assert_eq!(operation.counters.get(Counter::ChunksEncoded), 1);
    let changed = old.iter().zip(inner_chunks()).filter(|(old, new)| *old != new).count();
    assert_eq!((old.len(), changed), (12, 1));
}

#[test]
fn the_same_elements_give_the_same_shard_whoever_is_faster() {
    let shard = |threads| {
        let folder = tempfile::tempdir().unwrap();
        write_arrays(folder.path());
        let runtime = runtime(threads);
        let array = open(&runtime, folder.path(), "sharded");
        let mut request = Request::random(&mut Random(11));
        (request.start, request.shape, request.step) = ([0; 3], SHAPE, [1; 3]);
        request.strides = [4 * 170, 4 * 17, 4];
        (request.memory, request.origin) = ((0..13 * 170).collect(), 0);
        finish(&submit(&runtime, vec![request.region(&array)], IoOptions::default()).unwrap()).unwrap();
        std::fs::read(folder.path().join("sharded/c/0/0/0")).unwrap()
    };
    let first = shard(1);
    (0..5).for_each(|_| assert!(shard(4) == first));
}

#[test]
fn concurrent_writes_to_parts_of_one_chunk_all_last() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(3);
    for name in ["zstd", "sharded"] {
        let array = open(&runtime, folder.path(), name);
        let mut elements: Vec<u32> = (1000..1000 + 4 * 5 * 6).collect();
        let places = elements.chunks_mut(1).enumerate();
        let operations: Vec<_> = places
            .map(|(n, one)| {
                let n = n as u64;
                let region = row(&array, [n / 30, n / 6 % 5, n % 6], one);
                submit(&runtime, vec![region], IoOptions::default()).unwrap()
            })
            .collect();
        operations.iter().for_each(|operation| finish(operation).unwrap());
        let all = read_by_zarrs(folder.path(), name);
        for (n, element) in elements.iter().enumerate() {
            let n = n as u64;
            assert_eq!(all[position([n / 30, n / 6 % 5, n % 6])], *element, "{name}");
        }
    }
}

#[test]
fn a_shard_whose_index_lies_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let file = folder.path().join("sharded/c/1/0/0");
    let mut bytes = std::fs::read(&file).unwrap();
    let flipped = bytes.len() - 20;
    bytes[flipped] ^= 0x40;
    std::fs::write(&file, &bytes).unwrap();
    let runtime = runtime(2);
    let array = open(&runtime, folder.path(), "sharded");
    let mut one = [9u32];
    let operation = submit(&runtime, vec![row(&array, [12, 9, 16], &mut one)], IoOptions::default()).unwrap();
    let error = finish(&operation).unwrap_err();
    assert_eq!((error.status, error.key.as_deref()), (Status::Codec, Some("sharded/c/1/0/0")), "{error}");
    assert!(std::fs::read(&file).unwrap() == bytes);
}

#[test]
fn encoded_chunks_are_stored_as_they_are_and_erased() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(1);
    let array = open(&runtime, folder.path(), "raw");
    let file = folder.path().join("raw/c/1/1/1");
    // SAFETY: the text lives for ever.
    let data = unsafe { Lent::new(b"anything".as_ptr(), 8) };
    finish(&write_encoded_chunk(&array, &[1, 1, 1], Some(data), None).unwrap()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"anything");
    for _ in 0..2 {
        finish(&write_encoded_chunk(&array, &[1, 1, 1], None, None).unwrap()).unwrap();
        assert!(!file.exists());
    }
    let refused = write_encoded_chunk(&array, &[9, 0, 0], None, None).err().unwrap();
    assert_eq!(refused.status, Status::Invalid);
}

/// The copy for a request is made on the codec pool, which may get to it long after its write has been cancelled.
#[test]
fn lent_bytes_are_not_read_after_the_completion_of_a_cancelled_write() {
    let config = RuntimeConfig { io_threads: 1, codec_threads: 1, ..Default::default() };
    let runtime = Runtime::new(config).unwrap();
    let store = Store::open(&runtime, "memory:///", &BTreeMap::new()).unwrap();
    let json = r#"{"zarr_format": 3, "node_type": "array", "shape": [8], "data_type": "uint8", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8]}},
        "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "bytes"}]}"#;
    let array = Array::from_metadata(&store, "", json).unwrap();
    let (live, stored) = (runtime.live(), *b"anything");
    // The only thread of the pool is held, so that the copy waits.
    let (release, held) = channel::<()>();
    let hold = Once::new(move || assert!(held.recv().is_err()));
    live.pool().unwrap().submit(&Arc::default(), Arc::new(hold), 1);
    // SAFETY: the array outlives the operation, which is waited for.
    let lent = unsafe { Lent::new(stored.as_ptr(), stored.len()) };
    let operation = write_encoded_chunk(&array, &[0], Some(lent), None).unwrap();
    // Tasks of one thread take turns: once this one has run, the write's has queued its copy.
    let (ran, turn) = channel();
    let io = live.io().unwrap();
    io.spawn(async move { ran.send(()).unwrap() });
    turn.recv().unwrap();
    operation.cancel();
    while io.metrics().num_alive_tasks() > 0 {
        std::thread::yield_now(); // the write's task is dropped where it waits
    }
    let early = operation.wait_only(Some(Duration::ZERO));
    assert_eq!(early.unwrap_err().status, Status::Timeout, "completed while the copy was yet to be made");
    drop(release);
    assert_eq!(finish(&operation).unwrap_err().status, Status::Cancelled);
    let read = read_encoded_chunk(&array, &[0], false, None).unwrap().wait(None).unwrap().completion;
    assert!(matches!(read.result.unwrap(), Output::Nothing));
}
