//! What was promised of a daemon, each fact seen from outside.

use crate::call::{Done, Inherit, call, until};
use crate::proc::{Contents, Process, contents, number};
use crate::text::{Teller, Text};
use core::ffi::CStr;
use core::fmt::Display;
use daemon_steps::EnvBlock;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, openat, statat};
use rustix::io::{Errno, Result};
use rustix::process::{Flock, FlockOffsetType, FlockType, Pid, fcntl_getlk, test_kill_process};

/// An empty set, as `/proc` writes it.
pub(crate) const NO_SIGNAL: &str = "0000000000000000";

pub(crate) struct Promise<'a> {
    pub(crate) pid_file: &'a CStr,
    /// Where it was opened: its directory, or where the daemon was started.
    pub(crate) from: &'a str,
    /// Whether it leads its session.
    pub(crate) leads: bool,
}

impl Promise<'_> {
    /// Tells the facts; the daemon's pid, if it is to be had.
    pub(crate) fn facts(&self, tell: &Teller<'_>) -> Option<Pid> {
        let mut said = Contents::new();
        let found = until(|| {
            said = contents(CWD, self.pid_file);
            said.as_bytes().ends_with(b"\n")
        });
        let pid = said.as_bytes().strip_suffix(b"\n").and_then(number).filter(|pid| *pid > 1).and_then(Pid::from_raw);
        tell.fact("pidfile", found && pid.is_some_and(|pid| said.is(format_args!("{}\n", pid.as_raw_nonzero()))), said);
        let pid = pid?;
        match Process::of(pid) {
            Ok(process) => self.process(tell, pid, &process),
            Err(errno) => tell.fact("process", false, format_args!("{errno:?}")),
        }
        self.locks(tell, pid);
        Some(pid)
    }

    fn process(&self, tell: &Teller<'_>, pid: Pid, process: &Process) {
        // The number is in the file before whoever started it is gone.
        tell.becomes("ppid", 1, || process.stat(4));
        let session = process.stat(6);
        tell.fact("session", session.is(pid.as_raw_nonzero()) == self.leads && !session.is(0), session);
        let own = Process::open("self").map_or(Text::of("?"), |own| own.stat(6));
        tell.fact("new-session", process.stat(6).as_bytes() != own.as_bytes(), own);
        tell.is("terminal", 0, process.stat(7));
        tell.is("directory", "/", process.link(c"cwd"));
        tell.is("umask", "0022", process.status("Umask"));
        self.descriptors(tell, process);
        // A process that waits for signals shows them as not blocked meanwhile; it is all that these daemons do.
        tell.becomes("blocked", NO_SIGNAL, || process.status("SigBlk"));
        tell.is("ignored", NO_SIGNAL, process.status("SigIgn"));
        tell.is("caught", NO_SIGNAL, process.status("SigCgt"));
    }

    /// 0, 1 and 2 lead to the null device; the pid file is open, and where it was opened from; nothing else is.
    fn descriptors(&self, tell: &Teller<'_>, process: &Process) {
        let mut seen = Text::<512>::new();
        // What it has told its word through is closed after that.
        let right = until(|| {
            let (mut files, mut directories, mut foreign) = (0, 0, 0);
            seen = Text::new();
            let read = process.descriptors(|fd, link| {
                let counter = match link.as_bytes() {
                    _ if fd <= 2 => return,
                    file if file == self.pid_file.to_bytes() => &mut files,
                    other if other == self.from.as_bytes() => &mut directories,
                    _ => &mut foreign,
                };
                *counter += 1;
                seen.push(Text::<300>::of(format_args!("{fd}={link} ")).as_bytes());
            });
            (read, files, directories, foreign) == (Ok(()), 1, 1, 0)
        });
        tell.fact("descriptors", right, seen);
        let devices = [0, 1, 2].map(|fd| process.device(fd));
        tell.fact("streams", devices == [Some((1, 3)); 3], format_args!("{devices:?}"));
    }

    /// The kernel names this process as the holder, and nobody else can lock the file.
    fn locks(&self, tell: &Teller<'_>, pid: Pid) {
        let holder = holder(self.pid_file);
        tell.fact("holder", holder == Ok(Some(pid)), format_args!("{holder:?}"));
        let locked = openat(CWD, self.pid_file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| flock(&file, FlockOperation::NonBlockingLockExclusive));
        tell.fact("locked", locked == Err(Errno::WOULDBLOCK), format_args!("{locked:?}"));
    }
}

/// Whom the kernel names as the locker of the pid file's first byte.
fn holder(path: &CStr) -> Result<Option<Pid>> {
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let first = Flock { start: 0, length: 1, pid: None, typ: FlockType::WriteLock, offset_type: FlockOffsetType::Set };
    Ok(fcntl_getlk(&file, &first)?.and_then(|lock| lock.pid))
}

pub(crate) fn tool(verb: &CStr, pid_file: &CStr, env: &EnvBlock<'_>) -> Done {
    call(&[c"/bin/daemon", verb, c"--pidfile", pid_file], Inherit::OutputTwice, env)
}

/// Tells whether a call ended with `status` and said just this, `err` on standard error; it leaves nothing open.
pub(crate) fn ended(tell: &Teller<'_>, name: &str, done: &Done, status: i32, out: impl Display, err: impl Display) {
    tell.fact(name, done.status == Some(status) && done.out.is(out) && done.err.is(err) && !done.left_open, done);
}

/// Starts the daemon, and tells whether that is what it says.
pub(crate) fn start(tell: &Teller<'_>, pid_file: &CStr, env: &EnvBlock<'_>) {
    said_started(tell, "start", &tool(c"start", pid_file, env));
}

pub(crate) fn said_started(tell: &Teller<'_>, name: &str, done: &Done) {
    let said = done.out.as_bytes().starts_with(b"started, pid ") && done.err.is("");
    tell.fact(name, done.status == Some(0) && said && !done.left_open, done);
}

/// Asks for a running daemon, stops it, and asks again.
pub(crate) fn stop(tell: &Teller<'_>, pid_file: &CStr, pid: Pid, env: &EnvBlock<'_>) {
    let running = pid.as_raw_nonzero();
    ended(tell, "status", &tool(c"status", pid_file, env), 0, format_args!("running, pid {running}\n"), "");
    ended(tell, "stop", &tool(c"stop", pid_file, env), 0, "stopped\n", "");
    let reaped = until(|| test_kill_process(pid) == Err(Errno::SRCH));
    tell.fact("reaped", reaped, "a process that is still there");
    let left = statat(CWD, pid_file, AtFlags::SYMLINK_NOFOLLOW).map(drop);
    tell.fact("removed", left == Err(Errno::NOENT), format_args!("{left:?}"));
    ended(tell, "stopped", &tool(c"status", pid_file, env), 3, "not running\n", "");
    ended(tell, "stop-again", &tool(c"stop", pid_file, env), 0, "not running\n", "");
}

/// A second start is refused.
pub(crate) fn refused(tell: &Teller<'_>, pid_file: &CStr, pid: Pid, env: &EnvBlock<'_>) {
    let running = pid.as_raw_nonzero();
    ended(tell, "second-start", &tool(c"start", pid_file, env), 1, "", format_args!("daemon: already running, pid {running}\n"));
}
