//! The store keys of an array's chunks. Those of the encodings that Zarr itself defines are put together here: zarrs takes
//! half a dozen allocations for each.

use std::fmt::Write;

use zarrs::array::Array;
use zarrs::plugin::{ExtensionName, ZarrVersion};

/// An encoding that joins a chunk's grid index.
pub(super) struct Keys {
    /// The array's path, and what comes before the index.
    start: String,
    separator: char,
}

impl Keys {
    /// `None` where the keys are zarrs' to make: of other encodings, and of arrays without a dimension.
    pub fn of(array: &Array<()>) -> Option<Self> {
        let encoding = array.chunk_key_encoding();
        let name = encoding.name(ZarrVersion::V3)?;
        let configuration = encoding.configuration();
        let separator = configuration.get("separator")?.as_str()?.chars().next()?;
        let mut start = array.path().as_str().trim_matches('/').to_owned();
        if !start.is_empty() {
            start.push('/');
        }
        match &*name {
            "default" => start.extend(['c', separator]),
            "v2" => {}
            _ => return None,
        }
        let keys = Self { start, separator };
        let index: Vec<u64> = (0..array.dimensionality() as u64).map(|d| 10 * d + 9).collect();
        let agrees = !index.is_empty() && keys.key(&index) == array.chunk_key(&index).as_str();
        agrees.then_some(keys)
    }

    /// The key of a chunk.
    pub fn key(&self, cell: &[u64]) -> String {
        const DIGITS: usize = 8; // few indices have more
        let mut key = String::with_capacity(self.start.len() + cell.len() * (DIGITS + 1));
        key.push_str(&self.start);
        for (d, index) in cell.iter().enumerate() {
            if d > 0 {
                key.push(self.separator);
            }
            write!(key, "{index}").expect("text grows");
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn array(path: &str, shape: &[u64], encoding: &str) -> Array<()> {
        let chunks: Vec<_> = shape.iter().map(|_| 1).collect();
        let json = format!(
            r#"{{"zarr_format": 3, "node_type": "array", "shape": {shape:?}, "data_type": "uint8", "fill_value": 0,
            "chunk_grid": {{"name": "regular", "configuration": {{"chunk_shape": {chunks:?}}}}},
            "chunk_key_encoding": {encoding}, "codecs": [{{"name": "bytes"}}]}}"#
        );
        let metadata = serde_json::from_str(&json).unwrap();
        Array::new_with_metadata(Arc::new(()), path, metadata).unwrap()
    }

    #[test]
    fn keys_are_those_of_zarrs() {
        let encodings = [
            r#"{"name": "default"}"#,
            r#"{"name": "default", "configuration": {"separator": "."}}"#,
            r#"{"name": "v2"}"#,
            r#"{"name": "v2", "configuration": {"separator": "/"}}"#,
        ];
        let large = 1 << 60;
        for encoding in encodings {
            for path in ["/", "/a", "/group/a"] {
                let array = array(path, &[large, 20, large], encoding);
                let keys = Keys::of(&array).unwrap();
                for cell in [[0, 0, 0], [1, 19, large - 1], [123_456_789, 10, 1 << 32]] {
                    assert_eq!(keys.key(&cell), array.chunk_key(&cell).as_str());
                }
            }
        }
        let suffix =
            r#"{"name": "zarrs.default_suffix", "configuration": {"suffix": ".tiff", "separator": "/"}}"#;
        assert!(Keys::of(&array("/a", &[5, 5], suffix)).is_none());
        assert!(Keys::of(&array("/a", &[], encodings[0])).is_none());
    }
}
