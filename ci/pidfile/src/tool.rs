//! The tool under test, called as a user calls it.

use crate::case::must;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A place for a pid file, and the tool.
pub struct Tool {
    program: PathBuf,
    directory: tempfile::TempDir,
    /// Where the pid file is.
    pub pid_file: PathBuf,
}

/// What the tool has told, and how it has ended: 128 and the signal's number if by one.
#[derive(Debug)]
pub struct Told {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Told {
    /// The pid that `start` or `status` tells.
    pub fn pid(&self) -> Option<Pid> {
        let line = self.out.lines().find_map(|line| line.strip_prefix("started, pid ").or(line.strip_prefix("running, pid ")))?;
        Pid::from_raw(line.parse().ok()?)
    }
}

impl Tool {
    /// In a room: the tool that the first argument of this program names, with a pid file in a new directory.
    pub fn new() -> Self {
        let program = std::env::args_os().nth(1).expect("the path of the tool as the first argument");
        let directory = tempfile::tempdir_in(crate::room::PLACE).expect("a directory");
        let pid_file = directory.path().join("pid");
        Self { program: Path::new(&program).canonicalize().expect("the tool"), directory, pid_file }
    }

    /// The words of a call: the verb, with the pid file, and what follows.
    pub fn words<'a>(&'a self, verb: &'a str, more: &'a [&'a str]) -> Vec<&'a OsStr> {
        let first = [self.program.as_os_str(), verb.as_ref(), "--pidfile".as_ref(), self.pid_file.as_ref()];
        first.into_iter().chain(more.iter().map(AsRef::as_ref)).collect()
    }

    /// The same as an array for execve(2).
    pub fn argv(&self, verb: &str, more: &[&str]) -> Vec<CString> {
        self.words(verb, more).into_iter().map(|word| CString::new(word.as_bytes()).expect("no null")).collect()
    }

    /// Calls it with the pid file, and waits for its end.
    pub fn call(&self, verb: &str, more: &[&str]) -> Told {
        run(&self.words(verb, more))
    }

    /// Calls it for what has nothing to do with a pid file.
    pub fn call_without_file(&self, verb: &str) -> Told {
        run(&[self.program.as_os_str(), verb.as_ref()])
    }

    /// What lies in the pid file's directory.
    pub fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path()).expect("the directory").count()
    }

    /// Starts a daemon, and checks that it holds the pid file.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn start(&self, more: &[&str]) -> Result<Pid, String> {
        let told = self.call("start", more);
        let pid = told.pid().filter(|_| told.status == 0).ok_or_else(|| format!("start: {told:?}"))?;
        let holders = crate::proc::truth(&self.pid_file).holders;
        must(holders == [pid], || format!("start tells {pid:?}, the holders are {holders:?}"))?;
        Ok(pid)
    }

    /// Stops the daemon, and reaps it.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub fn stop(&self, daemon: Pid) -> Result<(), String> {
        let told = self.call("stop", &[]);
        must(told.status == 0 && told.out == "stopped\n", || format!("stop: {told:?}"))?;
        // Its end was told by the kernel: nothing is waited for here.
        match waitpid(Some(daemon), WaitOptions::NOHANG) {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("stop says that it has ended; {other:?}")),
        }
    }
}

fn run(words: &[&OsStr]) -> Told {
    let (program, arguments) = words.split_first().expect("the program");
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("the tool runs");
    Told {
        status: output.status.code().unwrap_or(128 + std::os::unix::process::ExitStatusExt::signal(&output.status).unwrap_or(0)),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Default for Tool {
    fn default() -> Self {
        Self::new()
    }
}
