//! zstd's decoder, kept from chunk to chunk. It decodes a chunk in one go, or block by block and no further than wanted.
//!
//! Called through its C interface, where blocks may be decoded to wherever the last ones still lie: zstd-safe only has
//! streams, which are decoded into a window of zstd's own and copied from there.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use zstd_safe::zstd_sys::{
    ZSTD_DCtx, ZSTD_FrameHeader, ZSTD_FrameType_e, ZSTD_createDCtx, ZSTD_decodingBufferSize_min,
    ZSTD_decompressBegin, ZSTD_decompressContinue, ZSTD_decompressDCtx, ZSTD_freeDCtx, ZSTD_getFrameHeader,
    ZSTD_nextSrcSizeToDecompress,
};

use super::ring::Ring;
use super::steps::{Told, Wanted};
use super::zstd_encoder::checked;

/// Most bytes of one block, decoded.
const BLOCK: usize = 128 << 10;

/// Chunks from so many bytes on do not stay in a core's own cache until they are decoded.
const LARGE: usize = 1 << 20;

/// Decode all frames of `input` into `out`; returns how many bytes came.
pub fn decode(input: &[u8], out: &mut [u8]) -> Result<usize, String> {
    with_decoder(|decoder| decoder.decode(input, out))
}

/// A chunk that is decoded block by block, no further than wanted, and no more of it kept than zstd and whoever is told
/// still need.
pub struct Steps {
    /// Bytes of the chunk.
    len: usize,
    /// How many are decoded at least. Where a checksum is stored, all are, to check it.
    end: usize,
    /// Bytes of the ring that blocks are decoded into.
    ring: usize,
    /// Bytes before the ring, for what is still needed when it begins anew.
    before: usize,
    /// Most bytes of a block.
    block: usize,
}

impl Steps {
    /// `None` for chunks of `len` bytes that are not one frame of as many, and for those that are as well decoded in one go.
    pub fn of(input: &[u8], len: usize, wanted: &Wanted<'_>) -> Option<Self> {
        let pays = |end: usize| len >= LARGE || end + BLOCK <= len;
        // Most chunks are small and wanted as a whole: their headers need not be looked at.
        if !pays(wanted.range.end) {
            return None;
        }
        let header = only_frame(input).filter(|header| header.frameContentSize == len as u64)?;
        let end = if header.checksumFlag == 0 { wanted.range.end } else { len };
        // SAFETY: computes.
        let ring = unsafe { ZSTD_decodingBufferSize_min(header.windowSize, header.frameContentSize) };
        let has_room = |ring: &usize| ring.saturating_add(wanted.unit) <= len / 2;
        let (ring, before) = checked(ring).ok().filter(has_room).map_or((len, 0), |ring| (ring, wanted.unit));
        pays(end).then_some(Self { len, end, ring, before, block: header.blockSizeMax as usize })
    }

    /// Bytes that it takes to decode into.
    pub fn room(&self) -> usize {
        self.before + self.ring
    }

    /// Decode, and tell what there is as often as some more has come. Returns how many bytes were decoded.
    pub fn decode(&self, input: &[u8], room: &mut [u8], told: Told<'_>) -> Result<usize, String> {
        debug_assert_eq!(room.len(), self.room());
        with_decoder(|decoder| decoder.decode_in_steps(input, self, Ring::new(room, self.before, told)))
    }
}

/// The header of the frame that is all of `input`.
fn only_frame(input: &[u8]) -> Option<ZSTD_FrameHeader> {
    let mut header = MaybeUninit::uninit();
    let from = input.as_ptr().cast();
    // SAFETY: reads no more than the input has, and fills the header if it returns 0.
    let rest = unsafe { ZSTD_getFrameHeader(header.as_mut_ptr(), from, input.len()) };
    if rest != 0 {
        return None;
    }
    // SAFETY: it was filled.
    let header = unsafe { header.assume_init() };
    let is_whole = zstd_safe::find_frame_compressed_size(input).ok()? == input.len();
    (header.frameType == ZSTD_FrameType_e::ZSTD_frame && is_whole).then_some(header)
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

    /// As [`Steps::decode`].
    fn decode_in_steps(
        &mut self,
        input: &[u8],
        steps: &Steps,
        mut ring: Ring<'_>,
    ) -> Result<usize, &'static str> {
        let Steps { len, end, block, .. } = *steps;
        let context = self.0.as_ptr();
        // SAFETY: the context is ours.
        checked(unsafe { ZSTD_decompressBegin(context) })?;
        let mut taken = 0;
        while ring.known < end || end == len {
            // SAFETY: the context is ours.
            let next = unsafe { ZSTD_nextSrcSizeToDecompress(context) };
            if next == 0 {
                break;
            }
            let from = input.get(taken..taken + next).ok_or("it ends too early")?;
            taken += next;
            // As zstd's own streams do, so that a frame that looks further back than it says finds the same.
            if steps.ring < len && ring.left() < block {
                ring.begin_anew()?;
            }
            let (to, room) = (ring.free(), ring.left());
            // SAFETY: the context is ours, the input is as long as is said, and so is the ring's free room. Of what came
            // before, zstd finds where it was put as much as a frame may refer to: a ring is as long as zstd wants it.
            let came =
                unsafe { ZSTD_decompressContinue(context, to.cast(), room, from.as_ptr().cast(), next) };
            ring.filled(checked(came)?);
            if ring.known > len {
                return Err("it holds more than it says");
            }
            if ring.known >= ring.said + BLOCK || ring.known >= end {
                ring.tell();
            }
        }
        if ring.known < end { Err("it ends too early") } else { Ok(ring.known) }
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

    struct Found {
        bytes: Vec<u8>,
        /// How often some were told.
        times: usize,
        /// How much room it took.
        room: usize,
    }

    /// What is told by somebody who needs `unit` bytes again each time. `None` where it is decoded in one go.
    fn told(input: &[u8], len: usize, end: usize, unit: usize) -> Option<Result<Found, String>> {
        let (mut found, mut times) = (Vec::<u8>::new(), 0);
        let mut told = |from: usize, bytes: &[u8]| {
            let (known, there) = (found.len(), from + bytes.len());
            assert!(there > known && from <= known.saturating_sub(unit), "{from} {there} after {known}");
            assert_eq!(found[from..], bytes[..known - from], "what was told before is still as it was");
            found.extend(&bytes[known - from..]);
            times += 1;
            there.saturating_sub(unit)
        };
        let steps = Steps::of(input, len, &Wanted { range: 0..end, unit, told: &mut |_, _| 0 })?;
        let decoded = steps.decode(input, &mut vec![0; steps.room()], &mut told);
        Some(decoded.map(|decoded| {
            assert_eq!(decoded, found.len());
            Found { bytes: found, times, room: steps.room() }
        }))
    }

    #[test]
    fn no_more_is_decoded_than_is_wanted() {
        let data = noise(5 << 20);
        let input = frame(&data, false);
        for end in [1, BLOCK, BLOCK + 1, 2 << 20, data.len()] {
            let Found { bytes, times, .. } = told(&input, data.len(), end, 0).unwrap().unwrap();
            assert!(bytes == data[..bytes.len()]);
            assert!((end..end + BLOCK).contains(&bytes.len()), "{end}: {}", bytes.len());
            assert_eq!(times, bytes.len().div_ceil(BLOCK));
        }
    }

    #[test]
    fn no_more_room_is_taken_than_zstd_looks_back() {
        let data = noise(5 << 20);
        for len in [5 << 20, (5 << 20) - 77_777] {
            let input = frame(&data[..len], false);
            for unit in [0, 1, 1000, BLOCK + 1, 1 << 20] {
                let Found { bytes, room, .. } = told(&input, len, len, unit).unwrap().unwrap();
                assert!(bytes == data[..len], "{len} {unit}");
                assert!(room < (1 << 20) + unit, "the window of level 1 has half a megabyte: {room}");
            }
            let Found { bytes, room, .. } = told(&input, len, len, 3 << 20).unwrap().unwrap();
            assert!(bytes == data[..len]);
            assert_eq!(room, len, "so much is needed at once");
        }
    }

    #[test]
    fn chunks_may_be_larger_than_the_window_that_streams_have_by_default() {
        let data = vec![5; 130 << 20];
        let found = told(&frame(&data, false), data.len(), 1, 1).unwrap().unwrap();
        assert_eq!(found.bytes, data[..BLOCK]);
    }

    #[test]
    fn a_checksum_is_checked_whatever_is_wanted() {
        let data = noise(3 << 20);
        let mut input = frame(&data, true);
        assert!(told(&input, data.len(), 1, 1).unwrap().unwrap().bytes == data);
        *input.last_mut().unwrap() ^= 1;
        assert!(told(&input, data.len(), 1, 1).unwrap().is_err());
        assert!(
            told(&frame(&data, true), data.len(), 1, 1).unwrap().is_ok(),
            "the decoder goes on after an error"
        );
    }

    #[test]
    fn what_is_not_one_whole_frame_of_that_length_is_decoded_in_one_go() {
        let data = noise(2 << 20);
        let halves = [frame(&data[..1 << 20], false), frame(&data[1 << 20..], false)].concat();
        let input = frame(&data, false);
        for (input, len) in [
            (&halves[..], data.len()),
            (&input[..input.len() - 1], data.len()),
            (&input, data.len() - 1),
            (&[], 0),
        ] {
            assert!(told(input, len, 1, 1).is_none());
        }
        assert!(told(&input, data.len(), 1, 1).is_some());
    }
}
