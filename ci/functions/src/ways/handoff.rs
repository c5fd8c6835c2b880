//! The handoff.

use super::ready::{LATE, SOON, badly, executes, never, well};
use super::{Function, OVER, UNSHARE, of};
use crate::hostile::{hide_proc, with_second_thread};
use crate::stage::alone;
use crate::surroundings::{
    deny, deny_unshare, reaped, signal_stack, stay, with_signal_stack, without_libc, without_signal_stack,
};
use daemon_steps::{Notifier, handoff, handoff_until_ready, set_child_subreaper};
use pidfile_proof::room;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait};
use std::time::Duration;

const LIBC: &str = "A C library shares the process";
const SIGNAL_STACK: &str = "There is an alternate signal stack";
const OTHERS: &str = "There is a second thread, or another process with the same memory";
const ENDS: &str = "The daemon ends, or executes a program, before it is ready";

/// What the daemon ends with, and nobody else.
const DAEMON: i32 = 7;

/// A process moves: the status of the old one. The daemon becomes this one's child.
pub(super) fn moves(body: impl FnOnce()) -> Option<i32> {
    set_child_subreaper(true).expect("a subreaper");
    reaped(room::fork(|| {
        body();
        DAEMON
    }))
}

/// The daemon has gone on, to its end.
fn goes_on() {
    let (_, status) = wait(WaitOptions::empty()).expect("a daemon").expect("its end");
    assert_eq!(status.exit_status(), Some(DAEMON));
}

fn moved(prepare: fn()) {
    let old = moves(|| {
        prepare();
        alone(handoff).expect("a move");
    });
    assert_eq!(old, Some(0));
    goes_on();
}

fn refused(errno: Errno) {
    assert_eq!(alone(handoff), Err(errno));
}

/// The parent has the same memory, and sleeps meanwhile.
fn in_lent_memory() {
    extern "C" fn child(_: *mut libc::c_void) -> libc::c_int {
        refused(Errno::USERS);
        0
    }
    let mut stack = vec![0_u128; 4096];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is the child's alone, and stays until its end.
    let pid = unsafe { libc::clone(child, stack.as_mut_ptr_range().end.cast(), flags, std::ptr::null_mut()) };
    assert_eq!(reaped(Pid::from_raw(pid).expect("a process")), Some(0));
}

/// The daemon acts before its old process has ended, which is with that status.
fn until(act: impl FnOnce(Notifier), timeout: Option<Duration>, status: i32) {
    let old = moves(|| {
        without_libc();
        act(alone(|| handoff_until_ready(timeout)).expect("a move"));
    });
    assert_eq!(old, Some(status));
}

fn stays(notifier: Notifier) {
    never(notifier);
    stay();
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        of("handoff")
            .main(|| moved(without_libc))
            .main(|| {
                without_libc();
                deny(libc::SYS_setsid, Errno::PERM);
                refused(Errno::PERM);
            })
            .when(&[LIBC], || moved(without_signal_stack))
            .when(&[LIBC, SIGNAL_STACK], || moved(|| ()))
            .when(&[SIGNAL_STACK], || {
                moved(|| {
                    let stack = signal_stack();
                    without_libc();
                    with_signal_stack(&stack);
                });
            })
            .when(&[UNSHARE], || {
                deny_unshare();
                refused(Errno::USERS);
            })
            .when(&[UNSHARE, OTHERS], || {
                hide_proc();
                deny_unshare();
                refused(Errno::BUSY);
            })
            .when(&[OTHERS], || with_second_thread(|| refused(Errno::BUSY)))
            .when(&[OTHERS], in_lent_memory),
        until_ready(),
    ]
}

fn until_ready() -> Function {
    of("handoff_until_ready")
        .main(|| {
            until(well, None, 0);
            goes_on();
        })
        .main(|| {
            until(well, LATE, 0);
            goes_on();
        })
        .main(|| {
            without_libc();
            deny(libc::SYS_setsid, Errno::PERM);
            assert_eq!(alone(|| handoff_until_ready(None)).map(drop), Err(Errno::PERM));
        })
        .main(|| {
            deny(libc::SYS_pidfd_open, Errno::NOSYS);
            until(well, None, 0);
            goes_on();
        })
        .when(&[LIBC, SIGNAL_STACK], || {
            let old = moves(|| well(alone(|| handoff_until_ready(None)).expect("a move")));
            assert_eq!(old, Some(0));
            goes_on();
        })
        .when(&[ENDS], || until(drop, None, DAEMON))
        .when(&[ENDS], || until(badly, None, 1))
        .when(&[ENDS], || until(|_| executes(), None, 0))
        .when(&[ENDS], || {
            hide_proc();
            until(|_| executes(), None, 0);
        })
        .when(&[OVER], || until(stays, SOON, 1))
        .when(&[OVER], || {
            let says = |notifier: Notifier| {
                let [pipe, _] = notifier.descriptors();
                rustix::io::write(pipe, b"whatever").expect("told");
                stays(notifier);
            };
            until(says, None, 1);
        })
}
