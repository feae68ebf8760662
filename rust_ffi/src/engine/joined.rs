//! Small reads that come while every codec thread has work. Those that wait together become one job, so that what several of
//! them want of a chunk is read and decoded once. Each still completes by itself, as soon as all of its pieces are placed.
//!
//! Nothing is read for a job before all of its reads have been submitted: each finds what was stored before it began.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::budget::Turn;
use super::error::{Error, Status, contain};
use super::job::{Ending, IoOptions, Placement, RegionJob};
use super::local;
use super::operation::{Completer, Operation};
use super::plan::{Pieces, Plan, Target};
use super::pool::{Claim, CodecPool, Lane, Work};

/// Bytes that a read may decode, about, and be a small one.
const SMALL: u64 = 4 << 20;

/// A read of one region.
pub(super) struct Read {
    placement: Placement,
    target: Target,
    own: Own,
}

/// A read's completion: when all of its pieces are placed, or given up.
pub(super) struct Own {
    operation: Arc<Operation>,
    /// Pieces that are left, of those which are known by now.
    left: AtomicU64,
    completer: Mutex<Option<Completer>>,
}

/// Counts pieces of joined reads as placed when dropped, however that comes about.
pub(super) struct PiecesDone<'a> {
    job: &'a RegionJob,
    pieces: &'a Pieces,
}

/// The small reads that wait for the codec pool.
#[derive(Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    lane: Arc<Lane>,
}

#[derive(Default)]
struct State {
    reads: Vec<Read>,
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
    options.are_default() && bytes.is_some_and(|bytes| bytes <= SMALL)
}

impl Read {
    /// The read that was planned.
    pub fn new(mut placements: Vec<Placement>, plan: Plan, completer: Completer) -> Self {
        let (placement, target) = (placements.pop(), plan.targets().pop());
        let (placement, target) = placement.zip(target).expect("one read");
        let left = AtomicU64::new(target.cells.count());
        let operation = completer.operation().clone();
        Self { placement, target, own: Own { operation, left, completer: Mutex::new(Some(completer)) } }
    }
}

impl Own {
    pub fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// There is one piece more than was known: whoever says so is within one that is not done.
    pub fn expect(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    fn done(&self) {
        // What other threads have placed comes before the completion.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let operation = &self.operation;
            operation.objects_done.store(operation.objects_total.load(Ordering::Relaxed), Ordering::Release);
            let completer = self.completer.lock().unwrap().take();
            drop(completer);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if *self.left.get_mut() > 0 {
            self.operation.fail(Error::new(Status::Panic, "a job was lost"));
        }
    }
}

impl<'a> PiecesDone<'a> {
    pub fn new(job: &'a RegionJob, pieces: &'a Pieces) -> Self {
        Self { job, pieces }
    }
}

impl Drop for PiecesDone<'_> {
    fn drop(&mut self) {
        if let Ending::Each(each) = &self.job.ending {
            self.pieces.iter().for_each(|piece| each[piece.region as usize].done());
        }
    }
}

impl Waiting {
    /// Have `read` wait until the pool comes to it.
    pub fn push(self: &Arc<Self>, read: Read, pool: &Arc<CodecPool>) {
        let mut state = self.state.lock().unwrap();
        state.reads.push(read);
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            // Those that are being read come first: meanwhile more may come, to be joined.
            pool.submit_behind(&self.lane, self.clone());
        }
    }

    /// Make one job of `reads`.
    fn join(&self, reads: Vec<Read>) -> RegionJob {
        let (mut placements, mut targets, mut each) = (vec![], vec![], Vec::with_capacity(reads.len()));
        for (i, Read { placement, target, own }) in reads.into_iter().enumerate() {
            placements.push(placement);
            targets.push(Target { region: i as u32, ..target });
            each.push(own);
        }
        let options = IoOptions::default();
        RegionJob {
            holds: local::memory_of_any(&placements, &options),
            placements,
            plan: Plan::new(targets),
            past_cache: false,
            options,
            next: AtomicUsize::new(0),
            lane: self.lane.clone(),
            turn: Turn::new(0, 0),
            ending: Ending::Each(each),
        }
    }
}

impl Work for Waiting {
    fn claim(&self) -> Option<Claim> {
        Some(Claim { unit: 0, more: false, bytes: 0 })
    }

    fn run(self: Arc<Self>, _unit: usize) {
        let State { reads, .. } = std::mem::take(&mut *self.state.lock().unwrap());
        let Some(first) = reads.first() else { return };
        let live = first.own.operation.live().clone();
        // What is dropped on the way fails.
        let _ = contain(|| {
            let job = Arc::new(self.join(reads));
            let units = job.plan.count();
            live.pool()?.submit(&self.lane, job, units);
            Ok(())
        });
    }
}
