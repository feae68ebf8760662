//! Buffers for what comes from the network, kept from request to request: fresh memory costs a page fault a page.

use std::sync::{Arc, Mutex};

use super::error::Result;
use super::scratch::PageBuf;

/// Buffers that wait to be used again.
pub struct BufferPool {
    idle: Mutex<Vec<PageBuf>>,
    /// The most bytes that may lie idle.
    most: u64,
}

/// A buffer with `len` bytes in use; returns to its pool when dropped.
pub struct Buffer {
    pages: PageBuf,
    len: usize,
    pool: Arc<BufferPool>,
}

impl BufferPool {
    pub fn new(most: u64) -> Self {
        Self { idle: Mutex::default(), most }
    }

    /// Give what lies idle back to the system.
    pub fn give_back(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap());
        drop(idle);
    }

    /// A buffer of `len` bytes of whatever content.
    pub fn take(self: &Arc<Self>, len: usize) -> Result<Buffer> {
        let mut pages = {
            let mut idle = self.idle.lock().unwrap();
            let fits = |pages: &PageBuf| pages.capacity() >= len && pages.capacity() / 4 <= len;
            idle.iter().position(fits).map(|i| idle.swap_remove(i)).unwrap_or_default()
        };
        pages.get(len)?;
        Ok(Buffer { pages, len, pool: self.clone() })
    }
}

impl Buffer {
    pub fn bytes(&self) -> &[u8] {
        self.pages.filled(self.len)
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.pages.get(self.len).expect("large enough already")
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock().unwrap();
        let held: u64 = idle.iter().map(|pages| pages.capacity() as u64).sum();
        if held + self.pages.capacity() as u64 <= self.pool.most {
            idle.push(std::mem::take(&mut self.pages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_up_to_a_limit() {
        let pool = Arc::new(BufferPool::new(100_000));
        let address = |buffer: &Buffer| buffer.bytes().as_ptr();
        let (first, second) = (pool.take(60_000).unwrap(), pool.take(60_000).unwrap());
        let at = address(&first);
        drop(first);
        drop(second);
        assert_eq!(pool.idle.lock().unwrap().len(), 1);
        assert_eq!(address(&pool.take(50_000).unwrap()), at);
        assert_eq!(pool.take(10).unwrap().bytes().len(), 10);
    }
}
