//! Arrays: what the metadata says, in the form that reading needs. Opening one is in [`super::open`].

use std::borrow::Cow;
use std::sync::Arc;

use zarrs::array::{ArrayCreateError, ArrayMetadata, ChunkGrid};
use zarrs::plugin::{ExtensionName, ZarrVersion};

use super::Dims;
use super::codec::{Chain, ChunkCodec};
use super::dtype::DType;
use super::error::{Error, Result, Status};
use super::grid::GridAxis;
use super::keys::Keys;
use super::shard::{ShardLayout, Sharding};
use super::upstream;
use crate::storage::Store;

type Zarrs = zarrs::array::Array<()>;

/// An array of a store. Immutable.
pub struct Array {
    store: Arc<Store>,
    path: String,
    metadata_json: String,
    zarr_format: u8,
    /// Knows the shape, and the keys of chunks where `keys` does not.
    zarrs: Zarrs,
    keys: Option<Keys>,
    dtype: DType,
    fill_value: Vec<u8>,
    axes: Arc<[GridAxis]>,
    grid_shape: Dims<u64>,
    chunks: Chunks,
}

/// How stored objects become elements.
enum Chunks {
    Plain {
        chain: Chain,
        regular: Option<ChunkCodec>,
    },
    Sharded {
        sharding: Box<Sharding>,
        regular: Option<ShardLayout>,
    },
    /// Variable-length data types: the metadata can be looked at.
    Unreadable,
}

impl Array {
    /// The array at `path` that `json` (of `zarr.json`, or `.zarray` with `attributes` added) describes. No I/O.
    ///
    /// # Errors
    /// When the metadata is broken, or names something that zarrs does not have.
    pub fn from_metadata(store: &Arc<Store>, path: &str, json: &str) -> Result<Arc<Self>> {
        let owned = (store.clone(), path.to_owned(), json.to_owned());
        let make = move || upstream::call(Status::Invalid, || Self::new(&owned.0, &owned.1, &owned.2));
        let made = store.runtime().live().pool().and_then(|pool| pool.run(make)?);
        made.map_err(|error| {
            let file = if json_is_v2(json) { ".zarray" } else { "zarr.json" };
            error.with_key(store.url(), &super::open::join(path.trim_matches('/'), file))
        })
    }

    fn new(store: &Arc<Store>, path: &str, json: &str) -> Result<Arc<Self>> {
        let path = normalised_path(path)?;
        let metadata = parse_metadata(json)?;
        let zarr_format = if matches!(metadata, ArrayMetadata::V2(_)) { 2 } else { 3 };
        let zarrs =
            Zarrs::new_with_metadata(Arc::new(()), &format!("/{path}"), metadata).map_err(create_error)?;
        // A key encoding may add text to each key: the first one shows what.
        normalised_path(zarrs.chunk_key(&vec![0; zarrs.dimensionality()]).as_str())?;
        let axes = grid_axes(zarrs.chunk_grid())?;
        let dtype = DType::new(zarrs.data_type());
        let fill_value = zarrs.fill_value().as_ne_bytes().to_vec();
        let chunks = if dtype.is_variable() { Chunks::Unreadable } else { Chunks::new(&zarrs, &axes)? };
        let grid_shape = axes.iter().map(GridAxis::count).collect();
        let keys = Keys::of(&zarrs);
        Ok(Arc::new(Self {
            store: store.clone(),
            path,
            metadata_json: json.to_owned(),
            zarr_format,
            zarrs,
            keys,
            dtype,
            fill_value,
            axes,
            grid_shape,
            chunks,
        }))
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The path in the store, without a leading `/`; empty for the store's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path, as it stands in messages.
    pub fn name(&self) -> &str {
        if self.path.is_empty() { "(root)" } else { &self.path }
    }

    /// The metadata as stored, attributes included.
    pub fn metadata_json(&self) -> &str {
        &self.metadata_json
    }

    pub fn zarr_format(&self) -> u8 {
        self.zarr_format
    }

    pub fn dtype(&self) -> &DType {
        &self.dtype
    }

    /// One element, in native byte order.
    pub fn fill_value(&self) -> &[u8] {
        &self.fill_value
    }

    pub fn shape(&self) -> &[u64] {
        self.zarrs.shape()
    }

    pub fn axes(&self) -> &Arc<[GridAxis]> {
        &self.axes
    }

    /// Chunks (shards, if sharded) along each dimension.
    pub fn grid_shape(&self) -> &[u64] {
        &self.grid_shape
    }

    pub fn inner_chunk_shape(&self) -> Option<&[u64]> {
        match &self.chunks {
            Chunks::Sharded { sharding, .. } => Some(&sharding.inner_shape),
            _ => None,
        }
    }

    /// The shape of the chunk at a grid index, as encoded.
    pub fn chunk_shape(&self, index: &[u64]) -> Result<Dims<u64>> {
        self.check_chunk_index(index)?;
        Ok(self.cell_shape(index))
    }

    fn cell_shape(&self, cell: &[u64]) -> Dims<u64> {
        self.axes.iter().zip(cell).map(|(axis, c)| axis.size(*c)).collect()
    }

    /// Check that a chunk is in the grid.
    pub fn check_chunk_index(&self, index: &[u64]) -> Result<()> {
        let grid = self.grid_shape();
        if index.len() != grid.len() || index.iter().zip(grid).any(|(i, n)| i >= n) {
            let name = self.name();
            return Err(Error::invalid(format_args!(
                "{name}: no chunk {index:?} in a grid of {grid:?} chunks"
            )));
        }
        Ok(())
    }

    /// The shard that holds an inner chunk, counted over the whole array, and its place there.
    pub fn locate_inner_chunk(&self, index: &[u64]) -> Result<(Dims<u64>, Dims<u64>)> {
        let name = self.name();
        let Some(inner) = self.inner_chunk_shape() else {
            return Err(Error::unsupported(format_args!(
                "{name}: the array is not sharded, it has no inner chunks"
            )));
        };
        let locate = |d: usize| {
            let first = index[d].checked_mul(inner[d]).filter(|first| *first < self.shape()[d])?;
            let cell = self.axes[d].cell_of(first);
            Some((cell, (first - self.axes[d].start(cell)) / inner[d]))
        };
        let located =
            (index.len() == inner.len()).then(|| (0..inner.len()).map(locate).collect::<Option<Vec<_>>>());
        let Some(located) = located.flatten() else {
            let shape = self.shape();
            return Err(Error::invalid(format_args!(
                "{name}: no inner chunk {index:?} in an array of shape {shape:?} with inner chunks of {inner:?}"
            )));
        };
        Ok(located.into_iter().unzip())
    }

    /// The box of elements that a box of chunks covers, cut at the array's bounds: start and shape.
    pub fn chunks_extent(&self, start: &[u64], shape: &[u64]) -> Result<(Dims<u64>, Dims<u64>)> {
        let grid = self.grid_shape();
        let inside = start
            .iter()
            .zip(shape)
            .zip(grid)
            .all(|((s, n), g)| s.checked_add(*n).is_some_and(|end| end <= *g));
        if !inside {
            let name = self.name();
            return Err(Error::invalid(format_args!(
                "{name}: chunks {start:?} + {shape:?} reach beyond the grid of {grid:?} chunks"
            )));
        }
        let extent = |d: usize| {
            let (axis, end) = (&self.axes[d], start[d] + shape[d]);
            // A start at the grid's end is only possible for an empty box.
            let edge = |cell| {
                if cell < axis.count() { axis.start(cell) } else { self.shape()[d] }
            };
            let (first, last) = (edge(start[d]), edge(end).min(self.shape()[d]));
            (first.min(last), last.saturating_sub(first))
        };
        Ok((0..grid.len()).map(extent).unzip())
    }

    /// The store key of a chunk.
    pub fn chunk_key(&self, cell: &[u64]) -> String {
        match &self.keys {
            Some(keys) => keys.key(cell),
            None => self.zarrs.chunk_key(cell).as_str().to_owned(),
        }
    }

    /// The most bytes that the stored object at `cell` may have.
    pub(super) fn most_stored(&self, cell: &[u64]) -> Result<u64> {
        let most = self.chunk_codec(cell)?.most_encoded();
        Ok(match self.shard_layout(cell)? {
            None => most,
            Some(layout) => layout.inner_chunks().saturating_mul(most).saturating_add(layout.index_len()),
        })
    }

    /// Bytes of a decoded chunk (of a sharded array: inner chunk), where all are alike; 0 otherwise.
    pub(super) fn chunk_bytes(&self) -> u64 {
        match &self.chunks {
            Chunks::Plain { regular: Some(codec), .. } => codec.decoded_len() as u64,
            Chunks::Sharded { sharding, .. } => sharding.inner.decoded_len() as u64,
            _ => 0,
        }
    }

    /// Bytes of a row of a decoded chunk (of a sharded array: inner chunk), along the last dimension, where all chunks are
    /// alike and decode to their elements in C order.
    pub(super) fn row_bytes(&self) -> Option<u64> {
        let codec = match &self.chunks {
            Chunks::Plain { regular, .. } => regular.as_ref()?,
            Chunks::Sharded { sharding, .. } => &sharding.inner,
            Chunks::Unreadable => return None,
        };
        let row = codec.shape().last()?.checked_mul(self.dtype.itemsize as u64)?;
        codec.is_c_order().then_some(row)
    }

    /// Bytes of the largest decoded chunk (of a sharded array: inner chunk).
    pub(super) fn largest_chunk_bytes(&self) -> u64 {
        match self.chunk_bytes() {
            0 => {
                self.axes.iter().fold(self.dtype.itemsize as u64, |n, axis| n.saturating_mul(axis.largest()))
            }
            bytes => bytes,
        }
    }

    /// Whether every chunk (of a sharded array: inner chunk) is stored just as its elements lie in memory.
    pub(super) fn has_raw_chunks(&self) -> bool {
        match &self.chunks {
            Chunks::Plain { regular, .. } => regular.as_ref().is_some_and(ChunkCodec::is_raw),
            Chunks::Sharded { sharding, .. } => sharding.inner.is_raw(),
            Chunks::Unreadable => false,
        }
    }

    /// How the chunk at `cell` is decoded; for sharded arrays, how an inner chunk is.
    pub(super) fn chunk_codec(&self, cell: &[u64]) -> Result<Cow<'_, ChunkCodec>> {
        match &self.chunks {
            Chunks::Plain { regular: Some(codec), .. } => Ok(Cow::Borrowed(codec)),
            Chunks::Plain { chain, regular: None } => chain.for_shape(&self.cell_shape(cell)).map(Cow::Owned),
            Chunks::Sharded { sharding, .. } => Ok(Cow::Borrowed(&sharding.inner)),
            Chunks::Unreadable => Err(Error::unsupported(format_args!("data type {}", self.dtype.name))),
        }
    }

    /// The layout of the shard at `cell`; `None` if the array is not sharded.
    pub(super) fn shard_layout(&self, cell: &[u64]) -> Result<Option<Cow<'_, ShardLayout>>> {
        match &self.chunks {
            Chunks::Sharded { regular: Some(layout), .. } => Ok(Some(Cow::Borrowed(layout))),
            Chunks::Sharded { sharding, regular: None } => {
                sharding.layout(&self.cell_shape(cell)).map(|layout| Some(Cow::Owned(layout)))
            }
            _ => Ok(None),
        }
    }
}

impl Chunks {
    fn new(zarrs: &Zarrs, axes: &[GridAxis]) -> Result<Self> {
        let (codecs, data_type, fill_value) = (zarrs.codecs(), zarrs.data_type(), zarrs.fill_value());
        let size = |axis: &GridAxis| match axis {
            GridAxis::Regular { size, .. } => Some(*size),
            GridAxis::Rectilinear { .. } => None,
        };
        let shape: Option<Dims<u64>> = axes.iter().map(size).collect();
        if let Some(sharding) = Sharding::of(&codecs, data_type, fill_value)? {
            let regular = shape.map(|shape| sharding.layout(&shape)).transpose()?;
            return Ok(Self::Sharded { sharding: Box::new(sharding), regular });
        }
        let chain = Chain::new(codecs, data_type.clone(), fill_value.clone());
        let regular = shape.map(|shape| chain.for_shape(&shape)).transpose()?;
        Ok(Self::Plain { chain, regular })
    }
}

/// zarrs stores what a filter of format 2 gives in the byte order of the array, whatever order the filter names, and
/// takes no notice of the order that one of format 3 names: refused rather than read wrongly.
fn check_byte_orders(metadata: &serde_json::Value) -> Result<()> {
    let order = |value: Option<&serde_json::Value>| {
        value
            .and_then(serde_json::Value::as_str)
            .and_then(|text| text.chars().next())
            .filter(|c| "<>".contains(*c))
    };
    let array = order(metadata.get("dtype")).unwrap_or('<');
    let list = |name: &str| metadata.get(name).and_then(serde_json::Value::as_array).into_iter().flatten();
    let codecs = list("codecs").filter_map(|codec| codec.get("configuration"));
    for codec in list("filters").chain(codecs) {
        let orders = ["astype", "dtype"].map(|name| order(codec.get(name)));
        if let Some(other) = orders.into_iter().flatten().find(|other| *other != array) {
            return Err(Error::unsupported(format_args!(
                "a filter in byte order {other:?}, stored as {array:?}"
            )));
        }
    }
    Ok(())
}

fn json_is_v2(json: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Format {
        zarr_format: u64,
    }
    serde_json::from_str(&super::open::without_bare_numbers(json)).is_ok_and(|f: Format| f.zarr_format == 2)
}

/// The array part of metadata that `json` holds.
fn parse_metadata(json: &str) -> Result<ArrayMetadata> {
    let json = super::open::without_bare_numbers(json);
    let value = super::metadata::parse(&json)?;
    if value.get("node_type").is_some_and(|node| node == "group") {
        return Err(Error::invalid("the metadata is a group's"));
    }
    check_byte_orders(&value)?;
    if value.get("dtype").is_some_and(serde_json::Value::is_array) {
        return Err(Error::unsupported("structured data types"));
    }
    // One format or the other, so that the reason names what is wrong.
    let metadata = match value.get("zarr_format").and_then(serde_json::Value::as_u64) {
        Some(3) => serde_json::from_value(value).map(ArrayMetadata::V3),
        Some(2) => serde_json::from_value(value).map(ArrayMetadata::V2),
        _ => return Err(Error::invalid("metadata has no zarr_format of 2 or 3")),
    };
    let metadata =
        metadata.map_err(|e| Error::invalid(format_args!("metadata does not describe an array: {e}")))?;
    if let ArrayMetadata::V3(metadata) = &metadata {
        let unknown = metadata.additional_fields.iter().find(|(_, field)| field.must_understand());
        if let Some((name, _)) = unknown {
            return Err(Error::unsupported(format_args!(
                "metadata has a field that must be understood: {name:?}"
            )));
        }
        if let Some(transformer) = metadata.storage_transformers.first() {
            return Err(Error::unsupported(format_args!("storage transformer {:?}", transformer.name())));
        }
    }
    Ok(metadata)
}

/// zarrs' reasons, sorted into ours: what it does not have is unsupported, anything else is broken.
fn create_error(error: ArrayCreateError) -> Error {
    use ArrayCreateError as E;
    match &error {
        E::DataTypeCreateError(_)
        | E::CodecsCreateError(_)
        | E::ChunkGridCreateError(_)
        | E::ChunkKeyEncodingCreateError(_)
        | E::StorageTransformersCreateError(_)
        | E::UnsupportedZarrV2Array(_)
        | E::AdditionalFieldUnsupportedError(_) => Error::unsupported(error),
        _ => Error::invalid(error),
    }
}

/// A path without leading and trailing slashes, whose parts are names.
pub(super) fn normalised_path(path: &str) -> Result<String> {
    let path = path.trim_matches('/');
    if !path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Error::invalid(format_args!(
            "{path:?} is not a path in a store: a part is empty, \".\" or \"..\""
        )));
    }
    Ok(path.to_owned())
}

/// Each dimension of a chunk grid. All grids that zarrs knows are separable: a chunk's extent along a dimension depends
/// on its index along that dimension only.
fn grid_axes(grid: &ChunkGrid) -> Result<Arc<[GridAxis]>> {
    let (array_shape, grid_shape) = (grid.array_shape(), grid.grid_shape());
    let mut index = vec![0; grid_shape.len()];
    if grid.name(ZarrVersion::V3).is_some_and(|name| name == "regular") {
        let sizes = grid.chunk_shape(&index).map_err(Error::invalid)?;
        let sizes = sizes.ok_or_else(|| Error::invalid("the regular chunk grid has no chunk shape"))?;
        let axes = sizes.iter().zip(array_shape).map(|(size, extent)| GridAxis::regular(size.get(), *extent));
        return Ok(axes.collect());
    }
    let mut axes = Vec::with_capacity(grid_shape.len());
    for d in 0..grid_shape.len() {
        if grid_shape[d] > super::metadata::MOST_EDGES {
            let n = grid_shape[d];
            return Err(Error::unsupported(format_args!("dimension {d}: an irregular grid of {n} chunks")));
        }
        let mut sizes = Vec::with_capacity(grid_shape[d] as usize);
        for i in 0..grid_shape[d] {
            index[d] = i;
            let shape = grid.chunk_shape_u64(&index).map_err(Error::invalid)?;
            let shape =
                shape.ok_or_else(|| Error::invalid(format_args!("dimension {d}: chunk {i} has no shape")))?;
            sizes.push(shape[d]);
        }
        index[d] = 0;
        axes.push(GridAxis::rectilinear(&sizes));
    }
    Ok(axes.into())
}
