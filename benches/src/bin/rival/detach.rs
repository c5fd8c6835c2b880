//! Ways to become a daemon.

use crate::{now, report, tell};
use daemon_steps::{Plan, Steps, Way, daemonize};
use daemonize::Daemonize;
use std::hint::black_box;
use std::io::Write;

/// With so much memory written: how long until the daemon runs, and until it has written every page once.
pub(crate) fn detach(who: &str, mebibytes: usize, touch: bool) {
    let report = report();
    let mut memory = vec![0; mebibytes << 20];
    write_pages(&mut memory, 1);
    let before = now();
    become_daemon(who);
    let running = now();
    if touch {
        write_pages(&mut memory, 2);
    }
    tell(report, &[running - before, now() - before]);
}

fn write_pages(memory: &mut [u8], byte: u8) {
    memory.iter_mut().step_by(4096).for_each(|page| *page = byte);
    black_box(memory);
}

fn become_daemon(who: &str) {
    match who {
        "ours" => drop(daemonize(&Plan { way: Way::HANDOFF, ..Plan::new(Steps::DAEMON) }).expect("a daemon")),
        "ours-forks" => drop(daemonize(&Plan::new(Steps::DAEMON)).expect("a daemon")),
        "daemonize" => Daemonize::new().start().expect("a daemon"),
        "fork" => drop(fork::daemon(false, false).expect("a daemon")),
        "nix" => nix::unistd::daemon(false, false).expect("a daemon"),
        // SAFETY: this program has one thread.
        "glibc" => assert_eq!(unsafe { libc::daemon(0, 0) }, 0),
        _ => panic!("nobody of this name"),
    }
}

/// Becomes a daemon that has nothing left to do, and says so: with a pid file, as "nobody" if it was root.
pub(crate) fn ready(path: &str) {
    let mut report = report();
    let mut plan = Daemonize::new().pid_file(path).umask(0o022);
    if rustix::process::geteuid().is_root() {
        plan = plan.user(65534).group(65534);
    }
    plan.start().expect("a daemon");
    report.write_all(b"r").expect("the bench reads");
}
