//! Small reads that come while others keep the codec pool, or the network, busy. Those that wait together become one job, so
//! that what several of them want of a chunk is read and decoded once. Each still ends by itself, as soon as all of its pieces
//! are placed (of a shard on a server: once all that the job wants of the shard has come), or as it is cancelled.
//!
//! Nothing is read for a job before all of its reads have been submitted: each finds what was stored before it began.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use super::budget::Turn;
use super::ending::{Ending, OwnEnding};
use super::error::{Result, contain};
use super::job::{IoOptions, Placement, RegionJob};
use super::operation::Completer;
use super::plan::{Plan, Target};
use super::pool::{Claim, CodecPool, Lane, Work};
use super::{local, remote};

/// Bytes that a small read decodes at the most, about.
const SMALL: u64 = 4 << 20;

/// Objects that a small read touches at the most: those of one that has more would keep the others waiting.
const FEW: u64 = 64;

/// A read of one region.
pub(super) struct Read {
    placement: Placement,
    target: Target,
    ending: Arc<OwnEnding>,
}

/// The small reads that wait.
#[derive(Default)]
pub(super) struct Joining {
    /// For the codec pool, to read files.
    files: Arc<Waiting>,
    /// For the network.
    remote: Arc<Waiting>,
}

/// Small reads that wait for the same.
#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
    /// Of those of files: a job's units come first, then whoever joins the next.
    lane: Arc<Lane>,
    turn: Arc<Turn>,
}

#[derive(Default)]
struct State {
    reads: Vec<Read>,
    /// Somebody has been told of them.
    queued: bool,
}

/// Whether all that was planned is one small read.
pub(super) fn is_small(placements: &[Placement], plan: &Plan, options: &IoOptions) -> bool {
    let ([placement], Some(target)) = (placements, plan.one()) else { return false };
    let chunks = match placement.array.inner_chunk_shape() {
        Some(shape) => target.cells.most_of(shape),
        None => Some(target.cells.count()),
    };
    let bytes = chunks.and_then(|n| n.checked_mul(placement.array.largest_chunk_bytes()));
    options.are_default() && target.cells.count() <= FEW && bytes.is_some_and(|bytes| bytes <= SMALL)
}

impl Read {
    /// The read that was planned.
    pub fn new(mut placements: Vec<Placement>, plan: Plan, completer: Completer) -> Self {
        let (placement, target) = (placements.pop(), plan.targets().pop());
        let (placement, target) = placement.zip(target).expect("one read");
        let ending = Arc::new(OwnEnding::new(completer, target.cells.count()));
        Self { placement, target, ending }
    }
}

impl Joining {
    /// The place of small reads in line for the network.
    pub fn turn(&self) -> &Arc<Turn> {
        &self.remote.turn
    }

    /// Have `read`, of files, wait until `pool` comes to it.
    pub fn push(&self, read: Read, pool: &Arc<CodecPool>) {
        if self.files.push(read) {
            // Those before come first: meanwhile there may be more to join.
            pool.submit_behind(&self.files.lane, self.files.clone());
        }
    }

    /// Have `read`, of other stores, wait until all requests of those before have begun.
    pub fn push_remote(&self, read: Read, io: &tokio::runtime::Handle, pool: Arc<CodecPool>) {
        let (ending, token) = (Arc::downgrade(&read.ending), read.ending.operation().token().clone());
        drop(io.spawn(async move {
            token.cancelled().await;
            if let Some(ending) = ending.upgrade() {
                ending.close();
            }
        }));
        let waiting = &self.remote;
        if waiting.push(read) {
            let waiting = waiting.clone();
            drop(io.spawn(async move {
                waiting.turn.come_to_the_head().await;
                if let Ok(Some(job)) = waiting.job(Arc::default()) {
                    remote::read_objects(job, pool).await;
                }
            }));
        }
    }
}

impl Waiting {
    /// Whether nobody has been told yet that there is something.
    fn push(&self, read: Read) -> bool {
        let mut state = self.state.lock().unwrap();
        state.reads.push(read);
        !std::mem::replace(&mut state.queued, true)
    }

    /// All that wait by now, as one job of `lane`. Reads that are lost on the way fail.
    fn job(&self, lane: Arc<Lane>) -> Result<Option<Arc<RegionJob>>> {
        let State { reads, .. } = std::mem::take(&mut *self.state.lock().unwrap());
        contain(|| Ok((!reads.is_empty()).then(|| Arc::new(self.join(reads, lane)))))
    }

    fn join(&self, reads: Vec<Read>, lane: Arc<Lane>) -> RegionJob {
        let (mut placements, mut targets, mut each) = (vec![], vec![], Vec::with_capacity(reads.len()));
        for (i, Read { placement, target, ending }) in reads.into_iter().enumerate() {
            placements.push(placement);
            targets.push(Target { region: i as u32, ..target });
            each.push(ending);
        }
        let options = IoOptions::default();
        RegionJob {
            holds: local::memory_of_any(&placements, &options),
            placements,
            plan: Plan::new(targets),
            past_cache: false,
            options,
            next: AtomicUsize::new(0),
            strip: 1,
            lane,
            turn: self.turn.clone(),
            ending: Ending::Each(each),
        }
    }
}

impl Work for Waiting {
    fn claim(&self) -> Option<Claim> {
        Some(Claim { unit: 0, more: false, bytes: 0 })
    }

    fn run(self: Arc<Self>, _unit: usize) {
        if let Ok(Some(job)) = self.job(self.lane.clone())
            && let Ok(pool) = job.operation().live().pool()
        {
            let units = job.plan.count();
            pool.submit(&self.lane, job, units);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::super::array::Array;
    use super::super::error::Status;
    use super::super::operation::Operation;
    use super::super::read::read;
    use super::super::region::Region;
    use super::super::runtime::{Runtime, RuntimeConfig};
    use super::super::stats::Counter;
    use super::super::write::write;
    use super::*;
    use crate::storage::Store;

    const METADATA: &str = r#"{"zarr_format": 3, "node_type": "array", "shape": [8, 8], "data_type": "uint8",
        "fill_value": 0, "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [CHUNK]}},
        "chunk_key_encoding": {"name": "default"}, "codecs": [CODECS]}"#;
    const SHARDING: &str = r#"{"name": "sharding_indexed", "configuration": {"chunk_shape": [4, 4],
        "codecs": [{"name": "bytes"}], "index_location": "end",
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}}"#;

    fn region(array: &Arc<Array>, start: [u64; 2], shape: [u64; 2], data: &mut [u8]) -> Region {
        let (start, shape) = (start.into_iter().collect(), shape.into_iter().collect());
        let (nbytes, data) = (data.len(), data.as_mut_ptr());
        Region { array: array.clone(), start, shape, step: None, data, nbytes, strides: None }
    }

    /// 64 elements that count up, in chunks of a quarter: objects of their own, or all of one shard.
    fn array(runtime: &Arc<Runtime>, sharded: bool) -> Arc<Array> {
        let (chunk, codecs) = if sharded { ("8, 8", SHARDING) } else { ("4, 4", r#"{"name": "bytes"}"#) };
        let json = METADATA.replace("CHUNK", chunk).replace("CODECS", codecs);
        let store = Store::open(runtime, "memory://", &BTreeMap::new()).unwrap();
        let array = Array::from_metadata(&store, "a", &json).unwrap();
        let mut data: Vec<u8> = (0..64).collect();
        let all = region(&array, [0, 0], [8, 8], &mut data);
        // SAFETY: the data stays until the write has ended.
        let written = unsafe { write(runtime, vec![all], IoOptions::default(), None) }.unwrap();
        written.wait(None).unwrap().completion.result.unwrap();
        array
    }

    /// Rows of four elements that are read while all requests are somebody else's.
    struct Reads {
        runtime: Arc<Runtime>,
        operations: Vec<Arc<Operation>>,
        rows: Vec<[u8; 4]>,
        /// Requests made before.
        before: u64,
    }

    /// Begin to read a row from each of `starts`, do `meanwhile` once all of them wait, then let them go on.
    fn read_rows(
        sharded: bool,
        starts: &[[u64; 2]],
        meanwhile: impl FnOnce(&Runtime, &[Arc<Operation>]),
    ) -> Reads {
        let runtime = Runtime::new(RuntimeConfig { max_requests: 2, ..Default::default() }).unwrap();
        let (live, array) = (runtime.live(), array(&runtime, sharded));
        let before = live.counters.get(Counter::Requests);
        let others = Turn::default();
        let held = live
            .io()
            .unwrap()
            .block_on(async { [others.wait(&live.budget, 1).await, others.wait(&live.budget, 1).await] });
        let mut rows = vec![[0; 4]; starts.len()];
        let mut operations = vec![];
        for (start, row) in starts.iter().zip(&mut rows) {
            let regions = vec![region(&array, *start, [1, 4], row)];
            // SAFETY: the rows are returned, and whoever gets them waits.
            operations.push(unsafe { read(&runtime, regions, IoOptions::default(), None) }.unwrap());
            // The first is in line by then.
            while !live.joining.turn().is_taken() {
                std::thread::yield_now();
            }
        }
        meanwhile(&runtime, &operations);
        drop(held);
        operations.iter().for_each(|operation| operation.wait_only(None).unwrap());
        Reads { runtime, operations, rows, before }
    }

    impl Reads {
        fn status(&self, i: usize) -> Option<Status> {
            self.operations[i].wait(None).unwrap().completion.result.err().map(|error| error.status)
        }

        fn requests(&self) -> u64 {
            self.runtime.live().counters.get(Counter::Requests) - self.before
        }
    }

    #[test]
    fn what_waits_for_the_network_is_fetched_once() {
        let starts = [[0, 0], [1, 0], [2, 0], [3, 0], [1, 2], [5, 4], [6, 4], [7, 4]];
        // The first makes its own; of the others three chunks are wanted, which lie together in the shard.
        for (sharded, requests) in [(false, 1 + 3), (true, 2 + 1)] {
            let reads = read_rows(sharded, &starts, |_, _| ());
            for (i, [y, x]) in starts.into_iter().enumerate() {
                assert_eq!(reads.status(i), None);
                assert_eq!(reads.rows[i], [0, 1, 2, 3].map(|n| (y * 8 + x + n) as u8), "{sharded} {i}");
            }
            assert_eq!(reads.requests(), requests, "{sharded}");
        }
    }

    #[test]
    fn who_is_cancelled_ends_at_once_and_leaves_the_others_alone() {
        for sharded in [false, true] {
            let starts = [[0, 0], [1, 0], [2, 0], [5, 4], [6, 4]];
            // Two of the first chunk go on; nobody wants the second any more.
            let reads = read_rows(sharded, &starts, |_, operations| {
                for operation in [&operations[1], &operations[3], &operations[4]] {
                    operation.cancel();
                    operation.wait_only(None).unwrap();
                }
            });
            let expected =
                [None, Some(Status::Cancelled), None, Some(Status::Cancelled), Some(Status::Cancelled)];
            assert_eq!([0, 1, 2, 3, 4].map(|i| reads.status(i)), expected);
            assert_eq!((reads.rows[2], reads.rows[1]), ([16, 17, 18, 19], [0; 4]));
            assert_eq!(reads.requests(), if sharded { 3 } else { 2 }, "{sharded}");
        }
    }

    #[test]
    fn a_shutdown_ends_those_that_wait() {
        let reads = read_rows(false, &[[0, 0], [1, 0], [2, 0]], |runtime, operations| {
            let _ = runtime.shutdown(Duration::ZERO);
            operations.iter().for_each(|operation| operation.wait_only(None).unwrap());
        });
        assert!((0..3).all(|i| reads.status(i) == Some(Status::Shutdown)));
    }
}
