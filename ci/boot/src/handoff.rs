//! The handoff, on whatever kernel and processor this is: processes that move, and how they and their parents end.

use crate::text::Teller;
use core::array::from_fn;
use daemon_steps::{
    Detached, Fork, Plan, Stdio, Step, Steps, Way, detach, exit, fork, handoff, handoff_until_ready, set_child_subreaper,
};
use rustix::io::{Errno, Result};
use rustix::process::{WaitOptions, getpid, getsid, wait};

/// How many times a process moves.
const TIMES: usize = 1000;

pub(crate) fn facts(tell: &Teller<'_>) {
    let adopts = set_child_subreaper(true);
    for (name, act, parent, daemon) in [
        ("moves", moves as fn() -> i32, 0, Some(3)),
        ("ready", ready, 0, Some(4)),
        // The parent has waited for it.
        ("died", dies, 9, None),
        ("failed-step", fails, 5, None),
        ("daemonized", daemonizes, 0, Some(6)),
    ] {
        let ends = ends_of(act);
        tell.fact(name, ends == Ok((Some(parent), daemon)), format_args!("{ends:?}"));
    }
    let well = (0..TIMES).filter(|n| ends_of(if n % 2 == 0 { moves } else { ready }).is_ok_and(|(parent, _)| parent == Some(0)));
    tell.is("times", TIMES, well.count());
    let not = adopts.and_then(set_child_subreaper);
    tell.fact("adopts", not.is_ok(), format_args!("{not:?}"));
}

/// How a process that acts has ended, and the daemon that it has become, if there is one left.
fn ends_of(act: fn() -> i32) -> Result<(Option<i32>, Option<i32>)> {
    let Fork::Parent(parent) = fork()? else { exit(act()) };
    let mut ends = (None, None);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == parent => ends.0 = status.exit_status(),
            Ok(Some((_, status))) => ends.1 = status.exit_status(),
            Ok(None) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(ends),
            Err(errno) => return Err(errno),
        }
    }
}

/// A new process, which leads no session, with what was on its stack.
fn moves() -> i32 {
    let numbers: [usize; 64] = from_fn(|n| n);
    let former = getpid();
    let moved = handoff();
    let new = getpid() != former && getsid(None).is_ok_and(|session| session != getpid() && session != former);
    if moved.is_ok() && new && numbers.iter().enumerate().all(|(n, number)| n == *number) { 3 } else { 13 }
}

fn ready() -> i32 {
    match handoff_until_ready(None).and_then(|notifier| notifier.announce().and_then(|()| notifier.ready())) {
        Ok(()) => 4,
        Err(_) => 14,
    }
}

fn dies() -> i32 {
    let notifier = handoff_until_ready(None);
    exit(if notifier.is_ok() { 9 } else { 19 })
}

/// The plan, with the console kept.
fn plan() -> Plan<'static, 'static> {
    Plan { way: Way::HANDOFF, stdio: [Stdio::Keep; 3], ..Plan::new(Steps::DAEMON) }
}

/// The error is the caller's, in its own process.
fn fails() -> i32 {
    let former = getpid();
    let error = detach(&Plan { directory: c"/no/such/directory", ..plan() }).err();
    if error == Some(Step::Chdir.failed(Errno::NOENT)) && getpid() == former { 5 } else { 15 }
}

fn daemonizes() -> i32 {
    if matches!(detach(&plan()), Ok(Detached::Daemon(_))) { 6 } else { 16 }
}
