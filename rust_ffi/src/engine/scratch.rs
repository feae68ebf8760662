//! Buffers that a codec thread keeps from chunk to chunk. A fresh buffer costs a page fault for each of its pages,
//! which for large chunks is more than the decode itself.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::error::{Error, Result};

/// Large buffers start at a multiple of this, so that the system can back them by huge pages.
const HUGE_PAGE: usize = 2 << 20;
const CACHE_LINE: usize = 64;

/// A growable buffer whose contents do not survive growth, and whose allocation may fail without aborting.
#[derive(Default)]
pub struct PageBuf(Option<Pages>);

struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl PageBuf {
    /// `len` bytes of whatever content.
    ///
    /// # Errors
    /// [`Memory`](super::error::Status::Memory) when the allocation fails.
    pub fn get(&mut self, len: usize) -> Result<&mut [u8]> {
        if self.capacity() < len {
            self.0 = None;
            self.0 = Some(Pages::new(len)?);
        }
        match &mut self.0 {
            // SAFETY: the allocation has at least `len` bytes, initialised (zeroed), and is borrowed through `self`.
            Some(pages) => Ok(unsafe { std::slice::from_raw_parts_mut(pages.start.as_ptr(), len) }),
            None => Ok(&mut []),
        }
    }

    /// The first `len` bytes. Panics when there are fewer.
    pub fn filled(&self, len: usize) -> &[u8] {
        assert!(len <= self.capacity());
        match &self.0 {
            // SAFETY: as in `get`.
            Some(pages) => unsafe { std::slice::from_raw_parts(pages.start.as_ptr(), len) },
            None => &[],
        }
    }

    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |pages| pages.layout.size())
    }
}

impl Pages {
    fn new(len: usize) -> Result<Self> {
        let failed = || Error::memory(len, "a chunk");
        let align = if len >= HUGE_PAGE { HUGE_PAGE } else { CACHE_LINE };
        let size = len.max(4096).checked_next_multiple_of(align).ok_or_else(failed)?;
        let layout = Layout::from_size_align(size, align).map_err(|_| failed())?;
        // SAFETY: the layout's size is not 0.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(failed)?;
        KEPT.fetch_add(size, Relaxed);
        Ok(Self { start, layout })
    }
}

// SAFETY: the allocation is owned and reached only through the buffer.
unsafe impl Send for Pages {}
// SAFETY: as above; a shared buffer can only be read.
unsafe impl Sync for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.layout.size(), Relaxed);
        // SAFETY: allocated with this layout, and owned.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// `len` zeros, or an error where `vec!` would end the process.
pub fn zeroed<T: Copy + Default>(len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    let failed = |_| Error::memory(len.saturating_mul(size_of::<T>()), "a chunk");
    values.try_reserve_exact(len).map_err(failed)?;
    values.resize(len, T::default());
    Ok(values)
}

/// What one thread needs to decode a chunk.
#[derive(Default)]
pub struct Scratch {
    /// The chunk as stored.
    pub encoded: PageBuf,
    /// The elements of a chunk that is being put together to be encoded.
    pub elements: PageBuf,
    /// The outputs of bytes-to-bytes codecs, used in turn.
    pub decoded: [PageBuf; 2],
    /// Chunks that lie side by side, see [`strip`](super::strip).
    pub strip: PageBuf,
}

thread_local!(static SCRATCH: RefCell<Scratch> = RefCell::default());

/// Bytes of all the buffers that there are.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the buffers that are kept, and of those in use.
pub fn kept() -> usize {
    KEPT.load(Relaxed)
}

/// Give this thread's scratch back to the system, unless it is in use.
pub fn give_back() {
    drop(SCRATCH.with(|scratch| scratch.try_borrow_mut().map(|mut scratch| std::mem::take(&mut *scratch))));
}

/// Run `f` with this thread's scratch. Must not be nested.
pub fn with<T>(f: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with(|scratch| f(&mut scratch.borrow_mut()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_reused_while_it_is_large_enough() {
        let mut buffer = PageBuf::default();
        let first = buffer.get(5 << 20).unwrap().as_ptr();
        assert_eq!(buffer.get(1000).unwrap().as_ptr(), first);
        assert_eq!(first as usize % HUGE_PAGE, 0);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        for len in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert_eq!(PageBuf::default().get(len).unwrap_err().status, super::super::error::Status::Memory);
        }
    }
}
