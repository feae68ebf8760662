//! Queues: completions wait here for a host that has a loop of its own.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use super::completion::zrc_completion;
use super::error::{zrc_error, zrc_status};
use super::layout::{self, Filled, versioned};
use super::pointers::{self, Place};
use super::signal::Signal;
use super::{guard, op};
use crate::engine::error::{Error, Result, Status};
use crate::engine::fork;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// See the module. The descriptor is readable exactly while `ready` is not empty: both change under one lock, so a
/// burst costs one write (by who makes it not empty) and one read (by who makes it empty).
pub struct Queue {
    generation: u64,
    /// Leaked by a process that is not the one that made it.
    state: ManuallyDrop<Mutex<State>>,
    arrived: Condvar,
    /// Made when first asked for, under the lock.
    signal: OnceLock<Signal>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<zrc_completion>,
    /// The consumer waits on `arrived`. Without it nobody pays for a wake that nobody needs.
    waiting: bool,
    /// `wake` was called and no wait has returned since.
    woken: bool,
    completions: u64,
    wakes: u64,
}

impl Queue {
    fn new() -> Arc<Self> {
        fork::watch();
        Arc::new(Self {
            generation: fork::generation(),
            state: ManuallyDrop::default(),
            arrived: Condvar::new(),
            signal: OnceLock::new(),
        })
    }

    /// # Errors
    /// [`Status::Forked`] in a child of the process that made the queue.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.generation == fork::generation() { Ok(()) } else { Err(Error::forked("the queue")) }
    }

    /// Fails in a forked child, where the lock may be held by a thread that is not there.
    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.check_process()?;
        // Every change to the state is whole before anything that could panic.
        Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, completion: zrc_completion) -> Result<()> {
        let mut state = self.lock()?;
        state.ready.push_back(completion);
        state.completions += 1;
        if state.ready.len() == 1 {
            state.wakes += 1;
            if let Some(signal) = self.signal.get() {
                signal.set();
            }
            self.notify(&state);
        }
        Ok(())
    }

    fn notify(&self, state: &State) {
        if state.waiting {
            self.arrived.notify_all();
        }
    }

    /// Take up to `capacity` completions, the oldest first, into `place(i, completion)`.
    fn drain(&self, capacity: usize, mut place: impl FnMut(usize, &zrc_completion)) -> usize {
        let Ok(mut state) = self.lock() else { return 0 };
        let taken = capacity.min(state.ready.len());
        for (i, completion) in state.ready.drain(..taken).enumerate() {
            place(i, &completion);
        }
        if taken > 0
            && state.ready.is_empty()
            && let Some(signal) = self.signal.get()
        {
            signal.reset();
        }
        taken
    }

    fn fd(&self) -> Result<isize> {
        let state = self.lock()?;
        let signal = match self.signal.get() {
            Some(signal) => signal,
            None => {
                let signal = Signal::new()?;
                if !state.ready.is_empty() {
                    signal.set();
                }
                self.signal.get_or_init(|| signal)
            }
        };
        Ok(signal.fd() as isize)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut state = self.lock()?;
        while state.ready.is_empty() && !state.woken {
            state.waiting = true;
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.waiting = false;
                        return Err(Error::new(Status::Timeout, "no completion has come yet"));
                    }
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (state.waiting, state.woken) = (false, false);
        Ok(())
    }

    fn wake(&self) {
        if let Ok(mut state) = self.lock() {
            state.woken = true;
            self.notify(&state);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.check_process().is_err() {
            // A thread of the parent may have been in the middle of a change when this copy was made.
            return;
        }
        // SAFETY: dropped once, here.
        let state = unsafe { ManuallyDrop::take(&mut self.state) };
        let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.ready.into_iter().for_each(zrc_completion::discard);
    }
}

/// Opaque to C.
pub type zrc_queue = Queue;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_queue_stats {
    pub struct_size: usize,
    pub completions: u64,
    pub wakes: u64,
}
versioned!(zrc_queue_stats);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_new(out: *mut *mut zrc_queue, error: *mut *mut zrc_error) -> zrc_status {
    let body = || {
        // SAFETY: the rule *pointers*.
        let out = unsafe { Place::required(out, "out") }?;
        out.put(pointers::give(Queue::new()));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_retain(queue: *mut zrc_queue) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(queue) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_release(queue: *mut zrc_queue) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(queue) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_complete(queue: *mut c_void, completion: *const zrc_completion) {
    guard::value((), || {
        // SAFETY: the rules *handles*, *pointers* and *structs*: a sink's function gets its `ctx`, a queue.
        let (Ok(queue), Ok(completion)) = (unsafe {
            (pointers::borrow(queue.cast::<Queue>(), "queue"), layout::options(completion, "completion"))
        }) else {
            return;
        };
        // What fails is a push in a forked child: the completion belongs to the parent's operation.
        let _ = queue.push(completion);
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_fd(
    queue: *mut zrc_queue,
    out: *mut isize,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles* and *pointers*.
        let (queue, out) = unsafe { (pointers::borrow(queue, "queue")?, Place::required(out, "out")?) };
        out.put(queue.fd()?);
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_drain(
    queue: *mut zrc_queue,
    out: *mut zrc_completion,
    capacity: usize,
) -> usize {
    guard::value(0, || {
        if capacity == 0 {
            return 0;
        }
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (Ok(queue), Ok(out)) =
            (unsafe { (pointers::borrow(queue, "queue"), Filled::required(out, "out")) })
        else {
            return 0;
        };
        // SAFETY: the rule *pointers*: the array has `capacity` elements, and `i` is less.
        queue.drain(capacity, |i, completion| unsafe { out.put_at(i, completion) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_wait(queue: *mut zrc_queue, timeout_ms: u32) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*.
        unsafe { pointers::borrow(queue, "queue") }?.wait(op::timeout(timeout_ms))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_wake(queue: *mut zrc_queue) {
    guard::value((), || {
        // SAFETY: the rule *handles*.
        if let Ok(queue) = unsafe { pointers::borrow(queue, "queue") } {
            queue.wake();
        }
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_get_stats(
    queue: *const zrc_queue,
    out: *mut zrc_queue_stats,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (queue, out) = unsafe { (pointers::borrow(queue, "queue")?, Filled::required(out, "out")?) };
        let state = queue.lock()?;
        out.put(&zrc_queue_stats { struct_size: 0, completions: state.completions, wakes: state.wakes });
        Ok(())
    })
}
