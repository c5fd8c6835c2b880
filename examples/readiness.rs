//! The daemon says itself when it is ready: here, when its socket is bound.
//!
//! The caller's exit status is 0 from then on: whoever started it may connect at once. If the socket cannot be bound, the
//! caller prints why, and its status is 1.
//!
//! ```text
//! cargo run --example readiness
//! cargo run --example daemon -- stop --pidfile readiness.pid
//! ```

use daemon_steps::{Daemon, Plan, SignalSet, Step, Steps, daemonize, exit, ignore_signal, wait_signal};
use rustix::io::Errno;
use rustix::process::Signal;
use std::fs::remove_file;
use std::io::Write;
use std::os::unix::net::UnixListener;

const SOCKET: &str = "readiness.sock";

fn main() {
    let ends = SignalSet::from(Signal::TERM);
    // READY is said below. CHDIR is left out, for the socket is in the caller's directory.
    let steps = Steps::DAEMON.difference(Steps::READY.union(Steps::CHDIR)) | Steps::PID_FILE;
    let plan = Plan { pid_file: Some(c"readiness.pid"), signal_mask: ends, ..Plan::new(steps) };
    let Daemon { pid_file, notifier } = match daemonize(&plan) {
        Ok(daemon) => daemon,
        Err(error) => {
            eprintln!("{error}");
            exit(1);
        }
    };
    let Some(notifier) = notifier else { exit(1) };
    // RESET_SIGNALS has undone what std does at the start: a guest that hangs up too early would end the daemon.
    let _ = ignore_signal(Signal::PIPE);
    match UnixListener::bind(SOCKET) {
        Ok(listener) => {
            let _ = notifier.ready();
            // It greets until the process ends.
            std::thread::spawn(move || listener.incoming().flatten().for_each(|mut guest| drop(guest.write_all(b"hello\n"))));
        }
        Err(error) => {
            // The step is the one that was not reached. The caller removes the pid file.
            let errno = error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
            let _ = notifier.failed(Step::Ready.failed(errno));
            exit(1);
        }
    }
    let _ = wait_signal(ends, None);
    let _ = remove_file(SOCKET);
    let _ = pid_file.map(daemon_steps::PidFile::remove);
}
