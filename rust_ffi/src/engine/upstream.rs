//! Calls of zarrs that panic where what is stored is wrong: for our callers that is an error like any other.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use super::error::{Error, Result, Status};

thread_local!(static EXPECTED: Cell<bool> = const { Cell::new(false) });

/// Run `call`; where it panics, say so by an error of `status`, and nothing on the standard error stream.
pub fn call<T>(status: Status, call: impl FnOnce() -> Result<T>) -> Result<T> {
    // This library has a standard library of its own, so the hook sees our panics and nobody else's.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                before(info);
            }
        }));
    });
    let outer = EXPECTED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    EXPECTED.set(outer);
    outcome.unwrap_or_else(|payload| {
        let panic = Error::from_panic(payload.as_ref());
        Err(Error::new(status, format_args!("zarrs gave up: {}", panic.message)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_of_the_status_that_is_wanted() {
        let error = call::<()>(Status::Codec, || panic!("no {}", "way")).unwrap_err();
        assert_eq!(error.status, Status::Codec);
        assert!(error.message.contains("no way"), "{error}");
        assert_eq!(call(Status::Codec, || Ok(3)).unwrap(), 3);
    }
}
