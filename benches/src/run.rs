//! A program is started, and heard until its time is known. Nothing of it is left afterwards.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait, waitpid};
use rustix::time::{ClockId, clock_gettime};
use std::fs::read_to_string;
use std::io::Read;
use std::panic::{set_hook, take_hook};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

/// Runs the program to the end of all processes that it has made: the nanoseconds that it has written.
pub(crate) fn times(program: &Path, arguments: &[&str]) -> Vec<u64> {
    let mut bytes = Vec::new();
    start(program, arguments).read_to_end(&mut bytes).expect("a program that ends");
    reap();
    assert!(!bytes.is_empty() && bytes.len().is_multiple_of(8), "{} {arguments:?} has failed", program.display());
    bytes.chunks_exact(8).map(|time| u64::from_ne_bytes(time.try_into().expect("eight bytes"))).collect()
}

/// From before the program is executed until it is heard: a byte, or that its output is closed.
pub(crate) fn until_heard(program: &Path, arguments: &[&str]) -> u64 {
    let before = now();
    let mut output = start(program, arguments);
    let _ = output.read(&mut [0]).expect("a pipe");
    now() - before
}

fn start(program: &Path, arguments: &[&str]) -> ChildStdout {
    let mut command = Command::new(program);
    let child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    child.unwrap_or_else(|error| panic!("{}: {error}", program.display())).stdout.expect("a pipe")
}

/// Waits for all children, the adopted daemons too. None may have failed.
pub(crate) fn reap() {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((_, status))) => assert_eq!(status.exit_status(), Some(0), "{status:?}"),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return assert_eq!(errno, Errno::CHILD),
        }
    }
}

/// In real time, if this process may: what else this machine has to do shall wait, and not be measured. So do all that it starts.
pub(crate) fn go_first() -> bool {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the library reads the structure.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const lowest) == 0 }
}

/// Whatever goes wrong, nothing stays: orphans of those that are killed are this process's next children.
pub(crate) fn kill_on_panic() {
    let tell = take_hook();
    set_hook(Box::new(move |panic| {
        tell(panic);
        let children = || read_to_string("/proc/thread-self/children").unwrap_or_default();
        let mut left = children();
        while !left.is_empty() {
            for pid in left.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
            left = children();
        }
    }));
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
