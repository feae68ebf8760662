//! How the end of an operation reaches the caller: the completion, and the sink that it goes to.

use std::ffi::c_void;
use std::mem::offset_of;
use std::ptr;
use std::sync::Arc;

use super::array::zrc_array;
use super::buf::{zrc_buf, zrc_buf_free};
use super::error::{ZRC_OK, zrc_error, zrc_error_free, zrc_status};
use super::host::zrc_request_release;
use super::layout::{Plain, Versioned};
use super::pointers;
use super::queue::{Queue, zrc_queue_complete};
use crate::engine::error::{Error, Result};
use crate::engine::operation::{Completion, OnComplete, Output};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_completion {
    pub struct_size: usize,
    pub tag: u64,
    pub status: zrc_status,
    pub flags: u32,
    pub bytes: u64,
    pub error: *mut zrc_error,
    pub result: *mut c_void,
}
// SAFETY: `repr(C)`, integers and raw pointers only.
unsafe impl Plain for zrc_completion {}
// SAFETY: as above, and `struct_size` is the first field (asserted below).
unsafe impl Versioned for zrc_completion {
    // Whoever cannot take the error and the result would leak them.
    const LEAST: usize = offset_of!(zrc_completion, result) + size_of::<*mut c_void>();
}
const _: () = assert!(offset_of!(zrc_completion, struct_size) == 0);

// SAFETY: the error and the result are owned by whoever holds the completion, and their types are `Send`.
unsafe impl Send for zrc_completion {}

pub const ZRC_COMPLETION_FINAL: u32 = 1;
pub const ZRC_COMPLETION_CANCEL_REQUESTED: u32 = 2;
pub const ZRC_COMPLETION_ARRAY: u32 = 4;
pub const ZRC_COMPLETION_BUF: u32 = 8;
pub const ZRC_COMPLETION_REQUEST: u32 = 16;
pub const ZRC_COMPLETION_STORE_END: u32 = 32;

pub type zrc_complete_fn = Option<unsafe extern "C" fn(ctx: *mut c_void, completion: *const zrc_completion)>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_sink {
    pub r#fn: zrc_complete_fn,
    pub ctx: *mut c_void,
    pub tag: u64,
}

impl zrc_completion {
    /// The C form, which owns the error and the output.
    pub(super) fn new(completion: Completion, tag: u64) -> Self {
        let cancelled = if completion.cancel_requested { ZRC_COMPLETION_CANCEL_REQUESTED } else { 0 };
        let mut this = Self {
            struct_size: size_of::<Self>(),
            tag,
            status: ZRC_OK,
            flags: ZRC_COMPLETION_FINAL | cancelled,
            bytes: completion.bytes,
            error: ptr::null_mut(),
            result: ptr::null_mut(),
        };
        match completion.result {
            Ok(Output::Nothing) => {}
            Ok(Output::Array(array)) => {
                this.flags |= ZRC_COMPLETION_ARRAY;
                this.result = pointers::give(array).cast();
            }
            Ok(Output::Bytes(bytes)) => {
                this.flags |= ZRC_COMPLETION_BUF;
                this.result = zrc_buf::into_raw(bytes).cast();
            }
            Err(error) => {
                this.status = error.status as zrc_status;
                this.error = zrc_error::into_raw(error);
            }
        }
        this
    }

    /// A request of a host's store on its way through a queue, which owns a reference to it.
    pub(super) fn of_request(request: *mut c_void, tag: u64, flags: u32) -> Self {
        let (error, struct_size) = (ptr::null_mut(), size_of::<Self>());
        Self { struct_size, tag, status: ZRC_OK, flags, bytes: 0, error, result: request }
    }

    /// The same numbers; what it owns is freed.
    pub(super) fn without_things(self) -> Self {
        self.discard();
        let flags = self.flags & (ZRC_COMPLETION_FINAL | ZRC_COMPLETION_CANCEL_REQUESTED);
        Self { flags, error: ptr::null_mut(), result: ptr::null_mut(), ..self }
    }

    /// Free what the completion owns.
    pub(super) fn discard(self) {
        // SAFETY: the rule *handles*: the completion is its owner, and the flags say of which type the result is.
        unsafe {
            zrc_error_free(self.error);
            if self.flags & ZRC_COMPLETION_ARRAY != 0 {
                pointers::release(self.result.cast::<zrc_array>());
            }
            if self.flags & ZRC_COMPLETION_BUF != 0 {
                zrc_buf_free(self.result.cast());
            }
            if self.flags & ZRC_COMPLETION_REQUEST != 0 {
                zrc_request_release(self.result.cast());
            }
        }
    }
}

/// A sink's copy, on its way to the thread that completes.
struct Target {
    call: unsafe extern "C" fn(*mut c_void, *const zrc_completion),
    ctx: *mut c_void,
    tag: u64,
    /// Keeps the queue that `ctx` points to.
    _queue: Option<Arc<Queue>>,
}
// SAFETY: the header says that `fn` is called with `ctx` on threads of the library (the rule *lending*).
unsafe impl Send for Target {}

impl Target {
    fn complete(self, completion: Completion) {
        let completion = zrc_completion::new(completion, self.tag);
        // SAFETY: the rule *lending*: `ctx` lives until this call has returned; the completion lives as long.
        unsafe { (self.call)(self.ctx, &raw const completion) };
    }
}

/// What to hand to the engine for a sink; `None` where there is none.
///
/// # Safety
/// The rules *pointers* and *lending*.
pub(super) unsafe fn on_complete(sink: *const zrc_sink) -> Result<Option<OnComplete>> {
    // SAFETY: the rule *pointers*.
    let Some(sink) = (unsafe { sink.as_ref() }) else {
        return Ok(None);
    };
    let call = sink.r#fn.ok_or_else(|| Error::invalid("sink.fn must not be NULL"))?;
    let queue = match is_queue(call) {
        false => None,
        true => {
            // SAFETY: the header asks for a queue as the `ctx` of this function; the rule *handles*.
            let queue = unsafe { pointers::share(sink.ctx.cast::<Queue>(), "sink.ctx (the queue)") }?;
            queue.check_process()?;
            Some(queue)
        }
    };
    let target = Target { call, ctx: sink.ctx, tag: sink.tag, _queue: queue };
    Ok(Some(Box::new(move |completion| target.complete(completion))))
}

/// Whether a sink's function is `zrc_queue_complete`. A function has one address in a process, though in a program
/// linked at fixed addresses it lies in the program: the library learns it from the dynamic linker, as for any symbol
/// that it exports.
fn is_queue(call: unsafe extern "C" fn(*mut c_void, *const zrc_completion)) -> bool {
    let ours: unsafe extern "C" fn(*mut c_void, *const zrc_completion) = zrc_queue_complete;
    ptr::fn_addr_eq(call, ours)
}
