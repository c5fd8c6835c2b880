//! What stat(2) tells of a file, as far as a pid file is looked at.

use super::kernel::call;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::FileType;
use rustix::io::Errno;

#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{__NR_fstatat64 as FSTATAT, stat64 as kernel_stat};
#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{__NR_newfstatat as FSTATAT, stat as kernel_stat};

/// A place for stat(2) to write to.
pub(crate) struct Inode(kernel_stat);

impl Inode {
    pub(crate) fn new() -> Self {
        // SAFETY: it is made of numbers.
        Self(unsafe { MaybeUninit::zeroed().assume_init() })
    }

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

    /// What stands at the name; a symlink is not followed. Without a name, what `dir` itself is.
    ///
    /// Not inlined, so that the kernel's structure does not stay on the caller's stack.
    #[inline(never)]
    pub(crate) fn look(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        let flags = k::AT_SYMLINK_NOFOLLOW | k::AT_EMPTY_PATH;
        let (dir, name, to) = (dir.as_raw_fd() as usize, name.as_ptr() as usize, &raw mut self.0 as usize);
        // SAFETY: the name outlives the call, and the kernel writes one `stat` to the place given.
        unsafe { call(FSTATAT, dir, name, to, flags as usize) }.map(drop)
    }
}
