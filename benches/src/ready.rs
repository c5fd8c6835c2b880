//! Small programs as a whole, without a C library.

use crate::figure::{Figures, Medians};
use crate::run::{reap, times, until_heard};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{read_to_string, remove_file};
use std::path::{Path, PathBuf};

const RUNS: usize = 301;

/// From before exec until the daemon is ready with a claimed pid file; and two forks by themselves.
pub(crate) fn measure(programs: &Path, figures: &mut Figures) {
    let path = pid_file();
    let argument = path.to_str().expect("UTF-8");
    let [medians] = figures.interleave(["ready"], 1, RUNS, &["minimal", "floor", "musl", "daemonize"], |who| {
        [match who {
            // Silent: their output is closed when the first process exits, and that it does when the daemon is ready.
            "minimal" => until_ready(&programs.join("minimal"), &path),
            "floor" => until_ready(&programs.join("minimal-floor"), &path),
            "musl" => until_told(&programs.join("musl"), &["ready", who, argument]),
            _ => until_told(&programs.join("rival"), &["ready", who, argument]),
        }]
    });
    let _ = remove_file(&path);
    lines("ready", &medians, &[("daemonize", 0.35), ("musl", 0.9), ("floor", 1.15)], figures);
    let run = |who: &str| times(&programs.join(who), &[]).try_into().expect("one time");
    let [medians] = figures.interleave(["forks"], 1, RUNS, &["forks", "floor"], run);
    lines("fork-setsid-fork-exit", &medians, &[("floor", 1.05)], figures);
}

/// As deep below the root as one in /run.
pub(crate) fn pid_file() -> PathBuf {
    std::env::temp_dir().join(format!("daemon-steps-bench-{}.pid", std::process::id()))
}

fn lines(what: &str, medians: &Medians, bounds: &[(&str, f64)], figures: &mut Figures) {
    for (who, bound) in bounds {
        figures.line(what, 1, medians.0[0].1, (who, medians.of(who)), Some(*bound));
    }
}

fn until_ready(program: &Path, path: &Path) -> u64 {
    let _ = remove_file(path);
    let time = until_heard(program, &[path.to_str().expect("UTF-8")]);
    end(path);
    reap();
    time
}

fn until_told(program: &Path, arguments: &[&str; 3]) -> u64 {
    let _ = remove_file(arguments[2]);
    let time = until_heard(program, arguments);
    reap();
    assert!(Path::new(arguments[2]).exists(), "a pid file");
    time
}

/// Ends the daemon that the pid file names: one that this process has adopted.
pub(crate) fn end(path: &Path) {
    let pid = read_to_string(path).ok().and_then(|pid| pid.trim_end().parse().ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("a daemon is ready"), Signal::TERM).expect("a daemon");
}
