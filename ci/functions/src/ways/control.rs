//! Signalling and stopping a holder.

use super::{Function, LEFT, of};
use crate::stage::alone;
use crate::surroundings::{held, left_behind};
use daemon_steps::{Holder, Stop, Stopped, signal_holder, stop};
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
            .when(&[LEFT], || {
                let file = left_behind();
                assert_eq!(alone(|| stop(&file, &QUICK)), Ok(Stopped::NotRunning(Holder::LeftBehind)));
            }),
    ]
}
