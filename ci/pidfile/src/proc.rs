//! What `/proc` tells of processes, and of a pid file.

use rustix::process::Pid;
use std::fs::{read_dir, read_link, read_to_string};
use std::path::Path;

/// Who has which lock on a pid file.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Truth {
    /// Those that have claimed it: at most one.
    pub holders: Vec<Pid>,
    /// Those that have it open with any lock on it.
    pub lockers: Vec<Pid>,
}

/// All processes but this one.
pub fn others() -> Vec<Pid> {
    let me = rustix::process::getpid();
    let entries = read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).filter(|pid| *pid != me).collect()
}

/// Looks at the open files of every other process.
pub fn truth(path: &Path) -> Truth {
    let mut truth = Truth::default();
    for pid in others() {
        let locks = locks(pid, path);
        if locks.iter().any(|lock| lock.starts_with("POSIX") && lock.ends_with(" 0 0")) {
            truth.holders.push(pid);
        }
        if !locks.is_empty() {
            truth.lockers.push(pid);
        }
    }
    truth
}

/// The locks that a process has on the file at `path`, as fdinfo shows them: kind, mode, ..., first and last byte.
fn locks(pid: Pid, path: &Path) -> Vec<String> {
    let Ok(entries) = read_dir(place(pid, "fd")) else { return Vec::new() };
    let at_path = entries.flatten().filter(|entry| read_link(entry.path()).is_ok_and(|link| link == path));
    let info = at_path.filter_map(|entry| read_to_string(place(pid, "fdinfo") + "/" + entry.file_name().to_str()?).ok());
    info.flat_map(|info| info.lines().filter_map(lock).collect::<Vec<_>>()).collect()
}

fn lock(line: &str) -> Option<String> {
    let words = line.strip_prefix("lock:")?.split_whitespace().skip(1);
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Its `status` file; empty if it is gone.
pub fn status(pid: Pid) -> String {
    read_to_string(place(pid, "status")).unwrap_or_default()
}

/// Whether it is there, and neither a zombie nor dead.
pub fn is_alive(pid: Pid) -> bool {
    status(pid).lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains("X ("))
}

/// Whether it has ended and waits to be reaped.
pub fn is_zombie(pid: Pid) -> bool {
    status(pid).lines().any(|line| line.starts_with("State:\tZ"))
}

/// How many descriptors it has open.
pub fn descriptors(pid: Pid) -> usize {
    read_dir(place(pid, "fd")).map_or(0, Iterator::count)
}

fn place(pid: Pid, name: &str) -> String {
    format!("/proc/{}/{name}", pid.as_raw_nonzero())
}
