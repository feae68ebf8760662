//! What comes over the border as a pointer: handles, strings, vectors, places for results. A NULL where none may be
//! is an error that names the parameter.

use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::slice;
use std::sync::Arc;

use crate::engine::Dims;
use crate::engine::error::{Error, Result};

/// Text lent to the caller.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_str {
    pub ptr: *const c_char,
    pub len: usize,
}

impl zrc_str {
    pub(super) fn lend(text: &str) -> Self {
        // An empty `String` points nowhere, and C programmers like to pass (ptr, 0) on.
        let ptr = if text.is_empty() { c"".as_ptr() } else { text.as_ptr().cast() };
        Self { ptr, len: text.len() }
    }
}

fn null(name: impl Display) -> Error {
    Error::invalid(format_args!("{name} must not be NULL"))
}

/// Turn an engine object into a handle that owns one reference.
pub(super) fn give<T>(object: Arc<T>) -> *mut T {
    Arc::into_raw(object).cast_mut()
}

/// Use a handle for the length of the call.
///
/// # Safety
/// The rule *handles* (for a box: that it is alive).
pub(super) unsafe fn borrow<'a, T>(handle: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { handle.as_ref() }.ok_or_else(|| null(name))
}

/// Take a reference of our own to a handle.
///
/// # Safety
/// The rule *handles*, for a handle that is counted.
pub(super) unsafe fn share<T>(handle: *const T, name: impl Display) -> Result<Arc<T>> {
    if handle.is_null() {
        return Err(null(name));
    }
    // SAFETY: the handle came from `give` and its count is at least the caller's one.
    unsafe { Arc::increment_strong_count(handle) };
    // SAFETY: owns the count added above.
    Ok(unsafe { Arc::from_raw(handle) })
}

/// # Safety
/// The rule *handles*.
pub(super) unsafe fn retain<T>(handle: *const T) {
    if !handle.is_null() {
        // SAFETY: the handle came from `give` and its count is at least the caller's one.
        unsafe { Arc::increment_strong_count(handle) };
    }
}

/// # Safety
/// The rule *handles*; the caller gives up one reference.
pub(super) unsafe fn release<T>(handle: *const T) {
    if !handle.is_null() {
        // SAFETY: takes back the count that the caller owned.
        drop(unsafe { Arc::from_raw(handle) });
    }
}

/// A string parameter.
///
/// # Safety
/// The rule *strings*.
pub(super) unsafe fn text<'a>(string: *const c_char, name: &str) -> Result<&'a str> {
    if string.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(string) };
    bytes
        .to_str()
        .map_err(|e| Error::invalid(format_args!("{name} is not UTF-8: a wrong byte at {}", e.valid_up_to())))
}

/// A vector parameter of `len` entries.
///
/// # Safety
/// The rule *pointers*.
pub(super) unsafe fn vector<'a, T>(values: *const T, len: usize, name: impl Display) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if values.is_null() {
        return Err(null(name));
    }
    if !values.is_aligned() {
        return Err(Error::invalid(format_args!("{name} is not aligned to {} bytes", align_of::<T>())));
    }
    // SAFETY: the caller's promise; alignment was checked.
    Ok(unsafe { slice::from_raw_parts(values, len) })
}

/// A vector parameter, copied.
///
/// # Safety
/// As for [`vector`].
pub(super) unsafe fn dims<T: Copy>(values: *const T, ndim: usize, name: impl Display) -> Result<Dims<T>> {
    // SAFETY: the caller's promise.
    unsafe { vector(values, ndim, name) }.map(Dims::from_slice)
}

/// A place for a result, checked before the work and written after it.
pub(super) struct Place<T>(*mut T);

impl<T> Place<T> {
    /// # Errors
    /// `out` is NULL.
    ///
    /// # Safety
    /// The rule *pointers*, until the call returns.
    pub(super) unsafe fn required(out: *mut T, name: &str) -> Result<Self> {
        if out.is_null() { Err(null(name)) } else { Ok(Self(out)) }
    }

    /// # Safety
    /// As for [`Self::required`].
    pub(super) unsafe fn optional(out: *mut T) -> Option<Self> {
        (!out.is_null()).then_some(Self(out))
    }

    /// A place for `len` values.
    ///
    /// # Errors
    /// `out` is NULL although there is something to write.
    ///
    /// # Safety
    /// As for [`Self::required`].
    pub(super) unsafe fn for_values(out: *mut T, len: usize, name: &str) -> Result<Self> {
        if out.is_null() && len > 0 { Err(null(name)) } else { Ok(Self(out)) }
    }

    pub(super) fn put(self, value: T) {
        // SAFETY: the promise given at `required`.
        unsafe { self.0.write_unaligned(value) };
    }

    /// Write the values that the place was made for.
    pub(super) fn put_values(self, values: &[T])
    where
        T: Copy,
    {
        for (i, value) in values.iter().enumerate() {
            // SAFETY: the promise given at `for_values`.
            unsafe { self.0.add(i).write_unaligned(*value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_parameter() {
        // SAFETY: NULL and a local string.
        let errors = unsafe {
            [
                text(std::ptr::null(), "url").unwrap_err(),
                text(c"a\xff".as_ptr(), "path").unwrap_err(),
                vector::<u64>(std::ptr::null(), 2, "regions[3].start").unwrap_err(),
                vector(std::ptr::without_provenance::<u64>(12), 1, "index").unwrap_err(),
                share::<String>(std::ptr::null(), "store").unwrap_err(),
            ]
        };
        let texts: Vec<_> = errors.iter().map(|e| e.message.to_string()).collect();
        assert_eq!(
            texts,
            [
                "url must not be NULL",
                "path is not UTF-8: a wrong byte at 1",
                "regions[3].start must not be NULL",
                "index is not aligned to 8 bytes",
                "store must not be NULL",
            ]
        );
    }
}
