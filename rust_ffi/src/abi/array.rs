//! Arrays: how they are opened, and what they are.

use std::ffi::c_char;
use std::ptr;
use std::sync::Arc;

use super::completion::zrc_sink;
use super::error::{zrc_error, zrc_status, zrc_str};
use super::layout::{self, Filled, versioned};
use super::op::{self, zrc_op};
use super::pointers::{self, Place};
use super::store::zrc_store;
use super::{guard, io};
use crate::engine::array::Array;
use crate::engine::error::{Error, Result};
use crate::engine::open::open_array;
use crate::engine::operation::{OnComplete, Operation, Output};

/// Opaque to C.
pub type zrc_array = Array;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_array_options {
    pub struct_size: usize,
    pub zarr_format: u32,
    pub flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_dtype {
    pub struct_size: usize,
    pub itemsize: u32,
    pub alignment: u32,
    pub typestr: [c_char; 32],
    pub name: [c_char; 32],
}
versioned!(zrc_array_options, zrc_dtype);

/// # Safety
/// The rules *handles*, *strings*, *pointers*, *structs* and, for what `on_complete` holds, *lending*.
unsafe fn start_open(
    store: *mut zrc_store,
    path: *const c_char,
    options: *const zrc_array_options,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    // SAFETY: the caller's promises.
    let (store, path, options) = unsafe {
        (
            pointers::share(store, "store")?,
            pointers::text(path, "path")?,
            layout::options(options, "options")?,
        )
    };
    io::check_flags(options.flags, 0, "options.flags")?;
    let format = match options.zarr_format {
        0 => None,
        2 => Some(2),
        3 => Some(3),
        other => {
            return Err(Error::invalid(format_args!("options.zarr_format must be 0, 2 or 3, not {other}")));
        }
    };
    open_array(&store, path, format, on_complete)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_open(
    store: *mut zrc_store,
    path: *const c_char,
    options: *const zrc_array_options,
    out: *mut *mut zrc_array,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *strings*, *pointers* and *structs*.
        let (out, operation) =
            unsafe { (Place::required(out, "out")?, start_open(store, path, options, None)?) };
        let Output::Array(array) = op::finish(&operation)? else { unreachable!("an open gives an array") };
        out.put(pointers::give(array));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_open_async(
    store: *mut zrc_store,
    path: *const c_char,
    options: *const zrc_array_options,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles*, *strings*, *pointers* and *structs*.
        submission.start(|on_complete| unsafe { start_open(store, path, options, on_complete) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_from_metadata(
    store: *mut zrc_store,
    path: *const c_char,
    metadata_json: *const c_char,
    out: *mut *mut zrc_array,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rule *handles*.
        let store = unsafe { pointers::share(store, "store") }?;
        // SAFETY: the rules *strings* and *pointers*.
        let (path, json, out) = unsafe {
            let (path, json) =
                (pointers::text(path, "path")?, pointers::text(metadata_json, "metadata_json")?);
            (path, json, Place::required(out, "out")?)
        };
        out.put(pointers::give(Array::from_metadata(&store, path, json)?));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_retain(array: *mut zrc_array) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(array) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_release(array: *mut zrc_array) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(array) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_ndim(array: *const zrc_array) -> u32 {
    // SAFETY: the rule *handles*.
    guard::value(0, || unsafe { pointers::borrow(array, "array") }.map_or(0, |a| a.shape().len() as u32))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_zarr_format(array: *const zrc_array) -> u32 {
    // SAFETY: the rule *handles*.
    guard::value(0, || unsafe { pointers::borrow(array, "array") }.map_or(0, |a| a.zarr_format().into()))
}

/// Write one number a dimension.
///
/// # Safety
/// The rule *pointers*.
unsafe fn put_dims(values: &[u64], out: *mut u64, capacity: usize) -> Result<()> {
    let ndim = values.len();
    if capacity < ndim {
        return Err(Error::invalid(format_args!(
            "capacity is {capacity}, but the array has {ndim} dimensions"
        )));
    }
    // SAFETY: the caller's promise.
    unsafe { Place::for_values(out, ndim, "out") }?.put_values(values);
    Ok(())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_shape(
    array: *const zrc_array,
    out: *mut u64,
    capacity: usize,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles* and *pointers*.
        unsafe { put_dims(pointers::borrow(array, "array")?.shape(), out, capacity) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_grid_shape(
    array: *const zrc_array,
    out: *mut u64,
    capacity: usize,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles* and *pointers*.
        unsafe { put_dims(pointers::borrow(array, "array")?.grid_shape(), out, capacity) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_chunk_shape(
    array: *const zrc_array,
    index: *const u64,
    out: *mut u64,
    capacity: usize,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles* and *pointers*.
        unsafe {
            let array = pointers::borrow(array, "array")?;
            let index = pointers::vector(index, array.shape().len(), "index")?;
            put_dims(&array.chunk_shape(index)?, out, capacity)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_inner_chunk_shape(
    array: *const zrc_array,
    out: *mut u64,
    capacity: usize,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*.
        let array = unsafe { pointers::borrow(array, "array") }?;
        let shape =
            array.inner_chunk_shape().ok_or_else(|| Error::unsupported("the array is not sharded"))?;
        // SAFETY: the rule *pointers*.
        unsafe { put_dims(shape, out, capacity) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_chunks_extent(
    array: *const zrc_array,
    chunk_start: *const u64,
    chunk_shape: *const u64,
    start: *mut u64,
    shape: *mut u64,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*.
        let array = unsafe { pointers::borrow(array, "array") }?;
        let ndim = array.shape().len();
        // SAFETY: the rule *pointers*.
        let (places, extent) = unsafe {
            let places = (Place::for_values(start, ndim, "start")?, Place::for_values(shape, ndim, "shape")?);
            let first = pointers::vector(chunk_start, ndim, "chunk_start")?;
            (places, array.chunks_extent(first, pointers::vector(chunk_shape, ndim, "chunk_shape")?)?)
        };
        places.0.put_values(&extent.0);
        places.1.put_values(&extent.1);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_dtype(array: *const zrc_array, out: *mut zrc_dtype) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (array, out) = unsafe { (pointers::borrow(array, "array")?, Filled::required(out, "out")?) };
        let dtype = array.dtype();
        out.put(&zrc_dtype {
            struct_size: 0,
            itemsize: small(dtype.itemsize, "itemsize")?,
            alignment: small(dtype.alignment, "alignment")?,
            typestr: fixed_text(&dtype.typestr),
            name: fixed_text(&dtype.name),
        });
        Ok(())
    })
}

fn small(n: usize, what: &str) -> Result<u32> {
    n.try_into().map_err(|_| Error::unsupported(format_args!("an {what} of {n} bytes")))
}

/// Text cut to fit between NULs, at a whole character.
fn fixed_text(text: &str) -> [c_char; 32] {
    let mut out = [0; 32];
    let end = text.floor_char_boundary(out.len() - 1);
    for (to, from) in out.iter_mut().zip(text[..end].bytes()) {
        *to = from as c_char;
    }
    out
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_fill_value(
    array: *const zrc_array,
    out: *mut std::ffi::c_void,
    nbytes: usize,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*.
        let array = unsafe { pointers::borrow(array, "array") }?;
        let (value, itemsize) = (array.fill_value(), array.dtype().itemsize);
        if nbytes != itemsize || value.len() != itemsize {
            return Err(Error::invalid(format_args!("nbytes is {nbytes}, but the itemsize is {itemsize}")));
        }
        // SAFETY: the rule *pointers*.
        unsafe { Place::for_values(out.cast::<u8>(), nbytes, "out") }?.put_values(value);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_metadata_json(array: *const zrc_array) -> zrc_str {
    guard::value(zrc_str::lend(""), || {
        // SAFETY: the rule *handles*.
        zrc_str::lend(unsafe { pointers::borrow(array, "array") }.map_or("", |a| a.metadata_json()))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_path(array: *const zrc_array) -> zrc_str {
    guard::value(zrc_str::lend(""), || {
        // SAFETY: the rule *handles*.
        zrc_str::lend(unsafe { pointers::borrow(array, "array") }.map_or("", |a| a.path()))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_array_store(array: *const zrc_array) -> *mut zrc_store {
    guard::value(ptr::null_mut(), || {
        // SAFETY: the rule *handles*.
        unsafe { pointers::borrow(array, "array") }
            .map_or(ptr::null_mut(), |a| pointers::give(a.store().clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_a_whole_character_and_ends_with_a_nul() {
        let bytes = |text: &str| fixed_text(text).map(|c| c as u8);
        assert_eq!(&bytes("<f4")[..4], b"<f4\0");
        let long = bytes(&"a".repeat(40));
        assert_eq!((&long[..31], long[31]), (&[b'a'; 31][..], 0));
        let wide = bytes(&format!("{}é", "a".repeat(30)));
        assert_eq!((&wide[..30], &wide[30..]), (&[b'a'; 30][..], &[0, 0][..]));
    }
}
