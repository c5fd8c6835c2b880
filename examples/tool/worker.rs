//! The built-in worker: a line a second until SIGTERM.

use super::line::Line;
use super::{DONE, FAILED};
use core::time::Duration;
use daemon_steps::{Daemon, SignalSet, Step, block_signals, wait_signal};
use rustix::process::Signal;

const ENDS: SignalSet = SignalSet::EMPTY.with(Signal::TERM.as_raw()).with(Signal::INT.as_raw());

pub(crate) fn work(daemon: Daemon<'_>, line: &mut Line) -> i32 {
    let Daemon { pid_file, notifier } = daemon;
    // Ready is said when a SIGTERM would be heeded, and not before.
    let blocked = block_signals(ENDS);
    if let Some(notifier) = notifier {
        let ready = match blocked {
            Ok(_) => notifier.ready(),
            // Whoever waits waits for the end, too.
            Err(errno) => notifier.failed(Step::SignalMask.failed(errno)).and(Err(errno)),
        };
        if ready.is_err() {
            return FAILED;
        }
    }
    let mut lines = 0;
    let status = loop {
        lines += 1;
        line.begin("working, line ").number(lines).out();
        match wait_signal(ENDS, Some(Duration::from_secs(1))) {
            Ok(None) => {}
            Ok(Some(_)) => break DONE,
            Err(_) => break FAILED,
        }
    };
    if let Some(file) = pid_file {
        let _ = file.remove();
    }
    status
}
