//! Sessions and their controlling terminals.

use crate::sys;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, ioctl_tiocsctty};

/// Creates a session: the process becomes its leader, and has no controlling terminal.
///
/// Returns the session's id, which is the process's pid.
///
/// # Errors
///
/// * `EPERM`: the process is the leader of a process group already. [`fork`](crate::fork()) first.
///
/// # System calls
///
/// `setsid`.
///
/// See [setsid(2)](https://man7.org/linux/man-pages/man2/setsid.2.html).
///
/// ```no_run
/// let session = daemon_steps::setsid()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn setsid() -> Result<Pid, Errno> {
    sys::setsid()
}

/// Gives up the controlling terminal, if there is one.
///
/// For a process that cannot call [`setsid`] because it leads a group. If it leads the *session*,
/// the kernel takes the terminal from every process of it and sends `SIGHUP` and `SIGCONT` to the
/// foreground group, which this process may be in: ignore `SIGHUP` meanwhile.
///
/// # Errors
///
/// * `ENOENT`, `EACCES`: there is no `/dev/tty` that may be opened.
/// * `EMFILE`, `ENFILE`, `ENOMEM`: it could not be opened.
///
/// No controlling terminal (`ENXIO` from open(2)) is no error.
///
/// # System calls
///
/// `openat` of `/dev/tty`, `ioctl(TIOCNOTTY)`, `close`.
///
/// See [`TIOCNOTTY(2const)`](https://man7.org/linux/man-pages/man2/TIOCNOTTY.2const.html).
///
/// ```no_run
/// daemon_steps::tiocnotty()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn tiocnotty() -> Result<(), Errno> {
    // A serial line without a carrier must not be waited for.
    match sys::openat(CWD, c"/dev/tty", OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(tty) => sys::tiocnotty(tty.as_raw_fd()),
        Err(Errno::NXIO) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Takes the terminal `tty` as the controlling terminal: what a getty or an init's shell needs.
///
/// The process must lead its session ([`setsid`]) and have no controlling terminal yet. Open the
/// terminal with `O_NOCTTY` before. A terminal is never stolen from another session.
///
/// # Errors
///
/// * `EPERM`: the process does not lead its session or has a terminal, or the terminal belongs to another session.
/// * `ENOTTY`: `tty` is no terminal.
/// * `EIO`: the terminal has hung up.
///
/// # System calls
///
/// `ioctl(TIOCSCTTY)`.
///
/// See [`TIOCSCTTY(2const)`](https://man7.org/linux/man-pages/man2/TIOCSCTTY.2const.html).
///
/// ```no_run
/// use rustix::fs::{CWD, Mode, OFlags, openat};
/// daemon_steps::setsid()?;
/// let tty = openat(CWD, c"/dev/tty1", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
/// daemon_steps::tiocsctty(&tty)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn tiocsctty(tty: impl AsFd) -> Result<(), Errno> {
    ioctl_tiocsctty(tty)
}
