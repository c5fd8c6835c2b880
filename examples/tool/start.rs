//! start, restart and run.

use super::args::{Call, Verb, borrow};
use super::exec::Whereabouts;
use super::line::{Line, STDIN};
use super::stop::{look, stop};
use super::{DONE, FAILED, report, text, worker};
use daemon_steps::{
    CloseFds, Daemon, Detached, EnvBlock, EnvFilter, Error, Holder, Outcome, PidFile, Stdio, Step, Steps, ThinCStr, detach, dup3,
    exit, remove_left_over, wait_newline,
};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{Errno, close, fcntl_getfd, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, kill_process, kill_process_group, waitid, waitpid,
};

/// The pid file is locked by another instance.
const LOCKED: Error = Step::LockPidFile.failed(Errno::WOULDBLOCK);

/// More often than as many instances can follow each other while this one looks.
const TRIES: usize = 100;

/// Starts the daemon and reports what it has become; with `run` becomes it.
///
/// Not inlined: code that reaches far on the stack is longer.
#[inline(never)]
pub(crate) fn start(call: &Call<'_>, env: &EnvBlock<'static>, line: &mut Line) -> i32 {
    let number = call.ready_fd.filter(|_| call.verb != Verb::Run);
    // Before the readiness pipe: its own descriptors are none that the user means.
    let missing = call.kept().iter().find(|fd| Some(fd.as_raw_fd()) != number && fcntl_getfd(fd).is_err());
    if let Some(fd) = missing {
        line.error("cannot keep descriptor ").number(fd.as_raw_fd().unsigned_abs()).text(": it is not open").err();
        return FAILED;
    }
    let pipe = match number.map(ready_pipe).transpose() {
        Ok(pipe) => pipe,
        Err(errno) => return text::complain(line, "open the readiness descriptor", &[], errno),
    };
    if call.verb == Verb::Restart && stop(call, line) != DONE {
        return FAILED;
    }
    let left = look(call.pid_file) == Ok((Holder::Nobody, true));
    match become_daemon(call, env, line) {
        Err(status) => status,
        Ok(Outcome::Ready(pid)) => started(call, pid, pipe, left, line),
        Ok(outcome) => died(outcome, line),
    }
}

/// Becomes what `call` says; does not return in the daemon. What went wrong is told; the exit status.
fn become_daemon(call: &Call<'_>, env: &EnvBlock<'static>, line: &mut Line) -> Result<Outcome, i32> {
    let whereabouts = Whereabouts::new(env, call.plan.steps.contains(Steps::CHROOT), line);
    let mut plan = call.plan;
    // SAFETY: this program has nothing open but what it keeps: the steps' own, and the user's.
    #[allow(unsafe_code)]
    let close = unsafe { CloseFds::all_but(call.kept()) };
    plan.close = Some(close);
    plan.pid_file = Some(call.pid_file);
    plan.env = (EnvFilter::Keep(call.env.as_slice()), env);
    if let [gid, groups @ ..] = call.gids.as_slice() {
        plan.ids.gid = *gid;
        plan.ids.groups = groups;
    }
    let mut tries = 0..TRIES;
    let detached = loop {
        match detach(&plan) {
            Err(LOCKED) => match look(call.pid_file) {
                // Whoever had it locked may have ended since: then there is nothing to tell but to try again.
                Err(Errno::NOENT) | Ok((Holder::Nobody, _)) if tries.next().is_some() => {}
                found => return Err(occupied(found.map(|(holder, _)| holder), line)),
            },
            detached => break detached.map_err(|error| refused(call, error, line))?,
        }
    };
    match detached {
        Detached::Daemon(daemon) => exit(live(call, env, &whereabouts, daemon, line)),
        Detached::Caller(outcome) => Ok(outcome),
    }
}

/// In the daemon: executes COMMAND, or works.
fn live(call: &Call<'_>, env: &EnvBlock<'static>, whereabouts: &Whereabouts<'_>, daemon: Daemon<'_>, line: &mut Line) -> i32 {
    if call.command.is_empty() {
        return worker::work(daemon, line);
    }
    let kept = daemon.pid_file.as_ref().map_or(Ok(()), PidFile::keep_across_exec);
    let errno = match kept {
        Ok(()) => whereabouts.exec(call.command, env, line),
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
    refused(call, error, line)
}

/// Says who has the pid file.
fn occupied(found: Result<Holder, Errno>, line: &mut Line) -> i32 {
    line.error("already ");
    match found {
        Ok(Holder::Nobody) | Err(_) => line.text("running, or has just ended, each time it was tried"),
        Ok(holder) => line.holder(holder),
    }
    .err();
    FAILED
}

/// One line that names the step and the reason; the exit status.
fn refused(call: &Call<'_>, error: Error, line: &mut Line) -> i32 {
    let what = error.step.as_str();
    let which = match error.step {
        Step::LockPidFile => return text::complain_of_pid_file(line, what, call.pid_file, error.errno),
        Step::Stdio => {
            let files = call.plan.stdio.map(|to| if let Stdio::File(path, _) = to { Some(path) } else { None });
            return text::complain(line, what, &files, error.errno);
        }
        Step::ClaimPidFile => Some(call.pid_file),
        Step::Chdir => Some(call.plan.directory),
        Step::Chroot => Some(call.plan.root),
        Step::Exec => call.command.first().copied().flatten().map(ThinCStr::as_c_str),
        _ => None,
    };
    text::complain(line, what, &[which], error.errno)
}

/// The daemon has told its word; with `--ready-fd` the command has to tell its own.
fn started(call: &Call<'_>, pid: Pid, pipe: Option<OwnedFd>, left: bool, line: &mut Line) -> i32 {
    let ready = pipe.map_or(Ok(true), |pipe| wait(&pipe, call, pid));
    if ready != Ok(true) {
        abandon(pid);
        // Looked at first, because who was killed holds it for another moment.
        let _ = look(call.pid_file);
        let _ = remove_left_over(call.pid_file);
        if let Err(errno) = ready {
            return refused(call, Step::Ready.failed(errno), line);
        }
        line.error("not started: it ended, or closed its descriptor, without having been ready").err();
        return FAILED;
    }
    line.begin("");
    if left {
        line.text("a pid file was found that nobody held: ").shown(call.pid_file.to_bytes()).text("\n");
    }
    line.text("started, pid ").pid(pid);
    report::report(pid, line);
    line.out();
    DONE
}

/// Ends a daemon that has not become ready, and whoever else is in its process group.
fn abandon(pid: Pid) {
    // A number may be a stranger's where `SIGCHLD` is ignored; a child that can be waited for is none.
    let child = WaitId::Pid(pid);
    if waitid(child, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_ok() {
        // Not reaped yet, it keeps its own number and its group's, which is none of the caller's session.
        if let Ok(group) = getpgid(Some(pid)) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = kill_process(pid, Signal::KILL);
        let _ = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
    }
}

fn died(outcome: Outcome, line: &mut Line) -> i32 {
    line.error("not started: it ended");
    if let Outcome::Died(Some(status)) = outcome {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => line.text(" at once, with status ").number(code.unsigned_abs()),
            (_, Some(signal)) => line.text(" at once, by signal ").number(signal.unsigned_abs()),
            _ => &mut *line,
        };
    }
    line.err();
    FAILED
}

/// The pipe whose write end COMMAND finds at the number of `--ready-fd`; the read end.
fn ready_pipe(number: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: what is at the number was inherited: nothing in this program owns it.
    #[allow(unsafe_code)]
    let place = |fd: BorrowedFd<'_>| unsafe { dup3(fd, number, false) };
    // Taken first, so that neither end of the pipe gets the number.
    place(STDIN)?;
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
    place(borrow(write_end.as_raw_fd()))?;
    Ok(read_end)
}

/// Whether the newline comes before the end of the process.
fn wait(pipe: &OwnedFd, call: &Call<'_>, pid: Pid) -> Result<bool, Errno> {
    if let Some(number) = call.ready_fd {
        // SAFETY: `ready_pipe` has put the write end there, for COMMAND.
        #[allow(unsafe_code)]
        unsafe {
            close(number);
        }
    }
    wait_newline(borrow(pipe.as_raw_fd()), pid, call.plan.timeout)
}
