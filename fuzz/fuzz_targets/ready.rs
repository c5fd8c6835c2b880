//! What comes over the readiness pipe, words and garbage, and what a waiter makes of it.

#![no_main]

use arbitrary::Arbitrary;
use daemon_steps::{Error, Outcome, Step, exit_status, ready_pipe};
use libfuzzer_sys::fuzz_target;
use rustix::fd::AsRawFd;
use rustix::io::{Errno, fcntl_dupfd_cloexec, write};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid};
use std::time::Duration;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    said: Vec<Said<'a>>,
    child: Option<Child>,
}

#[derive(Arbitrary, Debug)]
enum Said<'a> {
    Pid(Who),
    Ready,
    Failed(u8, i32),
    Frame { kind: Kind, step: u8, middle: [u8; 2], number: i32 },
    Bytes(&'a [u8]),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Kind {
    Pid,
    Ready,
    Failed,
    Any(u8),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Who {
    Child,
    Fuzzer,
    Nobody,
}

/// The child that is waited for. Without one only the word is.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Child {
    Exits(u8),
    IsKilled,
    Stays,
    StaysSilent,
}

/// A number that no process has.
const NOBODY: i32 = i32::MAX;
/// How long a child is waited for that does not end by itself.
const SHORT: Duration = Duration::from_millis(3);

fuzz_target!(|input: Input<'_>| {
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    let pipe = fcntl_dupfd_cloexec(notifier.descriptors()[0], 3).expect("a duplicate");
    drop(notifier);
    let child = input.child.map(|child| start(child, pipe.as_raw_fd()));
    let bytes = said(&input.said, child.unwrap_or(getpid()));
    // All is there before anybody looks, and less than the pipe holds: what is read depends on nothing else.
    assert_eq!(write(&pipe, &bytes).expect("a pipe"), bytes.len());
    drop(pipe);
    let wanted = read(&bytes, child.unwrap_or(getpid()));

    match (input.child, child) {
        (Some(kind), Some(child)) => {
            let stays = matches!(kind, Child::Stays | Child::StaysSilent);
            let outcome = waiter.wait(child, stays.then_some(SHORT));
            check(outcome, &wanted, kind, child);
            clean_up(child, matches!(outcome, Ok(Outcome::Ready(ready)) if ready == child));
        }
        _ => match (waiter.word(getpid()), wanted.last) {
            (Ok(Outcome::Ready(pid)), Last::Ready) => assert_eq!(pid, wanted.daemon),
            (Ok(Outcome::Failed(error)), Last::Failed(wanted)) => assert_eq!(error, wanted),
            (Ok(Outcome::Died(None)), Last::End) | (Err(Errno::PROTO), Last::Garbage) => {}
            (outcome, last) => panic!("{outcome:?}, wanted {last:?}"),
        },
    }
});

/// Forks the child. It is no fuzzer: what it does is not looked at.
fn start(kind: Child, pipe: i32) -> Pid {
    // SAFETY: the child makes system calls, and nothing else.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        return Pid::from_raw(pid).expect("fork returns a pid");
    }
    if !matches!(kind, Child::Stays) {
        // SAFETY: the end to write is not used any more here; the others end with the child, or do not matter.
        unsafe { libc::close(pipe) };
    }
    match kind {
        Child::Exits(status) => daemon_steps::exit(status.into()),
        // SAFETY: numbers only.
        Child::IsKilled => drop(unsafe { libc::raise(libc::SIGKILL) }),
        // SAFETY: numbers only.
        _ => drop(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }),
    }
    loop {
        // SAFETY: no argument.
        unsafe { libc::pause() };
    }
}

fn said(all: &[Said<'_>], child: Pid) -> Vec<u8> {
    let mut bytes = vec![];
    for said in all {
        match *said {
            Said::Pid(who) => bytes.extend(frame(b'p', 0, [0; 2], pid(who, child))),
            Said::Ready => bytes.extend(frame(b'r', 0, [0; 2], 0)),
            Said::Failed(step, errno) => bytes.extend(frame(b'f', step, [0; 2], errno)),
            // What is announced is somebody who is known here, and nobody who happens to be there.
            Said::Frame { kind: Kind::Pid, step, middle, number } => {
                bytes.extend(frame(b'p', step, middle, if number > 0 { NOBODY } else { number }));
            }
            Said::Frame { kind, step, middle, number } => bytes.extend(frame(letter(kind), step, middle, number)),
            Said::Bytes(some) => bytes.extend(some.iter().filter(|byte| **byte != b'p')),
        }
    }
    bytes.truncate(4096);
    bytes
}

fn frame(kind: u8, step: u8, middle: [u8; 2], number: i32) -> [u8; 8] {
    let [a, b, c, d] = number.to_ne_bytes();
    [kind, step, middle[0], middle[1], a, b, c, d]
}

fn letter(kind: Kind) -> u8 {
    match kind {
        Kind::Pid => b'p',
        Kind::Ready => b'r',
        Kind::Failed => b'f',
        // A pid of somebody unknown is not to be had this way.
        Kind::Any(letter) => {
            if letter == b'p' {
                b'q'
            } else {
                letter
            }
        }
    }
}

fn pid(who: Who, child: Pid) -> i32 {
    match who {
        Who::Child => child.as_raw_nonzero().get(),
        Who::Fuzzer => getpid().as_raw_nonzero().get(),
        Who::Nobody => NOBODY,
    }
}

/// What the bytes say.
#[derive(Debug)]
struct Wanted {
    daemon: Pid,
    announced: usize,
    last: Last,
}

#[derive(Debug, Clone, Copy)]
enum Last {
    Ready,
    Failed(Error),
    Garbage,
    End,
}

fn read(bytes: &[u8], child: Pid) -> Wanted {
    let mut wanted = Wanted { daemon: child, announced: 0, last: Last::End };
    for word in bytes.chunks(8) {
        let number = word.get(4..8).map(|number| i32::from_ne_bytes(number.try_into().expect("four bytes")));
        wanted.last = match (word, number) {
            ([b'p', _, 0, 0, ..], Some(pid @ 1..)) => {
                wanted.daemon = Pid::from_raw(pid).expect("a positive number");
                wanted.announced += 1;
                continue;
            }
            ([b'r', _, 0, 0, ..], Some(0)) => Last::Ready,
            ([b'f', step, 0, 0, ..], Some(errno @ 1..4096)) if usize::from(*step) < Step::ALL.len() => {
                Last::Failed(Step::ALL[usize::from(*step)].failed(Errno::from_raw_os_error(errno)))
            }
            _ => Last::Garbage,
        };
        break;
    }
    wanted
}

fn check(outcome: Result<Outcome, Errno>, wanted: &Wanted, kind: Child, child: Pid) {
    match (outcome, wanted.last) {
        (Ok(Outcome::Ready(pid)), Last::Ready) => assert_eq!(pid, wanted.daemon),
        (Ok(Outcome::Failed(error)), Last::Failed(wanted)) => assert_eq!(error, wanted),
        (Err(Errno::PROTO), Last::Garbage) => {}
        // One that has not closed the pipe, or not yet.
        (Err(Errno::TIMEDOUT), Last::End) => {
            assert!(matches!(kind, Child::Stays | Child::StaysSilent) && wanted.daemon == child);
        }
        // The fuzzer executes a program and runs.
        (Ok(Outcome::Ready(pid)), Last::End) => assert!(pid == wanted.daemon && pid == getpid()),
        (Ok(Outcome::Died(None)), Last::End) => assert_eq!(wanted.daemon.as_raw_nonzero().get(), NOBODY),
        (Ok(Outcome::Died(Some(status))), Last::End) => {
            assert_eq!(wanted.daemon, child);
            if wanted.announced < 2 {
                check_status(status, kind);
            }
        }
        (outcome, last) => panic!("{outcome:?}, wanted {last:?}"),
    }
}

fn check_status(status: WaitStatus, kind: Child) {
    let exit = exit_status(Outcome::Died(Some(status)));
    match kind {
        Child::Exits(code) => assert_eq!((status.exit_status(), exit), (Some(code.into()), i32::from(code).max(1))),
        _ => assert_eq!((status.terminating_signal(), exit), (Some(libc::SIGKILL), 128 + libc::SIGKILL)),
    }
}

/// The child is reaped already, unless it is the daemon, which is ready.
fn clean_up(child: Pid, is_ready: bool) {
    let left = waitpid(Some(child), WaitOptions::NOHANG);
    assert_eq!(left.is_ok(), is_ready, "the child is left: {left:?}");
    if let Ok(None) = left {
        kill_process(child, Signal::KILL).expect("a child");
        waitpid(Some(child), WaitOptions::empty()).expect("a child");
    }
}
