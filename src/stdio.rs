//! Standard input, output and error.

use crate::sys::{self, Code};
use core::ffi::CStr;
use core::ops::Range;
use rustix::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

/// One of the three standard streams; its value is its descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum Stream {
    /// Descriptor 0.
    Stdin = 0,
    /// Descriptor 1.
    Stdout = 1,
    /// Descriptor 2.
    Stderr = 2,
}

/// Redirects all three standard streams to `/dev/null`.
///
/// A daemon redirects them and does not close them: the next file it opened would get their
/// numbers, and the next message of a library would go into that file.
///
/// # Errors
///
/// * `ENOENT`, `EACCES`, `ENODEV`, `ENXIO`: there is no usable `/dev/null`; nothing has changed.
/// * `EMFILE`, `ENFILE`, `ENOMEM`: it could not be opened; nothing has changed.
/// * `EBADF`: the soft limit of `RLIMIT_NOFILE` is below 3; some may be redirected already.
///
/// # System calls
///
/// `openat`, three `dup3` (2.6.27), `close`.
///
/// * One was closed: `fcntl(F_SETFD)` instead of one `dup3`; nothing is left to be closed.
///
/// See [null(4)](https://man7.org/linux/man-pages/man4/null.4.html).
///
/// ```no_run
/// daemon_steps::stdio_null()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn stdio_null() -> Result<(), Errno> {
    Ok(settle(open(c"/dev/null", OFlags::RDWR, Mode::empty())?, 0..3)?)
}

/// Redirects one stream to the file at `path`.
///
/// For `Stdin` the file is opened for reading. For `Stdout` and `Stderr` it is opened for appending, and
/// created with `mode` (less the umask) if it is not there. It does not become the controlling
/// terminal. A FIFO is waited for, as open(2) says.
///
/// # Errors
///
/// * `ENOENT`, `EACCES`, `EISDIR`, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG`, `EROFS`, `ENOSPC`, `EDQUOT`, `ENXIO`, `ENODEV`, `ETXTBSY`, `EPERM`, `EIO`,
///   `EMFILE`, `ENFILE`, `ENOMEM`: as open(2) has them.
/// * `EBADF`: the stream is not below the soft limit of `RLIMIT_NOFILE`.
///
/// The stream is then as it was; a file that was created stays. `EINTR` is retried.
///
/// # System calls
///
/// `openat`, `dup3` (2.6.27), `close`.
///
/// * The stream was closed: `fcntl(F_SETFD)` instead of the last two.
///
/// See [open(2)](https://man7.org/linux/man-pages/man2/open.2.html).
///
/// ```no_run
/// use daemon_steps::{Stream, stdio_file};
/// use rustix::fs::Mode;
/// stdio_file(Stream::Stderr, c"/var/log/my.log", Mode::from_raw_mode(0o640))?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn stdio_file(stream: Stream, path: &CStr, mode: Mode) -> Result<(), Errno> {
    let flags = match stream {
        Stream::Stdin => OFlags::RDONLY,
        Stream::Stdout | Stream::Stderr => OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND,
    };
    let fd = stream as RawFd;
    Ok(settle(open(path, flags, mode)?, fd..fd + 1)?)
}

/// Redirects one stream to an open descriptor, which stays open.
///
/// # Errors
///
/// * `EBADF`: the stream is not below the soft limit of `RLIMIT_NOFILE`.
/// * `EPERM` or what else a seccomp filter answers.
///
/// `EINTR` is retried.
///
/// # System calls
///
/// `dup3` (2.6.27).
///
/// * `fd` is that stream already: `fcntl(F_SETFD)`; it then survives execve(2).
///
/// See [dup3(2)](https://man7.org/linux/man-pages/man2/dup.2.html).
///
/// ```no_run
/// use daemon_steps::{Stream, stdio_fd};
/// stdio_fd(Stream::Stderr, std::io::stdout())?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn stdio_fd(stream: Stream, fd: impl AsFd) -> Result<(), Errno> {
    Ok(onto(fd.as_fd().as_raw_fd(), stream as RawFd)?)
}

fn open(path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Code> {
    sys::openat(CWD, path, flags | OFlags::CLOEXEC, mode)
}

/// Makes each of `streams` a duplicate of `file`, which may have landed on one of them.
fn settle(file: OwnedFd, streams: Range<RawFd>) -> Result<(), Code> {
    for stream in streams.clone() {
        onto(file.as_raw_fd(), stream)?;
    }
    if streams.contains(&file.as_raw_fd()) {
        let _ = file.into_raw_fd();
    }
    Ok(())
}

fn onto(fd: RawFd, stream: RawFd) -> Result<(), Code> {
    // SAFETY: `stream` is 0, 1 or 2. Those are names for whatever is there: std's handles and
    // everybody else's expect them to be replaced, and never to be closed.
    #[allow(unsafe_code)]
    unsafe {
        sys::dup3(fd, stream, false)
    }
}
