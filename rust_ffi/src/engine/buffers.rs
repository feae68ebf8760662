//! Buffers for what comes from the network, kept from request to request: fresh memory costs a page fault a page.

use std::sync::{Arc, Mutex};

use super::error::Result;
use super::scratch::PageBuf;

/// Buffers that wait to be used again.
pub struct BufferPool {
    idle: Mutex<Idle>,
    /// The most bytes that may lie idle.
    most: u64,
}

#[derive(Default)]
struct Idle {
    buffers: Vec<PageBuf>,
    bytes: u64,
}

/// A buffer up to this is good for whatever fits.
const SMALL: usize = 16 << 10;

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
            let Idle { buffers, bytes } = &mut *self.idle.lock().unwrap();
            let fits = |pages: &PageBuf| (len..=SMALL.max(len.saturating_mul(4))).contains(&pages.capacity());
            let found = buffers.iter().position(fits).map(|i| buffers.swap_remove(i)).unwrap_or_default();
            *bytes -= found.capacity() as u64;
            found
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
        let (mut idle, bytes) = (self.pool.idle.lock().unwrap(), self.pages.capacity() as u64);
        if bytes > 0 && idle.bytes + bytes <= self.pool.most {
            idle.bytes += bytes;
            idle.buffers.push(std::mem::take(&mut self.pages));
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
        assert_eq!(pool.idle.lock().unwrap().buffers.len(), 1);
        assert_eq!(address(&pool.take(50_000).unwrap()), at);
        assert_eq!(pool.take(10).unwrap().bytes().len(), 10);
        // What is small serves for anything smaller.
        let small = address(&pool.take(10).unwrap());
        (1..4000).for_each(|len| assert_eq!(address(&pool.take(len).unwrap()), small));
        pool.give_back();
        assert_eq!(pool.idle.lock().unwrap().bytes, 0);
    }
}
