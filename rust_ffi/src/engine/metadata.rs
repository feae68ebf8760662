//! Metadata as text: what is looked at before anything is made of it.
//!
//! A hundred bytes can ask for a chunk grid of 2^62 chunks or for a fill value of a terabyte, and a document of nothing
//! but brackets takes a hundred times its size once it is parsed. So attributes, which may be large and which the
//! engine has no use for, are not parsed into values at all, and what remains is held to limits that no array reaches.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::{Error, Result};

/// The most bytes that a metadata object may have.
pub const MOST_BYTES: u64 = 256 << 20;
/// Of these, without attributes.
const MOST_BYTES_PARSED: usize = 8 << 20;
/// Chunks along all dimensions of an irregular grid together.
pub const MOST_EDGES: u64 = 1 << 22;
/// Bytes of one element.
const MOST_ITEMSIZE: u64 = 16 << 20;

/// Parse metadata, without its attributes.
pub fn parse(json: &str) -> Result<Value> {
    let broken = |e| Error::invalid(format_args!("metadata is not valid JSON: {e}"));
    let without = match attributes(json) {
        None => json.to_owned(),
        Some(range) => {
            serde_json::from_str::<IgnoredAny>(&json[range.clone()]).map_err(broken)?;
            [&json[..range.start], "{}", &json[range.end..]].concat()
        }
    };
    if without.len() > MOST_BYTES_PARSED {
        let n = without.len();
        return Err(Error::invalid(format_args!(
            "metadata of {n} bytes without its attributes, {MOST_BYTES_PARSED} are the most"
        )));
    }
    let value = serde_json::from_str(&without).map_err(broken)?;
    check_edges(&value)?;
    check_itemsize(&value)?;
    Ok(value)
}

/// Where the value of the top level's member "attributes" lies, if there is one that is an object.
fn attributes(json: &str) -> Option<std::ops::Range<usize>> {
    const KEY: &str = "\"attributes\"";
    let bytes = json.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    let mut start = None;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let key = depth == 1 && start.is_none() && json[at..].starts_with(KEY);
                at = end_of_string(bytes, at)?;
                if key {
                    start = json[at..].trim_start().strip_prefix(':').map(str::trim_start);
                    start = start.filter(|rest| rest.starts_with('{'));
                    at = start.map_or(at, |rest| json.len() - rest.len());
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if let (1, Some(rest)) = (depth, start) {
                    return Some(json.len() - rest.len()..at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The place after the string that begins at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 1,
            _ => {}
        }
    }
}

/// zarrs expands the runs of an irregular grid.
fn check_edges(metadata: &Value) -> Result<()> {
    let shapes = metadata.pointer("/chunk_grid/configuration/chunk_shapes").and_then(Value::as_array);
    let mut edges = 0u64;
    for element in shapes.into_iter().flatten().filter_map(Value::as_array).flatten() {
        let repeats = element.as_array().map_or(Some(1), |run| run.get(1)?.as_u64());
        edges = edges.saturating_add(repeats.unwrap_or(1));
    }
    if edges > MOST_EDGES {
        return Err(Error::unsupported(format_args!("an irregular grid of {edges} chunks")));
    }
    Ok(())
}

/// zarrs makes a fill value of whatever size an element is said to have.
fn check_itemsize(metadata: &Value) -> Result<()> {
    let number = |text: &str| if text.is_empty() { None } else { Some(text.parse().unwrap_or(u64::MAX)) };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| number(text)).flatten();
    let v2 = metadata.get("dtype").and_then(Value::as_str).and_then(|dtype| {
        let units = digits(dtype.get(2..)?)?;
        Some(if dtype.as_bytes()[1] == b'U' { units.saturating_mul(4) } else { units })
    });
    let v3 = metadata.get("data_type");
    let raw =
        v3.and_then(Value::as_str).and_then(|name| digits(name.strip_prefix('r')?)).map(|bits| bits / 8);
    let text = v3.and_then(|v3| v3.pointer("/configuration/length_bytes")).and_then(Value::as_u64);
    match [v2, raw, text].into_iter().flatten().max() {
        Some(n) if n > MOST_ITEMSIZE => {
            Err(Error::unsupported(format_args!("elements of {n} bytes, {MOST_ITEMSIZE} are the most")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_not_parsed_and_all_else_is() {
        let attributes = r#"{"a": [1, {"attributes": 2}], "b\"}": "}"}"#;
        let json =
            format!("{{\"x\": {{\"attributes\": {{\"y\": 1}}}}, \"attributes\" : {attributes}, \"z\": [3]}}");
        let expected = serde_json::json!({"x": {"attributes": {"y": 1}}, "attributes": {}, "z": [3]});
        assert_eq!(parse(&json).unwrap(), expected);
        let many = format!("{{\"attributes\": {{\"a\": [{}0]}}}}", "[],".repeat(10 << 20));
        assert_eq!(parse(&many).unwrap(), serde_json::json!({"attributes": {}}));
    }

    #[test]
    fn broken_text_is_an_error() {
        for json in
            ["", "}", "{", "{\"attributes\": {", "{\"attributes\": {\"a\": }}", "\"", "{\"attributes\"", "\\"]
        {
            assert!(parse(json).is_err(), "{json}");
        }
        assert!(parse(&format!("{{\"a\": [{}0]}}", "[],".repeat(10 << 20))).is_err());
        assert!(parse(&format!("{{\"attributes\": {{\"a\": {}}}}}", "[".repeat(1 << 20))).is_err());
    }

    #[test]
    fn what_asks_for_too_much_is_refused() {
        let refused = [
            r#"{"chunk_grid": {"configuration": {"chunk_shapes": [[[1, 4611686018427387904]]]}}}"#,
            r#"{"chunk_grid": {"configuration": {"chunk_shapes": [[[1, 4000000]], [1, 2, [3, 400000]]]}}}"#,
            r#"{"data_type": {"name": "fixed_length_utf32", "configuration": {"length_bytes": 4611686018427387904}}}"#,
            r#"{"data_type": "r36893488147419103224"}"#,
            r#"{"dtype": "|V99999999999"}"#,
            r#"{"dtype": "<U4611686018427387904"}"#,
        ];
        for json in refused {
            assert!(parse(json).is_err(), "{json}");
        }
        for json in
            [r#"{"dtype": "<U9"}"#, r#"{"dtype": "<M8[s]"}"#, r#"{"dtype": "é"}"#, r#"{"data_type": "r8"}"#]
        {
            assert!(parse(json).is_ok(), "{json}");
        }
    }
}
