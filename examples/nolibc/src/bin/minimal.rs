//! Every step once, composed by hand: `minimal PIDFILE` becomes a daemon that does nothing until SIGTERM. As root it
//! becomes "nobody". Exit status: 0 when the daemon is ready, else the number of the step that failed and 64.
//!
//! minimal.c beside it is the same program in C, as a yardstick for its size.

#![no_std]
#![no_main]

use core::mem::ManuallyDrop;
use daemon_steps::{
    EnvBlock, Fork, Ids, Notifier, Outcome, PidFile, SignalSet, Step, ThinCStr, block_signals, chdir, close_from,
    drop_privileges, exit, fill_stdio, fork_unchecked, keep_env, openat, ready_pipe, reset_signals, set_signal_mask, setsid,
    stdio_null, umask, wait_signal,
};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Signal, Uid, geteuid};

nolibc::program!(main);

/// The user and the group "nobody".
const NOBODY: u32 = 65534;

fn main(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    let mut at = Step::FillStdio;
    match take_steps(argv, env, &mut at) {
        Ok(status) => status,
        Err(_) => 64 + at as i32,
    }
}

/// Every step; `at` is the one that an error belongs to.
fn take_steps(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>, at: &mut Step) -> Result<i32, Errno> {
    fill_stdio()?;
    *at = Step::CloseFds;
    // SAFETY: nothing is open yet but what was inherited.
    unsafe { close_from(3) }?;
    *at = Step::LockPidFile;
    let path = argv.get(1).copied().flatten().ok_or(Errno::INVAL)?;
    let here = openat(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let file = ManuallyDrop::new(PidFile::lock_at(here, path.as_c_str())?);
    *at = Step::ResetSignals;
    block_signals(SignalSet::ALL)?;
    reset_signals()?;
    keep_env(env, &[c"PATH"]);
    *at = Step::ReadyPipe;
    let (waiter, notifier) = ready_pipe()?;
    *at = Step::Fork;
    // SAFETY: this program has one thread.
    if let Fork::Parent(child) = unsafe { fork_unchecked() }? {
        drop(notifier);
        *at = Step::Ready;
        return Ok(match waiter.word(child)? {
            Outcome::Ready(_) => 0,
            Outcome::Failed(error) => 64 + error.step as i32,
            Outcome::Died(_) => 1,
        });
    }
    drop(waiter);
    if let Err(errno) = become_daemon(&file, &notifier, at) {
        let _ = notifier.failed(at.failed(errno));
        exit(1);
    }
    notifier.ready()?;
    wait_signal(SignalSet::from(Signal::TERM), None)?;
    ManuallyDrop::into_inner(file).remove()?;
    Ok(0)
}

/// The steps of the child.
fn become_daemon(file: &PidFile<'_>, notifier: &Notifier, at: &mut Step) -> Result<(), Errno> {
    *at = Step::Setsid;
    setsid()?;
    *at = Step::ForkAgain;
    // SAFETY: this program has one thread.
    if let Fork::Parent(_) = unsafe { fork_unchecked() }? {
        exit(0);
    }
    *at = Step::Ready;
    notifier.announce()?;
    *at = Step::Umask;
    umask(Mode::from_raw_mode(0o022))?;
    *at = Step::Chdir;
    chdir(c"/")?;
    *at = Step::Stdio;
    stdio_null()?;
    *at = Step::ClaimPidFile;
    file.claim()?;
    *at = Step::DropPrivileges;
    if geteuid().is_root() {
        drop_privileges(&Ids { uid: Uid::from_raw(NOBODY), gid: Gid::from_raw(NOBODY), groups: &[] })?;
    }
    *at = Step::SignalMask;
    set_signal_mask(SignalSet::from(Signal::TERM)).map(drop)
}
