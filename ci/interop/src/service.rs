//! What is supervised: this program, started anew.

use daemon_steps::{
    Detached, Error, Outcome, PidFile, Plan, SignalSet, Step, Steps, ThinCStr, Way, block_signals, detach, exit, fork_unchecked,
    getenv, sd_notify, sd_notify_barrier, sd_notify_main_pid, wait_signal, write_newline,
};
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Signal;
use std::ffi::{CStr, CString, c_char};

const TERM: SignalSet = SignalSet::EMPTY.with(Signal::TERM.as_raw());

const STATE: &[u8] = b"READY=1\nSTATUS=at work";

/// The exit status.
pub fn run(arguments: &[String]) -> i32 {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["newline", number, gate] => newline(number.parse().expect("a number"), gate),
        ["notify"] => notify(),
        ["notify-detached"] => notify_detached(),
        ["forking", way, pid_file] => forking(way, pid_file),
        ["hasty", pid_file] => hasty(pid_file),
        _ => panic!("no such service: {words:?}"),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn failed(errno: Errno) -> Error {
    Step::Ready.failed(errno)
}

/// Of s6: ready when somebody has opened the gate.
fn newline(number: i32, gate: &str) -> Result<(), Error> {
    block_signals(TERM).map_err(failed)?;
    std::fs::File::open(gate).expect("the gate");
    // SAFETY: the supervisor has opened it for this process, and nothing else here uses it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    write_newline(fd).map_err(failed)?;
    wait_signal(TERM, None).map_err(failed).map(drop)
}

/// The value of `NOTIFY_SOCKET`.
fn socket() -> CString {
    unsafe extern "C" {
        static environ: *mut *const c_char;
    }
    // SAFETY: the C library has set it.
    let first = unsafe { environ };
    // SAFETY: it is an environment, which nobody changes: this program has one thread.
    let block = unsafe { ThinCStr::array(first) };
    getenv(block, c"NOTIFY_SOCKET").expect("NOTIFY_SOCKET").to_owned()
}

/// Of systemd, `Type=notify`: in the foreground.
fn notify() -> Result<(), Error> {
    block_signals(TERM).map_err(failed)?;
    let socket = socket();
    sd_notify(&socket, STATE).and_then(|()| serve(&socket)).map_err(failed)
}

/// Works until it is told to end, and tells that.
fn serve(socket: &CStr) -> Result<(), Errno> {
    wait_signal(TERM, None)?;
    sd_notify(socket, b"STOPPING=1")?;
    sd_notify_barrier(socket, None)
}

/// The same, but it detaches: the first process tells who is the main one from then on.
fn notify_detached() -> Result<(), Error> {
    let socket = socket();
    block_signals(TERM).map_err(failed)?;
    let plan = Plan { signal_mask: TERM, ..Plan::new(Steps::DAEMON) };
    match detach(&plan)? {
        Detached::Daemon(_) => serve(&socket).map_err(failed),
        Detached::Caller(Outcome::Ready(daemon)) => {
            sd_notify_main_pid(&socket, STATE, daemon).and_then(|()| sd_notify_barrier(&socket, None)).map_err(failed)
        }
        Detached::Caller(other) => panic!("{other:?}"),
    }
}

/// Of systemd, `Type=forking`.
fn forking(way: &str, pid_file: &str) -> Result<(), Error> {
    let pid_file = CString::new(pid_file).expect("no null");
    block_signals(TERM).map_err(failed)?;
    let plan = Plan {
        way: if way == "handoff" { Way::HANDOFF } else { Way::FORKS },
        pid_file: Some(&pid_file),
        signal_mask: TERM,
        ..Plan::new(Steps::DAEMON | Steps::PID_FILE)
    };
    match detach(&plan)? {
        Detached::Daemon(daemon) => {
            wait_signal(TERM, None).map_err(failed)?;
            daemon.pid_file.map_or(Ok(()), PidFile::remove).map_err(failed)
        }
        Detached::Caller(_) => Ok(()),
    }
}

/// Wrong on purpose: the first process does not wait.
fn hasty(pid_file: &str) -> Result<(), Error> {
    let pid_file = CString::new(pid_file).expect("no null");
    // SAFETY: this program has one thread.
    if let daemon_steps::Fork::Parent(_) = unsafe { fork_unchecked() }.map_err(failed)? {
        exit(0);
    }
    PidFile::lock(&pid_file).and_then(|file| file.claim()).map_err(failed)?;
    wait_signal(TERM, None).map_err(failed).map(drop)
}
