//! A selection of a chunk in the order in which the chunk is stored: for those who have its beginning before its end.

use std::ops::Range;

use super::Dims;
use super::scatter::{self, Axis, Selection};

/// See the module.
pub struct InOrder {
    /// Where the first wanted byte lies in the chunk.
    pub offset: usize,
    /// The offset of that element in the destination.
    pub dst: isize,
    /// By falling distance in the chunk, which is never less than what lies inside of it.
    pub axes: Dims<Axis>,
    pub itemsize: usize,
}

impl InOrder {
    pub fn new(selection: &Selection) -> Self {
        let (mut offset, mut dst) = (selection.offset, 0);
        let several = |axis: &Axis| axis.count != 1;
        let mut axes: Dims<Axis> = selection.axes.iter().copied().filter(several).collect();
        for axis in axes.iter_mut().filter(|axis| axis.src < 0) {
            let last = axis.count as isize - 1;
            offset += last * axis.src;
            dst += last * axis.dst;
            (axis.src, axis.dst) = (-axis.src, -axis.dst);
        }
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.src));
        Self { offset: offset as usize, dst, axes, itemsize: selection.itemsize }
    }

    /// Bytes from the first wanted one to the last, of the axes from `first` on.
    pub fn span(&self, first: usize) -> usize {
        self.axes[first..].iter().map(|axis| (axis.count - 1) * axis.src as usize).sum::<usize>()
            + self.itemsize
    }
}

/// A selection that is copied as the bytes of its chunk come.
pub struct Partly {
    selection: InOrder,
    memory: *mut u8,
    past_cache: bool,
    /// How many elements of the outermost axis have been copied.
    done: usize,
}

impl Partly {
    /// The selection goes to `memory`, where its first element lies.
    pub fn new(selection: &Selection, memory: *mut u8) -> Self {
        let (past_cache, selection) = (selection.past_cache, InOrder::new(selection));
        Self { memory: memory.wrapping_offset(selection.dst), selection, past_cache, done: 0 }
    }

    /// From the first wanted byte of the chunk to the last.
    pub fn range(&self) -> Range<usize> {
        self.selection.offset..self.selection.offset + self.selection.span(0)
    }

    /// Copy what can be copied now that the chunk's first bytes are there.
    ///
    /// # Safety
    /// As for [`scatter::copy`], for the whole selection, of a chunk that begins with `bytes`.
    pub unsafe fn copy(&mut self, bytes: &[u8]) {
        let InOrder { offset, itemsize, ref axes, .. } = self.selection;
        let outer = axes.first().copied().unwrap_or(Axis { count: 1, src: 1, dst: 0 });
        let first = offset + self.selection.span(1.min(axes.len()));
        let there = bytes.len().checked_sub(first).map_or(0, |more| more / outer.src as usize + 1);
        let (from, to) = (self.done, there.min(outer.count));
        if from == to {
            return;
        }
        self.done = to;
        let mut part: Dims<Axis> = axes.get(1..).unwrap_or_default().into();
        part.push(Axis { count: to - from, ..outer });
        let (src, dst) = (offset + from * outer.src as usize, from as isize * outer.dst);
        // SAFETY: the caller's promise; the last byte of these elements is there.
        unsafe {
            let (src, dst) = (bytes.as_ptr().add(src), self.memory.wrapping_offset(dst));
            scatter::copy_large(src, dst, part, itemsize, self.past_cache);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_parts_is_copied_as_what_comes_at_once() {
        let chunk: Vec<u8> = (0..2 * 6 * 5 * 7).map(|i| (i * 37 % 251) as u8).collect();
        let strides = [70, 14, 2];
        for select in [
            [(0, 6, 1), (0, 5, 1), (0, 7, 1)],
            [(5, 6, -1), (1, 2, 3), (6, 4, -2)],
            [(3, 1, 1), (4, 5, -1), (2, 1, 1)],
            [(2, 1, 1), (3, 1, 1), (4, 1, 1)],
        ] {
            for order in [[0, 1, 2], [2, 1, 0]] {
                let (mut axes, mut dst) = (Dims::from_elem(Axis { count: 0, src: 0, dst: 0 }, 3), 2);
                for d in order.into_iter().rev() {
                    let (_, count, step) = select[d];
                    axes[d] = Axis { count, src: strides[d] * step, dst };
                    dst *= count as isize;
                }
                let offset = select.iter().zip(strides).map(|((start, ..), stride)| start * stride).sum();
                let selection = Selection { offset, axes, itemsize: 2, past_cache: false };
                let (mut whole, mut parts) = (vec![0u8; dst as usize], vec![0u8; dst as usize]);
                let mut partly = Partly::new(&selection, parts.as_mut_ptr());
                // SAFETY: the selection lies in the chunk, and both destinations have room for it.
                unsafe {
                    let (src, axes) = (chunk.as_ptr().offset(offset), selection.axes.clone());
                    scatter::copy(src, whole.as_mut_ptr(), axes, 2);
                    (0..=partly.range().end.min(chunk.len()))
                        .step_by(11)
                        .for_each(|n| partly.copy(&chunk[..n]));
                    partly.copy(&chunk[..partly.range().end.min(chunk.len())]);
                }
                assert_eq!(parts, whole, "{select:?} {order:?}");
            }
        }
    }
}
