//! The runtime: threads, budgets and counts, for one process.
//!
//! [`Runtime`] is what handles point to; it only holds the configuration and this process's [`Live`], which holds
//! whatever does not survive a fork.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::budget::Budget;
use super::buffers::BufferPool;
use super::error::{Error, Result, Status};
use super::fork::{self, PerProcess};
use super::idle::Keeper;
use super::index_cache::IndexCache;
use super::joined::Joining;
use super::locks::KeyLocks;
use super::lookout::Glance;
use super::pool::CodecPool;
use super::stats::{Counters, Gauge};
use crate::allocator;
use crate::storage::ClientCache;
use crate::sync::processors;

/// Limits that the user may set; 0 means the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeConfig {
    pub io_threads: usize,
    pub codec_threads: usize,
    pub max_requests: usize,
    pub max_bytes: u64,
    /// Ranges of one object are fetched together when no more than this many unwanted bytes lie between them...
    pub range_gap: u64,
    /// ...and the fetch stays within this many bytes.
    pub range_cap: u64,
    /// Bytes of decoded shard indexes that are kept.
    pub index_cache_bytes: u64,
    /// Large values are put in parts of so many bytes.
    pub put_part_bytes: u64,
}

const DEFAULT_MAX_REQUESTS: usize = 64;
const DEFAULT_MAX_BYTES: u64 = 256 << 20;
const DEFAULT_RANGE_GAP: u64 = 64 << 10;
const DEFAULT_RANGE_CAP: u64 = 64 << 20;
const DEFAULT_INDEX_CACHE_BYTES: u64 = 64 << 20;
const DEFAULT_PUT_PART_BYTES: u64 = 16 << 20;
const DEFAULT_IO_THREADS: usize = 2;
const MAX_THREADS: usize = 4096;

impl RuntimeConfig {
    fn completed(self) -> Result<Self> {
        for (name, threads) in [("io_threads", self.io_threads), ("codec_threads", self.codec_threads)] {
            if threads > MAX_THREADS {
                return Err(Error::invalid(format_args!(
                    "{name} must be at most {MAX_THREADS}, not {threads}"
                )));
            }
        }
        let or = |n: usize, default: usize| if n == 0 { default } else { n };
        let or_bytes = |n: u64, default: u64| if n == 0 { default } else { n };
        Ok(Self {
            io_threads: or(self.io_threads, DEFAULT_IO_THREADS),
            codec_threads: if self.codec_threads == 0 {
                processors().min(MAX_THREADS)
            } else {
                self.codec_threads
            },
            max_requests: or(self.max_requests, DEFAULT_MAX_REQUESTS),
            max_bytes: or_bytes(self.max_bytes, DEFAULT_MAX_BYTES),
            range_gap: or_bytes(self.range_gap, DEFAULT_RANGE_GAP),
            range_cap: or_bytes(self.range_cap, DEFAULT_RANGE_CAP),
            index_cache_bytes: or_bytes(self.index_cache_bytes, DEFAULT_INDEX_CACHE_BYTES),
            put_part_bytes: or_bytes(self.put_part_bytes, DEFAULT_PUT_PART_BYTES),
        })
    }
}

/// See the module.
pub struct Runtime {
    config: RuntimeConfig,
    live: PerProcess<Live>,
    shut_down: AtomicBool,
}

impl Runtime {
    /// Make a runtime. Starts no thread.
    pub fn new(config: RuntimeConfig) -> Result<Arc<Self>> {
        fork::watch();
        allocator::configure();
        let config = config.completed()?;
        Ok(Arc::new(Self { config, live: PerProcess::default(), shut_down: AtomicBool::new(false) }))
    }

    /// What belongs to this process, made now if it has not been.
    pub fn live(&self) -> Arc<Live> {
        let make = || Ok::<_, Infallible>(Live::new(self.config, self.shut_down.load(Ordering::Acquire)));
        let Ok(live) = self.live.get_or_make(make);
        live
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

/// Threads, budgets and counts of one process. Operations keep it alive.
pub struct Live {
    config: RuntimeConfig,
    pool: Mutex<Option<Arc<CodecPool>>>,
    io: Mutex<Option<tokio::runtime::Runtime>>,
    /// Cancelled when the runtime shuts down; those of operations are its children.
    pub closing_token: CancellationToken,
    pub budget: Budget,
    pub buffers: Arc<BufferPool>,
    keeper: Arc<Keeper>,
    pub indexes: IndexCache,
    pub locks: Arc<KeyLocks>,
    pub(super) joining: Joining,
    pub clients: ClientCache,
    pub counters: Counters,
    /// Bytes held in flight, encoded and decoded.
    pub bytes: Gauge,
    /// Requests to the store in flight.
    pub requests: Gauge,
    pub operations: AtomicU64,
    pub operations_cancelled: AtomicU64,
    pub operations_failed: AtomicU64,
    pub operations_in_flight: Gauge,
    pub glance: Glance,
    admission: Arc<Admission>,
}

impl Live {
    fn new(config: RuntimeConfig, closing: bool) -> Self {
        let buffers = Arc::new(BufferPool::new(config.max_bytes / 4));
        let admission = Arc::new(Admission::new(closing));
        let threads = admission.clone();
        let keeper = Keeper::new(buffers.clone(), move |by| threads.change_threads(by));
        Self {
            config,
            keeper,
            pool: Mutex::default(),
            io: Mutex::default(),
            closing_token: CancellationToken::new(),
            budget: Budget::new(config.max_requests, config.max_bytes),
            buffers,
            indexes: IndexCache::new(config.index_cache_bytes),
            locks: Arc::default(),
            joining: Joining::default(),
            clients: ClientCache::default(),
            counters: Counters::default(),
            bytes: Gauge::default(),
            requests: Gauge::default(),
            operations: AtomicU64::new(0),
            operations_cancelled: AtomicU64::new(0),
            operations_failed: AtomicU64::new(0),
            operations_in_flight: Gauge::default(),
            glance: Glance::default(),
            admission,
        }
    }

    /// The codec pool, started at the first call.
    ///
    /// # Errors
    /// [`Status::Shutdown`] when it would start only now: what the shutdown waits for must not come back.
    pub fn pool(&self) -> Result<Arc<CodecPool>> {
        let mut pool = self.pool.lock().unwrap();
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        self.admission.check_open()?;
        let started = self.start_pool()?;
        *pool = Some(started.clone());
        Ok(started)
    }

    /// The runtime that waits for the network, started at the first call.
    ///
    /// # Errors
    /// As [`Self::pool`].
    pub fn io(&self) -> Result<tokio::runtime::Handle> {
        let mut io = self.io.lock().unwrap();
        if let Some(io) = &*io {
            return Ok(io.handle().clone());
        }
        self.admission.check_open()?;
        let (starting, ending) = (self.admission.clone(), self.admission.clone());
        let started = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.io_threads)
            .thread_name("zarrs_c-io")
            .on_thread_start(move || starting.change_threads(1))
            .on_thread_stop(move || ending.change_threads(-1))
            .enable_all()
            .build()
            .map_err(|e| Error::new(Status::Io, format_args!("cannot start the I/O threads: {e}")))?;
        let handle = started.handle().clone();
        *io = Some(started);
        Ok(handle)
    }

    pub fn config(&self) -> &RuntimeConfig {
        &self.config
    }

    fn start_pool(&self) -> Result<Arc<CodecPool>> {
        let size = self.config.codec_threads;
        let (starting, ending) = (self.admission.clone(), self.admission.clone());
        let on_start = move || starting.change_threads(1);
        let on_exit = move || ending.change_threads(-1);
        let max_bytes = self.config.max_bytes;
        CodecPool::start(size, max_bytes, self.keeper.clone(), on_start, on_exit).map(Arc::new)
    }

    pub fn closing(&self) -> bool {
        self.admission.closing()
    }

    /// Admit an operation.
    pub(super) fn enter(&self) -> Result<()> {
        self.admission.enter()?;
        self.operations_in_flight.raise(1);
        Ok(())
    }

    /// Count an operation as final: whoever learns of its completion finds it counted.
    pub(super) fn count_final(&self, failure: Option<Status>) {
        self.operations.fetch_add(1, Ordering::Relaxed);
        match failure {
            None => {}
            Some(Status::Cancelled) => _ = self.operations_cancelled.fetch_add(1, Ordering::Relaxed),
            Some(_) => _ = self.operations_failed.fetch_add(1, Ordering::Relaxed),
        }
        self.operations_in_flight.lower(1);
    }

    /// An operation is over, its callback included.
    pub(super) fn leave(&self) {
        self.admission.leave();
    }

    fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.admission.close();
        self.closing_token.cancel();
        self.keeper.close();
        let deadline = Instant::now() + timeout;
        self.admission.wait_operations(deadline)?;
        // Its threads end once the last reference is gone; no other pool starts.
        drop(self.pool.lock().unwrap().take());
        self.stop_io();
        self.admission.wait_threads(deadline)
    }
}

impl Live {
    /// End the I/O threads without waiting for them: the caller may be one.
    fn stop_io(&self) {
        if let Some(io) = self.io.lock().unwrap().take() {
            io.shutdown_background();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.keeper.close();
        self.stop_io();
    }
}
