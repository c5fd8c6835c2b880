//! Surroundings that a step must stand: for fixtures, which have one thread.

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// From here on the kernel answers each of these system calls with that errno.
pub fn deny(calls: &[(i64, Errno)]) {
    deny_if(&calls.iter().map(|(call, errno)| (*call, None, *errno)).collect::<Vec<_>>());
}

/// From here on the kernel says yes to this system call, and does nothing.
pub fn lie(call: i64) {
    install(&[(call, None, 0)]);
}

/// The same as [`deny`], but only when the call's first argument has the value given (its low 32 bits).
pub fn deny_if(calls: &[(i64, Option<u32>, Errno)]) {
    install(&calls.iter().map(|(call, first, errno)| (*call, *first, errno.raw_os_error() as u32)).collect::<Vec<_>>());
}

/// A filter that answers each call with the number given instead of making it; zero is success.
fn install(calls: &[(i64, Option<u32>, u32)]) {
    let op = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let equal = |k, jt, jf| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, jt, jf);
    let answer = |k| op(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let mut program = Vec::new();
    for (call, first, errno) in calls {
        let refuse = answer(libc::SECCOMP_RET_ERRNO | *errno);
        program.push(load(0));
        match first {
            None => program.extend([equal(*call as u32, 0, 1), refuse]),
            // args[0] stands at byte 16 of seccomp_data; its low half comes first on these machines.
            Some(value) => program.extend([equal(*call as u32, 0, 3), load(16), equal(*value, 0, 1), refuse]),
        }
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program outlives the calls, which copy it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// Hides `/proc` from this process, in a mount namespace of its own. Needs root.
pub fn hide_proc() {
    cover(c"/proc");
}

/// Covers a directory with an empty file system, in a mount namespace of this process's own. Needs root.
pub fn cover(directory: &std::ffi::CStr) {
    // SAFETY: a fixture has one thread, so nobody loses what it shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("a mount namespace");
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private mounts");
    mount(c"none", directory, c"tmpfs", MountFlags::empty(), None).expect("a tmpfs");
}

/// If this is root's process, makes it one of an ordinary user, without groups and capabilities.
pub fn without_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // SAFETY: numbers and an empty list; a fixture has one thread.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
        assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
    }
}

/// Runs `with` while a second thread is there, waiting.
pub fn with_second_thread<T>(with: impl FnOnce() -> T) -> T {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receive.recv().is_err());
    let result = with();
    drop(send);
    thread.join().expect("the thread ends");
    result
}
