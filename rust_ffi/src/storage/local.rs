//! Local files, read synchronously by whichever thread wants them.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

use smallvec::SmallVec;

use crate::engine::error::{Error, Result, Status};

/// Reads of no more than this come at once, and quickly: see [`pread`].
const SMALL: usize = 1 << 20;

/// A folder whose files are the values.
pub struct LocalStore {
    pub(super) root: PathBuf,
    /// Writers that keep losing their folder to those who prune: as long as there are any, nobody prunes.
    pub(super) losing: AtomicUsize,
}

/// An open value.
pub struct LocalFile {
    pub(super) file: File,
    len: u64,
}

impl LocalStore {
    pub fn new(root: PathBuf) -> Self {
        Self { root, losing: AtomicUsize::new(0) }
    }

    /// Open the value of `key`; `None` when there is none.
    pub fn open(&self, key: &str) -> Result<Option<LocalFile>> {
        match File::open(self.path(key)) {
            Ok(file) => {
                let metadata = file.metadata().map_err(|e| self.error(key, "stat", &e))?;
                // A folder in the place of a value is a missing value, as for other Zarr implementations.
                Ok(metadata.is_file().then_some(LocalFile { file, len: metadata.len() }))
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(self.error(key, "open", &e)),
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + 1 + key.len());
        path.push(&self.root);
        path.push(key);
        path
    }

    /// The whole value of `key`, of at most `most` bytes; `None` when there is none.
    pub fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(key)? else {
            return Ok(None);
        };
        file.check_size(most).map_err(|error| self.located(key, error))?;
        let len = usize::try_from(file.len).map_err(|_| Error::memory(usize::MAX, key))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Error::memory(len, key))?;
        bytes.resize(len, 0);
        file.read_at(&mut bytes, 0).map_err(|error| self.located(key, error))?;
        Ok(Some(bytes))
    }

    pub(super) fn error(&self, key: &str, doing: &str, error: &std::io::Error) -> Error {
        let path = self.root.join(key);
        let mut failure = Error::new(Status::Io, format_args!("cannot {doing} {}: {error}", path.display()));
        failure.key = Some(key.into());
        failure
    }

    /// An error said to be about a key.
    fn located(&self, key: &str, error: Error) -> Error {
        let mut error = error.prefixed(format_args!("{}: ", self.root.join(key).display()));
        error.key = Some(key.into());
        error
    }
}

impl LocalFile {
    /// Bytes of the value when it was opened.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Refuse a value that is larger than can be needed, before memory is taken for it.
    pub fn check_size(&self, most: u64) -> Result<()> {
        let n = self.len;
        if n > most {
            return Err(Error::codec(format_args!(
                "{n} bytes are stored, more than the {most} that can be needed"
            )));
        }
        Ok(())
    }

    /// Read bytes from `offset` on, `len` to each of `parts`. False when the system did not give all of them at once: then
    /// parts hold anything.
    ///
    /// # Safety
    /// Each part must be valid for writes of `len` bytes, and none may overlap with another.
    pub unsafe fn read_parts(&self, offset: u64, parts: impl Iterator<Item = *mut u8>, len: usize) -> bool {
        let part = |part: *mut u8| libc::iovec { iov_base: part.cast(), iov_len: len };
        let parts: SmallVec<[libc::iovec; 64]> = parts.map(part).collect();
        let (Ok(offset), Ok(count)) = (offset.try_into(), parts.len().try_into()) else { return false };
        let file = self.file.as_raw_fd();
        // SAFETY: the descriptor is open; the caller's promise for what is written.
        let came = unsafe {
            match parts[..] {
                [part] => pread(file, part, offset),
                _ => libc::preadv(file, parts.as_ptr(), count, offset),
            }
        };
        usize::try_from(came).is_ok_and(|came| came == parts.len() * len)
    }

    /// Read `out.len()` bytes from `offset`.
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        let part = std::iter::once(out.as_mut_ptr());
        // SAFETY: a slice is valid for writes.
        if out.len() <= SMALL && unsafe { self.read_parts(offset, part, out.len()) } {
            return Ok(());
        }
        // Large ones, and again those that were interrupted or are an error.
        self.file.read_exact_at(out, offset).map_err(|error| {
            let n = out.len();
            Error::new(Status::Io, format_args!("cannot read {n} bytes at {offset}: {error}"))
        })
    }
}

/// The system's `pread`. The C library's is a point of cancellation for as long as it takes, which is a tenth of a small read.
///
/// # Safety
/// As much must be valid for writes as `part` says.
unsafe fn pread(file: RawFd, part: libc::iovec, offset: libc::off_t) -> isize {
    let libc::iovec { iov_base, iov_len } = part;
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    // SAFETY: the caller's promise; these are the call's arguments, each in a word of its own.
    let came = unsafe { libc::syscall(libc::SYS_pread64, file, iov_base, iov_len, offset) as isize };
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
    // SAFETY: the caller's promise.
    let came = unsafe { libc::pread(file, iov_base, iov_len, offset) };
    came
}
