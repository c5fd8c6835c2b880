//! The working directory and the root directory.

use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Changes the working directory to `path`.
///
/// A daemon that stays where it was started keeps that file system from being unmounted: `/` is
/// the usual choice.
///
/// # Errors
///
/// * `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, `EIO`, `ENOMEM`: as chdir(2) has them.
///
/// # System calls
///
/// `chdir`.
///
/// See [chdir(2)](https://man7.org/linux/man-pages/man2/chdir.2.html).
///
/// ```
/// daemon_steps::chdir(c"/")?;
/// assert_eq!(std::env::current_dir().unwrap(), std::path::Path::new("/"));
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn chdir(path: &CStr) -> Result<(), Errno> {
    rustix::process::chdir(path)
}

/// Changes the working directory to the open directory `dir`.
///
/// # Errors
///
/// * `EACCES`: no search permission. `ENOTDIR`: `dir` is something else.
///
/// # System calls
///
/// `fchdir`.
///
/// See [fchdir(2)](https://man7.org/linux/man-pages/man2/chdir.2.html).
///
/// ```
/// let root = std::fs::File::open("/").unwrap();
/// daemon_steps::fchdir(&root)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn fchdir(dir: impl AsFd) -> Result<(), Errno> {
    rustix::process::fchdir(dir)
}

/// Changes the root directory to `path`, and then the working directory to the new root.
///
/// Without the second half the old tree stays reachable through `..`. It stays reachable, too,
/// through any open directory descriptor ([`PidFile::leave_directory`](crate::PidFile::leave_directory)
/// closes this crate's own) and for a process with `CAP_SYS_CHROOT`: drop privileges afterwards.
///
/// # Errors
///
/// * `EPERM`: no `CAP_SYS_CHROOT`.
/// * `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`, `EIO`, `ENOMEM`: as chroot(2) has them. If it is the new root that cannot be
///   changed to (`EACCES`), the root is the new one already: go no further.
///
/// # System calls
///
/// `chroot`, `chdir`.
///
/// See [chroot(2)](https://man7.org/linux/man-pages/man2/chroot.2.html).
///
/// ```no_run
/// daemon_steps::chroot(c"/var/empty")?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn chroot(path: &CStr) -> Result<(), Errno> {
    rustix::process::chroot(path)?;
    chdir(c"/")
}
