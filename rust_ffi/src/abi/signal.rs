//! A descriptor that can be polled: readable while it is set.

use crate::engine::error::{Error, Result, Status};

#[cfg(unix)]
pub(super) use unix::Signal;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

    use super::{Error, Result, Status};

    /// An eventfd on Linux, a pipe elsewhere. Both ends are closed on exec and never block.
    pub struct Signal {
        read: OwnedFd,
        /// `None`: the same descriptor.
        write: Option<OwnedFd>,
    }

    /// What both kinds carry: 8 bytes that an eventfd takes as a number.
    const TOKEN: [u8; 8] = 1u64.to_ne_bytes();

    impl Signal {
        /// # Errors
        /// [`Status::Io`] when the process has no descriptor left.
        pub fn new() -> Result<Self> {
            Self::open().map_err(|e| Error::new(Status::Io, format_args!("no descriptor for the queue: {e}")))
        }

        #[cfg(target_os = "linux")]
        fn open() -> io::Result<Self> {
            // SAFETY: takes no pointer.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: `fd` was just opened and nobody else has it.
            Ok(Self { read: unsafe { OwnedFd::from_raw_fd(fd) }, write: None })
        }

        #[cfg(not(target_os = "linux"))]
        fn open() -> io::Result<Self> {
            let mut fds = [0; 2];
            // SAFETY: room for the two descriptors.
            if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: both were just opened and nobody else has them.
            let [read, write] = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            for fd in [&read, &write] {
                // SAFETY: takes no pointer; the descriptor is open.
                unsafe {
                    libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
                    libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
                }
            }
            Ok(Self { read, write: Some(write) })
        }

        pub fn fd(&self) -> RawFd {
            self.read.as_raw_fd()
        }

        /// Make it readable; it must not be set.
        pub fn set(&self) {
            let fd = self.write.as_ref().unwrap_or(&self.read).as_raw_fd();
            // SAFETY: reads the 8 bytes of a constant.
            retry(|| unsafe { libc::write(fd, TOKEN.as_ptr().cast(), TOKEN.len()) });
        }

        /// Make it unreadable; it must be set.
        pub fn reset(&self) {
            let mut token = TOKEN;
            // SAFETY: writes the 8 bytes of a local.
            retry(|| unsafe { libc::read(self.fd(), token.as_mut_ptr().cast(), token.len()) });
        }
    }

    /// Repeat a call that a signal handler interrupted. Other failures there are none while set and reset alternate.
    fn retry(mut call: impl FnMut() -> isize) {
        while call() < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {}
    }
}

#[cfg(not(unix))]
pub(super) struct Signal(std::convert::Infallible);

#[cfg(not(unix))]
impl Signal {
    pub fn new() -> Result<Self> {
        Err(Error::new(Status::Unsupported, "queues have no descriptor on this system; use zrc_queue_wait"))
    }

    pub fn fd(&self) -> i32 {
        match self.0 {}
    }

    pub fn set(&self) {}

    pub fn reset(&self) {}
}
