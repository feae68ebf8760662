//! Reading objects across a network: tasks that wait for requests, and give the codec pool what has come.
//!
//! ```text
//! one task an object ──► index (cached) ──► one task a merged range ──► Turn ──► GET ──► codec pool
//! ```
//!
//! A chunk is decoded as soon as it is there, whatever else is still under way. Dropping a task drops its connection, so
//! a cancelled read stops its requests at once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::Semaphore;

use super::budget::{BytesPermit, RequestPermit, Turn};
use super::error::{Error, Result, contain};
use super::index_cache::CachedIndex;
use super::job::{ObjectDone, RegionJob};
use super::merge::merge;
use super::operation::Operation;
use super::plan::{Pieces, Plan};
use super::pool::{CodecPool, Once};
use super::scratch;
use super::shard::{ShardIndex, ShardLayout};
use super::shard_job::{ShardJob, Source};
use super::stats::Counter;
use super::strip::Strip;
use crate::storage::{Backend, Fetched, Observer, RemoteStore, Want};

/// Objects of one operation that are worked on at once, as a multiple of the requests in flight: enough that requests
/// never wait for objects, few enough that a read of millions is not millions of tasks.
const OBJECTS_PER_REQUEST: usize = 2;

/// Read every object of a plan.
pub(super) async fn read_objects(job: Arc<RegionJob>, pool: Arc<CodecPool>) {
    let at_once = OBJECTS_PER_REQUEST * job.operation().live().config().max_requests;
    let at_once = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
    for i in 0..job.plan.count() {
        let (cell, pieces) = job.object(i);
        let done = Arc::new(ObjectDone::new(&job));
        let object = Object { done, cell, pieces, pool: pool.clone() };
        let place = job.while_wanted(&object.pieces, at_once.clone().acquire_owned()).await;
        if place.is_none() && job.is_of_one() {
            job.skip(&object.pieces);
            return;
        }
        tokio::spawn(async move {
            let _place = place;
            object.read_or_fail().await;
        });
    }
}

/// One stored object of a read.
struct Object {
    done: Arc<ObjectDone>,
    cell: super::Dims<u64>,
    pieces: Pieces,
    pool: Arc<CodecPool>,
}

/// Why a shard could not be read.
enum ShardError {
    /// It was replaced between the fetch of its index and that of its chunks.
    Replaced,
    /// Its index points outside of it: broken, or kept from a shard that has been replaced.
    Index(Error),
    Other(Error),
}

impl From<Error> for ShardError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Object {
    fn job(&self) -> &Arc<RegionJob> {
        self.done.job()
    }

    async fn read_or_fail(&self) {
        let (job, pieces) = (self.job(), &self.pieces);
        let _done = job.until_done(pieces);
        job.guarded_while_wanted(pieces, self.read()).await;
    }

    async fn read(&self) -> Result<()> {
        let array = self.job().array(&self.pieces).clone();
        let key = array.chunk_key(&self.cell);
        let store = match array.store().backend() {
            Backend::Remote(store) => store,
            Backend::Local(_) => return self.read_locally(),
        };
        let read = match array.shard_layout(&self.cell)? {
            None => self.read_chunk(store, &key).await,
            Some(layout) => self.read_shard(store, &key, &layout).await,
        };
        read.map_err(|error| error.with_key(array.store().url(), &key))
    }

    /// An object of a batch that has both kinds of stores.
    fn read_locally(&self) -> Result<()> {
        let (job, cell, done) = (self.job().clone(), self.cell.clone(), self.done.clone());
        let read =
            move |pieces: &Pieces| super::local::read_object(&job, &cell, pieces, done, &mut Strip::none());
        let work = Once::new(self.guarded(read)).holding(self.job().holds);
        self.pool.submit(&self.job().lane, Arc::new(work), 1);
        Ok(())
    }

    async fn read_chunk(&self, store: &RemoteStore, key: &str) -> Result<()> {
        let job = self.job();
        let codec = job.array(&self.pieces).chunk_codec(&self.cell)?;
        let most = codec.most_encoded();
        let Some((fetched, permit)) =
            self.fetch(store, key, Want::All, codec.decoded_len() as u64, most).await?
        else {
            self.on_pool(|job, pieces| {
                job.placer(pieces).fill(&job.layout(pieces));
                Ok(())
            });
            return Ok(());
        };
        let key: Arc<str> = key.into();
        let cell = self.cell.clone();
        self.on_pool(move |job, pieces| {
            let _permit = permit;
            let codec = job.array(pieces).chunk_codec(&cell)?;
            let place = |scratch: &mut scratch::Scratch| {
                job.placer(pieces).place(
                    &codec,
                    &job.layout(pieces),
                    fetched.buffer.bytes(),
                    &mut scratch.decoded,
                    &mut Strip::none(),
                )
            };
            let url = job.array(pieces).store().url();
            scratch::with(place).map_err(|error| error.with_key(url, &key))
        });
        Ok(())
    }

    /// Run `work` on the codec pool, in this operation's lane.
    fn on_pool(&self, work: impl FnOnce(&RegionJob, &Pieces) -> Result<()> + Send + 'static) {
        let job = self.job().clone();
        let bytes = job.cost(job.array(&self.pieces).chunk_bytes());
        let work = self.guarded(move |pieces| work(&job, pieces));
        self.pool.submit(&self.job().lane, Arc::new(Once::decoding(bytes, work)), 1);
    }

    /// `work` on what is wanted of the object, for the codec pool.
    fn guarded(
        &self,
        work: impl FnOnce(&Pieces) -> Result<()> + Send + 'static,
    ) -> impl FnOnce() + Send + 'static {
        let (done, pieces) = (self.done.clone(), self.pieces.clone());
        self.job().ending.expect(pieces.iter().map(|piece| piece.region));
        move || {
            let _done = done.job().until_done(&pieces);
            done.job().guarded(&pieces, work);
        }
    }

    async fn read_shard(&self, store: &RemoteStore, key: &str, layout: &ShardLayout) -> Result<()> {
        let plan = Arc::new(self.job().inner_plan(&self.pieces, layout));
        let whole = store.ignores_ranges() || self.is_mostly_wanted(layout, &plan);
        if whole {
            return self.read_whole_shard(store, key, layout, plan).await;
        }
        for attempt in 0..3 {
            match self.read_shard_ranges(store, key, layout, &plan).await {
                Ok(()) => return Ok(()),
                Err(ShardError::Other(error)) => return Err(error),
                Err(ShardError::Index(error)) if attempt > 0 => return Err(error),
                Err(ShardError::Index(_) | ShardError::Replaced) => {
                    let id = self.job().array(&self.pieces).store().id();
                    self.job().operation().live().indexes.forget(id, key);
                }
            }
        }
        Err(Error::codec(
            "the shard ends before bytes that its index names, or is replaced whenever it is read",
        ))
    }

    /// Whether one request for all of a shard costs less than its index and the ranges: most of it is wanted, and even
    /// if it does not compress it is within what one request may fetch.
    fn is_mostly_wanted(&self, layout: &ShardLayout, plan: &Plan) -> bool {
        let job = self.job();
        let all = layout.inner_chunks();
        let bytes = all.saturating_mul(job.array(&self.pieces).chunk_bytes());
        plan.count() as u64 * 4 >= all * 3 && bytes <= job.operation().live().config().range_cap
    }

    async fn read_whole_shard(
        &self,
        store: &RemoteStore,
        key: &str,
        layout: &ShardLayout,
        plan: Arc<Plan>,
    ) -> Result<()> {
        let inner = self.job().array(&self.pieces).chunk_codec(&self.cell)?;
        let all = layout.inner_chunks();
        let estimate = all.saturating_mul(inner.decoded_len() as u64).saturating_add(layout.index_len());
        let most = all.saturating_mul(inner.most_encoded()).saturating_add(layout.index_len());
        let Some((fetched, permit)) = self.fetch(store, key, Want::All, estimate, most).await? else {
            self.fill_shard(plan.count());
            return Ok(());
        };
        let range = layout.index_range(fetched.len)?;
        let encoded = &fetched.buffer.bytes()[range.start as usize..range.end as usize];
        let index = Arc::new(decode_index(layout, encoded, fetched.len)?);
        let source = Source::Memory { buffer: fetched.buffer, start: 0, _permit: permit };
        self.submit(key, source, index, plan, None);
        Ok(())
    }

    fn fill_shard(&self, inner: usize) {
        self.on_pool(move |job, pieces| {
            job.placer(pieces).fill_shard(&job.layout(pieces), inner);
            Ok(())
        });
    }

    async fn read_shard_ranges(
        &self,
        store: &RemoteStore,
        key: &str,
        layout: &ShardLayout,
        plan: &Arc<Plan>,
    ) -> Result<(), ShardError> {
        let job = self.job();
        let live = job.operation().live();
        let id = job.array(&self.pieces).store().id();
        let Some(cached) = self.fetcher(store, key)?.index(id, layout).await? else {
            self.fill_shard(plan.count());
            return Ok(());
        };
        let index = cached.index.clone();
        let (mut wanted, mut missing) = (vec![], vec![]);
        for unit in 0..plan.count() {
            let (cell, _) = plan.cell(unit, |region| job.strides(region));
            match index.range(&cell).map_err(ShardError::Index)? {
                Some(range) => wanted.push((range, unit)),
                None => missing.push(unit),
            }
        }
        if !missing.is_empty() {
            self.submit(key, Source::Nothing, index.clone(), plan.clone(), Some(missing));
        }
        let config = live.config();
        let merged = merge(wanted, config.range_gap, config.range_cap);
        let fetches = merged.into_iter().map(async |merged| {
            let units: Vec<_> = merged.parts.into_iter().map(|(_, unit)| unit).collect();
            let (index, own) = (index.clone(), units.clone());
            match self.read_range(store, key, &cached, index, plan.clone(), merged.range, own).await {
                Err(ShardError::Other(error)) => {
                    self.fail_units(key, plan, &units, error);
                    Ok(())
                }
                read => read,
            }
        });
        futures_util::future::try_join_all(fetches).await.map(drop)
    }

    /// Fail the regions that want some of these inner chunks: others of the shard have nothing to do with it.
    fn fail_units(&self, key: &str, plan: &Plan, units: &[usize], error: Error) {
        let job = self.job();
        let error = error.with_key(job.array(&self.pieces).store().url(), key);
        let regions = units.iter().flat_map(|unit| plan.regions(*unit));
        regions.for_each(|region| job.fail(region, error.clone()));
    }

    #[expect(clippy::too_many_arguments, reason = "one range of one shard, nothing of which is optional")]
    async fn read_range(
        &self,
        store: &RemoteStore,
        key: &str,
        cached: &CachedIndex,
        index: Arc<ShardIndex>,
        plan: Arc<Plan>,
        range: Range<u64>,
        units: Vec<usize>,
    ) -> Result<(), ShardError> {
        let (start, bytes) = (range.start, range.end - range.start);
        let fetched = self.fetch(store, key, Want::Range(range.clone()), bytes, bytes).await?;
        // Gone, shorter than its index says, or another one: the index is of a shard that is no more.
        let Some((fetched, permit)) = fetched else { return Err(ShardError::Replaced) };
        if fetched.range != range || fetched.etag != cached.etag {
            return Err(ShardError::Replaced);
        }
        let source = Source::Memory { buffer: fetched.buffer, start, _permit: permit };
        self.submit(key, source, index, plan, Some(units));
        Ok(())
    }

    fn submit(
        &self,
        key: &str,
        source: Source,
        index: Arc<ShardIndex>,
        plan: Arc<Plan>,
        units: Option<Vec<usize>>,
    ) {
        let array = self.job().array(&self.pieces).clone();
        let (next, done) = (AtomicUsize::new(0), self.done.clone());
        let shard = ShardJob { array, key: key.into(), source, index, plan, units, strip: 1, next, done };
        shard.submit(&self.pool);
    }

    /// Make one request, within the budgets. `estimate` is what it may bring, `most` what it must not exceed.
    async fn fetch(
        &self,
        store: &RemoteStore,
        key: &str,
        want: Want,
        estimate: u64,
        most: u64,
    ) -> Result<Option<(Fetched, BytesPermit)>> {
        self.fetcher(store, key)?.get(want, estimate, most).await
    }

    fn fetcher<'a>(&'a self, store: &'a RemoteStore, key: &'a str) -> Result<Fetcher<'a>> {
        let job = self.job();
        // What the decoder of this object holds besides: the decoded chunk.
        let decoded = job.array(&self.pieces).chunk_codec(&self.cell)?.decoded_len() as u64;
        let operation = job.operation_of(self.pieces[0].region);
        Ok(Fetcher { store, key, operation, turn: &job.turn, decoded })
    }
}

/// Makes requests for one object on behalf of one operation.
pub(super) struct Fetcher<'a> {
    pub store: &'a RemoteStore,
    pub key: &'a str,
    pub operation: &'a Operation,
    pub turn: &'a Turn,
    /// Bytes that will be held besides the response's, while it is decoded.
    pub decoded: u64,
}

impl Fetcher<'_> {
    /// Make one request, within the budgets. `estimate` is what it may bring, `most` what it must not exceed.
    pub async fn get(&self, want: Want, estimate: u64, most: u64) -> Result<Option<(Fetched, BytesPermit)>> {
        let live = self.operation.live();
        let (bytes, request) = self.turn.wait_to_decode(live, estimate, self.decoded).await;
        let mut request = Request::new(self.operation, bytes, request);
        let fetched = self.store.get(self.key, want, most, live, &mut request).await?;
        Ok(fetched.map(|fetched| (fetched, request.bytes())))
    }

    /// The index of a shard, kept or fetched; `None` when there is no shard.
    pub async fn index(&self, store_id: u64, layout: &ShardLayout) -> Result<Option<Arc<CachedIndex>>> {
        let indexes = &self.operation.live().indexes;
        indexes.get(store_id, self.key, async || self.fetch_index(layout).await).await
    }

    async fn fetch_index(&self, layout: &ShardLayout) -> Result<Option<CachedIndex>> {
        let len = layout.index_len();
        let want = if layout.index_at_end() { Want::Suffix(len) } else { Want::Range(0..len) };
        let Some((fetched, _permit)) = self.get(want, len, len).await? else { return Ok(None) };
        // A shard too short for an index is refused here.
        layout.index_range(fetched.len)?;
        let index = Arc::new(decode_index(layout, fetched.buffer.bytes(), fetched.len)?);
        Ok(Some(CachedIndex { index, etag: fetched.etag }))
    }
}

/// Decode an index on this thread: small, and everything else waits for it.
pub(super) fn decode_index(layout: &ShardLayout, encoded: &[u8], len: u64) -> Result<ShardIndex> {
    contain(|| scratch::with(|scratch| layout.decode_index(encoded, &mut scratch.decoded, len)))
}

/// Get a whole value, of at most `most` bytes, that is not part of a planned read.
pub(super) async fn get_value(
    store: &RemoteStore,
    key: &str,
    operation: &Operation,
    most: u64,
) -> Result<Option<Fetched>> {
    let fetcher = Fetcher { store, key, operation, turn: &Turn::new(0, 0), decoded: 0 };
    Ok(fetcher.get(Want::All, 1, most).await?.map(|(fetched, _)| fetched))
}

/// A request under way: counts it, and what it holds.
pub(super) struct Request<'a> {
    operation: &'a Operation,
    bytes: BytesPermit,
    _request: RequestPermit,
    _in_flight: super::stats::Held<'a>,
}

impl<'a> Request<'a> {
    pub fn new(operation: &'a Operation, bytes: BytesPermit, request: RequestPermit) -> Self {
        let _in_flight = operation.live().requests.hold(1);
        Self { operation, bytes, _request: request, _in_flight }
    }

    /// The request is over; its bytes stay.
    fn bytes(self) -> BytesPermit {
        self.bytes
    }
}

impl Observer for Request<'_> {
    fn requested(&self, is_head: bool) {
        self.operation.count(Counter::Requests, 1);
        if is_head {
            self.operation.count(Counter::Heads, 1);
        }
    }

    fn announced(&mut self, bytes: u64) {
        self.operation.count(Counter::BytesFetched, bytes);
        self.bytes.shrink(bytes);
        self.bytes.account(self.operation.live(), bytes);
    }
}
