//! Programs, and what became of them. A wait has no limit of its own: a case has one.

use pidfile_proof::case::must;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fmt::Debug;
use std::process::Command;

/// What a program has said, and its exit status: 128 and the signal's number if one has ended it.
pub struct Told {
    /// The exit status.
    pub status: i32,
    /// Standard output, without the last newline.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Told {
    /// It must have ended so.
    pub fn with(self, status: i32) -> Result<Self, String> {
        if self.status == status {
            Ok(self)
        } else {
            Err(format!("exit status {}, not {status}: {}{}", self.status, self.out, self.err))
        }
    }
}

/// Runs a program, and waits for its end.
pub fn run(words: &[&str]) -> Told {
    let output = command(words).output().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or_default();
    Told {
        status: output.status.code().unwrap_or(128 + signal),
        out: String::from_utf8_lossy(&output.stdout).trim_end().to_string(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program with nothing to read.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(std::process::Stdio::null());
    command
}

/// The path of this program.
pub fn this_program() -> String {
    std::env::current_exe().expect("this program").to_str().expect("utf-8").to_string()
}

/// The path of the tool.
pub fn tool() -> String {
    std::env::args().nth(1).expect("the tool")
}

/// They must be equal.
pub fn equal<T: PartialEq + Debug>(what: &str, is: &T, should: &T) -> Result<(), String> {
    must(is == should, || format!("{what}: {is:?}, not {should:?}"))
}

/// Waits for the end of a process, a child or not.
pub fn end_of(pid: Pid) {
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let _ = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None));
    }
}

/// Looks again and again until something is true that nobody tells.
pub fn until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        let millisecond = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let _ = poll(&mut [], Some(&millisecond));
    }
}

/// A pid in decimal digits.
pub fn pid(text: &str) -> Result<Pid, String> {
    text.trim().parse().ok().and_then(Pid::from_raw).ok_or_else(|| format!("no pid: {text:?}"))
}

/// A field of `/proc/PID/status`.
pub fn field(pid: Pid, name: &str) -> String {
    let status = pidfile_proof::proc::status(pid);
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_string()
}

/// What a process was started with.
pub fn command_line(pid: Pid) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    text.split_terminator('\0').map(str::to_string).collect()
}

/// A program in the shell's language.
pub fn script(path: &str, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a file");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mine");
}
