//! Pages for memory that nobody has touched yet: the codec threads ask for many at once before they fill them, as one
//! fault a page costs twice as much (docs/performance.md).

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::job::{RegionJob, claim};
use super::plan::Memory;
use super::pool::{Claim, Work};
use super::region::Region;

/// Memory is asked for in parts of so many bytes, and left alone where it is smaller.
pub(super) const PART: usize = 4 << 20;

/// A large part of the caller's memory, all of which will be written.
pub(super) struct Extent {
    start: Memory,
    parts: usize,
}

/// The large extents that `regions` fill without gaps.
pub(super) fn extents(regions: &[Region]) -> Vec<Extent> {
    let dense = regions.iter().filter(|region| region.strides.is_none() && region.nbytes >= PART);
    dense.map(|region| Extent { start: Memory(region.data), parts: region.nbytes / PART }).collect()
}

/// The work of making them, which holds the job, and so the memory.
pub(super) struct Pages {
    job: Arc<RegionJob>,
    extents: Vec<Extent>,
    next: AtomicUsize,
    parts: usize,
    /// The units of the job follow.
    then_job: bool,
}

impl Pages {
    /// `None` where there is nothing to make.
    pub(super) fn new(job: &Arc<RegionJob>, extents: Vec<Extent>, then_job: bool) -> Option<Arc<Self>> {
        let parts = extents.iter().map(|extent| extent.parts).sum();
        let (job, next) = (job.clone(), AtomicUsize::new(0));
        (parts > 0).then(|| Arc::new(Self { job, extents, next, parts, then_job }))
    }

    /// How many parts there are.
    pub(super) fn count(&self) -> usize {
        self.parts
    }
}

impl Work for Pages {
    fn claim(&self) -> Option<Claim> {
        let part = claim(&self.next, self.parts, |_| PART as u64);
        if !self.then_job {
            return part;
        }
        let part = part.map(|part| Claim { more: true, ..part });
        part.or_else(|| self.job.claim().map(|claim| Claim { unit: self.parts + claim.unit, ..claim }))
    }

    fn run(self: Arc<Self>, mut unit: usize) {
        if let Some(unit) = unit.checked_sub(self.parts) {
            return self.job.clone().run(unit);
        }
        if self.job.operation().is_stopped() {
            return;
        }
        for extent in &self.extents {
            if unit < extent.parts {
                // SAFETY: the part lies in the region's memory, which is valid until the completion: the job holds it.
                return unsafe { make(extent.start.0.add(unit * PART), PART) };
            }
            unit -= extent.parts;
        }
    }

    /// What the job's units hold: its parts hold nothing.
    fn holds(&self) -> u64 {
        if self.then_job { self.job.holds() } else { 0 }
    }
}

/// Have the system make the pages of these bytes, unless they are there. Changes no byte.
///
/// # Safety
/// `len` bytes must be valid at `start`.
#[cfg(target_os = "linux")]
unsafe fn make(start: *mut u8, len: usize) {
    const PAGE: usize = 4096; // or a multiple of it, in which case the system refuses and nothing is lost
    let (first, mut there) = (start.map_addr(|at| at.next_multiple_of(PAGE)), 0u8);
    let len = len - PAGE;
    // SAFETY: the pages lie within the caller's bytes; `there` has room for the answer about one.
    let known = unsafe { libc::mincore(first.add(len / 2 / PAGE * PAGE).cast(), PAGE, &raw mut there) } == 0;
    if known && there & 1 == 0 {
        // SAFETY: as above. It fails where the system is too old, or has no more memory: then pages come, or do not,
        // as they are touched.
        unsafe { libc::madvise(first.cast(), len, libc::MADV_POPULATE_WRITE) };
    }
}

/// Elsewhere pages come as they are touched.
///
/// # Safety
/// None.
#[cfg(not(target_os = "linux"))]
unsafe fn make(_start: *mut u8, _len: usize) {}
