//! Regions of arrays, read and written; and chunks as they are stored.

use std::ffi::c_void;
use std::fmt::{self, Display, Formatter};
use std::ptr;
use std::sync::Arc;

use super::array::zrc_array;
use super::buf::zrc_buf;
use super::completion::zrc_sink;
use super::error::{zrc_error, zrc_status};
use super::guard;
use super::layout::{self, Plain, versioned};
use super::op::{self, zrc_op};
use super::pointers::{self, Place};
use super::runtime::zrc_runtime;
use crate::engine::encoded;
use crate::engine::error::{Error, Result};
use crate::engine::operation::{OnComplete, Operation, Output};
use crate::engine::read::{self, IoOptions, StatusSlots};
use crate::engine::region::Region;
use crate::engine::runtime::Runtime;
use crate::engine::write;
use crate::engine::write_encoded::{self, Lent};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_region {
    pub array: *const zrc_array,
    pub start: *const u64,
    pub shape: *const u64,
    pub step: *const i64,
    pub data: *mut c_void,
    pub nbytes: usize,
    pub strides: *const i64,
}
// SAFETY: `repr(C)`, integers and raw pointers only.
unsafe impl Plain for zrc_region {}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_io_options {
    pub struct_size: usize,
    pub region_size: usize,
    pub max_requests: u32,
    pub flags: u32,
    pub max_bytes: u64,
    pub statuses: *mut zrc_status,
}
versioned!(zrc_io_options);

pub const ZRC_IO_FAIL_FAST: u32 = 1;
pub const ZRC_IO_NO_FAST_PATH: u32 = 2;
pub const ZRC_IO_WRITE_EMPTY: u32 = 4;
pub const ZRC_IO_SYNC: u32 = 8;
pub const ZRC_IO_IF_UNCHANGED: u32 = 16;
pub const ZRC_CHUNK_INNER: u32 = 1;

/// Refuse flags that this version does not know: they ask for something that it would not do.
pub(super) fn check_flags(flags: u32, known: u32, name: &str) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::invalid(format_args!("{name} has unknown bits: {unknown:#x}"))),
    }
}

/// The name of a region's field. It is only written where something is wrong with it.
struct RegionField {
    i: usize,
    field: &'static str,
}

impl Display for RegionField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "regions[{}].{}", self.i, self.field)
    }
}

/// # Safety
/// The rules *handles*, *pointers* and *lending*, of one region. `i` is its number, where there are several.
unsafe fn take_region(region: &zrc_region, i: usize) -> Result<Region> {
    let name = |field| RegionField { i, field };
    // SAFETY: the caller's promises.
    unsafe {
        let array = pointers::share(region.array, name("array"))?;
        let ndim = array.shape().len();
        let optional = |values: *const i64, field| match values.is_null() {
            true => Ok(None),
            false => pointers::dims(values, ndim, name(field)).map(Some),
        };
        Ok(Region {
            start: pointers::dims(region.start, ndim, name("start"))?,
            shape: pointers::dims(region.shape, ndim, name("shape"))?,
            step: optional(region.step, "step")?,
            data: region.data.cast(),
            nbytes: region.nbytes,
            strides: optional(region.strides, "strides")?,
            array,
        })
    }
}

/// What is done with the regions.
type Start = unsafe fn(&Arc<Runtime>, Vec<Region>, IoOptions, Option<OnComplete>) -> Result<Arc<Operation>>;

/// How to start it, and the flags that it knows.
const READ: (Start, u32) = (read::read, ZRC_IO_FAIL_FAST | ZRC_IO_NO_FAST_PATH);
const WRITE: (Start, u32) = (write::write, READ.1 | ZRC_IO_WRITE_EMPTY | ZRC_IO_SYNC | ZRC_IO_IF_UNCHANGED);

/// # Safety
/// The rules *handles*, *pointers*, *structs* and *lending*.
unsafe fn start(
    runtime: *mut zrc_runtime,
    regions: *const zrc_region,
    count: usize,
    options: *const zrc_io_options,
    (start, known_flags): (Start, u32),
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    // SAFETY: the caller's promises.
    let (runtime, options) =
        unsafe { (pointers::share(runtime, "runtime")?, layout::options(options, "options")?) };
    check_flags(options.flags, known_flags, "options.flags")?;
    let stride = layout::stride::<zrc_region>(options.region_size, "options.region_size")?;
    if regions.is_null() && count > 0 {
        return Err(Error::invalid(format_args!("regions must not be NULL when count is {count}")));
    }
    let mut taken = Vec::new();
    taken.try_reserve_exact(count).map_err(|_| Error::memory(count, "the regions"))?;
    for i in 0..count {
        // SAFETY: the caller's promises; `i` is less than `count`.
        let region = unsafe {
            let region = layout::element(regions, i, stride, format_args!("regions[{i}]"))?;
            take_region(&region, i)?
        };
        taken.push(region);
    }
    let flag = |flag| options.flags & flag != 0;
    let options = IoOptions {
        max_requests: options.max_requests as usize,
        max_bytes: options.max_bytes,
        fail_fast: flag(ZRC_IO_FAIL_FAST),
        no_fast_path: flag(ZRC_IO_NO_FAST_PATH),
        write_empty: flag(ZRC_IO_WRITE_EMPTY),
        sync: flag(ZRC_IO_SYNC),
        if_unchanged: flag(ZRC_IO_IF_UNCHANGED),
        statuses: StatusSlots::new(options.statuses),
    };
    // SAFETY: the rule *lending*: the regions' memory and the statuses stay until the final completion.
    unsafe { start(&runtime, taken, options, on_complete) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_read(
    runtime: *mut zrc_runtime,
    regions: *const zrc_region,
    count: usize,
    options: *const zrc_io_options,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *pointers* and *structs*; *lending*, as this waits for the end.
        let operation = unsafe { start(runtime, regions, count, options, READ, None) }?;
        op::finish(&operation).map(drop)
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_read_async(
    runtime: *mut zrc_runtime,
    regions: *const zrc_region,
    count: usize,
    options: *const zrc_io_options,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles*, *pointers*, *structs* and *lending*.
        submission.start(|done| unsafe { start(runtime, regions, count, options, READ, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_write(
    runtime: *mut zrc_runtime,
    regions: *const zrc_region,
    count: usize,
    options: *const zrc_io_options,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *pointers* and *structs*; *lending*, as this waits for the end.
        let operation = unsafe { start(runtime, regions, count, options, WRITE, None) }?;
        op::finish(&operation).map(drop)
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_write_async(
    runtime: *mut zrc_runtime,
    regions: *const zrc_region,
    count: usize,
    options: *const zrc_io_options,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles*, *pointers*, *structs* and *lending*.
        submission.start(|done| unsafe { start(runtime, regions, count, options, WRITE, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

/// # Safety
/// The rules *handles*, *pointers* and, for what `on_complete` holds, *lending*.
unsafe fn start_read_encoded(
    array: *const zrc_array,
    index: *const u64,
    flags: u32,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    check_flags(flags, ZRC_CHUNK_INNER, "flags")?;
    // SAFETY: the caller's promises.
    let (array, index) = unsafe {
        let array = pointers::share(array, "array")?;
        let ndim = array.shape().len();
        (array, pointers::vector(index, ndim, "index")?)
    };
    encoded::read_encoded_chunk(&array, index, flags & ZRC_CHUNK_INNER != 0, on_complete)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_read_encoded_chunk(
    array: *const zrc_array,
    index: *const u64,
    flags: u32,
    out: *mut *mut zrc_buf,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles* and *pointers*.
        let (out, operation) =
            unsafe { (Place::required(out, "out")?, start_read_encoded(array, index, flags, None)?) };
        out.put(match op::finish(&operation)? {
            Output::Bytes(bytes) => zrc_buf::into_raw(bytes),
            _ => ptr::null_mut(),
        });
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_read_encoded_chunk_async(
    array: *const zrc_array,
    index: *const u64,
    flags: u32,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles* and *pointers*.
        submission.start(|on_complete| unsafe { start_read_encoded(array, index, flags, on_complete) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

/// # Safety
/// The rules *handles*, *pointers* and, for `data` and what `on_complete` holds, *lending*.
unsafe fn start_write_encoded(
    array: *const zrc_array,
    index: *const u64,
    data: Option<(*const c_void, usize)>,
    flags: u32,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    check_flags(flags, 0, "flags")?;
    // SAFETY: the caller's promises.
    let (array, index, data) = unsafe {
        let array = pointers::share(array, "array")?;
        let ndim = array.shape().len();
        let lent = |(data, nbytes): (*const c_void, usize)| {
            let bytes: &[u8] = pointers::vector(data.cast::<u8>(), nbytes, "data")?;
            Ok(Lent::new(bytes.as_ptr(), nbytes))
        };
        (array, pointers::vector(index, ndim, "index")?, data.map(lent).transpose()?)
    };
    write_encoded::write_encoded_chunk(&array, index, data, on_complete)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_write_encoded_chunk(
    array: *const zrc_array,
    index: *const u64,
    data: *const c_void,
    nbytes: usize,
    flags: u32,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles* and *pointers*; *lending*, as this waits for the end.
        let operation = unsafe { start_write_encoded(array, index, Some((data, nbytes)), flags, None) }?;
        op::finish(&operation).map(drop)
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_write_encoded_chunk_async(
    array: *const zrc_array,
    index: *const u64,
    data: *const c_void,
    nbytes: usize,
    flags: u32,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles*, *pointers* and *lending*.
        submission
            .start(|done| unsafe { start_write_encoded(array, index, Some((data, nbytes)), flags, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_erase_chunk(
    array: *const zrc_array,
    index: *const u64,
    flags: u32,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles* and *pointers*; *lending*, as this waits for the end.
        let operation = unsafe { start_write_encoded(array, index, None, flags, None) }?;
        op::finish(&operation).map(drop)
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_erase_chunk_async(
    array: *const zrc_array,
    index: *const u64,
    flags: u32,
    sink: *const zrc_sink,
    op: *mut *mut zrc_op,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *lending*.
        let submission = unsafe { op::Submission::new(sink, op) }?;
        // SAFETY: the rules *handles*, *pointers* and *lending*.
        submission.start(|done| unsafe { start_write_encoded(array, index, None, flags, done) })
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}
