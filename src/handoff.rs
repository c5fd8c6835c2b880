//! Detaching in constant time: the process moves instead of being copied.

use crate::ready::{Notifier, Waiter, exit_status, outcome, ready_pipe};
use crate::sys::{self, exit};
use core::mem::forget;
use core::time::Duration;
use rustix::io::Errno;

pub(crate) use crate::sys::{End, Task};

/// Becomes a new process, in the memory of this one: what fork, [`setsid`](crate::setsid) and fork do, without a copy.
///
/// Returns in the daemon, which has a new pid and does not lead its new session. The old process exits with status 0, as by
/// [`exit`](crate::exit()). No page table is copied, and nothing later: this takes as long with gigabytes of memory as with none.
///
/// The daemon is what the caller was: memory (mappings that a fork does not copy, locked pages and memory that a fork wipes, too),
/// stack, thread-local variables, descriptors, signal mask, handlers and alternate stack. Not with it go, as with fork, record
/// locks, timers, pending signals, the parent-death signal and the children; and a mutex that names its owner by thread id
/// (recursive, robust, priority-inheriting) must not be locked, or it stays so. No `pthread_atfork` handler runs: nothing is there twice.
///
/// With the feature `std` the C library must be glibc, and what it has registered for the thread (id, robust list, alternate stack, `rseq`)
/// is registered anew. Without it a C library in the process is refused, unless it has registered no `rseq`.
///
/// # Errors
///
/// Nothing has changed then, and [`fork`](crate::fork()) may be possible.
///
/// * `EBUSY`: there is a second thread, or it could not be found out. One that was joined is waited for as by [`fork`](crate::fork()).
/// * `EUSERS`: another process has the same memory: the parent of a vfork(2), or of a handoff, that still waits; or it could not be
///   found out (`unshare` denied).
/// * `EOPNOTSUPP`: the thread has a user shadow stack.
/// * `ELIBACC`: a C library that is not glibc, or a kernel that does not show it (no `CONFIG_CHECKPOINT_RESTORE`).
/// * `EADDRINUSE`: something else than the C library has registered an `rseq` area, or nobody can tell.
/// * `ENOSYS`: not `x86_64` or `aarch64`.
/// * `EAGAIN`, `ENOMEM`: as for [`fork`](crate::fork()). `EINVAL`: children are to begin a pid namespace, whose first process has ended now.
/// * `ECHILD`: the process between was killed before it had made the daemon.
/// * `EPERM` or what else a seccomp filter answers.
///
/// # System calls
///
/// `unshare` (2.6.16), which changes nothing here, `prctl(PR_GET_TID_ADDRESS)` (3.5), `get_robust_list`, `sigaltstack`, `rseq` (4.18),
/// `rt_sigprocmask`, `clone`, `wait4`, `exit_group`; in the process between `setsid`, `clone`, `exit_group`; in the daemon `rt_sigprocmask`.
///
/// * A C library shares the process: in both the old process and the daemon `set_tid_address`, `set_robust_list`, `rseq`.
/// * There is an alternate signal stack: `sigaltstack` in the daemon.
/// * `unshare` is denied: `newfstatat` of `/proc/self/task`, `ppoll`.
/// * There is a second thread, or another process with the same memory: `ppoll`, and the same again.
///
/// See [clone(2)](https://man7.org/linux/man-pages/man2/clone.2.html).
///
/// ```no_run
/// daemon_steps::handoff()?;
/// // The daemon goes on here.
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn handoff() -> Result<(), Errno> {
    let task = Task::movable()?;
    // SAFETY: no step, so nothing is left by one.
    #[allow(unsafe_code)]
    unsafe { sys::handoff(&task, None, &mut || true) }.map(drop)
}

/// [`handoff`] whose old process waits for the daemon's word, and exits with it.
///
/// Returns in the daemon, with what it is to say the word by: [`Notifier::ready`]. The old process then exits with status 0. When the daemon
/// ends before that it exits with the daemon's status, as [`exit_status`] has it; after [`Notifier::failed`] with the daemon's, too, or 1:
/// there is no caller left whom the error could be returned to, because the memory is the daemon's. So the daemon prints it.
///
/// Not more than `timeout`, if there is one: then the daemon is killed, and the status is 1.
///
/// Meanwhile the old process runs no handler: `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGTERM` and `SIGTSTP` have their default effect unless they
/// are ignored, also if the caller had blocked them; all others stay pending. One that ends it leaves the daemon to itself.
///
/// # Errors
///
/// Those of [`handoff`] and of [`ready_pipe`].
///
/// # System calls
///
/// Those of [`handoff`] and of [`ready_pipe`]; in the old process `close`, `rt_sigaction`, `rt_sigprocmask`, `pidfd_open` (5.3;
/// without it the daemon's end is seen only by end-of-file), `ppoll`, `read`; in the daemon `close`.
///
/// * The daemon ends, or executes a program, before it is ready: `unshare`, `wait4`, `readlinkat` of `/proc/self`, `getpid`, `openat`,
///   `read` and `close` of `/proc/PID/stat`.
/// * The timeout is over, or what comes is no word: `kill`.
///
/// See [clone(2)](https://man7.org/linux/man-pages/man2/clone.2.html).
///
/// ```no_run
/// let notifier = daemon_steps::handoff_until_ready(None)?;
/// // ... what has to be there before the start counts as done ...
/// notifier.announce()?;
/// notifier.ready()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn handoff_until_ready(timeout: Option<Duration>) -> Result<Notifier, Errno> {
    let task = Task::movable()?;
    let (waiter, notifier) = ready_pipe()?;
    let mut kept = None;
    let keep = |notifier| {
        kept = Some(notifier);
        true
    };
    // SAFETY: after the daemon's end in `keep` this process only exits.
    #[allow(unsafe_code)]
    match unsafe { handoff_steps(&task, timeout, waiter, notifier, keep) }? {
        Some(end) => exit(outcome(&end).map_or(1, exit_status)),
        None => kept.ok_or(Errno::CANCELED),
    }
}

/// The move, with `steps` that the daemon takes first. If they say no, or it ends in them, the old process has its memory back, and
/// this returns in it how the daemon has ended: for [`outcome`]. Otherwise it returns in the daemon, with none.
///
/// # Safety
///
/// What `steps` leaves in memory, when it says no and at any moment before, must be sound in the old process. Its descriptors are
/// those from before the call, without those of `waiter` and `notifier`.
#[allow(unsafe_code)]
pub(crate) unsafe fn handoff_steps(
    task: &Task,
    timeout: Option<Duration>,
    waiter: Waiter,
    notifier: Notifier,
    steps: impl FnOnce(Notifier) -> bool,
) -> Result<Option<End>, Errno> {
    let watch = waiter.watch(&notifier, timeout);
    let mut once = Some((waiter, notifier, steps));
    let mut steps = || {
        once.take().is_some_and(|(waiter, notifier, steps)| {
            drop(waiter);
            steps(notifier)
        })
    };
    // SAFETY: the caller vouches for the steps. The ends of the pipe are the daemon's; the watch closes the old process's own.
    let end = unsafe { sys::handoff(task, Some(watch), &mut steps) }?;
    if end.is_some() {
        // A daemon that was killed very early has left them here.
        forget(once);
    }
    Ok(end)
}
