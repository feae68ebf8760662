//! From bytes to elements, for codecs whose decoders in zarrs believe what is stored.
//!
//! pcodec's and gdeflate's allocate what a chunk claims to hold, zfp's reads beyond the end of a chunk that is cut short
//! and, with a header, writes as many elements as that says, and that of nested shards does what inner codecs say. Here
//! each is held to what the chunk can need.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use pco::data_types::Number;
use zarrs::array::codec::api::{ArrayToBytesCodecTraits, CodecOptions};
use zarrs::array::codec::{
    PcodecCodec, PcodecDataTypeExt, PcodecElementType, ShardingCodec, ZfpCodec, ZfpyCodec,
};
use zarrs::array::{ArrayBytes, BytesRepresentation, DataType, FillValue};

use super::super::error::{Error, Result, Status};
use super::super::scratch::zeroed;
use super::super::shard::{ShardLayout, Sharding};
use super::super::upstream;
use super::{nested, steps, zfp};

/// How the output of an array-to-bytes codec becomes elements.
#[derive(Clone, Debug)]
pub enum Elements {
    Pcodec(PcodecElementType),
    /// The most bytes that a chunk may have.
    Zfp(usize),
    /// zfp behind a header of its own.
    Zfpy,
    Shard(Arc<(Sharding, ShardLayout)>),
    /// Through zarrs, whose decoder takes only what the chunk's shape says.
    Other,
}

/// What a codec's output is decoded to.
pub type Stage = (Vec<NonZeroU64>, DataType, FillValue);

impl Elements {
    /// `encoded`: what the codec says of its output. `len`: bytes of the decoded elements.
    pub fn new(
        codec: &dyn ArrayToBytesCodecTraits,
        (shape, data_type, fill_value): &Stage,
        encoded: &BytesRepresentation,
        len: usize,
    ) -> Result<Self> {
        let any = codec.as_any();
        if any.is::<PcodecCodec>() {
            let pcodec = data_type.codec_pcodec().map_err(Error::unsupported)?;
            return Ok(Self::Pcodec(pcodec.pcodec_element_type()));
        }
        if any.is::<ZfpyCodec>() {
            return Ok(Self::Zfpy);
        }
        if any.is::<ZfpCodec>() {
            let most = encoded.size().and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            let sane = most > 0 && most <= steps::generous(len);
            return sane.then_some(Self::Zfp(most)).ok_or_else(|| {
                Error::invalid(format_args!("zfp: its parameters make {most} bytes of a chunk of {len}"))
            });
        }
        if any.is::<ShardingCodec>() && data_type.fixed_size().is_some() {
            let sharding = Sharding::of_codec(codec, data_type, fill_value)?;
            let layout = sharding.layout(&shape.iter().map(|n| n.get()).collect::<Vec<_>>())?;
            return Ok(Self::Shard(Arc::new((sharding, layout))));
        }
        Ok(Self::Other)
    }

    /// Decode `bytes` to elements of `stage`, which take `len` bytes.
    pub fn decode<'a>(
        &self,
        codec: &dyn ArrayToBytesCodecTraits,
        bytes: Cow<'a, [u8]>,
        stage: &Stage,
        len: usize,
        options: &CodecOptions,
    ) -> Result<ArrayBytes<'a>> {
        let (shape, data_type, fill_value) = stage;
        let bytes = match self {
            Self::Pcodec(element) => return pcodec(*element, &bytes, len).map(ArrayBytes::from),
            Self::Shard(shard) => {
                let (sharding, layout) = &**shard;
                return nested::decode(sharding, layout, &bytes, fill_value.as_ne_bytes(), len)
                    .map(ArrayBytes::from);
            }
            Self::Zfp(most) => Cow::Owned(zfp::padded(&bytes, *most)?),
            Self::Zfpy => {
                let most = zfp::checked_header(&bytes, shape, data_type, steps::generous(len))?;
                Cow::Owned(zfp::padded(&bytes, most)?)
            }
            Self::Other => bytes,
        };
        upstream::call(Status::Codec, || {
            codec.decode(bytes, shape, data_type, fill_value, options).map_err(Error::codec)
        })
    }
}

fn pcodec(element: PcodecElementType, bytes: &[u8], len: usize) -> Result<Vec<u8>> {
    match element {
        PcodecElementType::U16 => pcodec_as::<u16>(bytes, len),
        PcodecElementType::U32 => pcodec_as::<u32>(bytes, len),
        PcodecElementType::U64 => pcodec_as::<u64>(bytes, len),
        PcodecElementType::I16 => pcodec_as::<i16>(bytes, len),
        PcodecElementType::I32 => pcodec_as::<i32>(bytes, len),
        PcodecElementType::I64 => pcodec_as::<i64>(bytes, len),
        PcodecElementType::F16 => pcodec_as::<half::f16>(bytes, len),
        PcodecElementType::F32 => pcodec_as::<f32>(bytes, len),
        PcodecElementType::F64 => pcodec_as::<f64>(bytes, len),
    }
}

fn pcodec_as<T: Number + Default>(bytes: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut numbers = zeroed::<T>(len / size_of::<T>())?;
    let progress = upstream::call(Status::Codec, || {
        pco::standalone::simple_decompress_into(bytes, &mut numbers).map_err(|error| {
            Error::codec(format_args!("pcodec cannot decode {} bytes: {error}", bytes.len()))
        })
    })?;
    if progress.n_processed != numbers.len() || !progress.finished {
        let (n, more) = (progress.n_processed, if progress.finished { "" } else { " and more" });
        return Err(Error::codec(format_args!(
            "pcodec: {n} numbers{more} are stored, expected {}",
            numbers.len()
        )));
    }
    let mut out = zeroed::<u8>(len)?;
    // SAFETY: numbers have no padding, and all of their bytes are read as bytes.
    let decoded = unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast::<u8>(), len) };
    out.copy_from_slice(decoded);
    Ok(out)
}
