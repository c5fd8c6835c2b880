//! Medians of interleaved runs, one line a figure: `bench WHAT N ours=… RIVAL=… ratio=…`, ours over the rival's.
//!
//! Absolute times of a shared machine mean nothing; the ratios of one session do.

use daemon_steps::{Fork, Plan, Steps, close_from, daemonize, exit, fork};
use std::hint::black_box;
use std::io::{Read, Write, pipe};
use std::time::Duration;

const RUNS: usize = 15;

fn main() {
    for mebibytes in [1, 64, 512] {
        compare("detach-MiB", mebibytes, detach_ours, &[("daemonize", detach_daemonize)]);
    }
    for descriptors in [100, 10_000] {
        compare("close-fds", descriptors, close_ours, &[("close_fds", close_close_fds), ("loop", close_loop)]);
    }
}

type Measured = fn(usize) -> Duration;

/// Runs all of them in turn, and prints a line a rival.
fn compare(what: &str, n: usize, ours: Measured, rivals: &[(&str, Measured)]) {
    let mut times = vec![Vec::new(); rivals.len() + 1];
    for _ in 0..RUNS {
        for (time, run) in times.iter_mut().zip(std::iter::once(ours).chain(rivals.iter().map(|(_, run)| *run))) {
            time.push(in_child(|| run(n)));
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    for ((name, _), rival) in rivals.iter().zip(&medians[1..]) {
        println!("bench {what} {n} ours={:.1}us {name}={rival:.1}us ratio={:.3}", medians[0], medians[0] / rival);
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// Runs `measured` in a process of its own, or in what that process becomes, and reads the time it tells.
fn in_child(measured: impl FnOnce() -> Duration) -> Duration {
    let (mut hear, mut tell) = pipe().expect("a pipe");
    if fork().expect("one thread") == Fork::Child {
        drop(hear);
        let time = measured();
        tell.write_all(&time.as_nanos().to_ne_bytes()).expect("the parent reads");
        exit(0);
    }
    drop(tell);
    let mut bytes = [0; 16];
    hear.read_exact(&mut bytes).expect("the child tells its time");
    // All copies of the pipe are closed when the last process has ended: nothing runs into the next measurement.
    let _ = hear.read(&mut [0]);
    daemon_steps::reap(|_, _| ()).expect("wait4");
    Duration::from_nanos(u128::from_ne_bytes(bytes) as u64)
}

/// From the call until the daemon runs, with so much memory touched before.
fn detach(mebibytes: usize, become_daemon: impl FnOnce()) -> Duration {
    let mut memory = vec![0_u8; mebibytes << 20];
    memory.iter_mut().step_by(4096).for_each(|page| *page = 1);
    let before = now();
    become_daemon();
    let after = now();
    black_box(&memory);
    after - before
}

/// The same clock in every process.
fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to the place given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn detach_ours(mebibytes: usize) -> Duration {
    detach(mebibytes, || drop(daemonize(&Plan::new(Steps::DAEMON)).expect("a daemon")))
}

fn detach_daemonize(mebibytes: usize) -> Duration {
    detach(mebibytes, || daemonize::Daemonize::new().start().expect("a daemon"))
}

/// Opens so many descriptors beside the two or three there are, and closes them all but the first ten.
fn close_all(descriptors: usize, close: impl FnOnce()) -> Duration {
    for fd in 0..descriptors as i32 {
        // SAFETY: from 10 on nothing in this process owns a descriptor.
        assert!(unsafe { libc::dup2(0, 10 + fd) } >= 0, "the limit of descriptors is lower");
    }
    let before = now();
    close();
    now() - before
}

fn close_ours(descriptors: usize) -> Duration {
    // SAFETY: nobody owns what `close_all` has opened.
    close_all(descriptors, || unsafe { close_from(10) }.expect("closed"))
}

fn close_close_fds(descriptors: usize) -> Duration {
    // SAFETY: as above.
    close_all(descriptors, || unsafe { close_fds::close_open_fds(10, &[]) })
}

fn close_loop(descriptors: usize) -> Duration {
    close_all(descriptors, || {
        for fd in 0..descriptors as i32 {
            // SAFETY: as above.
            unsafe { libc::close(10 + fd) };
        }
    })
}
