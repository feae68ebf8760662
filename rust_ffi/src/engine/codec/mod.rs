//! Codecs: from a chunk as stored to its elements ([`chain`]), and back ([`encode`]).
//!
//! A [`Chain`] is zarrs' codec chain with our reading of it; a [`ChunkCodec`] is a chain for chunks of one shape. The
//! bytes-to-bytes codecs run through [`steps`], into buffers that are kept and never larger than the chunk can need,
//! whatever the stored bytes claim. After them, a chunk of native elements, transposed or not, needs no more work than
//! strides can express; anything else goes through zarrs' own codecs.

mod blosc;
mod chain;
mod elements;
mod encode;
mod gdeflate;
mod nested;
mod ring;
mod steps;
mod zfp;
mod zstd_decoder;
mod zstd_encoder;

pub use chain::{Chain, ChunkCodec, Decoded};
pub use steps::Wanted;
