//! Pages to read. There is no code here, and outside the documentation no module.
//!
//! * [`which_steps`]: for a SysV daemon, a systemd service, s6, runit, OpenRC, a container's PID 1, an initramfs tool, a getty.
//! * [`order`]: what comes before what, and why.
//! * [`processes`]: fork, threads and the C library.
//! * [`pid_files`]: what the locks say, and whom to ask.
//! * For those who come from elsewhere: [`from_daemonize`], [`from_fork`], [`from_nix`], [`from_python_daemon`].

#[doc = include_str!("guide/which_steps.md")]
pub mod which_steps {}

#[doc = include_str!("guide/order.md")]
pub mod order {}

#[doc = include_str!("guide/processes.md")]
pub mod processes {}

#[doc = include_str!("guide/pid_files.md")]
pub mod pid_files {}

#[doc = include_str!("guide/from_daemonize.md")]
pub mod from_daemonize {}

#[doc = include_str!("guide/from_fork.md")]
pub mod from_fork {}

#[doc = include_str!("guide/from_nix.md")]
pub mod from_nix {}

#[doc = include_str!("guide/from_python_daemon.md")]
pub mod from_python_daemon {}
