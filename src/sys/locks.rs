//! fcntl(2) record locks on one byte of a file: of the process (POSIX), of the open file description (OFD).

use super::kernel::{FCNTL, call};
use linux_raw_sys::general as k;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{F_GETLK, F_SETLK, flock};
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{F_GETLK64 as F_GETLK, F_SETLK64 as F_SETLK, flock64 as flock};

/// Who holds a record lock, as `F_GETLK` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Locker {
    /// An open file description (OFD): no process is named.
    Description,
    /// A process: its pid, or zero when the asker's pid namespace does not show it.
    Process(u32),
}

/// An exclusive lock on the byte at `at`.
fn byte(at: u8) -> flock {
    flock { l_type: k::F_WRLCK as _, l_whence: k::SEEK_SET as _, l_start: at.into(), l_len: 1, l_pid: 0 }
}

fn fcntl(fd: impl AsFd, command: u32, lock: &mut flock) -> Result<(), Errno> {
    let fd = fd.as_fd().as_raw_fd() as usize;
    // SAFETY: these commands read and write one `flock`, and only that.
    unsafe { call(FCNTL, fd, command as usize, &raw mut *lock as usize, 0) }.map(drop)
}

/// `F_SETLK`: the lock is this process's, until it closes the file or ends.
pub(crate) fn setlk(fd: impl AsFd, at: u8) -> Result<(), Errno> {
    fcntl(fd, F_SETLK, &mut byte(at))
}

/// `F_OFD_SETLK`: the lock is the open file description's, until its last descriptor is closed.
pub(crate) fn setlk_description(fd: impl AsFd, at: u8) -> Result<(), Errno> {
    fcntl(fd, k::F_OFD_SETLK, &mut byte(at))
}

/// `F_GETLK`: who has locked the byte as the functions above do it. Takes nothing and disturbs nobody.
///
/// A read lock is not counted, which whoever may read the file can set; nor one of more bytes than two, such as
/// other programs set on the whole file. Two, because locks of one owner on neighbouring bytes become one.
pub(crate) fn getlk(fd: impl AsFd, at: u8) -> Result<Option<Locker>, Errno> {
    let mut lock = byte(at);
    fcntl(fd, F_GETLK, &mut lock)?;
    if !matches!(lock.l_len, 1 | 2) {
        return Ok(None);
    }
    Ok(match (u32::try_from(lock.l_type), lock.l_pid) {
        (Ok(k::F_WRLCK), -1) => Some(Locker::Description),
        (Ok(k::F_WRLCK), pid) => Some(Locker::Process(pid.try_into().unwrap_or(0))),
        _ => None,
    })
}
