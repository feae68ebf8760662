//! Workers that look out for more work, as those of the codec pool do.

use std::sync::Arc;

use shuttle::sync::{Mutex, mpsc};
use shuttle::thread;

use zarrs_c_models::engine::lookout::Lookout;

use super::in_every_schedule;

/// A pool of one worker, whose threads end when they have looked out in vain.
#[derive(Default)]
struct Pool {
    queue: Mutex<Queue>,
    lookout: Lookout,
}

#[derive(Default)]
struct Queue {
    units: usize,
    workers: usize,
}

impl Pool {
    /// As `CodecPool::submit`: true when a thread has to be started.
    fn submit(&self) -> bool {
        let mut queue = self.queue.lock().unwrap();
        queue.units += 1;
        let wanted = queue.workers == 0;
        queue.workers = 1;
        drop(queue);
        wanted && !self.lookout.call()
    }

    /// As `CodecPool::work`.
    fn work(&self, done: &mpsc::Sender<()>) {
        loop {
            while self.next() {
                done.send(()).unwrap();
            }
            if !self.lookout.watch() {
                break;
            }
        }
    }

    fn next(&self) -> bool {
        let mut queue = self.queue.lock().unwrap();
        assert_eq!(queue.workers, 1, "two at work, or one that nobody counts");
        if queue.units == 0 {
            queue.workers = 0;
            return false;
        }
        queue.units -= 1;
        true
    }
}

#[test]
fn work_that_comes_while_a_worker_looks_out_is_done_once() {
    in_every_schedule(|| {
        let (pool, (done, seen)) = (Arc::<Pool>::default(), mpsc::channel());
        let mut threads = Vec::new();
        for _ in 0..2 {
            if pool.submit() {
                let (pool, done) = (pool.clone(), done.clone());
                threads.push(thread::spawn(move || pool.work(&done)));
            }
        }
        drop(done);
        assert_eq!(seen.iter().count(), 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!pool.lookout.call(), "somebody still looks out");
    });
}
