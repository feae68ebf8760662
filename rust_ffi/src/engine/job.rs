//! What reads and writes are made of: [`RegionJob`], the regions under way, with one unit for each stored object (chunk or
//! shard) that they touch, or for some small chunks side by side.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::{Either, select};

use super::Dims;
use super::array::Array;
use super::budget::Turn;
use super::ending::Ending;
use super::error::{Error, Result, contain};
use super::operation::Operation;
use super::place::{Layout, Placer};
use super::plan::{Cells, Memory, Piece, Pieces, Plan, Target};
use super::pool::{Claim, Lane};
use super::region::{Access, Region};
use super::runtime::Runtime;
use super::shard::ShardLayout;
use super::stats::Counter;
use super::strip;

/// How a read or a write is done.
#[derive(Clone, Copy, Default)]
pub struct IoOptions {
    /// Requests in flight of this operation alone; 0: no limit of its own.
    pub max_requests: usize,
    /// Likewise, bytes in flight.
    pub max_bytes: u64,
    /// The first region that fails stops the others.
    pub fail_fast: bool,
    /// Decode by zarrs alone.
    pub no_fast_path: bool,
    /// Of writes: store chunks that hold nothing but the fill value, instead of erasing them.
    pub write_empty: bool,
    /// Of writes: what was written is on the disk at the end.
    pub sync: bool,
    /// Of writes: a chunk that is changed in part must still be what it was when it was read.
    pub if_unchanged: bool,
    pub statuses: Option<StatusSlots>,
}

impl IoOptions {
    /// Whether they leave everything to the library.
    pub(super) fn are_default(&self) -> bool {
        let Self { max_requests, max_bytes, no_fast_path, statuses, .. } = self;
        (*max_requests, *max_bytes, *no_fast_path) == (0, 0, false) && statuses.is_none()
    }
}

/// The caller's array of statuses, one a region, written before the completion.
#[derive(Clone, Copy)]
pub struct StatusSlots(*mut i32);

// SAFETY: the caller promises that the slots stay valid until the completion; only `RegionJob::drop` writes them.
unsafe impl Send for StatusSlots {}
// SAFETY: as above.
unsafe impl Sync for StatusSlots {}

impl StatusSlots {
    /// `None` for a null pointer.
    pub fn new(slots: *mut i32) -> Option<Self> {
        (!slots.is_null()).then_some(Self(slots))
    }
}

/// Check every region and plan them together.
pub(super) fn plan(
    runtime: &Arc<Runtime>,
    regions: Vec<Region>,
    access: Access,
) -> Result<(Vec<Placement>, Plan)> {
    let several = regions.len() > 1;
    let mut placements = Vec::with_capacity(regions.len());
    let mut targets = Vec::with_capacity(regions.len());
    for (i, region) in regions.into_iter().enumerate() {
        let checked = if Arc::ptr_eq(region.array.store().runtime(), runtime) {
            region.checked(access)
        } else {
            Err(Error::invalid(format_args!("{}: the array belongs to another runtime", region.array.name())))
        };
        let (cells, strides) =
            checked.map_err(|e| if several { e.prefixed(format_args!("region {i}: ")) } else { e })?;
        let grid = Arc::as_ptr(&region.array) as usize;
        let region_index = u32::try_from(i).map_err(|_| Error::invalid("more regions than 2^32 - 1"))?;
        targets.push(Target { region: region_index, grid, cells, memory: Memory(region.data) });
        placements.push(Placement { array: region.array, strides, failure: AtomicI32::new(0) });
    }
    Ok((placements, Plan::new(targets)))
}

/// A region under way.
pub(super) struct Placement {
    pub(super) array: Arc<Array>,
    strides: Dims<isize>,
    /// The status that it failed with, or 0.
    failure: AtomicI32,
}

/// See the module.
pub(super) struct RegionJob {
    pub(super) placements: Vec<Placement>,
    pub(super) plan: Plan,
    /// The results are too large for the caches.
    pub(super) past_cache: bool,
    pub(super) options: IoOptions,
    pub(super) next: AtomicUsize,
    /// So many of the plan's cells, one after another, are one unit of work; see [`strip`].
    pub(super) strip: usize,
    /// Its place in the codec pool's queue.
    pub(super) lane: Arc<Lane>,
    /// Its place in line for the network.
    pub(super) turn: Arc<Turn>,
    /// Bytes that reading one of its local files holds; see [`Work::holds`](super::pool::Work::holds).
    pub(super) holds: u64,
    /// Dropped last, after everything that could reach the caller's memory.
    pub(super) ending: Ending,
}

/// Claim the next of `total` units, each of which decodes `bytes`.
pub(super) fn claim(next: &AtomicUsize, total: usize, bytes: impl Fn(usize) -> u64) -> Option<Claim> {
    let unit = next.fetch_add(1, Ordering::Relaxed);
    (unit < total).then(|| Claim { unit, more: unit + 1 < total, bytes: bytes(unit) })
}

/// Counts an object as done when dropped, however that comes about.
pub(super) struct ObjectDone(Arc<RegionJob>);

impl ObjectDone {
    pub(super) fn new(job: &Arc<RegionJob>) -> Self {
        Self(job.clone())
    }

    pub(super) fn job(&self) -> &Arc<RegionJob> {
        &self.0
    }
}

/// Counts pieces as done when dropped, however that comes about.
pub(super) struct PiecesDone<'a> {
    ending: &'a Ending,
    pieces: &'a Pieces,
}

impl Drop for PiecesDone<'_> {
    fn drop(&mut self) {
        self.pieces.iter().for_each(|piece| self.ending.done(piece.region));
    }
}

impl Drop for ObjectDone {
    fn drop(&mut self) {
        self.0.ending.object_done();
    }
}

impl RegionJob {
    /// Whether it is one operation's.
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self.ending, Ending::Together(_))
    }

    /// The operation of such a job; of joined reads, that of the first.
    pub(super) fn operation(&self) -> &Arc<Operation> {
        self.operation_of(0)
    }

    /// The operation of a region.
    pub(super) fn operation_of(&self, region: u32) -> &Arc<Operation> {
        self.ending.operation_of(region)
    }

    /// `pieces` are done when what is returned is dropped: nothing touches their memory after it.
    pub(super) fn until_done<'a>(&'a self, pieces: &'a Pieces) -> PiecesDone<'a> {
        PiecesDone { ending: &self.ending, pieces }
    }

    /// Run `work` on those of `pieces` that are not in vain; its failure, or panic, is that of the regions they belong to.
    pub(super) fn guarded(&self, pieces: &Pieces, work: impl FnOnce(&Pieces) -> Result<()>) {
        let failed = |region: u32| self.placements[region as usize].failure.load(Ordering::Relaxed) != 0;
        let run = |pieces: &Pieces| {
            if let Err(error) = contain(|| work(pieces)) {
                self.fail_all(pieces, &error);
            }
        };
        match &self.ending {
            Ending::Together(completer) => {
                if !completer.operation().skip() && !pieces.iter().all(|piece| failed(piece.region)) {
                    run(pieces);
                }
            }
            Ending::Each(each) => {
                let of = |piece: &Piece| &each[piece.region as usize];
                let inside: Pieces = pieces.iter().filter(|piece| of(piece).enter()).cloned().collect();
                if !inside.is_empty() {
                    run(&inside);
                }
                inside.iter().for_each(|piece| of(piece).leave());
            }
        }
    }

    /// Run `work` as long as somebody wants `pieces`; `None`: until nobody did.
    pub(super) async fn while_wanted<T>(&self, pieces: &Pieces, work: impl Future<Output = T>) -> Option<T> {
        let each = match &self.ending {
            Ending::Together(completer) => {
                return completer.operation().token().run_until_cancelled(work).await;
            }
            Ending::Each(each) => each,
        };
        let unwanted = async {
            for piece in pieces {
                each[piece.region as usize].operation().token().cancelled().await;
            }
        };
        match select(pin!(unwanted), pin!(work)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }

    /// The same, where its failure, or panic, is that of the regions that `pieces` belong to.
    pub(super) async fn guarded_while_wanted(&self, pieces: &Pieces, work: impl Future<Output = Result<()>>) {
        match self.while_wanted(pieces, AssertUnwindSafe(work).catch_unwind()).await {
            None => self.skip(pieces),
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => self.fail_all(pieces, &error),
            Some(Err(panic)) => self.fail_all(pieces, &Error::from_panic(&*panic)),
        }
    }

    /// Nobody wanted `pieces` any more, and they are left undone.
    pub(super) fn skip(&self, pieces: &Pieces) {
        pieces.iter().for_each(|piece| _ = self.operation_of(piece.region).skip());
    }

    /// Fail every region that has one of `pieces`.
    pub(super) fn fail_all(&self, pieces: &Pieces, error: &Error) {
        pieces.iter().for_each(|piece| self.fail(piece.region, error.clone()));
    }

    pub(super) fn fail(&self, region: u32, error: Error) {
        let status = error.status as i32;
        let failure = &self.placements[region as usize].failure;
        let _ = failure.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed);
        if self.placements.len() == 1 || !self.is_of_one() {
            self.operation_of(region).fail(error);
            return;
        }
        let error = error.prefixed(format_args!("region {region}: "));
        if self.options.fail_fast {
            self.operation().fail(error);
        } else {
            self.operation().note_failure(error);
        }
    }

    /// Who places `pieces`.
    pub(super) fn placer(&self, pieces: &Pieces) -> Placer<'_> {
        Placer { job: self, operation: self.operation_of(pieces[0].region) }
    }

    /// Count `bytes` as placed in each region.
    pub(super) fn count_placed(&self, bytes: impl Iterator<Item = (u32, u64)>) {
        match &self.ending {
            Ending::Together(completer) => {
                completer.operation().count(Counter::BytesPlaced, bytes.map(|(_, bytes)| bytes).sum());
            }
            Ending::Each(_) => {
                bytes.for_each(|(region, bytes)| self.operation_of(region).count(Counter::BytesPlaced, bytes))
            }
        }
    }

    /// About how many bytes are decoded for an object: a chunk, or the index of a shard.
    pub(super) fn object_bytes(&self, unit: usize) -> u64 {
        self.placements[self.plan.region(unit) as usize].array.chunk_bytes()
    }

    /// What a unit that decodes `bytes` costs the job's lane, where each operation has as many turns as any other.
    pub(super) fn cost(&self, bytes: u64) -> u64 {
        match &self.ending {
            Ending::Together(_) => bytes,
            Ending::Each(each) => bytes / each.len() as u64,
        }
    }

    /// How many inner chunks of a shard, of which `plan` says what is wanted, make a strip.
    pub(super) fn strip_of(&self, array: &Array, plan: &Plan) -> usize {
        if !self.is_of_one() {
            return 1; // each operation's memory is let go by itself, before a strip is written
        }
        let cells = plan.count().saturating_mul(self.plan.count());
        strip::length(array, plan, cells, self.past_cache, &self.options, self.operation().live().config())
    }

    /// A stored object of the plan: its cell, and what each region takes from it.
    pub(super) fn object(&self, i: usize) -> (Dims<u64>, Pieces) {
        self.plan.cell(i, |region| self.strides(region))
    }

    pub(super) fn strides(&self, region: u32) -> &[isize] {
        &self.placements[region as usize].strides
    }

    /// The array that the pieces of one object belong to.
    pub(super) fn array(&self, pieces: &Pieces) -> &Arc<Array> {
        &self.placements[pieces[0].region as usize].array
    }

    pub(super) fn layout<'a>(&'a self, pieces: &'a Pieces) -> Layout<'a> {
        let array = self.array(pieces);
        let strides = pieces.iter().map(|piece| self.strides(piece.region)).collect();
        let (itemsize, fill_value) = (array.dtype().itemsize, array.fill_value());
        Layout { pieces, strides, itemsize, fill_value, past_cache: self.past_cache }
    }

    /// The inner chunks of a shard that its pieces touch.
    pub(super) fn inner_plan(&self, pieces: &Pieces, shard: &ShardLayout) -> Plan {
        let targets = pieces.iter().map(|piece| {
            let cells = Cells::new(piece.inner.clone(), shard.axes.clone());
            Target { region: piece.region, grid: 0, cells, memory: piece.memory }
        });
        Plan::new(targets.collect())
    }
}

impl Drop for RegionJob {
    fn drop(&mut self) {
        let Some(StatusSlots(slots)) = self.options.statuses else {
            return;
        };
        let skipped = self.operation().skipped_status();
        for (i, placement) in self.placements.iter().enumerate() {
            let failure = placement.failure.load(Ordering::Relaxed);
            let status = if failure == 0 { skipped } else { failure };
            // SAFETY: the caller keeps one slot for each region valid until the completion, which comes after this.
            unsafe { slots.add(i).write(status) };
        }
    }
}
