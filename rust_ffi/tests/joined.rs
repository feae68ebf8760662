//! Small reads that wait for the codec pool at the same time: what several want is read once, and each ends by itself.

mod common;

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use common::{Random, Request, UNTOUCHED, is_missing, open, row, runtime, value, write_arrays};
use zarrs_c::engine::error::Status;
use zarrs_c::engine::operation::{OnComplete, Operation};
use zarrs_c::engine::pool::Once;
use zarrs_c::engine::read::{IoOptions, read};
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::Runtime;
use zarrs_c::engine::stats::Counter;

/// Keep the only codec thread busy until what is returned is dropped, and let something wait for it.
fn busy(runtime: &Runtime) -> Sender<()> {
    let (gate, wait) = channel::<()>();
    let (begun, begins) = channel();
    let hold = move || {
        begun.send(()).unwrap();
        assert!(wait.recv().is_err());
    };
    let pool = runtime.live().pool().unwrap();
    pool.submit(&Arc::default(), Arc::new(Once::new(hold)), 1);
    begins.recv().unwrap();
    pool.submit(&Arc::default(), Arc::new(Once::new(|| ())), 1);
    gate
}

fn submit(runtime: &Arc<Runtime>, region: Region, then: Option<OnComplete>) -> Arc<Operation> {
    // SAFETY: every test keeps the region's memory until it has waited for the operation.
    unsafe { read(runtime, vec![region], IoOptions::default(), then) }.unwrap()
}

fn counted(runtime: &Runtime, counter: Counter) -> u64 {
    runtime.live().counters.get(counter)
}

#[test]
fn a_chunk_that_several_of_them_want_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in write_arrays(folder.path()) {
        let runtime = runtime(1);
        let array = open(&runtime, folder.path(), name);
        let fetched = counted(&runtime, Counter::Requests);
        let (mut random, gate) = (Random(7), busy(&runtime));
        let mut requests: Vec<_> = (0..40).map(|_| Request::random(&mut random)).collect();
        let start = |request: &mut Request| submit(&runtime, request.region(&array), None);
        let operations: Vec<_> = requests.iter_mut().map(start).collect();
        drop(gate);
        for (operation, request) in operations.iter().zip(&requests) {
            let completion = operation.wait(None).unwrap().completion;
            completion.result.unwrap();
            assert_eq!(completion.bytes, request.shape.iter().product::<u64>() * 4, "{name}");
            let mut expected = vec![UNTOUCHED; request.memory.len()];
            for ([i, j, k], at) in request.places() {
                expected[at] = if is_missing(i, j) { 7 } else { value(i, j, k) };
            }
            assert_eq!(request.memory, expected, "{name} {:?} {:?}", request.start, request.shape);
        }
        let touched = requests.iter().flat_map(|request| request.places().map(|(at, _)| at));
        let chunks: BTreeSet<_> = touched.map(|[i, j, k]| [i / 4, j / 5, k / 6]).collect();
        let missing = chunks.iter().filter(|chunk| chunk[..2] == [0, 0]).count() as u64;
        assert_eq!(counted(&runtime, Counter::ChunksDecoded), chunks.len() as u64 - missing, "{name}");
        assert_eq!(counted(&runtime, Counter::ChunksMissing), missing, "{name}");
        let shards: BTreeSet<_> = chunks.iter().map(|[i, j, _]| [i / 2, j / 2]).collect();
        let requests = if name == "sharded" {
            (shards.len() + chunks.len()) as u64 - missing
        } else {
            chunks.len() as u64
        };
        assert_eq!(counted(&runtime, Counter::Requests) - fetched, requests, "{name}");
    }
}

#[test]
fn each_ends_when_its_own_pieces_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    for name in ["zstd", "sharded"] {
        let runtime = runtime(1);
        let array = open(&runtime, folder.path(), name);
        let (gate, mut memory) = (busy(&runtime), [[0u32; 17], [0; 17], [0; 17]]);
        let ended = Arc::new(Mutex::new(vec![]));
        let [all, middle, first] = memory.each_mut();
        let outs = [&mut all[..], &mut middle[..6], &mut first[..4]];
        let operations: Vec<_> = [0, 6, 1]
            .into_iter()
            .zip(outs)
            .map(|(start, out)| {
                let (ended, live) = (ended.clone(), runtime.live());
                let note =
                    move |_| ended.lock().unwrap().push((start, live.counters.get(Counter::ChunksDecoded)));
                submit(&runtime, row(&array, [5, 3, start], out), Some(Box::new(note)))
            })
            .collect();
        drop(gate);
        operations.iter().for_each(|operation| operation.wait_only(None).unwrap());
        // Each with the number of chunks that had been decoded by then.
        assert_eq!(*ended.lock().unwrap(), [(1, 1), (6, 2), (0, 3)], "{name}");
        assert_eq!(
            [memory[0][16], memory[1][5], memory[2][0]],
            [value(5, 3, 16), value(5, 3, 11), value(5, 3, 1)]
        );
        for operation in &operations {
            let [done, total] = [&operation.objects_done, &operation.objects_total];
            assert_eq!(
                done.load(std::sync::atomic::Ordering::Acquire),
                total.load(std::sync::atomic::Ordering::Acquire)
            );
        }
    }
}

#[test]
fn who_cancels_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    for name in ["raw", "zstd", "sharded"] {
        let runtime = runtime(1);
        let array = open(&runtime, folder.path(), name);
        let (gate, mut memory) = (busy(&runtime), [[0u32; 4]; 6]);
        // Two of each of three chunks; both of the last are cancelled.
        let rows = memory.iter_mut().enumerate();
        let start = |(i, out): (usize, &mut [u32; 4])| {
            submit(&runtime, row(&array, [6, 7, i as u64 / 2 * 6 + 1], out), None)
        };
        let operations: Vec<_> = rows.map(start).collect();
        [1, 4, 5].iter().for_each(|i: &usize| operations[*i].cancel());
        drop(gate);
        let results: Vec<_> = operations.iter().map(|op| op.wait(None).unwrap().completion.result).collect();
        for (i, result) in results.into_iter().enumerate() {
            match result {
                Ok(_) => assert_eq!(memory[i][3], value(6, 7, i as u64 / 2 * 6 + 4), "{name} {i}"),
                Err(error) => assert_eq!((error.status, [1, 4, 5].contains(&i)), (Status::Cancelled, true)),
            }
        }
        assert_eq!([memory[4], memory[5]], [[0; 4]; 2], "{name}: what nobody wants is not read");
        assert_eq!(counted(&runtime, Counter::ChunksDecoded), 2, "{name}");
    }
}

#[test]
fn a_broken_chunk_fails_those_that_want_it() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let key = "c/1/1/1";
    std::fs::write(folder.path().join("zstd").join(key), b"broken").unwrap();
    let runtime = runtime(1);
    let array = open(&runtime, folder.path(), "zstd");
    let (gate, mut memory) = (busy(&runtime), [[0u32; 6]; 3]);
    let rows = [0, 6, 6].into_iter().zip(&mut memory);
    let operations: Vec<_> =
        rows.map(|(start, out)| submit(&runtime, row(&array, [6, 7, start], out), None)).collect();
    drop(gate);
    for (i, operation) in operations.iter().enumerate() {
        let error = operation.wait(None).unwrap().completion.result.err().map(|error| error.to_string());
        match i {
            0 => assert_eq!(error, None),
            _ => {
                let error = error.expect("it lies in the broken one");
                assert!(error.contains(key) && !error.contains("region"), "{error}");
            }
        }
    }
}

#[test]
fn what_waits_when_the_runtime_shuts_down_ends() {
    let folder = tempfile::tempdir().unwrap();
    write_arrays(folder.path());
    let runtime = runtime(1);
    let array = open(&runtime, folder.path(), "zstd");
    let (gate, mut memory) = (busy(&runtime), [[0u32; 6]; 3]);
    let operations: Vec<_> =
        memory.iter_mut().map(|out| submit(&runtime, row(&array, [6, 7, 1], out), None)).collect();
    assert!(runtime.shutdown(std::time::Duration::ZERO).is_err());
    drop(gate);
    for operation in operations {
        let error = operation.wait(None).unwrap().completion.result.err().unwrap();
        assert_eq!(error.status, Status::Shutdown);
    }
    runtime.shutdown(std::time::Duration::from_secs(60)).unwrap();
}
