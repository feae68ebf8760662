//! The engine: plain Rust, no C types. A request becomes a plan of pieces; each piece is fetched, decoded and scattered
//! into the caller's memory; the last job to let go completes the operation, once.
//!
//! ```text
//! read ──► plan (grid, plan) ──► fetch (storage, shard) ──► decode (codec) ──► scatter ──► Completer
//! ```

pub mod admission;
pub mod array;
pub mod budget;
pub mod buffers;
pub mod codec;
pub mod create;
pub mod dtype;
pub mod encoded;
mod ending;
pub mod error;
pub mod fork;
pub mod gather;
pub mod grid;
pub mod idle;
mod in_order;
pub mod index_cache;
pub mod job;
mod joined;
mod keys;
mod lanes;
pub mod local;
pub mod locks;
pub mod lookout;
pub mod merge;
pub mod metadata;
pub mod open;
pub mod operation;
mod pages;
pub mod place;
pub mod plan;
pub mod pool;
mod put;
pub mod raw;
pub mod read;
pub mod region;
pub mod remote;
mod room;
pub mod runtime;
pub mod scatter;
pub mod scratch;
pub mod shard;
pub mod shard_job;
mod shared;
pub mod stats;
pub mod stream;
mod strip;
pub mod tasks;
pub mod upstream;
pub mod write;
pub mod write_encoded;
pub mod write_shard;

use smallvec::SmallVec;

/// One number a dimension; on the stack for up to four dimensions.
pub type Dims<T> = SmallVec<[T; 4]>;
