//! Shards: one stored object with many inner chunks, and an index that says where each lies.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use zarrs::array::codec::api::{ArrayToBytesCodecTraits, CodecMetadataOptions};
use zarrs::array::codec::{ShardingCodec, ShardingCodecConfigurationV1, ShardingIndexLocation};
use zarrs::array::{CodecChain, DataType, FillValue, data_type};
use zarrs::plugin::ZarrVersion;

use super::Dims;
use super::codec::{Chain, ChunkCodec};
use super::error::{Error, Result};
use super::grid::GridAxis;
use super::scratch::{self, PageBuf};

/// How an array's shards are laid out.
#[derive(Clone, Debug)]
pub struct Sharding {
    /// The shape of the inner chunks.
    pub inner_shape: Dims<u64>,
    pub inner: ChunkCodec,
    index: Chain,
    index_at_end: bool,
}

/// The sharding of shards of one shape.
#[derive(Clone, Debug)]
pub struct ShardLayout {
    /// The inner chunks as a grid.
    pub axes: Arc<[GridAxis]>,
    index: ChunkCodec,
    index_at_end: bool,
    /// The most bytes that an inner chunk may have.
    most_inner: u64,
}

impl Sharding {
    /// Read the sharding of a chain that consists of the sharding codec alone; `None` for any other chain, which is
    /// decoded as a whole.
    pub fn of(codecs: &CodecChain, data_type: &DataType, fill_value: &FillValue) -> Result<Option<Self>> {
        if !codecs.array_to_array_codecs().is_empty() || !codecs.bytes_to_bytes_codecs().is_empty() {
            return Ok(None);
        }
        let codec = codecs.array_to_bytes_codec();
        if !codec.as_any().is::<ShardingCodec>()
            || data_type.fixed_size().is_none()
            || data_type.is_optional()
        {
            return Ok(None);
        }
        Self::of_codec(&**codec, data_type, fill_value).map(Some)
    }

    /// Read a sharding codec, for elements of fixed size.
    pub fn of_codec(
        codec: &dyn ArrayToBytesCodecTraits,
        data_type: &DataType,
        fill_value: &FillValue,
    ) -> Result<Self> {
        let configuration = codec
            .configuration(ZarrVersion::V3, &CodecMetadataOptions::default())
            .ok_or_else(|| Error::unsupported("the sharding codec has no configuration"))?;
        let json = serde_json::Value::Object(configuration.into());
        let configuration: ShardingCodecConfigurationV1 =
            serde_json::from_value(json).map_err(Error::invalid)?;
        let chain =
            |metadata: &[_]| CodecChain::from_metadata(metadata).map(Arc::new).map_err(Error::unsupported);
        let inner_shape: Dims<u64> = configuration.chunk_shape.iter().map(|n| n.get()).collect();
        let inner = Chain::new(chain(&configuration.codecs)?, data_type.clone(), fill_value.clone());
        let index =
            Chain::new(chain(&configuration.index_codecs)?, data_type::uint64(), FillValue::from(u64::MAX));
        let index_at_end = configuration.index_location == ShardingIndexLocation::End;
        Ok(Self { inner: inner.for_shape(&inner_shape)?, inner_shape, index, index_at_end })
    }

    /// The layout of shards of `shape`.
    pub fn layout(&self, shape: &[u64]) -> Result<ShardLayout> {
        let fits = shape.len() == self.inner_shape.len()
            && shape.iter().zip(&self.inner_shape).all(|(shard, inner)| shard % inner == 0);
        if !fits {
            let inner = &self.inner_shape[..];
            return Err(Error::invalid(format_args!(
                "inner chunks of {inner:?} do not divide a shard of {shape:?}"
            )));
        }
        let axes: Arc<[_]> =
            shape.iter().zip(&self.inner_shape).map(|(s, i)| GridAxis::regular(*i, *s)).collect();
        let mut index_shape: Dims<u64> = axes.iter().map(GridAxis::count).collect();
        index_shape.push(2);
        let index = self.index.for_shape(&index_shape)?;
        if index.encoded_len().is_none() {
            return Err(Error::unsupported("the shard index has codecs whose output is of variable size"));
        }
        let most_inner = self.inner.most_encoded();
        Ok(ShardLayout { axes, index, index_at_end: self.index_at_end, most_inner })
    }
}

impl ShardLayout {
    /// The number of inner chunks of a shard, whether they are stored or not.
    pub fn inner_chunks(&self) -> u64 {
        self.axes.iter().map(GridAxis::count).product()
    }

    /// The place of an inner chunk in the index.
    pub fn position(&self, cell: &[u64]) -> usize {
        position(cell, self.axes.iter().map(GridAxis::count))
    }

    /// Bytes of the index as stored.
    pub fn index_len(&self) -> u64 {
        self.index.encoded_len().unwrap_or(0) as u64
    }

    pub fn index_at_end(&self) -> bool {
        self.index_at_end
    }

    /// Where the index lies in a shard of `len` bytes.
    pub fn index_range(&self, len: u64) -> Result<Range<u64>> {
        let index = self.index_len();
        let Some(end) = len.checked_sub(index) else {
            return Err(Error::codec(format_args!(
                "a shard of {len} bytes is too short for its index of {index}"
            )));
        };
        Ok(if self.index_at_end { end..len } else { 0..index })
    }

    /// Decode the index of a shard of `len` bytes.
    pub fn decode_index(&self, encoded: &[u8], buffers: &mut [PageBuf; 2], len: u64) -> Result<ShardIndex> {
        let decoded =
            self.index.decode(encoded, buffers, false).map_err(|error| error.prefixed("shard index: "))?;
        if decoded.strides.last() != Some(&8) {
            return Err(Error::unsupported("shard index: codecs that transpose"));
        }
        let stored = decoded.bytes.as_chunks::<8>().0;
        let mut entries = Vec::new();
        entries
            .try_reserve_exact(stored.len())
            .map_err(|_| Error::memory(8 * stored.len(), "a shard index"))?;
        entries.extend(stored.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
        let counts = self.axes.iter().map(GridAxis::count).collect();
        Ok(ShardIndex { entries: entries.into(), counts, len, most_inner: self.most_inner })
    }
}

impl ShardLayout {
    /// Encode an index: offset and size of each inner chunk, in C order.
    pub fn encode_index(&self, entries: &[u64]) -> Result<Bytes> {
        let bytes: Vec<u8> = entries.iter().flat_map(|n| n.to_ne_bytes()).collect();
        scratch::with(|scratch| {
            let encoded = self.index.encode(&bytes, &mut scratch.decoded, false)?;
            Ok(Bytes::copy_from_slice(&encoded))
        })
    }
}

/// The place of `cell`, in C order, in a grid of `counts`.
fn position(cell: &[u64], counts: impl Iterator<Item = u64>) -> usize {
    cell.iter().zip(counts).fold(0, |n, (c, count)| n * count + c) as usize
}

/// A shard's decoded index.
#[derive(Clone, Debug)]
pub struct ShardIndex {
    /// Offset and size of each inner chunk, in C order.
    entries: Box<[u64]>,
    /// Inner chunks along each dimension.
    counts: Dims<u64>,
    /// Bytes of the shard.
    len: u64,
    /// The most bytes that an inner chunk may have.
    most_inner: u64,
}

impl ShardIndex {
    /// Bytes that the index takes in memory.
    pub fn bytes(&self) -> u64 {
        (self.entries.len() * size_of::<u64>()) as u64
    }

    /// Where the inner chunk at `cell` lies in the shard; `None` when it is missing.
    ///
    /// # Errors
    /// When the index points outside of the shard.
    pub fn range(&self, cell: &[u64]) -> Result<Option<Range<u64>>> {
        self.range_at(position(cell, self.counts.iter().copied()))
            .map_err(|error| error.prefixed(format_args!("shard index: inner chunk {cell:?} ")))
    }

    /// Bytes of the shard that the index belongs to.
    pub fn shard_len(&self) -> u64 {
        self.len
    }

    /// As [`Self::range`], for the inner chunk of that place in the index.
    pub fn range_at(&self, position: usize) -> Result<Option<Range<u64>>> {
        let (offset, size) = (self.entries[2 * position], self.entries[2 * position + 1]);
        if (offset, size) == (u64::MAX, u64::MAX) {
            return Ok(None);
        }
        match offset.checked_add(size) {
            Some(end) if end <= self.len && size > self.most_inner => Err(Error::codec(format_args!(
                "is said to have {size} bytes, more than the {} that can be needed",
                self.most_inner
            ))),
            Some(end) if end <= self.len => Ok(Some(offset..end)),
            _ => Err(Error::codec(format_args!(
                "is said to have {size} bytes at {offset}, the shard has {}",
                self.len
            ))),
        }
    }
}
