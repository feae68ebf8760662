//! Codec chains, read so that the common ones need no zarrs at decode time. See the parent module.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use zarrs::array::codec::api::{ArrayToArrayCodecTraits, CodecMetadataOptions, CodecOptions, CodecTraits};
use zarrs::array::codec::{BytesCodec, TransposeCodec};
use zarrs::array::{ArrayBytes, BytesRepresentation, CodecChain, DataType, FillValue};
use zarrs::plugin::ZarrVersion;

use super::super::Dims;
use super::super::error::{Error, Result, Status};
use super::super::scatter::c_strides;
use super::super::scratch::PageBuf;
use super::super::upstream;
use super::elements::{Elements, Stage};
use super::steps::{self, Output, Step, Target, Wanted};

/// A codec chain for elements of one data type.
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) codecs: Arc<CodecChain>,
    pub(super) data_type: DataType,
    pub(super) fill_value: FillValue,
    pub(super) itemsize: usize,
    pub(super) steps: Arc<[Step]>,
    /// The array-to-bytes codec stores elements as they lie in memory.
    native: bool,
    /// The order in which dimensions are stored, when transposing is all that the array-to-array codecs do.
    order: Option<Dims<usize>>,
}

/// A chain for chunks of one shape.
#[derive(Clone, Debug)]
pub struct ChunkCodec {
    pub(super) chain: Chain,
    pub(super) shape: Vec<NonZeroU64>,
    /// Bytes of a decoded chunk.
    len: usize,
    /// Of the bytes-to-bytes codecs; see [`steps::limits`].
    limits: Vec<usize>,
    /// The shape, data type and fill value that each array-to-array codec decodes to, and last what the
    /// array-to-bytes codec decodes to.
    pub(super) stages: Vec<Stage>,
    /// How what the steps leave becomes what the last stage says.
    elements: Elements,
    /// Strides of the chunk's dimensions in what the steps leave, if that is all there is to do.
    pub(super) direct: Option<Dims<isize>>,
    /// Bytes of an encoded chunk, if that is the same for every chunk.
    encoded_len: Option<usize>,
    /// The most bytes that an encoded chunk may have.
    most_encoded: u64,
}

/// A decoded chunk: its elements in native byte order, and where each dimension's lie.
pub struct Decoded<'a> {
    pub bytes: Cow<'a, [u8]>,
    pub strides: Dims<isize>,
}

impl Chain {
    /// Read a chain whose elements are of a fixed-size data type (`itemsize` is 0 for others, which cannot decode).
    pub fn new(codecs: Arc<CodecChain>, data_type: DataType, fill_value: FillValue) -> Self {
        let itemsize = data_type.fixed_size().unwrap_or(0);
        let steps = codecs.bytes_to_bytes_codecs().iter().map(Step::new).collect();
        let native = stores_native(codecs.array_to_bytes_codec().as_any(), itemsize);
        let order = transposition(codecs.array_to_array_codecs());
        Self { codecs, data_type, fill_value, itemsize, steps, native, order }
    }

    /// The chain for chunks of `shape`.
    ///
    /// # Errors
    /// When the codecs cannot store such chunks, or such a chunk cannot be held in memory.
    pub fn for_shape(&self, shape: &[u64]) -> Result<ChunkCodec> {
        let nonzero =
            |n: &u64| NonZeroU64::new(*n).ok_or_else(|| Error::invalid("a chunk has an extent of 0"));
        let shape = shape.iter().map(nonzero).collect::<Result<Vec<_>>>()?;
        let len = shape.iter().try_fold(self.itemsize, |n, d| n.checked_mul(usize::try_from(d.get()).ok()?));
        let len = len.filter(|n| *n <= isize::MAX as usize).ok_or_else(|| {
            Error::invalid(format_args!("a chunk of shape {shape:?} has more bytes than can be addressed"))
        })?;
        let stages = self.stages(&shape)?;
        let stored = stages.last().expect("there is always one");
        let codec = self.codecs.array_to_bytes_codec();
        let first =
            codec.encoded_representation(&stored.0, &stored.1, &stored.2).map_err(Error::unsupported)?;
        let elements = Elements::new(&**codec, stored, &first, stored_len(stored)?)?;
        let limits = steps::limits(&first, self.codecs.bytes_to_bytes_codecs(), len);
        let last = self
            .codecs
            .bytes_to_bytes_codecs()
            .iter()
            .fold(first, |n, codec| codec.encoded_representation(&n));
        let encoded_len = match last {
            BytesRepresentation::FixedSize(n) => usize::try_from(n).ok(),
            _ => None,
        };
        let direct = self.direct_strides(&shape);
        let most_encoded = last.size().unwrap_or(0).max(steps::generous(len) as u64);
        let chain = self.clone();
        Ok(ChunkCodec { chain, shape, len, limits, stages, elements, direct, encoded_len, most_encoded })
    }

    fn stages(&self, shape: &[NonZeroU64]) -> Result<Vec<Stage>> {
        let mut stages = vec![(shape.to_vec(), self.data_type.clone(), self.fill_value.clone())];
        for codec in self.codecs.array_to_array_codecs() {
            let (shape, data_type, fill_value) = stages.last().expect("not empty");
            stages.push(
                codec.encoded_representation(shape, data_type, fill_value).map_err(Error::unsupported)?,
            );
        }
        Ok(stages)
    }

    fn direct_strides(&self, shape: &[NonZeroU64]) -> Option<Dims<isize>> {
        let order = self.order.as_ref().filter(|_| self.native && self.itemsize > 0)?;
        if order.is_empty() {
            return Some(c_strides(&shape.iter().map(|n| n.get()).collect::<Dims<_>>(), self.itemsize));
        }
        if order.len() != shape.len() {
            return None;
        }
        let stored = c_strides(&order.iter().map(|d| shape[*d].get()).collect::<Dims<_>>(), self.itemsize);
        let mut strides = Dims::from_elem(0, shape.len());
        order.iter().zip(stored).for_each(|(d, stride)| strides[*d] = stride);
        Some(strides)
    }
}

/// Bytes of the elements of a stage.
fn stored_len((shape, data_type, _): &Stage) -> Result<usize> {
    let itemsize = data_type.fixed_size().unwrap_or(0);
    let len = shape.iter().try_fold(itemsize, |n, d| n.checked_mul(usize::try_from(d.get()).ok()?));
    len.filter(|n| *n <= isize::MAX as usize)
        .ok_or_else(|| Error::invalid("a chunk is encoded as more bytes than can be addressed"))
}

/// Whether an array-to-bytes codec only concatenates elements as they lie in this machine's memory.
fn stores_native(codec: &dyn std::any::Any, itemsize: usize) -> bool {
    let Some(codec) = codec.downcast_ref::<BytesCodec>() else {
        return false;
    };
    let configuration = configuration(codec);
    let native = if cfg!(target_endian = "big") { "big" } else { "little" };
    itemsize == 1
        || configuration
            .get("endian")
            .is_none_or(|endian| endian.is_null() || endian.as_str() == Some(native))
}

/// The order in which a sequence of transposes stores dimensions (empty: as they are), `None` for other codecs.
fn transposition(codecs: &[Arc<dyn ArrayToArrayCodecTraits>]) -> Option<Dims<usize>> {
    let mut total: Dims<usize> = Dims::new();
    for codec in codecs {
        let codec = codec.as_any().downcast_ref::<TransposeCodec>()?;
        let order = configuration(codec);
        let order = order.get("order")?.as_array()?;
        let order: Dims<usize> =
            order.iter().map(|d| usize::try_from(d.as_u64()?).ok()).collect::<Option<_>>()?;
        // Stored dimension `i` of this transpose is its input's `order[i]`, which was `total[order[i]]` before.
        total = if total.is_empty() {
            order
        } else {
            order.iter().map(|d| total.get(*d).copied()).collect::<Option<_>>()?
        };
    }
    Some(total)
}

pub(super) fn configuration(codec: &dyn CodecTraits) -> serde_json::Map<String, serde_json::Value> {
    codec
        .configuration(ZarrVersion::V3, &CodecMetadataOptions::default())
        .map(|configuration| configuration.into())
        .unwrap_or_default()
}

/// Options for codecs that zarrs runs: no threads of their own, the pool is parallel over chunks already.
pub fn codec_options() -> CodecOptions {
    // Inside the pool: there `default` asks the pool's size and starts no global pool.
    CodecOptions::default().with_concurrent_target(1).with_chunk_concurrent_minimum(1)
}

impl ChunkCodec {
    /// Bytes of a decoded chunk.
    pub fn decoded_len(&self) -> usize {
        self.len
    }

    /// Bytes of an encoded chunk, if that is the same for every chunk.
    pub fn encoded_len(&self) -> Option<usize> {
        self.encoded_len
    }

    /// The most bytes that an encoded chunk may have, whoever has encoded it.
    pub fn most_encoded(&self) -> u64 {
        self.most_encoded
    }

    pub fn shape(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.shape.iter().map(|n| n.get())
    }

    /// Whether a chunk is stored just as its elements lie in memory, in C order.
    pub fn is_raw(&self) -> bool {
        self.chain.steps.is_empty() && self.is_c_order()
    }

    /// Where each dimension's elements lie in what the steps leave, if that is all there is to do.
    pub fn direct_strides(&self) -> Option<&[isize]> {
        self.direct.as_deref()
    }

    /// Whether what the steps leave are the elements in C order.
    pub fn is_c_order(&self) -> bool {
        self.direct.is_some() && self.chain.order.as_ref().is_some_and(|order| order.is_empty())
    }

    /// Decode a chunk. `generic`: by zarrs alone.
    pub fn decode<'a>(
        &self,
        input: &'a [u8],
        buffers: &'a mut [PageBuf; 2],
        generic: bool,
    ) -> Result<Decoded<'a>> {
        if generic {
            return self.decode_by_zarrs(input);
        }
        let bytes = match self.decode_to(input, buffers, Target::Anywhere)? {
            Output::Slice(bytes) => Cow::Borrowed(bytes),
            Output::Owned(bytes) => Cow::Owned(bytes),
            Output::There(_) => unreachable!("no target was given"),
        };
        match &self.direct {
            Some(strides) => self.checked(bytes, strides.clone()),
            None => self.decode_elements(bytes, &codec_options()),
        }
    }

    /// Decode a chunk whose elements lie in C order ([`Self::is_c_order`]) into `out`, of [`Self::decoded_len`] bytes.
    pub fn decode_into(&self, input: &[u8], buffers: &mut [PageBuf; 2], out: &mut [u8]) -> Result<()> {
        debug_assert!(self.is_c_order() && out.len() == self.len);
        let left = self.decode_to(input, buffers, Target::Memory(&mut *out))?;
        let bytes: &[u8] = match &left {
            Output::There(_) => return Ok(()),
            Output::Slice(bytes) => bytes,
            Output::Owned(bytes) => bytes,
        };
        self.check_len(bytes)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    /// Decode what is wanted of a chunk whose elements lie as strides can say ([`Self::direct_strides`]); returns how many
    /// bytes were decoded.
    pub fn decode_in_part(
        &self,
        input: &[u8],
        buffers: &mut [PageBuf; 2],
        wanted: Wanted<'_>,
    ) -> Result<usize> {
        let Wanted { range, unit, told } = wanted;
        let wanted = Wanted { range, unit, told: &mut *told };
        let left = self.decode_to(input, buffers, Target::Told { wanted, len: self.len })?;
        let bytes: &[u8] = match &left {
            Output::There(decoded) => return Ok(*decoded),
            Output::Slice(bytes) => bytes,
            Output::Owned(bytes) => bytes,
        };
        self.check_len(bytes)?;
        told(0, bytes);
        Ok(self.len)
    }

    fn decode_to<'a>(
        &self,
        input: &'a [u8],
        buffers: &'a mut [PageBuf; 2],
        target: Target<'_>,
    ) -> Result<Output<'a>> {
        steps::decode(&self.chain.steps, &self.limits, input, buffers, target, &codec_options())
    }

    /// From what the steps leave to elements, by zarrs' array codecs.
    fn decode_elements<'a>(&self, bytes: Cow<'a, [u8]>, options: &CodecOptions) -> Result<Decoded<'a>> {
        let codecs = &self.chain.codecs;
        let stage = self.stages.last().expect("there is always one");
        let codec = codecs.array_to_bytes_codec();
        let mut elements = self.elements.decode(&**codec, bytes, stage, stored_len(stage)?, options)?;
        for (codec, stage) in codecs.array_to_array_codecs().iter().zip(&self.stages).rev() {
            let decode = || codec.decode(elements, &stage.0, &stage.1, &stage.2, options);
            elements = upstream::call(Status::Codec, || decode().map_err(Error::codec))?;
        }
        self.c_order(elements)
    }

    fn decode_by_zarrs<'a>(&self, input: &'a [u8]) -> Result<Decoded<'a>> {
        use zarrs::array::codec::api::ArrayToBytesCodecTraits;
        let Chain { codecs, data_type, fill_value, .. } = &self.chain;
        let elements = codecs
            .decode(Cow::Borrowed(input), &self.shape, data_type, fill_value, &codec_options())
            .map_err(Error::codec)?;
        self.c_order(elements)
    }

    fn c_order<'a>(&self, elements: ArrayBytes<'a>) -> Result<Decoded<'a>> {
        let bytes = elements.into_fixed().map_err(Error::codec)?;
        let shape: Dims<u64> = self.shape().collect();
        self.checked(bytes, c_strides(&shape, self.chain.itemsize))
    }

    fn checked<'a>(&self, bytes: Cow<'a, [u8]>, strides: Dims<isize>) -> Result<Decoded<'a>> {
        self.check_len(&bytes)?;
        Ok(Decoded { bytes, strides })
    }

    fn check_len(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() == self.len { Ok(()) } else { Err(steps::wrong_length(bytes.len(), self.len)) }
    }
}
