//! Privileges: groups, ids, capabilities, `no_new_privs`.

use crate::sys::{self, Code};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

/// Whom to become, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ids<'a> {
    /// Real, effective and saved user id.
    pub uid: Uid,
    /// Real, effective and saved group id.
    pub gid: Gid,
    /// All supplementary groups; usually empty, or as the user database has them.
    pub groups: &'a [Gid],
}

/// Sets the supplementary groups.
///
/// # Errors
///
/// * `EPERM`: no `CAP_SETGID`, or the user namespace denies it.
/// * `EINVAL`: more than 65,536 groups.
/// * `ENOMEM`.
/// * `EBUSY` (without the feature `std`): there is a second thread, whose groups would stay; or it could not be found out: `unshare`
///   is denied, and there is no `/proc`, as below most new roots.
///
/// # System calls
///
/// `unshare`, which changes nothing here; `setgroups`.
///
/// * `unshare` is denied: `newfstatat` of `/proc/self/task`.
/// * There is a second thread, or nobody can tell: `ppoll`, and the question again.
///
/// With the feature `std`: `setgroups` alone, which the C library makes every thread call.
///
/// See [setgroups(2)](https://man7.org/linux/man-pages/man2/setgroups.2.html).
///
/// ```no_run
/// daemon_steps::setgroups(&[])?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn setgroups(groups: &[Gid]) -> Result<(), Errno> {
    Ok(sys::setgroups(groups)?)
}

/// Sets the real, effective and saved group id.
///
/// # Errors
///
/// * `EPERM`: no `CAP_SETGID`, and not one of the three already.
/// * `EINVAL`: the id is not mapped in the user namespace.
/// * `EBUSY` (without the feature `std`): as for [`setgroups`].
///
/// # System calls
///
/// `unshare`, which changes nothing here; `setresgid`.
///
/// * `unshare` is denied: `newfstatat` of `/proc/self/task`.
/// * There is a second thread, or nobody can tell: `ppoll`, and the question again.
///
/// With the feature `std` as [`setgroups`].
///
/// See [setresgid(2)](https://man7.org/linux/man-pages/man2/setresuid.2.html).
///
/// ```
/// daemon_steps::setresgid(rustix::process::getegid())?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn setresgid(gid: Gid) -> Result<(), Errno> {
    Ok(sys::setresgid(gid)?)
}

/// Sets the real, effective and saved user id.
///
/// # Errors
///
/// * `EPERM`: no `CAP_SETUID`, and not one of the three already.
/// * `EINVAL`: the id is not mapped in the user namespace.
/// * `EAGAIN`: the user has `RLIMIT_NPROC` processes (before 3.1), or no memory for the change.
/// * `EBUSY` (without the feature `std`): as for [`setgroups`].
///
/// # System calls
///
/// `unshare`, which changes nothing here; `setresuid`.
///
/// * `unshare` is denied: `newfstatat` of `/proc/self/task`.
/// * There is a second thread, or nobody can tell: `ppoll`, and the question again.
///
/// With the feature `std` as [`setgroups`].
///
/// See [setresuid(2)](https://man7.org/linux/man-pages/man2/setresuid.2.html).
///
/// ```
/// daemon_steps::setresuid(rustix::process::geteuid())?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn setresuid(uid: Uid) -> Result<(), Errno> {
    Ok(sys::setresuid(uid)?)
}

/// Becomes `ids` for good: groups, then gid, then uid, then no capability; verified afterwards.
///
/// Groups that are right already are not set, so that a process without privilege may "become"
/// what it is. Capabilities that survive the change of the user (`PR_SET_KEEPCAPS`, securebits, a
/// caller that was not root) are given up, since they could undo it. If it fails half-way, do not go on.
///
/// # Errors
///
/// * `EINVAL`: the uid is 0, which is no drop; or see the three functions.
/// * `EPERM`: see the three functions; or the kernel does not show afterwards what was asked for.
/// * Those of [`setgroups`], [`setresgid`] and [`setresuid`].
///
/// # System calls
///
/// `getgroups`; those of [`setgroups`], [`setresgid`], [`setresuid`]; `capget`, `getresuid`, `getresgid`.
///
/// * A capability is left: `capset`.
///
/// With the feature `std` all threads change their ids; of several threads the calling one is
/// verified, and gives up its capabilities. Of more than 64 groups the number is verified.
///
/// See [credentials(7)](https://man7.org/linux/man-pages/man7/credentials.7.html).
///
/// ```no_run
/// use daemon_steps::{Ids, drop_privileges};
/// use rustix::process::{Gid, Uid};
/// drop_privileges(&Ids { uid: Uid::from_raw(65534), gid: Gid::from_raw(65534), groups: &[] })?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn drop_privileges(ids: &Ids<'_>) -> Result<(), Errno> {
    if ids.uid.is_root() {
        return Err(Errno::INVAL);
    }
    if ids.groups.len() > GROUPS || verify_groups(ids.groups).is_err() {
        setgroups(ids.groups)?;
    }
    setresgid(ids.gid)?;
    setresuid(ids.uid)?;
    if sys::verify_powerless().is_err() {
        sys::drop_capabilities()?;
    }
    sys::verify_uid(ids.uid)?;
    sys::verify_gid(ids.gid)?;
    verify_groups(ids.groups)?;
    Ok(sys::verify_powerless()?)
}

/// How many supplementary groups are looked at, one by one.
const GROUPS: usize = 64;

/// EPERM unless the supplementary groups are these, in any order; of none, or more than `GROUPS`, as many.
///
/// Inlined, so that a program which keeps no groups has no code for them.
#[inline(always)]
fn verify_groups(wanted: &[Gid]) -> Result<(), Code> {
    let same = match wanted.len() {
        1..=GROUPS => are_groups(wanted)?,
        length => sys::getgroups(&mut [])? as usize == length,
    };
    if same { Ok(()) } else { Err(Code::PERM) }
}

fn are_groups(wanted: &[Gid]) -> Result<bool, Code> {
    let mut list = [Gid::ROOT; GROUPS];
    match sys::getgroups(&mut list) {
        Err(Code::INVAL) => Ok(false),
        length => {
            let list = list.get(..length? as usize).unwrap_or_default();
            Ok(are_among(wanted, list) && are_among(list, wanted))
        }
    }
}

fn are_among(some: &[Gid], all: &[Gid]) -> bool {
    some.iter().all(|gid| all.contains(gid))
}

/// Sets `no_new_privs`: no execve(2) from here on grants a privilege, set-user-ID or other.
///
/// # Errors
///
/// * `EINVAL`: the kernel is older than 3.5.
///
/// # System calls
///
/// `prctl(PR_SET_NO_NEW_PRIVS)` (3.5).
///
/// See [PR_SET_NO_NEW_PRIVS(2const)](https://man7.org/linux/man-pages/man2/PR_SET_NO_NEW_PRIVS.2const.html).
///
/// ```
/// daemon_steps::set_no_new_privs()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn set_no_new_privs() -> Result<(), Errno> {
    rustix::thread::set_no_new_privs(true)
}
