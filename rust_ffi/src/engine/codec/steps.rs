//! Bytes-to-bytes codecs, decoded into buffers of bounded size.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use zarrs::array::BytesRepresentation;
use zarrs::array::codec::api::{BytesToBytesCodecTraits, CodecOptions};
use zarrs::array::codec::{
    BloscCodec, Bz2Codec, Crc32cCodec, Fletcher32Codec, GDeflateCodec, GzipCodec, ZlibCodec, ZstdCodec,
};

use super::super::error::{Error, Result, Status};
use super::super::scratch::PageBuf;
use super::super::upstream;
use super::{blosc, zstd_decoder};

/// One bytes-to-bytes codec.
#[derive(Clone, Debug)]
pub enum Step {
    Zstd {
        level: i32,
        checksum: bool,
    },
    Blosc,
    Gzip,
    Zlib,
    Bz2,
    GDeflate,
    Crc32c,
    Fletcher32,
    /// Through zarrs.
    Other(Arc<dyn BytesToBytesCodecTraits>),
}

fn zstd_step(codec: &dyn BytesToBytesCodecTraits) -> Step {
    let configuration = super::chain::configuration(codec);
    let level = configuration.get("level").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let checksum = configuration.get("checksum").and_then(serde_json::Value::as_bool).unwrap_or(false);
    Step::Zstd { level: level.try_into().unwrap_or(0), checksum }
}

impl Step {
    pub fn new(codec: &Arc<dyn BytesToBytesCodecTraits>) -> Self {
        let any = codec.as_any();
        match () {
            () if any.is::<ZstdCodec>() => zstd_step(&**codec),
            () if any.is::<BloscCodec>() => Self::Blosc,
            () if any.is::<GzipCodec>() => Self::Gzip,
            () if any.is::<ZlibCodec>() => Self::Zlib,
            () if any.is::<Bz2Codec>() => Self::Bz2,
            () if any.is::<GDeflateCodec>() => Self::GDeflate,
            () if any.is::<Crc32cCodec>() => Self::Crc32c,
            () if any.is::<Fletcher32Codec>() => Self::Fletcher32,
            () => Self::Other(codec.clone()),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Zstd { .. } => "zstd",
            Self::Blosc => "blosc",
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Bz2 => "bz2",
            Self::GDeflate => "gdeflate",
            Self::Crc32c => "crc32c",
            Self::Fletcher32 => "fletcher32",
            Self::Other(_) => "codec",
        }
    }

    /// Decode `input` into `out`, which holds as much as may come out; returns how much did.
    fn decompress(&self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let room = out.len();
        let result = match self {
            Self::Zstd { .. } => zstd_decoder::decode(input, out),
            Self::Blosc => blosc::decode(input, out),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(input), out),
            Self::Zlib => read_all(flate2::read::ZlibDecoder::new(input), out),
            Self::Bz2 => read_all(bzip2::read::MultiBzDecoder::new(input), out),
            Self::GDeflate => super::gdeflate::decode(input, out),
            Self::Crc32c | Self::Fletcher32 | Self::Other(_) => {
                unreachable!("decoded without a buffer of ours")
            }
        };
        result.map_err(|text| self.failed(input, room, &text))
    }

    /// Decode `input`, a chunk of `len` bytes, as far as is wanted and as its bytes come.
    fn decompress_in_part(
        &self,
        input: &[u8],
        buffer: &mut PageBuf,
        len: usize,
        wanted: Wanted<'_>,
    ) -> Result<Part> {
        match self {
            Self::Zstd { .. } => {
                if let Some(steps) = zstd_decoder::Steps::of(input, len, &wanted)
                    // In one go zstd takes what it refuses block by block, such as blocks that are too long.
                    && let Ok(decoded) = steps.decode(input, buffer.get(steps.room())?, wanted.told)
                {
                    return Ok(Part { decoded, len });
                }
            }
            Self::Blosc => {
                let part = blosc::decode_in_part(input, buffer.get(len)?, wanted);
                return part.map_err(|text| self.failed(input, len, &text));
            }
            _ => {}
        }
        let out = buffer.get(len)?;
        let decoded = self.decompress(input, out)?;
        Ok(wanted.all(out, decoded))
    }

    fn failed(&self, input: &[u8], room: usize, why: &str) -> Error {
        let (name, n) = (self.name(), input.len());
        Error::codec(format_args!("{name} cannot decode {n} bytes into at most {room}: {why}"))
    }
}

/// Given where some bytes of a chunk begin, and these. Says from where on bytes have to be there the next time.
pub type Told<'a> = &'a mut dyn FnMut(usize, &[u8]) -> usize;

/// What is wanted of a chunk.
pub struct Wanted<'a> {
    /// The bytes that are not in here are not wanted.
    pub range: Range<usize>,
    /// The most bytes that have to be there at once.
    pub unit: usize,
    /// Called once or more often, the last time with bytes up to the end of those that are wanted. Those before `range` may
    /// be anything.
    pub told: Told<'a>,
}

impl Wanted<'_> {
    /// All has been decoded: `len` bytes.
    pub(super) fn all(self, out: &[u8], len: usize) -> Part {
        if len == out.len() {
            (self.told)(0, out);
        }
        Part { decoded: len, len }
    }
}

/// What was decoded of a chunk.
pub struct Part {
    /// How many bytes.
    pub decoded: usize,
    /// How many there are.
    pub len: usize,
}

/// Where the decoded bytes go.
pub enum Target<'a> {
    /// Wherever they happen to be.
    Anywhere,
    /// There, if the last codec can put them there: exactly as many must come.
    Memory(&'a mut [u8]),
    /// To whoever is told. The chunk must have exactly `len`.
    Told { wanted: Wanted<'a>, len: usize },
}

/// What the steps leave: where the decoded bytes are.
pub enum Output<'a> {
    Slice(&'a [u8]),
    Owned(Vec<u8>),
    /// Where the target says; so many were decoded.
    There(usize),
}

/// What an honest encoder may need for a chunk of `decoded_len` bytes, where no codec says more.
pub fn generous(decoded_len: usize) -> usize {
    decoded_len.saturating_mul(2).saturating_add(1 << 20)
}

/// The most bytes that may come out of each step, in encoding order: `limits[i]` is the input of step `i`.
pub fn limits(
    first: &BytesRepresentation,
    steps: &[Arc<dyn BytesToBytesCodecTraits>],
    decoded_len: usize,
) -> Vec<usize> {
    let generous = generous(decoded_len);
    let mut representation = *first;
    let mut limits = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let bound = representation.size().map_or(generous, |n| usize::try_from(n).unwrap_or(usize::MAX));
        // Only the array-to-bytes codec's output is of exact size. Other encoders than zarrs' may exceed its bounds.
        limits.push(if i == 0 { bound } else { bound.max(generous) });
        representation = step.encoded_representation(&representation);
    }
    limits
}

/// Decode `input` through `steps`, last one first.
pub fn decode<'a>(
    steps: &[Step],
    limits: &[usize],
    input: &'a [u8],
    buffers: &'a mut [PageBuf; 2],
    mut target: Target<'_>,
    options: &CodecOptions,
) -> Result<Output<'a>> {
    enum At {
        Input(usize, usize),
        Buffer(usize, usize, usize),
        Owned(Vec<u8>),
    }
    let mut at = At::Input(0, input.len());
    for (i, step) in steps.iter().enumerate().rev() {
        let [first, second] = &mut *buffers;
        let (current, spare, spare_index): (&[u8], &mut PageBuf, usize) = match &at {
            At::Input(start, end) => (&input[*start..*end], first, 0),
            At::Buffer(0, start, end) => (&first.get(*end)?[*start..], second, 1),
            At::Buffer(_, start, end) => (&second.get(*end)?[*start..], first, 0),
            At::Owned(bytes) => (&bytes[..], first, 0),
        };
        at = match step {
            Step::Crc32c | Step::Fletcher32 => {
                let checksum = if matches!(step, Step::Crc32c) { crc32c::crc32c } else { fletcher32 };
                let len = checked(current, step.name(), checksum)?.len();
                match at {
                    At::Input(start, _) => At::Input(start, start + len),
                    At::Buffer(buffer, start, _) => At::Buffer(buffer, start, start + len),
                    At::Owned(mut bytes) => {
                        bytes.truncate(len);
                        At::Owned(bytes)
                    }
                }
            }
            Step::Other(codec) => {
                let representation = BytesRepresentation::BoundedSize(limits[i] as u64);
                let decode = || codec.decode(Cow::Borrowed(current), &representation, options);
                At::Owned(upstream::call(Status::Codec, || decode().map_err(Error::codec))?.into_owned())
            }
            _ => {
                let (part, expected) = match std::mem::replace(&mut target, Target::Anywhere) {
                    Target::Memory(out) if i == 0 => {
                        let len = step.decompress(current, out)?;
                        (Part { decoded: len, len }, out.len())
                    }
                    Target::Told { wanted, len } if i == 0 => {
                        (step.decompress_in_part(current, spare, len, wanted)?, len)
                    }
                    later => {
                        target = later;
                        let len = step.decompress(current, spare.get(limits[i])?)?;
                        at = At::Buffer(spare_index, 0, len);
                        continue;
                    }
                };
                let Part { decoded, len } = part;
                return if len == expected {
                    Ok(Output::There(decoded))
                } else {
                    Err(wrong_length(len, expected))
                };
            }
        };
    }
    Ok(match at {
        At::Input(start, end) => Output::Slice(&input[start..end]),
        At::Buffer(buffer, start, end) => Output::Slice(&buffers[buffer].get(end)?[start..]),
        At::Owned(bytes) => Output::Owned(bytes),
    })
}

pub fn wrong_length(got: usize, expected: usize) -> Error {
    Error::codec(format_args!("the chunk decodes to {got} bytes, expected {expected}"))
}

/// The bytes before a checksum that holds.
fn checked<'a>(input: &'a [u8], name: &str, checksum: impl Fn(&[u8]) -> u32) -> Result<&'a [u8]> {
    let Some((bytes, stored)) = input.split_last_chunk::<4>() else {
        return Err(Error::codec(format_args!("{} bytes are too few for a {name} checksum", input.len())));
    };
    let (stored, computed) = (u32::from_le_bytes(*stored), checksum(bytes));
    if stored != computed {
        return Err(Error::codec(format_args!(
            "{name} checksum is {computed:#010x}, stored is {stored:#010x}"
        )));
    }
    Ok(bytes)
}

/// HDF5's variant of Fletcher's checksum: big-endian words, the last of which may be half there. Ours because zarrs'
/// passes over a last odd byte.
pub fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut sum1, mut sum2) = (0u32, 0u32);
    // So many words can be summed without overflow.
    for block in bytes.chunks(2 * 360) {
        for word in block.chunks(2) {
            sum1 += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
            sum2 += sum1;
        }
        (sum1, sum2) = (fold(sum1), fold(sum2));
    }
    fold(sum2) << 16 | fold(sum1)
}

/// Read everything into `out`; it is an error when there is more.
fn read_all(mut reader: impl Read, out: &mut [u8]) -> Result<usize, String> {
    let mut len = 0;
    loop {
        // At the end one byte more is asked for: it must not come, and asking makes the decoder check its trailer.
        let mut beyond = [0; 1];
        let rest = if len < out.len() { &mut out[len..] } else { &mut beyond[..] };
        match reader.read(rest) {
            Ok(0) => return Ok(len),
            Ok(_) if len == out.len() => return Err("it holds more".to_owned()),
            Ok(n) => len += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
