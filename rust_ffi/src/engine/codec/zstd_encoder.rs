//! zstd's encoder, kept from chunk to chunk.
//!
//! Called through its C interface, as zstd-safe cannot say where blocks end. Since 1.5.7 zstd looks at its input first to
//! decide that, which on the arrays of the benchmarks costs a quarter of the time, and gives larger chunks as often as
//! smaller ones (docs/performance.md): here blocks end as in all the versions before.

use std::ptr::NonNull;

use zstd_safe::zstd_sys::{
    self, ZSTD_CCtx, ZSTD_CCtx_reset, ZSTD_ResetDirective, ZSTD_cParameter, ZSTD_compress2, ZSTD_createCCtx,
    ZSTD_freeCCtx,
};

use super::super::error::{Error, Result};

/// `ZSTD_c_blockSplitterLevel`, which is marked as experimental; 1: blocks of one size.
const BLOCK_SPLITTER: ZSTD_cParameter = ZSTD_cParameter::ZSTD_c_experimentalParam20;
const BLOCKS_OF_ONE_SIZE: i32 = 1;

pub struct Encoder(NonNull<ZSTD_CCtx>);

// SAFETY: a context may be used by any thread, one at a time, and is reached through `&mut` only.
unsafe impl Send for Encoder {}

impl Encoder {
    pub fn new() -> Result<Self> {
        // SAFETY: no conditions; NULL when there is no memory.
        let context = NonNull::new(unsafe { ZSTD_createCCtx() });
        context.map(Self).ok_or_else(|| Error::memory(size_of::<usize>(), "zstd's encoder"))
    }

    /// Compress `input` as one frame; returns its length. `Err` has zstd's reason.
    pub fn compress(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        level: i32,
        checksum: bool,
    ) -> Result<usize, &'static str> {
        // A frame that has failed would still be under way.
        // SAFETY: the context is ours.
        checked(unsafe { ZSTD_CCtx_reset(self.0.as_ptr(), ZSTD_ResetDirective::ZSTD_reset_session_only) })?;
        self.set(ZSTD_cParameter::ZSTD_c_compressionLevel, level)?;
        self.set(ZSTD_cParameter::ZSTD_c_checksumFlag, checksum.into())?;
        // A version that does not know it has no such splitter.
        let _ = self.set(BLOCK_SPLITTER, BLOCKS_OF_ONE_SIZE);
        let (to, from) = (out.as_mut_ptr().cast(), input.as_ptr().cast());
        // SAFETY: the context is ours, and both slices are as long as is said.
        checked(unsafe { ZSTD_compress2(self.0.as_ptr(), to, out.len(), from, input.len()) })
    }

    fn set(&mut self, parameter: ZSTD_cParameter, value: i32) -> Result<usize, &'static str> {
        // SAFETY: the context is ours; what zstd does not take, it answers with an error.
        checked(unsafe { zstd_sys::ZSTD_CCtx_setParameter(self.0.as_ptr(), parameter, value) })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the context came from `ZSTD_createCCtx` and is freed once.
        unsafe { ZSTD_freeCCtx(self.0.as_ptr()) };
    }
}

/// What a call returned, unless that is an error.
pub(super) fn checked(code: usize) -> Result<usize, &'static str> {
    // SAFETY: asks about a number.
    if unsafe { zstd_sys::ZSTD_isError(code) } == 0 { Ok(code) } else { Err(zstd_safe::get_error_name(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_decode_whatever_level_and_length() {
        let mut encoder = Encoder::new().unwrap();
        for (len, level, checksum) in [(0, 0, false), (1, -5, true), (300_000, 3, false), (300_000, 19, true)]
        {
            let input: Vec<u8> = (0..len).map(|i: u32| (i / 7 % 251) as u8).collect();
            let mut out = vec![0; zstd_safe::compress_bound(input.len())];
            let n = encoder.compress(&input, &mut out, level, checksum).unwrap();
            let mut decoded = vec![0; input.len() + 1];
            let decoded_len = zstd_safe::decompress(&mut decoded[..], &out[..n]).unwrap();
            assert_eq!(decoded[..decoded_len], input);
        }
        assert!(encoder.compress(&[0; 1000], &mut [], 3, false).is_err());
        let mut out = [0; 100];
        assert!(encoder.compress(&[0; 1000], &mut out, 3, false).is_ok());
    }
}
