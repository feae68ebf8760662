//! What the library counts: per operation and per process, so that tests can assert work instead of timing it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A thing counted, as named in `include/zarrs_c.h`.
#[derive(Clone, Copy, Debug)]
pub enum Counter {
    Requests,
    Heads,
    BytesFetched,
    BytesDecoded,
    BytesPlaced,
    ChunksDecoded,
    ChunksMissing,
    Puts,
    Deletes,
    BytesWritten,
    ChunksEncoded,
}

const COUNTERS: usize = Counter::ChunksEncoded as usize + 1;

/// One number for each [`Counter`].
#[derive(Default)]
pub struct Counters([AtomicU64; COUNTERS]);

impl Counters {
    pub fn add(&self, counter: Counter, n: u64) {
        self.0[counter as usize].fetch_add(n, Relaxed);
    }

    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].load(Relaxed)
    }
}

/// A level that goes up and down, with the highest it has been.
#[derive(Default)]
pub struct Gauge {
    level: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// Raise the level until the returned guard is dropped.
    pub fn hold(&self, n: u64) -> Held<'_> {
        self.raise(n);
        Held { gauge: self, n }
    }

    pub fn raise(&self, n: u64) {
        let now = self.level.fetch_add(n, Relaxed) + n;
        self.peak.fetch_max(now, Relaxed);
    }

    pub fn lower(&self, n: u64) {
        self.level.fetch_sub(n, Relaxed);
    }

    pub fn level(&self) -> u64 {
        self.level.load(Relaxed)
    }

    pub fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }
}

/// Keeps a [`Gauge`] raised.
pub struct Held<'a> {
    gauge: &'a Gauge,
    n: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gauge.lower(self.n);
    }
}
