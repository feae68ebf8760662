//! Runtimes.

use std::sync::Arc;
use std::time::Duration;

use super::error::{zrc_error, zrc_status};
use super::layout::{self, versioned};
use super::pointers::{self, Place};
use super::{guard, io};
use crate::engine::runtime::{Runtime, RuntimeConfig};

/// Opaque to C.
pub type zrc_runtime = Runtime;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_runtime_options {
    pub struct_size: usize,
    pub io_threads: u32,
    pub codec_threads: u32,
    pub max_requests: u32,
    pub flags: u32,
    pub max_bytes: u64,
    pub range_gap: u64,
    pub range_cap: u64,
    pub index_cache_bytes: u64,
    pub put_part_bytes: u64,
}
versioned!(zrc_runtime_options);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_runtime_new(
    options: *const zrc_runtime_options,
    out: *mut *mut zrc_runtime,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *pointers* and *structs*.
        let (options, out) = unsafe { (layout::options(options, "options")?, Place::required(out, "out")?) };
        io::check_flags(options.flags, 0, "options.flags")?;
        let config = RuntimeConfig {
            io_threads: options.io_threads as usize,
            codec_threads: options.codec_threads as usize,
            max_requests: options.max_requests as usize,
            max_bytes: options.max_bytes,
            range_gap: options.range_gap,
            range_cap: options.range_cap,
            index_cache_bytes: options.index_cache_bytes,
            put_part_bytes: options.put_part_bytes,
        };
        out.put(pointers::give(Runtime::new(config)?));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_runtime_retain(runtime: *mut zrc_runtime) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(runtime) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_runtime_release(runtime: *mut zrc_runtime) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(runtime) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_runtime_shutdown(runtime: *mut zrc_runtime, timeout_ms: u32) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*. A reference of our own: another thread may release the caller's meanwhile.
        let runtime: Arc<Runtime> = unsafe { pointers::share(runtime, "runtime") }?;
        runtime.shutdown(Duration::from_millis(timeout_ms.into()))
    })
}
