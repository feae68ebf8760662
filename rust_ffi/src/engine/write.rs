//! Writes: regions of the caller's memory in, chunks stored, one completion out. The same picture as [`super::read`],
//! backwards.
//!
//! ```text
//! one task an object ──► its lock ──► what it was, if part of it stays ──► gather, encode (codec pool) ──► put
//! ```
//!
//! A task of local files runs on the codec pool itself; of other stores, on the I/O runtime, and gives the pool what is to
//! be encoded. A chunk that is replaced as a whole is never read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::Dims;
use super::budget::{BytesPermit, Turn};
use super::ending::Ending;
use super::error::{Error, Result};
use super::gather::{Gatherer, Old, covers};
use super::job::{IoOptions, ObjectDone, RegionJob, plan};
use super::operation::{OnComplete, Operation};
use super::plan::Pieces;
use super::put::Putter;
use super::region::{Access, Region};
use super::remote::Request;
use super::runtime::Runtime;
use super::stats::Counter;
use super::tasks::Tasks;
use crate::storage::{Backend, Condition, Fetched, LocalFile, LocalStore, Part, RemoteStore, Store, Want};

/// Objects of one operation that are worked on at once, for each codec thread and for each request in flight: enough
/// that neither waits, few enough that a write of millions is not millions of tasks.
const OBJECTS_AT_ONCE: usize = 2;

/// Write `regions` from the memory that each names.
///
/// # Errors
/// When a region is wrong, or nothing can be started: then nothing was retained. Later failures are the completion's.
///
/// # Safety
/// Until the operation is final, each region's memory must be valid for reads and not change, and the status slots (one
/// a region) must be valid for writes.
pub unsafe fn write(
    runtime: &Arc<Runtime>,
    regions: Vec<Region>,
    options: IoOptions,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    let (placements, plan) = plan(runtime, regions, Access::Write)?;
    if options.if_unchanged {
        let stores = placements.iter().map(|placement| placement.array.store());
        stores.filter(|store| !store.is_remote()).try_for_each(|store| Err(no_conditions(store)))?;
    }
    let live = runtime.live();
    let remote = placements.iter().any(|placement| placement.array.store().is_remote());
    let tasks = Tasks::new(&live, remote)?;
    let at_once = if remote { live.config().max_requests } else { live.config().codec_threads };
    let (operation, completer) = Operation::start(live, on_complete)?;
    operation.objects_total.store(plan.count() as u64, Ordering::Relaxed);
    let lane = tasks.lane.clone();
    let turn = Arc::new(Turn::new(options.max_requests, options.max_bytes));
    let next = AtomicUsize::new(0);
    let past_cache = false;
    let holds = 0; // its tasks wait for what they hold
    let (ending, strip) = (Ending::Together(completer), 1);
    let job = RegionJob { placements, plan, past_cache, options, next, strip, lane, turn, holds, ending };
    let job = Arc::new(job);
    tasks.clone().spawn(0, write_objects(job, tasks, OBJECTS_AT_ONCE * at_once));
    Ok(operation)
}

fn no_conditions(store: &Store) -> Error {
    Error::unsupported(format_args!("{}: local files cannot be written on a condition", store.url()))
}

/// Write every object of a plan, some at once.
async fn write_objects(job: Arc<RegionJob>, tasks: Tasks, at_once: usize) {
    let token = job.operation().token().clone();
    let at_once = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
    for i in 0..job.plan.count() {
        let Some(place) = token.run_until_cancelled(at_once.clone().acquire_owned()).await else {
            job.operation().skip();
            return;
        };
        let (cell, pieces) = job.object(i);
        let object = WriteObject::new(&job, cell, pieces, &tasks);
        tasks.spawn(object.bytes, async move {
            let _place = place;
            object.job().guarded_while_wanted(&object.pieces, object.write()).await;
        });
    }
}

/// One stored object of a write.
#[derive(Clone)]
pub(super) struct WriteObject {
    done: Arc<ObjectDone>,
    pub cell: Dims<u64>,
    pub pieces: Arc<Pieces>,
    pub key: Arc<str>,
    pub tasks: Tasks,
    /// About what a decoded chunk takes.
    pub bytes: u64,
}

impl WriteObject {
    fn new(job: &Arc<RegionJob>, cell: Dims<u64>, pieces: Pieces, tasks: &Tasks) -> Self {
        let array = job.array(&pieces);
        let (key, bytes) = (array.chunk_key(&cell).into(), array.chunk_bytes());
        Self {
            done: Arc::new(ObjectDone::new(job)),
            cell,
            pieces: Arc::new(pieces),
            key,
            tasks: tasks.clone(),
            bytes,
        }
    }

    pub fn job(&self) -> &Arc<RegionJob> {
        self.done.job()
    }

    pub fn store(&self) -> &Arc<Store> {
        self.job().array(&self.pieces).store()
    }

    /// How many elements of the object lie within the array, along each dimension.
    pub fn extent(&self) -> Dims<u64> {
        let array = self.job().array(&self.pieces);
        let axes = array.axes().iter().zip(&self.cell).zip(array.shape());
        axes.map(|((axis, cell), n)| axis.size(*cell).min(n - axis.start(*cell))).collect()
    }

    pub fn gatherer(&self) -> Gatherer<'_> {
        let job = self.job();
        // What is erased cannot be told to be unchanged: object stores have no condition for that.
        let write_empty = job.options.write_empty || job.options.if_unchanged;
        let no_fast_path = job.options.no_fast_path;
        Gatherer { operation: job.operation(), no_fast_path, write_empty }
    }

    async fn write(&self) -> Result<()> {
        let array = self.job().array(&self.pieces).clone();
        let written = async {
            let _lock = self.job().operation().live().locks.lock(array.store().address(&self.key)).await;
            match array.shard_layout(&self.cell)? {
                None => self.write_chunk().await,
                Some(layout) => self.write_shard(&layout).await,
            }
        };
        written.await.map_err(|error: Error| error.with_key(array.store().url(), &self.key))
    }

    /// Write a chunk, of which the part that `pieces` leave out stays as it is.
    async fn write_chunk(&self) -> Result<()> {
        let (array, whole) = (self.job().array(&self.pieces), covers(&self.pieces, &self.extent()));
        let codec = array.chunk_codec(&self.cell)?;
        // The elements and what they are encoded to; and what the chunk was, encoded and decoded.
        let copies = if whole { 2 } else { 4 };
        let _bytes = self.hold(copies * codec.decoded_len() as u64).await;
        match array.store().backend() {
            Backend::Local(_) => {
                let this = self.clone();
                self.tasks.on_pool(self.bytes, move || this.write_file(whole)).await
            }
            Backend::Remote(store) => {
                let old = if whole { None } else { self.fetch(store, codec.most_encoded()).await? };
                let condition = self.condition(whole, old.as_ref());
                let this = self.clone();
                let encoded = self.tasks.on_pool(self.bytes, move || this.encode_chunk(old)).await?;
                self.putter().put(store, encoded.map(|bytes| vec![bytes]), condition).await
            }
        }
    }

    /// Write a chunk that is a local file.
    fn write_file(&self, whole: bool) -> Result<()> {
        let job = self.job();
        if job.operation().skip() {
            return Ok(());
        }
        let array = job.array(&self.pieces);
        let Backend::Local(store) = array.store().backend() else { unreachable!("the caller looked") };
        let file = if whole { None } else { self.open(store)? };
        let codec = array.chunk_codec(&self.cell)?;
        file.as_ref().map_or(Ok(()), |file| file.check_size(codec.most_encoded()))?;
        let old = file.as_ref().map_or(Old::Nothing, |file| Old::File(file, 0..file.size()));
        self.gatherer().encode(&codec, &job.layout(&self.pieces), &old, |encoded| {
            let part = encoded.map(Part::Bytes);
            self.putter().put_file(store, part.as_ref().map(std::slice::from_ref))
        })
    }

    /// Encode a chunk of another store.
    fn encode_chunk(&self, old: Option<Fetched>) -> Result<Option<Bytes>> {
        let job = self.job();
        if job.operation().skip() {
            return Err(Error::cancelled());
        }
        let codec = job.array(&self.pieces).chunk_codec(&self.cell)?;
        let old = old.as_ref().map_or(Old::Nothing, |fetched| Old::Bytes(fetched.buffer.bytes()));
        self.gatherer()
            .encode(&codec, &job.layout(&self.pieces), &old, |encoded| encoded.map(kept).transpose())
    }

    /// Wait for leave to hold about so many bytes.
    pub async fn hold(&self, bytes: u64) -> BytesPermit {
        let (job, live) = (self.job(), self.job().operation().live());
        let mut permit = job.turn.wait_bytes(&live.budget, bytes).await;
        permit.account(live, bytes);
        permit
    }

    /// What must be true for a put, where something of the old value stays.
    pub fn condition(&self, whole: bool, old: Option<&Fetched>) -> Condition {
        if self.job().options.if_unchanged && !whole { Condition::unchanged(old) } else { Condition::None }
    }

    pub fn open(&self, store: &LocalStore) -> Result<Option<LocalFile>> {
        let operation = self.job().operation();
        operation.count(Counter::Requests, 1);
        let file = store.open(&self.key)?;
        operation.count(Counter::BytesFetched, file.as_ref().map_or(0, |file| file.size()));
        Ok(file)
    }

    /// Get all of the object as it is.
    pub async fn fetch(&self, store: &RemoteStore, most: u64) -> Result<Option<Fetched>> {
        let (job, operation) = (self.job(), self.job().operation());
        let request = job.turn.wait_request(&operation.live().budget).await;
        let mut request = Request::new(operation, BytesPermit::default(), request);
        store.get(&self.key, Want::All, most, operation.live(), &mut request).await
    }

    pub fn putter(&self) -> Putter<'_> {
        let job = self.job();
        Putter { operation: job.operation(), turn: &job.turn, key: &self.key, sync: job.options.sync }
    }
}

/// A copy of bytes that lie in a buffer of the thread's.
pub(super) fn kept(bytes: &[u8]) -> Result<Bytes> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| Error::memory(bytes.len(), "an encoded chunk"))?;
    copy.extend_from_slice(bytes);
    Ok(copy.into())
}
