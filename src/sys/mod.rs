//! The few kernel calls that rustix's stable API does not have. Nothing here imports a step.

#![allow(unsafe_code)]

mod alone;
mod clock;
mod code;
mod decimal;
// Elsewhere it refuses.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]
mod handoff;
mod inode;
mod kernel;
mod locks;
mod open;
mod socket;
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
pub(crate) use clock::{Deadline, TimeLeft, pause, poll, readable};
pub(crate) use code::Code;
pub(crate) use decimal::line;
pub(crate) use handoff::{End, Task, Watch, handoff};
pub(crate) use inode::Inode;
use kernel::readlink;
pub(crate) use kernel::{
    Change, Disposition, child_subreaper, close, close_range, drop_capabilities, dup3, empty, errno, execve, getdents, getfd,
    getgroups, hard_limit, kill, read, set_child_subreaper, setsid, sigaction, sigdisposition, sigprocmask, sigtimedwait,
    tiocnotty, umask, unlink, verify_gid, verify_powerless, verify_uid, write,
};
pub(crate) use locks::{Locker, flock, getlk, setlk, setlk_description};
pub(crate) use open::{above_stdio, borrow, c_str, dup_above_stdio, open_above_stdio, open_parent, openat, pidfd_open, pipe};
pub(crate) use process::{exit, fork, libc_signals, setgroups, setresgid, setresuid};
pub(crate) use socket::send;
pub(crate) use stat::has_executed;
