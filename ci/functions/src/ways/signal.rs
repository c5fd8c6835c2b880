//! Dispositions and the mask.

use super::ready::LATE;
use super::{Function, TIMEOUT, of};
use crate::stage::alone;
use daemon_steps::{
    SignalSet, block_signals, ignore_signal, reap_by_kernel, reset_signals, set_signal_mask, unblock_signals, wait_signal,
};
use rustix::io::Errno;
use rustix::process::{Signal, getpid};
use std::time::Duration;

pub(super) fn functions() -> Vec<Function> {
    vec![
        of("reset_signals").main(|| alone(reset_signals).expect("reset")),
        of("ignore_signal").main(|| alone(|| ignore_signal(Signal::HUP)).expect("ignored")).main(|| {
            assert_eq!(alone(|| ignore_signal(Signal::KILL)), Err(Errno::INVAL));
        }),
        of("reap_by_kernel").main(|| alone(reap_by_kernel).expect("ignored")),
        of("block_signals").main(|| assert!(alone(|| block_signals(SignalSet::ALL)).is_ok())),
        of("unblock_signals").main(|| assert!(alone(|| unblock_signals(SignalSet::ALL)).is_ok())),
        of("set_signal_mask").main(|| assert!(alone(|| set_signal_mask(SignalSet::EMPTY)).is_ok())),
        of("wait_signal")
            .main(|| {
                let set = SignalSet::from(Signal::USR1);
                block_signals(set).expect("blocked");
                rustix::process::kill_process(getpid(), Signal::USR1).expect("sent");
                assert_eq!(alone(|| wait_signal(set, None)), Ok(Some(Signal::USR1.as_raw())));
            })
            .when(&[TIMEOUT], || {
                let set = SignalSet::from(Signal::USR1);
                block_signals(set).expect("blocked");
                rustix::process::kill_process(getpid(), Signal::USR1).expect("sent");
                assert_eq!(alone(|| wait_signal(set, LATE)), Ok(Some(Signal::USR1.as_raw())));
            })
            .when(&[TIMEOUT], || {
                let set = SignalSet::from(Signal::USR1);
                assert_eq!(alone(|| wait_signal(set, Some(Duration::ZERO))), Ok(None));
            }),
    ]
}
