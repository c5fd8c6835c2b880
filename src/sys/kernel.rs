//! Raw system calls, each as its manual page has it.

use super::arch::syscall;
use super::code::{Code, number};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::ptr::{from_ref, null};
use linux_raw_sys::general as k;
use linux_raw_sys::prctl::{PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::process::{Gid, Pid, Uid};

/// What a system call takes in one register: nothing, if it takes fewer arguments.
pub(super) type Register = MaybeUninit<usize>;

/// A system call of up to five arguments, none of which the kernel reads beyond those given.
///
/// In place: it loses no register but the answer's, where a function's call loses most.
///
/// # Safety
///
/// That of the system call `nr` with these arguments.
#[inline(always)]
pub(super) unsafe fn call<const N: usize>(nr: u32, arguments: [usize; N]) -> Result<u32, Code> {
    // SAFETY: the caller answers for the call.
    number(unsafe { syscall(nr, registers(arguments)) } as i32)
}

/// [`call`], until no signal interrupts it: for what may wait, if only for a file system that answers when it likes.
///
/// # Safety
///
/// That of the system call `nr` with these arguments.
#[inline(always)]
pub(super) unsafe fn retry<const N: usize>(nr: u32, arguments: [usize; N]) -> Result<u32, Code> {
    const { assert!(N < 5) }
    let [a, b, c, d, _] = registers(arguments);
    // SAFETY: the caller answers for the call.
    number(unsafe { repeat(a, b, c, d, nr) })
}

#[inline(always)]
fn registers<const N: usize>(arguments: [usize; N]) -> [Register; 5] {
    const { assert!(N <= 5) }
    let (none, some) = (Register::uninit(), Register::new);
    match arguments.as_slice() {
        [] => [none; 5],
        &[a] => [some(a), none, none, none, none],
        &[a, b] => [some(a), some(b), none, none, none],
        &[a, b, c] => [some(a), some(b), some(c), none, none],
        &[a, b, c, d] => [some(a), some(b), some(c), some(d), none],
        &[a, b, c, d, last, ..] => [some(a), some(b), some(c), some(d), some(last)],
    }
}

/// The arguments are in the registers where the kernel wants most of them.
#[inline(never)]
unsafe fn repeat(a: Register, b: Register, c: Register, d: Register, nr: u32) -> i32 {
    loop {
        // SAFETY: the caller answers for the call.
        let answer = unsafe { syscall(nr, [a, b, c, d, Register::uninit()]) } as i32;
        if answer != -(linux_raw_sys::errno::EINTR as i32) {
            return answer;
        }
    }
}

// A call that does not return is not inlined unless asked for.
#[inline(always)]
pub(crate) fn exit_group(status: i32) -> ! {
    loop {
        // SAFETY: the call ends every thread; it does not return, and the loop says so.
        unsafe { syscall(k::__NR_exit_group, registers([status as usize])) };
    }
}

pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> Result<u32, Code> {
    // SAFETY: the kernel writes at most so many bytes there.
    unsafe { retry(k::__NR_read, [fd as usize, buffer.as_mut_ptr() as usize, buffer.len()]) }
}

#[cfg(target_pointer_width = "64")]
const FTRUNCATE: u32 = k::__NR_ftruncate;
#[cfg(target_pointer_width = "32")]
const FTRUNCATE: u32 = k::__NR_ftruncate64;

/// Takes everything out of a file.
pub(crate) fn empty(file: &OwnedFd) -> Result<(), Code> {
    // SAFETY: numbers only. The length, zero, is in two of them on some architectures.
    unsafe { retry(FTRUNCATE, [file.as_raw_fd() as usize, 0, 0, 0]) }.map(drop)
}

pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Code> {
    // SAFETY: the name outlives the call.
    unsafe { retry(k::__NR_unlinkat, [dir.as_raw_fd() as usize, name.as_ptr() as usize, 0]) }.map(drop)
}

/// Which children [`has_ended`] asks about.
#[derive(Clone, Copy)]
pub(crate) enum Children {
    One = k::P_PID as isize,
    Group = k::P_PGID as isize,
}

/// Whether the child of this pid, or one of this process group, has ended; it is not reaped. `ECHILD` if there is none.
#[inline(never)]
pub(crate) fn has_ended(which: Children, id: Pid) -> Result<bool, Code> {
    // A siginfo_t, whose first number is the signal's; the kernel leaves zero there if none has ended.
    let mut info = [0_u32; 32];
    let (which, id, options) = (which as usize, id.as_raw_nonzero().get() as usize, k::WEXITED | k::WNOHANG | k::WNOWAIT);
    // SAFETY: the kernel writes one siginfo_t, of 128 bytes; nothing else is asked for.
    unsafe { call(k::__NR_waitid, [which, id, info.as_mut_ptr() as usize, options as usize, 0]) }?;
    Ok(info[0] != 0)
}

/// Sends `SIGKILL` through a pidfd.
pub(crate) fn kill(pidfd: &OwnedFd) -> Result<(), Code> {
    // SAFETY: numbers only; no siginfo is given.
    unsafe { call(k::__NR_pidfd_send_signal, [pidfd.as_raw_fd() as usize, k::SIGKILL as usize, 0, 0]) }.map(drop)
}

/// Where a symlink leads to.
pub(super) fn readlink(dir: BorrowedFd<'_>, path: &CStr, buffer: &mut [u8]) -> Result<usize, Code> {
    let (dir, path, place) = (dir.as_raw_fd() as usize, path.as_ptr() as usize, buffer.as_mut_ptr() as usize);
    // SAFETY: the path outlives the call, and the kernel writes at most so many bytes.
    unsafe { retry(k::__NR_readlinkat, [dir, path, place, buffer.len()]) }.map(|length| length as usize)
}

pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> Result<usize, Code> {
    // SAFETY: the kernel reads so many bytes.
    unsafe { retry(k::__NR_write, [fd as usize, bytes.as_ptr() as usize, bytes.len()]) }.map(|length| length as usize)
}

/// # Safety
///
/// `argv` and `envp` are arrays of pointers to C strings, and end with a null pointer.
pub(crate) unsafe fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> Code {
    // SAFETY: the caller vouches for the arrays. The call returns only with an error.
    match unsafe { call(k::__NR_execve, [path as usize, argv as usize, envp as usize]) } {
        Err(code) => code,
        Ok(_) => Code::INVAL,
    }
}

/// # Safety
///
/// Nobody owns a descriptor from `first` to `last`, or nobody will use or close it again.
pub(crate) unsafe fn close_range(first: RawFd, last: RawFd) -> Result<(), Code> {
    // SAFETY: the caller vouches for the descriptors; no memory is passed.
    unsafe { call(k::__NR_close_range, [first as usize, last as usize, 0]) }.map(drop)
}

/// # Safety
///
/// That of [`close_range`], for one descriptor.
#[inline(always)]
pub(crate) unsafe fn close(fd: RawFd) -> Result<(), Code> {
    // SAFETY: the caller vouches for the descriptor; no memory is passed.
    unsafe { call(k::__NR_close, [fd as usize]) }.map(drop)
}

/// Reads entries of a directory; none at its end.
pub(crate) fn getdents<'b>(dir: &OwnedFd, buffer: &'b mut [MaybeUninit<u8>]) -> Result<&'b [u8], Code> {
    let (dir, place) = (dir.as_raw_fd() as usize, buffer.as_mut_ptr());
    // SAFETY: the kernel writes at most so many bytes there.
    let length = unsafe { retry(k::__NR_getdents64, [dir, place as usize, buffer.len()]) }?;
    // SAFETY: the kernel has just written so many.
    Ok(unsafe { core::slice::from_raw_parts(place.cast(), length as usize) })
}

/// The hard limit of `RLIMIT_NOFILE`.
pub(crate) fn hard_limit() -> Result<u64, Code> {
    let mut limit = k::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit64`; no limit is set.
    unsafe { call(k::__NR_prlimit64, [0, k::RLIMIT_NOFILE as usize, 0, &raw mut limit as usize]) }?;
    Ok(limit.rlim_max)
}

/// # Safety
///
/// Nobody owns `new`, or its owner knows that it becomes a duplicate of `old`.
pub(crate) unsafe fn dup3(old: RawFd, new: RawFd, cloexec: bool) -> Result<(), Code> {
    let (nr, to, how) = if old == new {
        // dup3 answers EINVAL, and dup2 leaves the flag as it is.
        (FCNTL, k::F_SETFD as usize, usize::from(cloexec) * k::FD_CLOEXEC as usize)
    } else {
        (k::__NR_dup3, new as usize, usize::from(cloexec) * k::O_CLOEXEC as usize)
    };
    // SAFETY: the caller vouches for `new`; no memory is passed.
    unsafe { retry(nr, [old as usize, to, how]) }.map(drop)
}

/// `fcntl(F_GETFD)`: EBADF if nothing is open there.
#[inline(always)]
pub(crate) fn getfd(fd: RawFd) -> Result<(), Code> {
    // SAFETY: F_GETFD reads a flag and touches no memory.
    unsafe { call(FCNTL, [fd as usize, k::F_GETFD as usize]) }.map(drop)
}

#[cfg(target_pointer_width = "64")]
pub(super) const FCNTL: u32 = k::__NR_fcntl;
#[cfg(target_pointer_width = "32")]
pub(super) const FCNTL: u32 = k::__NR_fcntl64;

/// What the kernel does when a signal without a handler arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Disposition {
    Default,
    Ignore,
    /// `SIGCHLD` with `SA_NOCLDWAIT`: children leave no zombie.
    Reap,
    /// Somebody's handler; can be seen, not set.
    Handler,
}

/// The kernel's `struct sigaction`: handler, flags, restorer (not on riscv64), mask.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct SigAction {
    pub(super) handler: usize,
    flags: usize,
    #[cfg(not(target_arch = "riscv64"))]
    restorer: usize,
    mask: [u32; 2],
}

impl SigAction {
    pub(super) const DEFAULT: Self = Self {
        handler: 0,
        flags: 0,
        #[cfg(not(target_arch = "riscv64"))]
        restorer: 0,
        mask: [0; 2],
    };
}

/// The bytes of the kernel's signal set: signals 1 to 64.
pub(super) const SIGSET: usize = size_of::<u64>();

pub(crate) fn sigaction(signal: i32, disposition: Disposition) -> Result<(), Code> {
    let (handler, flags) = match disposition {
        Disposition::Default => (0, 0),
        Disposition::Ignore => (1, 0),
        Disposition::Reap => (1, k::SA_NOCLDWAIT as usize),
        Disposition::Handler => return Err(Code::INVAL),
    };
    let action = SigAction { handler, flags, ..SigAction::DEFAULT };
    // SAFETY: `action` outlives the call, and no handler is installed: SIG_DFL or SIG_IGN.
    unsafe { call(k::__NR_rt_sigaction, [signal as usize, from_ref(&action) as usize, 0, SIGSET]) }.map(drop)
}

pub(crate) fn sigdisposition(signal: i32) -> Result<Disposition, Code> {
    let mut action = MaybeUninit::<SigAction>::uninit();
    // SAFETY: the kernel writes one `SigAction` to the place given.
    unsafe { call(k::__NR_rt_sigaction, [signal as usize, 0, action.as_mut_ptr() as usize, SIGSET]) }?;
    // SAFETY: the call succeeded, so the kernel has filled it.
    let action = unsafe { action.assume_init() };
    Ok(match action.handler {
        0 => Disposition::Default,
        1 => Disposition::Ignore,
        _ => Disposition::Handler,
    })
}

/// What `sigprocmask` does with its set.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Block = k::SIG_BLOCK as isize,
    Unblock = k::SIG_UNBLOCK as isize,
    Set = k::SIG_SETMASK as isize,
}

/// Changes the mask; the former one takes the place of the set.
pub(crate) fn sigprocmask(change: Change, set: &mut u64) -> Result<(), Code> {
    let set = &raw mut *set as usize;
    // SAFETY: the kernel reads the set, and then writes one to the same place.
    unsafe { call(k::__NR_rt_sigprocmask, [change as usize, set, set, SIGSET]) }.map(drop)
}

#[cfg(target_pointer_width = "64")]
const SIGTIMEDWAIT: u32 = k::__NR_rt_sigtimedwait;
#[cfg(target_pointer_width = "32")]
const SIGTIMEDWAIT: u32 = k::__NR_rt_sigtimedwait_time64;

/// Takes one pending signal of `set`, waiting for it; the signal's number.
pub(crate) fn sigtimedwait(set: u64, timeout: Option<&k::__kernel_timespec>) -> Result<i32, Code> {
    let timeout = timeout.map_or(null(), from_ref);
    // SAFETY: the set and the timeout outlive the call; no siginfo is asked for.
    unsafe { call(SIGTIMEDWAIT, [from_ref(&set) as usize, 0, timeout as usize, SIGSET]) }.map(|signal| signal as i32)
}

/// Gives up the controlling terminal that `fd` refers to.
pub(crate) fn tiocnotty(fd: RawFd) -> Result<(), Code> {
    // SAFETY: TIOCNOTTY takes no argument.
    unsafe { call(k::__NR_ioctl, [fd as usize, linux_raw_sys::ioctl::TIOCNOTTY as usize]) }.map(drop)
}

pub(crate) fn child_subreaper() -> Result<bool, Code> {
    let mut adopts = 0_i32;
    // SAFETY: the kernel writes one `int` to the place given.
    unsafe { call(k::__NR_prctl, [PR_GET_CHILD_SUBREAPER as usize, &raw mut adopts as usize]) }?;
    Ok(adopts != 0)
}

pub(crate) fn set_child_subreaper(adopt: bool) -> Result<(), Code> {
    // SAFETY: numbers only.
    unsafe { call(k::__NR_prctl, [PR_SET_CHILD_SUBREAPER as usize, adopt.into()]) }.map(drop)
}

/// The process leads the session that it creates, and gives it its number.
pub(crate) fn setsid() -> Result<Pid, Code> {
    // SAFETY: no argument.
    unsafe { call(k::__NR_setsid, []) }.and_then(|pid| Pid::from_raw(pid as i32).ok_or(Code::SRCH))
}

pub(crate) fn umask(mask: u32) -> Result<u32, Code> {
    // SAFETY: a number in, a number out.
    unsafe { call(k::__NR_umask, [mask as usize]) }
}

// The 32-bit architectures that are older than 32-bit ids have them under names of their own.
#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod ids {
    pub(super) use super::k::{__NR_getgroups as GETGROUPS, __NR_getresgid as GETRESGID, __NR_getresuid as GETRESUID};
}
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod ids {
    pub(super) use super::k::{__NR_getgroups32 as GETGROUPS, __NR_getresgid32 as GETRESGID, __NR_getresuid32 as GETRESUID};
}

/// EPERM unless real, effective and saved number, as getresuid(2) or getresgid(2) tells them, are this one.
fn verify(nr: u32, id: u32) -> Result<(), Code> {
    let (mut real, mut effective, mut saved) = (0_u32, 0_u32, 0_u32);
    // SAFETY: the kernel writes three numbers to the three places given.
    unsafe { call(nr, [&raw mut real as usize, &raw mut effective as usize, &raw mut saved as usize]) }?;
    if real == id && effective == id && saved == id { Ok(()) } else { Err(Code::PERM) }
}

pub(crate) fn verify_uid(uid: Uid) -> Result<(), Code> {
    verify(ids::GETRESUID, uid.as_raw())
}

pub(crate) fn verify_gid(gid: Gid) -> Result<(), Code> {
    verify(ids::GETRESGID, gid.as_raw())
}

/// How many supplementary groups there are; with `list` not empty they are written there, and
/// EINVAL is the answer when it is too short.
#[inline(always)]
pub(crate) fn getgroups(list: &mut [Gid]) -> Result<u32, Code> {
    // SAFETY: the kernel writes at most `list.len()` numbers there, which `Gid` is one of.
    unsafe { call(ids::GETGROUPS, [list.len(), list.as_mut_ptr() as usize]) }
}

/// This thread, as capget(2) and capset(2) name it.
const THIS_THREAD: k::__user_cap_header_struct = k::__user_cap_header_struct { version: k::_LINUX_CAPABILITY_VERSION_3, pid: 0 };

/// EPERM if the thread has a capability, or one that an execve(2) could bring back.
pub(crate) fn verify_powerless() -> Result<(), Code> {
    // Effective, permitted and inheritable: first the lower halves, then the upper ones. To be zero, they may lie anyhow.
    let mut sets = [0_u64; 3];
    let mut header = THIS_THREAD;
    // SAFETY: the kernel writes two times three numbers, and the version that it knows if it does not know this one.
    unsafe { call(k::__NR_capget, [&raw mut header as usize, &raw mut sets as usize]) }?;
    let [a, b, c] = sets;
    if a | b | c == 0 { Ok(()) } else { Err(Code::PERM) }
}

/// Gives up every capability of the thread.
pub(crate) fn drop_capabilities() -> Result<(), Code> {
    let mut header = THIS_THREAD;
    // SAFETY: the kernel reads two times three numbers; the header as above.
    unsafe { call(k::__NR_capset, [&raw mut header as usize, from_ref(&[0_u32; 6]) as usize]) }.map(drop)
}
