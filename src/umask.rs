//! The file mode creation mask.

use crate::sys;
use rustix::fs::Mode;
use rustix::io::Errno;

/// Sets the file mode creation mask and returns the former one.
///
/// # Errors
///
/// None by the manual. A seccomp filter may answer with an errno of its own; the mask is unchanged then.
///
/// # System calls
///
/// `umask`.
///
/// See [umask(2)](https://man7.org/linux/man-pages/man2/umask.2.html).
///
/// ```
/// use rustix::fs::Mode;
/// let former = daemon_steps::umask(Mode::from_raw_mode(0o027))?;
/// assert_eq!(daemon_steps::umask(former)?, Mode::from_raw_mode(0o027));
/// # Ok::<(), rustix::io::Errno>(())
/// ```
#[inline(always)]
pub fn umask(mask: Mode) -> Result<Mode, Errno> {
    Ok(Mode::from_raw_mode(sys::umask(mask.as_raw_mode())?))
}
