//! Writing shards: one read-modify-write for all that a request changes of a shard.
//!
//! The inner chunks that change are encoded in parallel; the others are copied as bytes. Inner chunks lie in C order, so
//! the same elements give the same shard, whoever was faster.

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Dims;
use super::error::{Error, Result, contain};
use super::gather::{Old, covers};
use super::job::claim;
use super::local::read_index;
use super::plan::{Pieces, Plan};
use super::pool::{Claim, Work};
use super::remote::decode_index;
use super::shard::{ShardIndex, ShardLayout};
use super::write::{WriteObject, kept};
use crate::storage::{Backend, LocalFile, LocalStore, Part, RemoteStore};

/// A shard before it is changed.
enum OldShard {
    Nothing,
    File(LocalFile, ShardIndex),
    Memory(Bytes, ShardIndex),
}

impl OldShard {
    fn index(&self) -> Option<&ShardIndex> {
        match self {
            Self::Nothing => None,
            Self::File(_, index) | Self::Memory(_, index) => Some(index),
        }
    }

    fn inner_chunk(&self, cell: &[u64]) -> Result<Old<'_>> {
        let Some(range) = self.index().map_or(Ok(None), |index| index.range(cell))? else {
            return Ok(Old::Nothing);
        };
        Ok(match self {
            Self::Nothing => Old::Nothing,
            Self::File(file, _) => Old::File(file, range),
            Self::Memory(bytes, _) => Old::Bytes(&bytes[range.start as usize..range.end as usize]),
        })
    }
}

/// What an inner chunk becomes; `None` when it holds nothing but the fill value.
type Encoded = Result<Option<Bytes>>;

impl WriteObject {
    pub(super) async fn write_shard(&self, layout: &ShardLayout) -> Result<()> {
        let job = self.job();
        let whole = covers(&self.pieces, &self.extent());
        let inner = job.array(&self.pieces).chunk_codec(&self.cell)?.decoded_len() as u64;
        let plan = Arc::new(job.inner_plan(&self.pieces, layout));
        // What changes, encoded; and what the encoders hold besides.
        let threads = job.operation().live().config().codec_threads as u64;
        let _bytes = self.hold(inner.saturating_mul(plan.count() as u64 + 4 * threads)).await;
        match job.array(&self.pieces).store().backend() {
            Backend::Local(store) => self.write_shard_file(store, layout, plan, whole).await,
            Backend::Remote(store) => self.write_remote_shard(store, layout, plan, whole).await,
        }
    }

    async fn write_shard_file(
        &self,
        store: &LocalStore,
        layout: &ShardLayout,
        plan: Arc<Plan>,
        whole: bool,
    ) -> Result<()> {
        let file = if whole { None } else { self.open(store)? };
        let old = match file {
            None => OldShard::Nothing,
            Some(file) => {
                let index = contain(|| read_index(&file, layout))?;
                OldShard::File(file, index)
            }
        };
        let old = Arc::new(old);
        let Some(shard) = self.encode_inner_chunks(&old, &plan, layout).await? else { return Ok(()) };
        let file = if let OldShard::File(file, _) = &*old { Some(file) } else { None };
        let parts = shard.parts.iter().map(|part| match part {
            ShardPart::New(bytes) => Part::Bytes(bytes),
            ShardPart::Old(range) => Part::Copy(file.expect("there are old parts"), range.clone()),
        });
        let (object, parts): (_, Vec<_>) = (self, parts.collect());
        contain(|| object.putter().put_file(store, (!shard.is_empty()).then_some(&parts[..])))
    }

    async fn write_remote_shard(
        &self,
        store: &RemoteStore,
        layout: &ShardLayout,
        plan: Arc<Plan>,
        whole: bool,
    ) -> Result<()> {
        let all = layout.inner_chunks();
        let codec = self.job().array(&self.pieces).chunk_codec(&self.cell)?;
        let most = all.saturating_mul(codec.most_encoded()).saturating_add(layout.index_len());
        let fetched = if whole { None } else { self.fetch(store, most).await? };
        let condition = self.condition(whole, fetched.as_ref());
        let old = match fetched {
            None => OldShard::Nothing,
            Some(fetched) => {
                let range = layout.index_range(fetched.len)?;
                let bytes = Bytes::from_owner(fetched.buffer);
                let encoded = &bytes[range.start as usize..range.end as usize];
                let index = decode_index(layout, encoded, fetched.len)?;
                OldShard::Memory(bytes, index)
            }
        };
        let old = Arc::new(old);
        let Some(shard) = self.encode_inner_chunks(&old, &plan, layout).await? else { return Ok(()) };
        let empty = shard.is_empty();
        let parts = shard.parts.into_iter().map(|part| match (part, &*old) {
            (ShardPart::New(bytes), _) => bytes,
            (ShardPart::Old(range), OldShard::Memory(bytes, _)) => {
                bytes.slice(range.start as usize..range.end as usize)
            }
            (ShardPart::Old(_), _) => unreachable!("there are old parts"),
        });
        let parts = (!empty).then(|| parts.collect());
        self.forget_index();
        let put = self.putter().put(store, parts, condition).await;
        // Somebody may have read the old one meanwhile.
        self.forget_index();
        put
    }

    fn forget_index(&self) {
        self.job().operation().live().indexes.forget(self.store().id(), &self.key);
    }

    /// Encode the inner chunks that change, on the pool, and lay out the shard. `None` when the operation has stopped.
    async fn encode_inner_chunks(
        &self,
        old: &Arc<OldShard>,
        plan: &Arc<Plan>,
        layout: &ShardLayout,
    ) -> Result<Option<NewShard>> {
        let count = plan.count();
        let mut encoded = vec![];
        encoded.try_reserve_exact(count).map_err(|_| Error::memory(count, "the inner chunks of a shard"))?;
        encoded.resize_with(count, OnceLock::new);
        let encoded: Arc<[OnceLock<Encoded>]> = encoded.into();
        let (finished, all) = oneshot::channel();
        let work = InnerChunks {
            object: self.clone(),
            extent: self.extent(),
            old: old.clone(),
            plan: plan.clone(),
            layout: layout.clone(),
            encoded: encoded.clone(),
            next: AtomicUsize::new(0),
            _finished: finished,
        };
        self.tasks.pool.submit(&self.tasks.lane, Arc::new(work), count);
        // Nothing is sent: the end of the work is that the sender is dropped.
        let _ = all.await;
        let mut changed = Vec::with_capacity(count);
        for (unit, slot) in encoded.iter().enumerate() {
            let (cell, _) = plan.cell(unit, |region| self.job().strides(region));
            let Some(outcome) = slot.get() else { return Ok(None) };
            let bytes = outcome.clone();
            changed.push((layout.position(&cell), bytes.map_err(|e| inner_error(&e, &cell))?));
        }
        contain(|| NewShard::new(layout, old.index(), changed)).map(Some)
    }
}

fn inner_error(error: &Error, cell: &[u64]) -> Error {
    error.clone().prefixed(format_args!("inner chunk {cell:?}: "))
}

/// The inner chunks that change, one unit each.
struct InnerChunks {
    object: WriteObject,
    /// Of the shard, the elements that lie within the array.
    extent: Dims<u64>,
    old: Arc<OldShard>,
    plan: Arc<Plan>,
    layout: ShardLayout,
    encoded: Arc<[OnceLock<Encoded>]>,
    next: AtomicUsize,
    _finished: oneshot::Sender<()>,
}

impl InnerChunks {
    fn encode(&self, cell: &[u64], pieces: &Pieces) -> Encoded {
        let job = self.object.job();
        let codec = job.array(pieces).chunk_codec(&self.object.cell)?;
        let within = |d: usize| {
            self.layout.axes[d].size(cell[d]).min(self.extent[d] - self.layout.axes[d].start(cell[d]))
        };
        let extent: Dims<u64> = (0..cell.len()).map(within).collect();
        let old = if covers(pieces, &extent) { Old::Nothing } else { self.old.inner_chunk(cell)? };
        let gatherer = self.object.gatherer();
        gatherer.encode(&codec, &job.layout(pieces), &old, |bytes| bytes.map(kept).transpose())
    }
}

impl Work for InnerChunks {
    fn claim(&self) -> Option<Claim> {
        claim(&self.next, self.plan.count(), |_| self.object.bytes)
    }

    fn run(self: Arc<Self>, unit: usize) {
        let job = self.object.job();
        if job.operation().skip() {
            return;
        }
        let (cell, pieces) = self.plan.cell(unit, |region| job.strides(region));
        let _ = self.encoded[unit].set(contain(|| self.encode(&cell, &pieces)));
    }
}

/// Some bytes of a new shard.
#[derive(Debug, PartialEq, Eq)]
enum ShardPart {
    New(Bytes),
    /// A range of the old shard.
    Old(Range<u64>),
}

/// A shard, laid out: what its bytes are, in order.
struct NewShard {
    parts: Vec<ShardPart>,
    inner_chunks: usize,
}

impl NewShard {
    /// Lay a shard out: `changed` inner chunks by their position, the others as they are in the shard of `old`.
    fn new(
        layout: &ShardLayout,
        old: Option<&ShardIndex>,
        mut changed: Vec<(usize, Option<Bytes>)>,
    ) -> Result<Self> {
        changed.sort_unstable_by_key(|(position, _)| *position);
        let mut changed = changed.into_iter().peekable();
        let count = layout.inner_chunks() as usize;
        let mut entries = vec![u64::MAX; 2 * count];
        let (mut parts, mut inner_chunks, mut copied) = (vec![], 0, 0u64);
        let mut at = if layout.index_at_end() { 0 } else { layout.index_len() };
        for position in 0..count {
            let part = match changed.next_if(|(changed, _)| *changed == position) {
                Some((_, bytes)) => bytes.map(ShardPart::New),
                None => old.map_or(Ok(None), |old| old.range_at(position))?.map(ShardPart::Old),
            };
            let Some(part) = part else { continue };
            let len = match &part {
                ShardPart::New(bytes) => bytes.len() as u64,
                ShardPart::Old(range) => range.end - range.start,
            };
            copied += if matches!(part, ShardPart::Old(_)) { len } else { 0 };
            (entries[2 * position], entries[2 * position + 1]) = (at, len);
            at += len;
            inner_chunks += 1;
            push(&mut parts, part);
        }
        // An honest index names no byte twice; one that does could make a shard of any size.
        if old.is_some_and(|old| copied > old.shard_len()) {
            return Err(Error::codec("shard index: inner chunks overlap each other"));
        }
        let index = ShardPart::New(layout.encode_index(&entries)?);
        if layout.index_at_end() {
            parts.push(index)
        } else {
            parts.insert(0, index)
        }
        Ok(Self { parts, inner_chunks })
    }

    fn is_empty(&self) -> bool {
        self.inner_chunks == 0
    }
}

/// Append a part; old ones that are neighbours become one.
fn push(parts: &mut Vec<ShardPart>, part: ShardPart) {
    if let (Some(ShardPart::Old(last)), ShardPart::Old(range)) = (parts.last_mut(), &part)
        && last.end == range.start
    {
        last.end = range.end;
    } else {
        parts.push(part);
    }
}
