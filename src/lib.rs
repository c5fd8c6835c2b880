// Of two definitions the first counts: here README's pictures are these.
#![cfg_attr(doc, doc = include_str!("guide/pictures.md"))]
#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(not(target_os = "linux"))]
compile_error!("daemon-steps is for Linux: its steps are the kernel's facilities");

#[cfg(all(
    target_os = "linux",
    not(all(
        target_endian = "little",
        any(
            all(target_pointer_width = "64", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")),
            all(target_pointer_width = "32", any(target_arch = "arm", target_arch = "x86")),
        )
    ))
))]
compile_error!("daemon-steps has no system calls for this architecture: x86_64, aarch64, riscv64, arm and x86 only");

// The order of a daemon's life; `daemon` composes it.
mod fd;
mod pidfile;
mod ready;
mod fork;
mod handoff;
mod session;
mod umask;
mod stdio;
mod signal;
mod env;
mod dir;
mod ids;
mod reap;

mod notify;
mod control;
mod daemon;

mod error;
mod sys;

#[cfg(doc)]
pub mod guide;
mod thin_cstr;

pub use control::{Stop, Stopped, signal_holder, stop};
pub use daemon::{CloseFds, Daemon, Detached, EnvFilter, Plan, Stdio, Steps, Way, daemonize, detach};
pub use dir::{chdir, chroot, fchdir};
pub use env::{drop_env, getenv, keep_env};
pub use error::{Error, Step};
pub use fd::{close_except, close_from, dup3, fill_stdio, openat};
pub use fork::{Fork, execve, exit, fork, fork_unchecked};
pub use handoff::{handoff, handoff_until_ready};
pub use ids::{Ids, drop_privileges, set_no_new_privs, setgroups, setresgid, setresuid};
pub use notify::{sd_notify, sd_notify_barrier, sd_notify_main_pid, write_newline};
pub use pidfile::{Holder, PidFile, holder, open_pid_file, remove_left_over};
pub use ready::{Notifier, Outcome, Waiter, exit_status, ready_pipe, wait_newline};
pub use reap::{reap, set_child_subreaper};
pub use session::{setsid, tiocnotty, tiocsctty};
pub use signal::{
    SignalSet, block_signals, ignore_signal, reap_by_kernel, reset_signals, set_signal_mask, unblock_signals, wait_signal,
};
pub use stdio::{Stream, stdio_fd, stdio_file, stdio_null};
pub use thin_cstr::{EnvBlock, ThinCStr};
pub use umask::umask;
