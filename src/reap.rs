//! Ended children, one's own and adopted ones.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, wait};

/// Reaps every child that has ended, telling `each` its pid and status; how many.
///
/// Does not block. For after a `SIGCHLD`: those coalesce, so one signal may stand for many
/// children. No children at all is no error.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers.
///
/// # System calls
///
/// `wait4`, once more than there are ended children.
///
/// See [wait4(2)](https://man7.org/linux/man-pages/man2/wait4.2.html).
///
/// ```
/// let ended = daemon_steps::reap(|pid, status| eprintln!("{pid:?}: {status:?}"))?;
/// assert_eq!(ended, 0);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn reap(mut each: impl FnMut(Pid, WaitStatus)) -> Result<usize, Errno> {
    let mut ended = 0;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                each(pid, status);
                ended += 1;
            }
            Ok(None) | Err(Errno::CHILD) => return Ok(ended),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Makes this process a subreaper, or no longer: whether it adopts the orphans below it.
///
/// Returns whether it was one before. Not inherited by children.
///
/// # Errors
///
/// * `EINVAL`: the kernel is older than 3.4.
///
/// # System calls
///
/// `prctl(PR_GET_CHILD_SUBREAPER)`, `getpid`, `prctl(PR_SET_CHILD_SUBREAPER)` (3.4).
///
/// See [PR_SET_CHILD_SUBREAPER(2const)](https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html).
///
/// ```
/// let before = daemon_steps::set_child_subreaper(true)?;
/// assert!(daemon_steps::set_child_subreaper(before)?);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn set_child_subreaper(adopt: bool) -> Result<bool, Errno> {
    let before = rustix::process::child_subreaper()?.is_some();
    // The kernel wants zero or not zero; rustix spells that as a pid or none.
    rustix::process::set_child_subreaper(adopt.then(getpid))?;
    Ok(before)
}
