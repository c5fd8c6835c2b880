//! Calls that make a descriptor. rustix has them, with a panic path each, for the number -1.

use super::code::{Code, answer, number};
use super::kernel::{FCNTL, call, close, retry};
use core::ffi::CStr;
use core::mem::transmute;
use linux_raw_sys::general as k;
use linux_raw_sys::net::{AF_UNIX, SOCK_DGRAM};
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
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
/// It is the answer of a system call that makes a descriptor.
#[inline(always)]
unsafe fn made(answer: Result<u32, Code>) -> Result<OwnedFd, Code> {
    // SAFETY: the kernel has just made it.
    Ok(unsafe { owned(answer?) })
}

/// Opens, and never a controlling terminal.
#[inline(always)]
pub(crate) fn openat(dir: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Code> {
    let flags = flags.bits() | k::O_NOCTTY | k::O_LARGEFILE;
    let (dir, path) = (dir.as_raw_fd() as usize, path.as_ptr() as usize);
    // SAFETY: the path outlives the call.
    let answer = unsafe { retry(k::__NR_openat, [dir, path, flags as usize, mode.bits() as usize]) };
    // SAFETY: of that call.
    unsafe { made(answer) }
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
#[inline(always)]
unsafe fn open(dir: BorrowedFd<'_>, path: *const u8, flags: OFlags) -> Result<OwnedFd, Code> {
    // SAFETY: the caller vouches for the path.
    let answer = number(unsafe { open_raised(dir.as_raw_fd() as usize, path as usize, flags.bits()) });
    // SAFETY: of that call.
    unsafe { made(answer) }
}

/// # Safety
///
/// A null follows the path.
#[inline(never)]
unsafe fn open_raised(dir: usize, path: usize, flags: u32) -> i32 {
    let flags = flags | k::O_NOCTTY | k::O_LARGEFILE | k::O_CLOEXEC;
    // SAFETY: the caller vouches for the path.
    let opened = answer(unsafe { retry(k::__NR_openat, [dir, path, flags as usize, 0o644]) });
    // SAFETY: it is nobody's yet.
    unsafe { raise(opened) }
}

/// ESRCH, too, where the number of a process that was reaped is still that of its session or group: older kernels say EINVAL.
pub(crate) fn pidfd_open(pid: Pid) -> Result<OwnedFd, Code> {
    // SAFETY: numbers only.
    let answer = unsafe { call(k::__NR_pidfd_open, [pid.as_raw_nonzero().get() as usize, 0]) };
    // SAFETY: of that call.
    unsafe { made(answer.map_err(|code| if code == Code::INVAL { Code::SRCH } else { code })) }
}

/// A socket for datagrams of the Unix domain, closed by execve(2).
pub(super) fn unix_datagram() -> Result<OwnedFd, Code> {
    // SAFETY: numbers only.
    let answer = unsafe { call(k::__NR_socket, [AF_UNIX as usize, (SOCK_DGRAM | k::O_CLOEXEC) as usize, 0]) };
    // SAFETY: of that call.
    unsafe { made(answer) }
}

/// The descriptor, or if it has landed on 0, 1 or 2 a duplicate above, in its place.
#[inline(always)]
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Code> {
    // SAFETY: its owner has given it up.
    let raised = unsafe { raise(fd.into_raw_fd()) };
    // SAFETY: that is it, or of a call that has made it.
    unsafe { made(number(raised)) }
}

/// [`above_stdio`] of a number; an errno stays what it is.
///
/// # Safety
///
/// The descriptor is nobody's.
#[inline(never)]
unsafe fn raise(fd: RawFd) -> i32 {
    if !(0..=2).contains(&fd) {
        return fd;
    }
    let above = dup(fd);
    // SAFETY: the caller vouches for it.
    let _ = unsafe { close(fd) };
    above
}

/// A duplicate that is none of the standard streams.
#[inline(always)]
pub(crate) fn dup_above_stdio(fd: BorrowedFd<'_>) -> Result<OwnedFd, Code> {
    // SAFETY: of a call that has made it.
    unsafe { made(number(dup(fd.as_raw_fd()))) }
}

fn dup(fd: RawFd) -> i32 {
    // SAFETY: numbers only.
    answer(unsafe { call(FCNTL, [fd as usize, k::F_DUPFD_CLOEXEC as usize, 3]) })
}

/// The end to read and the end to write, both closed by execve(2).
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Code> {
    let mut ends = [0_u32; 2];
    // SAFETY: the kernel writes two numbers there.
    unsafe { call(k::__NR_pipe2, [ends.as_mut_ptr() as usize, k::O_CLOEXEC as usize]) }?;
    let [read, write] = ends;
    // SAFETY: the kernel has just made them.
    Ok((unsafe { owned(read) }, unsafe { owned(write) }))
}
