//! Whether this process has one thread.

use rustix::fs::{AtFlags, CWD, statat};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// `CLONE_THREAD`, which rustix does not name because unsharing it does nothing.
const CLONE_THREAD: UnshareFlags = UnshareFlags::from_bits_retain(linux_raw_sys::general::CLONE_THREAD);

/// How many pauses a thread that was joined may take to be gone: `pthread_join` returns a moment before.
const GRACE: u32 = 10;

/// EBUSY when there is another thread, or when nobody can tell.
pub(crate) fn alone() -> Result<(), Errno> {
    for _ in 0..GRACE {
        if ask().is_ok() {
            return Ok(());
        }
        super::pause();
    }
    ask()
}

/// unshare(2) answers EINVAL to `CLONE_THREAD` in a process of more than one thread and does
/// nothing in any other. A filter may deny it: then the links of `/proc/self/task` are counted, two and one for each thread.
fn ask() -> Result<(), Errno> {
    // SAFETY: the flag unshares nothing: the call does nothing, or fails.
    match unsafe { unshare_unsafe(CLONE_THREAD) } {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => Err(Errno::BUSY),
        Err(_) => match statat(CWD, c"/proc/self/task", AtFlags::empty()) {
            Ok(task) if task.st_nlink == 3 => Ok(()),
            _ => Err(Errno::BUSY),
        },
    }
}
