//! Statuses and errors.

use std::ffi::{CStr, c_char};

use super::guard;
use super::pointers;
pub use super::pointers::zrc_str;
use crate::engine::error::{Error, Status};

pub type zrc_status = i32;

pub const ZRC_OK: zrc_status = 0;
pub const ZRC_E_INVALID: zrc_status = Status::Invalid as zrc_status;
pub const ZRC_E_NOT_FOUND: zrc_status = Status::NotFound as zrc_status;
pub const ZRC_E_IO: zrc_status = Status::Io as zrc_status;
pub const ZRC_E_CODEC: zrc_status = Status::Codec as zrc_status;
pub const ZRC_E_UNSUPPORTED: zrc_status = Status::Unsupported as zrc_status;
pub const ZRC_E_BUFFER: zrc_status = Status::Buffer as zrc_status;
pub const ZRC_E_CANCELLED: zrc_status = Status::Cancelled as zrc_status;
pub const ZRC_E_SHUTDOWN: zrc_status = Status::Shutdown as zrc_status;
pub const ZRC_E_FORKED: zrc_status = Status::Forked as zrc_status;
pub const ZRC_E_PANIC: zrc_status = Status::Panic as zrc_status;
pub const ZRC_E_TIMEOUT: zrc_status = Status::Timeout as zrc_status;
pub const ZRC_E_MEMORY: zrc_status = Status::Memory as zrc_status;
pub const ZRC_E_EXISTS: zrc_status = Status::Exists as zrc_status;
pub const ZRC_E_CONFLICT: zrc_status = Status::Conflict as zrc_status;

/// Opaque to C.
pub struct zrc_error(Error);

impl zrc_error {
    pub(super) fn into_raw(error: Error) -> *mut Self {
        Box::into_raw(Box::new(Self(error)))
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_error_status(error: *const zrc_error) -> zrc_status {
    guard::value(ZRC_E_PANIC, || {
        // SAFETY: the rule *handles*.
        unsafe { pointers::borrow(error, "error") }.map_or(ZRC_OK, |e| e.0.status as zrc_status)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_error_message(error: *const zrc_error) -> zrc_str {
    guard::value(zrc_str::lend(""), || {
        // SAFETY: the rule *handles*.
        zrc_str::lend(unsafe { pointers::borrow(error, "error") }.map_or("", |e| &e.0.message))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_error_key(error: *const zrc_error) -> zrc_str {
    guard::value(zrc_str::lend(""), || {
        // SAFETY: the rule *handles*.
        let key = unsafe { pointers::borrow(error, "error") }.ok().and_then(|e| e.0.key.as_deref());
        zrc_str::lend(key.unwrap_or(""))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_error_free(error: *mut zrc_error) {
    guard::value((), || {
        if !error.is_null() {
            // SAFETY: the rule *handles*: the box that `into_raw` made, given back by its one owner.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_status_name(status: zrc_status) -> *const c_char {
    guard::value(c"ZRC_E_UNKNOWN".as_ptr(), || name(status).as_ptr())
}

pub(super) fn name(status: zrc_status) -> &'static CStr {
    match status {
        ZRC_OK => c"ZRC_OK",
        ZRC_E_INVALID => c"ZRC_E_INVALID",
        ZRC_E_NOT_FOUND => c"ZRC_E_NOT_FOUND",
        ZRC_E_IO => c"ZRC_E_IO",
        ZRC_E_CODEC => c"ZRC_E_CODEC",
        ZRC_E_UNSUPPORTED => c"ZRC_E_UNSUPPORTED",
        ZRC_E_BUFFER => c"ZRC_E_BUFFER",
        ZRC_E_CANCELLED => c"ZRC_E_CANCELLED",
        ZRC_E_SHUTDOWN => c"ZRC_E_SHUTDOWN",
        ZRC_E_FORKED => c"ZRC_E_FORKED",
        ZRC_E_PANIC => c"ZRC_E_PANIC",
        ZRC_E_TIMEOUT => c"ZRC_E_TIMEOUT",
        ZRC_E_MEMORY => c"ZRC_E_MEMORY",
        ZRC_E_EXISTS => c"ZRC_E_EXISTS",
        ZRC_E_CONFLICT => c"ZRC_E_CONFLICT",
        _ => c"ZRC_E_UNKNOWN",
    }
}
