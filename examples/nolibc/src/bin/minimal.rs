//! The steps and nothing else: `minimal PIDFILE` becomes a daemon with a locked and claimed pid file,
//! says that it is ready, and ends at SIGTERM. Exit status: 0 when the daemon is ready, else the number of the
//! step that failed and 64.

#![no_std]
#![no_main]

use daemon_steps::{EnvBlock, EnvFilter, Plan, SignalSet, Steps, ThinCStr, block_signals, daemonize, wait_signal};
use rustix::process::Signal;

nolibc::program!(main);

fn main(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    let steps = Steps::DAEMON | Steps::PID_FILE | Steps::FILTER_ENV;
    let pid_file = argv.get(1).copied().flatten().map(ThinCStr::as_c_str);
    let daemon = match daemonize(&Plan { pid_file, env: (EnvFilter::Keep(&[c"PATH"]), env), ..Plan::new(steps) }) {
        Ok(daemon) => daemon,
        Err(error) => return 64 + error.step as i32,
    };
    let term = SignalSet::from(Signal::TERM);
    // If it cannot be blocked it ends the daemon by itself, and the kernel releases the lock.
    let _ = block_signals(term).and_then(|_| wait_signal(term, None));
    daemon.pid_file.map_or(0, |file| i32::from(file.remove().is_err()))
}
