//! No panic leaves this library: every `extern "C"` function runs its body in one of these.

use std::ptr;

use super::error::{ZRC_OK, zrc_error, zrc_status};
use crate::engine::error::{Result, contain};

/// Run `body` and report how it ended: its status, and at `error`, where that is not NULL, the error or NULL.
///
/// # Safety
/// `error` is NULL or writable.
pub(super) unsafe fn status(error: *mut *mut zrc_error, body: impl FnOnce() -> Result<()>) -> zrc_status {
    let (status, object) = match contain(body) {
        Ok(()) => (ZRC_OK, ptr::null_mut()),
        Err(e) if error.is_null() => (e.status as zrc_status, ptr::null_mut()),
        Err(e) => (e.status as zrc_status, zrc_error::into_raw(e)),
    };
    if !error.is_null() {
        // SAFETY: the caller's promise.
        unsafe { error.write(object) };
    }
    status
}

/// Run `body` of a function that has a status but no place for an error.
pub(super) fn bare_status(body: impl FnOnce() -> Result<()>) -> zrc_status {
    // SAFETY: NULL is allowed.
    unsafe { status(ptr::null_mut(), body) }
}

/// Run `body` of a function that cannot fail; `fallback` is its answer if it has a bug.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    contain(|| Ok(body())).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::Status;

    #[test]
    fn a_panic_becomes_a_status_and_an_error_with_its_message() {
        let mut error = ptr::null_mut();
        // SAFETY: `error` is writable.
        let status = unsafe { status(&raw mut error, || panic!("the {}th bug", 7)) };
        assert_eq!(status, Status::Panic as zrc_status);
        // SAFETY: the error was made above and nobody freed it.
        let error = unsafe { Box::from_raw(error) };
        assert!(error.message().contains("the 7th bug"), "{}", error.message());
        assert_eq!(value(42, || panic!("no status here")), 42);
    }

    /// The one way a panic could still cross: a function that does not use this module. Each is either one call of it,
    /// or a closure and one call of it with that.
    #[test]
    fn every_extern_function_does_all_its_work_inside_of_the_guard() {
        let mut seen = 0;
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/abi")).unwrap() {
            let path = file.unwrap().path();
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]\nmod").next().unwrap();
            for function in code.split("#[unsafe(no_mangle)]").skip(1) {
                let (head, rest) = function.split_once(" {\n").unwrap();
                let body = rest.split("\n}\n").next().unwrap();
                // At the function's own level of indentation.
                let statements: Vec<_> = body
                    .lines()
                    .filter_map(|line| line.strip_prefix("    "))
                    .filter(|line| !line.starts_with([' ', '/', '}']))
                    .collect();
                let guarded = match statements[..] {
                    ["let body = || {", last] => last == "unsafe { guard::status(error, body) }",
                    [only] => only.starts_with("guard::"),
                    _ => false,
                };
                assert!(guarded, "{}:{head} does {statements:?}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 50, "only {seen} functions found: are they written in another way now?");
    }
}
