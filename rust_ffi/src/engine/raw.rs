//! Raw chunks: stored just as their elements lie in memory. Only what is wanted of one is read, in blocks that are
//! scattered while they are still in the processor's cache, or where the result is small straight into its rows.

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

/// Rows that lie side by side in a chunk, and as a whole each in the destination: so many bytes each, so many of them, and how
/// far from one to the next in the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    bytes: usize,
    count: usize,
    stride: isize,
}

impl Rows {
    /// More of them take several calls of the system.
    const MOST: usize = 1024;
    /// Shorter ones take the system longer than a copy.
    const LEAST: usize = 256;

    /// If those are all that `axes`, as those of [`InOrder`], select.
    fn of(axes: &[Axis], itemsize: usize) -> Option<Self> {
        let mut bytes = itemsize;
        let mut rest = axes;
        while let Some((axis, outer)) = rest.split_last()
            && (axis.count == 1 || (axis.src, axis.dst) == (bytes as isize, bytes as isize))
        {
            bytes *= axis.count;
            rest = outer;
        }
        match rest {
            [] => Some(Self { bytes, count: 1, stride: 0 }),
            [axis] if axis.src == bytes as isize && bytes >= Self::LEAST && axis.count <= Self::MOST => {
                Some(Self { bytes, count: axis.count, stride: axis.dst })
            }
            _ => None,
        }
    }

    /// Where each begins.
    fn starts(self, memory: *mut u8) -> impl Iterator<Item = *mut u8> {
        (0..self.count as isize).map(move |i| memory.wrapping_offset(i * self.stride))
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
    // What is in the caches anyway is copied once, by the system.
    let rows = |axes: &[Axis]| Rows::of(axes, itemsize).filter(|_| !past_cache);
    let mut block = |src: isize, dst: isize, axes: &[Axis], rows: Option<Rows>, span: usize| -> Result<()> {
        let (from, to) = (first + src as u64, to.wrapping_offset(dst));
        bytes += span as u64;
        if let Some(rows) = rows
            // SAFETY: the caller's promise: rows are of selected elements.
            && unsafe { file.read_parts(from, rows.starts(to), rows.bytes) }
        {
            return Ok(());
        }
        let buffer = buffer.get(span)?;
        file.read_at(buffer, from)?;
        // SAFETY: the caller's promise; the block has all bytes that lie between its first element and its last.
        unsafe { scatter::copy_large(buffer.as_ptr(), to, axes.into(), itemsize, past_cache) };
        Ok(())
    };
    if selection.axes.is_empty() {
        return block(0, 0, &[], rows(&[]), itemsize).map(|()| bytes);
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
        let (mut result, rows) = (Ok(()), rows(&inner));
        scatter::for_each_run(&outer, |src, dst| {
            if result.is_ok() {
                result = block(src + skip * axis.src, dst + skip * axis.dst, &inner, rows, span);
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
        let mut buffer = PageBuf::default();
        let [bytes, again] = [false, true].map(|past_cache| {
            got.fill(0);
            let selection = Selection { offset, axes: axes.clone(), itemsize: 2, past_cache };
            // SAFETY: the destination has room for every selected element, and the file for the block.
            let bytes = unsafe { read(&file, 5, &selection, got.as_mut_ptr(), &mut buffer) }.unwrap();
            assert_eq!(got, expected, "{shape:?} {select:?} {dst_order:?}");
            bytes
        });
        assert_eq!(bytes, again);
        bytes
    }

    #[test]
    fn rows_lie_side_by_side_in_the_chunk_and_each_as_a_whole_in_memory() {
        let of = |axes: &[(usize, isize, isize)]| {
            let axes: Vec<Axis> = axes.iter().map(|&(count, src, dst)| Axis { count, src, dst }).collect();
            Rows::of(&axes, 2)
        };
        let rows = |bytes, count, stride| Some(Rows { bytes, count, stride });
        assert_eq!(of(&[]), rows(2, 1, 0));
        assert_eq!(of(&[(1, 999, 5), (300, 2, 2)]), rows(600, 1, 0));
        assert_eq!(of(&[(8, 600, 600), (300, 2, 2)]), rows(4800, 1, 0));
        assert_eq!(of(&[(8, 600, -1000), (300, 2, 2)]), rows(600, 8, -1000));
        assert_eq!(of(&[(2, 4800, 9000), (8, 600, 600), (300, 2, 2)]), rows(4800, 2, 9000));
        assert_eq!(of(&[(8, 602, 1000), (300, 2, 2)]), None, "what lies between would be read as well");
        assert_eq!(of(&[(300, 600, 2), (300, 2, 600)]), None, "transposed");
        assert_eq!(of(&[(2, 4800, 9000), (8, 600, 1000), (300, 2, 2)]), None);
        assert_eq!(of(&[(8, 60, 100), (30, 2, 2)]), None, "short");
        assert_eq!(of(&[(1025, 600, 1000), (300, 2, 2)]), None, "many");
    }

    #[test]
    fn what_a_file_has_not_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("chunk"), [7; 1000]).unwrap();
        let file = LocalStore::new(folder.path().into()).open("chunk").unwrap().unwrap();
        let mut memory = [0u8; 1200];
        for (from, count, there) in
            [(0, 2, true), (1, 2, false), (500, 1, true), (501, 1, false), (u64::MAX, 1, false)]
        {
            let rows = Rows { bytes: 500, count, stride: 600 };
            // SAFETY: there is room for two rows.
            let came = unsafe { file.read_parts(from, rows.starts(memory.as_mut_ptr()), rows.bytes) };
            assert_eq!(came, there, "{from} {count}");
        }
        assert!(memory[..500] == [7; 500] && memory[600..1100] == [7; 500] && memory[500..600] == [0; 100]);
        assert!(file.read_at(&mut memory[..500], 501).is_err());
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
