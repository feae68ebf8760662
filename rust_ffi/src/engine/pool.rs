//! The codec pool: rayon's threads under a fair queue of our own, [`lanes`](super::lanes).

use std::sync::{Arc, Mutex};

use super::error::{Error, Result, Status};
use super::idle::Keeper;
use super::lanes::{Held, Job, Queue};
use super::lookout::Lookout;
use super::scratch;

pub use super::lanes::{Claim, Lane, Work};

/// See the module.
pub struct CodecPool {
    threads: rayon_core::ThreadPool,
    size: usize,
    queue: Mutex<Queue>,
    max_bytes: u64,
    lookout: Lookout,
    keeper: Arc<Keeper>,
}

impl CodecPool {
    /// Start the threads. Each calls `on_start` as it begins and `on_exit` as it ends. Units that run hold up to `max_bytes`.
    ///
    /// # Errors
    /// [`Status::Io`] when the system gives no more threads.
    pub fn start(
        size: usize,
        max_bytes: u64,
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
        let queue = Mutex::new(Queue::new(max_bytes));
        Ok(Self { threads, size, queue, max_bytes, lookout: Lookout::default(), keeper })
    }

    /// Queue `work`, of at most `units` units, on `lane`.
    pub fn submit(self: &Arc<Self>, lane: &Arc<Lane>, work: Arc<dyn Work>, units: usize) {
        self.submit_by(units, |queue| queue.push(lane, work));
    }

    fn submit_by(self: &Arc<Self>, units: usize, push: impl FnOnce(&mut Queue)) {
        let wanted = {
            let mut queue = self.queue.lock().unwrap();
            push(&mut queue);
            let wanted = units.min(self.size - queue.workers);
            queue.workers += wanted;
            wanted
        };
        let awake = usize::from(wanted > 0 && self.lookout.call());
        (awake..wanted).for_each(|_| self.start_worker());
    }

    /// Queue `work`, of one unit, behind everything that `lane` has.
    pub fn submit_behind(self: &Arc<Self>, lane: &Arc<Lane>, work: Arc<dyn Work>) {
        self.submit_by(1, |queue| queue.push_behind(lane, work));
    }

    fn start_worker(self: &Arc<Self>) {
        let pool = self.clone();
        self.threads.spawn(move || pool.work());
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
        let mut ended = None;
        loop {
            while let Some(Job { work, unit, held }) = self.next(ended.take()) {
                work.run(unit);
                ended = (held.bytes > 0).then_some(held);
                // Another thread's turn, where not all may hold a chunk: what this one keeps would be on top of that.
                if ended.is_some() && scratch::kept() as u64 > self.max_bytes {
                    scratch::give_back();
                }
            }
            if !self.lookout.watch() {
                break;
            }
        }
        self.keeper.rest(self);
    }

    /// Whether work waits while all workers have something to do.
    pub fn is_behind(&self) -> bool {
        let queue = self.queue.lock().unwrap();
        queue.workers == self.size && !queue.is_empty()
    }

    /// Whether no worker has anything to do.
    pub fn is_idle(&self) -> bool {
        self.queue.lock().unwrap().workers == 0
    }

    /// Have every thread call `f`, each when it has nothing better to do.
    pub fn on_each_thread(&self, f: fn()) {
        self.threads.spawn_broadcast(move |_| f());
    }

    /// The next unit, after one that has `ended` and held something.
    fn next(self: &Arc<Self>, ended: Option<Held>) -> Option<Job> {
        let mut queue = self.queue.lock().unwrap();
        let gave_back = ended.map(|held| queue.give_back(held)).is_some();
        let job = queue.claim();
        if job.is_none() {
            // Under the lock that `submit` takes: work queued after this sees one worker fewer and starts another.
            queue.workers -= 1;
        } else if gave_back && queue.workers < self.size && queue.is_ready() {
            // There was room for more than this one.
            queue.workers += 1;
            drop(queue);
            self.start_worker();
        }
        job
    }
}

/// Work of one unit.
pub struct Once {
    job: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    bytes: u64,
    holds: u64,
}

impl Once {
    pub fn new(job: impl FnOnce() + Send + 'static) -> Self {
        Self::decoding(0, job)
    }

    /// A job that decodes about so many bytes.
    pub fn decoding(bytes: u64, job: impl FnOnce() + Send + 'static) -> Self {
        Self { job: Mutex::new(Some(Box::new(job))), bytes, holds: 0 }
    }

    /// The same, of a job that holds so many bytes; see [`Work::holds`].
    pub fn holding(self, holds: u64) -> Self {
        Self { holds, ..self }
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

    fn holds(&self) -> u64 {
        self.holds
    }
}

#[cfg(test)]
mod tests {
    use super::super::buffers::BufferPool;
    use super::super::stats::Gauge;
    use super::*;
    use std::sync::Barrier;
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
        let pool = Arc::new(CodecPool::start(1, 0, keeper, || {}, || {}).unwrap());
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

    /// Units that hold memory, and what all of them have held at once.
    struct Holding {
        holds: u64,
        next: AtomicUsize,
        count: usize,
        level: Arc<Gauge>,
        meeting: Arc<Barrier>,
        ended: Sender<()>,
    }

    impl Work for Holding {
        fn claim(&self) -> Option<Claim> {
            let unit = self.next.fetch_add(1, Ordering::Relaxed);
            (unit < self.count).then_some(Claim { unit, more: unit + 1 < self.count, bytes: 1 << 20 })
        }

        fn run(self: Arc<Self>, _unit: usize) {
            let _held = self.level.hold(self.holds);
            self.meeting.wait();
            self.ended.send(()).unwrap();
        }

        fn holds(&self) -> u64 {
            self.holds
        }
    }

    /// The most that was held at once by works of so many units that hold so much, each within a budget of its own,
    /// where each unit waits until so many run.
    fn most_held(meeting: usize, works: &[(u64, usize, u64)]) -> u64 {
        let keeper = Keeper::new(Arc::new(BufferPool::new(0)), |_| {});
        let pool = Arc::new(CodecPool::start(4, 10, keeper, || {}, || {}).unwrap());
        let (level, meeting) = (Arc::new(Gauge::default()), Arc::new(Barrier::new(meeting)));
        let (ended, all) = channel();
        for &(holds, count, most) in works {
            let (level, meeting, ended) = (level.clone(), meeting.clone(), ended.clone());
            let work = Holding { holds, next: AtomicUsize::new(0), count, level, meeting, ended };
            pool.submit(&Arc::new(Lane::within(most)), Arc::new(work), count);
        }
        drop(ended);
        assert_eq!(all.iter().count(), works.iter().map(|work| work.1).sum::<usize>());
        level.peak()
    }

    #[test]
    fn units_hold_no_more_than_there_is_room_for_and_no_less() {
        assert_eq!(most_held(2, &[(4, 100, 0)]), 8);
        assert_eq!(most_held(1, &[(4, 100, 7)]), 4);
        assert_eq!(most_held(1, &[(15, 100, 7)]), 15, "what exceeds the budget runs alone");
        assert_eq!(most_held(2, &[(4, 50, 4), (4, 50, 4)]), 8);
        assert_eq!(most_held(4, &[(15, 1, 0), (0, 99, 0)]), 15, "what holds nothing waits for no room");
        assert_eq!(most_held(1, &[(10, 50, 0), (1, 200, 0), (3, 100, 6), (5, 100, 0)]), 10);
    }
}
