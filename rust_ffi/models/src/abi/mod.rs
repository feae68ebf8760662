#![allow(non_camel_case_types, clippy::missing_safety_doc)]

#[path = "../../../src/abi/buf.rs"]
pub mod buf;
#[path = "../../../src/abi/completion.rs"]
pub mod completion;
#[path = "../../../src/abi/error.rs"]
pub mod error;
#[path = "../../../src/abi/guard.rs"]
mod guard;
#[path = "../../../src/abi/layout.rs"]
mod layout;
#[path = "../../../src/abi/op.rs"]
pub mod op;
#[path = "../../../src/abi/pointers.rs"]
mod pointers;
#[path = "../../../src/abi/queue.rs"]
pub mod queue;
#[path = "../../../src/abi/signal.rs"]
mod signal;

mod array {
    pub type zrc_array = crate::engine::array::Array;
}

mod host {
    use std::ffi::c_void;

    pub unsafe fn zrc_request_release(_: *mut c_void) {
        unreachable!("no store of a host is modelled");
    }
}

use crate::engine::operation::OnComplete;

/// What the asynchronous functions make of a sink.
///
/// # Safety
/// The rules *pointers* and *lending*.
pub unsafe fn on_complete(sink: &completion::zrc_sink) -> OnComplete {
    // SAFETY: the caller's promise.
    unsafe { completion::on_complete(sink) }.unwrap().unwrap()
}
