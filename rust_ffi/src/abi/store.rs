//! Stores.

use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr;

use serde_json::Value;

use super::error::{zrc_error, zrc_status, zrc_str};
use super::guard;
use super::pointers::{self, Place};
use super::runtime::zrc_runtime;
use crate::engine::error::{Error, Result};
use crate::storage::Store;

/// Opaque to C.
pub type zrc_store = Store;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_open(
    runtime: *mut zrc_runtime,
    url: *const c_char,
    options_json: *const c_char,
    out: *mut *mut zrc_store,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *strings* and *pointers*.
        let (runtime, url, out) = unsafe {
            (pointers::share(runtime, "runtime")?, pointers::text(url, "url")?, Place::required(out, "out")?)
        };
        let options = match options_json.is_null() {
            true => BTreeMap::new(),
            // SAFETY: the rule *strings*.
            false => parse_options(unsafe { pointers::text(options_json, "options_json") }?)?,
        };
        out.put(pointers::give(Store::open(&runtime, url, &options)?));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

/// The values are not shown: they may be secrets.
fn parse_options(json: &str) -> Result<BTreeMap<String, String>> {
    let value: Value = serde_json::from_str(json).map_err(|e| {
        Error::invalid(format_args!("options_json is not JSON: line {}, column {}", e.line(), e.column()))
    })?;
    let Value::Object(members) = value else {
        return Err(Error::invalid(format_args!("options_json must be an object, not {}", kind(&value))));
    };
    let option = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        other => {
            let kind = kind(&other);
            Err(Error::invalid(format_args!(
                "options_json: the value of {key:?} must be a string, not {kind}"
            )))
        }
    };
    members.into_iter().map(option).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_retain(store: *mut zrc_store) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(store) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_release(store: *mut zrc_store) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(store) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_url(store: *const zrc_store) -> zrc_str {
    guard::value(zrc_str::lend(""), || {
        // SAFETY: the rule *handles*.
        zrc_str::lend(unsafe { pointers::borrow(store, "store") }.map_or("", |s| s.url()))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_runtime(store: *const zrc_store) -> *mut zrc_runtime {
    guard::value(ptr::null_mut(), || {
        // SAFETY: the rule *handles*.
        unsafe { pointers::borrow(store, "store") }
            .map_or(ptr::null_mut(), |s| pointers::give(s.runtime().clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_an_object_of_strings_and_errors_show_no_value() {
        assert_eq!(parse_options(r#"{"a": "1"}"#).unwrap(), BTreeMap::from([("a".into(), "1".into())]));
        for (json, expected) in [
            ("[]", "options_json must be an object, not an array"),
            ("{'key': 'secret'}", "options_json is not JSON: line 1, column 2"),
            (r#"{"key": 123456}"#, r#"options_json: the value of "key" must be a string, not a number"#),
        ] {
            assert_eq!(&*parse_options(json).unwrap_err().message, expected);
        }
    }
}
