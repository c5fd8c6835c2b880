//! Surroundings that a step must stand: for fixtures, which have one thread.

use libc::c_long;
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general as kernel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, read, write};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::{UnshareFlags, unshare_unsafe};

// Calls that some architectures have under another name only.
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
pub const SYS_OPEN: c_long = libc::SYS_openat;
#[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
pub const SYS_OPEN: c_long = libc::SYS_open;
#[cfg(target_pointer_width = "32")]
pub const SYS_NEWFSTATAT: c_long = libc::SYS_fstatat64;
#[cfg(target_pointer_width = "64")]
pub const SYS_NEWFSTATAT: c_long = libc::SYS_newfstatat;

/// Calls that 32-bit architectures have a second time, with wider numbers: who denies one means both.
#[cfg(target_pointer_width = "32")]
const WIDER: &[(c_long, c_long)] = &[
    (libc::SYS_clock_gettime, kernel::__NR_clock_gettime64 as c_long),
    (libc::SYS_fcntl, libc::SYS_fcntl64),
    (libc::SYS_fstatat64, libc::SYS_statx),
    (libc::SYS_ftruncate, libc::SYS_ftruncate64),
    (libc::SYS_getgroups, libc::SYS_getgroups32),
    (libc::SYS_ppoll, kernel::__NR_ppoll_time64 as c_long),
    (libc::SYS_rt_sigtimedwait, kernel::__NR_rt_sigtimedwait_time64 as c_long),
    (libc::SYS_setgroups, libc::SYS_setgroups32),
    (libc::SYS_setresgid, libc::SYS_setresgid32),
    (libc::SYS_setresuid, libc::SYS_setresuid32),
];
#[cfg(target_pointer_width = "32")]
const F_GETLK64: i32 = 12;
#[cfg(target_pointer_width = "64")]
const WIDER: &[(c_long, c_long)] = &[];

/// From here on the kernel answers each of these system calls with that errno.
pub fn deny(calls: &[(c_long, Errno)]) {
    deny_if(&calls.iter().map(|(call, errno)| (*call, None, *errno)).collect::<Vec<_>>());
}

/// From here on the kernel says yes to this system call, and does nothing.
pub fn lie(call: c_long) {
    install(&[(call, None, 0)]);
}

/// The same as [`deny`], but only when the call's first argument has the value given (its low 32 bits).
pub fn deny_if(calls: &[(c_long, Option<u32>, Errno)]) {
    install(&calls.iter().map(|(call, first, errno)| (*call, *first, errno.raw_os_error() as u32)).collect::<Vec<_>>());
}

/// From here on the kernel kills the process at any system call but these.
pub fn allow_only(calls: &[i64]) {
    let allow = |call: &i64| [equal(*call as u32, 1), answer(libc::SECCOMP_RET_ALLOW)];
    let mut program = vec![load(0)];
    program.extend(calls.iter().flat_map(allow));
    program.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
    from_here_on(&mut program);
}

/// A filter that answers each call with the number given instead of making it; zero is success.
fn install(calls: &[(c_long, Option<u32>, u32)]) {
    let mut program = Vec::new();
    let wider = |(call, first, errno): &(c_long, _, _)| {
        WIDER.iter().find(|(narrow, _)| narrow == call).map(|(_, wider)| (*wider, *first, *errno))
    };
    for (call, first, errno) in calls.iter().copied().chain(calls.iter().filter_map(wider)) {
        let refuse = answer(libc::SECCOMP_RET_ERRNO | errno);
        program.push(load(0));
        match first {
            None => program.extend([equal(call as u32, 1), refuse]),
            // args[0] stands at byte 16 of seccomp_data; its low half comes first on these machines.
            Some(value) => program.extend([equal(call as u32, 3), load(16), equal(value, 1), refuse]),
        }
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    from_here_on(&mut program);
}

fn from_here_on(program: &mut [libc::sock_filter]) {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    super::need_kernel("a seccomp filter");
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

fn load(offset: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Skips so many instructions if what was loaded is not this.
fn equal(k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt: 0, jf: skip, k }
}

fn answer(k: u32) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k }
}

/// Halts whoever makes certain system calls, so that something else can happen first.
///
/// By seccomp's user notification: the filter is on the process that calls [`Halt::at`], which must not make these calls
/// any more, and on those that it starts.
pub struct Halt {
    listener: Option<OwnedFd>,
    actors: Vec<OwnedFd>,
}

/// A system call that waits to be let go.
pub struct Halted {
    id: u64,
    pub call: c_long,
    pub pid: i32,
}

impl Halt {
    pub fn at(calls: &[c_long]) -> Self {
        let halts = |call: &c_long| [equal(*call as u32, 1), answer(libc::SECCOMP_RET_USER_NOTIF)];
        let mut program = vec![load(0)];
        program.extend(calls.iter().flat_map(halts));
        program.push(answer(libc::SECCOMP_RET_ALLOW));
        Self::with(program)
    }

    /// At one command of fcntl(2) only: the standard library has others of its own.
    pub fn at_fcntl(command: i32) -> Self {
        #[cfg(target_pointer_width = "64")]
        let (fcntl, command) = (libc::SYS_fcntl, command);
        // The second time with commands that take wider locks.
        #[cfg(target_pointer_width = "32")]
        let (fcntl, command) = (libc::SYS_fcntl64, command + F_GETLK64 - libc::F_GETLK);
        // The command is args[1], whose low half stands at byte 24 of seccomp_data.
        let [nr, command] = [equal(fcntl as u32, 3), equal(command as u32, 1)];
        Self::with(vec![load(0), nr, load(24), command, answer(libc::SECCOMP_RET_USER_NOTIF), answer(libc::SECCOMP_RET_ALLOW)])
    }

    fn with(mut program: Vec<libc::sock_filter>) -> Self {
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        super::need_kernel("a seccomp listener");
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        // SAFETY: the program outlives the calls, which copy it; the descriptor is new, and nobody else's.
        let listener = unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            let listener = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
            assert!(listener > 2, "a listener: {}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(listener as i32)
        };
        Self { listener: Some(listener), actors: Vec::new() }
    }

    /// Starts a process that acts, and ends; its pid.
    pub fn start(&mut self, act: impl FnOnce()) -> Pid {
        let (ended, ends) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        match daemon_steps::fork().expect("a fork") {
            daemon_steps::Fork::Child => {
                // Without it the kernel lets go of a call that nobody would hear of.
                self.listener = None;
                act();
                daemon_steps::exit(0);
            }
            daemon_steps::Fork::Parent(actor) => {
                drop(ends);
                self.actors.push(ended);
                actor
            }
        }
    }

    /// Starts a process that acts, halted at calls that this one makes, too: the filter is the actor's own.
    pub fn only(calls: &[c_long], act: impl FnOnce()) -> (Self, Pid) {
        let [(ended, ends), (told, tell), (waits, go)] = [(); 3].map(|()| pipe_with(PipeFlags::CLOEXEC).expect("a pipe"));
        let daemon_steps::Fork::Parent(actor) = daemon_steps::fork().expect("a fork") else {
            let halt = Self::at(calls);
            write(&tell, &halt.listener().as_raw_fd().to_ne_bytes()).expect("told");
            read(&waits, &mut [0][..]).expect("the other has it");
            drop((halt, ended, told, go));
            act();
            daemon_steps::exit(0);
        };
        let mut number = [0; 4];
        assert_eq!(read(&told, &mut number), Ok(4), "the actor has a filter");
        let process = pidfd_open(actor, PidfdFlags::empty()).expect("the actor");
        let listener = pidfd_getfd(process, i32::from_ne_bytes(number), PidfdGetfdFlags::empty()).expect("its listener");
        write(&go, b".").expect("told");
        drop(ends);
        (Self { listener: Some(listener), actors: vec![ended] }, actor)
    }

    /// The next call that halts; `None` when all actors have ended.
    pub fn next(&mut self) -> Option<Halted> {
        loop {
            let mut fds: Vec<_> = self.actors.iter().map(|ended| PollFd::new(ended, PollFlags::IN)).collect();
            fds.push(PollFd::new(self.listener(), PollFlags::IN));
            let limit = Timespec::try_from(super::LIMIT).expect("a limit");
            assert!(rustix::io::retry_on_intr(|| poll(&mut fds, Some(&limit))).expect("poll") > 0, "a call or an end in time");
            if fds.pop().is_some_and(|listener| listener.revents().contains(PollFlags::IN)) {
                return Some(self.receive());
            }
            let ended: Vec<_> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let mut ended = ended.into_iter();
            self.actors.retain(|_| ended.next() != Some(true));
            if self.actors.is_empty() {
                return None;
            }
        }
    }

    fn listener(&self) -> &OwnedFd {
        self.listener.as_ref().expect("the process that halts, not one that acts")
    }

    fn receive(&self) -> Halted {
        // SAFETY: a plain structure, which the kernel wants to be zero and then fills.
        let call = unsafe {
            let mut call: libc::seccomp_notif = std::mem::zeroed();
            let received = libc::ioctl(self.listener().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call);
            assert_eq!(received, 0, "a call: {}", std::io::Error::last_os_error());
            call
        };
        Halted { id: call.id, call: call.data.nr.into(), pid: call.pid as i32 }
    }

    /// Lets a halted call be made.
    pub fn go(&self, halted: Halted) {
        self.answer(&halted, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32);
    }

    /// Answers a halted call with an error.
    pub fn refuse(&self, halted: Halted, errno: Errno) {
        self.answer(&halted, -errno.raw_os_error(), 0);
    }

    fn answer(&self, halted: &Halted, error: i32, flags: u32) {
        let go = libc::seccomp_notif_resp { id: halted.id, val: 0, error, flags };
        // SAFETY: the kernel reads the structure.
        let sent = unsafe { libc::ioctl(self.listener().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const go) };
        assert_eq!(sent, 0, "the call goes on: {}", std::io::Error::last_os_error());
    }
}
