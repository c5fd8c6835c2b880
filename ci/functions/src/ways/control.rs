//! Signalling and stopping a holder.

use super::{Function, LEFT, of};
use crate::stage::alone;
use crate::surroundings::{deny, held, left_behind, unheld};
use daemon_steps::{Holder, Stop, Stopped, signal_holder, stop};
use rustix::io::Errno;
use rustix::process::Signal;
use std::time::Duration;

pub(super) fn functions() -> Vec<Function> {
    const QUICK: Stop = Stop { signal: Signal::URG, timeout: Some(Duration::from_millis(1)), kill: true };
    vec![
        of("signal_holder")
            .main(|| {
                let file = held();
                assert!(matches!(alone(|| signal_holder(&file, Signal::URG)), Ok(Holder::Running(_))));
            })
            .main(|| {
                let file = unheld();
                assert_eq!(alone(|| signal_holder(&file, Signal::URG)), Ok(Holder::Nobody));
            })
            .main(|| {
                let file = held();
                deny(libc::SYS_pidfd_send_signal, Errno::SRCH);
                assert_eq!(alone(|| signal_holder(&file, Signal::URG)), Ok(Holder::Nobody));
            })
            .when(&[LEFT], || {
                let file = left_behind();
                assert_eq!(alone(|| signal_holder(&file, Signal::URG)), Ok(Holder::LeftBehind));
            }),
        of("stop")
            .main(|| {
                let file = held();
                assert_eq!(alone(|| stop(&file, &Stop { timeout: None, ..Stop::default() })), Ok(Stopped::Ended));
            })
            .main(|| {
                let file = held();
                assert!(matches!(alone(|| stop(&file, &QUICK)), Ok(Stopped::Killed | Stopped::StillRunning)));
            })
            .main(|| {
                let file = held();
                assert_eq!(alone(|| stop(&file, &Stop { kill: false, ..QUICK })), Ok(Stopped::StillRunning));
            })
            .main(|| {
                let file = unheld();
                assert_eq!(alone(|| stop(&file, &QUICK)), Ok(Stopped::NotRunning(Holder::Nobody)));
            })
            .when(&[LEFT], || {
                let file = left_behind();
                assert_eq!(alone(|| stop(&file, &QUICK)), Ok(Stopped::NotRunning(Holder::LeftBehind)));
            }),
    ]
}
