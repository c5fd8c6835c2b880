//! The shutdown, seen by those whom it ends: init tells all to end, waits, kills who stays.

use crate::call::{pause, wait};
use crate::text::Teller;
use core::time::Duration;
use daemon_steps::{Fork, SignalSet, block_signals, exit, fork, setsid, wait_signal};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Result, read, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process that heeds SIGTERM takes to end; init gives longer.
const WORK: Duration = Duration::from_millis(300);

/// Asks init for the end; the exit status of this program.
pub(crate) fn facts(tell: &Teller<'_>) -> i32 {
    // The witnesses inherit that, and miss no signal. This program, too, is to see the end: the console hangs up before it comes.
    let blocked = block_signals(SignalSet::from_iter([Signal::HUP, Signal::TERM]));
    tell.fact("blocked", blocked.is_ok(), format_args!("{blocked:?}"));
    let made = orphan(|| witness(tell.about)).and_then(|()| {
        // One that does not heed SIGTERM: the machine goes down all the same.
        orphan(|| {
            pause(Duration::from_mins(1));
            Ok(())
        })
    });
    tell.fact("made", made.is_ok(), format_args!("{made:?}"));
    let told = kill_process(Pid::INIT, Signal::TERM).and_then(|()| terminated());
    // The terminal may have hung up.
    let console = console();
    let to = console.as_ref().map_or(tell.to, AsFd::as_fd);
    Teller { to, ..*tell }.fact("told", matches!(told, Ok(Some(_))), format_args!("{told:?}"));
    0
}

/// Waits for SIGTERM, ten seconds at most.
fn terminated() -> Result<Option<i32>> {
    wait_signal(Signal::TERM.into(), Some(Duration::from_secs(10)))
}

fn console() -> Result<OwnedFd> {
    openat(CWD, c"/dev/console", OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

/// SIGTERM comes to it, too, and the time to do something about it.
fn witness(about: &str) -> Result<()> {
    let console = console()?;
    let taken = terminated();
    pause(WORK);
    Teller { to: console.as_fd(), about }.fact("time", matches!(taken, Ok(Some(_))), format_args!("{taken:?}"));
    Ok(())
}

/// Has an orphan do it, in a session of its own, and waits until it has that.
fn orphan(act: impl FnOnce() -> Result<()>) -> Result<()> {
    let (ready, end) = pipe_with(PipeFlags::CLOEXEC)?;
    if let Fork::Parent(child) = fork()? {
        drop(end);
        wait(child)?;
        return retry_on_intr(|| read(&ready, &mut [0; 1][..])).map(drop);
    }
    if let Ok(Fork::Child) = fork() {
        let detached = setsid();
        drop(end);
        exit(i32::from(detached.and_then(|_| act()).is_err()));
    }
    exit(0)
}
