//! The usual steps, in the usual order, with one call. Ends on SIGTERM.
//!
//! ```text
//! cargo run --example one_call
//! cargo run --example daemon -- stop --pidfile one_call.pid
//! ```

use daemon_steps::{Error, Plan, SignalSet, Step, Steps, daemonize, wait_signal};
use rustix::process::Signal;

fn main() -> Result<(), Error> {
    let ends = SignalSet::from(Signal::TERM);
    let daemon =
        daemonize(&Plan { pid_file: Some(c"one_call.pid"), signal_mask: ends, ..Plan::new(Steps::DAEMON | Steps::PID_FILE) })?;
    // The daemon's work. The process that was called has exited with status 0.
    wait_signal(ends, None).map_err(|errno| Step::SignalMask.failed(errno))?;
    if let Some(pid_file) = daemon.pid_file {
        let _ = pid_file.remove();
    }
    Ok(())
}
