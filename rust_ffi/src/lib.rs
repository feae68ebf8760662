//! zarrs_c.
pub mod engine;
pub mod storage;
