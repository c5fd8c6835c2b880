//! Calls that make a descriptor. rustix has them, with a panic path each, for the number -1.

use super::kernel::{FCNTL, call};
use core::ffi::CStr;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// # Safety
///
/// `fd` is open, and nobody's.
unsafe fn owned(fd: u32) -> OwnedFd {
    // The mask tells the compiler what the kernel has told: it is not negative.
    // SAFETY: the caller vouches for it.
    unsafe { OwnedFd::from_raw_fd((fd & RawFd::MAX as u32) as RawFd) }
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

/// The string that ends at the first null.
pub(crate) fn c_str(bytes: &[u8]) -> Result<&CStr, Errno> {
    CStr::from_bytes_until_nul(bytes).map_err(|_| Errno::INVAL)
}
