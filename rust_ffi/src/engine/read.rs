//! Reads: regions in, the caller's memory filled, one completion out.
//!
//! Where the objects are local files, the codec pool reads them as it gets to them ([`local`]); others are fetched by tasks
//! that wait for the network ([`remote`]) and give the pool what has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

use super::budget::Turn;
use super::ending::Ending;
use super::error::Result;
use super::job::{ObjectDone, RegionJob, claim, plan};
use super::joined;
use super::operation::{OnComplete, Operation};
use super::pages::{self, Extent, Pages};
use super::pool::{Claim, CodecPool, Lane, Once, Work};
use super::region::{Access, Region};
use super::runtime::Runtime;
use super::strip::{self, Strip};
use super::{local, remote, stream};

pub use super::job::{IoOptions, StatusSlots};

/// Read `regions` into the memory that each names.
///
/// # Errors
/// When a region is wrong, or nothing can be started: then nothing was retained. Later failures are the completion's.
///
/// # Safety
/// Until the operation is final, each region's memory must be valid for writes and used by nobody else, regions must
/// not overlap, and the status slots (one a region) must be valid for writes.
pub unsafe fn read(
    runtime: &Arc<Runtime>,
    regions: Vec<Region>,
    options: IoOptions,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    let bytes = regions.iter().fold(0usize, |n, region| n.saturating_add(region.nbytes));
    let past_cache = bytes >= stream::LARGE && !options.no_fast_path;
    let extents = if bytes >= pages::PART { pages::extents(&regions) } else { Vec::new() };
    let (placements, plan) = plan(runtime, regions, Access::Read)?;
    let live = runtime.live();
    let pool = live.pool()?;
    let remote = placements.iter().any(|placement| placement.array.store().is_remote());
    let io = remote.then(|| live.io()).transpose()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let total = plan.count();
    operation.objects_total.store(total as u64, Ordering::Relaxed);
    let joining = &operation.live().joining;
    let is_small = total > 0 && joined::is_small(&placements, &plan, &options);
    if is_small && io.as_ref().map_or_else(|| pool.is_behind(), |_| joining.turn().is_taken()) {
        let read = joined::Read::new(placements, plan, completer);
        match io {
            None => joining.push(read, &pool),
            Some(io) => joining.push_remote(read, &io, pool),
        }
        return Ok(operation);
    }
    let turn = if is_small || !remote {
        joining.turn().clone()
    } else {
        Arc::new(Turn::new(options.max_requests, options.max_bytes))
    };
    let lane = Arc::new(Lane::within(options.max_bytes));
    let (strip, more) = if remote {
        (1, 0)
    } else {
        strip::of_files(&placements, &plan, past_cache, &options, operation.live().config())
    };
    let holds = local::memory_of_any(&placements, &options) + more;
    let (next, ending) = (AtomicUsize::new(0), Ending::Together(completer));
    submit(
        RegionJob { placements, plan, past_cache, options, next, strip, lane, turn, holds, ending },
        extents,
        &pool,
        io,
    );
    Ok(operation)
}

/// Have `job` done: by the pool, or where `io` is given by tasks there. `extents`: what its results take of memory, where
/// that may have to be made first.
fn submit(job: RegionJob, extents: Vec<Extent>, pool: &Arc<CodecPool>, io: Option<Handle>) {
    let lane = job.lane.clone();
    let units = job.plan.count().div_ceil(job.strip);
    if units == 0 {
        // Nothing to do, but even so the completion must not come inside of this call.
        return pool.submit(&lane, Arc::new(Once::new(move || drop(job))), 1);
    }
    let job = Arc::new(job);
    let pages = Pages::new(&job, extents, io.is_none());
    match (io, pages) {
        (None, None) => pool.submit(&lane, job, units),
        (None, Some(pages)) => pool.submit(&lane, pages.clone(), pages.count() + units),
        (Some(io), pages) => {
            if let Some(pages) = pages {
                // Made while the network is waited for.
                pool.submit(&lane, pages.clone(), pages.count());
            }
            drop(io.spawn(remote::read_objects(job, pool.clone())));
        }
    }
}

impl Work for RegionJob {
    fn claim(&self) -> Option<Claim> {
        let bytes = |unit| self.cost(self.object_bytes(unit * self.strip)).saturating_mul(self.strip as u64);
        claim(&self.next, self.plan.count().div_ceil(self.strip), bytes)
    }

    /// Read objects that are local files. Others come from the network, see [`remote`].
    fn run(self: Arc<Self>, unit: usize) {
        let mut strip = Strip::new(self.operation(), &self.placements[0].array, self.strip);
        for i in strip::cells(unit, self.strip, self.plan.count()) {
            let done = ObjectDone::new(&self);
            let (cell, pieces) = self.object(i);
            let _done = self.until_done(&pieces);
            self.guarded(&pieces, |pieces| local::read_object(&self, &cell, pieces, done, &mut strip));
        }
    }

    fn holds(&self) -> u64 {
        self.holds
    }
}
