//! Blosc's frames: blocks, each of which decodes by itself.

use std::ops::Range;
use std::ptr;

use super::steps::{Part, Wanted};

/// Decode a frame into `out`; returns how many bytes came.
pub fn decode(input: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let len = validated(input)?;
    if len > out.len() {
        return Err(format!("it holds {len} bytes"));
    }
    // SAFETY: `input` is a frame that lies within its slice (validated), and `out` has room for `out.len()` bytes.
    let rc = unsafe {
        blosc_src::blosc_decompress_ctx(input.as_ptr().cast(), out.as_mut_ptr().cast(), out.len(), 1)
    };
    came(rc)
}

/// Decode the blocks of a chunk, which takes all of `out`, that have something wanted.
pub fn decode_in_part(input: &[u8], out: &mut [u8], wanted: Wanted<'_>) -> Result<Part, String> {
    let len = validated(input)?;
    let Some(items) = Items::of(input, len, &wanted.range).filter(|_| len == out.len()) else {
        let len = decode(input, out)?;
        return Ok(wanted.all(out, len));
    };
    let Items { first, count, size, decoded } = items;
    let (from, to) = (first * size, (first + count) * size);
    let into = out[from..to].as_mut_ptr().cast();
    // SAFETY: as above; the items lie within the frame, which has at most `c_int::MAX` bytes, and `into` has room for them.
    let rc = unsafe { blosc_src::blosc_getitem(input.as_ptr().cast(), first as i32, count as i32, into) };
    if came(rc)? != to - from {
        return Err(format!("{rc} bytes came of {}", to - from));
    }
    (wanted.told)(0, &out[..to]);
    Ok(Part { decoded, len })
}

/// How many bytes a frame holds, if it may be decoded.
fn validated(input: &[u8]) -> Result<usize, String> {
    if input.is_empty() {
        return Err("no bytes".to_owned());
    }
    let mut len = 0;
    // SAFETY: reads at most `input.len()` bytes of `input` and writes `len`.
    let rc = unsafe { blosc_src::blosc_cbuffer_validate(input.as_ptr().cast(), input.len(), &raw mut len) };
    if rc == 0 { Ok(len) } else { Err("not a blosc frame, or truncated".to_owned()) }
}

fn came(rc: i32) -> Result<usize, String> {
    usize::try_from(rc).map_err(|_| format!("corrupted (error {rc})"))
}

/// The items, as blosc calls elements, that have to be decoded.
struct Items {
    first: usize,
    count: usize,
    /// Bytes of an item.
    size: usize,
    /// Bytes of their blocks.
    decoded: usize,
}

impl Items {
    /// Those of `range`, if they are fewer than all blocks. `input` is a frame that holds `len` bytes.
    fn of(input: &[u8], len: usize, range: &Range<usize>) -> Option<Self> {
        let (mut size, mut block, mut flags) = (0, 0, 0);
        // SAFETY: both read the header, which a validated frame has, and write what they are given.
        unsafe {
            let frame = input.as_ptr().cast();
            blosc_src::blosc_cbuffer_metainfo(frame, &raw mut size, &raw mut flags);
            blosc_src::blosc_cbuffer_sizes(
                frame,
                ptr::from_mut(&mut 0),
                ptr::from_mut(&mut 0),
                &raw mut block,
            );
        }
        if size == 0 || block == 0 || range.is_empty() || i32::try_from(len).is_err() {
            return None;
        }
        let (first, end) = (range.start / size, range.end.div_ceil(size));
        let blocks = first * size / block * block..(end * size).next_multiple_of(block).min(len);
        (end * size <= len && blocks.len() < len).then_some(Self {
            first,
            count: end - first,
            size,
            decoded: blocks.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of u16.
    fn frame(data: &[u8], level: i32) -> Vec<u8> {
        let mut out = vec![0; data.len() + blosc_src::BLOSC_MAX_OVERHEAD as usize];
        let (to, from) = (out.as_mut_ptr().cast(), data.as_ptr().cast());
        // SAFETY: both slices are as long as is said, and the name ends with a zero.
        let n = unsafe {
            let (name, room) = (c"lz4".as_ptr(), out.len());
            blosc_src::blosc_compress_ctx(level, 1, 2, data.len(), from, to, room, name, 8192, 1)
        };
        out.truncate(n as usize);
        out
    }

    #[test]
    fn only_blocks_with_something_wanted_are_decoded() {
        let data: Vec<u8> = (0..(1 << 20) + 70_u32).map(|i| (i / 10 * (i / 1000) % 7) as u8).collect();
        for level in [0, 5] {
            let input = frame(&data, level);
            let block = u32::from_le_bytes(input[8..12].try_into().unwrap()) as usize;
            assert!(block * 4 < data.len(), "{block}");
            let ends = 3 * block + 3..data.len();
            for range in [0..1, 5..block, block..block + 1, block - 1..block + 1, ends, 0..data.len()] {
                let (mut out, mut found) = (vec![1; data.len()], Vec::new());
                let mut told = |_, bytes: &[u8]| {
                    found = bytes.to_vec();
                    usize::MAX
                };
                let wanted = Wanted { range: range.clone(), unit: 0, told: &mut told };
                let Part { decoded, len } = decode_in_part(&input, &mut out, wanted).unwrap();
                assert_eq!(len, data.len());
                assert_eq!(found[range.clone()], data[range.clone()], "{range:?}");
                let blocks = range.start / block * block..range.end.next_multiple_of(block).min(len);
                assert_eq!(decoded, blocks.len(), "{range:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_longer_than_the_chunk_is_an_error() {
        let data = vec![3; 100_000];
        let input = frame(&data, 5);
        let told = |input: &[u8], len: usize| {
            let wanted = Wanted { range: 0..10, unit: 0, told: &mut |_, _| usize::MAX };
            decode_in_part(input, &mut vec![0; len], wanted).map(|part| part.len)
        };
        assert_eq!(told(&input, data.len()), Ok(data.len()));
        assert!(told(&input[..input.len() - 1], data.len()).is_err());
        assert!(told(&input, data.len() - 1).is_err());
        assert_eq!(told(&input, data.len() + 1), Ok(data.len()));
        assert!(told(&[], 10).is_err());
    }
}
