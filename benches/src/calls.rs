//! The system calls from exec until the daemon is ready, as strace(1) sees them.

use crate::figure::Figures;
use crate::ready::{end, pid_file};
use crate::run::reap;
use std::fs::{read_to_string, remove_file};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const BOUND: f64 = 36.0;

/// One call a signal: whoever resets signals makes them all.
const LEFT_OUT: &str = "rt_sigaction";

/// What a daemon that is ready does next.
const AFTER: &str = "rt_sigtimedwait";

pub(crate) fn count(programs: &Path, figures: &mut Figures) {
    let ours = calls(&programs.join("minimal"), programs);
    let floor = calls(&programs.join("minimal-floor"), programs);
    print!("bench ready-calls 1 ours={} floor={}", ours.len(), floor.len());
    figures.judge(ours.len() as f64, Some(BOUND));
    println!("# ours:  {}", ours.join(" "));
    println!("# floor: {}", floor.join(" "));
}

/// The names, of all processes, in the order in which they were begun.
fn calls(program: &Path, to: &Path) -> Vec<String> {
    let (path, log) = (pid_file(), to.join("calls"));
    let _ = [&path, &log].map(|file| remove_file(file).ok());
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-f", "-o"]).arg(&log).arg(program).arg(&path).stdin(Stdio::null());
    let mut strace = strace.spawn().expect("strace");
    // strace(1) goes on as long as the daemon, which waits for its end.
    while !read_to_string(&log).unwrap_or_default().contains(AFTER) {
        assert!(strace.try_wait().expect("a child").is_none(), "strace, or the program, has failed");
        sleep(Duration::from_millis(5));
    }
    let log = read_to_string(&log).expect("a log");
    end(&path);
    assert!(strace.wait().expect("a child").success());
    reap();
    let _ = remove_file(&path);
    log.lines().filter_map(name).filter(|name| ![LEFT_OUT, AFTER].contains(name)).map(String::from).collect()
}

/// Of the call that is begun in a line `PID NAME(…`.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(' ')?.1.trim_start().split_once('(')?;
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then_some(name)
}
