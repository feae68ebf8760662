//! What threads share is built of these. They are std's; `rust_ffi/models` compiles the same files with those of a model
//! checker.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, atomic};
