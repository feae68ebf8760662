//! Encoding: from a chunk's elements to the bytes that are stored. What decoding does, backwards.
//!
//! zstd and the checksums run into buffers that are kept; every other codec is zarrs' own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use zarrs::array::ArrayBytes;
use zarrs::array::codec::api::{ArrayToBytesCodecTraits, BytesToBytesCodecTraits, CodecOptions};

use super::super::Dims;
use super::super::error::{Error, Result};
use super::super::scatter::c_strides;
use super::super::scratch::PageBuf;
use super::chain::{ChunkCodec, codec_options};
use super::steps::{Step, fletcher32};
use super::zstd_encoder::Encoder;

impl ChunkCodec {
    /// Where the elements of each dimension must lie in what [`Self::encode`] takes. `generic`: for zarrs alone.
    pub fn element_strides(&self, generic: bool) -> Dims<isize> {
        match &self.direct {
            Some(strides) if !generic => strides.clone(),
            _ => c_strides(&self.shape().collect::<Dims<_>>(), self.chain.itemsize),
        }
    }

    /// Encode a chunk's elements, which lie as [`Self::element_strides`] says. `generic`: by zarrs alone.
    pub fn encode<'a>(
        &self,
        elements: &'a [u8],
        buffers: &'a mut [PageBuf; 2],
        generic: bool,
    ) -> Result<Cow<'a, [u8]>> {
        debug_assert_eq!(elements.len(), self.decoded_len());
        let options = codec_options();
        if generic {
            return self.encode_by_zarrs(elements, &options);
        }
        let bytes = match self.direct {
            Some(_) => Cow::Borrowed(elements),
            None => self.encode_elements(elements, &options)?,
        };
        encode_steps(&self.chain.steps, self.chain.codecs.bytes_to_bytes_codecs(), bytes, buffers, &options)
    }

    /// From elements to what the steps take, by zarrs' array codecs.
    fn encode_elements<'a>(&self, elements: &'a [u8], options: &CodecOptions) -> Result<Cow<'a, [u8]>> {
        let codecs = &self.chain.codecs;
        let mut array = ArrayBytes::new_flen(elements);
        for (codec, stage) in codecs.array_to_array_codecs().iter().zip(&self.stages) {
            array = codec.encode(array, &stage.0, &stage.1, &stage.2, options).map_err(failed)?;
        }
        let (shape, data_type, fill_value) = self.stages.last().expect("there is always one");
        codecs.array_to_bytes_codec().encode(array, shape, data_type, fill_value, options).map_err(failed)
    }

    fn encode_by_zarrs<'a>(&self, elements: &'a [u8], options: &CodecOptions) -> Result<Cow<'a, [u8]>> {
        let chain = &self.chain;
        let array = ArrayBytes::new_flen(elements);
        chain.codecs.encode(array, &self.shape, &chain.data_type, &chain.fill_value, options).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::codec(format_args!("cannot encode the chunk: {error}"))
}

/// Encode `bytes` through `steps`, whose codecs `codecs` are.
fn encode_steps<'a>(
    steps: &[Step],
    codecs: &[Arc<dyn BytesToBytesCodecTraits>],
    bytes: Cow<'a, [u8]>,
    buffers: &'a mut [PageBuf; 2],
    options: &CodecOptions,
) -> Result<Cow<'a, [u8]>> {
    enum At<'a> {
        Bytes(Cow<'a, [u8]>),
        Buffer(usize, usize),
    }
    let mut at = At::Bytes(bytes);
    for (step, codec) in steps.iter().zip(codecs) {
        let [first, second] = &mut *buffers;
        let (current, spare, spare_index): (&[u8], &mut PageBuf, usize) = match &at {
            At::Bytes(bytes) => (bytes, first, 0),
            At::Buffer(0, len) => (first.filled(*len), second, 1),
            At::Buffer(_, len) => (second.filled(*len), first, 0),
        };
        at = match step {
            Step::Zstd { level, checksum } => {
                At::Buffer(spare_index, zstd(current, spare, *level, *checksum)?)
            }
            Step::Crc32c => At::Buffer(spare_index, append(current, spare, crc32c::crc32c)?),
            Step::Fletcher32 => At::Buffer(spare_index, append(current, spare, fletcher32)?),
            _ => {
                let encoded = codec.encode(Cow::Borrowed(current), options).map_err(failed)?;
                At::Bytes(Cow::Owned(encoded.into_owned()))
            }
        };
    }
    Ok(match at {
        At::Bytes(bytes) => bytes,
        At::Buffer(buffer, len) => Cow::Borrowed(buffers[buffer].filled(len)),
    })
}

/// Compress into `out`; returns how many bytes that gave.
fn zstd(input: &[u8], out: &mut PageBuf, level: i32, checksum: bool) -> Result<usize> {
    thread_local!(static ENCODER: RefCell<Option<Encoder>> = const { RefCell::new(None) });
    let out = out.get(zstd_safe::compress_bound(input.len()))?;
    ENCODER.with(|encoder| {
        let mut encoder = encoder.borrow_mut();
        if encoder.is_none() {
            *encoder = Some(Encoder::new()?);
        }
        let encoder = encoder.as_mut().expect("made above");
        encoder.compress(input, out, level, checksum).map_err(failed)
    })
}

/// Copy `input` to `out` with its checksum after it.
fn append(input: &[u8], out: &mut PageBuf, checksum: impl Fn(&[u8]) -> u32) -> Result<usize> {
    let len = input.len() + 4;
    let out = out.get(len)?;
    out[..input.len()].copy_from_slice(input);
    out[input.len()..].copy_from_slice(&checksum(input).to_le_bytes());
    Ok(len)
}
