//! Reads: regions in, the caller's memory filled, one completion out.
//!
//! [`ReadJob`] is the work that a read is: one unit for each stored object (chunk or shard) that it touches. A shard
//! becomes work of its own, one unit for each inner chunk. All of it runs on the codec pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::Dims;
use super::array::Array;
use super::error::{Error, Result, contain};
use super::operation::{Completer, OnComplete, Operation, Output};
use super::place::{Layout, Placer};
use super::plan::{Memory, Pieces, Plan, Target};
use super::pool::{Claim, Lane, Once, Work};
use super::region::Region;
use super::runtime::Runtime;
use super::scratch;
use super::shard::ShardIndex;
use super::stats::Counter;
use crate::storage::{Backend, LocalFile, LocalStore};

/// How a read is done.
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
    pub statuses: Option<StatusSlots>,
}

/// The caller's array of statuses, one a region, written before the completion.
#[derive(Clone, Copy)]
pub struct StatusSlots(*mut i32);

// SAFETY: the caller promises that the slots stay valid until the completion; only `ReadJob::drop` writes them.
unsafe impl Send for StatusSlots {}
// SAFETY: as above.
unsafe impl Sync for StatusSlots {}

impl StatusSlots {
    /// `None` for a null pointer.
    pub fn new(slots: *mut i32) -> Option<Self> {
        (!slots.is_null()).then_some(Self(slots))
    }
}

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
    let (placements, plan) = plan(runtime, regions)?;
    let live = runtime.live();
    let pool = live.pool()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let total = plan.len();
    operation.objects_total.store(total as u64, Ordering::Relaxed);
    let lane = Arc::new(Lane::default());
    let job = ReadJob { placements, plan, options, next: AtomicUsize::new(0), lane: lane.clone(), completer };
    if total == 0 {
        // Nothing to do, but even so the completion must not come inside of this call.
        pool.submit(&lane, Arc::new(Once::new(move || drop(job))), 1);
    } else {
        pool.submit(&lane, Arc::new(job), total);
    }
    Ok(operation)
}

/// Check every region and plan them together.
fn plan(runtime: &Arc<Runtime>, regions: Vec<Region>) -> Result<(Vec<Placement>, Plan)> {
    let several = regions.len() > 1;
    let mut placements = Vec::with_capacity(regions.len());
    let mut targets = Vec::with_capacity(regions.len());
    for (i, region) in regions.into_iter().enumerate() {
        let checked = if Arc::ptr_eq(region.array.store().runtime(), runtime) {
            region.checked()
        } else {
            Err(Error::invalid(format_args!("{}: the array belongs to another runtime", region.array.name())))
        };
        let (cells, strides) = checked.map_err(|e| if several { e.prefixed(format_args!("region {i}: ")) } else { e })?;
        let grid = Arc::as_ptr(&region.array) as usize;
        let region_index = u32::try_from(i).map_err(|_| Error::invalid("more regions than 2^32 - 1"))?;
        targets.push(Target { region: region_index, grid, cells, memory: Memory(region.data) });
        placements.push(Placement { array: region.array, strides, failure: AtomicI32::new(0) });
    }
    Ok((placements, Plan::new(targets)))
}

/// A region under way.
struct Placement {
    array: Arc<Array>,
    strides: Dims<isize>,
    /// The status that it failed with, or 0.
    failure: AtomicI32,
}

/// See the module.
struct ReadJob {
    placements: Vec<Placement>,
    plan: Plan,
    options: IoOptions,
    next: AtomicUsize,
    lane: Arc<Lane>,
    /// Dropped last, after everything that could reach the caller's memory.
    completer: Completer,
}

impl Work for ReadJob {
    fn claim(&self) -> Option<Claim> {
        claim(&self.next, self.plan.len())
    }

    fn run(self: Arc<Self>, unit: usize) {
        let done = ObjectDone(self.clone());
        let (cell, pieces) = self.plan.cell(unit, |region| &self.placements[region as usize].strides);
        self.guarded(&pieces, || self.read_object(&cell, &pieces, done));
    }
}

fn claim(next: &AtomicUsize, total: usize) -> Option<Claim> {
    let unit = next.fetch_add(1, Ordering::Relaxed);
    (unit < total).then_some(Claim { unit, more: unit + 1 < total })
}

/// Counts an object as done when dropped, however that comes about.
struct ObjectDone(Arc<ReadJob>);

impl Drop for ObjectDone {
    fn drop(&mut self) {
        self.0.operation().objects_done.fetch_add(1, Ordering::Release);
    }
}

impl ReadJob {
    fn operation(&self) -> &Arc<Operation> {
        self.completer.operation()
    }

    /// Run `work` on `pieces` unless it is in vain; its failure, or panic, is that of the regions they belong to.
    fn guarded(&self, pieces: &Pieces, work: impl FnOnce() -> Result<()>) {
        let failed = |region: u32| self.placements[region as usize].failure.load(Ordering::Relaxed) != 0;
        if self.operation().skip() || pieces.iter().all(|piece| failed(piece.region)) {
            return;
        }
        if let Err(error) = contain(work) {
            for piece in pieces {
                self.fail(piece.region, error.clone());
            }
        }
    }

    fn fail(&self, region: u32, error: Error) {
        let status = error.status as i32;
        let failure = &self.placements[region as usize].failure;
        let _ = failure.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed);
        if self.placements.len() == 1 {
            self.operation().fail(error);
            return;
        }
        let error = error.prefixed(format_args!("region {region}: "));
        if self.options.fail_fast {
            self.operation().fail(error);
        } else {
            self.operation().note_failure(error);
        }
    }

    fn placer(&self) -> Placer<'_> {
        Placer { operation: self.operation(), no_fast_path: self.options.no_fast_path }
    }

    /// Read one chunk or shard and place its pieces.
    fn read_object(self: &Arc<Self>, cell: &[u64], pieces: &Pieces, done: ObjectDone) -> Result<()> {
        let array = &self.placements[pieces[0].region as usize].array;
        let key = array.chunk_key(cell);
        let Backend::Local(store) = array.store().backend();
        let read = match array.shard_layout(cell)? {
            None => self.read_chunk(array, store, &key, cell, pieces),
            Some(_) => self.read_shard(array, store, &key, cell, pieces, done),
        };
        read.map_err(|error| error.with_key(&key))
    }

    fn layout<'a>(&'a self, array: &'a Array, pieces: &'a Pieces) -> Layout<'a> {
        let strides = |region: u32| &self.placements[region as usize].strides[..];
        let strides = pieces.iter().map(|piece| strides(piece.region)).collect();
        Layout { pieces, strides, itemsize: array.dtype().itemsize, fill_value: array.fill_value() }
    }

    fn read_chunk(
        &self,
        array: &Array,
        store: &LocalStore,
        key: &str,
        cell: &[u64],
        pieces: &Pieces,
    ) -> Result<()> {
        let layout = self.layout(array, pieces);
        let codec = array.chunk_codec(cell)?;
        self.operation().count(Counter::Requests, 1);
        let Some(file) = store.open(key)? else {
            self.placer().fill(&layout);
            return Ok(());
        };
        self.operation().count(Counter::BytesFetched, file.len());
        self.placer().place_from(&codec, &layout, &file, 0..file.len())
    }

    /// Read a shard's index, then have its inner chunks read as work of their own.
    fn read_shard(
        self: &Arc<Self>,
        array: &Arc<Array>,
        store: &LocalStore,
        key: &str,
        cell: &[u64],
        pieces: &Pieces,
        done: ObjectDone,
    ) -> Result<()> {
        let layout = array.shard_layout(cell)?.expect("the caller knows that it is sharded");
        self.operation().count(Counter::Requests, 1);
        let opened = store.open(key)?;
        let targets = pieces.iter().map(|piece| {
            let cells = super::plan::Cells::new(piece.inner.clone(), layout.axes.clone());
            Target { region: piece.region, grid: 0, cells, memory: piece.memory }
        });
        let plan = Plan::new(targets.collect());
        let Some(file) = opened else {
            self.operation().count(Counter::ChunksMissing, plan.len() as u64 - 1);
            self.placer().fill(&self.layout(array, pieces));
            return Ok(());
        };
        let range = layout.index_range(file.len())?;
        self.operation().count(Counter::BytesFetched, layout.index_len());
        let index = scratch::with(|scratch| {
            let encoded = scratch.encoded.get((range.end - range.start) as usize)?;
            file.read_at(encoded, range.start)?;
            layout.decode_index(encoded, &mut scratch.decoded, file.len())
        })?;
        let inner = plan.len();
        let shard = ShardJob {
            array: array.clone(),
            key: key.to_owned(),
            file,
            index,
            plan,
            next: AtomicUsize::new(0),
            done,
        };
        self.operation().live().pool()?.submit(&self.lane, Arc::new(shard), inner);
        Ok(())
    }
}

impl Drop for ReadJob {
    fn drop(&mut self) {
        let Some(StatusSlots(slots)) = self.options.statuses else { return };
        let skipped = self.operation().skipped_status();
        for (i, placement) in self.placements.iter().enumerate() {
            let failure = placement.failure.load(Ordering::Relaxed);
            let status = if failure == 0 { skipped } else { failure };
            // SAFETY: the caller keeps one slot for each region valid until the completion, which comes after this.
            unsafe { slots.add(i).write(status) };
        }
    }
}

/// The inner chunks of one shard.
struct ShardJob {
    array: Arc<Array>,
    key: String,
    file: LocalFile,
    index: ShardIndex,
    plan: Plan,
    next: AtomicUsize,
    /// Keeps the read alive, and counts the shard as done when the last inner chunk is.
    done: ObjectDone,
}

impl Work for ShardJob {
    fn claim(&self) -> Option<Claim> {
        claim(&self.next, self.plan.len())
    }

    fn run(self: Arc<Self>, unit: usize) {
        let job = &self.done.0;
        let (cell, pieces) = self.plan.cell(unit, |region| &job.placements[region as usize].strides);
        job.guarded(&pieces, || {
            self.read_inner_chunk(&cell, &pieces).map_err(|error| error.with_key(&self.key))
        });
    }
}

impl ShardJob {
    fn read_inner_chunk(&self, cell: &[u64], pieces: &Pieces) -> Result<()> {
        let job = &self.done.0;
        let layout = job.layout(&self.array, pieces);
        let Some(range) = self.index.range(cell)? else {
            job.placer().fill(&layout);
            return Ok(());
        };
        job.operation().count(Counter::Requests, 1);
        job.operation().count(Counter::BytesFetched, range.end - range.start);
        let codec = self.array.chunk_codec(cell)?;
        job.placer()
            .place_from(&codec, &layout, &self.file, range)
            .map_err(|error| error.prefixed(format_args!("inner chunk {cell:?}: ")))
    }
}

/// Read one chunk's bytes as stored. Completes with [`Output::Bytes`], or [`Output::Nothing`] when it is missing.
pub fn read_encoded_chunk(
    array: &Arc<Array>,
    index: &[u64],
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    array.check_chunk_index(index)?;
    let live = array.store().runtime().live();
    let pool = live.pool()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let (array, key) = (array.clone(), array.chunk_key(index));
    let job = move || {
        let operation = completer.operation();
        if operation.skip() {
            return;
        }
        operation.count(Counter::Requests, 1);
        let Backend::Local(store) = array.store().backend();
        match contain(|| store.get(&key)) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                operation.count(Counter::BytesFetched, bytes.len() as u64);
                completer.set_output(Output::Bytes(bytes));
            }
            Err(error) => operation.fail(error),
        }
    };
    pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
    Ok(operation)
}
