//! The steps, composed.

use crate::dir::{chdir, chroot};
use crate::env::{drop_env, keep_env};
use crate::error::{Error, Step};
use crate::fd::{close_except, fill_stdio};
use crate::fork::{Fork, exit, fork};
use crate::handoff::{Task, handoff_steps};
use crate::ids::{Ids, drop_privileges, set_no_new_privs};
use crate::pidfile::PidFile;
use crate::ready::{Notifier, Outcome, exit_status, outcome, ready_pipe};
use crate::reap::set_child_subreaper;
use crate::session::setsid;
use crate::signal::{SignalSet, block_signals, reset_signals, set_signal_mask};
use crate::stdio::{Stream, stdio_fd, stdio_file, stdio_null};
use crate::thin_cstr::EnvBlock;
use crate::umask::umask;
use bitflags::bitflags;
use core::ffi::CStr;
use core::mem::forget;
use core::time::Duration;
use rustix::fd::BorrowedFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

macro_rules! flags {
    ($($name:ident = $step:ident,)+) => {
        bitflags! {
            /// Which steps [`daemonize`] takes. A flag's bit is the number of its [`Step`].
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub struct Steps: u32 {
                $(#[doc = concat!("[`Step::", stringify!($step), "`]")] const $name = 1 << Step::$step as u32;)+
            }
        }
    };
}

flags! {
    FILL_STDIO = FillStdio,
    LOCK_PID_FILE = LockPidFile,
    FORK = Fork,
    SETSID = Setsid,
    FORK_AGAIN = ForkAgain,
    UMASK = Umask,
    STDIO = Stdio,
    CLOSE_FDS = CloseFds,
    RESET_SIGNALS = ResetSignals,
    FILTER_ENV = FilterEnv,
    CHROOT = Chroot,
    CHDIR = Chdir,
    CLAIM_PID_FILE = ClaimPidFile,
    DROP_PRIVILEGES = DropPrivileges,
    NO_NEW_PRIVS = NoNewPrivs,
    SIGNAL_MASK = SignalMask,
    READY = Ready,
}

impl Steps {
    /// The steps that leave the caller's terminal, session and process.
    pub const DETACH: Self = Self::FORK.union(Self::SETSID).union(Self::FORK_AGAIN);
    /// What every daemon wants and nothing has to be given for, without detaching.
    pub const FOREGROUND: Self = Self::FILL_STDIO
        .union(Self::RESET_SIGNALS)
        .union(Self::UMASK)
        .union(Self::STDIO)
        .union(Self::CHDIR)
        .union(Self::SIGNAL_MASK)
        .union(Self::READY);
    /// `FOREGROUND` and `DETACH`.
    pub const DAEMON: Self = Self::FOREGROUND.union(Self::DETACH);
    /// The pid file.
    pub const PID_FILE: Self = Self::LOCK_PID_FILE.union(Self::CLAIM_PID_FILE);
}

/// How [`Steps::DETACH`] is done.
///
/// A program that does not name the handoff does not contain it, nor the memory that it keeps: eight kilobytes, untouched before.
#[derive(Clone, Copy, Debug)]
pub struct Way(Option<Through>);

/// Takes the steps by handoff; where that may be, by forks.
type Through = for<'a, 'p> fn(&Plan<'a, 'p>, &mut Daemon<'p>, &mut Step) -> Result<Option<Outcome>, Errno>;

impl Way {
    /// fork, setsid, fork.
    pub const FORKS: Self = Self(None);
    /// [`handoff`](crate::handoff()), whose `# Errors` are then those of [`Step::Handoff`]. `EINVAL` without all of `DETACH`.
    ///
    /// The caller gets an error in its own process and memory as with forks; but an environment that was filtered stays so. An error that is told
    /// after `daemonize` has returned in the daemon ([`Notifier::failed`]) cannot be returned: see
    /// [`handoff_until_ready`](crate::handoff_until_ready), and there, too, which signals the caller's process hears meanwhile. The
    /// caller's process exits when the daemon is ready, also with [`detach`].
    pub const HANDOFF: Self = Self(Some(|plan, daemon, at| match &plan.movable(at) {
        Ok(task) => plan.through_handoff(task, daemon, at),
        Err(errno) => Err(*errno),
    }));
    /// That, or forks where it is refused before anything was tried.
    pub const HANDOFF_OR_FORKS: Self = Self(Some(|plan, daemon, at| match &plan.movable(at) {
        Ok(task) => plan.through_handoff(task, daemon, at),
        Err(_) => plan.through_forks(daemon, at),
    }));
}

/// Where a standard stream goes.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'a> {
    /// To `/dev/null`.
    Null,
    /// To a file, as [`stdio_file`] opens it; relative to the directory of the caller.
    File(&'a CStr, Mode),
    /// To an open descriptor. Input, output and error are redirected in this order: error to
    /// descriptor 1 goes where output has gone.
    Fd(BorrowedFd<'a>),
    /// Where it goes already.
    Keep,
}

/// Which variables stay in the environment.
#[derive(Clone, Copy, Debug)]
pub enum EnvFilter<'a> {
    /// Those with these names.
    Keep(&'a [&'a CStr]),
    /// All but those with these names.
    Drop(&'a [&'a CStr]),
}

/// Permission to close every descriptor from 3 on, except some.
#[derive(Clone, Copy, Debug)]
pub struct CloseFds<'a> {
    keep: &'a [BorrowedFd<'a>],
}

impl<'a> CloseFds<'a> {
    /// All but the standard streams, `keep`, and what the steps themselves need.
    ///
    /// # Safety
    ///
    /// That of [`close_except`], in the daemon; its caller keeps its descriptors.
    ///
    /// ```
    /// // SAFETY: this program has no descriptor above 2 that the daemon uses.
    /// let close = unsafe { daemon_steps::CloseFds::all_but(&[]) };
    /// ```
    #[allow(unsafe_code)]
    #[must_use]
    pub const unsafe fn all_but(keep: &'a [BorrowedFd<'a>]) -> Self {
        Self { keep }
    }
}

/// What the steps are to do. [`Plan::new`] gives each field its usual value; a field counts only
/// if its step is selected.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a, 'p> {
    /// The steps to take.
    pub steps: Steps,
    /// For `DETACH`: forks.
    pub way: Way,
    /// For `LOCK_PID_FILE`, which fails with `EINVAL` without it.
    pub pid_file: Option<&'p CStr>,
    /// For `CLOSE_FDS`, which fails with `EINVAL` without it.
    pub close: Option<CloseFds<'a>>,
    /// For `FILTER_ENV`: the filter, and the process's environment ([`ThinCStr::array`](crate::ThinCStr::array) of
    /// `environ`). Keeps nothing, of nothing.
    pub env: (EnvFilter<'a>, &'a EnvBlock<'static>),
    /// For `UMASK`: 022.
    pub umask: Mode,
    /// For `STDIO`: input, output and error, all to `/dev/null`.
    pub stdio: [Stdio<'a>; 3],
    /// For `CHROOT`: `/var/empty`.
    pub root: &'a CStr,
    /// For `CHDIR`: `/`; below the new root, if there is one.
    pub directory: &'a CStr,
    /// For `DROP_PRIVILEGES`: 65534 ("nobody"), no groups.
    pub ids: Ids<'a>,
    /// For `SIGNAL_MASK`: empty. Without that step the caller's mask is restored.
    pub signal_mask: SignalSet,
    /// How long the caller waits for the daemon's word before it kills it: for ever.
    pub timeout: Option<Duration>,
}

impl Plan<'_, '_> {
    /// The plan to take these steps, with the usual values.
    #[must_use]
    pub fn new(steps: Steps) -> Self {
        Self {
            steps,
            way: Way::FORKS,
            pid_file: None,
            close: None,
            env: (EnvFilter::Keep(&[]), &[]),
            umask: Mode::WGRP.union(Mode::WOTH),
            stdio: [Stdio::Null; 3],
            root: c"/var/empty",
            directory: c"/",
            ids: Ids { uid: Uid::from_raw(65534), gid: Gid::from_raw(65534), groups: &[] },
            signal_mask: SignalSet::EMPTY,
            timeout: None,
        }
    }
}

/// What the daemon holds after its steps.
#[derive(Debug)]
pub struct Daemon<'p> {
    /// The pid file, if one was locked. [`PidFile::remove`] it at the end.
    pub pid_file: Option<PidFile<'p>>,
    /// If there is a process that waits, and `READY` was not selected: say [`Notifier::ready`] when it is true.
    pub notifier: Option<Notifier>,
}

/// In which of the processes [`detach`] has returned.
#[derive(Debug)]
pub enum Detached<'p> {
    /// In the daemon.
    Daemon(Daemon<'p>),
    /// In the caller, which has waited: [`Outcome::Ready`] or [`Outcome::Died`].
    Caller(Outcome),
}

/// Becomes a daemon: takes the steps of `plan` in the order of [`Step`], and returns in the daemon.
///
/// The caller's process waits and exits with the daemon's word: 0 when it is ready, the daemon's
/// own status when it has ended before (128 and the signal's number if one ended it; 1 instead of 0). If a step fails,
/// in whichever process, the error is returned *in the caller's process*, and nothing is left behind.
///
/// When it exits with 0 the pid file, if there is one, names the daemon: the order that systemd's `Type=forking` needs, with
/// `PIDFile=`.
///
/// All that changes the process (descriptors, signals, environment, ...) is done after the first fork, so
/// that a caller that gets an error is what it was; but descriptors 0, 1 and 2 stay filled.
/// Without [`Steps::FORK`] all is done in this process.
///
/// # Errors
///
/// The step, and an errno of that step's `# Errors`. Besides:
///
/// * [`Step::Ready`] with `ETIMEDOUT`, `EPROTO`: see [`Waiter::wait`](crate::Waiter::wait); with `ECANCELED`: the [`Notifier`] was dropped.
/// * [`Step::Fork`] with `EPERM` or what else a seccomp filter answers to `rt_sigprocmask` or `prctl`.
/// * `EINVAL`, for a step that lacks what it needs: see [`Plan`]; `FORK_AGAIN` without `FORK`, `CLAIM_PID_FILE` without `LOCK_PID_FILE`.
///
/// # System calls
///
/// Those of the steps selected: [`fill_stdio`], [`PidFile::lock`], [`ready_pipe`], [`block_signals`], [`set_child_subreaper`],
/// [`fork`](crate::fork()), [`set_signal_mask`], [`Waiter::wait`](crate::Waiter::wait); in the child [`setsid`], [`fork`](crate::fork()), [`exit`],
/// [`Notifier::announce`], [`umask`](crate::umask()), [`stdio_null`], [`stdio_file`] or [`stdio_fd`], [`close_except`], [`reset_signals`],
/// [`chroot`], [`chdir`], [`PidFile::claim`], [`PidFile::leave_directory`], [`drop_privileges`], [`set_no_new_privs`],
/// [`set_signal_mask`], [`Notifier::ready`]. In each process, `close` of the other's end of the pipe.
///
/// * A step fails: those of [`Notifier::failed`], [`PidFile::remove`], [`exit`].
/// * [`Plan::way`] is a handoff: those of [`handoff_until_ready`](crate::handoff_until_ready); if a C library shares the process
///   `set_tid_address`, `set_robust_list`.
///
/// See [daemon(7)](https://www.freedesktop.org/software/systemd/man/latest/daemon.html).
///
/// ```no_run
/// use daemon_steps::{Plan, Steps, daemonize};
/// let plan = Plan { pid_file: Some(c"/run/my.pid"), ..Plan::new(Steps::DAEMON | Steps::PID_FILE) };
/// let daemon = daemonize(&plan)?;
/// // ... the daemon's work ...
/// if let Some(file) = daemon.pid_file {
///     let _ = file.remove();
/// }
/// # Ok::<(), daemon_steps::Error>(())
/// ```
pub fn daemonize<'p>(plan: &Plan<'_, 'p>) -> Result<Daemon<'p>, Error> {
    match detach(plan)? {
        Detached::Daemon(daemon) => Ok(daemon),
        Detached::Caller(outcome) => exit(exit_status(outcome)),
    }
}

/// [`daemonize`] that returns in both processes: for a caller that has something left to do.
///
/// The daemon is then a child of the caller, which was a subreaper meanwhile: reap it when it ends, and what other
/// orphans there were. Signals are not blocked while the caller waits; one that ends it leaves the daemon to itself.
///
/// # Errors
///
/// Those of [`daemonize`].
///
/// # System calls
///
/// Those of [`daemonize`].
///
/// See [daemon(7)](https://www.freedesktop.org/software/systemd/man/latest/daemon.html).
///
/// ```no_run
/// use daemon_steps::{Detached, Outcome, Plan, Steps, detach};
/// match detach(&Plan::new(Steps::DAEMON))? {
///     Detached::Daemon(_) => loop { /* the daemon's work */ },
///     Detached::Caller(Outcome::Ready(pid)) => println!("running, pid {}", pid.as_raw_nonzero()),
///     Detached::Caller(other) => eprintln!("{other:?}"),
/// }
/// # Ok::<(), daemon_steps::Error>(())
/// ```
#[inline(never)] // It is long: a caller that held its place on the stack would reach farther for its own.
pub fn detach<'p>(plan: &Plan<'_, 'p>) -> Result<Detached<'p>, Error> {
    let mut daemon = Daemon { pid_file: None, notifier: None };
    let mut at = Step::FillStdio;
    let outcome = match plan.take(&mut daemon, &mut at) {
        Ok(None) => {
            if let (true, Some(file)) = (plan.steps.contains(Steps::CHROOT), &mut daemon.pid_file) {
                file.forget_directory();
            }
            return Ok(Detached::Daemon(daemon));
        }
        Ok(Some(ready @ Outcome::Ready(_))) => return Ok(Detached::Caller(ready)),
        Ok(Some(outcome)) => outcome,
        Err(errno) => Outcome::Failed(at.failed(errno)),
    };
    if let Some(file) = daemon.pid_file {
        let _ = file.remove();
    }
    match outcome {
        Outcome::Failed(error) => Err(error),
        outcome => Ok(Detached::Caller(outcome)),
    }
}

/// Whether the daemon's steps went well; if not, whoever waits is told why.
fn told(taken: Result<(), Errno>, daemon: &mut Daemon<'_>, at: Step) -> bool {
    if let Err(errno) = taken {
        let _ = daemon.notifier.take().map(|notifier| notifier.failed(at.failed(errno)));
    }
    taken.is_ok()
}

impl<'p> Plan<'_, 'p> {
    /// Whether the step is selected. `at` is the step that an error belongs to.
    fn selects(&self, step: Step, at: &mut Step) -> bool {
        *at = step;
        self.steps.bits() & (1 << step as u32) != 0
    }

    /// A step that lacks what it needs is refused before anything has changed.
    fn check(&self, at: &mut Step) -> Result<(), Errno> {
        let lacks = [
            (Step::LockPidFile, self.pid_file.is_none()),
            (Step::ForkAgain, !self.steps.contains(Steps::FORK)),
            (Step::CloseFds, self.close.is_none()),
            (Step::ClaimPidFile, !self.steps.contains(Steps::LOCK_PID_FILE)),
        ];
        let refused = lacks.into_iter().any(|(step, lacks)| lacks && self.selects(step, at));
        if refused { Err(Errno::INVAL) } else { Ok(()) }
    }

    /// Takes the steps: `None` in the daemon, in the caller what has become of it.
    fn take(&self, daemon: &mut Daemon<'p>, at: &mut Step) -> Result<Option<Outcome>, Errno> {
        self.check(at)?;
        if self.selects(Step::FillStdio, at) {
            fill_stdio()?;
        }
        if self.selects(Step::LockPidFile, at) {
            daemon.pid_file = Some(PidFile::lock(self.pid_file.ok_or(Errno::INVAL)?)?);
        }
        if self.steps.contains(Steps::FORK) {
            return match self.way {
                Way(Some(through)) => through(self, daemon, at),
                Way(None) => self.through_forks(daemon, at),
            };
        }
        if self.selects(Step::Setsid, at) {
            setsid()?;
        }
        self.in_place(daemon, at)?;
        Ok(None)
    }

    /// What there is to hand over, if that can be done.
    fn movable(&self, at: &mut Step) -> Result<Task, Errno> {
        *at = Step::Handoff;
        if self.steps.contains(Steps::DETACH) { Task::movable() } else { Err(Errno::INVAL) }
    }

    /// Moves. The daemon goes on in this memory, and in this frame; the caller waits for its word, and has both back if the
    /// daemon does not get through its steps.
    fn through_handoff(&self, task: &Task, daemon: &mut Daemon<'p>, at: &mut Step) -> Result<Option<Outcome>, Errno> {
        *at = Step::ReadyPipe;
        let (waiter, notifier) = ready_pipe()?;
        *at = Step::Handoff;
        let mask = block_signals(SignalSet::ALL)?;
        let watch = waiter.watch(&notifier, self.timeout);
        daemon.notifier = Some(notifier);
        let mut waiter = Some(waiter);
        let mut steps = || {
            drop(waiter.take());
            let taken = self.in_daemon(daemon, mask, at);
            told(taken, daemon, *at)
        };
        // SAFETY: all that the steps write to memory is `at`, the environment, and the ends of the pipe, which are forgotten.
        #[allow(unsafe_code)]
        let moved = unsafe { handoff_steps(task, Some(&watch), &mut steps) };
        if let Ok(None) = moved {
            return Ok(None);
        }
        let _ = set_signal_mask(mask);
        let Ok(Some(end)) = &moved else {
            daemon.notifier = None;
            return moved.map(|_| None);
        };
        forget((waiter.take(), daemon.notifier.take()));
        *at = Step::Ready;
        outcome(end).map(Some)
    }

    /// Forks. The child goes on to become the daemon; the caller waits for its word.
    ///
    /// Signals are blocked meanwhile, so that no handler of the caller's runs in the child.
    fn through_forks(&self, daemon: &mut Daemon<'p>, at: &mut Step) -> Result<Option<Outcome>, Errno> {
        *at = Step::ReadyPipe;
        let (waiter, notifier) = ready_pipe()?;
        *at = Step::Fork;
        let mask = block_signals(SignalSet::ALL)?;
        // So that this process has the daemon's status, and removes nothing before the daemon's end.
        let adopted = set_child_subreaper(true);
        let forked = adopted.and_then(|_| fork());
        if forked == Ok(Fork::Child) {
            drop(waiter);
            daemon.notifier = Some(notifier);
            let taken = self.in_child(daemon, mask, at);
            if !told(taken, daemon, *at) {
                exit(1);
            }
            return Ok(None);
        }
        drop(notifier);
        // The mask was set a moment ago, and can be set again.
        let _ = set_signal_mask(mask);
        let outcome = match forked {
            Ok(Fork::Parent(child)) => {
                *at = Step::Ready;
                waiter.wait(child, self.timeout)
            }
            Ok(Fork::Child) => Err(Errno::INVAL),
            Err(errno) => Err(errno),
        };
        let _ = adopted.and_then(set_child_subreaper);
        outcome.map(Some)
    }

    /// The session, and the second fork, whose parent exits.
    fn in_child(&self, daemon: &mut Daemon<'p>, mask: SignalSet, at: &mut Step) -> Result<(), Errno> {
        if self.selects(Step::Setsid, at) {
            setsid()?;
        }
        if self.selects(Step::ForkAgain, at) {
            if let Fork::Parent(_) = fork()? {
                exit(0);
            }
        }
        self.in_daemon(daemon, mask, at)
    }

    /// What is the daemon's own to do.
    ///
    /// Inlined though two call it: one more frame would be below all the steps.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn in_daemon(&self, daemon: &mut Daemon<'p>, mask: SignalSet, at: &mut Step) -> Result<(), Errno> {
        *at = Step::Ready;
        if let Some(notifier) = &daemon.notifier {
            notifier.announce()?;
        }
        self.in_place(daemon, at)?;
        if !self.selects(Step::SignalMask, at) {
            set_signal_mask(mask)?;
        }
        if self.selects(Step::Ready, at) { daemon.notifier.take().map_or(Ok(()), Notifier::ready) } else { Ok(()) }
    }

    /// The steps that need no process of their own.
    fn in_place(&self, daemon: &Daemon<'p>, at: &mut Step) -> Result<(), Errno> {
        if self.selects(Step::Umask, at) {
            umask(self.umask)?;
        }
        if self.selects(Step::Stdio, at) {
            self.redirect()?;
        }
        if self.selects(Step::CloseFds, at) {
            self.close(daemon)?;
        }
        if self.selects(Step::ResetSignals, at) {
            reset_signals()?;
        }
        if self.selects(Step::FilterEnv, at) {
            self.filter_env();
        }
        if self.selects(Step::Chroot, at) {
            chroot(self.root)?;
        }
        if self.selects(Step::Chdir, at) {
            chdir(self.directory)?;
        }
        if let Some(file) = &daemon.pid_file {
            if self.selects(Step::ClaimPidFile, at) {
                file.claim()?;
            }
        }
        if self.selects(Step::DropPrivileges, at) {
            drop_privileges(&self.ids)?;
        }
        if self.selects(Step::NoNewPrivs, at) {
            set_no_new_privs()?;
        }
        if self.selects(Step::SignalMask, at) {
            set_signal_mask(self.signal_mask)?;
        }
        // Last: whoever has to remove the file after an error still can.
        if let (true, Some(file)) = (self.steps.contains(Steps::CHROOT), &daemon.pid_file) {
            file.close_directory();
        }
        Ok(())
    }

    fn redirect(&self) -> Result<(), Errno> {
        if let [Stdio::Null, Stdio::Null, Stdio::Null] = self.stdio {
            return stdio_null();
        }
        for (stream, to) in [Stream::Stdin, Stream::Stdout, Stream::Stderr].into_iter().zip(&self.stdio) {
            match *to {
                Stdio::Null => stdio_file(stream, c"/dev/null", Mode::empty()),
                Stdio::File(path, mode) => stdio_file(stream, path, mode),
                Stdio::Fd(fd) => stdio_fd(stream, fd),
                Stdio::Keep => Ok(()),
            }?;
        }
        Ok(())
    }

    fn close(&self, daemon: &Daemon<'p>) -> Result<(), Errno> {
        let CloseFds { keep } = self.close.ok_or(Errno::INVAL)?;
        let pid_file = daemon.pid_file.as_ref().map(PidFile::descriptors);
        let notifier = daemon.notifier.as_ref().map(Notifier::descriptors);
        let keep = [keep, pid_file.as_slice().as_flattened(), notifier.as_slice().as_flattened()];
        // SAFETY: the caller of `CloseFds::all_but` vouches for all but the steps' own, kept here.
        #[allow(unsafe_code)]
        unsafe {
            close_except(3, keep.iter().copied().flatten().copied())
        }
    }

    fn filter_env(&self) -> usize {
        match self.env {
            (EnvFilter::Keep(names), block) => keep_env(block, names),
            (EnvFilter::Drop(names), block) => drop_env(block, names),
        }
    }
}
