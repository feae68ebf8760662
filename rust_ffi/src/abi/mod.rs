//! The C ABI: the functions that `include/zarrs_c.h` declares, one noun a file, and no logic but the border's own.
//!
//! The header is the contract and its manual; nothing here repeats it. What this side adds:
//!
//! # Ownership
//!
//! A handle is what [`Arc::into_raw`](std::sync::Arc::into_raw) gives: a pointer to the engine's own type with one
//! reference count owned by the caller. `_retain` adds a count, `_release` drops one, and a call that keeps a handle
//! beyond its return (a region keeps its array, a sink its queue) takes a count of its own. Errors and buffers have
//! one owner and are boxes. So nothing here is looked up, nothing can be stale but by the caller's mistake, and the
//! order of releases is free.
//!
//! Memory for results (`data`, `statuses`, `ctx`) belongs to the caller but is lent to the operation until its final
//! completion. Whatever else comes in is copied before the call returns.
//!
//! # Threads
//!
//! The engine's types are `Sync`; there is no lock in this layer but the queue's. After a fork that lock may be held
//! for ever by a thread that the child does not have, so the queue looks at its generation before it locks.
//!
//! # Panics
//!
//! A panic that left an `extern "C"` function would abort the process. Each of them does all its work inside of
//! [`guard`], which turns a panic into `ZRC_E_PANIC` (or into the answer for NULL, where there is no status). A test
//! reads the sources to see that none forgets.
//!
//! # The rules that make this sound
//!
//! The comments at `unsafe` blocks name one of these promises, which the header asks of every caller:
//!
//! - *handles*: a handle that is not NULL came from this library, and its reference lasts for the call;
//! - *pointers*: a pointer that is not NULL points to what the header says, readable or writable for the call, and
//!   vectors have as many entries as the header says;
//! - *strings*: a string that is not NULL ends with a NUL;
//! - *structs*: a struct has as many readable (or writable) bytes as its `struct_size` says;
//! - *lending*: memory given to an operation stays valid, and is left alone, until the final completion.
#![allow(non_camel_case_types)] // C's names
#![allow(clippy::missing_safety_doc)] // the rules above, for all of them

mod array;
mod buf;
mod completion;
mod create;
mod error;
mod guard;
mod host;
mod io;
mod layout;
mod op;
mod pointers;
mod queue;
mod runtime;
mod signal;
mod stats;
mod store;

pub use array::*;
pub use buf::*;
pub use completion::*;
pub use create::*;
pub use error::*;
pub use host::*;
pub use io::*;
pub use op::*;
pub use queue::*;
pub use runtime::*;
pub use stats::*;
pub use store::*;

use std::ffi::c_char;

pub const ZRC_ABI_MAJOR: u32 = 0;
pub const ZRC_ABI_MINOR: u32 = 2;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_abi_version() -> u32 {
    guard::value(0, || (ZRC_ABI_MAJOR << 16) | ZRC_ABI_MINOR)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_version() -> *const c_char {
    guard::value(c"".as_ptr(), || concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}
