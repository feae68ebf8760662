//! Buffers of the library's own: the bytes of stored chunks.

use std::ptr;

use super::guard;
use super::pointers;

/// Opaque to C.
pub struct zrc_buf(Vec<u8>);

impl zrc_buf {
    pub(super) fn into_raw(bytes: Vec<u8>) -> *mut Self {
        Box::into_raw(Box::new(Self(bytes)))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_buf_data(buf: *const zrc_buf) -> *const u8 {
    // SAFETY: the rule *handles*.
    guard::value(ptr::null(), || {
        unsafe { pointers::borrow(buf, "buf") }.map_or(ptr::null(), |b| b.0.as_ptr())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_buf_len(buf: *const zrc_buf) -> usize {
    // SAFETY: the rule *handles*.
    guard::value(0, || unsafe { pointers::borrow(buf, "buf") }.map_or(0, |b| b.0.len()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_buf_free(buf: *mut zrc_buf) {
    guard::value((), || {
        if !buf.is_null() {
            // SAFETY: the rule *handles*: the box that `into_raw` made, given back by its one owner.
            drop(unsafe { Box::from_raw(buf) });
        }
    });
}
