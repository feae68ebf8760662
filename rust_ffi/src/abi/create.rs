//! Arrays: made, and given other metadata.

use std::ffi::c_char;
use std::sync::Arc;

use super::array::zrc_array;
use super::completion::zrc_sink;
use super::error::{zrc_error, zrc_status};
use super::op::{self, zrc_op};
use super::pointers::{self, Place};
use super::store::zrc_store;
use super::{guard, io};
use crate::engine::array::Array;
use crate::engine::create::{create_array, update_array};
use crate::engine::error::Result;
use crate::engine::operation::{OnComplete, Operation, Output};

pub const ZRC_CREATE_OVERWRITE: u32 = 1;

/// # Safety
/// The rules *handles*, *strings* and, for what `on_complete` holds, *lending*.
unsafe fn start_create(
    store: *mut zrc_store,
    path: *const c_char,
    metadata_json: *const c_char,
    flags: u32,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    io::check_flags(flags, ZRC_CREATE_OVERWRITE, "flags")?;
    // SAFETY: the caller's promises.
    let (store, path, json) = unsafe {
        let store = pointers::share(store, "store")?;
        (store, pointers::text(path, "path")?, pointers::text(metadata_json, "metadata_json")?)
    };
    create_array(&store, path, json, flags & ZRC_CREATE_OVERWRITE != 0, on_complete)
}

/// # Safety
/// As for [`start_create`].
unsafe fn start_update(
    array: *const zrc_array,
    metadata_json: *const c_char,
    flags: u32,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    io::check_flags(flags, 0, "flags")?;
    // SAFETY: the caller's promises.
    let (array, json) =
        unsafe { (pointers::share(array, "array")?, pointers::text(metadata_json, "metadata_json")?) };
    update_array(&array, json, on_complete)
}

fn array_of(operation: &Operation) -> Result<Arc<Array>> {
    let Output::Array(array) = op::finish(operation)? else { unreachable!("these operations give an array") };
    Ok(array)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_create(
    store: *mut zrc_store,
    path: *const c_char,
    metadata_json: *const c_char,
    flags: u32,
    out: *mut *mut zrc_array,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *strings* and *pointers*.
        let (out, operation) =
            unsafe { (Place::required(out, "out")?, start_create(store, path, metadata_json, flags, None)?) };
        out.put(pointers::give(array_of(&operation)?));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_create_async(
    store: *mut zrc_store,
    path: *const c_char,
    metadata_json: *const c_char,
    flags: u32,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles* and *strings*.
        submission.start(|done| unsafe { start_create(store, path, metadata_json, flags, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_update(
    array: *const zrc_array,
    metadata_json: *const c_char,
    flags: u32,
    out: *mut *mut zrc_array,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *strings* and *pointers*.
        let (out, operation) =
            unsafe { (Place::required(out, "out")?, start_update(array, metadata_json, flags, None)?) };
        out.put(pointers::give(array_of(&operation)?));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_update_async(
    array: *const zrc_array,
    metadata_json: *const c_char,
    flags: u32,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles* and *strings*.
        submission.start(|done| unsafe { start_update(array, metadata_json, flags, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}
