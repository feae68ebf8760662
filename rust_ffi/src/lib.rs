//! zarrs_c: read Zarr arrays in parallel, without blocking, behind a C ABI.
//!
//! ```text
//! include/zarrs_c.h ──► abi ──► engine ──► storage ──► zarrs
//! ```
//!
//! [`abi`] is what C sees, and its contract is the header; [`engine`] is plain Rust and knows nothing of C;
//! [`storage`] turns URLs into stores. Arrows point one way.

pub mod abi;
#[cfg(test)]
mod allocations;
mod allocator;
pub mod engine;
pub mod storage;
mod sync;
