//! The inner chunks of a shard, decoded and placed as units of work of their own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::array::Array;
use super::budget::BytesPermit;
use super::buffers::Buffer;
use super::error::Result;
use super::job::{ObjectDone, claim};
use super::local;
use super::place::Layout;
use super::plan::{Pieces, Plan};
use super::pool::{Claim, CodecPool, Work};
use super::scratch;
use super::shard::ShardIndex;
use super::stats::Counter;
use super::strip::{self, Strip};
use crate::storage::LocalFile;

/// Some of a shard's inner chunks, and where to get them from.
pub(super) struct ShardJob {
    pub array: Arc<Array>,
    pub key: Arc<str>,
    pub source: Source,
    pub index: Arc<ShardIndex>,
    pub plan: Arc<Plan>,
    /// Which cells of the plan; `None`: all.
    pub units: Option<Vec<usize>>,
    /// So many of them are one unit of work; see [`strip`](super::strip).
    pub strip: usize,
    pub next: AtomicUsize,
    /// Keeps the read alive, and counts the shard as done when the last of its inner chunks is.
    pub done: Arc<ObjectDone>,
}

/// Where the bytes of a shard are.
pub(super) enum Source {
    File(LocalFile),
    /// The shard's bytes from `start` on, with leave to hold them.
    Memory {
        buffer: Buffer,
        start: u64,
        _permit: BytesPermit,
    },
    /// Nowhere: only for inner chunks that are missing.
    Nothing,
}

impl ShardJob {
    /// The number of inner chunks.
    fn count(&self) -> usize {
        self.units.as_ref().map_or(self.plan.count(), Vec::len)
    }

    /// Have the pool do it.
    pub fn submit(self, pool: &Arc<CodecPool>) {
        let (job, count) = (self.done.job().clone(), self.count());
        if !job.is_of_one() {
            (0..count).for_each(|i| job.ending.expect(self.plan.regions(self.unit(i))));
        }
        let units = count.div_ceil(self.strip);
        pool.submit(&job.lane, Arc::new(self), units);
    }

    fn unit(&self, i: usize) -> usize {
        self.units.as_ref().map_or(i, |units| units[i])
    }

    fn read_inner_chunk(&self, cell: &[u64], pieces: &Pieces, strip: &mut Strip<'_>) -> Result<()> {
        let job = self.done.job();
        let layout = job.layout(pieces);
        let Some(range) = self.index.range(cell)? else {
            job.placer(pieces).fill(&layout);
            return Ok(());
        };
        self.place(cell, &layout, range, strip)
            .map_err(|error| error.prefixed(format_args!("inner chunk {cell:?}: ")))
    }

    fn place(
        &self,
        cell: &[u64],
        layout: &Layout<'_>,
        range: Range<u64>,
        strip: &mut Strip<'_>,
    ) -> Result<()> {
        let placer = self.done.job().placer(layout.pieces);
        let codec = self.array.chunk_codec(cell)?;
        match &self.source {
            Source::File(file) => {
                placer.operation.count(Counter::Requests, 1);
                placer.place_from(&codec, layout, file, range, strip)
            }
            Source::Memory { buffer, start, .. } => {
                let bytes = &buffer.bytes()[(range.start - start) as usize..(range.end - start) as usize];
                scratch::with(|scratch| placer.place(&codec, layout, bytes, &mut scratch.decoded, strip))
            }
            Source::Nothing => unreachable!("every unit is a missing inner chunk"),
        }
    }
}

impl Work for ShardJob {
    fn claim(&self) -> Option<Claim> {
        let bytes = self.array.chunk_bytes().saturating_mul(self.strip as u64);
        claim(&self.next, self.count().div_ceil(self.strip), |_| self.done.job().cost(bytes))
    }

    fn holds(&self) -> u64 {
        let (options, shared) = (&self.done.job().options, !self.plan.is_of_one());
        match self.source {
            Source::File(_) => {
                local::memory(&self.array, options, shared) + strip::memory(&self.array, self.strip)
            }
            _ => 0,
        }
    }

    fn run(self: Arc<Self>, unit: usize) {
        let job = self.done.job();
        let mut strip = Strip::new(job.operation(), &self.array, self.strip);
        for unit in strip::cells(unit, self.strip, self.count()) {
            let (cell, pieces) = self.plan.cell(self.unit(unit), |region| job.strides(region));
            let _done = job.until_done(&pieces);
            job.guarded(&pieces, |pieces| {
                self.read_inner_chunk(&cell, pieces, &mut strip)
                    .map_err(|error| error.with_key(self.array.store().url(), &self.key))
            });
        }
    }
}
