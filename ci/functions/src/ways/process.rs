//! Fork, exit, exec; children; sessions.

use super::{Function, THREADS, UNSHARE, of};
use crate::hostile::{hide_proc, with_second_thread};
use crate::stage::alone;
use crate::surroundings::{deny_unshare, reaped};
use crate::tty;
use daemon_steps::{
    Fork, ThinCStr, execve, exit, fork, fork_unchecked, ignore_signal, reap, set_child_subreaper, setsid, tiocnotty, tiocsctty,
};
use rustix::io::Errno;
use rustix::process::Signal;
use std::cell::Cell;

pub(super) fn functions() -> Vec<Function> {
    /// The child ends, and its parent with the same status.
    fn both(forked: Result<Fork, Errno>) {
        match forked.expect("a fork") {
            Fork::Parent(child) => assert_eq!(reaped(child), Some(0)),
            Fork::Child => exit(0),
        }
    }
    vec![
        of("fork")
            .main(|| both(alone(fork)))
            .when(&[UNSHARE], || {
                deny_unshare();
                both(alone(fork));
            })
            .when(&[UNSHARE, THREADS], || {
                hide_proc();
                deny_unshare();
                assert_eq!(alone(fork), Err(Errno::BUSY));
            })
            .when(&[THREADS], || with_second_thread(|| assert_eq!(alone(fork), Err(Errno::BUSY))))
            .when(&[UNSHARE, THREADS], || {
                with_second_thread(|| {
                    deny_unshare();
                    assert_eq!(alone(fork), Err(Errno::BUSY));
                });
            }),
        of("fork_unchecked").main(|| {
            // SAFETY: there is one thread.
            both(alone(|| unsafe { fork_unchecked() }));
        }),
        of("exit").main(|| alone::<()>(|| exit(0))),
        of("execve").main(|| {
            let path = c"/bin/true";
            let argv = [Some(ThinCStr::from(path)), None];
            let failed = alone(|| execve(path, &argv, &[Cell::new(None)]));
            panic!("not executed: {failed}");
        }),
        of("reap").main(|| {
            assert_eq!(alone(|| reap(|_, _| ())), Ok(0));
        }),
        of("set_child_subreaper").main(|| assert_eq!(alone(|| set_child_subreaper(true)), Ok(false))),
        of("setsid").main(|| assert!(alone(setsid).is_ok())),
        of("tiocsctty").main(|| {
            setsid().expect("a session");
            let (_master, terminal) = tty::terminal();
            alone(|| tiocsctty(&terminal)).expect("the terminal");
            ignore_signal(Signal::HUP).expect("no end by the hang-up");
        }),
        of("tiocnotty")
            .main(|| {
                setsid().expect("a session");
                let (_master, terminal) = tty::terminal();
                tiocsctty(&terminal).expect("the terminal");
                ignore_signal(Signal::HUP).expect("no end by the hang-up");
                alone(tiocnotty).expect("no terminal");
            })
            .main(|| {
                setsid().expect("a session");
                alone(tiocnotty).expect("no terminal");
            }),
    ]
}
