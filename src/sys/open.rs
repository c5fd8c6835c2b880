//! Calls that make a descriptor. rustix has them, with a panic path each, for the number -1.

use super::code::Code;
use super::kernel::{FCNTL, call, call4};
use core::ffi::CStr;
use core::mem::transmute;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;

/// # Safety
///
/// `fd` is open, and nobody's.
unsafe fn owned(fd: u32) -> OwnedFd {
    // SAFETY: an `OwnedFd` is represented as its number. The caller vouches for that.
    unsafe { transmute(fd) }
}

/// `AsFd::as_fd`.
pub(crate) fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: a `BorrowedFd` is represented as its number, and this one is open as long as its owner is borrowed.
    unsafe { transmute(fd.as_raw_fd()) }
}

/// # Safety
///
/// That of the system call `nr`, which makes a descriptor.
unsafe fn make(a: usize, b: usize, c: usize, d: usize, nr: u32) -> Result<OwnedFd, Code> {
    // SAFETY: the caller answers for the call.
    let made = unsafe { call4(nr, a, b, c, d) }?;
    // SAFETY: the kernel has just made it.
    Ok(unsafe { owned(made) })
}

/// Opens, and never a controlling terminal.
pub(crate) fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Code> {
    let flags = flags.bits() | k::O_NOCTTY | k::O_LARGEFILE;
    let (dir, path) = (dir.as_raw_fd() as usize, path.as_ptr() as usize);
    // SAFETY: the path outlives the call.
    unsafe { make(dir, path, flags as usize, mode.bits() as usize, k::__NR_openat) }
}

/// Opens the directory that the path leads to, above the standard streams and only to go on from it; and the name in it.
///
/// openat(2) wants a null at the end of the directory's path, where a slash stands, so that path
/// is copied; in pieces, because a buffer of `PATH_MAX` is more stack than all else here together.
///
/// Not inlined, so that the piece does not stay on the caller's stack.
#[inline(never)]
pub(crate) fn open_parent(mut path: &CStr) -> Result<(OwnedFd, &CStr), Code> {
    if path.count_bytes() >= 4096 {
        return Err(Code::NAMETOOLONG);
    }
    let mut parent = None;
    loop {
        // The dot makes a piece relative that begins with a slash because the path was cut between two.
        let mut piece = [0; 259];
        let [dot, slash, copy @ .., _null] = &mut piece;
        (*dot, *slash) = (b'.', b'/');
        let mut length = 0;
        for (at, (to, from)) in copy.iter_mut().zip(path.to_bytes()).enumerate() {
            *to = *from;
            if *from == b'/' {
                length = at + 1;
            }
        }
        if let Some(parent) = parent.take_if(|_| length == 0) {
            return Ok((parent, path));
        }
        if let Some(end) = copy.get_mut(length) {
            *end = 0;
        }
        let from = parent.as_ref().map(borrow);
        let absolute = from.is_none() && piece[2] == b'/';
        let piece = if absolute { &piece[2..] } else { &piece[..] };
        // SAFETY: it ends with a null, if there is none before.
        parent = Some(unsafe { open(from.unwrap_or(CWD), piece.as_ptr(), OFlags::PATH | OFlags::DIRECTORY) }?);
        // SAFETY: so many bytes were there before the null.
        let rest = unsafe { path.to_bytes_with_nul().get_unchecked(length..) };
        // SAFETY: the end of a string, with the null.
        path = unsafe { CStr::from_bytes_with_nul_unchecked(rest) };
    }
}

/// Opens above the standard streams, closed by execve(2), with mode 0644 if it is created.
pub(crate) fn open_above_stdio(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Code> {
    // SAFETY: it is a C string.
    unsafe { open(dir, path.as_ptr().cast(), flags) }
}

/// # Safety
///
/// A null follows the path.
unsafe fn open(dir: BorrowedFd<'_>, path: *const u8, flags: OFlags) -> Result<OwnedFd, Code> {
    let flags = flags.bits() | k::O_NOCTTY | k::O_LARGEFILE | k::O_CLOEXEC;
    // SAFETY: the caller vouches for the path.
    above_stdio(unsafe { make(dir.as_raw_fd() as usize, path as usize, flags as usize, 0o644, k::__NR_openat) }?)
}

/// ESRCH if there is no such process.
pub(crate) fn pidfd_open(pid: Pid) -> Result<OwnedFd, Code> {
    // SAFETY: numbers only.
    match unsafe { make(pid.as_raw_nonzero().get() as usize, 0, 0, 0, k::__NR_pidfd_open) } {
        // So say kernels (6.1) of one that was reaped, if its number is still a session's or a group's.
        Err(Code::INVAL) => Err(Code::SRCH),
        opened => opened,
    }
}

/// A duplicate that is none of the standard streams.
pub(crate) fn dup_above_stdio(fd: BorrowedFd<'_>) -> Result<OwnedFd, Code> {
    // SAFETY: numbers only.
    unsafe { make(fd.as_raw_fd() as usize, k::F_DUPFD_CLOEXEC as usize, 3, 0, FCNTL) }
}

/// The descriptor, or if it has landed on 0, 1 or 2 a duplicate above, in its place.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Code> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { dup_above_stdio(borrow(&fd)) }
}

/// The end to read and the end to write, both closed by execve(2).
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Code> {
    let mut ends = [0_u32; 2];
    // SAFETY: the kernel writes two numbers there.
    unsafe { call(k::__NR_pipe2, ends.as_mut_ptr() as usize, k::O_CLOEXEC as usize, 0) }?;
    let [read, write] = ends;
    // SAFETY: the kernel has just made them.
    Ok((unsafe { owned(read) }, unsafe { owned(write) }))
}

/// The string that ends at the first null. `from_bytes_until_nul` searches by words, in 150 bytes of code.
pub(crate) fn c_str(bytes: &[u8]) -> Result<&CStr, Code> {
    let length = bytes.iter().position(|byte| *byte == 0).ok_or(Code::INVAL)?;
    let string = bytes.get(..=length).ok_or(Code::INVAL)?;
    // SAFETY: its first null is its last byte.
    Ok(unsafe { CStr::from_bytes_with_nul_unchecked(string) })
}
