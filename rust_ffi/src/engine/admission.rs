//! Who is inside, operations and threads, and what a shutdown waits for.

use std::time::Instant;

use super::error::{Error, Result, Status};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex};

/// See the module.
pub struct Admission {
    closing: AtomicBool,
    /// Their callbacks have not returned.
    operations: AtomicUsize,
    threads: Mutex<usize>,
    /// The number of threads; while closing, also that of operations.
    changed: Condvar,
}

impl Admission {
    pub fn new(closing: bool) -> Self {
        Self {
            closing: AtomicBool::new(closing),
            operations: AtomicUsize::new(0),
            threads: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Admit no operation from now on.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// # Errors
    /// [`Status::Shutdown`] once it is closed.
    pub fn enter(&self) -> Result<()> {
        // Counted first: a shutdown that does not see this operation is seen by it.
        self.operations.fetch_add(1, Ordering::SeqCst);
        self.check_open().inspect_err(|_| self.leave())
    }

    /// Ask whether a thread may start, under the lock of what it would be part of: a shutdown that this does not see
    /// finds it there, and ends it.
    ///
    /// # Errors
    /// [`Status::Shutdown`] once it is closed.
    pub fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::SeqCst) { Err(Error::shutdown()) } else { Ok(()) }
    }

    pub fn leave(&self) {
        // In one order with `close` and the look of who waits: either this sees the one, or that sees the other.
        self.operations.fetch_sub(1, Ordering::SeqCst);
        if self.closing.load(Ordering::SeqCst) {
            drop(self.threads.lock().unwrap());
            self.changed.notify_all();
        }
    }

    pub fn change_threads(&self, by: isize) {
        let mut threads = self.threads.lock().unwrap();
        *threads = threads.saturating_add_signed(by);
        self.changed.notify_all();
    }

    /// Wait until every operation has left.
    ///
    /// # Errors
    /// [`Status::Timeout`]
    pub fn wait_operations(&self, deadline: Instant) -> Result<()> {
        self.wait(deadline, "operations", |_| self.operations.load(Ordering::SeqCst))
    }

    /// Wait until every thread has ended.
    ///
    /// # Errors
    /// [`Status::Timeout`]
    pub fn wait_threads(&self, deadline: Instant) -> Result<()> {
        self.wait(deadline, "threads", |threads| threads)
    }

    /// Wait until `left` (given the number of threads) says 0.
    fn wait(&self, deadline: Instant, what: &str, left: impl Fn(usize) -> usize) -> Result<()> {
        let mut threads = self.threads.lock().unwrap();
        loop {
            let n = left(*threads);
            if n == 0 {
                return Ok(());
            }
            let time = deadline.saturating_duration_since(Instant::now());
            if time.is_zero() {
                return Err(Error::new(Status::Timeout, format_args!("{n} {what} have not ended")));
            }
            threads = self.changed.wait_timeout(threads, time).unwrap().0;
        }
    }
}
