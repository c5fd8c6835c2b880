//! Whether this process has one thread.

use super::code::Code;
use super::inode::Inode;
use super::kernel::call;
use linux_raw_sys::general as k;
use rustix::fs::CWD;

/// How many pauses a thread that was joined may take to be gone: `pthread_join` returns a moment before.
const GRACE: u32 = 10;

/// EBUSY when there is another thread, or when nobody can tell.
pub(crate) fn alone() -> Result<(), Code> {
    let mut grace = GRACE;
    while !is_alone() {
        grace = grace.checked_sub(1).ok_or(Code::BUSY)?;
        super::pause();
    }
    Ok(())
}

/// unshare(2) answers EINVAL to `CLONE_THREAD` in a process of more than one thread and does
/// nothing in any other. A filter may deny it.
fn is_alone() -> bool {
    // SAFETY: the flag unshares nothing: the call does nothing, or fails.
    match unsafe { call(k::__NR_unshare, k::CLONE_THREAD as usize, 0, 0) } {
        Err(Code::INVAL) => false,
        Err(_) => lists_one(),
        Ok(_) => true,
    }
}

/// Counts the links of `/proc/self/task`: two, and one for each thread.
///
/// Not inlined, so that the kernel's structure does not stay on the stack of who has no need of it.
#[inline(never)]
fn lists_one() -> bool {
    let mut task = Inode::new();
    task.look(CWD, c"/proc/self/task").is_ok() && task.links() == 3
}
