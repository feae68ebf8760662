//! Opening arrays: finding and reading their metadata.

use std::borrow::Cow;
use std::sync::Arc;

use super::array::{Array, normalised_path};
use super::error::{Error, Result, Status, contain};
use super::operation::{OnComplete, Operation, Output};
use super::pool::{Lane, Once};
use super::stats::Counter;
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
    let (operation, completer) = Operation::start(live, on_complete)?;
    let store = store.clone();
    let job = move || {
        let operation = completer.operation();
        if operation.skip() {
            return;
        }
        match contain(|| open(&store, &path, zarr_format, operation)) {
            Ok(array) => completer.set_output(Output::Array(array)),
            Err(error) => operation.fail(error),
        }
    };
    pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
    Ok(operation)
}

fn open(store: &Arc<Store>, path: &str, zarr_format: Option<u8>, operation: &Operation) -> Result<Arc<Array>> {
    let Backend::Local(files) = store.backend();
    let get = |name: &str| -> Result<Option<String>> {
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        operation.count(Counter::Requests, 1);
        let Some(bytes) = files.get(&key)? else { return Ok(None) };
        operation.count(Counter::BytesFetched, bytes.len() as u64);
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid("metadata is not UTF-8").with_key(&key))?;
        Ok(Some(text))
    };
    if zarr_format != Some(2)
        && let Some(json) = get("zarr.json")?
    {
        return from_v3(store, path, &json);
    }
    if zarr_format != Some(3)
        && let Some(json) = get(".zarray")?
    {
        return Array::from_metadata(store, path, &with_attributes(&json, get(".zattrs")?)?);
    }
    if zarr_format != Some(3) && get(".zgroup")?.is_some() {
        return Err(is_group(store, path));
    }
    let looked_for = match zarr_format {
        Some(2) => ".zarray",
        Some(3) => "zarr.json",
        _ => "zarr.json or .zarray",
    };
    Err(not_found(store, path, format_args!("no array there ({looked_for} is missing)")))
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

fn is_group(store: &Store, path: &str) -> Error {
    not_found(store, path, format_args!("a group, not an array"))
}

fn not_found(store: &Store, path: &str, text: std::fmt::Arguments<'_>) -> Error {
    Error::new(Status::NotFound, format_args!("{}/{path}: {text}", store.url()))
}

/// Format 2 keeps attributes in an object of their own; ours has them in the metadata, as format 3.
fn with_attributes(zarray: &str, zattrs: Option<String>) -> Result<String> {
    let Some(zattrs) = zattrs else { return Ok(zarray.to_owned()) };
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&without_bare_numbers(&zattrs))
        .map_err(|e| Error::invalid(format_args!(".zattrs is not a JSON object: {e}")))?;
    let Some(body) = zarray.trim_end().strip_suffix('}') else { return Ok(zarray.to_owned()) };
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
        let bare = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
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
