//! The codec pool: rayon's threads under a fair queue of our own.
//!
//! Each operation has a [`Lane`]. A worker takes one unit from the lane at the head of the queue and sends that lane to
//! the back, so that a small read submitted during a huge one waits for one unit of it, not for all. Within a lane the
//! newest work goes first: the inner chunks of a shard already open come before the next shard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::error::{Error, Result, Status};

/// Work that consists of units, each claimed by one worker.
pub trait Work: Send + Sync {
    /// Claim the next unit. `None` when all are claimed.
    fn claim(&self) -> Option<Claim>;

    /// Run a claimed unit. Called without any lock; must contain its own panics.
    fn run(self: Arc<Self>, unit: usize);
}

/// A unit, and whether there are more after it.
pub struct Claim {
    pub unit: usize,
    pub more: bool,
}

/// The work of one operation that is waiting for workers.
#[derive(Default)]
pub struct Lane(Mutex<LaneState>);

#[derive(Default)]
struct LaneState {
    stack: Vec<Arc<dyn Work>>,
    queued: bool,
}

struct Queue {
    lanes: VecDeque<Arc<Lane>>,
    workers: usize,
}

/// See the module.
pub struct CodecPool {
    threads: rayon_core::ThreadPool,
    size: usize,
    queue: Mutex<Queue>,
}

impl CodecPool {
    /// Start the threads. Each calls `on_start` as it begins and `on_exit` as it ends.
    ///
    /// # Errors
    /// [`Status::Io`] when the system gives no more threads.
    pub fn start(
        size: usize,
        on_start: impl Fn() + Send + Sync + 'static,
        on_exit: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self> {
        let threads = rayon_core::ThreadPoolBuilder::new()
            .num_threads(size)
            .thread_name(|i| format!("zarrs_c-codec-{i}"))
            .start_handler(move |_| on_start())
            .exit_handler(move |_| on_exit())
            // Units contain their panics; without a handler one that slipped through would abort the process.
            .panic_handler(|_| {})
            .build()
            .map_err(|e| {
                Error::new(
                    Status::Io,
                    format_args!("cannot start {size} codec threads: {e}"),
                )
            })?;
        Ok(Self {
            threads,
            size,
            queue: Mutex::new(Queue {
                lanes: VecDeque::new(),
                workers: 0,
            }),
        })
    }

    /// Queue `work`, of at most `units` units, on `lane`.
    pub fn submit(self: &Arc<Self>, lane: &Arc<Lane>, work: Arc<dyn Work>, units: usize) {
        let wanted = {
            let mut queue = self.queue.lock().unwrap();
            let mut state = lane.0.lock().unwrap();
            state.stack.push(work);
            if !state.queued {
                state.queued = true;
                queue.lanes.push_back(lane.clone());
            }
            let wanted = units.min(self.size - queue.workers);
            queue.workers += wanted;
            wanted
        };
        for _ in 0..wanted {
            let pool = self.clone();
            self.threads.spawn(move || pool.work());
        }
    }

    /// Run `job` on a worker and wait for it; on a worker, run it right away. For code that asks rayon how many
    /// threads there are, which anywhere else would start rayon's global pool.
    ///
    /// # Errors
    /// [`Status::Panic`] when the job panicked.
    pub fn run<T: Send + 'static>(
        self: &Arc<Self>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if self.threads.current_thread_index().is_some() {
            return Ok(job());
        }
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let job =
            move || drop(send.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))));
        self.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        let outcome = receive
            .recv()
            .map_err(|_| Error::new(Status::Panic, "a job was lost"))?;
        outcome.map_err(|payload| Error::from_panic(payload.as_ref()))
    }

    /// A worker's life: units, until none is left.
    fn work(&self) {
        while let Some((work, unit)) = self.next() {
            work.run(unit);
        }
    }

    fn next(&self) -> Option<(Arc<dyn Work>, usize)> {
        let mut queue = self.queue.lock().unwrap();
        while let Some(lane) = queue.lanes.pop_front() {
            let mut state = lane.0.lock().unwrap();
            while let Some(work) = state.stack.pop() {
                let Some(claim) = work.claim() else { continue };
                if claim.more {
                    state.stack.push(work.clone());
                }
                state.queued = !state.stack.is_empty();
                if state.queued {
                    drop(state);
                    queue.lanes.push_back(lane);
                }
                return Some((work, claim.unit));
            }
            state.queued = false;
        }
        // Under the lock that `submit` takes: work queued after this sees one worker fewer and starts another.
        queue.workers -= 1;
        None
    }
}

/// Work of one unit.
pub struct Once(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Once {
    pub fn new(job: impl FnOnce() + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(job))))
    }
}

impl Work for Once {
    fn claim(&self) -> Option<Claim> {
        Some(Claim {
            unit: 0,
            more: false,
        })
    }

    fn run(self: Arc<Self>, _unit: usize) {
        let job = self.0.lock().unwrap().take();
        if let Some(job) = job {
            job();
        }
    }
}
