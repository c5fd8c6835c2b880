//! Without a C library: the system calls.

use super::arch::syscall4;
use super::kernel::call;
use core::ops::Range;
use linux_raw_sys::general as k;
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// # Safety
///
/// With more than one thread, the child calls async-signal-safe functions only.
pub(crate) unsafe fn fork() -> Result<Option<Pid>, Errno> {
    // All architectures agree on the order of these arguments as long as all but the first are
    // zero; the fifth is not read without a flag that names it.
    // SAFETY: no memory is shared and no stack given: the child goes on in a copy of this one.
    unsafe { call(k::__NR_clone, k::SIGCHLD as usize, 0, 0, 0) }.map(|pid| Pid::from_raw(pid as i32))
}

pub(crate) fn exit(status: i32) -> ! {
    loop {
        // SAFETY: the call ends every thread; it does not return, and the loop says so.
        unsafe { syscall4(status as usize, 0, 0, 0, k::__NR_exit_group) };
    }
}

/// The system calls change the calling thread only: a process of several is refused.
pub(crate) fn setgroups(groups: &[Gid]) -> Result<(), Errno> {
    super::alone()?;
    set_thread_groups(groups)
}

pub(crate) fn setresgid(gid: Gid) -> Result<(), Errno> {
    super::alone()?;
    set_thread_res_gid(gid, gid, gid)
}

pub(crate) fn setresuid(uid: Uid) -> Result<(), Errno> {
    super::alone()?;
    set_thread_res_uid(uid, uid, uid)
}

/// Nobody keeps a signal for itself.
pub(crate) fn libc_signals() -> Range<i32> {
    32..32
}
