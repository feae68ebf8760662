//! From a stored chunk to its pieces in the caller's memory: decode, then scatter.

use std::ops::Range;

use smallvec::SmallVec;

use super::Dims;
use super::codec::{ChunkCodec, Decoded, Wanted};
use super::error::{Error, Result};
use super::in_order::Partly;
use super::job::RegionJob;
use super::operation::Operation;
use super::plan::{Piece, Pieces};
use super::raw;
use super::scatter::{self, Axis, Selection, c_strides};
use super::scratch::{self, PageBuf, Scratch};
use super::stats::Counter;
use super::strip::Strip;
use crate::storage::LocalFile;

/// Where the pieces of one chunk go.
pub struct Layout<'a> {
    pub pieces: &'a Pieces,
    /// The strides of each piece's region.
    pub strides: SmallVec<[&'a [isize]; 1]>,
    pub itemsize: usize,
    pub fill_value: &'a [u8],
    /// The result is too large for the caches.
    pub past_cache: bool,
}

impl Layout<'_> {
    pub fn each(&self) -> impl Iterator<Item = (&Piece, &[isize])> {
        self.pieces.iter().zip(self.strides.iter().copied())
    }

    pub fn bytes(&self, piece: &Piece) -> u64 {
        piece.inner.iter().map(|axis| axis.count).product::<u64>() * self.itemsize as u64
    }

    /// What a piece is of its chunk, and how it is copied. `from` and `to` are the strides of both sides.
    pub fn selection(&self, piece: &Piece, from: &[isize], to: &[isize]) -> Selection {
        let offset = piece.inner.iter().zip(from).map(|(axis, stride)| axis.start as isize * stride).sum();
        let axis = |d: usize| {
            let inner = piece.inner[d];
            Axis { count: inner.count as usize, src: from[d] * inner.step as isize, dst: to[d] }
        };
        let axes = (0..to.len()).map(axis).collect();
        Selection { offset, axes, itemsize: self.itemsize, past_cache: self.past_cache }
    }

    /// The only piece, when it is the whole chunk and the chunk decodes to its elements in C order.
    pub fn whole(&self, codec: &ChunkCodec) -> Option<&Piece> {
        let [piece] = &self.pieces[..] else { return None };
        let mut axes = codec.shape().zip(&piece.inner);
        let whole = axes.all(|(n, axis)| axis.count == n && (axis.step == 1 || n == 1));
        (whole && codec.is_c_order()).then_some(piece)
    }

    /// The caller's memory, when the chunk is wanted as a whole and lies there as it decodes.
    pub fn contiguous(&self, codec: &ChunkCodec) -> Option<*mut [u8]> {
        let piece = self.whole(codec)?;
        let shape: Dims<u64> = codec.shape().collect();
        let wanted = c_strides(&shape, self.itemsize);
        let as_decoded = (0..shape.len()).all(|d| shape[d] == 1 || self.strides[0][d] == wanted[d]);
        as_decoded.then(|| std::ptr::slice_from_raw_parts_mut(piece.memory.0, codec.decoded_len()))
    }
}

/// Places chunks, and counts what it does.
pub(super) struct Placer<'a> {
    pub job: &'a RegionJob,
    /// For which all is counted but the bytes placed: what several operations share, one has done.
    pub operation: &'a Operation,
}

impl Placer<'_> {
    /// Place a chunk that is missing from the store.
    pub fn fill(&self, layout: &Layout<'_>) {
        self.fill_shard(layout, 1);
    }

    /// Place a missing shard, of which `inner` inner chunks are wanted.
    pub fn fill_shard(&self, layout: &Layout<'_>, inner: usize) {
        self.operation.count(Counter::ChunksMissing, inner as u64);
        for (piece, strides) in layout.each() {
            let axes = |d: usize| Axis { count: piece.inner[d].count as usize, src: 0, dst: strides[d] };
            // SAFETY: the piece lies within its region, whose memory is ours until the completion; its elements are
            // disjoint (checked at submission).
            unsafe {
                scatter::fill(piece.memory.0, (0..strides.len()).map(axes).collect(), layout.fill_value)
            };
        }
        self.count_placed(layout);
    }

    /// Read a chunk from `range` of a file and place it, or leave it in the strip.
    pub fn place_from(
        &self,
        codec: &ChunkCodec,
        layout: &Layout<'_>,
        file: &LocalFile,
        range: Range<u64>,
        strip: &mut Strip<'_>,
    ) -> Result<()> {
        let len = range_len(&range)?;
        let raw = codec.is_raw() && len == codec.decoded_len() && !self.job.options.no_fast_path;
        if let Some(out) = layout.contiguous(codec).filter(|_| raw) {
            // SAFETY: the caller of the read promises that the region's memory is valid and ours until the
            // completion, which comes after this call; these bytes are one piece, and pieces are disjoint.
            file.read_at(unsafe { &mut *out }, range.start)?;
            self.fetched(len as u64);
            self.count(codec.decoded_len(), layout);
            return Ok(());
        }
        if raw && let Some(out) = strip.room(codec, layout)? {
            let _held = self.operation.live().bytes.hold(len as u64);
            file.read_at(out, range.start)?;
            strip.filled();
            self.fetched(len as u64);
            self.count(codec.decoded_len(), layout);
            return Ok(());
        }
        if let (true, Some(from), [piece]) = (raw, codec.direct_strides(), &layout.pieces[..]) {
            let _held = self.operation.live().bytes.hold(raw::BLOCK.min(len) as u64);
            let selection = layout.selection(piece, from, layout.strides[0]);
            // SAFETY: as for `scatter_decoded`; the file has as many bytes from `range.start` on as the chunk has.
            let bytes = scratch::with(|scratch| unsafe {
                raw::read(file, range.start, &selection, piece.memory.0, &mut scratch.encoded)
            })?;
            self.fetched(bytes);
            self.count(codec.decoded_len(), layout);
            return Ok(());
        }
        let _held = self.operation.live().bytes.hold((len + codec.decoded_len()) as u64);
        self.fetched(len as u64);
        scratch::with(|Scratch { encoded, decoded, .. }| {
            self.place(codec, layout, read_range(file, range, encoded)?, decoded, strip)
        })
    }

    /// Decode a chunk and place it, or leave it in the strip.
    pub fn place(
        &self,
        codec: &ChunkCodec,
        layout: &Layout<'_>,
        encoded: &[u8],
        buffers: &mut [PageBuf; 2],
        strip: &mut Strip<'_>,
    ) -> Result<()> {
        let (fast, mut decoded) = (!self.job.options.no_fast_path, codec.decoded_len());
        if let Some(out) = layout.contiguous(codec).filter(|_| fast) {
            // SAFETY: as in `place_from`.
            codec.decode_into(encoded, buffers, unsafe { &mut *out })?;
        } else if fast && let Some(out) = strip.room(codec, layout)? {
            codec.decode_into(encoded, buffers, out)?;
            strip.filled();
        } else if let Some(strides) = codec.direct_strides().filter(|_| fast) {
            decoded = scatter_in_part(codec, strides, layout, encoded, buffers)?;
        } else {
            scatter_decoded(&codec.decode(encoded, buffers, self.job.options.no_fast_path)?, layout);
        }
        self.count(decoded, layout);
        Ok(())
    }

    fn fetched(&self, bytes: u64) {
        self.operation.count(Counter::BytesFetched, bytes);
    }

    fn count(&self, decoded: usize, layout: &Layout<'_>) {
        self.operation.count(Counter::ChunksDecoded, 1);
        self.operation.count(Counter::BytesDecoded, decoded as u64);
        self.count_placed(layout);
    }

    fn count_placed(&self, layout: &Layout<'_>) {
        self.job.count_placed(layout.pieces.iter().map(|piece| (piece.region, layout.bytes(piece))));
    }
}

fn range_len(range: &Range<u64>) -> Result<usize> {
    let n = range.end - range.start;
    usize::try_from(n).map_err(|_| Error::codec(format_args!("{n} stored bytes cannot be addressed")))
}

/// Read a range of a file into a buffer that is kept.
pub fn read_range<'a>(file: &LocalFile, range: Range<u64>, buffer: &'a mut PageBuf) -> Result<&'a [u8]> {
    let bytes = buffer.get(range_len(&range)?)?;
    file.read_at(bytes, range.start)?;
    Ok(bytes)
}

fn scatter_decoded(decoded: &Decoded<'_>, layout: &Layout<'_>) {
    for (piece, strides) in layout.each() {
        let Selection { offset, axes, itemsize, past_cache } =
            layout.selection(piece, &decoded.strides, strides);
        // SAFETY: the selection lies within the chunk, whose decoded bytes have exactly its size; the piece lies within
        // its region, whose memory is ours until the completion and whose elements are disjoint (checked at submission).
        unsafe {
            let from = decoded.bytes.as_ptr().offset(offset);
            scatter::copy_large(from, piece.memory.0, axes, itemsize, past_cache)
        };
    }
}

/// Decode what is wanted of a chunk, and place it as its bytes come, while they are in the processor's cache.
/// `strides` are those of what the codec decodes to. Returns how many bytes were decoded.
fn scatter_in_part(
    codec: &ChunkCodec,
    strides: &[isize],
    layout: &Layout<'_>,
    encoded: &[u8],
    buffers: &mut [PageBuf; 2],
) -> Result<usize> {
    let parts =
        |(piece, to): (&Piece, &[isize])| Partly::all(&layout.selection(piece, strides, to), piece.memory.0);
    let mut pieces: SmallVec<[Partly; 1]> = layout.each().flat_map(parts).collect();
    let ranges = || pieces.iter().map(Partly::range);
    let first = ranges().map(|range| range.start).min().unwrap_or(0);
    let end = ranges().map(|range| range.end).max().unwrap_or(0);
    let unit = pieces.iter().map(Partly::unit).max().unwrap_or(0);
    let mut told = |from: usize, bytes: &[u8]| {
        // SAFETY: as in `scatter_decoded`; what may be anything comes before the first piece.
        let needed = pieces.iter_mut().map(|piece| unsafe { piece.copy(from, bytes) });
        needed.min().unwrap_or(usize::MAX)
    };
    codec.decode_in_part(encoded, buffers, Wanted { range: first..end, unit, told: &mut told })
}
