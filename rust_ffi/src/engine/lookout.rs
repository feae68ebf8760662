//! Who has to wait looks out for a moment before it sleeps: to wake a thread takes longer than a small read, most of all
//! on a virtual machine, where an idle processor has to be woken first.

use std::time::Duration;

use crate::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use crate::sync::{processors, spin_until};

/// About what waking a thread costs: so whoever looks out in vain has at most doubled that.
const MOMENT: Duration = Duration::from_micros(50);

/// Where there is one processor, looking out would only keep it from whoever is waited for.
fn moment() -> Duration {
    if processors() > 1 { MOMENT } else { Duration::ZERO }
}

const NOBODY: u8 = 0;
const WATCHING: u8 = 1;
const CALLED: u8 = 2;

/// Where a worker that has run out of work looks out for more, one at a time.
pub struct Lookout {
    state: AtomicU8,
    moment: Duration,
}

impl Default for Lookout {
    fn default() -> Self {
        Self { state: AtomicU8::new(NOBODY), moment: moment() }
    }
}

impl Lookout {
    /// Look out. True when called, after which somebody counts on this worker; false when another looks out already, or
    /// nobody called.
    pub fn watch(&self) -> bool {
        if self.moment.is_zero() || !self.change(NOBODY, WATCHING) {
            return false;
        }
        spin_until(self.moment, || self.state.load(Ordering::Acquire) == CALLED);
        // A call that came after the last look is found here.
        if self.change(WATCHING, NOBODY) {
            return false;
        }
        self.state.store(NOBODY, Ordering::Release);
        true
    }

    /// Call the worker that looks out. False when there is none.
    pub fn call(&self) -> bool {
        // Most calls find nobody: a load does not take the line from other processors.
        self.state.load(Ordering::Relaxed) == WATCHING && self.change(WATCHING, CALLED)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// For those that wait for an operation: one of them looks out, the others sleep at once, so that they leave the
/// processors to whoever works.
pub struct Glance {
    taken: AtomicBool,
    moment: Duration,
}

impl Default for Glance {
    fn default() -> Self {
        Self { taken: AtomicBool::new(false), moment: moment() }
    }
}

impl Glance {
    /// Look for a moment whether `found`, unless another looks for something.
    pub fn look(&self, found: impl FnMut() -> bool) {
        if !self.moment.is_zero() && !self.taken.swap(true, Ordering::Relaxed) {
            spin_until(self.moment, found);
            self.taken.store(false, Ordering::Relaxed);
        }
    }
}
