//! A service with threads that ends gracefully: on SIGTERM it takes no more guests, serves those that are there, and goes.
//!
//! As a daemon, or with `--foreground` for a supervisor. Threads begin after the steps: a process with two is not forked.
//!
//! ```text
//! cargo run --example service
//! cargo run --example daemon -- stop --pidfile service.pid
//! ```

use daemon_steps::{Error, Plan, SignalSet, Stdio, Step, Steps, daemonize, ignore_signal, wait_signal};
use rustix::io::Errno;
use rustix::process::Signal;
use std::fs::remove_file;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

const SOCKET: &str = "service.sock";

fn main() -> Result<(), Error> {
    let foreground = std::env::args().any(|arg| arg == "--foreground");
    // A supervisor reads what is printed.
    let (form, output) = if foreground { (Steps::FOREGROUND, Stdio::Keep) } else { (Steps::DAEMON, Stdio::Null) };
    // Blocked here, and so in every thread: they are taken by `wait_signal` below, and interrupt nobody.
    let ends: SignalSet = [Signal::TERM, Signal::INT].into_iter().collect();
    let daemon = daemonize(&Plan {
        pid_file: Some(c"service.pid"),
        stdio: [Stdio::Null, output, output],
        signal_mask: ends,
        ..Plan::new(form.difference(Steps::CHDIR.union(Steps::READY)) | Steps::PID_FILE)
    })?;
    // RESET_SIGNALS has undone what std does at the start: a guest that hangs up too early would end the service.
    ignore_signal(Signal::PIPE).map_err(|errno| Step::ResetSignals.failed(errno))?;

    let listener = UnixListener::bind(SOCKET).map_err(|error| failed(&error));
    if let Some(notifier) = daemon.notifier {
        let _ = match &listener {
            Ok(_) => notifier.ready(),
            Err(error) => notifier.failed(*error),
        };
    }
    let listener = listener?;
    let over = Arc::new(AtomicBool::new(false));
    let host = {
        let over = Arc::clone(&over);
        thread::spawn(move || receive(&listener, &over))
    };
    wait_signal(ends, None).map_err(|errno| Step::SignalMask.failed(errno))?;
    over.store(true, Ordering::Release);
    // The host waits for a guest: this is the last one.
    let _ = UnixStream::connect(SOCKET);
    let guests = host.join().unwrap_or_default();
    let _ = remove_file(SOCKET);
    for guest in guests {
        let _ = guest.join();
    }
    if let Some(pid_file) = daemon.pid_file {
        let _ = pid_file.remove();
    }
    Ok(())
}

/// The step is the one that was not reached.
fn failed(error: &std::io::Error) -> Error {
    Step::Ready.failed(error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
}

/// Takes guests until it is over; those that are still being served.
fn receive(listener: &UnixListener, over: &AtomicBool) -> Vec<JoinHandle<()>> {
    let mut guests: Vec<JoinHandle<()>> = Vec::new();
    for guest in listener.incoming().flatten() {
        if over.load(Ordering::Acquire) {
            break;
        }
        guests.retain(|guest| !guest.is_finished());
        guests.push(thread::spawn(move || serve(guest)));
    }
    guests
}

/// Answers each line with the same line.
fn serve(guest: UnixStream) {
    let Ok(mut answers) = guest.try_clone() else { return };
    for line in BufReader::new(guest).lines().map_while(Result::ok) {
        if writeln!(answers, "{line}").is_err() {
            return;
        }
    }
}
