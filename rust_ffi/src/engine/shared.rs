//! Memory for decoded chunks, which the requests of one operation share.
//!
//! No more chunks are decoded at once than there are codec threads, however many are under way or wait for a thread. So
//! only that many of an operation's requests stand for decoded memory within the budget of bytes, and the others go
//! without: far more of them are in flight when chunks are large.

use super::budget::BytesPermit;
use crate::sync::{Arc, Mutex, OnceLock};

/// The memory that the requests of one operation share.
#[derive(Default)]
pub struct Shared(OnceLock<Arc<Mutex<State>>>);

#[derive(Default)]
struct State {
    /// Requests and fetched chunks that need some of it.
    users: usize,
    /// For one chunk of so many bytes each. For every size, as many are at least as large as there are users of that
    /// size or a larger one, or as there are codec threads.
    held: Vec<(u64, BytesPermit)>,
}

/// A user, until dropped.
pub struct Share(Arc<Mutex<State>>);

impl Shared {
    /// Whether a chunk of `decoded` bytes needs no more than there is, where `at_once` are decoded at a time.
    pub fn is_enough(&self, decoded: u64, at_once: usize) -> bool {
        self.state().lock().unwrap().is_enough(decoded, at_once)
    }

    /// Made when first needed: most reads of local files do without.
    fn state(&self) -> &Arc<Mutex<State>> {
        self.0.get_or_init(Arc::default)
    }

    /// Use what there is, if it is enough.
    pub fn join(&self, decoded: u64, at_once: usize) -> Option<Share> {
        let mut state = self.state().lock().unwrap();
        state.is_enough(decoded, at_once).then(|| self.user(&mut state))
    }

    /// Add memory for `decoded` bytes, and use it.
    pub fn add(&self, decoded: u64, memory: BytesPermit) -> Share {
        let mut state = self.state().lock().unwrap();
        state.held.push((decoded, memory));
        self.user(&mut state)
    }

    fn user(&self, state: &mut State) -> Share {
        state.users += 1;
        Share(self.state().clone())
    }
}

impl State {
    fn is_enough(&self, decoded: u64, at_once: usize) -> bool {
        self.held.iter().filter(|(size, _)| *size >= decoded).count() >= at_once
    }

    /// The smallest of it, which fewer users need no more.
    fn surplus(&mut self) -> Option<BytesPermit> {
        let i = (0..self.held.len()).min_by_key(|&i| self.held[i].0)?;
        (self.held.len() > self.users).then(|| self.held.swap_remove(i).1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap();
        state.users -= 1;
        let surplus = state.surplus();
        drop(state);
        drop(surplus);
    }
}
