//! fcntl(2) record locks on one byte of a file: of the process (POSIX), of the open file description (OFD).

use super::kernel::{FCNTL, call};
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::Pid;

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{F_GETLK, F_SETLK, flock};
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{F_GETLK64 as F_GETLK, F_SETLK64 as F_SETLK, flock64 as flock};

/// Who holds a record lock, as `F_GETLK` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Locker {
    Nobody,
    /// An open file description (OFD): no process is named.
    Description,
    /// A process: its pid, if the asker's pid namespace shows it.
    Process(Option<Pid>),
}

/// The command, with an exclusive lock on the byte at `at`; whose lock the kernel leaves in its place.
fn fcntl(fd: BorrowedFd<'_>, command: u32, at: u8) -> Result<Locker, Errno> {
    let mut lock = flock { l_type: k::F_WRLCK as _, l_whence: k::SEEK_SET as _, l_start: at.into(), l_len: 1, l_pid: 0 };
    // SAFETY: these commands read and write one `flock`, and only that.
    unsafe { call(FCNTL, fd.as_raw_fd() as usize, command as usize, &raw mut lock as usize, 0) }?;
    Ok(match lock.l_pid {
        _ if lock.l_type as u32 != k::F_WRLCK || !matches!(lock.l_len, 1 | 2) => Locker::Nobody,
        -1 => Locker::Description,
        pid => Locker::Process(Pid::from_raw(pid.max(0))),
    })
}

/// `F_SETLK`: the lock is this process's, until it closes the file or ends.
pub(crate) fn setlk(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Errno> {
    fcntl(fd, F_SETLK, at)
}

/// `F_OFD_SETLK`: the lock is the open file description's, until its last descriptor is closed.
pub(crate) fn setlk_description(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Errno> {
    fcntl(fd, k::F_OFD_SETLK, at)
}

/// `F_GETLK`: who has locked the byte as the functions above do it. Takes nothing and disturbs nobody.
///
/// A read lock is not counted, which whoever may read the file can set; nor one of more bytes than two, such as
/// other programs set on the whole file. Two, because locks of one owner on neighbouring bytes become one.
pub(crate) fn getlk(fd: BorrowedFd<'_>, at: u8) -> Result<Locker, Errno> {
    fcntl(fd, F_GETLK, at)
}
