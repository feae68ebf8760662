//! A selection of a chunk in the order in which the chunk is stored: for those who have its beginning before its end.

use std::ops::Range;

use smallvec::SmallVec;

use super::Dims;
use super::scatter::{self, Axis, Selection};

/// So many bytes may have to be there at once.
const UNIT: usize = 256 << 10;

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
    /// The selection goes to `memory`, where its first element lies. In as many parts as it takes for each to wait for
    /// little at once.
    pub fn all(selection: &Selection, memory: *mut u8) -> SmallVec<[Self; 1]> {
        Self::of_units(selection, memory, UNIT)
    }

    fn of_units(selection: &Selection, memory: *mut u8, most: usize) -> SmallVec<[Self; 1]> {
        let (past_cache, all) = (selection.past_cache, InOrder::new(selection));
        let (axes, itemsize) = (&all.axes, all.itemsize);
        let cut =
            (1..axes.len()).find(|axis| all.span(*axis) <= most).unwrap_or(axes.len()).saturating_sub(1);
        let mut parts = SmallVec::new();
        scatter::for_each_run(&axes[..cut], |src, dst| {
            let offset = all.offset + src as usize;
            let selection = InOrder { offset, dst: 0, axes: axes[cut..].into(), itemsize };
            let memory = memory.wrapping_offset(all.dst + dst);
            parts.push(Self { selection, memory, past_cache, done: 0 });
        });
        parts
    }

    /// From the first wanted byte of the chunk to the last.
    pub fn range(&self) -> Range<usize> {
        self.selection.offset..self.selection.offset + self.selection.span(0)
    }

    /// The most bytes that have to be there at once.
    pub fn unit(&self) -> usize {
        self.selection.span(1.min(self.selection.axes.len()))
    }

    /// Copy what can be copied now that `bytes` are there, which begin at `from` of the chunk. Returns from where on bytes
    /// have to be there the next time.
    ///
    /// # Safety
    /// As for [`scatter::copy`], for the whole selection, of a chunk that has `bytes` at `from`, which is no later than what
    /// the last call returned.
    pub unsafe fn copy(&mut self, from: usize, bytes: &[u8]) -> usize {
        let InOrder { offset, itemsize, ref axes, .. } = self.selection;
        let outer = axes.first().copied().unwrap_or(Axis { count: 1, src: 1, dst: 0 });
        let first = offset + self.unit();
        let there = (from + bytes.len()).checked_sub(first).map_or(0, |more| more / outer.src as usize + 1);
        let (begin, end) = (self.done, there.min(outer.count));
        let at = |element: usize| offset + element * outer.src as usize;
        if begin < end {
            self.done = end;
            let mut part: Dims<Axis> = axes.get(1..).unwrap_or_default().into();
            part.push(Axis { count: end - begin, ..outer });
            // SAFETY: the caller's promise; the first and the last byte of these elements are there.
            unsafe {
                let src = bytes.as_ptr().add(at(begin) - from);
                let dst = self.memory.wrapping_offset(begin as isize * outer.dst);
                scatter::copy_large(src, dst, part, itemsize, self.past_cache);
            }
        }
        if self.done < outer.count { at(self.done) } else { usize::MAX }
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
                // SAFETY: the selection lies in the chunk, and both destinations have room for it.
                unsafe {
                    let (src, axes) = (chunk.as_ptr().offset(offset), selection.axes.clone());
                    scatter::copy(src, whole.as_mut_ptr(), axes, 2);
                }
                for most in [2, 20, 100] {
                    parts.fill(0);
                    let mut all = Partly::of_units(&selection, parts.as_mut_ptr(), most);
                    let end = all.iter().map(|part| part.range().end).max().unwrap();
                    let unit = all.iter().map(Partly::unit).max().unwrap();
                    assert!(unit <= most.max(14), "{most}");
                    let mut from = 0;
                    for to in (0..end).step_by(11).chain([end]) {
                        // No more than has to be there.
                        assert!(from >= to.saturating_sub(unit + 11), "{most}");
                        let bytes = &chunk[from..to.max(from)];
                        // SAFETY: as above.
                        let needed = all.iter_mut().map(|part| unsafe { part.copy(from, bytes) });
                        from = needed.min().unwrap().min(end);
                    }
                    assert_eq!(parts, whole, "{select:?} {order:?} {most}");
                }
            }
        }
    }
}
