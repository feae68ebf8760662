//! The library's allocator: the system's, with large blocks kept for the next request.
//!
//! The system gives large blocks back at once, and fresh ones cost a page fault for every page that is touched: for what
//! comes from the network and for codecs' temporaries that is more than the work itself. It is private to the library:
//! the host's allocator and its settings stay as they are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: KeepLarge = KeepLarge { busy: AtomicBool::new(false), kept: UnsafeCell::new(Kept::new()) };

/// Blocks above this are kept...
const LARGE: usize = 32 << 10;
/// ...unless they are above this.
const HUGE: usize = 64 << 20;
/// The most bytes that lie kept at any time.
const MOST: usize = 64 << 20;
/// The system aligns blocks so without being asked.
const ALIGN: usize = 16;
/// Four sizes from each power of two to the next.
const SIZES: usize = 4 * (HUGE.trailing_zeros() - LARGE.trailing_zeros()) as usize;

/// Bytes that lie kept; nothing when another thread is at them.
pub fn kept() -> usize {
    ALLOCATOR.with_kept(|kept| kept.bytes).unwrap_or(0)
}

/// Give the kept blocks back to the system, unless another thread is at them.
pub fn give_back() {
    while let Some(Some((block, size))) = ALLOCATOR.with_kept(Kept::take_any) {
        // SAFETY: kept blocks were allocated with the layout of their size, and this one is ours now.
        unsafe { System.dealloc(block, size.layout()) };
    }
}

struct KeepLarge {
    /// Guards `kept`. Never waited for, so that nothing hangs in a child that was forked while it was taken.
    busy: AtomicBool,
    kept: UnsafeCell<Kept>,
}

struct Kept {
    /// A list of free blocks of each size, linked through their first word.
    heads: [*mut u8; SIZES],
    bytes: usize,
}

// SAFETY: `kept` is only touched by whoever has set `busy`.
unsafe impl Sync for KeepLarge {}

impl Kept {
    const fn new() -> Self {
        Self { heads: [ptr::null_mut(); SIZES], bytes: 0 }
    }

    fn take(&mut self, size: Size) -> Option<*mut u8> {
        let block = self.heads[size.index];
        if block.is_null() {
            return None;
        }
        // SAFETY: a kept block is ours alone and begins with the link to the next.
        self.heads[size.index] = unsafe { block.cast::<*mut u8>().read() };
        self.bytes -= size.bytes;
        Some(block)
    }

    fn take_any(&mut self) -> Option<(*mut u8, Size)> {
        let index = self.heads.iter().position(|head| !head.is_null())?;
        let size = Size::at(index);
        self.take(size).map(|block| (block, size))
    }

    fn keep(&mut self, block: *mut u8, size: Size) -> bool {
        if self.bytes + size.bytes > MOST {
            return false;
        }
        // SAFETY: the block was given back, is large enough for a pointer and aligned for one.
        unsafe { block.cast::<*mut u8>().write(self.heads[size.index]) };
        self.heads[size.index] = block;
        self.bytes += size.bytes;
        true
    }
}

/// A size that blocks are rounded up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    index: usize,
    bytes: usize,
}

impl Size {
    /// `None` for blocks that are not kept.
    fn of(layout: Layout) -> Option<Self> {
        if layout.size() <= LARGE || layout.size() > HUGE || layout.align() > ALIGN {
            return None;
        }
        let power = layout.size().next_power_of_two();
        let step = power / 8;
        let bytes = layout.size().next_multiple_of(step);
        let doubling = (power.trailing_zeros() - LARGE.trailing_zeros() - 1) as usize;
        Some(Self { index: 4 * doubling + (bytes - power / 2) / step - 1, bytes })
    }

    /// The size whose list is the `index`th.
    fn at(index: usize) -> Self {
        let half = LARGE << (index / 4);
        Self { index, bytes: half + half / 4 * (index % 4 + 1) }
    }

    fn layout(self) -> Layout {
        // SAFETY: the alignment is a power of two, and the size far from overflowing.
        unsafe { Layout::from_size_align_unchecked(self.bytes, ALIGN) }
    }
}

impl KeepLarge {
    /// `None` when another thread is at it.
    fn with_kept<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        self.busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: `busy` was free and is ours now.
        let result = f(unsafe { &mut *self.kept.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }
}

// SAFETY: every block comes from `System`, with a layout that depends on the requested one alone; a kept block is handed
// out again only for a layout of the same rounded size.
unsafe impl GlobalAlloc for KeepLarge {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(test)]
        crate::allocations::count();
        match Size::of(layout) {
            // SAFETY: the caller's promise.
            None => unsafe { System.alloc(layout) },
            Some(size) => match self.with_kept(|kept| kept.take(size)).flatten() {
                Some(block) => block,
                // SAFETY: the size is not 0.
                None => unsafe { System.alloc(size.layout()) },
            },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        #[cfg(test)]
        crate::allocations::count();
        let layout = Size::of(layout).map_or(layout, Size::layout);
        // Fresh blocks are zero without being touched.
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Size::of(layout) {
            // SAFETY: the caller's promise; such blocks were allocated with this very layout.
            None => unsafe { System.dealloc(block, layout) },
            Some(size) => {
                if self.with_kept(|kept| kept.keep(block, size)) != Some(true) {
                    // SAFETY: the caller's promise; such blocks were allocated with the rounded layout.
                    unsafe { System.dealloc(block, size.layout()) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_by_at_most_a_quarter_and_each_has_its_own_list() {
        let of = |size| Size::of(Layout::from_size_align(size, 8).unwrap());
        assert_eq!((of(LARGE), of(HUGE + 1)), (None, None));
        let mut before = None;
        for size in (LARGE + 1..=HUGE).step_by(4001).chain([HUGE]) {
            let rounded = of(size).unwrap();
            assert_eq!(Size::at(rounded.index), rounded);
            assert!(rounded.index < SIZES && rounded.bytes >= size && rounded.bytes - size <= size / 4);
            if let Some(before) = before.replace(rounded) {
                assert_eq!(before.index == rounded.index, before.bytes == rounded.bytes);
            }
        }
    }

    #[test]
    fn large_blocks_are_used_again_and_keep_their_bytes() {
        let mut blocks: Vec<Vec<u8>> = (0..50).map(|i| vec![i as u8; 40_000 + 10_000 * i]).collect();
        for round in 0..100usize {
            let i = round * 7 % blocks.len();
            blocks[i] = std::iter::repeat_n(i as u8, 40_000 + 12_345 * round).collect();
            assert!(blocks.iter().enumerate().all(|(i, block)| block.iter().all(|byte| *byte == i as u8)));
        }
    }
}
