//! How the operations end whose work is one job: all at once with it, or each by itself.

use super::error::{Error, Status};
use super::operation::{Completer, Operation};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Mutex};

/// Whose work a job is.
pub enum Ending {
    /// One operation's, which ends with the job.
    Together(Completer),
    /// Of each region an operation of its own, see [`joined`](super::joined).
    Each(Vec<Arc<OwnEnding>>),
}

/// Ends an operation when all of its pieces are placed, or given up.
pub struct OwnEnding {
    operation: Arc<Operation>,
    state: Mutex<State>,
}

struct State {
    /// Pieces that are not done, of those that are known by now.
    left: u64,
    /// How many are at the operation's memory.
    inside: u64,
    /// Whether nobody else may go there.
    closed: bool,
    /// Dropped when nobody will go there any more.
    completer: Option<Completer>,
}

impl Ending {
    /// The operation of a region.
    pub fn operation_of(&self, region: u32) -> &Arc<Operation> {
        match self {
            Self::Together(completer) => completer.operation(),
            Self::Each(each) => &each[region as usize].operation,
        }
    }

    /// There is one piece more of each of `regions`. Who says so has one of each that is not done.
    pub fn expect(&self, regions: impl Iterator<Item = u32>) {
        if let Self::Each(each) = self {
            regions.for_each(|region| each[region as usize].change(|state| state.left += 1));
        }
    }

    /// A piece of `region` is done.
    pub fn done(&self, region: u32) {
        if let Self::Each(each) = self {
            each[region as usize].change(|state| state.left -= 1);
        }
    }

    /// An object is done: told where all of them are one operation's.
    pub fn object_done(&self) {
        if let Self::Together(completer) = self {
            completer.operation().objects_done.fetch_add(1, Ordering::Release);
        }
    }
}

impl OwnEnding {
    /// For an operation of so many pieces.
    pub fn new(completer: Completer, pieces: u64) -> Self {
        let operation = completer.operation().clone();
        let state = State { left: pieces, inside: 0, closed: false, completer: Some(completer) };
        Self { operation, state: Mutex::new(state) }
    }

    pub fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// Ask whether the operation's memory may be touched: if so, until [`Self::leave`].
    pub fn enter(&self) -> bool {
        let mut entered = false;
        self.change(|state| {
            entered = !state.closed && !self.operation.skip();
            state.inside += u64::from(entered);
        });
        entered
    }

    pub fn leave(&self) {
        self.change(|state| state.inside -= 1);
    }

    /// The operation was stopped: end it once nobody is at its memory, whatever else there is to do.
    pub fn close(&self) {
        self.operation.skip();
        self.change(|state| state.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        change(&mut state);
        let over = state.inside == 0 && (state.left == 0 || state.closed);
        let completer = if over { state.completer.take() } else { None };
        drop(state);
        if let Some(completer) = completer {
            let operation = &self.operation;
            operation.objects_done.store(operation.objects_total.load(Ordering::Relaxed), Ordering::Release);
            drop(completer);
            operation.end_token();
        }
    }
}

impl Drop for OwnEnding {
    fn drop(&mut self) {
        // The completer is dropped after this.
        if self.state.get_mut().unwrap_or_else(|e| e.into_inner()).completer.is_some() {
            self.operation.fail(Error::new(Status::Panic, "a job was lost"));
        }
    }
}
