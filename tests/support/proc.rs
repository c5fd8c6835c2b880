//! What `/proc` says of a process, for tests that look from outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The fields of `/proc/PID/stat`, counted from 1 as in proc(5).
pub fn stat(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    let (head, tail) = text.rsplit_once(')').expect("a name in parentheses");
    let (number, name) = head.split_once(" (").expect("a name in parentheses");
    let mut fields = vec![String::new(), number.into(), name.into()];
    fields.extend(tail.split_whitespace().map(String::from));
    fields
}

fn number(pid: i32, field: usize) -> i64 {
    stat(pid)[field].parse().expect("a number")
}

/// `R`, `S`, `T`, `Z`...
pub fn state(pid: i32) -> String {
    stat(pid)[3].clone()
}

pub fn parent(pid: i32) -> i32 {
    number(pid, 4) as i32
}

pub fn group(pid: i32) -> i32 {
    number(pid, 5) as i32
}

pub fn session(pid: i32) -> i32 {
    number(pid, 6) as i32
}

/// The controlling terminal's device number; 0 is none.
pub fn terminal(pid: i32) -> i64 {
    number(pid, 7)
}

/// The lines of `/proc/PID/status`.
pub fn status(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.into(), value.trim().into())).collect()
}

/// A signal set of `/proc/PID/status`: `SigBlk`, `SigIgn`, `SigCgt`, `SigPnd`. Bit 0 is signal 1.
pub fn signals(pid: i32, set: &str) -> u64 {
    u64::from_str_radix(&status(pid)[set], 16).expect("hexadecimal")
}

/// The umask, in octal as `/proc/PID/status` has it: `0022`.
pub fn umask(pid: i32) -> String {
    status(pid)["Umask"].clone()
}

/// Real, effective, saved and file system id.
pub fn uids(pid: i32) -> Vec<u32> {
    ids(&status(pid)["Uid"])
}

pub fn gids(pid: i32) -> Vec<u32> {
    ids(&status(pid)["Gid"])
}

pub fn groups(pid: i32) -> Vec<u32> {
    ids(&status(pid)["Groups"])
}

fn ids(line: &str) -> Vec<u32> {
    line.split_whitespace().map(|id| id.parse().expect("an id")).collect()
}

/// The open descriptors and what they refer to.
pub fn fds(pid: i32) -> BTreeMap<i32, String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process runs");
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, target.to_string_lossy().into_owned()))
        })
        .collect()
}

/// The open flags of one descriptor, `O_CLOEXEC` (0o2000000) included.
pub fn fd_flags(pid: i32, fd: i32) -> i32 {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).expect("the descriptor is open");
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).expect("flags");
    i32::from_str_radix(flags.trim(), 8).expect("octal")
}

pub fn cwd(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/cwd")).expect("the process runs")
}

pub fn root(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/root")).expect("the process runs")
}

pub fn exe(pid: i32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("the process runs")
}

/// The environment that the process was executed with.
pub fn environ(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).expect("the process runs");
    bytes.split(|&b| b == 0).filter(|e| !e.is_empty()).map(|e| String::from_utf8_lossy(e).into_owned()).collect()
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the process runs");
    text.split_whitespace().map(|child| child.parse().expect("a pid")).collect()
}

/// Where the stack ends of a process that halts in a system call; `None` as long as it runs.
pub fn stack_pointer(pid: i32) -> Option<usize> {
    let line = fs::read_to_string(format!("/proc/{pid}/syscall")).expect("the process is there");
    usize::from_str_radix(line.split_whitespace().nth(7)?.strip_prefix("0x")?, 16).ok()
}

pub fn memory(pid: i32, address: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let file = fs::File::open(format!("/proc/{pid}/mem")).expect("the process runs");
    file.read_exact_at(&mut bytes, address as u64).expect("its memory");
    bytes
}
