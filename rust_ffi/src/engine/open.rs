//! Opening arrays: finding and reading their metadata.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::FutureExt;
use serde::de::IgnoredAny;

use super::array::{Array, normalised_path};
use super::error::{Error, Result, Status, contain};
use super::metadata::MOST_BYTES;
use super::operation::{Completer, OnComplete, Operation, Output};
use super::pool::{Lane, Once};
use super::{local, remote};
use crate::storage::{Backend, Store};

/// Open the array at `path`. Completes with [`Output::Array`].
pub fn open_array(
    store: &Arc<Store>,
    path: &str,
    zarr_format: Option<u8>,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    if let Some(format) = zarr_format.filter(|format| !matches!(format, 2 | 3)) {
        return Err(Error::invalid(format_args!("zarr_format must be 2 or 3, not {format}")));
    }
    let path = normalised_path(path)?;
    let live = store.runtime().live();
    let pool = live.pool()?;
    let io = store.is_remote().then(|| live.io()).transpose()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let opening = Opening { store: store.clone(), path, zarr_format, completer };
    match io {
        None => {
            let job = move || {
                let found =
                    contain(|| opening.node().find().now_or_never().expect("files are read without waiting"));
                opening.finish(found);
            };
            pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        }
        Some(io) => drop(io.spawn(async move {
            let token = opening.completer.operation().token().clone();
            let found = token.run_until_cancelled(opening.node().find()).await;
            // Parsing is not for the threads that wait for the network, and zarrs wants to be on the pool.
            let job = move || opening.finish(found.unwrap_or_else(|| Err(Error::cancelled())));
            pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        })),
    }
    Ok(operation)
}

/// One array being opened.
struct Opening {
    store: Arc<Store>,
    path: String,
    zarr_format: Option<u8>,
    completer: Completer,
}

/// Where an array's metadata is looked for.
struct Node<'a> {
    store: &'a Arc<Store>,
    path: &'a str,
    zarr_format: Option<u8>,
    operation: &'a Operation,
}

/// Metadata as stored.
enum Found {
    V3(String),
    V2 { zarray: String, zattrs: Option<String> },
}

impl Opening {
    fn node(&self) -> Node<'_> {
        let operation = self.completer.operation();
        Node { store: &self.store, path: &self.path, zarr_format: self.zarr_format, operation }
    }

    fn finish(&self, found: Result<Found>) {
        let operation = self.completer.operation();
        if operation.skip() {
            return;
        }
        let made = found.and_then(|found| contain(|| self.make(found)));
        match made {
            Ok(array) => self.completer.set_output(Output::Array(array)),
            Err(error) => operation.fail(error),
        }
    }

    fn make(&self, found: Found) -> Result<Arc<Array>> {
        match found {
            Found::V3(json) => from_v3(&self.store, &self.path, &json),
            found => Array::from_metadata(&self.store, &self.path, &self.node().text(found)?),
        }
    }
}

impl Node<'_> {
    /// All of the metadata in one text.
    fn text(&self, found: Found) -> Result<String> {
        match found {
            Found::V3(json) => Ok(json),
            Found::V2 { zarray, zattrs } => with_attributes(&zarray, zattrs)
                .map_err(|error| error.with_key(self.store.url(), &join(self.path, ".zattrs"))),
        }
    }

    /// Look for the metadata, with as few requests, one after another, as can be.
    async fn find(&self) -> Result<Found> {
        let format = self.zarr_format;
        let v3 = async { if format == Some(2) { Ok(None) } else { self.get("zarr.json").await } };
        let v2 = async { if format == Some(3) { Ok(None) } else { self.get(".zarray").await } };
        let (v3, v2) = match self.store.backend() {
            // A request costs a round trip: both at once.
            Backend::Remote(_) => futures_util::future::join(v3, v2).await,
            Backend::Local(_) => match v3.await {
                Ok(None) => (Ok(None), v2.await),
                found => (found, Ok(None)),
            },
        };
        if let Some(json) = v3? {
            return Ok(Found::V3(json));
        }
        if let Some(zarray) = v2? {
            return Ok(Found::V2 { zarray, zattrs: self.get(".zattrs").await? });
        }
        if format != Some(3) && self.get(".zgroup").await?.is_some() {
            return Err(is_group(self.store, self.path));
        }
        let looked_for = match format {
            Some(2) => ".zarray",
            Some(3) => "zarr.json",
            _ => "zarr.json or .zarray",
        };
        Err(not_found(self.store, self.path, format_args!("no array there ({looked_for} is missing)")))
    }

    /// The text of one metadata object.
    async fn get(&self, name: &str) -> Result<Option<String>> {
        let key = join(self.path, name);
        let bytes = get_metadata(self.store, &key, self.operation).await?;
        let text = |bytes| {
            String::from_utf8(bytes)
                .map_err(|_| Error::invalid("metadata is not UTF-8").with_key(self.store.url(), &key))
        };
        bytes.map(text).transpose()
    }
}

/// The metadata of an array as it is stored now, in one text.
pub(super) async fn stored_metadata(
    store: &Arc<Store>,
    path: &str,
    zarr_format: u8,
    operation: &Operation,
) -> Result<String> {
    let node = Node { store, path, zarr_format: Some(zarr_format), operation };
    node.text(node.find().await?)
}

/// The bytes of one metadata object.
pub(super) async fn get_metadata(store: &Store, key: &str, operation: &Operation) -> Result<Option<Vec<u8>>> {
    match store.backend() {
        Backend::Local(store) => local::get_value(store, key, operation, MOST_BYTES),
        Backend::Remote(store) => {
            let value = remote::get_value(store, key, operation, MOST_BYTES).await?;
            Ok(value.map(|value| value.buffer.bytes().to_vec()))
        }
    }
}

fn from_v3(store: &Arc<Store>, path: &str, json: &str) -> Result<Arc<Array>> {
    #[derive(serde::Deserialize)]
    struct Node {
        node_type: Option<String>,
    }
    if let Ok(Node { node_type: Some(node) }) = serde_json::from_str(json)
        && node == "group"
    {
        return Err(is_group(store, path));
    }
    Array::from_metadata(store, path, json)
}

/// The key of `name` at `path`.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn is_group(store: &Store, path: &str) -> Error {
    not_found(store, path, format_args!("a group, not an array"))
}

fn not_found(store: &Store, path: &str, text: std::fmt::Arguments<'_>) -> Error {
    Error::new(Status::NotFound, format_args!("{}/{path}: {text}", store.url()))
}

/// Format 2 keeps attributes in an object of their own; ours has them in the metadata, as format 3.
fn with_attributes(zarray: &str, zattrs: Option<String>) -> Result<String> {
    let Some(zattrs) = zattrs else {
        return Ok(zarray.to_owned());
    };
    serde_json::from_str::<IgnoredAny>(&without_bare_numbers(&zattrs))
        .map_err(|e| Error::invalid(format_args!(".zattrs is not JSON: {e}")))?;
    if !zattrs.trim_start().starts_with('{') {
        return Err(Error::invalid(".zattrs is not a JSON object"));
    }
    let Some(body) = zarray.trim_end().strip_suffix('}') else {
        return Ok(zarray.to_owned());
    };
    let comma = if body.trim_end().ends_with('{') { "" } else { "," };
    // As text, so that numbers stay as they are written.
    Ok(format!("{}{comma}\"attributes\":{}}}", body.trim_end(), zattrs.trim()))
}

/// Python writes `NaN` and `Infinity` into JSON, which has neither: the same text with these as strings.
pub(super) fn without_bare_numbers(json: &str) -> Cow<'_, str> {
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Cow::Borrowed(json);
    }
    let (mut out, mut rest, mut in_string) = (String::with_capacity(json.len() + 16), json, false);
    while let Some(c) = rest.chars().next() {
        let bare =
            ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
        let taken = if let Some(word) = bare {
            out.extend(["\"", word, "\""]);
            word.len()
        } else if in_string && c == '\\' {
            let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
            out.push_str(&rest[..1 + escaped]);
            1 + escaped
        } else {
            in_string ^= c == '"';
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_become_strings_and_strings_stay() {
        let json = r#"{"a": NaN, "NaN \" NaN": [-Infinity, Infinity], "b": "é NaN\\"}"#;
        let expected = r#"{"a": "NaN", "NaN \" NaN": ["-Infinity", "Infinity"], "b": "é NaN\\"}"#;
        assert_eq!(without_bare_numbers(json), expected);
    }

    #[test]
    fn attributes_of_format_2_join_the_metadata() {
        let joined = with_attributes("{\"shape\": [1]}\n", Some("{\"u\": NaN}".into())).unwrap();
        assert_eq!(joined, "{\"shape\": [1],\"attributes\":{\"u\": NaN}}");
        assert_eq!(with_attributes("{\"shape\": [1]}", None).unwrap(), "{\"shape\": [1]}");
        assert!(with_attributes("{}", Some("[".into())).is_err());
    }
}
