//! The few kernel calls that rustix's stable API does not have. Nothing here imports a step.

#![allow(unsafe_code)]

mod alone;
mod clock;
mod decimal;
mod handoff;
mod inode;
mod kernel;
mod locks;
mod open;
mod stat;

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "arm", path = "arm.rs")]
#[cfg_attr(target_arch = "x86", path = "x86.rs")]
mod arch;

#[cfg_attr(target_arch = "x86_64", path = "handoff_x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "handoff_aarch64.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "handoff_none.rs")]
mod handoff_arch;

#[cfg_attr(feature = "std", path = "with_libc.rs")]
#[cfg_attr(not(feature = "std"), path = "without_libc.rs")]
mod process;

pub(crate) use alone::alone;
pub(crate) use clock::{Deadline, TimeLeft, pause, poll};
pub(crate) use decimal::Decimal;
pub(crate) use handoff::{End, Task, Watch, handoff};
pub(crate) use inode::{Inode, stat};
pub(crate) use kernel::{
    Change, Disposition, close, close_range, drop_capabilities, dup3, execve, getdents, getgroups, has_gid, has_uid, is_open,
    is_powerless, read, setsid, sigaction, sigdisposition, sigprocmask, sigtimedwait, tiocnotty, umask, write,
};
pub(crate) use locks::{Locker, getlk, setlk, setlk_description};
pub(crate) use open::{above_stdio, borrow, c_str, dup_above_stdio, open_directory, openat, pidfd_open, pipe, skip};
pub(crate) use process::{exit, fork, libc_signals, setgroups, setresgid, setresuid};
pub(crate) use stat::has_executed;
