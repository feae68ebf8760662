//! Strided copies and fills between a chunk and the caller's memory.
//!
//! Both sides have byte strides of any sign, so one routine serves C and Fortran order, negative steps, gaps and
//! transposed chunks, in either direction. Dimensions that are contiguous on both sides are merged first; what is left
//! is a loop over runs, each copied by `memcpy`, or over single elements by a loop for their size.

use smallvec::SmallVec;

use super::{Dims, stream};

/// One dimension of a copy: how many elements, and the distance in bytes from one to the next on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    pub count: usize,
    pub src: isize,
    pub dst: isize,
}

/// What is copied of a chunk.
#[derive(Clone)]
pub struct Selection {
    /// Where its first element lies in the chunk.
    pub offset: isize,
    pub axes: Dims<Axis>,
    pub itemsize: usize,
    /// Long runs are written past the caches, see [`stream`].
    pub past_cache: bool,
}

/// Byte strides of a C-contiguous block of `shape`.
pub fn c_strides(shape: &[u64], itemsize: usize) -> Dims<isize> {
    let mut strides = Dims::from_elem(0, shape.len());
    let mut stride = itemsize as isize;
    for (d, n) in shape.iter().enumerate().rev() {
        strides[d] = stride;
        stride = stride.wrapping_mul(*n as isize);
    }
    strides
}

/// Drop dimensions of one element, order the rest by falling destination stride, and merge those that are contiguous
/// with their neighbour on both sides. The innermost dimension comes last.
fn normalise(axes: &mut Dims<Axis>) {
    axes.retain(|axis| axis.count != 1);
    // The destination is written in address order where possible; equal strides (0) keep their order.
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.dst.unsigned_abs()));
    let mut i = axes.len();
    while i > 1 {
        i -= 1;
        let (outer, inner) = (axes[i - 1], axes[i]);
        let n = inner.count as isize;
        if outer.src == inner.src.wrapping_mul(n) && outer.dst == inner.dst.wrapping_mul(n) {
            axes[i - 1] = Axis { count: outer.count * inner.count, ..inner };
            axes.remove(i);
        }
    }
}

/// Call `run(src_offset, dst_offset)` for each combination of the outer dimensions.
pub(super) fn for_each_run(outer: &[Axis], mut run: impl FnMut(isize, isize)) {
    // The last one is a plain loop: most of the calls are made there.
    let Some((last, rest)) = outer.split_last() else { return run(0, 0) };
    let mut index: SmallVec<[usize; 8]> = SmallVec::from_elem(0, rest.len());
    let (mut src, mut dst) = (0isize, 0isize);
    loop {
        let (mut s, mut d) = (src, dst);
        for _ in 0..last.count {
            run(s, d);
            s += last.src;
            d += last.dst;
        }
        let mut n = rest.len();
        loop {
            if n == 0 {
                return;
            }
            n -= 1;
            let axis = rest[n];
            index[n] += 1;
            src += axis.src;
            dst += axis.dst;
            if index[n] < axis.count {
                break;
            }
            index[n] = 0;
            src -= axis.src * axis.count as isize;
            dst -= axis.dst * axis.count as isize;
        }
    }
}

/// Copy elements of `itemsize` bytes from `src` to `dst`. An axis with `count` 0 makes it a no-op.
///
/// # Safety
/// As for [`copy_large`].
pub unsafe fn copy(src: *const u8, dst: *mut u8, axes: Dims<Axis>, itemsize: usize) {
    // SAFETY: the caller's promise.
    unsafe { copy_large(src, dst, axes, itemsize, false) };
}

/// As [`copy`]. `past_cache`: the copy is part of one that is larger than the caches, so that long runs are written past
/// them, see [`stream`].
///
/// # Safety
/// For every index vector within the counts, the element at `src + sum(index * axis.src)` must be readable and the one
/// at `dst + sum(index * axis.dst)` writable, no two destination elements may overlap, and source and destination
/// must not overlap.
pub unsafe fn copy_large(
    src: *const u8,
    dst: *mut u8,
    mut axes: Dims<Axis>,
    itemsize: usize,
    past_cache: bool,
) {
    if axes.iter().any(|axis| axis.count == 0) {
        return;
    }
    normalise(&mut axes);
    let size = itemsize as isize;
    let run_bytes = match axes.last() {
        Some(inner) if inner.src == size && inner.dst == size => {
            let bytes = inner.count * itemsize;
            axes.pop();
            bytes
        }
        Some(_) => 0,
        None => itemsize,
    };
    // What lies side by side is written as one, wherever it comes from.
    let side_by_side = axes.last().filter(|axis| axis.dst == run_bytes as isize).map_or(1, |axis| axis.count);
    if run_bytes > 0 && run_bytes * side_by_side >= stream::LEAST && past_cache {
        // SAFETY: the caller's promise, for runs of elements that are contiguous on both sides.
        for_each_run(&axes, |s, d| unsafe { stream::run(src.offset(s), dst.offset(d), run_bytes) });
        stream::finish();
        return;
    }
    if run_bytes > 0 {
        // SAFETY: the caller's promise, for runs of elements that are contiguous on both sides.
        unsafe {
            match run_bytes {
                // The rows of small inner chunks: a call of `memcpy` costs as much as the copy itself.
                16 => copy_runs::<16>(src, dst, &axes),
                32 => copy_runs::<32>(src, dst, &axes),
                64 => copy_runs::<64>(src, dst, &axes),
                128 => copy_runs::<128>(src, dst, &axes),
                _ => for_each_run(&axes, |s, d| {
                    dst.offset(d).copy_from_nonoverlapping(src.offset(s), run_bytes)
                }),
            }
        }
        return;
    }
    let inner = axes.pop().expect("a run exists otherwise");
    // SAFETY: the caller's promise, for each element.
    for_each_run(&axes, |s, d| unsafe { copy_elements(src.offset(s), dst.offset(d), inner, itemsize) });
}

/// Copy runs of `N` bytes.
///
/// # Safety
/// As for [`copy`], with elements of `N` bytes.
unsafe fn copy_runs<const N: usize>(src: *const u8, dst: *mut u8, axes: &[Axis]) {
    for_each_run(axes, |s, d| {
        // SAFETY: the caller's promise; unaligned accesses ask for no alignment, and bytes have no invalid values.
        unsafe {
            dst.offset(d).cast::<[u8; N]>().write_unaligned(src.offset(s).cast::<[u8; N]>().read_unaligned())
        }
    });
}

/// Copy one dimension element by element.
///
/// # Safety
/// As for [`copy`], with the one axis.
unsafe fn copy_elements(src: *const u8, dst: *mut u8, axis: Axis, itemsize: usize) {
    /// # Safety
    /// As for [`copy`], with the one axis and elements of `size_of::<T>()` bytes; `T` has no invalid values.
    unsafe fn typed<T: Copy>(src: *const u8, dst: *mut u8, axis: Axis) {
        let (mut s, mut d) = (src, dst);
        for _ in 0..axis.count {
            // SAFETY: the caller's promise; unaligned accesses ask for no alignment.
            unsafe { d.cast::<T>().write_unaligned(s.cast::<T>().read_unaligned()) };
            s = s.wrapping_offset(axis.src);
            d = d.wrapping_offset(axis.dst);
        }
    }
    // SAFETY: integers have no invalid values and `itemsize` is the size of each type named.
    unsafe {
        match itemsize {
            1 => typed::<u8>(src, dst, axis),
            2 => typed::<u16>(src, dst, axis),
            4 => typed::<u32>(src, dst, axis),
            8 => typed::<u64>(src, dst, axis),
            16 => typed::<u128>(src, dst, axis),
            _ => {
                for i in 0..axis.count as isize {
                    let (s, d) = (src.offset(i * axis.src), dst.offset(i * axis.dst));
                    d.copy_from_nonoverlapping(s, itemsize);
                }
            }
        }
    }
}

/// Fill elements with `value`.
///
/// # Safety
/// As for [`copy`], for the destination; `axis.src` is ignored.
pub unsafe fn fill(dst: *mut u8, mut axes: Dims<Axis>, value: &[u8]) {
    if axes.iter().any(|axis| axis.count == 0) {
        return;
    }
    axes.iter_mut().for_each(|axis| axis.src = axis.dst);
    normalise(&mut axes);
    let inner = axes.pop().unwrap_or(Axis { count: 1, src: 0, dst: value.len() as isize });
    let contiguous = inner.dst == value.len() as isize;
    let byte = value.first().copied().filter(|first| value.iter().all(|b| b == first));
    for_each_run(&axes, |_, d| {
        let run = dst.wrapping_offset(d);
        match (contiguous, byte) {
            // SAFETY: the caller's promise: the run is `count` writable elements without gaps.
            (true, Some(byte)) => unsafe { run.write_bytes(byte, inner.count * value.len()) },
            // SAFETY: the caller's promise; a source stride of 0 reads `value` each time.
            _ => unsafe { copy_elements(value.as_ptr(), run, Axis { src: 0, ..inner }, value.len()) },
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Copy a block between two layouts and compare with an element-by-element walk.
    fn check(shape: &[usize], src_strides: &[isize], dst_strides: &[isize], itemsize: usize) {
        const MIDDLE: isize = 4096;
        let source: Vec<u8> = (0..2 * MIDDLE).map(|i| (i * 7 % 251) as u8).collect();
        let (mut copied, mut expected) = (vec![0u8; 2 * MIDDLE as usize], vec![0u8; 2 * MIDDLE as usize]);
        let axes: Dims<Axis> = (0..shape.len())
            .map(|d| Axis { count: shape[d], src: src_strides[d], dst: dst_strides[d] })
            .collect();
        for_each_run(&axes, |s, d| {
            let (s, d) = ((MIDDLE + s) as usize, (MIDDLE + d) as usize);
            expected[d..d + itemsize].copy_from_slice(&source[s..s + itemsize]);
        });
        // SAFETY: all offsets stay within 4096 bytes of the middle for the shapes below.
        let (from, to) = unsafe { (source.as_ptr().offset(MIDDLE), copied.as_mut_ptr().offset(MIDDLE)) };
        for past_cache in [false, true] {
            // SAFETY: as above.
            unsafe { copy_large(from, to, axes.clone(), itemsize, past_cache) };
            assert_eq!(
                copied, expected,
                "{shape:?} {src_strides:?} {dst_strides:?} x{itemsize} {past_cache}"
            );
            copied.fill(0);
        }
    }

    #[test]
    fn copies_agree_with_a_walk_for_every_layout() {
        for itemsize in [1usize, 2, 3, 4, 8, 12, 16] {
            let n = itemsize as isize;
            let shape = [3, 4, 5];
            let c = [20 * n, 5 * n, n];
            let layouts =
                [c, [n, 3 * n, 12 * n], [-20 * n, 5 * n, -n], [60 * n, 15 * n, 3 * n], [5 * n, 15 * n, n]];
            for src in &layouts {
                for dst in &layouts {
                    check(&shape, src, dst, itemsize);
                }
            }
            for row in [16, 32, 64, 128, 200, 331] {
                check(&[3, 2, row / itemsize], &[400, 200, n], &[-350, 1100, n], itemsize);
            }
            check(&[], &[], &[], itemsize);
            check(&[1, 7], &[999, n], &[-999, n], itemsize);
            check(&[6], &[0], &[n], itemsize);
        }
    }

    #[test]
    fn fills_write_the_elements_and_nothing_else() {
        for value in [&[7u8; 4][..], &[1, 2, 3, 4], &[9, 8, 7]] {
            let n = value.len() as isize;
            let mut buffer = vec![0u8; 12 * value.len()];
            let axes =
                Dims::from_slice(&[Axis { count: 3, src: 0, dst: 4 * n }, Axis { count: 2, src: 0, dst: n }]);
            // SAFETY: 3 rows of 4 elements, of which 2 are written.
            unsafe { fill(buffer.as_mut_ptr(), axes, value) };
            for (i, element) in buffer.chunks(value.len()).enumerate() {
                let expected = if i % 4 < 2 { value.to_vec() } else { vec![0; value.len()] };
                assert_eq!(element, expected);
            }
        }
    }
}
