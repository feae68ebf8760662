//! Operations under way.

use std::sync::Arc;
use std::time::Duration;

use super::completion::{self, zrc_completion, zrc_sink};
use super::error::zrc_status;
use super::guard;
use super::layout::Filled;
use super::pointers::{self, Place};
use crate::engine::error::Result;
use crate::engine::operation::{OnComplete, Operation, Output, Waited};

/// Opaque to C.
pub type zrc_op = Operation;

/// What the asynchronous forms have in common: a sink for the end, and a place for the operation.
pub(super) struct Submission {
    on_complete: Option<OnComplete>,
    op: Option<Place<*mut zrc_op>>,
}

impl Submission {
    /// # Safety
    /// The rules *pointers* (for `op`, until the call returns) and *lending*.
    pub(super) unsafe fn new(sink: *const zrc_sink, op: *mut *mut zrc_op) -> Result<Self> {
        // SAFETY: the caller's promises.
        unsafe { Ok(Self { on_complete: completion::on_complete(sink)?, op: Place::optional(op) }) }
    }

    pub(super) fn start(
        self,
        start: impl FnOnce(Option<OnComplete>) -> Result<Arc<Operation>>,
    ) -> Result<()> {
        let operation = start(self.on_complete)?;
        if let Some(place) = self.op {
            place.put(pointers::give(operation));
        }
        Ok(())
    }
}

/// The blocking form of an operation.
pub(super) fn finish(operation: &Operation) -> Result<Output> {
    operation.wait(None)?.completion.result
}

/// `None`: for ever.
pub(super) fn timeout(ms: u32) -> Option<Duration> {
    (ms != u32::MAX).then(|| Duration::from_millis(ms.into()))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_op_retain(op: *mut zrc_op) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(op) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_op_release(op: *mut zrc_op) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(op) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_op_cancel(op: *mut zrc_op) {
    guard::value((), || {
        // SAFETY: the rule *handles*.
        if let Ok(op) = unsafe { pointers::borrow(op, "op") } {
            op.cancel();
        }
    });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_op_wait(
    op: *mut zrc_op,
    timeout_ms: u32,
    out: *mut zrc_completion,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (op, out) = unsafe { (pointers::borrow(op, "op")?, Filled::optional(out, "out")?) };
        let Some(out) = out else {
            return op.wait_only(timeout(timeout_ms));
        };
        let Waited { completion, had_sink } = op.wait(timeout(timeout_ms))?;
        let mut completion = zrc_completion::new(completion, 0);
        if had_sink {
            completion = completion.without_things();
        }
        out.put(&completion);
        Ok(())
    })
}
