//! What stat(2) tells of a file, as far as a pid file is looked at.

use super::code::{Code, answer, number};
use super::kernel::retry;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::FileType;

#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{__NR_fstatat64 as FSTATAT, stat64 as kernel_stat};
#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{__NR_newfstatat as FSTATAT, stat as kernel_stat};

/// A place for stat(2) to write to.
pub(crate) struct Place(MaybeUninit<kernel_stat>);

impl Place {
    pub(crate) const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// What stands at the name; a symlink is not followed. Without a name, what `dir` itself is.
    #[inline(always)]
    pub(crate) fn look(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<&Inode, Code> {
        let place = self.0.as_mut_ptr();
        // SAFETY: the name is a string, and the place a `stat`'s.
        number(unsafe { stat(dir.as_raw_fd() as usize, name.as_ptr() as usize, place as usize) })?;
        // SAFETY: the kernel has filled it.
        Ok(unsafe { &*place.cast() })
    }
}

/// # Safety
///
/// A string, and a place for one `stat`.
#[inline(never)]
unsafe fn stat(dir: usize, name: usize, place: usize) -> i32 {
    let flags = k::AT_SYMLINK_NOFOLLOW | k::AT_EMPTY_PATH;
    // SAFETY: the caller vouches for the string and the place.
    answer(unsafe { retry(FSTATAT, [dir, name, place, flags as usize]) })
}

/// What stat(2) has written.
#[repr(transparent)]
pub(crate) struct Inode(kernel_stat);

impl Inode {
    /// Device and number: no two files have the same.
    pub(crate) fn id(&self) -> (u64, u64) {
        (self.0.st_dev as _, self.0.st_ino as _)
    }

    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.0.st_mode)
    }

    pub(crate) fn links(&self) -> u32 {
        self.0.st_nlink as _
    }

    pub(crate) fn uid(&self) -> u32 {
        self.0.st_uid as _
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.st_size == 0
    }
}
