//! One operation under way: its cancel flag, its counts, and its one final completion.
//!
//! Every job of an operation holds the [`Completer`] (behind an `Arc`, together with what the job works on). When the
//! last job lets go, `Completer::drop` completes the operation: so completion comes once, after the last access to the
//! caller's memory, whichever way the jobs end, panics included.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::array::Array;
use super::error::{Error, Result, Status};
use super::fork;
use super::runtime::Live;
use super::stats::{Counter, Counters};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

/// What an operation gives besides filling the caller's memory.
#[derive(Default)]
pub enum Output {
    #[default]
    Nothing,
    Array(Arc<Array>),
    Bytes(Vec<u8>),
}

/// How an operation ended.
pub struct Completion {
    pub result: Result<Output>,
    pub cancel_requested: bool,
    /// Bytes placed in the caller's memory.
    pub bytes: u64,
}

/// Called once with the completion, on a thread of the library.
pub type OnComplete = Box<dyn FnOnce(Completion) + Send>;

/// See the module. Shared by the caller and by the [`Completer`].
pub struct Operation {
    generation: u64,
    live: Arc<Live>,
    cancel_requested: AtomicBool,
    /// Set by a cancel or a failure: jobs that have not started are skipped.
    stop: AtomicBool,
    /// Some job was skipped, so the operation is not complete.
    skipped: AtomicBool,
    failure: OnceLock<Error>,
    /// For work that waits for the network; made when there is some.
    token: OnceLock<CancellationToken>,
    pub counters: Counters,
    pub objects_total: AtomicU64,
    pub objects_done: AtomicU64,
    ended: Mutex<Ended>,
    /// What `ended` says, for whoever only looks.
    is_final: AtomicBool,
    changed: Condvar,
}

enum Ended {
    NotYet {
        /// Somebody sleeps until it has.
        is_awaited: bool,
    },
    /// `output` is what nobody has taken yet.
    Final { error: Option<Error>, output: Output, bytes: u64, had_sink: bool },
}

/// What [`Operation::wait`] found.
pub struct Waited {
    pub completion: Completion,
    /// The completion itself went to a sink; only its status and bytes are here.
    pub had_sink: bool,
}

impl Operation {
    /// Start an operation. The first reference to the completer must reach the jobs; dropping it completes.
    pub fn start(live: Arc<Live>, on_complete: Option<OnComplete>) -> Result<(Arc<Self>, Completer)> {
        live.enter()?;
        let operation = Arc::new(Self {
            generation: fork::generation(),
            live,
            cancel_requested: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            skipped: AtomicBool::new(false),
            failure: OnceLock::new(),
            token: OnceLock::new(),
            counters: Counters::default(),
            objects_total: AtomicU64::new(0),
            objects_done: AtomicU64::new(0),
            ended: Mutex::new(Ended::NotYet { is_awaited: false }),
            is_final: AtomicBool::new(false),
            changed: Condvar::new(),
        });
        let completer = Completer {
            operation: operation.clone(),
            output: Mutex::default(),
            on_complete: Mutex::new(on_complete),
        };
        Ok((operation, completer))
    }

    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Ask the operation to stop. Idempotent, never blocks.
    pub fn cancel(&self) {
        self.cancel_requested.store(true, Ordering::Release);
        self.stop();
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // With that of `token`: either this sees the token, or `token` sees the stop.
        fence(Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    /// Cancelled when the operation stops, for whatever reason.
    pub fn token(&self) -> &CancellationToken {
        if let Some(token) = self.token.get() {
            return token;
        }
        let token = self.token.get_or_init(|| self.live.closing_token.child_token());
        // Whoever stops after this sees the token; who has stopped before is seen here.
        fence(Ordering::SeqCst);
        if self.stop.load(Ordering::SeqCst) {
            token.cancel();
        }
        token
    }

    /// The operation is over: whoever waits for it to stop need not go on.
    pub(super) fn end_token(&self) {
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    /// Record why the operation fails (the first reason stays) and stop it.
    pub fn fail(&self, error: Error) {
        let _ = self.failure.set(error);
        self.stop();
    }

    /// Record how the operation's only task ended; `None`: it was cancelled.
    pub fn settle(&self, outcome: Option<Result<()>>, located: impl FnOnce(Error) -> Error) {
        match outcome {
            None => _ = self.skip(),
            Some(Ok(())) => {}
            Some(Err(error)) => self.fail(located(error)),
        }
    }

    /// Record a failure without stopping the operation's other regions.
    pub fn note_failure(&self, error: Error) {
        let _ = self.failure.set(error);
    }

    /// Whether a job that has not started should be skipped. A job that asks must then leave its work undone.
    pub fn skip(&self) -> bool {
        let skip = self.is_stopped();
        if skip {
            self.skipped.store(true, Ordering::Release);
        }
        skip
    }

    /// Whether what is not started is in vain. Unlike [`Self::skip`], for work that the result does not need.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.live.closing()
    }

    /// Count for the operation and for the process.
    pub fn count(&self, counter: Counter, n: u64) {
        self.counters.add(counter, n);
        self.live.counters.add(counter, n);
    }

    /// Wait until the operation is final. `None` waits for ever.
    ///
    /// # Errors
    /// [`Status::Timeout`], and [`Status::Forked`] in a child process.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Waited> {
        let mut ended = self.ended(timeout)?;
        let Ended::Final { error, output, bytes, had_sink } = &mut *ended else { unreachable!() };
        let result = match error {
            Some(error) => Err(error.clone()),
            None => Ok(std::mem::take(output)),
        };
        let completion = Completion { result, cancel_requested: self.cancel_was_requested(), bytes: *bytes };
        Ok(Waited { completion, had_sink: *had_sink })
    }

    /// Wait as [`Self::wait`] does, but leave the output to whoever asks for it.
    pub fn wait_only(&self, timeout: Option<Duration>) -> Result<()> {
        self.ended(timeout).map(drop)
    }

    fn ended(&self, timeout: Option<Duration>) -> Result<MutexGuard<'_, Ended>> {
        // Before the lock: in a child it may be held for ever by a thread that is not there.
        if self.generation != fork::generation() {
            return Err(Error::forked("the operation"));
        }
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        if timeout.is_none_or(|t| !t.is_zero()) {
            self.live.glance.look(|| self.is_final.load(Ordering::Acquire));
        }
        let mut ended = self.ended.lock().unwrap();
        while let Ended::NotYet { is_awaited } = &mut *ended {
            *is_awaited = true;
            ended = match deadline {
                None => self.changed.wait(ended).unwrap(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Error::new(Status::Timeout, "the operation has not ended yet"));
                    }
                    self.changed.wait_timeout(ended, left).unwrap().0
                }
            };
        }
        Ok(ended)
    }

    fn cancel_was_requested(&self) -> bool {
        self.cancel_requested.load(Ordering::Acquire)
    }

    /// The status of a region that has not failed: 0, unless its work may have been skipped.
    pub fn skipped_status(&self) -> i32 {
        if self.skipped.load(Ordering::Acquire) { Status::Cancelled as i32 } else { 0 }
    }

    /// The operation's outcome, judged when its last job has let go.
    fn verdict(&self) -> Option<Error> {
        if let Some(error) = self.failure.get() {
            return Some(error.clone());
        }
        if !self.skipped.load(Ordering::Acquire) {
            return None;
        }
        Some(if self.cancel_was_requested() { Error::cancelled() } else { Error::shutdown() })
    }

    fn end(&self, error: Option<Error>, output: Output, bytes: u64, had_sink: bool) {
        let ended = Ended::Final { error, output, bytes, had_sink };
        let before = std::mem::replace(&mut *self.ended.lock().unwrap(), ended);
        self.is_final.store(true, Ordering::Release);
        // To wake nobody is a call to the system as well.
        if matches!(before, Ended::NotYet { is_awaited: true }) {
            self.changed.notify_all();
        }
        self.live.leave();
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.generation != fork::generation() {
            // The parent's threads and connections must not be ended from here: they stay, untouched, for ever.
            std::mem::forget(self.live.clone());
        }
    }
}

/// Completes its operation when dropped. See the module.
pub struct Completer {
    operation: Arc<Operation>,
    output: Mutex<Output>,
    /// In a mutex only so that jobs may share the completer: nothing but the drop takes it.
    on_complete: Mutex<Option<OnComplete>>,
}

impl Completer {
    pub fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// Set what the completion carries.
    pub fn set_output(&self, output: Output) {
        *self.output.lock().unwrap() = output;
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        let operation = &self.operation;
        let error = operation.verdict();
        let output = std::mem::take(self.output.get_mut().unwrap());
        let bytes = operation.counters.get(Counter::BytesPlaced);
        operation.live.count_final(error.as_ref().map(|e| e.status));
        match self.on_complete.get_mut().unwrap().take() {
            None => operation.end(error, output, bytes, false),
            Some(on_complete) => {
                let result = match &error {
                    Some(error) => Err(error.clone()),
                    None => Ok(output),
                };
                let cancel_requested = operation.cancel_was_requested();
                // The callback returns before any waiter does: who waits may then free what it uses.
                on_complete(Completion { result, cancel_requested, bytes });
                operation.end(error, Output::Nothing, bytes, true);
            }
        }
    }
}
