//! Reading objects that are local files: by the codec pool's own threads, read and decode in one go.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::array::Array;
use super::error::Result;
use super::job::{IoOptions, ObjectDone, Placement, RegionJob};
use super::operation::Operation;
use super::plan::Pieces;
use super::raw;
use super::scratch;
use super::shard::{ShardIndex, ShardLayout};
use super::shard_job::{ShardJob, Source};
use super::stats::Counter;
use super::strip::Strip;
use crate::storage::{Backend, LocalFile, LocalStore};

/// What holds no more than this is not counted, unless an operation has a budget of its own: all codec threads together
/// hold little of it.
const LITTLE: u64 = 64 << 10;

/// Bytes that decoding a chunk (of a sharded array: inner chunk) of `array` from a file holds, about: as stored and decoded.
/// `shared`: several regions may want some of it.
pub(super) fn memory(array: &Array, options: &IoOptions, shared: bool) -> u64 {
    let (bytes, raw) = (array.largest_chunk_bytes(), array.has_raw_chunks());
    let raw = raw && !shared && !options.no_fast_path;
    let bytes = if raw { bytes.min(raw::BLOCK as u64) } else { bytes.saturating_mul(2) };
    if bytes <= LITTLE && options.max_bytes == 0 { 0 } else { bytes }
}

/// The same of whichever object of these is read first: of a shard it is the index.
pub(super) fn memory_of_any(placements: &[Placement], options: &IoOptions) -> u64 {
    let arrays = placements.iter().map(|placement| &placement.array);
    let plain = arrays.filter(|array| !array.store().is_remote() && array.inner_chunk_shape().is_none());
    plain.map(|array| memory(array, options, placements.len() > 1)).max().unwrap_or(0)
}

/// Read one chunk or shard and place its pieces.
pub(super) fn read_object(
    job: &Arc<RegionJob>,
    cell: &[u64],
    pieces: &Pieces,
    done: impl Into<Arc<ObjectDone>>,
    strip: &mut Strip<'_>,
) -> Result<()> {
    let array = job.array(pieces);
    let Backend::Local(store) = array.store().backend() else { unreachable!("the caller looked") };
    let key = array.chunk_key(cell);
    let read = match array.shard_layout(cell)? {
        None => read_chunk(job, store, &key, cell, pieces, strip),
        Some(layout) => read_shard(job, store, &key, &layout, pieces, done),
    };
    read.map_err(|error| error.with_key(array.store().url(), &key))
}

fn read_chunk(
    job: &RegionJob,
    store: &LocalStore,
    key: &str,
    cell: &[u64],
    pieces: &Pieces,
    strip: &mut Strip<'_>,
) -> Result<()> {
    let (layout, placer) = (job.layout(pieces), job.placer(pieces));
    let codec = job.array(pieces).chunk_codec(cell)?;
    placer.operation.count(Counter::Requests, 1);
    let Some(file) = store.open(key)? else {
        placer.fill(&layout);
        return Ok(());
    };
    file.check_size(codec.most_encoded())?;
    placer.place_from(&codec, &layout, &file, 0..file.size(), strip)
}

/// Read a shard's index, then have its inner chunks read as work of their own.
fn read_shard(
    job: &Arc<RegionJob>,
    store: &LocalStore,
    key: &str,
    layout: &ShardLayout,
    pieces: &Pieces,
    done: impl Into<Arc<ObjectDone>>,
) -> Result<()> {
    let operation = job.operation_of(pieces[0].region);
    operation.count(Counter::Requests, 1);
    let plan = Arc::new(job.inner_plan(pieces, layout));
    let Some(file) = store.open(key)? else {
        job.placer(pieces).fill_shard(&job.layout(pieces), plan.count());
        return Ok(());
    };
    operation.count(Counter::BytesFetched, layout.index_len());
    let index = read_index(&file, layout)?;
    let array = job.array(pieces).clone();
    let strip = job.strip_of(&array, &plan);
    let shard = ShardJob {
        array,
        key: key.into(),
        source: Source::File(file),
        index: Arc::new(index),
        plan,
        units: None,
        strip,
        next: AtomicUsize::new(0),
        done: done.into(),
    };
    shard.submit(&operation.live().pool()?);
    Ok(())
}

/// Read and decode the index of a shard.
pub(super) fn read_index(file: &LocalFile, layout: &ShardLayout) -> Result<ShardIndex> {
    let range = layout.index_range(file.size())?;
    scratch::with(|scratch| {
        let encoded = scratch.encoded.get((range.end - range.start) as usize)?;
        file.read_at(encoded, range.start)?;
        layout.decode_index(encoded, &mut scratch.decoded, file.size())
    })
}

/// Get a whole value, of at most `most` bytes, that is not part of a planned read.
pub(super) fn get_value(
    store: &LocalStore,
    key: &str,
    operation: &Operation,
    most: u64,
) -> Result<Option<Vec<u8>>> {
    operation.count(Counter::Requests, 1);
    let bytes = store.get(key, most)?;
    operation.count(Counter::BytesFetched, bytes.as_ref().map_or(0, Vec::len) as u64);
    Ok(bytes)
}
