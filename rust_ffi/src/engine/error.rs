//! The one error type of the library: a status that never changes meaning, a message for a person, and the store key.

use std::fmt;
use std::sync::Arc;

/// Why something failed. The numbers are those of `include/zarrs_c.h` and are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    Invalid = 1,
    NotFound = 2,
    Io = 3,
    Codec = 4,
    Unsupported = 5,
    Buffer = 6,
    Cancelled = 7,
    Shutdown = 8,
    Forked = 9,
    Panic = 10,
    Timeout = 11,
    Memory = 12,
    Exists = 13,
    Conflict = 14,
}

impl Status {
    /// The status of a number of the header's; `None` for 0 and for numbers that it does not list.
    pub fn of_number(number: i32) -> Option<Self> {
        use Status::{
            Buffer, Cancelled, Codec, Conflict, Exists, Forked, Invalid, Io, Memory, NotFound, Panic,
            Shutdown, Timeout, Unsupported,
        };
        [
            Invalid,
            NotFound,
            Io,
            Codec,
            Unsupported,
            Buffer,
            Cancelled,
            Shutdown,
            Forked,
            Panic,
            Timeout,
            Memory,
            Exists,
            Conflict,
        ]
        .into_iter()
        .find(|status| *status as i32 == number)
    }
}

/// An error, cheap to clone: several regions of one read may fail for the same reason.
#[derive(Clone, Debug)]
pub struct Error {
    pub status: Status,
    pub message: Arc<str>,
    /// The store key that the error is about, such as `t2m/c/0/1/2`.
    pub key: Option<Arc<str>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(status: Status, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string().into(), key: None }
    }

    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::new(Status::Invalid, message)
    }

    pub fn codec(message: impl fmt::Display) -> Self {
        Self::new(Status::Codec, message)
    }

    pub fn unsupported(message: impl fmt::Display) -> Self {
        Self::new(Status::Unsupported, message)
    }

    pub fn cancelled() -> Self {
        Self::new(Status::Cancelled, "the operation was cancelled")
    }

    pub fn shutdown() -> Self {
        Self::new(Status::Shutdown, "the runtime is shut down")
    }

    pub fn forked(what: &str) -> Self {
        Self::new(
            Status::Forked,
            format_args!("{what} belongs to the parent process; start a new one after the fork"),
        )
    }

    /// Memory for `bytes` bytes could not be had; `what` says for what they were meant.
    pub fn memory(bytes: usize, what: &str) -> Self {
        Self::new(Status::Memory, format_args!("cannot allocate {bytes} bytes for {what}"))
    }

    /// What a caught panic carried, as an error.
    pub fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Self::new(Status::Panic, format_args!("internal error (a panic was caught): {text}"))
    }

    /// The same error, said to be about `key` of the store at `url`, unless it names a key already.
    #[must_use]
    pub fn with_key(mut self, url: &str, key: &str) -> Self {
        if self.key.is_none() {
            self.message = format!("{url}/{key}: {}", self.message).into();
            self.key = Some(key.into());
        }
        self
    }

    /// The same error with `prefix` before its message.
    #[must_use]
    pub fn prefixed(mut self, prefix: impl fmt::Display) -> Self {
        self.message = format!("{prefix}{}", self.message).into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Run `f`, turning a panic into [`Status::Panic`].
pub fn contain<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(payload) => Err(Error::from_panic(payload.as_ref())),
    }
}
