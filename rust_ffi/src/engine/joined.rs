//! Small reads that come while every codec thread has work. Those that wait together become one job, so that what several of
//! them want of a chunk is read and decoded once. Each still ends by itself, as soon as all of its pieces are placed.
//!
//! Nothing is read for a job before all of its reads have been submitted: each finds what was stored before it began.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use super::budget::Turn;
use super::ending::{Ending, OwnEnding};
use super::error::contain;
use super::job::{IoOptions, Placement, RegionJob};
use super::local;
use super::operation::Completer;
use super::plan::{Plan, Target};
use super::pool::{Claim, CodecPool, Lane, Work};

/// Bytes that a small read decodes at the most, about.
const SMALL: u64 = 4 << 20;

/// A read of one region.
pub(super) struct Read {
    placement: Placement,
    target: Target,
    ending: OwnEnding,
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
        let ending = OwnEnding::new(completer, target.cells.count());
        Self { placement, target, ending }
    }
}

impl Waiting {
    /// Have `read` wait until the pool comes to it.
    pub fn push(self: &Arc<Self>, read: Read, pool: &Arc<CodecPool>) {
        let mut state = self.state.lock().unwrap();
        state.reads.push(read);
        if !std::mem::replace(&mut state.queued, true) {
            drop(state);
            // Those before come first: meanwhile there may be more to join.
            pool.submit_behind(&self.lane, self.clone());
        }
    }

    /// Make one job of `reads`.
    fn join(&self, reads: Vec<Read>) -> RegionJob {
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
        let live = first.ending.operation().live().clone();
        // Reads that are lost on the way fail.
        let _ = contain(|| {
            let job = Arc::new(self.join(reads));
            let units = job.plan.count();
            live.pool()?.submit(&self.lane, job, units);
            Ok(())
        });
    }
}
