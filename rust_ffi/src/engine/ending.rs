//! How the operations end whose work is one job: all at once with it, or each by itself.

use super::error::{Error, Status};
use super::operation::{Completer, Operation};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex};

/// Whose work a job is.
pub enum Ending {
    /// One operation's, which ends with the job.
    Together(Completer),
    /// Of each region an operation of its own, see [`joined`](super::joined).
    Each(Vec<OwnEnding>),
}

/// Ends an operation when all of its pieces are placed, or given up.
pub struct OwnEnding {
    operation: Arc<Operation>,
    /// Pieces that are left, of those that are known by now.
    left: AtomicU64,
    /// Dropped with the last piece.
    completer: Mutex<Option<Completer>>,
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
            regions.for_each(|region| _ = each[region as usize].left.fetch_add(1, Ordering::Relaxed));
        }
    }

    /// An object is done with: only one operation's are told apart.
    pub fn object_done(&self) {
        if let Self::Together(completer) = self {
            completer.operation().objects_done.fetch_add(1, Ordering::Release);
        }
    }

    /// A piece of `region` is placed, or given up: nothing touches its memory any more.
    pub fn done(&self, region: u32) {
        if let Self::Each(each) = self {
            each[region as usize].done();
        }
    }
}

impl OwnEnding {
    /// For an operation of so many pieces.
    pub fn new(completer: Completer, pieces: u64) -> Self {
        let operation = completer.operation().clone();
        Self { operation, left: AtomicU64::new(pieces), completer: Mutex::new(Some(completer)) }
    }

    pub fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    fn done(&self) {
        // What other threads have placed comes before the completion.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let operation = &self.operation;
            operation.objects_done.store(operation.objects_total.load(Ordering::Relaxed), Ordering::Release);
            let completer = self.completer.lock().unwrap().take();
            drop(completer);
        }
    }
}

impl Drop for OwnEnding {
    fn drop(&mut self) {
        // The completer goes after this.
        if *self.left.get_mut() > 0 {
            self.operation.fail(Error::new(Status::Panic, "a job was lost"));
        }
    }
}
