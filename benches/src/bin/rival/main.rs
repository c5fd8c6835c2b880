//! What a user might pick, one at a time: started by the bench, which reads the nanoseconds that it writes to its output.
//!
//! `rival detach WHO MEBIBYTES HOW`, `rival close WHO DESCRIPTORS NUMBERS`, `rival ready daemonize PIDFILE`.

mod close;
mod detach;

use rustix::time::{ClockId, clock_gettime};
use std::env::args;
use std::fs::File;
use std::io::{Write, stdout};
use std::os::fd::AsFd;

fn main() {
    let arguments: Vec<_> = args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["detach", who, mebibytes, how] => detach::detach(who, number(mebibytes), how == "touch"),
        ["ready", "daemonize", path] => detach::ready(path),
        ["close", who, descriptors, numbers] => close::close(who, number(descriptors), number(numbers)),
        _ => panic!("see the source: the bench calls this"),
    }
}

fn number(argument: &str) -> usize {
    argument.parse().expect("a number")
}

/// The same clock in every process.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Standard output, which a daemon no longer has under that number.
fn report() -> File {
    File::from(stdout().as_fd().try_clone_to_owned().expect("a descriptor"))
}

fn tell(mut to: File, times: &[u64]) {
    let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_ne_bytes()).collect();
    to.write_all(&bytes).expect("the bench reads");
}
