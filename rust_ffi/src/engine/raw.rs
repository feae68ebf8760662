//! Raw chunks: stored just as their elements lie in memory. Only what is wanted of one is read, in blocks that are
//! scattered while they are still in the processor's cache.

use super::Dims;
use super::error::Result;
use super::in_order::InOrder;
use super::scatter::{self, Axis, Selection};
use super::scratch::PageBuf;
use crate::storage::LocalFile;

/// Bytes that are read at once, about: a part of a core's own cache.
pub const BLOCK: usize = 256 << 10;

/// To read so many unwanted bytes costs no more than one more call of the system.
const GAP: usize = 16 << 10;

impl InOrder {
    /// Which axis to cut into blocks: those inside of it are read as one.
    fn cut(&self) -> usize {
        let far = |axis: usize| self.axes[axis].src as usize > self.span(axis + 1) + GAP;
        let mut cut = 0;
        while cut + 1 < self.axes.len() && (self.span(cut + 1) > BLOCK || far(cut + 1)) {
            cut += 1;
        }
        cut
    }

    /// How many elements of the axis that is cut are read as one.
    fn per_block(&self, cut: usize) -> usize {
        let (distance, span) = (self.axes[cut].src as usize, self.span(cut + 1));
        if distance > span + GAP { 1 } else { BLOCK.saturating_sub(span) / distance + 1 }
    }
}

/// Read what is selected of the chunk that begins at `start` of the file, and copy it to `memory`. Returns how many bytes
/// were read.
///
/// # Safety
/// As for [`scatter::copy`], as to the destination; every selected element lies in the chunk, and axes are those of a
/// chunk: none reaches into the next element of another.
pub unsafe fn read(
    file: &LocalFile,
    start: u64,
    selection: &Selection,
    memory: *mut u8,
    buffer: &mut PageBuf,
) -> Result<u64> {
    let Selection { itemsize, past_cache, .. } = *selection;
    let selection = InOrder::new(selection);
    let (first, to) = (start + selection.offset as u64, memory.wrapping_offset(selection.dst));
    let mut bytes = 0;
    let mut block = |src: isize, dst: isize, axes: &[Axis], span: usize| -> Result<()> {
        let buffer = buffer.get(span)?;
        file.read_at(buffer, first + src as u64)?;
        bytes += span as u64;
        // SAFETY: the caller's promise; the block has all bytes that lie between its first element and its last.
        unsafe {
            scatter::copy_large(buffer.as_ptr(), to.wrapping_offset(dst), axes.into(), itemsize, past_cache)
        };
        Ok(())
    };
    if selection.axes.is_empty() {
        return block(0, 0, &[], itemsize).map(|()| bytes);
    }
    let cut = selection.cut();
    let axis = selection.axes[cut];
    let most = selection.per_block(cut).min(axis.count);
    // All blocks but the last have as many elements of the axis that is cut.
    for (from, per_block) in [(0, most), (axis.count / most * most, axis.count % most)] {
        if per_block == 0 {
            continue;
        }
        let blocks = if from == 0 { axis.count / most } else { 1 };
        let (n, skip) = (per_block as isize, from as isize);
        let mut inner: Dims<Axis> = selection.axes[cut..].into();
        inner[0].count = per_block;
        let span = (per_block - 1) * axis.src as usize + selection.span(cut + 1);
        let mut outer: Dims<Axis> = selection.axes[..cut].into();
        outer.push(Axis { count: blocks, src: n * axis.src, dst: n * axis.dst });
        let mut result = Ok(());
        scatter::for_each_run(&outer, |src, dst| {
            if result.is_ok() {
                result = block(src + skip * axis.src, dst + skip * axis.dst, &inner, span);
            }
        });
        result?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::LocalStore;

    /// Read a selection of a stored block of u16 and compare it with a walk; returns the bytes that were read.
    fn check(shape: &[usize], select: &[(usize, usize, isize)], dst_order: &[usize]) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let n: usize = shape.iter().product();
        let stored: Vec<u8> = (0..n).flat_map(|i| ((i * 40503 / 8) as u16).to_ne_bytes()).collect();
        std::fs::write(folder.path().join("chunk"), [&[9; 5][..], &stored].concat()).unwrap();
        let file = LocalStore::new(folder.path().into()).open("chunk").unwrap().unwrap();
        let strides = scatter::c_strides(&shape.iter().map(|n| *n as u64).collect::<Dims<_>>(), 2);
        let (mut axes, mut dst) = (Dims::from_elem(Axis { count: 0, src: 0, dst: 0 }, shape.len()), 2);
        for d in dst_order.iter().rev() {
            let (_, count, step) = select[*d];
            axes[*d] = Axis { count, src: strides[*d] * step, dst };
            dst *= count as isize;
        }
        let offset =
            select.iter().zip(&strides).map(|((start, ..), stride)| *start as isize * stride).sum::<isize>();
        let (mut got, mut expected) = (vec![0u8; dst as usize], vec![0u8; dst as usize]);
        scatter::for_each_run(&axes, |s, d| {
            let (s, d) = ((offset + s) as usize, d as usize);
            expected[d..d + 2].copy_from_slice(&stored[s..s + 2]);
        });
        let selection = Selection { offset, axes, itemsize: 2, past_cache: false };
        let mut buffer = PageBuf::default();
        // SAFETY: the destination has room for every selected element, and the file for the block.
        let bytes = unsafe { read(&file, 5, &selection, got.as_mut_ptr(), &mut buffer) }.unwrap();
        assert_eq!(got, expected, "{shape:?} {select:?} {dst_order:?}");
        bytes
    }

    #[test]
    fn selections_of_raw_chunks_agree_with_a_walk() {
        let whole = |n| (0, n, 1);
        for order in [[0, 1, 2], [2, 0, 1]] {
            let shape = [70, 100, 90];
            check(&shape, &[whole(70), whole(100), whole(90)], &order);
            check(&shape, &[(69, 70, -1), whole(100), (89, 30, -3)], &order);
            check(&shape, &[(3, 9, 7), (99, 4, -33), (5, 80, 1)], &order);
            check(&shape, &[(3, 1, 1), (50, 1, 1), (89, 1, -1)], &order);
            check(&[3, 1, 200_000], &[(2, 3, -1), whole(1), (1, 66_000, 3)], &order);
        }
        check(&[], &[], &[]);
    }

    #[test]
    fn of_a_raw_chunk_little_more_is_read_than_is_wanted() {
        let (n, all) = (128, (0, 128, 1));
        let bytes = 2 * n * n * n;
        assert_eq!(check(&[n; 3], &[all, all, all], &[0, 1, 2]), bytes as u64);
        assert_eq!(check(&[n; 3], &[(5, 1, 1), all, all], &[0, 1, 2]), 2 * 128 * 128);
        assert_eq!(check(&[n; 3], &[all, (5, 1, 1), all], &[0, 1, 2]), 2 * 128 * 128);
        assert_eq!(check(&[n; 3], &[all, (5, 2, 90), all], &[0, 1, 2]), 2 * 2 * 128 * 128);
        assert!(check(&[n; 3], &[all, all, (5, 1, 1)], &[0, 1, 2]) <= bytes as u64);
    }
}
