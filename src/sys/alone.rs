//! Whether this process has one thread.

use super::stat::{Field, stat};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// `CLONE_THREAD`, which rustix does not name because unsharing it does nothing.
const CLONE_THREAD: UnshareFlags = UnshareFlags::from_bits_retain(linux_raw_sys::general::CLONE_THREAD);

/// EBUSY when there is another thread, or when nobody can tell.
///
/// unshare(2) answers EINVAL to `CLONE_THREAD` in a process of more than one thread and does
/// nothing in any other. A filter may deny it: then `num_threads` of `/proc/self/stat` counts.
pub(crate) fn alone() -> Result<(), Errno> {
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
