//! Memory that is kept for the next read, given back when none comes for a while.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use super::buffers::BufferPool;
use super::pool::CodecPool;
use super::scratch;
use crate::allocator;

/// How long nothing must happen.
const AFTER: Duration = Duration::from_secs(2);

/// So many bytes may stay: for them nobody watches.
const LITTLE: usize = 32 << 20;

/// Starts a thread when much is kept, which ends once it has been given back.
pub struct Keeper {
    buffers: Arc<BufferPool>,
    state: Mutex<State>,
    changed: Condvar,
    /// Told of the thread's beginning (1) and end (-1).
    count_threads: Box<dyn Fn(isize) + Send + Sync>,
}

#[derive(Default)]
struct State {
    watched: bool,
    closed: bool,
    /// How often the pool has run out of work.
    rests: u64,
}

impl Keeper {
    pub fn new(buffers: Arc<BufferPool>, count_threads: impl Fn(isize) + Send + Sync + 'static) -> Arc<Self> {
        let count_threads = Box::new(count_threads);
        Arc::new(Self { buffers, state: Mutex::default(), changed: Condvar::new(), count_threads })
    }

    /// The pool has run out of work.
    pub fn rest(self: &Arc<Self>, pool: &Arc<CodecPool>) {
        if scratch::kept() + allocator::kept() <= LITTLE {
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.rests += 1;
        if state.watched || state.closed {
            return;
        }
        let (this, pool) = (self.clone(), Arc::downgrade(pool));
        (self.count_threads)(1);
        let thread = std::thread::Builder::new().name("zarrs_c-idle".into());
        state.watched = thread.spawn(move || this.watch(&pool)).is_ok();
        if !state.watched {
            (self.count_threads)(-1);
        }
    }

    /// End the thread, if there is one, and start no other.
    pub fn close(&self) {
        self.state.lock().unwrap().closed = true;
        self.changed.notify_all();
    }

    fn watch(&self, pool: &Weak<CodecPool>) {
        let mut state = self.state.lock().unwrap();
        loop {
            let before = state.rests;
            let waited = self.changed.wait_timeout(state, AFTER).unwrap();
            state = waited.0;
            let Some(pool) = pool.upgrade().filter(|_| !state.closed) else { break };
            if waited.1.timed_out() && state.rests == before && pool.is_idle() {
                pool.on_each_thread(scratch::give_back);
                self.buffers.give_back();
                allocator::give_back();
                break;
            }
        }
        state.watched = false;
        drop(state);
        (self.count_threads)(-1);
    }
}
