//! A pool of forked workers that do not keep the daemon's lock: when the daemon is killed, the next one can start at once,
//! though a worker may still be busy. Ends on SIGTERM, after the jobs.
//!
//! ```text
//! cargo run --example workers
//! cargo run --example daemon -- stop --pidfile workers.pid
//! ```

use daemon_steps::{
    Error, Fork, PidFile, Plan, SignalSet, Stdio, Step, Steps, daemonize, exit, fork, reap, unblock_signals, wait_signal,
};
use rustix::fd::OwnedFd;
use rustix::fs::Mode;
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

const WORKERS: usize = 2;

fn main() -> Result<(), Error> {
    let heard: SignalSet = [Signal::TERM, Signal::CHILD].into_iter().collect();
    let log = Stdio::File(c"workers.log", Mode::from_raw_mode(0o644));
    let mut daemon = daemonize(&Plan {
        pid_file: Some(c"workers.pid"),
        stdio: [Stdio::Null, log, log],
        signal_mask: heard,
        ..Plan::new(Steps::DAEMON | Steps::PID_FILE)
    })?;
    let done = manage(&mut daemon.pid_file, heard);
    if let Some(pid_file) = daemon.pid_file {
        let _ = pid_file.remove();
    }
    done.map_err(|errno| Step::Fork.failed(errno))
}

/// Keeps the pool full until SIGTERM; then waits for its end.
fn manage(pid_file: &mut Option<PidFile<'_>>, heard: SignalSet) -> Result<(), Errno> {
    let (queue, jobs) = pipe_with(PipeFlags::CLOEXEC)?;
    write(&jobs, b"abcd")?;
    let mut running = 0;
    let mut jobs = Some(jobs);
    loop {
        while running < WORKERS && jobs.is_some() {
            if fork()? == Fork::Child {
                // Before all else: a copy of the descriptor would keep the lock when the daemon is gone. Closing it here does
                // not release the daemon's. The other end of the queue, kept, would keep the queue from ending.
                drop(pid_file.take());
                drop(jobs.take());
                exit(i32::from(work(&queue, heard).is_err()));
            }
            running += 1;
        }
        if running == 0 {
            return Ok(());
        }
        // Several children may stand behind one SIGCHLD.
        if wait_signal(heard, None)? == Some(Signal::TERM.as_raw()) {
            // The workers finish what is queued, and meet the end of the queue.
            jobs = None;
        }
        running -= reap(|_, _| ())?;
    }
}

/// One byte is a job, the queue's end is the worker's.
fn work(queue: &OwnedFd, heard: SignalSet) -> Result<(), Errno> {
    unblock_signals(heard)?;
    let mut job = [0];
    while retry_on_intr(|| read(queue, &mut job))? == 1 {
        println!("job {}", char::from(job[0]));
    }
    Ok(())
}
