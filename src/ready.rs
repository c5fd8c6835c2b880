//! Readiness across the detach, with the reason when it fails.
//!
//! The daemon's side of a pipe writes words of eight bytes: its pid, "ready", or "failed" with
//! {step, errno}. End-of-file without the last word means that it has ended, or executed a program.

use crate::error::{Error, Step};
use crate::sys::{
    self, Children, Code, TimeLeft, above_stdio, borrow, dup_above_stdio, errno, has_ended, has_executed, kill, pause,
    pidfd_open, pipe, poll, read, write,
};
use core::cell::Cell;
use core::time::Duration;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process, kill_process_group, test_kill_process, waitpgid, waitpid,
};

/// Makes the pipe between the process that waits and the daemon: before the first fork.
///
/// Both ends are closed by execve(2), and stand above the standard streams.
///
/// # Errors
///
/// * `EMFILE`, `ENFILE`, `ENOMEM`.
///
/// # System calls
///
/// `pipe2` (2.6.27), `fcntl(F_DUPFD_CLOEXEC)`, `getpid`.
///
/// * There are too few descriptors: `close`.
/// * A standard stream is closed: `close`, and `fcntl(F_DUPFD_CLOEXEC)` again.
///
/// See [pipe(2)](https://man7.org/linux/man-pages/man2/pipe.2.html).
///
/// ```no_run
/// use daemon_steps::{Fork, Outcome, exit, fork, ready_pipe, setsid};
/// let (waiter, notifier) = ready_pipe()?;
/// match fork()? {
///     Fork::Parent(child) => {
///         drop(notifier);
///         exit(if matches!(waiter.wait(child, None)?, Outcome::Ready(_)) { 0 } else { 1 });
///     }
///     Fork::Child => {
///         drop(waiter);
///         setsid()?;
///         notifier.announce()?;
///         notifier.ready()?;
///     }
/// }
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn ready_pipe() -> Result<(Waiter, Notifier), Errno> {
    let (read_end, write_end) = pipe()?;
    let read_end = above_stdio(read_end)?;
    let write_end = above_stdio(write_end)?;
    let spare = dup_above_stdio(borrow(&read_end))?;
    Ok((
        Waiter { pipe: read_end },
        Notifier { pipe: write_end, spare, maker: getpid(), daemon: Cell::new(None), told: Cell::new(false) },
    ))
}

/// How many milliseconds a daemon may take to end that has closed the pipe, where there is no `/proc` to see that it is ending.
const GRACE: usize = 200;

/// What the daemon has come to.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// It is ready; or it has executed a program, which runs. Its pid.
    Ready(Pid),
    /// A step failed. The process has ended, or is about to.
    Failed(Error),
    /// It has ended without a word, with this status; `None` if somebody else got the status (the
    /// caller ignores `SIGCHLD`, or is neither parent nor subreaper).
    Died(Option<WaitStatus>),
}

/// The daemon's word as an exit status, as [`daemonize`](crate::daemonize) exits with it: 0 if it is ready. Of one that died its own status, 128
/// and the signal's number if one ended it, and 1 instead of 0. 1 if a step failed, or nobody knows.
///
/// ```
/// use daemon_steps::{Outcome, Step, exit_status};
/// assert_eq!(exit_status(Outcome::Failed(Step::Chdir.failed(rustix::io::Errno::NOENT))), 1);
/// assert_eq!(exit_status(Outcome::Died(None)), 1);
/// ```
#[must_use]
pub fn exit_status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Ready(_) => 0,
        Outcome::Died(Some(status)) => {
            status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(1).max(1)
        }
        Outcome::Failed(_) | Outcome::Died(None) => 1,
    }
}

/// The side that waits.
#[derive(Debug)]
pub struct Waiter {
    pipe: OwnedFd,
}

impl Waiter {
    /// Waits for the daemon's word and for nothing else: for a parent that exits with it.
    ///
    /// The small sister of [`wait`](Self::wait): without a timeout, and nobody is reaped. The end of the pipe without a word,
    /// which is [`Outcome::Died`] of an unknown status, may also mean that a program was executed.
    ///
    /// Drop the [`Notifier`] of this process first, or the end of the daemon cannot be seen. A process that the daemon
    /// has forked, and that still holds its notifier, keeps the pipe from ending.
    ///
    /// # Errors
    ///
    /// * `EPROTO`: what came was no word.
    /// * `EPERM` or what else a seccomp filter answers.
    ///
    /// `EINTR` is retried.
    ///
    /// # System calls
    ///
    /// `read`, two or three times.
    ///
    /// See [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html).
    ///
    /// ```no_run
    /// use daemon_steps::{Fork, exit, exit_status, fork, ready_pipe};
    /// let (waiter, notifier) = ready_pipe()?;
    /// if let Fork::Parent(child) = fork()? {
    ///     drop(notifier);
    ///     exit(exit_status(waiter.word(child)?));
    /// }
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn word(&self, child: Pid) -> Result<Outcome, Errno> {
        let mut daemon = child;
        loop {
            match self.next() {
                Ok(Word::End) => return Ok(Outcome::Died(None)),
                Ok(Word::Pid(pid)) => daemon = pid,
                Ok(Word::Ready) => return Ok(Outcome::Ready(daemon)),
                Ok(Word::Failed(error)) => return Ok(Outcome::Failed(error)),
                Err(code) => return Err(code.into()),
            }
        }
    }

    /// Waits for the daemon's word; `child` is what the first fork returned.
    ///
    /// Drop the [`Notifier`] of this process first, or the end of the daemon cannot be seen. To learn the
    /// status of a daemon that was forked twice this process must be a subreaper
    /// ([`set_child_subreaper`](crate::set_child_subreaper)) from before the first fork on. Reaps `child` and the daemon if they have
    /// ended; of a daemon that has not announced itself, all that is in the group of `child`.
    ///
    /// Not more than `timeout`, if there is one: then the daemon is killed, and so is a process between that does not
    /// exit. Without `/proc`, a daemon that has closed the pipe and does not end within a fifth of a second counts as one
    /// that has executed a program.
    ///
    /// # Errors
    ///
    /// * `ETIMEDOUT`: no word in time. The daemon was sent `SIGKILL` through its pidfd.
    /// * `EPROTO`: what came was no word.
    /// * `ENOMEM`; `EPERM` or what else a seccomp filter answers: the daemon was killed, too.
    ///
    /// `EINTR` is retried.
    ///
    /// # System calls
    ///
    /// `ppoll`, `read`; `pidfd_open` of the daemon, and of the process between, and `waitid` of these (5.4; without them an
    /// end is seen only by end-of-file); `wait4`, `close`.
    ///
    /// * The pipe ends without a word: `openat` and `close` of `/proc`, `readlinkat` of `/proc/self`, `getpid`, `openat`, `read` and `close` of
    ///   `/proc/PID/stat`.
    /// * The daemon is no child (any more), or has no pidfd: `kill` of signal 0.
    /// * The timeout is over, or what comes is no word: `pidfd_send_signal` (5.1); or `kill`, to a child that is not reaped yet.
    ///
    /// See [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html).
    ///
    /// For an example see [`ready_pipe`].
    pub fn wait(self, child: Pid, timeout: Option<Duration>) -> Result<Outcome, Errno> {
        let mut left = TimeLeft::of(timeout);
        let mut daemon = Watched { child, pid: child, announced: false, pidfd: None, gone: false };
        let told = self.last_word(&mut daemon, &mut left);
        match told {
            Ok(Outcome::Died(_)) => return Ok(daemon.gone_silent(&mut left)),
            Ok(Outcome::Ready(_)) => daemon.reap_middle(),
            Ok(Outcome::Failed(_)) => drop(daemon.reap(&mut left)),
            Err(_) if daemon.kill() => drop(daemon.reap(&mut TimeLeft::of(None))),
            Err(_) => daemon.reap_ended(),
        }
        Ok(told?)
    }

    /// What has come over the pipe when it, or the process, ends.
    fn last_word(&self, daemon: &mut Watched, left: &mut TimeLeft) -> Result<Outcome, Code> {
        let pipe = self.pipe.as_raw_fd();
        loop {
            match wait_for(pipe, daemon.pidfd.as_ref().map_or(pipe, AsRawFd::as_raw_fd), left) {
                Ok(true) => {}
                Err(errno) if !daemon.gone => return Err(errno),
                _ => return Ok(Outcome::Died(None)),
            }
            match self.next()? {
                Word::End => return Ok(Outcome::Died(None)),
                Word::Pid(pid) => {
                    daemon.pid = pid;
                    daemon.announced(left);
                }
                Word::Ready => return Ok(Outcome::Ready(daemon.pid)),
                Word::Failed(error) => return Ok(Outcome::Failed(error)),
            }
        }
    }

    /// The next word.
    #[inline(always)]
    fn next(&self) -> Result<Word, Code> {
        let mut word = [0; 8];
        // A word is shorter than PIPE_BUF: it is there as a whole, or not at all.
        match read(self.pipe.as_raw_fd(), &mut word)? {
            0 => Ok(Word::End),
            8 => understand(word).ok_or(Code::PROTO),
            _ => Err(Code::PROTO),
        }
    }
}

/// What the daemon's side says.
enum Word {
    /// Nothing more.
    End,
    Pid(Pid),
    Ready,
    Failed(Error),
}

/// What a word begins with; the number of the step that failed follows in the next byte.
const PID: u32 = b'p' as u32;
const READY: u32 = b'r' as u32;
const FAILED: u32 = b'f' as u32;

fn understand(word: [u8; 8]) -> Option<Word> {
    let word = u64::from_le_bytes(word);
    match (word as u32, (word >> 32) as i32) {
        (PID, pid @ 1..) => Pid::from_raw(pid).map(Word::Pid),
        (READY, 0) => Some(Word::Ready),
        (kind, number) if kind & 0xff == FAILED => {
            Some(Word::Failed(Step::ALL.get((kind >> 8) as usize)?.failed(errno(number)?.into())))
        }
        _ => None,
    }
}

impl Waiter {
    /// What a process waits for whose memory has gone to the daemon; where there is nobody to return to it ends with the daemon's word.
    pub(crate) fn watch(&self, notifier: &Notifier, timeout: Option<Duration>) -> sys::Watch {
        sys::Watch {
            pipe: self.pipe.as_raw_fd(),
            notifier: notifier.descriptors().map(|fd| fd.as_raw_fd()),
            ready: [b'r', 0, 0, 0, 0, 0, 0, 0],
            left: TimeLeft::of(timeout),
            exit: |end| sys::exit(parting_status(end)),
        }
    }
}

/// The status to end with when there is no caller to hear more: the daemon's, which knows best; not zero if it has told of a failure.
fn parting_status(end: &sys::End) -> i32 {
    let status = outcome(&sys::End { told: None, ..*end }).map_or(1, exit_status);
    if end.told.is_some() { status.max(1) } else { status }
}

/// What the daemon has come to, once it has left the memory that it was handed.
pub(crate) fn outcome(end: &sys::End) -> Result<Outcome, Errno> {
    let daemon = Pid::from_raw(end.daemon).ok_or(Errno::CHILD)?;
    // Whatever signal its end is told with: none.
    let all = WaitOptions::from_bits_retain(linux_raw_sys::general::__WALL);
    let reap = || status(|| waitpid(Some(daemon), all));
    match (end.told.and_then(understand), end.killed) {
        (Some(Word::Failed(error)), _) => {
            reap();
            Ok(Outcome::Failed(error))
        }
        (_, Some(why)) => {
            reap();
            Err(why)
        }
        _ => {
            for _ in 0..GRACE {
                match waitpid(Some(daemon), all | WaitOptions::NOHANG) {
                    Ok(None) => {}
                    ended => return Ok(Outcome::Died(ended.ok().flatten().map(|(_, status)| status))),
                }
                match has_executed(daemon) {
                    Ok(true) => break,
                    Ok(false) => return Ok(Outcome::Died(reap())),
                    // No /proc. One that ends has closed the pipe a moment before.
                    Err(_) => pause(),
                }
            }
            Ok(Outcome::Ready(daemon))
        }
    }
}

/// Waits for `pipe` or the process behind `pidfd`; whether it is the pipe that has something to say.
fn wait_for(pipe: RawFd, pidfd: RawFd, left: &mut TimeLeft) -> Result<bool, Code> {
    // The kernel looks at one after the other. With the process first, all that it has said is there when
    // the pipe is looked at; the other way round, a word may come, and the process end, between the looks.
    poll([pidfd, pipe], left)
}

/// The processes that the waiter may have to reap: its child, and the daemon if that is another.
struct Watched {
    child: Pid,
    pid: Pid,
    announced: bool,
    pidfd: Option<OwnedFd>,
    /// It was reaped by somebody else before there was a pidfd: what it has said is in the pipe, and no more comes.
    gone: bool,
}

impl Watched {
    /// The daemon's pid is known: a child of this process, if that is a subreaper, once the one between has exited.
    ///
    /// Not inlined, so that what it asks with does not stay on the caller's stack.
    #[inline(never)]
    fn announced(&mut self, left: &mut TimeLeft) {
        if let (true, Some(middle)) = (self.pid != self.child, open_child(self.child)) {
            if !ends(&middle, left) && kill(&middle).is_ok() {
                ends(&middle, &mut TimeLeft::of(None));
            }
        }
        self.announced = true;
        self.pidfd = open_child(self.pid);
        if self.pidfd.is_none() && is_gone(self.pid) {
            self.gone = true;
            *left = TimeLeft::of(Some(Duration::ZERO));
        }
    }

    /// The pipe has ended without a last word: the daemon has executed a program, or is gone, or about to be.
    fn gone_silent(&self, left: &mut TimeLeft) -> Outcome {
        self.reap_middle();
        let ended = match has_executed(self.pid) {
            // A program that has ended already is no daemon that runs.
            Ok(executed) => !executed || self.has_ended(),
            // No /proc, or no such process. One that ends has closed the pipe a moment before.
            Err(_) => (0..GRACE).any(|_| {
                self.has_ended() || {
                    pause();
                    false
                }
            }),
        };
        if ended { Outcome::Died(self.reap(left)) } else { Outcome::Ready(self.pid) }
    }

    fn has_ended(&self) -> bool {
        match has_ended(Children::One, self.pid) {
            Ok(ended) => ended,
            Err(_) => is_gone(self.pid),
        }
    }

    /// Waits for the end of both, and returns the daemon's status.
    fn reap(&self, left: &mut TimeLeft) -> Option<WaitStatus> {
        let opened = if self.pidfd.is_none() { open_child(self.pid) } else { None };
        if self.pidfd.as_ref().or(opened.as_ref()).is_some_and(|pidfd| !ends(pidfd, left)) && !self.kill() {
            return None;
        }
        let status = status_of(self.child);
        if self.pid != self.child {
            return status_of(self.pid);
        }
        if self.announced {
            return status;
        }
        // Nobody has told its pid: if there was a second fork, the daemon is, as nobody else, in the
        // group of the child.
        self::status(|| waitpgid(self.child, WaitOptions::empty())).or(status)
    }

    /// The process between this one and the daemon exits right after its fork.
    fn reap_middle(&self) {
        if self.pid != self.child {
            let _ = status_of(self.child);
        }
    }

    /// Reaps the child if it has ended, where the daemon is not waited for.
    fn reap_ended(&self) {
        let _ = waitpid(Some(self.child), WaitOptions::NOHANG);
    }

    /// Ends what has not told its word in time. It cannot be a stranger: the pidfd was made sure of, and
    /// a child that can still be waited for keeps its number, and that of its group.
    ///
    /// Whether that was granted: what lives on (another user's, by now) must not be waited for.
    fn kill(&self) -> bool {
        if self.pidfd.as_ref().is_some_and(|pidfd| kill(pidfd).is_ok()) {
            return true;
        }
        // First the child, if that is all that is known: it cannot fork any more then, and whom it
        // has forked is in its group.
        let one = has_ended(Children::One, self.pid).is_ok() && kill_process(self.pid, Signal::KILL).is_ok();
        let group = has_ended(Children::Group, self.child).is_ok() && kill_process_group(self.child, Signal::KILL).is_ok();
        one || group
    }
}

/// A pidfd of the process, made sure to be a child: where `SIGCHLD` is ignored the kernel reaps, and
/// the number may be a stranger's by now.
fn open_child(pid: Pid) -> Option<OwnedFd> {
    let pidfd = pidfd_open(pid).ok()?;
    has_ended(Children::One, pid).is_ok().then_some(pidfd)
}

fn ends(pidfd: &OwnedFd, left: &mut TimeLeft) -> bool {
    wait_for(pidfd.as_raw_fd(), pidfd.as_raw_fd(), left).is_ok()
}

fn is_gone(pid: Pid) -> bool {
    test_kill_process(pid) == Err(Errno::SRCH)
}

fn status_of(pid: Pid) -> Option<WaitStatus> {
    status(|| waitpid(Some(pid), WaitOptions::empty()))
}

fn status(wait: impl FnMut() -> Result<Option<(Pid, WaitStatus)>, Errno>) -> Option<WaitStatus> {
    retry_on_intr(wait).ok().flatten().map(|(_, status)| status)
}

/// The daemon's side. Dropped without a word by the daemon, it says that it was cancelled (`ECANCELED`).
#[derive(Debug)]
pub struct Notifier {
    pipe: OwnedFd,
    /// A read end of its own: so a write never meets a pipe without readers, and never raises
    /// `SIGPIPE`, when the waiter was killed.
    spare: OwnedFd,
    /// The process that made the pipe is the one that waits: its copy says nothing.
    maker: Pid,
    /// Once the daemon has announced itself, a copy in a process that it forks says nothing, either.
    daemon: Cell<Option<Pid>>,
    told: Cell<bool>,
}

impl Notifier {
    /// Tells the waiter this process's pid: it is the daemon, from here on.
    ///
    /// After a second fork it is the first thing to do. Without it the waiter knows the child and its group only: it
    /// waits for the end of a program that the daemon executes, and past its timeout for a daemon that has failed and lives on.
    ///
    /// The first process of a pid namespace says nothing: the waiter, outside, knows it by another number, as its child.
    ///
    /// # Errors
    ///
    /// * `EPERM` or what else a seccomp filter answers.
    ///
    /// # System calls
    ///
    /// `getpid`, `getppid`, `write`.
    ///
    /// See [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html). For an example see [`ready_pipe`].
    pub fn announce(&self) -> Result<(), Errno> {
        let me = getpid();
        self.daemon.set(Some(me));
        match getppid() {
            Some(_) => Ok(self.say(PID, me.as_raw_nonzero().get())?),
            // The parent is out of sight.
            None => Ok(()),
        }
    }

    /// Tells the waiter that the daemon is ready.
    ///
    /// A waiter that is gone (killed, say) is no error: the daemon goes on.
    ///
    /// # Errors
    ///
    /// * `EPERM` or what else a seccomp filter answers.
    ///
    /// # System calls
    ///
    /// `write`, two `close`.
    ///
    /// See [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html). For an example see [`ready_pipe`].
    pub fn ready(self) -> Result<(), Errno> {
        Ok(self.end(READY, 0)?)
    }

    /// Tells the waiter which step failed, and why. Then exit: the waiter waits for the end. What there is to
    /// clean up (the pid file) is the waiter's, afterwards.
    ///
    /// # Errors
    ///
    /// * `EPERM` or what else a seccomp filter answers.
    ///
    /// # System calls
    ///
    /// `write`, two `close`.
    ///
    /// See [pipe(7)](https://man7.org/linux/man-pages/man7/pipe.7.html).
    ///
    /// ```
    /// use daemon_steps::{Step, ready_pipe};
    /// let (waiter, notifier) = ready_pipe()?;
    /// notifier.failed(Step::Chdir.failed(rustix::io::Errno::NOENT))?;
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn failed(self, error: Error) -> Result<(), Errno> {
        Ok(self.end(FAILED | (error.step as u32) << 8, error.errno.raw_os_error())?)
    }

    /// The descriptors that [`close_except`](crate::close_except) must keep.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [borrow(&self.pipe), borrow(&self.spare)]
    }

    /// The last word.
    #[inline(never)]
    fn end(&self, kind: u32, number: i32) -> Result<(), Code> {
        self.told.set(true);
        self.say(kind, number)
    }

    fn say_failed(&self, Error { step, errno }: Error) -> Result<(), Code> {
        self.say(FAILED | (step as u32) << 8, errno.raw_os_error())
    }

    /// What [`understand`] understands.
    fn say(&self, kind: u32, number: i32) -> Result<(), Code> {
        let word = u64::from(number as u32) << 32 | u64::from(kind);
        write(self.pipe.as_raw_fd(), &word.to_le_bytes()).map(drop)
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        if self.told.get() {
            return;
        }
        let me = getpid();
        if me != self.maker && self.daemon.get().is_none_or(|daemon| daemon == me) {
            let _ = self.say_failed(Step::Ready.failed(Errno::CANCELED));
        }
    }
}

/// Waits for a newline from `pipe`, s6's readiness protocol: whether it came before the end.
///
/// `child` is to write it: when it ends first, or closes the pipe, the answer is `false`. What comes before the
/// newline is passed over. Only a child that is not reaped yet is sure to keep its number.
///
/// # Errors
///
/// * `ETIMEDOUT`: neither within `timeout`. Nobody is killed.
/// * `ESRCH`: there is no such process. `ENOSYS`: the kernel is older than 5.3. `EMFILE`, `ENFILE`, `ENOMEM`, `ENODEV`: as
///   `pidfd_open(2)` has them.
///
/// # System calls
///
/// `pidfd_open` (5.3), `ppoll`, `read`, `close`.
///
/// See [notifywhenup](https://skarnet.org/software/s6/notifywhenup.html).
///
/// ```
/// let (read_end, write_end) = rustix::pipe::pipe()?;
/// rustix::io::write(&write_end, b"\n")?;
/// assert!(daemon_steps::wait_newline(&read_end, rustix::process::getpid(), None)?);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn wait_newline(pipe: impl AsFd, child: Pid, timeout: Option<Duration>) -> Result<bool, Errno> {
    let pidfd = pidfd_open(child)?;
    let mut left = TimeLeft::of(timeout);
    let mut bytes = [0; 64];
    let pipe = pipe.as_fd().as_raw_fd();
    while wait_for(pipe, pidfd.as_raw_fd(), &mut left)? {
        let length = read(pipe, &mut bytes)? as usize;
        if length == 0 {
            break;
        }
        for byte in bytes.iter().take(length) {
            if *byte == b'\n' {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
