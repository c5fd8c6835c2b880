//! Descriptors: fill, close, duplicate.

#![allow(unsafe_code)]

use crate::sys;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Opens `/dev/null` on those of the descriptors 0, 1 and 2 that are closed.
///
/// First of all steps: a file that is opened while one of them is missing lands there, and
/// whatever the process prints goes into it.
///
/// # Errors
///
/// * `ENOENT`, `EACCES`: one is missing, and so is `/dev/null`. What is open stays as it is.
/// * `EMFILE`, `ENFILE`, `ENOMEM`: it could not be opened.
///
/// # System calls
///
/// `fcntl(F_GETFD)` for each of the three; `openat` for each that is missing.
///
/// See [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html).
///
/// ```
/// daemon_steps::fill_stdio()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn fill_stdio() -> Result<(), Errno> {
    for fd in 0..=2 {
        while !sys::is_open(fd)? {
            let null = sys::openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty())?;
            // The lowest free number is this one, unless another thread was faster.
            if null.as_raw_fd() == fd {
                let _ = null.into_raw_fd();
            }
        }
    }
    Ok(())
}

/// Closes every descriptor from `first` on.
///
/// # Errors
///
/// Those of [`close_except`].
///
/// # System calls
///
/// Those of [`close_except`].
///
/// # Safety
///
/// That of [`close_except`].
///
/// ```no_run
/// // SAFETY: nothing in this program owns a descriptor above 2.
/// unsafe { daemon_steps::close_from(3)? };
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub unsafe fn close_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: the caller vouches for all of them.
    unsafe { close_except(first, []) }
}

/// Closes every descriptor from `first` on, except those in `keep`.
///
/// `keep` comes in any order, with duplicates, and may hold numbers below `first`. Its length is
/// not bounded; the time grows with its square, and not with the number of open descriptors
/// where the kernel has `close_range`. A negative `first` counts as zero.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers, when it denies `close` itself.
///
/// An error that close(2) reports after it has closed (`EINTR`, `EIO`, or what the file system likes) is none of
/// this function's: the descriptor is gone.
///
/// # System calls
///
/// `close_range` (5.9), one for each gap between the kept. If that is answered with an error (`ENOSYS`, or what a
/// seccomp filter says): `openat` of `/proc/self/fd`, `getdents64`, and `close` for each; if the table is full
/// (`EMFILE`), a `close` and a second `openat` come first.
/// If that fails, as without `/proc`: `prlimit64`, and `close` for each number below the hard limit of
/// `RLIMIT_NOFILE`; descriptors above it, which were opened before the limit was lowered, then stay.
/// `fcntl(F_GETFD)` follows a `close` that fails with another error than `EBADF`.
///
/// See [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html).
///
/// # Safety
///
/// Nobody uses, or closes, one of the closed descriptors afterwards: no `OwnedFd`, `File` or
/// socket that this process still holds, no library's private descriptor.
///
/// ```no_run
/// use rustix::fd::AsFd;
/// let log = std::fs::File::open("/dev/null").unwrap();
/// // SAFETY: nothing but `log` is open above 2 in this program.
/// unsafe { daemon_steps::close_except(3, [log.as_fd()])? };
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub unsafe fn close_except<'a, K>(first: RawFd, keep: K) -> Result<(), Errno>
where
    K: IntoIterator<Item = BorrowedFd<'a>>,
    K::IntoIter: Clone,
{
    let keep = keep.into_iter();
    // SAFETY: the caller vouches for what is closed.
    unsafe { close_gaps(first.max(0), &|from| keep.clone().map(|fd| fd.as_raw_fd()).filter(|fd| *fd >= from).min()) }
}

/// The lowest kept number from this one on.
type NextKept<'k> = &'k dyn Fn(RawFd) -> Option<RawFd>;

/// # Safety
///
/// That of [`close_except`]; of the other functions below as well.
unsafe fn close_gaps(first: RawFd, keep: NextKept<'_>) -> Result<(), Errno> {
    // SAFETY: the caller vouches for what is closed, whichever way it is closed.
    let done = unsafe { by_range(first, keep) };
    // SAFETY: as above.
    let done = done.or_else(|_| unsafe { by_proc(first, keep) });
    // SAFETY: as above.
    done.or_else(|_| unsafe { by_limit(first, keep) })
}

/// One call for each gap between the kept.
unsafe fn by_range(mut from: RawFd, keep: NextKept<'_>) -> Result<(), Errno> {
    while let Some(kept) = keep(from) {
        if kept > from {
            // SAFETY: the caller vouches for the descriptors in the gap.
            unsafe { sys::close_range(from, kept as u32 - 1) }?;
        }
        match kept.checked_add(1) {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
    // SAFETY: the caller vouches for the rest.
    unsafe { sys::close_range(from, u32::MAX) }
}

/// Opens `/proc/self/fd`; if the table is full it closes one descriptor for that.
unsafe fn open_proc(first: RawFd, keep: NextKept<'_>) -> Result<OwnedFd, Errno> {
    let open = || sys::openat(CWD, c"/proc/self/fd", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match open() {
        Err(Errno::MFILE) => {}
        done => return done,
    }
    // All numbers below the limit are in use: the first that may be closed frees a place, or none does.
    if let Some(fd) = (first..RawFd::MAX).find(|fd| keep(*fd) != Some(*fd)) {
        // SAFETY: the caller vouches for it.
        unsafe { close(fd) }?;
    }
    open()
}

/// What `/proc/self/fd` lists.
unsafe fn by_proc(first: RawFd, keep: NextKept<'_>) -> Result<(), Errno> {
    // SAFETY: the caller vouches for what it may close.
    let proc = unsafe { open_proc(first, keep) }?;
    let mut buffer = [MaybeUninit::uninit(); 512];
    // The place in this directory is the next number, so that closing those before it skips nothing.
    let mut entries = RawDir::new(&proc, &mut buffer);
    while let Some(entry) = entries.next() {
        // `.` and `..` are no numbers.
        let fd = sys::number(entry?.file_name().to_bytes()).map(|fd| fd as RawFd);
        if let Some(fd) = fd.filter(|fd| *fd >= first && *fd != proc.as_raw_fd() && keep(*fd) != Some(*fd)) {
            // SAFETY: the caller vouches for it.
            unsafe { close(fd) }?;
        }
    }
    Ok(())
}

/// Every number that the process may have got.
unsafe fn by_limit(first: RawFd, keep: NextKept<'_>) -> Result<(), Errno> {
    for fd in (first..hard_limit()).filter(|fd| keep(*fd) != Some(*fd)) {
        // SAFETY: the caller vouches for it.
        unsafe { close(fd) }?;
    }
    Ok(())
}

/// The hard limit, because descriptors may exist above a lowered soft one.
fn hard_limit() -> RawFd {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    limit.try_into().unwrap_or(RawFd::MAX)
}

/// Closes one. Whatever error close(2) reports, it is gone, unless the call itself was denied.
unsafe fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the caller vouches for it.
    match unsafe { sys::close(fd) } {
        Err(errno) if errno != Errno::BADF && sys::is_open(fd) != Ok(false) => Err(errno),
        _ => Ok(()),
    }
}

/// Duplicates `old` to exactly the number `new`, closing what was there.
///
/// With `cloexec` the duplicate is closed by execve(2). If `old` is `new` already, only that flag
/// is set or cleared. For 0, 1 and 2 there is [`stdio_fd`](crate::stdio_fd), which is safe.
///
/// # Errors
///
/// * `EBADF`: `new` is negative, or not below the soft limit of `RLIMIT_NOFILE`.
///
/// `EINTR` and `EBUSY` are retried.
///
/// # System calls
///
/// `dup3` (2.6.27); `fcntl(F_SETFD)` if the numbers are equal.
///
/// See [dup3(2)](https://man7.org/linux/man-pages/man2/dup.2.html).
///
/// # Safety
///
/// Nobody owns `new`; or its owner knows that it now stands for `old`.
///
/// ```no_run
/// let log = std::fs::File::open("/dev/null").unwrap();
/// // SAFETY: nothing in this program has the descriptor 9.
/// unsafe { daemon_steps::dup3(&log, 9, false)? };
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub unsafe fn dup3(old: impl AsFd, new: RawFd, cloexec: bool) -> Result<(), Errno> {
    // SAFETY: the caller vouches for `new`.
    unsafe { sys::dup3(old.as_fd(), new, cloexec) }
}

/// Opens a file, which never becomes the controlling terminal; in a directory, or `CWD`.
///
/// For programs without a C library: rustix's function carries a panic path.
///
/// # Errors
///
/// As open(2) has them. `EINTR` is retried.
///
/// # System calls
///
/// `openat`.
///
/// See [open(2)](https://man7.org/linux/man-pages/man2/open.2.html).
///
/// ```
/// use rustix::fs::{CWD, Mode, OFlags};
/// let null = daemon_steps::openat(CWD, c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn openat(dir: impl AsFd, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    sys::openat(dir.as_fd(), path, flags, mode)
}
