//! Fork, exit, exec; children; sessions.

use super::{Function, THREADS, UNSHARE, of};
use crate::hostile::{hide_proc, with_second_thread};
use crate::stage::alone;
use crate::surroundings::{deny, deny_unshare, null, reaped, stay};
use crate::tty;
use daemon_steps::{
    Fork, ThinCStr, execve, exit, fork, fork_unchecked, ignore_signal, reap, set_child_subreaper, setsid, tiocnotty, tiocsctty,
};
use pidfile_proof::room;
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
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
        of("fork_unchecked")
            .main(|| {
                // SAFETY: there is one thread.
                both(alone(|| unsafe { fork_unchecked() }));
            })
            .main(|| {
                deny(libc::SYS_clone, Errno::AGAIN);
                // SAFETY: there is one thread.
                assert_eq!(alone(|| unsafe { fork_unchecked() }), Err(Errno::AGAIN));
            }),
        of("exit").main(|| alone::<()>(|| exit(0))),
        of("execve")
            .main(|| {
                let path = c"/bin/true";
                let argv = [Some(ThinCStr::from(path)), None];
                let failed = alone(|| execve(path, &argv, &[Cell::new(None)]));
                panic!("not executed: {failed}");
            })
            .main(|| assert_eq!(alone(|| execve(c"/missing", &[None], &[Cell::new(None)])), Errno::NOENT)),
        of("reap").main(|| assert_eq!(alone(|| reap(|_, _| ())), Ok(0))).main(|| {
            let ended = room::fork(|| 0);
            room::fork(|| stay());
            waitid(WaitId::Pid(ended), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("its end");
            assert_eq!(alone(|| reap(|pid, _| assert_eq!(pid, ended))), Ok(1));
        }),
        of("set_child_subreaper").main(|| assert_eq!(alone(|| set_child_subreaper(true)), Ok(false))),
        of("setsid").main(|| assert!(alone(setsid).is_ok())).main(|| {
            setsid().expect("a session");
            assert_eq!(alone(setsid), Err(Errno::PERM));
        }),
        of("tiocsctty")
            .main(|| {
                setsid().expect("a session");
                let (_master, terminal) = tty::terminal();
                alone(|| tiocsctty(&terminal)).expect("the terminal");
                ignore_signal(Signal::HUP).expect("no end by the hang-up");
            })
            .main(|| {
                let file = null();
                assert_eq!(alone(|| tiocsctty(&file)), Err(Errno::NOTTY));
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
