//! The steps taken, in a child, one after the other.

use super::input::Input;
use super::model::LIBCS;
use daemon_steps::{
    CloseFds, Detached, Error, Fork, Ids, SignalSet, Stdio, Steps, Stream, block_signals, chdir, chroot, close_except, detach,
    drop_privileges, dup3, fchdir, fill_stdio, fork, ignore_signal, openat, reap, reap_by_kernel, reset_signals,
    set_child_subreaper, set_no_new_privs, set_signal_mask, setgroups, setresgid, setresuid, setsid, stdio_fd, stdio_file,
    stdio_null, tiocnotty, umask, unblock_signals, wait_signal,
};
use rustix::fd::{BorrowedFd, IntoRawFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Signal, Uid, getpid};
use std::ffi::CString;
use std::time::Duration;
use world::Room;

/// No input has more steps.
pub const MOST: usize = 32;

/// A step with its arguments as the process gives them.
#[derive(Debug)]
pub enum Do {
    Umask(u32),
    Chdir(CString),
    Fchdir(i32),
    Chroot(CString),
    Setsid,
    Tiocnotty,
    Fork,
    FillStdio,
    StdioNull,
    StdioFile(i32, CString, u32),
    StdioFd(i32, i32),
    Dup3(i32, i32, bool),
    Open(CString, bool),
    CloseExcept(i32, Vec<i32>),
    ResetSignals,
    Ignore(i32),
    ReapByKernel,
    Block(u64),
    Unblock(u64),
    SetMask(u64),
    Raise(i32),
    WaitSignal(u64),
    Reap(Vec<u8>),
    Subreaper(bool),
    NoNewPrivs,
    Setgroups(Vec<u32>),
    Setresgid(u32),
    Setresuid(u32),
    DropPrivileges(u32, u32, Vec<u32>),
    Detach(Box<Plan>),
}

#[derive(Debug)]
pub struct Plan {
    pub steps: u32,
    pub umask: u32,
    pub stdio: [Redirect; 3],
    pub keep: Vec<i32>,
    pub root: CString,
    pub directory: CString,
    pub ids: (u32, u32, Vec<u32>),
    pub mask: u64,
}

#[derive(Debug)]
pub enum Redirect {
    Null,
    File(CString, u32),
    Fd(i32),
    Keep,
}

/// Zero and what the step returns, or its errno.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    pub errno: i32,
    pub value: u64,
}

impl Answer {
    pub fn of(result: Result<u64, i32>) -> Self {
        match result {
            Ok(value) => Self { errno: 0, value },
            Err(errno) => Self { errno, value: 0 },
        }
    }

    fn said(result: Result<u64, Errno>) -> Self {
        Self::of(result.map_err(Errno::raw_os_error))
    }
}

/// What the child, and those that it forks, tell.
#[derive(Clone, Copy)]
pub struct Told {
    pub answers: [Answer; MOST],
    /// Of the child, of the process that it forks and goes on in, and so on.
    pub pids: [i32; 6],
    pub subreaper: i32,
}

/// In the child: takes all steps, and rests.
pub fn all(room: &Room<Told>, input: &Input, steps: &[(Do, Answer)]) {
    begin(input);
    let told = room.tell();
    let mut generation = 0;
    let mut me = getpid();
    told.pids[0] = number(me);
    for (at, (step, _)) in steps.iter().enumerate() {
        told.answers[at] = take(room, step);
        if getpid() != me {
            if matches!(step, Do::Detach(plan) if plan.steps & Steps::FORK_AGAIN.bits() != 0) {
                // The process between is gone. If it has left a session, that has its number.
                generation += 1;
                // SAFETY: a number.
                told.pids[generation] = unsafe { libc::getsid(0) };
            }
            generation += 1;
            me = getpid();
            told.pids[generation] = number(me);
        }
    }
    // SAFETY: the kernel writes one number.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut told.subreaper) };
    room.rest();
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// What every child begins with.
fn begin(input: &Input) {
    extern "C" fn nothing(_: i32) {}

    world_of_its_own();
    for number in 1..65 {
        let one = 1 << (number - 1);
        let disposition = match () {
            () if input.ignored & one != 0 => libc::SIG_IGN,
            () if input.caught & one != 0 => nothing as extern "C" fn(i32) as libc::sighandler_t,
            () => libc::SIG_DFL,
        };
        if LIBCS & one == 0 {
            // SAFETY: the handler does nothing; for two signals the kernel refuses, which is all right.
            unsafe { libc::signal(number, disposition) };
        } else {
            // The library does not let go of its own, which may be ignored: whoever used posix_spawn(3) leaves them so.
            let default = [0_u64; 4];
            // SAFETY: the kernel reads one action.
            unsafe { libc::syscall(libc::SYS_rt_sigaction, number, &raw const default, 0_usize, size_of::<u64>()) };
        }
    }
}

/// Descriptors 0, 1 and 2, and what else a fuzzer may have been started with otherwise.
fn world_of_its_own() {
    // SAFETY: what is closed is this child's copy, and nobody's here.
    unsafe { libc::close_range(0, u32::MAX, 0) };
    for _ in 0..3 {
        // SAFETY: a C string.
        unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    }
    let base = CString::new(super::files::Files::new().base.into_os_string().into_encoded_bytes()).expect("no null");
    // SAFETY: a C string.
    unsafe { libc::chdir(base.as_ptr()) };
    // SAFETY: a number.
    unsafe { libc::umask(0o022) };
    // SAFETY: no groups, at no address.
    unsafe { libc::setgroups(0, std::ptr::null()) };
    let none = 0_u64;
    // SAFETY: the kernel reads one set.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0_usize, size_of::<u64>()) };
}

fn take(room: &Room<Told>, step: &Do) -> Answer {
    let done = |result: Result<(), Errno>| result.map(|()| 0);
    Answer::said(match step {
        Do::Umask(mask) => umask(Mode::from_raw_mode(*mask)).map(|former| former.as_raw_mode().into()),
        Do::Chdir(path) => done(chdir(path)),
        Do::Fchdir(fd) => done(fchdir(borrow(*fd))),
        Do::Chroot(path) => done(chroot(path)),
        Do::Setsid => setsid().map(|_| 0),
        Do::Tiocnotty => done(tiocnotty()),
        Do::Fork => fork().map(|fork| match fork {
            Fork::Parent(child) => follow(room, child),
            Fork::Child => 0,
        }),
        Do::FillStdio => done(fill_stdio()),
        Do::StdioNull => done(stdio_null()),
        Do::StdioFile(to, path, mode) => done(stdio_file(stream(*to), path, Mode::from_raw_mode(*mode))),
        Do::StdioFd(to, fd) => done(stdio_fd(stream(*to), borrow(*fd))),
        // SAFETY: nothing here owns a descriptor.
        Do::Dup3(old, new, cloexec) => done(unsafe { dup3(borrow(*old), *new, *cloexec) }),
        Do::Open(path, cloexec) => open(path, *cloexec),
        // SAFETY: nothing here owns a descriptor.
        Do::CloseExcept(first, keep) => done(unsafe { close_except(*first, keep.iter().map(|fd| borrow(*fd))) }),
        Do::ResetSignals => done(reset_signals()),
        Do::Ignore(number) => done(ignore_signal(Signal::from_named_raw(*number).expect("its name"))),
        Do::ReapByKernel => done(reap_by_kernel()),
        Do::Block(bits) => block_signals(set(*bits)).map(bits_of),
        Do::Unblock(bits) => unblock_signals(set(*bits)).map(bits_of),
        Do::SetMask(bits) => set_signal_mask(set(*bits)).map(bits_of),
        Do::Raise(number) => {
            // SAFETY: numbers only, and it is blocked.
            unsafe { libc::kill(self::number(getpid()), *number) };
            Ok(0)
        }
        Do::WaitSignal(bits) => wait_signal(set(*bits), Some(Duration::ZERO)).map(|taken| taken.unwrap_or(0) as u64),
        Do::Reap(statuses) => reap_all(statuses),
        Do::Subreaper(adopts) => set_child_subreaper(*adopts).map(u64::from),
        Do::NoNewPrivs => done(set_no_new_privs()),
        Do::Setgroups(groups) => done(setgroups(&gids(groups))),
        Do::Setresgid(gid) => done(setresgid(Gid::from_raw(*gid))),
        Do::Setresuid(uid) => done(setresuid(Uid::from_raw(*uid))),
        Do::DropPrivileges(uid, gid, groups) => {
            done(drop_privileges(&Ids { uid: Uid::from_raw(*uid), gid: Gid::from_raw(*gid), groups: &gids(groups) }))
        }
        Do::Detach(plan) => return take_plan(room, plan),
    })
}

fn take_plan(room: &Room<Told>, plan: &Plan) -> Answer {
    let keep: Vec<_> = plan.keep.iter().map(|fd| borrow(*fd)).collect();
    let groups = gids(&plan.ids.2);
    let plan = daemon_steps::Plan {
        umask: Mode::from_raw_mode(plan.umask),
        stdio: plan.stdio.each_ref().map(|to| match to {
            Redirect::Null => Stdio::Null,
            Redirect::File(path, mode) => Stdio::File(path, Mode::from_raw_mode(*mode)),
            Redirect::Fd(fd) => Stdio::Fd(borrow(*fd)),
            Redirect::Keep => Stdio::Keep,
        }),
        // SAFETY: nothing here owns a descriptor.
        close: Some(unsafe { CloseFds::all_but(&keep) }),
        root: &plan.root,
        directory: &plan.directory,
        ids: Ids { uid: Uid::from_raw(plan.ids.0), gid: Gid::from_raw(plan.ids.1), groups: &groups },
        signal_mask: set(plan.mask),
        ..daemon_steps::Plan::new(Steps::from_bits_truncate(plan.steps))
    };
    match detach(&plan) {
        Ok(Detached::Daemon(daemon)) => Answer::said(daemon.notifier.map_or(Ok(()), daemon_steps::Notifier::ready).map(|()| 0)),
        Ok(Detached::Caller(daemon_steps::Outcome::Ready(daemon))) => follow(room, daemon),
        Ok(Detached::Caller(_)) => room.end(1),
        Err(Error { step, errno }) => Answer { errno: errno.raw_os_error(), value: step as u64 },
    }
}

/// In a process whose child goes on in its place: ends as that does.
fn follow(room: &Room<Told>, child: Pid) -> ! {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one number.
        match unsafe { libc::waitpid(number(child), &raw mut status, 0) } {
            pid if pid == number(child) => break,
            // The kernel has reaped it: its status is lost.
            _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) => break,
            _ => {}
        }
    }
    room.end(i32::from(status != 0))
}

/// Forks children that end with these statuses, and reaps them when all have: how many, and the sum.
fn reap_all(statuses: &[u8]) -> Result<u64, Errno> {
    let mut children = vec![];
    for status in statuses {
        // SAFETY: the child exits at once.
        match unsafe { libc::fork() } {
            0 => daemon_steps::exit((*status).into()),
            child => children.push(child),
        }
    }
    for child in children {
        // SAFETY: nothing is asked for but the end. An interruption is no end.
        while unsafe { libc::waitid(libc::P_PID, child as u32, std::ptr::null_mut(), libc::WEXITED | libc::WNOWAIT) } < 0
            && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
    }
    let mut sum = 0;
    let ended = reap(|_, status| sum += status.exit_status().unwrap_or(-1))?;
    Ok(ended as u64 * 1000 + sum as u64)
}

fn open(path: &CString, cloexec: bool) -> Result<u64, Errno> {
    let flags = if cloexec { OFlags::CLOEXEC } else { OFlags::empty() };
    openat(CWD, path, OFlags::RDONLY | flags, Mode::empty()).map(|fd| fd.into_raw_fd() as u64)
}

fn borrow<'a>(fd: i32) -> BorrowedFd<'a> {
    // SAFETY: whether it is open is part of the input: it is a number that the kernel is given.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

fn stream(number: i32) -> Stream {
    [Stream::Stdin, Stream::Stdout, Stream::Stderr][number as usize]
}

fn set(bits: u64) -> SignalSet {
    (1..65).filter(|number| bits & 1 << (number - 1) != 0).fold(SignalSet::EMPTY, SignalSet::with)
}

fn bits_of(set: SignalSet) -> u64 {
    (1..65).filter(|number| set.contains(*number)).map(|number| 1_u64 << (number - 1)).sum()
}

fn gids(numbers: &[u32]) -> Vec<Gid> {
    numbers.iter().map(|gid| Gid::from_raw(*gid)).collect()
}
