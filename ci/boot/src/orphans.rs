//! Processes whose parents are gone become PID 1's, which reaps them.

use crate::call::{until, wait};
use crate::init::no_zombies;
use crate::proc::Process;
use crate::text::Teller;
use daemon_steps::{Fork, exit, fork};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, getpid, test_kill_process};

const COUNT: usize = 100;

pub(crate) fn facts(tell: &Teller<'_>) {
    if let Err(errno) = all_at_once(tell) {
        tell.fact("made", false, format_args!("{errno:?}"));
    }
}

/// All end in one moment, so that fewer signals come than children end.
fn all_at_once(tell: &Teller<'_>) -> Result<()> {
    let (pids, pids_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (gate, gate_end) = pipe_with(PipeFlags::CLOEXEC)?;
    for _ in 0..COUNT {
        orphan(&pids_end, &gate, &gate_end)?;
    }
    drop((pids_end, gate));
    let mut orphans = [None; COUNT];
    for orphan in &mut orphans {
        let mut pid = [0; 4];
        retry_on_intr(|| read(&pids, &mut pid[..]))?;
        *orphan = Pid::from_raw(i32::from_ne_bytes(pid));
    }
    let made = orphans.iter().flatten().count();
    tell.is("made", COUNT, made);
    let count = |holds: &dyn Fn(Pid) -> bool| orphans.iter().flatten().filter(|pid| holds(**pid)).count();
    tell.is("adopted", COUNT, count(&|pid| Process::of(pid).is_ok_and(|process| process.stat(4).is(1))));
    drop(gate_end);
    let gone = |pid| test_kill_process(pid) == Err(Errno::SRCH);
    until(|| count(&gone) == COUNT);
    tell.is("reaped", COUNT, count(&gone));
    no_zombies(tell);
    Ok(())
}

/// Makes one, which tells its pid and waits until the gate opens.
fn orphan(pids: &OwnedFd, gate: &OwnedFd, gate_end: &OwnedFd) -> Result<()> {
    if let Fork::Parent(child) = fork()? {
        return wait(child).map(drop);
    }
    if let Ok(Fork::Child) = fork() {
        close(gate_end);
        let _ = write(pids, &getpid().as_raw_nonzero().get().to_ne_bytes());
        let _ = retry_on_intr(|| read(gate, &mut [0; 1][..]));
    }
    exit(7)
}

/// Closes what the process that was forked from owns too.
#[allow(unsafe_code)]
fn close(fd: &OwnedFd) {
    use rustix::fd::AsRawFd;
    // SAFETY: this process ends without using or dropping it.
    unsafe { rustix::io::close(fd.as_raw_fd()) };
}
