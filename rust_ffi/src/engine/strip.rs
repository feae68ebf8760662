//! Strips: small chunks that lie side by side in the caller's memory, decoded into one buffer and written as one.
//!
//! Rows of small chunks begin and end in the middle of the cache's lines. Past the caches, a line that is written in two
//! parts costs several times as much as one that is written as a whole; and neighbours would be written by two threads.

use std::ops::Range;

use super::array::Array;
use super::codec::ChunkCodec;
use super::error::Result;
use super::job::{IoOptions, Placement};
use super::operation::Operation;
use super::place::Layout;
use super::plan::Plan;
use super::runtime::RuntimeConfig;
use super::scatter::{self, Axis, Selection};
use super::scratch::{self, PageBuf};
use super::stats;

/// Most bytes of a strip: it has to stay in a core's own cache.
const BYTES: u64 = 2 << 20;

/// Longer rows gain little.
const ROW: u64 = 1 << 10;

/// So many strips for each thread, at the least: none shall wait for the last one.
const PER_THREAD: u64 = 4;

/// How many of `plan`'s cells make a strip; 1 where strips do not help. `array` is that of the cells, of which a whole
/// read has so many.
pub fn length(
    array: &Array,
    plan: &Plan,
    cells: usize,
    past_cache: bool,
    options: &IoOptions,
    config: &RuntimeConfig,
) -> usize {
    let bytes = array.chunk_bytes();
    let Some(row) = array.row_bytes().filter(|row| past_cache && *row > 0 && *row < bytes) else { return 1 };
    let (threads, own) = (config.codec_threads.max(1) as u64, options.max_bytes);
    let budget = if own == 0 { config.max_bytes } else { own.min(config.max_bytes) };
    let held = (budget / threads / bytes).saturating_sub(1);
    let most = [BYTES / bytes, ROW / row, plan.row(), cells as u64 / threads / PER_THREAD, held];
    most.into_iter().min().map_or(1, |n| n.max(1) as usize)
}

/// How many cells of a read of files make a strip, and bytes that it holds besides those of one chunk. Of shards, inner
/// chunks do, see [`length`].
pub(super) fn of_files(
    placements: &[Placement],
    plan: &Plan,
    past_cache: bool,
    options: &IoOptions,
    config: &RuntimeConfig,
) -> (usize, u64) {
    let first = placements.first().map(|placement| &placement.array);
    match first.filter(|array| array.inner_chunk_shape().is_none()) {
        None => (1, 0),
        Some(array) => {
            let length = length(array, plan, plan.count(), past_cache, options, config);
            (length, memory(array, length))
        }
    }
}

/// Bytes that a strip of so many chunks holds besides those of one, which whoever decodes it counts.
pub fn memory(array: &Array, chunks: usize) -> u64 {
    array.chunk_bytes().saturating_mul(chunks as u64 - 1)
}

/// The cells of a unit, each of which has `strip` of `total` but the last.
pub fn cells(unit: usize, strip: usize, total: usize) -> Range<usize> {
    unit * strip..total.min((unit + 1) * strip)
}

/// A strip that one thread fills. It must be gone before the operation's memory is let go.
pub struct Strip<'a> {
    /// How many chunks there is room for; with less than two it stays empty.
    most: usize,
    there: Option<There>,
    buffer: PageBuf,
    _held: Option<stats::Held<'a>>,
}

/// What a strip has.
struct There {
    /// The memory of the first chunk.
    memory: *mut u8,
    /// What is copied of each.
    selection: Selection,
    chunks: usize,
    /// Bytes of each.
    len: usize,
}

impl<'a> Strip<'a> {
    /// For up to `most` chunks of `array`, read for one operation, whose memory is let go with the job.
    pub fn new(operation: &'a Operation, array: &Array, most: usize) -> Self {
        if most < 2 {
            return Self::none();
        }
        let buffer = scratch::with(|scratch| std::mem::take(&mut scratch.strip));
        let held = operation.live().bytes.hold(memory(array, most));
        Self { most, there: None, buffer, _held: Some(held) }
    }

    /// For chunks that are placed one by one.
    pub fn none() -> Self {
        Self { most: 0, there: None, buffer: PageBuf::default(), _held: None }
    }

    /// Room for a chunk that is to go where `layout` says, to be [`Self::filled`]. What is there and does not lie right
    /// before it is written. `None` for a chunk that does not belong in a strip.
    pub fn room(&mut self, codec: &ChunkCodec, layout: &Layout<'_>) -> Result<Option<&mut [u8]>> {
        let Some(piece) = layout.whole(codec).filter(|_| self.most > 1) else { return Ok(None) };
        let (from, to) = (codec.direct_strides().unwrap_or_default(), layout.strides[0]);
        let selection = layout.selection(piece, from, to);
        if selection.axes.last().is_none_or(|row| row.dst != row.src) {
            return Ok(None);
        }
        let (memory, len, most) = (piece.memory.0, codec.decoded_len(), self.most);
        let fits = |there: &There| there.chunks < most && there.goes_on(&selection.axes, memory);
        let first = match self.there.as_ref().filter(|there| fits(there)) {
            Some(there) => there.chunks * len,
            None => {
                self.write();
                self.there = Some(There { memory, selection, chunks: 0, len });
                0
            }
        };
        // Larger than before only for larger chunks: then nothing was there.
        Ok(Some(&mut self.buffer.get(most * len)?[first..][..len]))
    }

    /// The chunk that the last room was for has been decoded there.
    pub fn filled(&mut self) {
        if let Some(there) = &mut self.there {
            there.chunks += 1;
        }
    }

    /// Write what is there to the caller's memory.
    fn write(&mut self) {
        let Some(There { memory, selection, chunks, len }) = self.there.take() else { return };
        let Selection { mut axes, itemsize, past_cache, .. } = selection;
        axes.push(Axis { count: chunks, src: len as isize, dst: beside(&axes) });
        let from = self.buffer.filled(chunks * len).as_ptr();
        // SAFETY: each chunk is there as a whole, and is one piece of a region, whose memory is ours until the completion:
        // who holds the job lends the operation. Pieces are disjoint.
        unsafe { scatter::copy_large(from, memory, axes, itemsize, past_cache) };
    }
}

impl There {
    /// Whether a chunk of which `axes` are copied to `memory` lies right after those that are here.
    fn goes_on(&self, axes: &[Axis], memory: *mut u8) -> bool {
        let next = self.chunks as isize * beside(axes);
        self.selection.axes[..] == *axes && self.memory.wrapping_offset(next) == memory
    }
}

/// How far from a chunk its neighbour lies.
fn beside(axes: &[Axis]) -> isize {
    axes.last().map_or(0, |row| row.count as isize * row.dst)
}

impl Drop for Strip<'_> {
    fn drop(&mut self) {
        self.write();
        if self.most > 1 {
            let buffer = std::mem::take(&mut self.buffer);
            scratch::with(|scratch| scratch.strip = buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::plan::{AxisSelection, Cells, Memory, Target};
    use super::super::runtime::Runtime;
    use super::*;
    use crate::storage::Store;

    /// Of a whole read of an array of u16 past the caches, on two threads.
    fn strip(shape: &[u64], chunk: &[u64], past_cache: bool, own: u64) -> usize {
        let config = RuntimeConfig { codec_threads: 2, max_bytes: 64 << 20, ..Default::default() };
        let (runtime, folder) = (Runtime::new(config).unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(&runtime, folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
        let json = serde_json::json!({
            "zarr_format": 3, "node_type": "array", "data_type": "uint16", "fill_value": 0, "shape": shape,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "chunk_key_encoding": {"name": "default"},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        });
        let array = Array::from_metadata(&store, "", &json.to_string()).unwrap();
        let selection = shape.iter().map(|count| AxisSelection { start: 0, count: *count, step: 1 });
        let cells = Cells::new(selection.collect(), array.axes().clone());
        let plan =
            Plan::new(vec![Target { region: 0, grid: 0, cells, memory: Memory(std::ptr::null_mut()) }]);
        let options = IoOptions { max_bytes: own, ..Default::default() };
        length(&array, &plan, plan.count(), past_cache, &options, runtime.live().config())
    }

    #[test]
    fn strips_are_of_small_chunks_with_neighbours() {
        let side = [1024; 3];
        assert_eq!(strip(&side, &[64; 3], true, 0), 4, "2 MiB");
        assert_eq!(strip(&side, &[32; 3], true, 0), 16, "rows of 1 KiB");
        assert_eq!(strip(&[1024, 1024, 300], &[32; 3], true, 0), 10, "a row of the array");
        assert_eq!(strip(&[32, 64, 4096], &[32; 3], true, 0), 16);
        assert_eq!(strip(&[32, 32, 4096], &[32; 3], true, 0), 16);
        assert_eq!(strip(&[32, 32, 512], &[32; 3], true, 0), 2, "work for all threads");
        assert_eq!(strip(&side, &[64; 3], false, 0), 1, "the caches have room");
        assert_eq!(strip(&side, &[128; 3], true, 0), 1, "chunks are large");
        assert_eq!(strip(&side, &[4, 16, 1024], true, 0), 1, "no neighbours");
        assert_eq!(strip(&[1 << 20, 1024], &[1, 64], true, 0), 1, "chunks lie in memory as they are");
        let chunk = 2 << 18;
        assert_eq!(strip(&side, &[64; 3], true, 2 * 4 * chunk), 3, "within the budget of the call");
        assert_eq!(strip(&side, &[64; 3], true, chunk), 1);
    }

    #[test]
    fn every_cell_is_in_one_unit() {
        for (total, strip) in [(1usize, 1usize), (12, 4), (13, 4), (3, 8)] {
            let units = (0..total.div_ceil(strip)).flat_map(|unit| cells(unit, strip, total));
            assert!(units.eq(0..total), "{total} {strip}");
        }
    }
}
