//! With a C library in the process: its own functions, so that it learns of the change.
//!
//! Its `fork` runs the atfork handlers and renews the thread id it keeps; its `set*id` change
//! every thread, where the system call changes one.

use super::code::Code;
use core::ffi::c_int;
use core::ops::Range;
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid};

unsafe extern "C" {
    #[link_name = "fork"]
    fn libc_fork() -> c_int;
    safe fn _exit(status: c_int) -> !;
    #[link_name = "setgroups"]
    fn libc_setgroups(size: usize, list: *const u32) -> c_int;
    #[link_name = "setresgid"]
    safe fn libc_setresgid(real: u32, effective: u32, saved: u32) -> c_int;
    #[link_name = "setresuid"]
    safe fn libc_setresuid(real: u32, effective: u32, saved: u32) -> c_int;
    safe fn __libc_current_sigrtmin() -> c_int;
    safe fn __errno_location() -> *const c_int;
}

/// glibc and musl answer -1 and leave the reason in `errno`.
fn result(ret: c_int) -> Result<c_int, Code> {
    if ret >= 0 {
        return Ok(ret);
    }
    // SAFETY: the library returns the place of this thread's `errno`, valid as long as the thread.
    Err(Errno::from_raw_os_error(unsafe { *__errno_location() }).into())
}

/// # Safety
///
/// With more than one thread, the child calls async-signal-safe functions only.
pub(crate) unsafe fn fork() -> Result<Option<Pid>, Code> {
    // SAFETY: the caller vouches for the child.
    result(unsafe { libc_fork() }).map(Pid::from_raw)
}

pub(crate) fn exit(status: i32) -> ! {
    _exit(status)
}

pub(crate) fn setgroups(groups: &[Gid]) -> Result<(), Code> {
    // SAFETY: `Gid` is a transparent u32, and the list outlives the call.
    result(unsafe { libc_setgroups(groups.len(), groups.as_ptr().cast()) }).map(drop)
}

pub(crate) fn setresgid(gid: Gid) -> Result<(), Code> {
    let gid = gid.as_raw();
    result(libc_setresgid(gid, gid, gid)).map(drop)
}

pub(crate) fn setresuid(uid: Uid) -> Result<(), Code> {
    let uid = uid.as_raw();
    result(libc_setresuid(uid, uid, uid)).map(drop)
}

/// The real-time signals that the library keeps for itself: 32 and 33 in glibc, 32 to 34 in musl.
pub(crate) fn libc_signals() -> Range<i32> {
    32..__libc_current_sigrtmin()
}
