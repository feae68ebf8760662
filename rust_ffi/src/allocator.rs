//! The library's allocator: the system's, with two kinds of blocks kept for the next request.
//!
//! The system gives **large** blocks back at once, and fresh ones cost a page fault for every page that is touched: for what
//! comes from the network and for codecs' temporaries that is more than the work itself.
//!
//! Of a **small** read, a few blocks of some hundred bytes are asked for by the thread that submits and given back by the
//! one that decodes. The C library takes the lock of the former's memory for both, and sleeps when another has it: on a
//! virtual machine that takes several times as long as the read.
//!
//! It is private to the library: the host's allocator and its settings stay as they are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

#[global_allocator]
static ALLOCATOR: Keep = Keep { small: Shelf::new(SMALL, 256 << 10), large: Shelf::new(LARGE, 64 << 20) };

const SMALL: Sizes = Sizes { above: 128, most: 1 << 10 };
const LARGE: Sizes = Sizes { above: 32 << 10, most: 64 << 20 };

/// The system aligns blocks so without being asked.
const ALIGN: usize = 16;
/// Four sizes from each power of two to the next; the small ones are fewer.
const LISTS: usize = 4 * (LARGE.most.trailing_zeros() - LARGE.above.trailing_zeros()) as usize;

/// For valgrind and sanitizers, which do not notice when a kept block is used.
const SWITCH: &str = "ZARRS_C_SYSTEM_ALLOCATOR";
static OFF: AtomicBool = AtomicBool::new(false);

/// Keep no blocks if the environment says so. Those that are kept already are handed out or given back as ever.
pub fn configure() {
    OFF.store(std::env::var_os(SWITCH).is_some_and(|value| value != "0"), Ordering::Relaxed);
}

/// Bytes that lie kept, but for those that another thread is at.
pub fn kept() -> usize {
    ALLOCATOR.shelves().into_iter().filter_map(|shelf| shelf.with_kept(|kept| kept.bytes)).sum()
}

/// Give the kept blocks back to the system, unless another thread is at them.
pub fn give_back() {
    ALLOCATOR.shelves().into_iter().for_each(Shelf::give_back);
}

struct Keep {
    small: Shelf,
    large: Shelf,
}

/// Where blocks lie kept.
struct Shelf {
    sizes: Sizes,
    /// The most bytes at any time.
    most: usize,
    /// Guards `kept`. Never waited for, so that nothing hangs in a child that was forked while it was taken.
    busy: AtomicBool,
    kept: UnsafeCell<Kept>,
}

struct Kept {
    /// A list of free blocks of each size, linked through their first word.
    heads: [*mut u8; LISTS],
    bytes: usize,
}

// SAFETY: `kept` is only touched by whoever has set `busy`.
unsafe impl Sync for Shelf {}

impl Kept {
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

    fn keep(&mut self, block: *mut u8, size: Size) {
        // SAFETY: the block was given back, is large enough for a pointer and aligned for one.
        unsafe { block.cast::<*mut u8>().write(self.heads[size.index]) };
        self.heads[size.index] = block;
        self.bytes += size.bytes;
    }
}

impl Shelf {
    const fn new(sizes: Sizes, most: usize) -> Self {
        let kept = Kept { heads: [ptr::null_mut(); LISTS], bytes: 0 };
        Self { sizes, most, busy: AtomicBool::new(false), kept: UnsafeCell::new(kept) }
    }

    /// `None` when another thread is at it.
    fn with_kept<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        // Who looks first does not take the line from whoever is at it.
        if self.busy.load(Ordering::Relaxed) || self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        // SAFETY: `busy` was free and is ours now.
        let result = f(unsafe { &mut *self.kept.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }

    fn take(&self, size: Size) -> Option<*mut u8> {
        self.with_kept(|kept| kept.take(size)).flatten()
    }

    /// False when there is no room, or another thread is at it: the block stays the caller's.
    fn keep(&self, block: *mut u8, size: Size) -> bool {
        let keep = |kept: &mut Kept| {
            let has_room = kept.bytes + size.bytes <= self.most;
            if has_room {
                kept.keep(block, size);
            }
            has_room
        };
        !OFF.load(Ordering::Relaxed) && self.with_kept(keep) == Some(true)
    }

    fn give_back(&self) {
        let take_any = |kept: &mut Kept| {
            let index = kept.heads.iter().position(|head| !head.is_null())?;
            let size = self.sizes.at(index);
            kept.take(size).map(|block| (block, size))
        };
        while let Some(Some((block, size))) = self.with_kept(take_any) {
            // SAFETY: kept blocks were allocated with the layout of their size, and this one is ours now.
            unsafe { System.dealloc(block, size.layout()) };
        }
    }
}

/// Sizes that blocks are rounded up to: above a power of two, and at most another.
struct Sizes {
    above: usize,
    most: usize,
}

impl Sizes {
    /// `None` for others.
    fn of(&self, layout: Layout) -> Option<Size> {
        if layout.size() <= self.above || layout.size() > self.most || layout.align() > ALIGN {
            return None;
        }
        let power = layout.size().next_power_of_two();
        let step = power / 8;
        let bytes = layout.size().next_multiple_of(step);
        let doubling = (power.trailing_zeros() - self.above.trailing_zeros() - 1) as usize;
        Some(Size { index: 4 * doubling + (bytes - power / 2) / step - 1, bytes })
    }

    /// The size whose list is the `index`th.
    fn at(&self, index: usize) -> Size {
        let half = self.above << (index / 4);
        Size { index, bytes: half + half / 4 * (index % 4 + 1) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    index: usize,
    bytes: usize,
}

impl Size {
    fn layout(self) -> Layout {
        // SAFETY: the alignment is a power of two, and the size far from overflowing.
        unsafe { Layout::from_size_align_unchecked(self.bytes, ALIGN) }
    }
}

impl Keep {
    fn shelves(&self) -> [&Shelf; 2] {
        [&self.small, &self.large]
    }

    /// Where a block lies once it is given back, and the size that it has; `None` when it is not kept.
    fn place(&self, layout: Layout) -> Option<(&Shelf, Size)> {
        let shelf = if layout.size() <= self.small.sizes.most { &self.small } else { &self.large };
        shelf.sizes.of(layout).map(|size| (shelf, size))
    }
}

// SAFETY: every block comes from `System`, with a layout that depends on the requested one alone; a kept block is handed
// out again only for a layout of the same rounded size.
unsafe impl GlobalAlloc for Keep {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        #[cfg(test)]
        crate::allocations::count();
        let Some((shelf, size)) = self.place(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        shelf.take(size).unwrap_or_else(|| {
            #[cfg(test)]
            crate::allocations::count_missed();
            // SAFETY: the size is not 0.
            unsafe { System.alloc(size.layout()) }
        })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        #[cfg(test)]
        crate::allocations::count();
        let layout = self.place(layout).map_or(layout, |(_, size)| size.layout());
        // Fresh blocks are zero without being touched.
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (layout, is_kept) = match self.place(layout) {
            None => (layout, false),
            Some((shelf, size)) => (size.layout(), shelf.keep(block, size)),
        };
        if !is_kept {
            // SAFETY: the caller's promise; the block was allocated with this very layout.
            unsafe { System.dealloc(block, layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_by_at_most_a_quarter_and_each_has_its_own_list() {
        for shelf in ALLOCATOR.shelves() {
            let Sizes { above, most } = shelf.sizes;
            let of = |size| shelf.sizes.of(Layout::from_size_align(size, 8).unwrap());
            assert_eq!((of(above), of(most + 1)), (None, None));
            let mut before = None;
            for size in (above + 1..=most).step_by(above / 8 + 1).chain([most]) {
                let rounded = of(size).unwrap();
                assert_eq!(shelf.sizes.at(rounded.index), rounded);
                assert!(rounded.index < LISTS && rounded.bytes >= size && rounded.bytes - size <= size / 4);
                if let Some(before) = before.replace(rounded) {
                    assert_eq!(before.index == rounded.index, before.bytes == rounded.bytes);
                }
            }
        }
    }

    #[test]
    fn blocks_are_used_again_and_keep_their_bytes() {
        let len = |i: usize, round: usize| [100 + 5 * round, 40_000 + 12_345 * round][i % 2];
        let mut blocks: Vec<Vec<u8>> = (0..50).map(|i| vec![i as u8; len(i, i)]).collect();
        for round in 0..200 {
            let i = round * 7 % blocks.len();
            blocks[i] = std::iter::repeat_n(i as u8, len(i, round)).collect();
            assert!(blocks.iter().enumerate().all(|(i, block)| block.iter().all(|byte| *byte == i as u8)));
        }
    }
}
