//! Whether this process has one thread.

use super::stat::{Field, stat};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// `CLONE_THREAD`, which rustix does not name because unsharing it does nothing.
const CLONE_THREAD: UnshareFlags = UnshareFlags::from_bits_retain(linux_raw_sys::general::CLONE_THREAD);

/// How many pauses a thread that was joined may take to be gone: `pthread_join` returns a moment before.
const GRACE: u32 = 10;

/// EBUSY when there is another thread, or when nobody can tell.
pub(crate) fn alone() -> Result<(), Errno> {
    let mut alone = ask();
    for _ in 0..GRACE {
        if alone.is_ok() {
            break;
        }
        super::pause();
        alone = ask();
    }
    alone
}

/// unshare(2) answers EINVAL to `CLONE_THREAD` in a process of more than one thread and does
/// nothing in any other. A filter may deny it: then `num_threads` of `/proc/self/stat` counts.
fn ask() -> Result<(), Errno> {
    // SAFETY: the flag unshares nothing: the call does nothing, or fails.
    match unsafe { unshare_unsafe(CLONE_THREAD) } {
        Ok(()) => Ok(()),
        Err(Errno::INVAL) => Err(Errno::BUSY),
        Err(_) => match stat(None, Field::NumThreads) {
            Ok(1) => Ok(()),
            _ => Err(Errno::BUSY),
        },
    }
}
