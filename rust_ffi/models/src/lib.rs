//! The library's own files, with a model checker's locks and atomics in the place of std's.
//!
//! Only what they stand on is made up here, and only as far as they use it: [`engine::runtime`] without threads, arrays
//! and requests of hosts without insides. tokio's semaphores and mutexes are as they are: the checker sees when tasks
//! wait and wake, not their insides. It takes all memory to be sequentially consistent.
#![allow(dead_code)] // what only the rest of the library uses
#![allow(clippy::large_enum_variant)] // the checker's atomics are large, std's are not

pub mod abi;
pub mod engine;

mod sync {
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic};
    pub use std::sync::OnceLock; // never waits here: what initialises the values does not switch threads

    /// The checker runs one thread at a time anyway.
    pub fn processors() -> usize {
        2
    }

    /// A single look: every moment at which it may come is tried.
    pub fn spin_until(_most: std::time::Duration, mut found: impl FnMut() -> bool) -> bool {
        found()
    }
}
