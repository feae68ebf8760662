//! What a fork leaves behind, and how the child tells.
//!
//! A forked child has the parent's memory but only one of its threads: pools have no workers, and a lock that another
//! thread held is held for ever. So nothing that threads share is reused after a fork. Each process has a generation
//! number, raised in the child by an `atfork` handler that touches nothing but that atomic; whatever was made under an
//! older generation is left alone (leaked, never locked, never freed) and made anew at the next use.

use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Once};

use crate::sync::atomic::{AtomicPtr, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The generation of this process: how many forks lie between it and the process that loaded the library.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// Watch for forks from now on. Idempotent.
pub fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        #[cfg(unix)]
        {
            extern "C" fn in_child() {
                GENERATION.fetch_add(1, Ordering::AcqRel);
            }
            // SAFETY: `in_child` is async-signal-safe (one atomic add), the other two handlers are absent, and the
            // library is never unloaded while the handler is registered (a cdylib with threads is not dlclosed).
            let rc = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
            assert_eq!(rc, 0, "pthread_atfork failed for lack of memory");
        }
    });
}

/// A shared value that each process makes for itself. A child never touches its parent's: it may be locked for ever, or
/// be of threads and connections that are not there.
pub struct PerProcess<T> {
    /// An `Arc<Slot<T>>` turned into a pointer, or null. Replaced only when it is null or of an older generation.
    slot: AtomicPtr<Slot<T>>,
}

struct Slot<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self { slot: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl<T> PerProcess<T> {
    /// This process's value, made now if it has not been. Two threads may both make one; one of them is dropped.
    pub fn get_or_make<E>(&self, make: impl Fn() -> Result<T, E>) -> Result<Arc<T>, E> {
        let generation = generation();
        loop {
            let current = self.slot.load(Ordering::Acquire);
            // SAFETY: a pointer stored here came from `Box::into_raw` and is freed only by `drop`, which has exclusive
            // access; one that was replaced is leaked. So it is valid.
            if let Some(slot) = unsafe { current.as_ref() }
                && slot.generation == generation
            {
                return Ok(slot.value.clone());
            }
            let fresh = Box::into_raw(Box::new(Slot { generation, value: Arc::new(make()?) }));
            if self.slot.compare_exchange(current, fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: `fresh` was not published.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = *self.slot.get_mut();
        // SAFETY: as in `get_or_make`; a parent's value is leaked.
        if !slot.is_null() && unsafe { (*slot).generation } == generation() {
            // SAFETY: came from `Box::into_raw`, and nobody else can free it.
            drop(unsafe { Box::from_raw(slot) });
        }
    }
}
