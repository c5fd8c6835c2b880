//! No move on this architecture.

use super::handoff::Shared;
use core::ffi::c_void;
use rustix::io::Errno;

pub(super) const KNOWN: bool = false;
pub(super) const RSEQ_SIGNATURE: usize = 0;

/// # Safety
///
/// None.
pub(super) unsafe fn split(
    _: &'static Shared,
    _: extern "C" fn(*mut c_void),
    _: *mut c_void,
    _: extern "C" fn() -> isize,
) -> isize {
    -(Errno::NOSYS.raw_os_error() as isize)
}

pub(super) fn shadow_stack() -> bool {
    false
}

#[cfg(feature = "std")]
pub(super) fn libc_rseq() -> (usize, u32) {
    (0, 0)
}
