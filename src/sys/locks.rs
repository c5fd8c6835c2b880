//! Locks: flock(2) on a file; fcntl(2) record locks on one byte of it, of the process (POSIX) or of the open file
//! description (OFD).

use super::code::Code;
use super::kernel::{FCNTL, call};
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{F_GETLK, F_SETLK, flock};
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{F_GETLK64 as F_GETLK, F_SETLK64 as F_SETLK, flock64 as flock};

/// `LOCK_EX` without waiting, until the open file description's last descriptor is closed.
pub(crate) fn flock(fd: BorrowedFd<'_>) -> Result<(), Code> {
    // SAFETY: numbers only.
    unsafe { call(k::__NR_flock, fd.as_raw_fd() as usize, (k::LOCK_EX | k::LOCK_NB) as usize, 0) }.map(drop)
}

/// Who holds a record lock, as `F_GETLK` tells it: a process's pid, 0 if the asker's pid namespace does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Locker(pub(crate) i32);

impl Locker {
    /// An open file description (OFD): no process is named.
    pub(crate) const DESCRIPTION: Self = Self(-1);
    pub(crate) const NOBODY: Self = Self(i32::MIN);
}

/// The command, with an exclusive lock on the byte at `at`; whose lock the kernel leaves in its place.
fn fcntl(fd: BorrowedFd<'_>, command: u32, at: u8) -> Result<Locker, Code> {
    let mut lock = flock { l_type: k::F_WRLCK as _, l_whence: k::SEEK_SET as _, l_start: at.into(), l_len: 1, l_pid: 0 };
    // SAFETY: these commands read and write one `flock`, and only that.
    unsafe { call(FCNTL, fd.as_raw_fd() as usize, command as usize, &raw mut lock as usize) }?;
    let counts = lock.l_type as u32 == k::F_WRLCK && matches!(lock.l_len, 1 | 2);
    Ok(if counts { Locker(lock.l_pid) } else { Locker::NOBODY })
}

/// `F_SETLK`: the lock is this process's, until it closes the file or ends.
pub(crate) fn setlk(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Code> {
    fcntl(fd, F_SETLK, at)
}

/// `F_OFD_SETLK`: the lock is the open file description's, until its last descriptor is closed.
pub(crate) fn setlk_description(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Code> {
    fcntl(fd, k::F_OFD_SETLK, at)
}

/// `F_GETLK`: who has locked the byte as the functions above do it. Takes nothing and disturbs nobody.
///
/// A read lock is not counted, which whoever may read the file can set; nor one of more bytes than two, such as
/// other programs set on the whole file. Two, because locks of one owner on neighbouring bytes become one.
pub(crate) fn getlk(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Code> {
    fcntl(fd, F_GETLK, at)
}
