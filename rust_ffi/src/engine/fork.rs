//! What a fork leaves behind, and how the child tells.
//!
//! A forked child has the parent's memory but only one of its threads: pools have no workers, and a lock that another
//! thread held is held for ever. So nothing that threads share is reused after a fork. Each process has a generation
//! number, raised in the child by an `atfork` handler that touches nothing but that atomic; whatever was made under an
//! older generation is left alone (leaked, never locked, never freed) and made anew at the next use.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

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
