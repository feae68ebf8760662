//! What threads share is built of these. They are std's; `rust_ffi/models` compiles the same files with those of a model
//! checker.

use std::time::{Duration, Instant};

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, atomic};

/// How many processors this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Ask `found` again and again, without sleeping, until it says so or the time is up; returns its last answer.
pub(crate) fn spin_until(most: Duration, mut found: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..16 {
            if found() {
                return true;
            }
            std::hint::spin_loop();
        }
        if begin.elapsed() >= most {
            return found();
        }
        // Whoever is waited for may be on this processor.
        std::thread::yield_now();
    }
}
