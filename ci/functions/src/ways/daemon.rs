//! The compositions.

use super::handoff::moves;
use super::ids::nobody;
use super::ready::{NO_WORD, SOON};
use super::{Function, HANDOFF, LOCKED, MISSING, NO_PROC, NO_RANGE, OVER, STREAM_CLOSED, UNSHARE, of};
use crate::hostile::hide_proc;
use crate::stage::alone;
use crate::surroundings::{PID_FILE, close, deny_close_range, deny_unshare, few_descriptors, held, stay, without_libc};
use daemon_steps::{CloseFds, Detached, Error, Outcome, Plan, Stdio, Step, Steps, Way, daemonize, detach, exit, setgroups};
use rustix::fs::Mode;
use rustix::io::Errno;
use std::time::Duration;

const STEP_FAILS: &str = "A step fails";

/// All that a plan can have: every step.
fn plan() -> Plan<'static, 'static> {
    // SAFETY: nothing here uses a descriptor.
    let close = unsafe { CloseFds::all_but(&[]) };
    Plan {
        pid_file: Some(PID_FILE),
        close: Some(close),
        root: c"/mnt",
        ids: nobody(),
        stdio: [Stdio::Null, Stdio::File(c"/mnt/log", Mode::RUSR), Stdio::Fd(rustix::stdio::stdout())],
        ..Plan::new(Steps::all())
    }
}

/// The same below the old root, where `/proc` is.
fn in_sight_of_proc() -> Plan<'static, 'static> {
    Plan { steps: Steps::all().difference(Steps::CHROOT), ..plan() }
}

/// Detaches: the daemon ends, and its caller knows that it was ready.
fn detached(plan: &Plan<'_, '_>) {
    match alone(|| detach(plan)).expect("it is tried") {
        Detached::Daemon(daemon) => {
            std::mem::forget(daemon);
            exit(0)
        }
        Detached::Caller(outcome) => assert!(matches!(outcome, Outcome::Ready(_)), "{outcome:?}"),
    }
}

/// Becomes a daemon: this process ends with its word.
fn daemonized(plan: &Plan<'_, '_>) {
    match alone(|| daemonize(plan)) {
        Ok(daemon) => std::mem::forget(daemon),
        Err(error) => panic!("{error}"),
    }
}

/// A daemon that ends, or stays, and says no word.
fn silent(way: Way, timeout: Option<Duration>, act: fn() -> !) -> Result<Outcome, Error> {
    let plan = Plan { way, timeout, ..Plan::new(Steps::DAEMON.difference(Steps::READY)) };
    match alone(|| detach(&plan))? {
        Detached::Caller(outcome) => Ok(outcome),
        Detached::Daemon(daemon) => {
            std::mem::forget(daemon);
            act()
        }
    }
}

pub(super) fn functions() -> Vec<Function> {
    fn prepared() {
        setgroups(&[nobody().gid]).expect("a group");
    }
    vec![
        of("daemonize")
            .main(|| {
                prepared();
                daemonized(&plan());
            })
            .main(|| daemonized(&Plan::new(Steps::FOREGROUND)))
            .main(|| {
                let lacks = Plan { pid_file: None, ..plan() };
                assert_eq!(alone(|| daemonize(&lacks)).map(drop), Err(Step::LockPidFile.failed(Errno::INVAL)));
            })
            .when(&[STEP_FAILS], || {
                let failed = alone(|| daemonize(&Plan { root: c"/missing", ..plan() })).map(drop);
                assert_eq!(failed, Err(Step::Chroot.failed(Errno::NOENT)));
            })
            .when(&[NO_RANGE, MISSING, STREAM_CLOSED, UNSHARE], || {
                deny_close_range();
                deny_unshare();
                close(0);
                daemonized(&in_sight_of_proc());
            })
            .when(&[HANDOFF], || {
                prepared();
                daemonized(&Plan { way: Way::HANDOFF, ..plan() });
            })
            .when(&[HANDOFF, NO_RANGE], || {
                deny_close_range();
                daemonized(&Plan { way: Way::HANDOFF, ..plan() });
            })
            .when(&[HANDOFF], || {
                without_libc();
                daemonized(&Plan { way: Way::HANDOFF_OR_FORKS, ..plan() });
            })
            .when(&[HANDOFF, STEP_FAILS], || {
                let plan = Plan { way: Way::HANDOFF, root: c"/missing", ..plan() };
                assert_eq!(alone(|| daemonize(&plan)).map(drop), Err(Step::Chroot.failed(Errno::NOENT)));
            }),
        of("detach")
            .main(|| {
                prepared();
                detached(&plan());
            })
            .when(&[NO_WORD], || {
                let ended = silent(Way::FORKS, None, || exit(7));
                assert!(matches!(ended, Ok(Outcome::Died(Some(_)))), "{ended:?}");
            })
            .when(&[OVER], || {
                assert_eq!(silent(Way::FORKS, SOON, || stay()).map(drop), Err(Step::Ready.failed(Errno::TIMEDOUT)));
            })
            .when(&[HANDOFF, NO_WORD], || {
                let old = moves(|| _ = silent(Way::HANDOFF, None, || exit(7)));
                assert_eq!(old, Some(7));
            })
            .when(&[HANDOFF, OVER], || {
                let old = moves(|| _ = silent(Way::HANDOFF, SOON, || stay()));
                assert_eq!(old, Some(1));
            })
            .when(&[NO_RANGE], || {
                deny_close_range();
                detached(&plan());
            })
            .when(&[NO_RANGE, NO_PROC], || {
                hide_proc();
                few_descriptors();
                deny_close_range();
                detached(&plan());
            })
            .when(&[LOCKED], || {
                held();
                let failed = alone(|| detach(&plan())).map(drop);
                assert_eq!(failed, Err(Step::LockPidFile.failed(Errno::WOULDBLOCK)));
            })
            .when(&[STEP_FAILS], || {
                let failed = alone(|| detach(&Plan { root: c"/missing", ..plan() })).map(drop);
                assert_eq!(failed, Err(Step::Chroot.failed(Errno::NOENT)));
            })
            .when(&[UNSHARE], || {
                deny_unshare();
                detached(&in_sight_of_proc());
            }),
    ]
}
