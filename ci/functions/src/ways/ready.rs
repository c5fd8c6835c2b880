//! Readiness.

use super::{Function, OVER, STREAM_CLOSED, of};
use crate::hostile::hide_proc;
use crate::stage::alone;
use crate::surroundings::{close, daemon, deny, full_table, grandchild, notifier, reaped, wait_until_gone};
use daemon_steps::{Notifier, Outcome, Step, exit, ready_pipe, set_child_subreaper, wait_newline};
use pidfile_proof::room;
use pidfile_proof::trace::execute;
use rustix::io::Errno;
use rustix::process::getpid;
use std::time::Duration;

const TOO_FEW: &str = "There are too few descriptors";
pub(super) const NO_WORD: &str = "The pipe ends without a word";
const NO_PIDFD: &str = "The daemon is no child (any more), or has no pidfd";

/// What a daemon says that is ready, and stays.
pub(super) fn well(notifier: Notifier) {
    notifier.announce().and_then(|()| notifier.ready()).expect("told");
}

/// What a daemon says that fails.
pub(super) fn badly(notifier: Notifier) {
    notifier.announce().and_then(|()| notifier.failed(Step::Chdir.failed(Errno::NOENT))).expect("told");
    exit(1);
}

/// What a daemon says that stays silent, with its pipe open.
pub(super) fn never(notifier: Notifier) {
    std::mem::forget(notifier);
}

/// What is no word.
fn never_heard(notifier: &Notifier) {
    let [pipe, _] = notifier.descriptors();
    rustix::io::write(pipe, b"what").expect("told");
}

/// By that its descriptors of the pipe are closed.
pub(super) fn executes() {
    execute(&[c"/bin/sleep", c"1000"].map(Into::into));
}

pub(super) const SOON: Option<Duration> = Some(Duration::from_millis(50));
pub(super) const LATE: Option<Duration> = Some(Duration::from_mins(1));

pub(super) fn functions() -> Vec<Function> {
    vec![
        of("ready_pipe")
            .main(|| drop(alone(ready_pipe).expect("a pipe")))
            .when(&[TOO_FEW], || {
                full_table();
                close(10);
                close(11);
                assert_eq!(alone(ready_pipe).map(drop), Err(Errno::MFILE));
            })
            .when(&[STREAM_CLOSED], || {
                close(0);
                alone(ready_pipe).expect("a pipe");
            }),
        wait(),
        of("Waiter::word")
            .main(|| {
                let (waiter, child) = daemon(well);
                assert!(matches!(alone(|| waiter.word(child)), Ok(Outcome::Ready(_))));
            })
            .main(|| {
                let (waiter, child) = daemon(badly);
                assert!(matches!(alone(|| waiter.word(child)), Ok(Outcome::Failed(_))));
            })
            .main(|| {
                let (waiter, child) = daemon(|_| executes());
                assert!(matches!(alone(|| waiter.word(child)), Ok(Outcome::Died(None))));
            })
            .main(|| {
                let (waiter, child) = daemon(|notifier| never_heard(&notifier));
                assert_eq!(alone(|| waiter.word(child)).err(), Some(Errno::PROTO));
            }),
        of("Notifier::announce").main(|| {
            let (_waiter, notifier) = notifier();
            alone(|| notifier.announce()).expect("told");
        }),
        of("Notifier::ready").main(|| {
            let (_waiter, notifier) = notifier();
            alone(|| notifier.ready()).expect("told");
        }),
        of("Notifier::failed").main(|| {
            let (_waiter, notifier) = notifier();
            alone(|| notifier.failed(Step::Chdir.failed(Errno::NOENT))).expect("told");
        }),
        of("wait_newline")
            .main(|| {
                let (hear, tell) = rustix::pipe::pipe().expect("a pipe");
                let me = getpid();
                rustix::io::write(&tell, b"early\n").expect("told");
                assert_eq!(alone(|| wait_newline(&hear, me, None)), Ok(true));
            })
            .main(|| {
                let (hear, tell) = rustix::pipe::pipe().expect("a pipe");
                rustix::io::write(&tell, b"no newline").expect("told");
                drop(tell);
                let me = getpid();
                assert_eq!(alone(|| wait_newline(&hear, me, LATE)), Ok(false));
            })
            .main(|| {
                let (hear, _tell) = rustix::pipe::pipe().expect("a pipe");
                let ended = room::fork(|| 0);
                assert_eq!(alone(|| wait_newline(&hear, ended, None)), Ok(false));
            })
            .main(|| {
                let (hear, _tell) = rustix::pipe::pipe().expect("a pipe");
                let me = getpid();
                assert_eq!(alone(|| wait_newline(&hear, me, Some(Duration::ZERO))), Err(Errno::TIMEDOUT));
            }),
    ]
}

fn wait() -> Function {
    of("Waiter::wait")
        .main(|| {
            set_child_subreaper(true).expect("a subreaper");
            let (waiter, child) = grandchild(well);
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Ready(_))));
        })
        .main(|| {
            let (waiter, child) = daemon(badly);
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Failed(_))));
        })
        .when(&[NO_WORD], || {
            let (waiter, child) = daemon(|notifier| {
                notifier.announce().expect("told");
                never(notifier);
                exit(7)
            });
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Died(Some(_)))));
        })
        .when(&[NO_WORD], || {
            set_child_subreaper(true).expect("a subreaper");
            let (waiter, child) = grandchild(|notifier| {
                notifier.announce().expect("told");
                executes();
            });
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Ready(_))));
        })
        .when(&[NO_WORD], || {
            hide_proc();
            let (waiter, child) = daemon(|_| executes());
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Ready(_))));
        })
        .when(&[NO_PIDFD], || {
            let (waiter, child) = grandchild(well);
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Ready(_))));
        })
        .when(&[NO_PIDFD], || {
            let (waiter, child) = daemon(well);
            deny(libc::SYS_pidfd_open, Errno::NOSYS);
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Ready(_))));
        })
        .when(&[NO_PIDFD, NO_WORD], || {
            // By the time that its word is read it has ended, and somebody else has reaped it.
            let (waiter, child) = grandchild(|notifier| {
                notifier.announce().expect("told");
                exit(7)
            });
            assert_eq!(reaped(child), Some(0));
            wait_until_gone();
            assert!(matches!(alone(|| waiter.wait(child, None)), Ok(Outcome::Died(None))));
        })
        .main(|| {
            let (waiter, child) = daemon(well);
            assert!(matches!(alone(|| waiter.wait(child, LATE)), Ok(Outcome::Ready(_))));
        })
        .when(&[OVER], || {
            let (waiter, child) = daemon(|notifier| {
                notifier.announce().expect("told");
                never(notifier);
            });
            assert_eq!(alone(|| waiter.wait(child, SOON)).err(), Some(Errno::TIMEDOUT));
        })
        .when(&[OVER], || {
            let (waiter, child) = daemon(|notifier| {
                never_heard(&notifier);
                never(notifier);
            });
            assert_eq!(alone(|| waiter.wait(child, None)).err(), Some(Errno::PROTO));
        })
        .when(&[OVER], || {
            let (waiter, child) = daemon(never);
            assert_eq!(alone(|| waiter.wait(child, SOON)).err(), Some(Errno::TIMEDOUT));
        })
}
