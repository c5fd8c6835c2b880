//! Calls that make a descriptor. rustix has them, with a panic path each, for the number -1.

use super::kernel::{FCNTL, call};
use core::ffi::CStr;
use core::mem::transmute;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// # Safety
///
/// `fd` is open, and nobody's.
unsafe fn owned(fd: u32) -> OwnedFd {
    // SAFETY: an `OwnedFd` is represented as its number. The caller vouches for that.
    unsafe { transmute(fd as RawFd) }
}

/// `AsFd::as_fd`.
pub(crate) fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: a `BorrowedFd` is represented as its number, and this one is open as long as its owner is borrowed.
    unsafe { transmute(fd.as_raw_fd()) }
}

/// # Safety
///
/// That of the system call `nr`, which makes a descriptor.
unsafe fn make(nr: u32, a: usize, b: usize, c: usize, d: usize) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller answers for the call.
    let made = unsafe { call(nr, a, b, c, d) }?;
    // SAFETY: the kernel has just made it.
    Ok(unsafe { owned(made) })
}

/// Opens, and never a controlling terminal.
pub(crate) fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = flags.bits() | k::O_NOCTTY | k::O_LARGEFILE;
    let (dir, path) = (dir.as_raw_fd() as usize, path.as_ptr() as usize);
    // SAFETY: the path outlives the call.
    unsafe { make(k::__NR_openat, dir, path, flags as usize, mode.bits() as usize) }
}

/// Opens a directory, only to go on from it, by a path of at most 256 bytes that no null follows.
pub(crate) fn open_directory(dir: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut copy = [0_u8; 257];
    copy.iter_mut().zip(path).take(256).for_each(|(to, from)| *to = *from);
    let flags = k::O_PATH | k::O_DIRECTORY | k::O_CLOEXEC;
    // SAFETY: the copy ends with a null, and outlives the call.
    unsafe { make(k::__NR_openat, dir.as_raw_fd() as usize, copy.as_ptr() as usize, flags as usize, 0) }
}

pub(crate) fn pidfd_open(pid: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: numbers only.
    unsafe { make(k::__NR_pidfd_open, pid.as_raw_nonzero().get() as usize, 0, 0, 0) }
}

/// A duplicate that is none of the standard streams.
pub(crate) fn dup_above_stdio(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    // SAFETY: numbers only.
    unsafe { make(FCNTL, fd.as_raw_fd() as usize, k::F_DUPFD_CLOEXEC as usize, 3, 0) }
}

/// The descriptor, or if it has landed on 0, 1 or 2 a duplicate above, in its place.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { dup_above_stdio(&fd) }
}

/// The end to read and the end to write, both closed by execve(2).
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0_u32; 2];
    // SAFETY: the kernel writes two numbers there.
    unsafe { call(k::__NR_pipe2, ends.as_mut_ptr() as usize, k::O_CLOEXEC as usize, 0, 0) }?;
    let [read, write] = ends;
    // SAFETY: the kernel has just made them.
    Ok((unsafe { owned(read) }, unsafe { owned(write) }))
}

/// The string that ends at the first null. `from_bytes_until_nul` searches by words, in 150 bytes of code.
pub(crate) fn c_str(bytes: &[u8]) -> Result<&CStr, Errno> {
    let length = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::INVAL)?;
    let string = bytes.get(..=length).ok_or(Errno::INVAL)?;
    // SAFETY: its first null is its last byte.
    Ok(unsafe { CStr::from_bytes_with_nul_unchecked(string) })
}

/// What is left of a string after so many bytes of it.
pub(crate) fn skip(string: &CStr, length: usize) -> &CStr {
    let length = length.min(string.count_bytes());
    // SAFETY: that is not behind the end.
    let rest = unsafe { string.to_bytes_with_nul().get_unchecked(length..) };
    // SAFETY: the end of a string, with at least the null.
    unsafe { CStr::from_bytes_with_nul_unchecked(rest) }
}
