//! The codec pool: rayon's threads under a fair queue of our own.
//!
//! Each operation has a [`Lane`], and lanes take turns by bytes: the lane at the head of the queue is served until it
//! has had [`QUANTUM`], then goes to the back (deficit round robin). So a small read submitted during a huge one waits
//! for one turn of it, not for all, and many small chunks pass large ones. Within a lane the newest work goes first: the
//! inner chunks of a shard already open come before the next shard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::error::{Error, Result, Status};
use super::idle::Keeper;
use super::lookout::Lookout;

/// Bytes of decoded chunks that a lane is served in one turn.
const QUANTUM: i64 = 1 << 20;

/// What any unit costs at the least, in the same currency.
const LEAST_COST: u64 = 4 << 10;

/// Work that consists of units, each claimed by one worker.
pub trait Work: Send + Sync {
    /// Claim the next unit. `None` when all are claimed.
    fn claim(&self) -> Option<Claim>;

    /// Run a claimed unit. Called without any lock; must contain its own panics.
    fn run(self: Arc<Self>, unit: usize);
}

/// A unit, whether there are more after it, and about how many bytes it decodes.
pub struct Claim {
    pub unit: usize,
    pub more: bool,
    pub bytes: u64,
}

/// The work of one operation that is waiting for workers.
#[derive(Default)]
pub struct Lane(Mutex<LaneState>);

#[derive(Default)]
struct LaneState {
    stack: Vec<Arc<dyn Work>>,
    queued: bool,
    /// What is left of this turn; less than nothing when the last unit was larger than that.
    credit: i64,
}

impl LaneState {
    /// Claim a unit of the newest work that has one.
    fn claim(&mut self) -> Option<(Arc<dyn Work>, usize)> {
        while let Some(work) = self.stack.pop() {
            let Some(claim) = work.claim() else { continue };
            if claim.more {
                self.stack.push(work.clone());
            }
            // A debt is paid by waiting turns; none is so large that it takes more than some.
            let cost = i64::try_from(claim.bytes.max(LEAST_COST)).unwrap_or(i64::MAX).min(64 * QUANTUM);
            self.credit -= cost;
            return Some((work, claim.unit));
        }
        None
    }
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
    lookout: Lookout,
    keeper: Arc<Keeper>,
}

impl CodecPool {
    /// Start the threads. Each calls `on_start` as it begins and `on_exit` as it ends.
    ///
    /// # Errors
    /// [`Status::Io`] when the system gives no more threads.
    pub fn start(
        size: usize,
        keeper: Arc<Keeper>,
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
            .map_err(|e| Error::new(Status::Io, format_args!("cannot start {size} codec threads: {e}")))?;
        let queue = Mutex::new(Queue { lanes: VecDeque::new(), workers: 0 });
        Ok(Self { threads, size, queue, lookout: Lookout::default(), keeper })
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
        let awake = usize::from(wanted > 0 && self.lookout.call());
        for _ in awake..wanted {
            let pool = self.clone();
            self.threads.spawn(move || pool.work());
        }
    }

    /// Run a task on the workers, each of its steps a job of `lane` that is as dear as decoding `bytes`. A task must
    /// contain its own panics.
    pub fn spawn(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        bytes: u64,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (pool, lane) = (Arc::downgrade(self), lane.clone());
        let schedule = move |step: async_task::Runnable| {
            // Without a pool there is nobody to go on: the task is dropped, as it is when its operation is cancelled.
            if let Some(pool) = pool.upgrade() {
                pool.submit(&lane, Arc::new(Once::decoding(bytes, move || _ = step.run())), 1);
            }
        };
        let (step, task) = async_task::spawn(task, schedule);
        step.schedule();
        task.detach();
    }

    /// Run `job` on a worker and wait for it; on a worker, run it right away. For code that asks rayon how many
    /// threads there are, which anywhere else would start rayon's global pool.
    ///
    /// # Errors
    /// [`Status::Panic`] when the job panicked.
    pub fn run<T: Send + 'static>(self: &Arc<Self>, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if self.threads.current_thread_index().is_some() {
            return Ok(job());
        }
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let job = move || drop(send.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(job))));
        self.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        let outcome = receive.recv().map_err(|_| Error::new(Status::Panic, "a job was lost"))?;
        outcome.map_err(|payload| Error::from_panic(payload.as_ref()))
    }

    /// A worker's life: units, until none is left and none comes soon.
    fn work(self: &Arc<Self>) {
        loop {
            while let Some((work, unit)) = self.next() {
                work.run(unit);
            }
            if !self.lookout.watch() {
                break;
            }
        }
        self.keeper.rest(self);
    }

    /// Whether no worker has anything to do.
    pub fn is_idle(&self) -> bool {
        self.queue.lock().unwrap().workers == 0
    }

    /// Have every thread call `f`, each when it has nothing better to do.
    pub fn on_each_thread(&self, f: fn()) {
        self.threads.spawn_broadcast(move |_| f());
    }

    fn next(&self) -> Option<(Arc<dyn Work>, usize)> {
        let mut queue = self.queue.lock().unwrap();
        while let Some(lane) = queue.lanes.front().cloned() {
            let mut state = lane.0.lock().unwrap();
            if state.credit <= 0 {
                state.credit += QUANTUM;
                queue.lanes.rotate_left(1);
                continue;
            }
            let claimed = state.claim();
            if state.stack.is_empty() {
                state.queued = false;
                queue.lanes.pop_front();
            }
            if claimed.is_some() {
                return claimed;
            }
        }
        // Under the lock that `submit` takes: work queued after this sees one worker fewer and starts another.
        queue.workers -= 1;
        None
    }
}

/// Work of one unit.
pub struct Once {
    job: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    bytes: u64,
}

impl Once {
    pub fn new(job: impl FnOnce() + Send + 'static) -> Self {
        Self::decoding(0, job)
    }

    /// A job that decodes about so many bytes.
    pub fn decoding(bytes: u64, job: impl FnOnce() + Send + 'static) -> Self {
        Self { job: Mutex::new(Some(Box::new(job))), bytes }
    }
}

impl Work for Once {
    fn claim(&self) -> Option<Claim> {
        Some(Claim { unit: 0, more: false, bytes: self.bytes })
    }

    fn run(self: Arc<Self>, _unit: usize) {
        let job = self.job.lock().unwrap().take();
        if let Some(job) = job {
            job();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::BufferPool;
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Sender, channel};

    /// Units that report who ran.
    struct Units {
        name: &'static str,
        bytes: u64,
        next: AtomicUsize,
        count: usize,
        ran: Sender<&'static str>,
    }

    impl Work for Units {
        fn claim(&self) -> Option<Claim> {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            (unit < self.count).then_some(Claim { unit, more: unit + 1 < self.count, bytes: self.bytes })
        }

        fn run(self: Arc<Self>, _unit: usize) {
            self.ran.send(self.name).unwrap();
        }
    }

    #[test]
    fn many_small_units_pass_large_ones() {
        let keeper = Keeper::new(Arc::new(BufferPool::new(0)), |_| {});
        let pool = Arc::new(CodecPool::start(1, keeper, || {}, || {}).unwrap());
        let (ran, order) = channel();
        let (gate, wait) = channel::<()>();
        // The only worker waits until everything is queued.
        let hold = Once::new(move || assert!(wait.recv().is_err()));
        pool.submit(&Arc::default(), Arc::new(hold), 1);
        for (name, bytes, count) in [("large", 8 << 20, 50), ("small", 1 << 10, 200)] {
            let units = Units { name, bytes, next: AtomicUsize::new(0), count, ran: ran.clone() };
            pool.submit(&Arc::default(), Arc::new(units), count);
        }
        drop((gate, ran));
        let order: Vec<_> = order.iter().collect();
        let last_small = order.iter().rposition(|name| *name == "small").unwrap();
        assert_eq!(order.len(), 250);
        assert!(order[..last_small].iter().filter(|name| **name == "large").count() <= 2);
    }
}
