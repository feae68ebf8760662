//! The runtime: threads, budgets and counts, for one process.
//!
//! [`Runtime`] is what handles point to; it only holds the configuration and a pointer to [`Live`], which holds whatever
//! does not survive a fork. A child makes a `Live` of its own at its first use and leaks the parent's.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::error::{Error, Result, Status};
use super::fork;
use super::pool::CodecPool;
use super::stats::{Counters, Gauge};

/// Limits that the user may set; 0 means the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeConfig {
    pub io_threads: usize,
    pub codec_threads: usize,
    pub max_requests: usize,
    pub max_bytes: u64,
}

pub const DEFAULT_MAX_REQUESTS: usize = 64;
pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
const DEFAULT_IO_THREADS: usize = 2;
const MAX_THREADS: usize = 4096;

impl RuntimeConfig {
    fn completed(self) -> Result<Self> {
        for (name, threads) in [("io_threads", self.io_threads), ("codec_threads", self.codec_threads)] {
            if threads > MAX_THREADS {
                return Err(Error::invalid(format_args!("{name} must be at most {MAX_THREADS}, not {threads}")));
            }
        }
        let or = |n: usize, default: usize| if n == 0 { default } else { n };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            io_threads: or(self.io_threads, DEFAULT_IO_THREADS),
            codec_threads: if self.codec_threads == 0 { cores().min(MAX_THREADS) } else { self.codec_threads },
            max_requests: or(self.max_requests, DEFAULT_MAX_REQUESTS),
            max_bytes: if self.max_bytes == 0 { DEFAULT_MAX_BYTES } else { self.max_bytes },
        })
    }
}

/// See the module.
pub struct Runtime {
    config: RuntimeConfig,
    /// An `Arc<Live>` turned into a pointer, or null. Replaced only when it is null or of an older generation.
    live: AtomicPtr<Live>,
    shut_down: AtomicBool,
}

impl Runtime {
    /// Make a runtime. Starts no thread.
    pub fn new(config: RuntimeConfig) -> Result<Arc<Self>> {
        fork::watch();
        let config = config.completed()?;
        Ok(Arc::new(Self { config, live: AtomicPtr::new(ptr::null_mut()), shut_down: AtomicBool::new(false) }))
    }

    pub fn config(&self) -> &RuntimeConfig {
        &self.config
    }

    /// What belongs to this process, made now if it has not been.
    pub fn live(&self) -> Arc<Live> {
        let generation = fork::generation();
        loop {
            let current = self.live.load(Ordering::Acquire);
            // SAFETY: a pointer stored here came from `Arc::into_raw`, and its count is given back only by
            // `Runtime::drop`, which has exclusive access; a stale generation's is leaked.
            if !current.is_null() && unsafe { (*current).generation } == generation {
                // SAFETY: as above, so the count is at least one now.
                unsafe { Arc::increment_strong_count(current) };
                // SAFETY: owns the count added above.
                return unsafe { Arc::from_raw(current) };
            }
            let fresh = Arc::new(Live::new(generation, self.config, self.shut_down.load(Ordering::Acquire)));
            let raw = Arc::into_raw(fresh).cast_mut();
            if self.live.compare_exchange(current, raw, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: `raw` was not published; this takes its only count back.
                drop(unsafe { Arc::from_raw(raw) });
            }
        }
    }

    /// Refuse new work, cancel what is under way, and wait for it and for the threads to end.
    ///
    /// # Errors
    /// [`Status::Timeout`] when something has not ended in time: then its buffers must stay.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.shut_down.store(true, Ordering::Release);
        self.live().shutdown(timeout)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let raw = *self.live.get_mut();
        // SAFETY: non-null pointers here own one count; a stale one belongs to another process and is leaked.
        if !raw.is_null() && unsafe { (*raw).generation } == fork::generation() {
            // SAFETY: takes back the count that the field owned.
            drop(unsafe { Arc::from_raw(raw) });
        }
    }
}

/// Threads, budgets and counts of one process. Operations keep it alive.
pub struct Live {
    generation: u64,
    config: RuntimeConfig,
    pool: Mutex<Option<Arc<CodecPool>>>,
    closing: AtomicBool,
    pub counters: Counters,
    /// Bytes held in flight, encoded and decoded.
    pub bytes: Gauge,
    /// Requests to the store in flight.
    pub requests: Gauge,
    pub operations: AtomicU64,
    pub operations_cancelled: AtomicU64,
    pub operations_failed: AtomicU64,
    pub operations_in_flight: Gauge,
    idle: Arc<Idle>,
}

/// What a shutdown waits for.
#[derive(Default)]
struct Idle {
    threads: Mutex<usize>,
    changed: Condvar,
}

impl Live {
    fn new(generation: u64, config: RuntimeConfig, closing: bool) -> Self {
        Self {
            generation,
            config,
            pool: Mutex::default(),
            closing: AtomicBool::new(closing),
            counters: Counters::default(),
            bytes: Gauge::default(),
            requests: Gauge::default(),
            operations: AtomicU64::new(0),
            operations_cancelled: AtomicU64::new(0),
            operations_failed: AtomicU64::new(0),
            operations_in_flight: Gauge::default(),
            idle: Arc::default(),
        }
    }

    /// The codec pool, started at the first call.
    pub fn pool(&self) -> Result<Arc<CodecPool>> {
        let mut pool = self.pool.lock().unwrap();
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        let started = self.start_pool()?;
        *pool = Some(started.clone());
        Ok(started)
    }

    fn start_pool(&self) -> Result<Arc<CodecPool>> {
        let size = self.config.codec_threads;
        let (starting, ending) = (self.idle.clone(), self.idle.clone());
        let on_start = move || starting.change_threads(1);
        let on_exit = move || ending.change_threads(-1);
        CodecPool::start(size, on_start, on_exit).map(Arc::new)
    }

    pub fn closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Admit an operation.
    pub(super) fn enter(&self) -> Result<()> {
        // Counted first: a shutdown that does not see this operation is seen by it.
        self.operations_in_flight.raise(1);
        if self.closing() {
            self.operations_in_flight.lower(1);
            return Err(Error::shutdown());
        }
        Ok(())
    }

    /// Count an operation as final.
    pub(super) fn leave(&self, failure: Option<Status>) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        match failure {
            None => {}
            Some(Status::Cancelled) => drop(self.operations_cancelled.fetch_add(1, Ordering::Relaxed)),
            Some(_) => drop(self.operations_failed.fetch_add(1, Ordering::Relaxed)),
        }
        self.operations_in_flight.lower(1);
        if self.closing() {
            drop(self.idle.threads.lock().unwrap());
            self.idle.changed.notify_all();
        }
    }

    fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        let deadline = Instant::now() + timeout;
        let in_flight = || usize::try_from(self.operations_in_flight.level()).unwrap_or(usize::MAX);
        self.idle.wait(deadline, "operations", |_| in_flight())?;
        // Its threads end once the last reference is gone; no operation is left that could ask for another pool.
        drop(self.pool.lock().unwrap().take());
        self.idle.wait(deadline, "threads", |threads| threads)
    }
}

impl Idle {
    fn change_threads(&self, by: isize) {
        let mut threads = self.threads.lock().unwrap();
        *threads = threads.saturating_add_signed(by);
        self.changed.notify_all();
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
