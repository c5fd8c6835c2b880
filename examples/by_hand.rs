//! The steps that this program wants, in its order, with its own errors. Ends on SIGTERM.
//!
//! ```text
//! cargo run --example by_hand
//! cargo run --example daemon -- stop --pidfile by_hand.pid
//! ```

use daemon_steps::{
    Fork, Outcome, PidFile, SignalSet, Step, block_signals, chdir, exit, fill_stdio, fork, ready_pipe, reset_signals,
    set_child_subreaper, setsid, stdio_null, umask, wait_signal,
};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Signal;

fn main() -> Result<(), Errno> {
    fill_stdio()?;
    // Here, so that anybody can try it. A system's daemon has /run/NAME.pid.
    let pid_file = PidFile::lock(c"by_hand.pid")?;
    set_child_subreaper(true)?;
    let (waiter, notifier) = ready_pipe()?;
    if let Fork::Parent(child) = fork()? {
        drop(notifier);
        match waiter.wait(child, None)? {
            Outcome::Ready(_) => exit(0),
            Outcome::Failed(error) => eprintln!("{error}"),
            Outcome::Died(status) => eprintln!("the daemon ended: {status:?}"),
        }
        pid_file.remove()?;
        exit(1);
    }
    drop(waiter);
    setsid()?;
    if let Fork::Parent(_) = fork()? {
        exit(0);
    }
    notifier.announce()?;
    umask(Mode::from_raw_mode(0o022))?;
    reset_signals()?;
    if let Err(errno) = chdir(c"/") {
        notifier.failed(Step::Chdir.failed(errno))?;
        exit(1);
    }
    stdio_null()?;
    pid_file.claim()?;
    let ends = SignalSet::from(Signal::TERM);
    block_signals(ends)?;
    notifier.ready()?;

    wait_signal(ends, None)?;
    pid_file.remove()
}
