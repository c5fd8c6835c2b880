//! The shutdown, seen by those whom it ends: init tells all to end, waits, kills who stays.

use crate::call::pause;
use crate::text::Teller;
use core::time::Duration;
use daemon_steps::{Fork, SignalSet, block_signals, exit, fork, ignore_signal, setsid, wait_signal};
use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Result;
use rustix::process::{Pid, Signal, kill_process};

/// How long a process that heeds SIGTERM takes to end; init gives longer.
const WORK: Duration = Duration::from_millis(300);

/// Asks init for the end; the exit status of this program.
pub(crate) fn facts(tell: &Teller<'_>) -> i32 {
    let told = |name, taken| tell.fact(name, matches!(taken, Ok(Some(_))), format_args!("{taken:?}"));
    // The witness inherits that, and misses no signal.
    let blocked = block_signals(SignalSet::from_iter([Signal::INT, Signal::TERM]));
    tell.fact("blocked", blocked.is_ok(), format_args!("{blocked:?}"));
    told("forwarded", answered(Signal::INT));
    let made = orphan(|| witness(tell.about)).and_then(|()| orphan(stubborn));
    tell.fact("made", made.is_ok(), format_args!("{made:?}"));
    told("told", answered(Signal::TERM));
    0
}

/// Sends the signal to init, and waits for what init makes of it: the same, for this process.
fn answered(signal: Signal) -> Result<Option<i32>> {
    kill_process(Pid::INIT, signal)?;
    wait_signal(signal.into(), Some(Duration::from_secs(10)))
}

/// SIGTERM comes to it, too, and the time to do something about it. Its session is not the console's, which hangs up.
fn witness(about: &str) -> Result<()> {
    setsid()?;
    let console = openat(CWD, c"/dev/console", OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let taken = wait_signal(Signal::TERM.into(), Some(Duration::from_secs(20)))?;
    pause(WORK);
    Teller { to: console.as_fd(), about }.fact("time", taken.is_some(), "no SIGTERM in twenty seconds");
    Ok(())
}

/// Does not heed SIGTERM: the machine goes down all the same.
fn stubborn() -> Result<()> {
    setsid()?;
    ignore_signal(Signal::TERM)?;
    pause(Duration::from_mins(1));
    Ok(())
}

/// Has an orphan do it.
fn orphan(act: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Fork::Parent(child) = fork()? {
        return crate::call::wait(child).map(drop);
    }
    if let Ok(Fork::Child) = fork() {
        exit(i32::from(act().is_err()));
    }
    exit(0)
}
