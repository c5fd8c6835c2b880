//! The state that leads a function onto one of its ways.

use crate::hostile;
use daemon_steps::{Notifier, PidFile, Waiter, open_pid_file, ready_pipe};
use pidfile_proof::room;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, WaitOptions, setrlimit, waitpid};
use std::ffi::CStr;

/// In the room, and nowhere else.
pub const PID_FILE: &CStr = c"/mnt/pid";

/// From here on that call is answered so.
pub fn deny(call: i64, errno: Errno) {
    hostile::deny(&[(call, errno)]);
}

/// Denies `unshare`, as containers do.
pub fn deny_unshare() {
    deny(libc::SYS_unshare, Errno::PERM);
}

/// Denies `close_range`, which old kernels do not have.
pub fn deny_close_range() {
    deny(libc::SYS_close_range, Errno::NOSYS);
}

/// Closes a descriptor.
pub fn close(fd: i32) {
    // SAFETY: a standard stream, or one that the way is about: nothing here uses it any more.
    unsafe { libc::close(fd) };
}

/// `/dev/null`, open for both.
pub fn null() -> OwnedFd {
    openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty()).expect("/dev/null")
}

/// Lowers the limit on descriptors, so that going through all their numbers is short.
pub fn few_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(20), maximum: Some(20) }).expect("a limit");
}

/// Uses every number below the limit.
pub fn full_table() {
    few_descriptors();
    while let Ok(fd) = openat(CWD, c"/dev/null", OFlags::RDWR, Mode::empty()) {
        keep_open(fd);
    }
}

/// Starts a process that acts, and stays.
pub fn elsewhere(act: impl FnOnce()) -> Pid {
    let (told, tell) = rustix::pipe::pipe().expect("a pipe");
    let pid = room::fork(|| {
        act();
        rustix::io::write(&tell, b".").expect("it is heard");
        stay()
    });
    assert_eq!(rustix::io::read(&told, &mut [0; 1][..]), Ok(1), "it has acted");
    pid
}

/// Until it is killed.
pub fn stay() -> ! {
    loop {
        // SAFETY: pause(2) touches no memory.
        unsafe { libc::pause() };
    }
}

/// Waits for its end: its exit status, if it has one.
pub fn reaped(pid: Pid) -> Option<i32> {
    waitpid(Some(pid), WaitOptions::empty()).expect("a child").and_then(|(_, status)| status.exit_status())
}

/// The pid file, locked by this process.
pub fn locked() -> PidFile<'static> {
    PidFile::lock(PID_FILE).expect("the lock")
}

/// The pid file, open for asking, with a daemon behind it.
pub fn held() -> OwnedFd {
    elsewhere(|| {
        let file = locked();
        file.claim().expect("the claim");
        std::mem::forget(file);
    });
    open_pid_file(PID_FILE).expect("the file")
}

/// The same, with nobody behind it.
pub fn unheld() -> OwnedFd {
    drop(locked());
    open_pid_file(PID_FILE).expect("the file")
}

/// As `held`, but the daemon is dead, and its child keeps the lock.
pub fn left_behind() -> OwnedFd {
    let daemon = room::fork(|| {
        let file = locked();
        file.claim().expect("the claim");
        room::fork(|| stay());
        0
    });
    assert_eq!(reaped(daemon), Some(0));
    open_pid_file(PID_FILE).expect("the file")
}

/// Another program holds the flock, and nothing else.
pub fn probed() {
    drop(locked());
    let file = openat(CWD, PID_FILE, OFlags::RDWR, Mode::empty()).expect("the file");
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("the lock");
    std::mem::forget(file);
}

/// A file in the place of the pid file.
pub fn replace() {
    std::fs::write("/mnt/other", "").expect("a file");
    std::fs::rename("/mnt/other", PID_FILE.to_str().expect("utf-8")).expect("the place");
}

/// A notifier whose waiter is there, as the daemon has it.
pub fn notifier() -> (Waiter, Notifier) {
    ready_pipe().expect("a pipe")
}

/// A child that is to become the daemon.
pub fn daemon(act: impl FnOnce(Notifier)) -> (Waiter, Pid) {
    let (waiter, notifier) = notifier();
    let mut notifier = Some(notifier);
    let mut keep = Some(waiter);
    let pid = room::fork(|| {
        drop(keep.take());
        if let Some(notifier) = notifier.take() {
            act(notifier);
        }
        stay()
    });
    drop(notifier);
    (keep.expect("this side's"), pid)
}

/// The daemon is the child of a child that ends at once.
pub fn grandchild(act: impl FnOnce(Notifier)) -> (Waiter, Pid) {
    daemon(|notifier| {
        let mut notifier = Some(notifier);
        room::fork(|| {
            if let Some(notifier) = notifier.take() {
                act(notifier);
            }
            stay()
        });
        daemon_steps::exit(0)
    })
}

/// The alternate signal stack that the standard library has installed.
pub fn signal_stack() -> libc::stack_t {
    let mut stack = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the kernel writes one structure.
    assert_eq!(unsafe { libc::sigaltstack(std::ptr::null(), &raw mut stack) }, 0);
    assert_eq!(stack.ss_flags & libc::SS_DISABLE, 0, "there is one");
    stack
}

/// Uses that stack for signals.
pub fn with_signal_stack(stack: &libc::stack_t) {
    // SAFETY: nobody else uses it, nor is it in use.
    assert_eq!(unsafe { libc::sigaltstack(std::ptr::from_ref(stack), std::ptr::null_mut()) }, 0);
}

/// Uses none.
pub fn without_signal_stack() {
    with_signal_stack(&libc::stack_t { ss_flags: libc::SS_DISABLE, ..signal_stack() });
}

/// As in a program without a C library: nothing is registered for this thread.
pub fn without_libc() {
    without_signal_stack();
    // SAFETY: nobody waits for this thread's end.
    unsafe { libc::syscall(libc::SYS_set_tid_address, 0) };
    // SAFETY: it holds no robust mutex.
    assert_eq!(unsafe { libc::syscall(libc::SYS_set_robust_list, 0, size_of::<[usize; 3]>()) }, 0);
}

/// Leaves a descriptor open.
pub fn keep_open(fd: OwnedFd) {
    std::mem::forget(fd);
}

/// Waits until nobody is in the room any more but this process and its tracer, which reaps.
pub fn wait_until_gone() {
    while room::strays(&[rustix::process::getpid()]).len() > 1 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
