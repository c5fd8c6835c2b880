//! What stat(2) tells of a file, as far as a pid file is looked at.

use super::kernel::call;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{__NR_fstatat64 as FSTATAT, stat64 as kernel_stat};
#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{__NR_newfstatat as FSTATAT, stat as kernel_stat};

#[derive(Default)]
pub(crate) struct Inode {
    /// Device and number: no two files have the same.
    pub(crate) id: (u64, u64),
    pub(crate) mode: u32,
    pub(crate) links: u32,
    pub(crate) uid: u32,
    pub(crate) is_empty: bool,
}

/// What stands at the name; a symlink is not followed. Without a name, what `dir` itself is.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &CStr, inode: &mut Inode) -> Result<(), Errno> {
    let mut place = MaybeUninit::<kernel_stat>::uninit();
    let flags = k::AT_SYMLINK_NOFOLLOW | k::AT_EMPTY_PATH;
    let (dir, name, to) = (dir.as_raw_fd() as usize, name.as_ptr() as usize, place.as_mut_ptr() as usize);
    // SAFETY: the name outlives the call, and the kernel writes one `stat` to the place given.
    unsafe { call(FSTATAT, dir, name, to, flags as usize) }?;
    // SAFETY: the call succeeded, so the kernel has filled it.
    let stat = unsafe { place.assume_init_ref() };
    *inode = Inode {
        id: (stat.st_dev as _, stat.st_ino as _),
        mode: stat.st_mode,
        links: stat.st_nlink as _,
        uid: stat.st_uid as _,
        is_empty: stat.st_size == 0,
    };
    Ok(())
}
