//! Locks: flock(2) on a file; fcntl(2) record locks on one byte of it, of the process (POSIX) or of the open file
//! description (OFD).

use super::code::{Code, answer, number};
use super::kernel::{FCNTL, retry};
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::process::Pid;

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{F_GETLK, F_SETLK, flock};
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{F_GETLK64 as F_GETLK, F_SETLK64 as F_SETLK, flock64 as flock};

/// `LOCK_EX` without waiting, until the open file description's last descriptor is closed.
pub(crate) fn flock(fd: BorrowedFd<'_>) -> Result<(), Code> {
    // SAFETY: numbers only.
    unsafe { retry(k::__NR_flock, [fd.as_raw_fd() as usize, (k::LOCK_EX | k::LOCK_NB) as usize]) }.map(drop)
}

/// Who holds a record lock, as `F_GETLK` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Locker(u32);

impl Locker {
    /// No process has so large a number.
    pub(crate) const NOBODY: Self = Self(1 << 30);
    /// An open file description (OFD): no process is named, but -1.
    pub(crate) const DESCRIPTION: Self = Self(of(-1));

    /// None if the asker's pid namespace does not show the process, or if it is another machine's.
    pub(crate) fn pid(self) -> Option<Pid> {
        if self.0 < Self::NOBODY.0 { Pid::from_raw(self.0 as i32) } else { None }
    }
}

/// Without the sign, which is an errno's here.
const fn of(pid: i32) -> u32 {
    (pid & i32::MAX) as u32
}

/// The command, with an exclusive lock on the byte at `at`; whose lock the kernel leaves in its place.
#[inline(never)]
fn fcntl(fd: RawFd, command: u32, at: u8) -> i32 {
    let mut lock = flock { l_type: k::F_WRLCK as _, l_whence: k::SEEK_SET as _, l_start: at.into(), l_len: 1, l_pid: 0 };
    // SAFETY: these commands read and write one `flock`, and only that.
    let done = unsafe { retry(FCNTL, [fd as usize, command as usize, &raw mut lock as usize]) };
    let counts = lock.l_type as u32 == k::F_WRLCK && matches!(lock.l_len, 1 | 2);
    answer(done.map(|_| if counts { of(lock.l_pid) } else { Locker::NOBODY.0 }))
}

/// `F_SETLK`: the lock is this process's, until it closes the file or ends.
#[inline(always)]
pub(crate) fn setlk(fd: BorrowedFd<'_>, at: u8) -> Result<(), Code> {
    number(fcntl(fd.as_raw_fd(), F_SETLK, at)).map(drop)
}

/// `F_OFD_SETLK`: the lock is the open file description's, until its last descriptor is closed.
#[inline(always)]
pub(crate) fn setlk_description(fd: BorrowedFd<'_>, at: u8) -> Result<(), Code> {
    number(fcntl(fd.as_raw_fd(), k::F_OFD_SETLK, at)).map(drop)
}

/// `F_GETLK`: who has locked the byte as the functions above do it. Takes nothing and disturbs nobody.
///
/// A read lock is not counted, which whoever may read the file can set; nor one of more bytes than two, such as
/// other programs set on the whole file. Two, because locks of one owner on neighbouring bytes become one.
#[inline(always)]
pub(crate) fn getlk(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Code> {
    number(fcntl(fd.as_raw_fd(), F_GETLK, at)).map(Locker)
}
