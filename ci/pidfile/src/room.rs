//! A pid namespace to work in, with its own `/proc` and its own [`PLACE`]. It ends when the work ends, or when
//! whoever waits for it is killed, and with it every process and every file in there.

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{
    Pid, Signal, WaitOptions, getegid, geteuid, kill_process, set_child_subreaper, set_parent_process_death_signal, wait, waitpid,
};
use std::fs::write;

/// Where the files are: in memory, seen from this room alone.
pub const PLACE: &str = "/mnt";

/// Work that goes on in a room of its own.
pub struct Room {
    keeper: Pid,
}

impl Room {
    /// Starts the work; `main` tells whether all was right.
    pub fn start(main: impl FnOnce() -> bool) -> Self {
        daemon_steps::fill_stdio().expect("standard streams");
        usual_signals();
        let keeper = fork(|| {
            end_with_parent();
            open();
            let first = fork(|| {
                end_with_parent();
                mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private mounts");
                mount("proc", "/proc", "proc", MountFlags::empty(), None).expect("a /proc of its own");
                mount("tmpfs", PLACE, "tmpfs", MountFlags::empty(), None).expect("a place of its own");
                // Not the work itself is the first process: the kernel would shield it from stray signals.
                let worker = fork(|| {
                    set_child_subreaper(Some(rustix::process::getpid())).expect("a subreaper");
                    crate::case::watch();
                    i32::from(!main())
                });
                end_of(worker)
            });
            end_of(first)
        });
        Self { keeper }
    }

    /// Waits for the end of the work: whether all was right.
    pub fn wait(self) -> bool {
        waitpid(Some(self.keeper), WaitOptions::empty())
            .expect("a child")
            .is_some_and(|(_, status)| status.exit_status() == Some(0))
    }
}

/// As in a shell, whatever was inherited: ends of children are told, nothing is blocked.
fn usual_signals() {
    // SAFETY: the default disposition runs no code of this program.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    daemon_steps::set_signal_mask(daemon_steps::SignalSet::EMPTY).expect("a mask");
}

fn open() {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let user = if uid == 0 { 0 } else { libc::CLONE_NEWUSER };
    // SAFETY: this process has one thread and shares nothing that another relies on.
    let done = unsafe { libc::unshare(user | libc::CLONE_NEWPID | libc::CLONE_NEWNS) };
    assert_eq!(done, 0, "a pid namespace is needed: {}", std::io::Error::last_os_error());
    if user != 0 {
        write("/proc/self/setgroups", "deny").expect("setgroups");
        write("/proc/self/uid_map", format!("{uid} {uid} 1")).expect("uid_map");
        write("/proc/self/gid_map", format!("{gid} {gid} 1")).expect("gid_map");
    }
}

fn end_with_parent() {
    set_parent_process_death_signal(Some(Signal::KILL)).expect("a death signal");
}

/// In a room: the processes that are there besides this one, the first, and those that are known.
pub fn strays(known: &[Pid]) -> Vec<Pid> {
    crate::proc::others().into_iter().filter(|pid| !pid.is_init() && !known.contains(pid)).collect()
}

/// In a room: ends those processes, so that what comes next finds the room as it was.
pub fn sweep(known: &[Pid]) {
    for pid in strays(known) {
        let _ = kill_process(pid, Signal::KILL);
    }
    while strays(known).iter().any(|pid| !crate::proc::is_zombie(*pid)) {
        let _ = wait(WaitOptions::empty());
    }
    reap();
}

/// Reaps what has ended.
pub fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Reaps until `child` ends; its exit status.
fn end_of(child: Pid) -> i32 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return status.exit_status().unwrap_or(1),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("wait: {errno}"),
        }
    }
}

/// Forks; the child ends with the status that `body` returns.
pub fn fork(body: impl FnOnce() -> i32) -> Pid {
    // SAFETY: these programs have one thread.
    match unsafe { libc::fork() } {
        0 => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(1);
            daemon_steps::exit(status)
        }
        child => Pid::from_raw(child).filter(|_| child > 0).expect("fork"),
    }
}
