//! The built-in worker: a line a second until SIGTERM.

use super::line::Line;
use super::{DONE, FAILED, text};
use core::time::Duration;
use daemon_steps::{Daemon, SignalSet, Step, block_signals, wait_signal};
use rustix::process::Signal;

pub(crate) fn work(daemon: Daemon<'_>) -> i32 {
    let ends = SignalSet::from_iter([Signal::TERM, Signal::INT]);
    let Daemon { pid_file, notifier } = daemon;
    // Ready is said when a SIGTERM would be heeded, and not before.
    let blocked = block_signals(ends);
    if let Some(notifier) = notifier {
        let told = match blocked {
            Ok(_) => notifier.ready(),
            Err(errno) => notifier.failed(Step::SignalMask.failed(errno)),
        };
        if told.is_err() {
            return FAILED;
        }
    }
    let mut lines = 0_u64;
    let status = loop {
        lines += 1;
        Line::new().text("working, line ").number(lines).out();
        match wait_signal(ends, Some(Duration::from_secs(1))) {
            Ok(None) => {}
            Ok(Some(_)) => break DONE,
            Err(errno) => break text::complain("wait for a signal", [], errno),
        }
    };
    if let Some(file) = pid_file {
        let _ = file.remove();
    }
    status
}
