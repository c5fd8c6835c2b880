//! fork, exit, exec.

use crate::sys;
use crate::thin_cstr::{EnvBlock, ThinCStr};
use core::ffi::CStr;
use rustix::io::Errno;
use rustix::process::Pid;

/// In which of the two processes [`fork`] has returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fork {
    /// In the one that called; the other is its child, of this pid.
    Parent(Pid),
    /// In the new one.
    Child,
}

/// Creates a child process.
///
/// The child has a copy of the memory, the same open file descriptions, none of the record
/// locks, none of the timers. With the feature `std` this is the C library's function, which
/// runs the `pthread_atfork` handlers and renews the thread id that the library keeps. Without
/// it, it is the system call: in a process that has a C library all the same, the child's
/// `raise` and `abort` may then name the wrong thread, so use `std` there.
///
/// A process of more than one thread is refused: its child may hold a lock whose owner does
/// not exist there, and may call async-signal-safe functions only. See [`fork_unchecked`].
///
/// # Errors
///
/// * `EBUSY`: there is a second thread, or it could not be found out (`unshare` denied and no `/proc`).
///   A thread that was joined may take a moment to be gone; ten milliseconds are waited for that.
/// * `EAGAIN`: a limit on processes is reached (`RLIMIT_NPROC`, `pid_max`, the pids cgroup).
/// * `ENOMEM`: no memory, or the pid namespace's first process has ended.
/// * `ENOSYS`: not supported on this platform (no MMU).
///
/// # System calls
///
/// `unshare` (2.6.16), which changes nothing here; `clone`.
///
/// * `unshare` is denied: `newfstatat` of `/proc/self/task`.
/// * There is a second thread, or nobody can tell: `ppoll`, and the question again.
///
/// With the feature `std` the C library adds `rt_sigprocmask`, `set_robust_list` and others of its own.
///
/// See [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html).
///
/// ```
/// use daemon_steps::{Fork, exit, fork};
/// # fn work() -> Result<(), rustix::io::Errno> {
/// match fork()? {
///     Fork::Parent(child) => assert!(child.as_raw_nonzero().get() > 1),
///     Fork::Child => exit(0),
/// }
/// # Ok(()) }
/// ```
pub fn fork() -> Result<Fork, Errno> {
    sys::alone()?;
    // SAFETY: this is the only thread, so the child finds no lock held by another.
    #[allow(unsafe_code)]
    unsafe {
        fork_unchecked()
    }
}

/// Creates a child process, however many threads there are.
///
/// # Errors
///
/// Those of [`fork`], except `EBUSY`.
///
/// # System calls
///
/// `clone`.
///
/// With the feature `std` the C library adds its own, as in [`fork`].
///
/// See [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html).
///
/// # Safety
///
/// If the process has more than one thread, then the child calls async-signal-safe functions
/// only ([signal-safety(7)](https://man7.org/linux/man-pages/man7/signal-safety.7.html)) until it
/// executes a program or exits: no allocation, no lock, no output through a library.
///
/// ```
/// use daemon_steps::{Fork, exit, fork_unchecked};
/// # fn work() -> Result<(), rustix::io::Errno> {
/// // SAFETY: the child only exits.
/// if let Fork::Child = unsafe { fork_unchecked()? } {
///     exit(0);
/// }
/// # Ok(()) }
/// ```
#[allow(unsafe_code)]
pub unsafe fn fork_unchecked() -> Result<Fork, Errno> {
    // SAFETY: the caller vouches for the child.
    Ok(unsafe { sys::fork() }?.map_or(Fork::Child, Fork::Parent))
}

/// Ends the process at once: no `atexit` handler runs and no buffer is flushed.
///
/// That is what the parents of a daemon want: handlers and buffers are the daemon's too, and
/// would run, or be written, twice. `status` is cut to its low eight bits.
///
/// # System calls
///
/// `exit_group` (2.5.35).
///
/// See [\_exit(2)](https://man7.org/linux/man-pages/man2/_exit.2.html).
///
/// ```no_run
/// daemon_steps::exit(0);
/// ```
#[inline(always)]
pub fn exit(status: i32) -> ! {
    sys::exit(status)
}

/// Executes the program at `path` in this process; returns only if that fails.
///
/// `argv` and `envp` end with `None`, as the kernel wants them. Descriptors without `FD_CLOEXEC`,
/// the record locks, the pid, the signal mask and the *ignored* signals go over to the program.
/// No `PATH` is searched.
///
/// # Errors
///
/// What is returned is the error: `EINVAL` if one of the arrays does not end with `None`, `ENOENT`,
/// `EACCES`, `ENOEXEC`, `ENOTDIR`, `ELOOP`, `ENAMETOOLONG`, `E2BIG`, `ETXTBSY`, `EAGAIN` (`RLIMIT_NPROC` was passed by a
/// change of the user), `EIO`, `EISDIR`, `ELIBBAD`, `EMFILE`, `ENFILE`, `ENOMEM`, `EPERM` as execve(2) has them.
///
/// # System calls
///
/// `execve`.
///
/// See [execve(2)](https://man7.org/linux/man-pages/man2/execve.2.html).
///
/// ```
/// use core::cell::Cell;
/// use daemon_steps::{ThinCStr, execve};
/// let missing = c"/no/such/program";
/// let errno = execve(missing, &[Some(ThinCStr::from(missing)), None], &[Cell::new(None)]);
/// assert_eq!(errno, rustix::io::Errno::NOENT);
/// ```
#[must_use]
pub fn execve(path: &CStr, argv: &[Option<ThinCStr<'_>>], envp: &EnvBlock<'_>) -> Errno {
    if !argv.last().is_some_and(Option::is_none) || envp.last().is_none_or(|last| last.get().is_some()) {
        return Errno::INVAL;
    }
    // SAFETY: `Option<ThinCStr>`, in a cell or not, is a pointer to a C string or null, and both
    // arrays end with null.
    #[allow(unsafe_code)]
    unsafe {
        sys::execve(path.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()).into()
    }
}
