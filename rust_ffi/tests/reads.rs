//! The engine against zarrs itself: arrays that zarrs writes, read by us into all kinds of memory.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use common::{Random, Request, UNTOUCHED, is_missing, open, row, runtime, value, write_arrays};
use zarrs_c::engine::encoded::read_encoded_chunk;
use zarrs_c::engine::error::Status;
use zarrs_c::engine::operation::{Completion, Operation, Output};
use zarrs_c::engine::read::{IoOptions, StatusSlots, read};
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::Runtime;
use zarrs_c::engine::stats::Counter;

/// The memory of a request as it must be after the read: gaps untouched.
fn expected(request: &Request) -> Vec<u32> {
    let mut memory = vec![UNTOUCHED; request.memory.len()];
    for ([i, j, k], at) in request.places() {
        memory[at] = if is_missing(i, j) { 7 } else { value(i, j, k) };
    }
    memory
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
                        expected(request),
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
            Ok(()) => assert_eq!(request.memory, expected(&request)),
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
