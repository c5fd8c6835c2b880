//! Which step failed, and why.

use core::fmt;
use rustix::io::Errno;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// A step of [`daemonize`](crate::daemonize). The order here is the order of execution.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Step { $($(#[$doc])* $name,)+ }

        impl Step {
            /// Every step, in the order of execution.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// What the step does, in a few words, for a message.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

steps! {
    /// [`fill_stdio`](crate::fill_stdio)
    FillStdio = "fill descriptors 0, 1 and 2",
    /// [`PidFile::lock`](crate::PidFile::lock)
    LockPidFile = "lock the pid file",
    /// [`ready_pipe`](crate::ready_pipe)
    ReadyPipe = "make the readiness pipe",
    /// [`fork`](crate::fork())
    Fork = "fork",
    /// [`setsid`](crate::setsid)
    Setsid = "create a session",
    /// [`fork`](crate::fork()), so that the daemon is not the session's leader
    ForkAgain = "fork again",
    /// [`handoff`](crate::handoff()), in place of these three
    Handoff = "hand over to the daemon",
    /// [`umask`](crate::umask())
    Umask = "set the umask",
    /// [`stdio_null`](crate::stdio_null), [`stdio_file`](crate::stdio_file) or [`stdio_fd`](crate::stdio_fd)
    Stdio = "redirect standard input, output and error",
    /// [`close_except`](crate::close_except)
    CloseFds = "close descriptors",
    /// [`reset_signals`](crate::reset_signals)
    ResetSignals = "reset the signals",
    /// [`keep_env`](crate::keep_env) or [`drop_env`](crate::drop_env)
    FilterEnv = "filter the environment",
    /// [`chroot`](crate::chroot)
    Chroot = "change the root directory",
    /// [`chdir`](crate::chdir)
    Chdir = "change the directory",
    /// [`PidFile::claim`](crate::PidFile::claim)
    ClaimPidFile = "claim the pid file",
    /// [`drop_privileges`](crate::drop_privileges)
    DropPrivileges = "drop privileges",
    /// [`set_no_new_privs`](crate::set_no_new_privs)
    NoNewPrivs = "set no_new_privs",
    /// [`set_signal_mask`](crate::set_signal_mask)
    SignalMask = "restore the signal mask",
    /// [`Notifier::ready`](crate::Notifier::ready)
    Ready = "report readiness",
    /// [`execve`](crate::execve), which is the caller's to take
    Exec = "execute the command",
}

/// A step that failed, with its errno.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error {
    /// The step.
    pub step: Step,
    /// The reason, as the step's own documentation lists it under `# Errors`.
    pub errno: Errno,
}

impl Step {
    /// The error that says that this step failed with `errno`.
    #[must_use]
    pub const fn failed(self, errno: Errno) -> Error {
        Error { step: self, errno }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.step.as_str(), self.errno)
    }
}

impl core::error::Error for Error {}
