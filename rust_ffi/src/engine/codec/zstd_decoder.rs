//! zstd's decoder, kept from chunk to chunk. It decodes a chunk in one go, or block by block and no further than wanted.
//!
//! Called through its C interface, as zstd-safe cannot say that the output stays where it is: without that, a stream is
//! decoded into a window of zstd's own first.

use std::cell::RefCell;
use std::ptr::NonNull;

use zstd_safe::zstd_sys::{
    self, ZSTD_DCtx, ZSTD_ResetDirective, ZSTD_createDCtx, ZSTD_dParameter, ZSTD_decompressDCtx,
    ZSTD_decompressStream, ZSTD_freeDCtx, ZSTD_inBuffer, ZSTD_outBuffer,
};

use super::steps::{Part, Wanted};
use super::zstd_encoder::checked;

/// `ZSTD_d_stableOutBuffer`, which is marked as experimental.
const OUTPUT_STAYS: ZSTD_dParameter = ZSTD_dParameter::ZSTD_d_experimentalParam2;

/// A stream may look back as far as zstd can say; where the output stays, that takes no memory.
const MOST_WINDOW_LOG: i32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };

/// Most bytes of one block, decoded.
const BLOCK: usize = 128 << 10;

/// What zstd has to see first of a frame.
const FIRST: usize = 5;

/// Chunks from so many bytes on do not stay in a core's own cache until they are decoded.
const LARGE: usize = 1 << 20;

/// Decode all frames of `input` into `out`; returns how many bytes came.
pub fn decode(input: &[u8], out: &mut [u8]) -> Result<usize, String> {
    with_decoder(|decoder| decoder.decode(input, out))
}

/// Decode a chunk, which takes all of `out`, up to the last byte that is wanted at least, and tell what there is so far as
/// often as some more has come. Where a checksum is stored, all is decoded to check it.
pub fn decode_in_steps(input: &[u8], out: &mut [u8], wanted: Wanted<'_>) -> Result<Part, String> {
    let len = out.len();
    let pays = |end: usize| len >= LARGE || end + BLOCK <= len;
    // Most chunks are small and wanted as a whole: their headers need not be looked at.
    let frame = if pays(wanted.range.end) { Frame::only(input) } else { None };
    if let Some(frame) = frame.filter(|frame| frame.len == len as u64 && len <= 1 << MOST_WINDOW_LOG) {
        let end = if frame.checksum { len } else { wanted.range.end };
        // In one go zstd takes what it refuses block by block, such as blocks that are too long: then what a chunk holds
        // does not depend on how much of it is wanted.
        if pays(end)
            && let Ok(decoded) = with_decoder(|decoder| decoder.decode_in_steps(input, out, end, wanted.told))
        {
            return Ok(Part { decoded, len });
        }
    }
    let len = decode(input, out)?;
    Ok(wanted.all(out, len))
}

/// What the header of a frame says.
struct Frame {
    len: u64,
    checksum: bool,
}

impl Frame {
    /// Of the frame that is all of `input`, if it says how long it is.
    fn only(input: &[u8]) -> Option<Self> {
        const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
        let [descriptor, ..] = *input.strip_prefix(&MAGIC)? else { return None };
        let len = zstd_safe::get_frame_content_size(input).ok()??;
        let whole = zstd_safe::find_frame_compressed_size(input).ok()? == input.len();
        whole.then_some(Self { len, checksum: descriptor & 4 != 0 })
    }
}

struct Decoder(NonNull<ZSTD_DCtx>);

fn with_decoder<T>(f: impl FnOnce(&mut Decoder) -> Result<T, &'static str>) -> Result<T, String> {
    thread_local!(static DECODER: RefCell<Option<Decoder>> = const { RefCell::new(None) });
    DECODER.with_borrow_mut(|kept| {
        let decoder = match kept {
            Some(decoder) => decoder,
            None => kept.insert(Decoder::new()?),
        };
        Ok(f(decoder)?)
    })
}

impl Decoder {
    fn new() -> Result<Self, &'static str> {
        // SAFETY: no conditions; NULL when there is no memory.
        NonNull::new(unsafe { ZSTD_createDCtx() }).map(Self).ok_or("no memory for its decoder")
    }

    fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, &'static str> {
        let (to, from) = (out.as_mut_ptr().cast(), input.as_ptr().cast());
        // SAFETY: the context is ours, and both slices are as long as is said.
        checked(unsafe { ZSTD_decompressDCtx(self.0.as_ptr(), to, out.len(), from, input.len()) })
    }

    fn set(&mut self, parameter: ZSTD_dParameter, value: i32) -> Result<usize, &'static str> {
        // SAFETY: the context is ours; what zstd does not take, it answers with an error.
        checked(unsafe { zstd_sys::ZSTD_DCtx_setParameter(self.0.as_ptr(), parameter, value) })
    }

    /// As the function, of the one frame in `input`, which has `out.len()` bytes; returns how many were decoded.
    fn decode_in_steps(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        end: usize,
        told: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, &'static str> {
        // What was not decoded to its end would still be under way.
        // SAFETY: the context is ours.
        checked(unsafe {
            zstd_sys::ZSTD_DCtx_reset(self.0.as_ptr(), ZSTD_ResetDirective::ZSTD_reset_session_only)
        })?;
        self.set(OUTPUT_STAYS, 1)?;
        self.set(ZSTD_dParameter::ZSTD_d_windowLogMax, MOST_WINDOW_LOG)?;
        let mut to = ZSTD_outBuffer { dst: out.as_mut_ptr().cast(), size: out.len(), pos: 0 };
        let mut from = ZSTD_inBuffer { src: input.as_ptr().cast(), size: 0, pos: 0 };
        let (mut next, mut known) = (FIRST, 0);
        while next != 0 && (known < end || end == out.len()) {
            if from.pos == input.len() {
                return Err("it ends too early");
            }
            // So much at a time that zstd need not keep any of it.
            from.size = (from.pos + next).min(input.len());
            // SAFETY: the context is ours; both buffers lie in their slices, of which the output stays in place.
            next = checked(unsafe { ZSTD_decompressStream(self.0.as_ptr(), &raw mut to, &raw mut from) })?;
            if to.pos >= known + BLOCK || to.pos >= end && to.pos > known {
                known = to.pos;
                // SAFETY: zstd has written as many bytes, and writes none while they are borrowed.
                told(unsafe { std::slice::from_raw_parts(to.dst.cast(), known) });
            }
        }
        if known < end { Err("it ends too early") } else { Ok(known) }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the context came from `ZSTD_createDCtx` and is freed once.
        unsafe { ZSTD_freeDCtx(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(data: &[u8], checksum: bool) -> Vec<u8> {
        let mut encoder = super::super::zstd_encoder::Encoder::new().unwrap();
        let mut out = vec![0; zstd_safe::compress_bound(data.len())];
        let n = encoder.compress(data, &mut out, 1, checksum).unwrap();
        out.truncate(n);
        out
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..len as u64).map(|i| (i * i / 1001 % 241) as u8).collect()
    }

    /// The longest beginning that was told, and how often.
    fn told(input: &[u8], len: usize, end: usize) -> Result<(Vec<u8>, usize), String> {
        let (mut found, mut times, mut out) = (Vec::new(), 0, vec![0; len]);
        let mut told = |bytes: &[u8]| {
            assert!(bytes.len() > found.len());
            found = bytes.to_vec();
            times += 1;
        };
        let part = decode_in_steps(input, &mut out, Wanted { range: 0..end, told: &mut told })?;
        assert_eq!((part.len, part.decoded), (len, found.len()));
        Ok((found, times))
    }

    #[test]
    fn no_more_is_decoded_than_is_wanted() {
        let data = noise(5 << 20);
        let input = frame(&data, false);
        for end in [1, BLOCK, BLOCK + 1, 2 << 20, data.len()] {
            let (found, times) = told(&input, data.len(), end).unwrap();
            assert_eq!(found, data[..found.len()]);
            assert!((end..end + BLOCK).contains(&found.len()), "{end}: {}", found.len());
            assert_eq!(times, found.len().div_ceil(BLOCK));
        }
    }

    #[test]
    fn chunks_may_be_larger_than_the_window_that_streams_have_by_default() {
        let data = vec![5; 130 << 20];
        let (found, _) = told(&frame(&data, false), data.len(), 1).unwrap();
        assert_eq!(found, data[..BLOCK]);
    }

    #[test]
    fn a_checksum_is_checked_whatever_is_wanted() {
        let data = noise(3 << 20);
        let mut input = frame(&data, true);
        assert_eq!(told(&input, data.len(), 1).unwrap().0, data);
        *input.last_mut().unwrap() ^= 1;
        assert!(told(&input, data.len(), 1).is_err());
        assert!(told(&frame(&data, true), data.len(), 1).is_ok(), "the decoder goes on after an error");
    }

    #[test]
    fn what_is_not_one_whole_frame_of_that_length_is_decoded_in_one_go() {
        let data = noise(2 << 20);
        let halves = [frame(&data[..1 << 20], false), frame(&data[1 << 20..], false)].concat();
        assert_eq!(told(&halves, data.len(), 1).unwrap(), (data.clone(), 1));
        let input = frame(&data, false);
        assert!(told(&input[..input.len() - 1], data.len(), 1).is_err());
        assert!(told(&input, data.len() - 1, 1).is_err());
        let wanted = Wanted { range: 0..1, told: &mut |_| panic!("the chunk is longer") };
        assert_eq!(decode_in_steps(&input, &mut vec![0; data.len() + 1], wanted).unwrap().len, data.len());
    }
}
