//! Signal and stop a holder.
//!
//! Composed, like [`daemonize`](crate::daemonize), of a step ([`holder`]) and the kernel's pidfds.

use crate::pidfile::{Holder, holder};
use crate::sys::{self, borrow};
use core::time::Duration;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, pidfd_send_signal};

/// How [`stop`] goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// The signal to send; `SIGCONT` follows, so that a stopped process gets it.
    pub signal: Signal,
    /// How long to wait for the end; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Whether to send `SIGKILL` after the timeout, and wait once more as long.
    pub kill: bool,
}

impl Default for Stop {
    /// `SIGTERM`, ten seconds, no `SIGKILL`.
    fn default() -> Self {
        Self { signal: Signal::TERM, timeout: Some(Duration::from_secs(10)), kill: false }
    }
}

/// What [`stop`] has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// Nothing was signalled: no process could be named. Any [`Holder`] but `Running`.
    NotRunning(Holder),
    /// The holder has ended.
    Ended,
    /// The holder has ended after `SIGKILL`.
    Killed,
    /// The holder has not ended in time.
    StillRunning,
}

/// The process that holds the file, and its pidfd; or who else holds it.
///
/// The kernel is asked again after the pidfd is open: a process that ended in between has lost its
/// claim, so the pidfd cannot be that of a stranger who got the number. A number that no process has
/// and that stays in the claim is that of a dead one, whose descriptors another shares (`CLONE_FILES`).
fn open_holder(pid_file: &OwnedFd) -> Result<(Pid, OwnedFd), Result<Holder, Errno>> {
    let mut found = holder(pid_file);
    for _ in 0..16 {
        let Ok(Holder::Running(pid)) = found else { return Err(found) };
        let pidfd = sys::pidfd_open(pid);
        let again = holder(pid_file);
        match pidfd {
            Ok(pidfd) if again == found => return Ok((pid, pidfd)),
            Ok(_) | Err(Errno::SRCH) => found = again,
            Err(errno) => return Err(Err(errno)),
        }
    }
    Err(Ok(Holder::LeftBehind))
}

/// Sends `signal` to the process that holds the pid file; whom, or why nobody.
///
/// [`Holder::Running`] says that the signal was sent to that process. The number in the file is
/// never used.
///
/// # Errors
///
/// * `EPERM`: the holder is another user's.
/// * `ENOSYS`: the kernel is older than 5.3. There is no fallback: kill(2) may hit a stranger.
/// * Those of [`holder`]; `EMFILE`, `ENFILE`, `ENOMEM`, `ENODEV`: as `pidfd_open(2)` has them.
///
/// # System calls
///
/// Those of [`holder`], `pidfd_open` (5.3), those of [`holder`] again, `pidfd_send_signal` (5.1), `close`.
///
/// See [pidfd_send_signal(2)](https://man7.org/linux/man-pages/man2/pidfd_send_signal.2.html).
///
/// ```no_run
/// use daemon_steps::{open_pid_file, signal_holder};
/// signal_holder(&open_pid_file(c"/run/my.pid")?, rustix::process::Signal::HUP)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn signal_holder(pid_file: &OwnedFd, signal: Signal) -> Result<Holder, Errno> {
    match open_holder(pid_file) {
        Ok((pid, pidfd)) => match pidfd_send_signal(borrow(&pidfd), signal) {
            Err(Errno::SRCH) => Ok(Holder::Nobody),
            sent => sent.map(|()| Holder::Running(pid)),
        },
        Err(found) => found,
    }
}

/// Stops the process that holds the pid file: signal, wait, and `SIGKILL` if asked.
///
/// The kernel tells the end through the pidfd, also of a process that then stays a zombie.
///
/// # Errors
///
/// Those of [`signal_holder`].
///
/// # System calls
///
/// Those of [`signal_holder`], with a second and perhaps a third `pidfd_send_signal`; `ppoll`.
///
/// See [pidfd_open(2)](https://man7.org/linux/man-pages/man2/pidfd_open.2.html).
///
/// ```no_run
/// use daemon_steps::{Stop, Stopped, open_pid_file, stop};
/// let stopped = stop(&open_pid_file(c"/run/my.pid")?, &Stop { kill: true, ..Stop::default() })?;
/// assert_ne!(stopped, Stopped::StillRunning);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn stop(pid_file: &OwnedFd, how: &Stop) -> Result<Stopped, Errno> {
    let pidfd = match open_holder(pid_file) {
        Ok((_, pidfd)) => pidfd,
        Err(found) => return found.map(Stopped::NotRunning),
    };
    let pidfd = borrow(&pidfd);
    send(pidfd, how.signal)?;
    send(pidfd, Signal::CONT)?;
    if sys::readable(pidfd, how.timeout)? {
        return Ok(Stopped::Ended);
    }
    if how.kill {
        send(pidfd, Signal::KILL)?;
        if sys::readable(pidfd, how.timeout)? {
            return Ok(Stopped::Killed);
        }
    }
    Ok(Stopped::StillRunning)
}

/// A process that has ended meanwhile needs no signal.
fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    match pidfd_send_signal(pidfd, signal) {
        Err(Errno::SRCH) => Ok(()),
        sent => sent,
    }
}
