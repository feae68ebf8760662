//! From pieces in the caller's memory to an encoded chunk: gather, then encode. The reverse of [`super::place`].

use std::ops::Range;
use std::slice;

use smallvec::SmallVec;

use super::Dims;
use super::codec::ChunkCodec;
use super::error::Result;
use super::operation::Operation;
use super::place::{Layout, read_range};
use super::plan::{AxisSelection, Piece, Pieces};
use super::scatter::{self, Axis};
use super::scratch::{self, PageBuf, Scratch};
use super::stats::Counter;
use crate::storage::LocalFile;

/// What a chunk holds that is only changed in part.
pub enum Old<'a> {
    /// The fill value; also where all of it is replaced.
    Nothing,
    Bytes(&'a [u8]),
    File(&'a LocalFile, Range<u64>),
}

/// Encodes chunks for one operation, and counts what it does.
pub struct Gatherer<'a> {
    pub operation: &'a Operation,
    /// Encode by zarrs alone.
    pub no_fast_path: bool,
    /// Also encode chunks that hold nothing but the fill value.
    pub write_empty: bool,
}

/// Whether `pieces` replace all of a cell of which `extent` elements lie within the array.
pub fn covers(pieces: &Pieces, extent: &[u64]) -> bool {
    /// More are not looked at together.
    const MOST: usize = 64;
    let count = |piece: &Piece| piece.inner.iter().map(|axis| axis.count).product::<u64>();
    let all: u64 = extent.iter().product();
    if pieces.iter().any(|piece| count(piece) == all) {
        return true;
    }
    let boxes: SmallVec<[_; MOST]> = pieces.iter().take(MOST).collect();
    let disjoint = |i: usize| boxes[..i].iter().all(|other| are_disjoint(other, boxes[i]));
    boxes.iter().copied().map(count).sum::<u64>() == all && (0..boxes.len()).all(disjoint)
}

/// Whether two pieces have surely no element in common: their extents along some dimension are apart.
fn are_disjoint(a: &Piece, b: &Piece) -> bool {
    let ends = |axis: &AxisSelection| {
        let last = axis.start.wrapping_add_signed((axis.count as i64 - 1).wrapping_mul(axis.step));
        (axis.start.min(last), axis.start.max(last))
    };
    a.inner.iter().zip(&b.inner).any(|(a, b)| {
        let ((a_first, a_last), (b_first, b_last)) = (ends(a), ends(b));
        a_last < b_first || b_last < a_first
    })
}

impl Gatherer<'_> {
    /// Encode a chunk and pass its bytes on; `None` when it holds nothing but the fill value.
    pub fn encode<T>(
        &self,
        codec: &ChunkCodec,
        layout: &Layout<'_>,
        old: &Old<'_>,
        pass: impl FnOnce(Option<&[u8]>) -> Result<T>,
    ) -> Result<T> {
        scratch::with(|Scratch { encoded, elements, decoded, .. }| {
            let elements = match layout.contiguous(codec) {
                // SAFETY: the caller of the write promises that the region's memory is valid, and left alone, until
                // the completion, which comes after this call.
                Some(memory) => unsafe { &*memory },
                None => self.gather(codec, layout, old, elements, encoded, decoded)?,
            };
            let placed = layout.pieces.iter().map(|piece| layout.bytes(piece)).sum();
            self.operation.count(Counter::BytesPlaced, placed);
            if !self.write_empty && holds_only(elements, layout.fill_value) {
                return pass(None);
            }
            let bytes = codec.encode(elements, decoded, self.no_fast_path)?;
            self.operation.count(Counter::ChunksEncoded, 1);
            pass(Some(&bytes))
        })
    }

    /// Put a chunk's elements together: what it was, or the fill value, and the pieces over it.
    fn gather<'b>(
        &self,
        codec: &ChunkCodec,
        layout: &Layout<'_>,
        old: &Old<'_>,
        elements: &'b mut PageBuf,
        encoded: &mut PageBuf,
        decoded: &mut [PageBuf; 2],
    ) -> Result<&'b [u8]> {
        let elements = elements.get(codec.decoded_len())?;
        let strides = codec.element_strides(self.no_fast_path);
        let shape: Dims<u64> = codec.shape().collect();
        let whole = covers(layout.pieces, &shape);
        match old {
            _ if whole => {}
            Old::Nothing => fill(elements, layout.fill_value),
            Old::Bytes(bytes) => self.restore(codec, bytes, decoded, elements, &strides, layout.itemsize)?,
            Old::File(file, range) => {
                let bytes = read_range(file, range.clone(), encoded)?;
                self.restore(codec, bytes, decoded, elements, &strides, layout.itemsize)?;
            }
        }
        for (piece, from) in layout.each() {
            gather_piece(elements, piece, from, &strides, layout.itemsize);
        }
        Ok(elements)
    }

    /// Decode what a chunk was.
    fn restore(
        &self,
        codec: &ChunkCodec,
        bytes: &[u8],
        buffers: &mut [PageBuf; 2],
        elements: &mut [u8],
        strides: &[isize],
        itemsize: usize,
    ) -> Result<()> {
        let decoded = codec.decode(bytes, buffers, self.no_fast_path)?;
        self.operation.count(Counter::ChunksDecoded, 1);
        self.operation.count(Counter::BytesDecoded, elements.len() as u64);
        if decoded.strides[..] == *strides {
            elements.copy_from_slice(&decoded.bytes);
            return Ok(());
        }
        let axis =
            |(d, n): (usize, u64)| Axis { count: n as usize, src: decoded.strides[d], dst: strides[d] };
        let axes = codec.shape().enumerate().map(axis).collect();
        // SAFETY: both sides hold exactly the chunk's elements, each at its strides.
        unsafe { scatter::copy(decoded.bytes.as_ptr(), elements.as_mut_ptr(), axes, itemsize) };
        Ok(())
    }
}

fn gather_piece(elements: &mut [u8], piece: &Piece, from: &[isize], strides: &[isize], itemsize: usize) {
    let offset: isize =
        piece.inner.iter().zip(strides).map(|(axis, stride)| axis.start as isize * stride).sum();
    let axis = |d: usize| {
        let inner = piece.inner[d];
        Axis { count: inner.count as usize, src: from[d], dst: strides[d] * inner.step as isize }
    };
    let axes = (0..strides.len()).map(axis).collect();
    // SAFETY: the selection lies within the chunk, whose elements `elements` holds; the piece lies within its region,
    // whose memory is valid until the completion. The elements of a selection are disjoint.
    unsafe { scatter::copy(piece.memory.0, elements.as_mut_ptr().offset(offset), axes, itemsize) };
}

fn fill(elements: &mut [u8], value: &[u8]) {
    let count = elements.len() / value.len();
    let axis = Axis { count, src: 0, dst: value.len() as isize };
    // SAFETY: `count` elements without gaps.
    unsafe { scatter::fill(elements.as_mut_ptr(), slice::from_ref(&axis).into(), value) };
}

/// Whether every element is `value`, bit for bit.
fn holds_only(elements: &[u8], value: &[u8]) -> bool {
    // When the first is the value and each equals the one before, all are.
    elements.starts_with(value) && elements[value.len()..] == elements[..elements.len() - value.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_fill_values_is_told_from_any_other() {
        for value in [&[7u8][..], &[1, 2, 3, 4], &[0; 16]] {
            let mut elements = vec![0u8; 24 * value.len()];
            fill(&mut elements, value);
            assert!(holds_only(&elements, value));
            for at in 0..elements.len() {
                elements[at] ^= 0x80;
                assert!(!holds_only(&elements, value));
                elements[at] ^= 0x80;
            }
        }
        assert!(holds_only(&[3, 3], &[3, 3]) && !holds_only(&[], &[3, 3]));
    }
}
