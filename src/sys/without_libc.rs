//! Without a C library: the system calls.

use super::code::Code;
use super::kernel::call;
pub(crate) use super::kernel::exit_group as exit;
use core::ops::Range;
use linux_raw_sys::general as k;
use rustix::process::{Gid, Pid, Uid};

// The 32-bit architectures that are older than 32-bit ids have them under names of their own.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod ids {
    pub(super) use super::k::{__NR_setgroups as SETGROUPS, __NR_setresgid as SETRESGID, __NR_setresuid as SETRESUID};
}
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod ids {
    pub(super) use super::k::{__NR_setgroups32 as SETGROUPS, __NR_setresgid32 as SETRESGID, __NR_setresuid32 as SETRESUID};
}

/// # Safety
///
/// With more than one thread, the child calls async-signal-safe functions only.
#[inline(always)]
pub(crate) unsafe fn fork() -> Result<Option<Pid>, Code> {
    // All architectures agree on the order of these arguments as long as all but the first are
    // zero; the fifth is not read without a flag that names it.
    // SAFETY: no memory is shared and no stack given: the child goes on in a copy of this one.
    unsafe { call(k::__NR_clone, [k::SIGCHLD as usize, 0]) }.map(|pid| Pid::from_raw(pid as i32))
}

/// The system calls change the calling thread only: a process of several is refused.
///
/// # Safety
///
/// That of the system call `nr` with these arguments.
unsafe fn change_ids(nr: u32, a: usize, b: usize, c: usize) -> Result<(), Code> {
    super::alone()?;
    // SAFETY: the caller answers for the call.
    unsafe { call(nr, [a, b, c]) }.map(drop)
}

pub(crate) fn setgroups(groups: &[Gid]) -> Result<(), Code> {
    // SAFETY: the kernel reads so many numbers, which `Gid` is one of.
    unsafe { change_ids(ids::SETGROUPS, groups.len(), groups.as_ptr() as usize, 0) }
}

pub(crate) fn setresgid(gid: Gid) -> Result<(), Code> {
    let gid = gid.as_raw() as usize;
    // SAFETY: numbers only.
    unsafe { change_ids(ids::SETRESGID, gid, gid, gid) }
}

pub(crate) fn setresuid(uid: Uid) -> Result<(), Code> {
    let uid = uid.as_raw() as usize;
    // SAFETY: numbers only.
    unsafe { change_ids(ids::SETRESUID, uid, uid, uid) }
}

/// Nobody keeps a signal for itself.
pub(crate) fn libc_signals() -> Range<i32> {
    32..32
}
