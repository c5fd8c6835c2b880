//! start and run.

use super::args::{Call, Verb};
use super::exec::Whereabouts;
use super::line::Line;
use super::{DONE, FAILED, report, text, worker};
use core::ffi::CStr;
use core::time::Duration;
use daemon_steps::{
    CloseFds, Daemon, Detached, EnvBlock, EnvFilter, Error, Holder, Ids, Outcome, PidFile, Plan, Stdio, Step, Steps, detach,
    exit, holder, open_pid_file, remove_left_over, wait_newline,
};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, fstat};
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

/// Starts the daemon and reports what it has become.
pub(crate) fn start(call: &Call<'_>, env: &EnvBlock<'static>) -> i32 {
    // Before the readiness pipe: its own descriptors are none that the user means.
    if let Err(status) = all_open(call.keep.as_slice()) {
        return status;
    }
    let ready = match call.ready_fd.map(ReadyFd::open).transpose() {
        Ok(ready) => ready,
        Err(errno) => return text::complain("open the readiness descriptor", [], errno),
    };
    let left = is_left(call.pid_file);
    match become_daemon(call, env, Steps::DETACH) {
        Err(status) => status,
        Ok(Outcome::Ready(pid)) => started(call, pid, ready, left),
        Ok(outcome) => died(outcome),
    }
}

/// The same in the foreground, in this process.
pub(crate) fn run(call: &Call<'_>, env: &EnvBlock<'static>) -> i32 {
    match all_open(call.keep.as_slice()).and(all_open(call.ready_fd.as_slice())) {
        Err(status) => status,
        Ok(()) => become_daemon(call, env, Steps::empty()).err().unwrap_or(FAILED),
    }
}

fn all_open(fds: &[RawFd]) -> Result<(), i32> {
    // SAFETY: a number that is not open is what is asked for; none is closed.
    #[allow(unsafe_code)]
    let is_open = |fd: RawFd| fcntl_getfd(unsafe { BorrowedFd::borrow_raw(fd) }).is_ok();
    let Some(fd) = fds.iter().copied().find(|fd| !is_open(*fd)) else { return Ok(()) };
    Line::new().text("daemon: cannot keep descriptor ").number(fd.unsigned_abs().into()).text(": it is not open").err();
    Err(FAILED)
}

/// Becomes what `call` says; does not return in the daemon.
fn become_daemon(call: &Call<'_>, env: &EnvBlock<'static>, how: Steps) -> Result<Outcome, i32> {
    let whereabouts = Whereabouts::new(env, call.root.is_some());
    // SAFETY: the numbers are what the user says this program has inherited; they are open, as has been asked.
    #[allow(unsafe_code)]
    let borrow = |fd: RawFd| unsafe { BorrowedFd::borrow_raw(fd) };
    let mut keep = [borrow(0); 40];
    let kept = call.keep.as_slice().iter().copied().chain(call.ready_fd);
    let mut length = 0;
    for (place, fd) in keep.iter_mut().zip(kept) {
        *place = borrow(fd);
        length += 1;
    }
    let keep = keep.get(..length).unwrap_or_default();
    let plan = plan(call, env, how, keep);
    match detach(&plan) {
        Ok(Detached::Daemon(daemon)) => exit(live(call, env, &whereabouts, daemon)),
        Ok(Detached::Caller(outcome)) => Ok(outcome),
        Err(error) => Err(refused(call, error)),
    }
}

fn plan<'a, 'p>(call: &'a Call<'p>, env: &'a EnvBlock<'static>, how: Steps, keep: &'a [BorrowedFd<'a>]) -> Plan<'a, 'p> {
    let mut steps = how | Steps::FOREGROUND.difference(Steps::READY) | Steps::PID_FILE | Steps::CLOSE_FDS;
    steps.set(Steps::FILTER_ENV, !call.env.as_slice().is_empty());
    steps.set(Steps::CHROOT, call.root.is_some());
    steps.set(Steps::DROP_PRIVILEGES, call.user.is_some());
    let usual = if call.verb == Verb::Run { Stdio::Keep } else { Stdio::Null };
    let mut plan = Plan {
        pid_file: Some(call.pid_file),
        // SAFETY: this program has nothing open but what it keeps: the steps' own, and `keep`.
        #[allow(unsafe_code)]
        close: Some(unsafe { CloseFds::all_but(keep) }),
        env: (EnvFilter::Keep(call.env.as_slice()), env),
        umask: call.umask,
        stdio: call.files.map(|file| file.map_or(usual, |path| Stdio::File(path, Mode::from_raw_mode(0o644)))),
        directory: call.directory,
        timeout: call.timeout,
        ..Plan::new(steps)
    };
    if let Some(root) = call.root {
        plan.root = root;
    }
    if let Some(user) = &call.user {
        plan.ids = Ids { uid: user.uid, gid: user.gid, groups: user.groups.as_slice() };
    }
    plan
}

/// In the daemon: executes COMMAND, or works.
fn live(call: &Call<'_>, env: &EnvBlock<'static>, whereabouts: &Whereabouts<'_>, daemon: Daemon<'_>) -> i32 {
    if call.command.is_empty() {
        return worker::work(daemon);
    }
    let kept = daemon.pid_file.as_ref().map_or(Ok(()), PidFile::keep_across_exec);
    let errno = match kept {
        Ok(()) => whereabouts.exec(call.command, env),
        Err(errno) => errno,
    };
    let error = Step::Exec.failed(errno);
    if let Some(notifier) = daemon.notifier {
        // Whoever waits removes the pid file, and tells the user.
        let _ = notifier.failed(error);
        return FAILED;
    }
    if let Some(file) = daemon.pid_file {
        let _ = file.remove();
    }
    refused(call, error)
}

/// One line that names the step and the reason; the exit status.
fn refused(call: &Call<'_>, error: Error) -> i32 {
    let running = (error.step, error.errno) == (Step::LockPidFile, Errno::WOULDBLOCK);
    if running {
        let line = Line::new().text("daemon: already ");
        match open_pid_file(call.pid_file).and_then(|file| holder(&file)) {
            Ok(Holder::Running(pid)) => line.text("running, pid ").pid(pid),
            Ok(Holder::Starting) => line.text("starting"),
            Ok(Holder::OutOfSight) => line.text("running, in another pid namespace"),
            Ok(Holder::LeftBehind) => line.text("running: what a daemon that has ended left behind still holds its pid file"),
            _ => line.text("locked by another program: ").shown(call.pid_file.to_bytes()),
        }
        .err();
        return FAILED;
    }
    let what = error.step.as_str();
    match error.step {
        Step::LockPidFile => text::complain_of_pid_file(what, call.pid_file, error.errno),
        Step::ClaimPidFile => text::complain(what, [call.pid_file], error.errno),
        Step::Stdio => text::complain(what, call.files.into_iter().flatten(), error.errno),
        Step::Chdir => text::complain(what, [call.directory], error.errno),
        Step::Chroot => text::complain(what, call.root, error.errno),
        Step::Exec => text::complain(what, call.command.iter().take(1).flatten().map(|command| command.as_c_str()), error.errno),
        _ => text::complain(what, [], error.errno),
    }
}

/// The daemon has told its word; with `--ready-fd` the command has to tell its own.
fn started(call: &Call<'_>, pid: Pid, ready: Option<ReadyFd>, left: bool) -> i32 {
    if let Some(ready) = ready {
        match ready.wait(pid, call.timeout) {
            Ok(true) => {}
            Ok(false) => {
                return abandon(call, pid, "it ended, or closed its descriptor, without having been ready");
            }
            Err(Errno::TIMEDOUT) => return abandon(call, pid, "it was not ready in time"),
            Err(errno) => {
                text::complain("wait for readiness", [], errno);
                return abandon(call, pid, "it is not known to be ready");
            }
        }
    }
    if left {
        Line::new().text("the pid file was left by an instance that has ended: ").shown(call.pid_file.to_bytes()).out();
    }
    Line::new().text("started, pid ").pid(pid).out();
    report::report(pid);
    DONE
}

/// Ends a daemon that has not become ready.
fn abandon(call: &Call<'_>, pid: Pid, why: &str) -> i32 {
    // A number may be a stranger's where `SIGCHLD` is ignored; a child that can be waited for is none.
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) {
        let child = WaitId::PidFd(pidfd.as_fd());
        if waitid(child, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_ok() {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED));
        }
    }
    let _ = remove_left_over(call.pid_file);
    Line::new().text("daemon: not started: ").text(why).err();
    FAILED
}

fn died(outcome: Outcome) -> i32 {
    let line = Line::new().text("daemon: not started: it ended");
    match outcome {
        Outcome::Died(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => line.text(" at once, with status ").number(code.unsigned_abs().into()),
            (_, Some(signal)) => line.text(" at once, by signal ").number(signal.unsigned_abs().into()),
            _ => line,
        },
        _ => line,
    }
    .err();
    FAILED
}

/// Whether there is a pid file with something in it that nobody holds.
fn is_left(path: &CStr) -> bool {
    let Ok(file) = open_pid_file(path) else { return false };
    holder(&file) == Ok(Holder::Nobody) && fstat(&file).is_ok_and(|stat| stat.st_size > 0)
}

/// The pipe whose write end COMMAND finds at the number of `--ready-fd`.
struct ReadyFd {
    read_end: OwnedFd,
    write_end: OwnedFd,
}

impl ReadyFd {
    /// First of all, so that nothing else of this program gets the number.
    fn open(number: RawFd) -> Result<Self, Errno> {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let above = fcntl_dupfd_cloexec(&read_end, number.checked_add(1).ok_or(Errno::BADF)?)?;
        // Before its number is given to another: the pipe may have got just the number wanted.
        drop(read_end);
        let read_end = above;
        if write_end.as_raw_fd() == number {
            fcntl_setfd(&write_end, FdFlags::empty())?;
            return Ok(Self { read_end, write_end });
        }
        // SAFETY: what was at the number was inherited: nothing in this program owns it.
        #[allow(unsafe_code)]
        unsafe { daemon_steps::dup3(&write_end, number, false) }?;
        // SAFETY: the duplicate is new, and this is its only owner.
        #[allow(unsafe_code)]
        let write_end = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Self { read_end, write_end })
    }

    /// Whether the newline comes before the end of the process.
    fn wait(self, pid: Pid, timeout: Option<Duration>) -> Result<bool, Errno> {
        drop(self.write_end);
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        wait_newline(self.read_end.as_fd(), pidfd.as_fd(), timeout)
    }
}
