//! Descriptors: fill, close, duplicate.

#![allow(unsafe_code)]

use crate::sys::{self, Code};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

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
/// `fcntl(F_GETFD)` for each of the three.
///
/// * One is missing: `openat` of `/dev/null`.
/// * Another thread fills it first: `close`.
///
/// See [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html).
///
/// ```
/// daemon_steps::fill_stdio()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn fill_stdio() -> Result<(), Errno> {
    for fd in 0..3 {
        loop {
            match sys::getfd(fd) {
                Err(Code::BADF) => open_null(fd)?,
                is_open => break is_open?,
            }
        }
    }
    Ok(())
}

/// The lowest free number is this one, unless another thread was faster.
fn open_null(fd: RawFd) -> Result<(), Code> {
    let null = sys::openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty())?;
    if null.as_raw_fd() == fd {
        let _ = null.into_raw_fd();
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
/// See [close_range(2)](https://man7.org/linux/man-pages/man2/close_range.2.html).
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
/// * `EPERM` or what else a seccomp filter answers, when it denies `close` itself, or `prlimit64` where that is needed.
///
/// An error that close(2) reports after it has closed (`EINTR`, `EIO`, or what the file system likes) is none of
/// this function's: the descriptor is gone.
///
/// # System calls
///
/// `close_range` (5.9), one for each gap between the kept.
///
/// * It is not there, or denied: `close`, `openat` of `/proc/self/fd`, `getdents64`, and `close` of each, for each gap.
/// * Nor is `/proc`: `close`, `openat`, `prlimit64`, and `close` of each number below the hard limit of `RLIMIT_NOFILE`;
///   descriptors above it, which were opened before the limit was lowered, may stay.
/// * A `close` fails, other than with `EBADF`: `fcntl(F_GETFD)`.
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
    let next_kept = |from| {
        let kept = keep.clone().map(|fd| fd.as_raw_fd()).filter(|fd| *fd >= from);
        kept.fold(RawFd::MAX, RawFd::min)
    };
    // SAFETY: the caller vouches for what is closed.
    Ok(unsafe { close_gaps(first.max(0), &next_kept) }?)
}

/// # Safety
///
/// That of [`close_except`]; of the other functions below as well. `next_kept` tells the lowest kept number from this one
/// on, or the largest there is.
unsafe fn close_gaps(mut from: RawFd, next_kept: &dyn Fn(RawFd) -> RawFd) -> Result<(), Code> {
    while from < RawFd::MAX {
        let end = next_kept(from);
        if from < end {
            // SAFETY: the caller vouches for what is between the kept.
            unsafe { close_gap(from, end) }?;
        }
        from = end.saturating_add(1);
    }
    Ok(())
}

/// From `first` up to `end`, which stays.
unsafe fn close_gap(first: RawFd, end: RawFd) -> Result<(), Code> {
    // SAFETY: the caller vouches for what is closed, whichever way it is closed.
    let done = unsafe { sys::close_range(first, end - 1) };
    // SAFETY: as above.
    let done = done.or_else(|_| unsafe { by_proc(first, end) });
    // SAFETY: as above.
    done.or_else(|_| unsafe { by_limit(first, end) })
}

/// What `/proc/self/fd` lists.
///
/// Not inlined, so that the buffer does not stay on the caller's stack.
#[inline(never)]
unsafe fn by_proc(first: RawFd, end: RawFd) -> Result<(), Code> {
    // If the table of descriptors is full, this one's place is free now.
    // SAFETY: the caller vouches for it.
    unsafe { close(first) }?;
    let proc = sys::openat(CWD, c"/proc/self/fd", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [MaybeUninit::uninit(); 128];
    loop {
        // The place in this directory is the next number, so that closing those before it skips nothing.
        let mut entries = sys::getdents(&proc, &mut buffer)?;
        if entries.is_empty() {
            return Ok(());
        }
        while let Some(fd) = next_number(&mut entries) {
            if (first..end).contains(&fd) && fd != proc.as_raw_fd() {
                // SAFETY: the caller vouches for it.
                unsafe { close(fd) }?;
            }
        }
    }
}

/// The name of the first of the entries, which is taken off, as a number: negative for `.` and `..`.
fn next_number(entries: &mut &[u8]) -> Option<RawFd> {
    // The inode's number, a place, this entry's length and type.
    let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, a, b, _, name @ ..] = *entries else { return None };
    *entries = entries.get(usize::from(u16::from_ne_bytes([*a, *b]))..)?;
    let digits = name.iter().take_while(|byte| **byte != 0).map(|byte| RawFd::from(*byte) - RawFd::from(b'0'));
    Some(digits.fold(0, |fd: RawFd, digit| fd.wrapping_mul(10).wrapping_add(digit)))
}

/// Every number that the process may have got: below the hard limit, because descriptors may exist above a lowered soft one.
unsafe fn by_limit(first: RawFd, end: RawFd) -> Result<(), Code> {
    for fd in first..end.min(sys::hard_limit()?.try_into().unwrap_or(end)) {
        // SAFETY: the caller vouches for it.
        unsafe { close(fd) }?;
    }
    Ok(())
}

/// Closes one. Whatever error close(2) reports, it is gone, unless the call itself was denied.
unsafe fn close(fd: RawFd) -> Result<(), Code> {
    // SAFETY: the caller vouches for it.
    match unsafe { sys::close(fd) } {
        Err(code) if code != Code::BADF && sys::getfd(fd) != Err(Code::BADF) => Err(code),
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
/// * `EBUSY`: another thread is opening a file to which the kernel has given this number: somebody is about to own it.
/// * `EPERM` or what else a seccomp filter answers.
///
/// `EINTR` is retried.
///
/// # System calls
///
/// `dup3` (2.6.27).
///
/// * The numbers are equal: `fcntl(F_SETFD)`.
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
    Ok(unsafe { sys::dup3(old.as_fd().as_raw_fd(), new, cloexec) }?)
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
    Ok(sys::openat(dir.as_fd(), path, flags, mode)?)
}
