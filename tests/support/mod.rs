//! A test here is watched from outside: the test (many threads, libtest-mimic) starts a *fixture*, which
//! is this same program started anew with the fixture's name: one thread, no harness. It takes steps, tells
//! what it has to tell over a channel, and waits there; meanwhile the test reads `/proc`. When the test
//! lets go of the channel, or fails, the fixture and all that it forked end by themselves.

#![allow(dead_code, missing_docs, unreachable_pub, unsafe_code)]
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::needless_pass_by_value)]

pub mod hostile;
pub mod proc;
pub mod tty;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::thread::CapabilitySet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Where a fixture finds its two ends of the channel: high, so that steps do not land there.
pub const TELL: RawFd = 198;
pub const HEAR: RawFd = 199;

/// Nothing here takes longer; what does has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The variable that names the fixture to be.
pub const NAME: &str = "DAEMON_STEPS_FIXTURE";

pub type Outcome = Result<Completion, Failed>;

/// Runs the fixture that the environment names, or else the tests. For `fn main`.
pub fn main(fixtures: &[(&str, fn())], tests: Vec<Trial>) {
    if let Ok(name) = std::env::var(NAME) {
        // SAFETY: a fixture has one thread.
        unsafe { std::env::remove_var(NAME) };
        FIXTURE.store(true, Ordering::Relaxed);
        let (_, fixture) = fixtures.iter().find(|(known, _)| *known == name).expect("a fixture of this file");
        fixture();
        daemon_steps::exit(0);
    }
    let mut arguments = Arguments::from_args();
    // Two at a time are enough to keep two processors busy, and leave the limits (pids, memory) alone.
    arguments.test_threads.get_or_insert(2);
    libtest_mimic::run(&arguments, tests).exit();
}

/// A test that can run everywhere; it fails by panicking.
pub fn test(name: &str, body: fn()) -> Trial {
    Trial::ignorable_test(name, move || Ok(completion(body)))
}

/// A test that needs root, and what root may do in a container of its own; elsewhere it is counted as ignored, with the reason.
pub fn root_test(name: &str, body: fn()) -> Trial {
    Trial::ignorable_test(name, move || {
        if !rustix::process::geteuid().is_root() {
            return Ok(Completion::ignored_with("needs root"));
        }
        if !rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)) {
            return Ok(Completion::ignored_with("needs CAP_SYS_ADMIN"));
        }
        Ok(completion(body))
    })
}

fn completion(body: fn()) -> Completion {
    match std::panic::catch_unwind(body) {
        Ok(()) => Completion::Completed,
        Err(cause) => match cause.downcast::<Emulated>() {
            Ok(emulated) => Completion::ignored_with(format!("needs a kernel: {}", emulated.0)),
            Err(cause) => std::panic::resume_unwind(cause),
        },
    }
}

/// The variable that names the emulator, if this program is another architecture's: the kernel does not find it by itself.
const RUNNER: &str = "DAEMON_STEPS_RUNNER";

/// The same, for a process that adopts orphans.
pub fn need_subreaper() {
    need_kernel("PR_SET_CHILD_SUBREAPER");
}

/// Why a test cannot be what it is under the emulator.
struct Emulated(String);

/// What a fixture tells before the reason.
const EMULATED: &str = "emulated: ";

/// Says that a test, or its fixture, needs what qemu-user does not pass on to the kernel: under that the test
/// ends here, and is counted as ignored, with the reason.
pub fn need_kernel(what: &str) {
    if std::env::var_os(RUNNER).is_none() {
        return;
    }
    if FIXTURE.load(Ordering::Relaxed) {
        tell(format_args!("{EMULATED}{what}"));
        daemon_steps::exit(0);
    }
    std::panic::resume_unwind(Box::new(Emulated(what.into())));
}

/// Whether this process is a fixture, or forked by one: then it has the channel.
static FIXTURE: AtomicBool = AtomicBool::new(false);

/// Starts a fixture of this file.
pub fn fixture(name: &str) -> Fixture {
    let mut command = this_program();
    command.env(NAME, name).stdin(Stdio::null());
    Fixture { command }
}

/// This program, to be started anew.
pub fn this_program() -> Command {
    match std::env::var_os(RUNNER) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(std::env::current_exe().expect("this program"));
            command
        }
        None => Command::new("/proc/self/exe"),
    }
}

pub struct Fixture {
    /// For arguments, environment, streams, and `pre_exec`.
    pub command: Command,
}

impl Fixture {
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it, with the channel in place.
    pub fn start(mut self) -> Running {
        let (hear, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let (heard, release) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("pipe");
        let (its_tell, its_hear) = (tell.as_raw_fd(), heard.as_raw_fd());
        // SAFETY: dup2 is async-signal-safe. The two ends stay open until after the spawn. Both are
        // moved above the targets first, so that neither is overwritten by the other.
        unsafe {
            self.command.pre_exec(move || {
                let tell = libc::fcntl(its_tell, libc::F_DUPFD_CLOEXEC, HEAR + 1);
                let hear = libc::fcntl(its_hear, libc::F_DUPFD_CLOEXEC, HEAR + 1);
                if tell < 0 || hear < 0 || libc::dup2(tell, TELL) < 0 || libc::dup2(hear, HEAR) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = self.command.spawn().expect("the fixture starts");
        Running { child, hear, release: Some(release) }
    }

    /// Starts it, lets it run to its end, and returns what it told and how it ended.
    pub fn run(self) -> (String, ExitStatus) {
        let mut running = self.start();
        running.release();
        let told = running.hear_all();
        (told, running.status())
    }
}

/// A fixture that runs. Dropped, it is released, and killed if it does not end.
pub struct Running {
    pub child: Child,
    hear: OwnedFd,
    release: Option<OwnedFd>,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// One line that the fixture, or a process that it forked, tells; "" at the end of all of them.
    pub fn hear(&self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while readable(self.hear.as_fd(), LIMIT) {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.hear, &mut byte)).expect("the channel") {
                1 if byte[0] != b'\n' => line.push(byte[0]),
                _ => return heard(String::from_utf8(line).expect("utf-8")),
            }
        }
        panic!("nothing heard for {LIMIT:?}; so far {:?}", String::from_utf8_lossy(&line))
    }

    /// The line as a number.
    pub fn hear_pid(&self) -> i32 {
        let line = self.hear();
        line.parse().unwrap_or_else(|_| panic!("a pid, not {line:?}"))
    }

    /// All that is still told, until everybody who could tell has ended.
    pub fn hear_all(&self) -> String {
        let mut all = String::new();
        loop {
            match self.hear() {
                line if line.is_empty() => return all,
                line => all = all + &line + "\n",
            }
        }
    }

    /// Lets whoever waits in [`wait_release`] go on.
    pub fn release(&mut self) {
        self.release = None;
    }

    /// Lets whoever waits in [`wait_byte`] go on; one call lets one go.
    pub fn step(&mut self) {
        let release = self.release.as_ref().expect("not released yet");
        rustix::io::write(release, b".").expect("the fixture listens");
    }

    /// The status of the process that was started (not of those that it forked).
    pub fn status(&mut self) -> ExitStatus {
        wait_end(self.pid());
        self.child.wait().expect("wait")
    }
}

/// The line, unless it says that the test can go no further.
fn heard(line: String) -> String {
    if let Some(what) = line.strip_prefix(EMULATED) {
        std::panic::resume_unwind(Box::new(Emulated(what.into())));
    }
    line
}

impl Drop for Running {
    fn drop(&mut self) {
        self.release();
        if !ends(self.pid(), Duration::from_secs(5)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// In a fixture: its argument number `n`, from 1.
pub fn argument(n: usize) -> String {
    std::env::args().nth(n).expect("an argument")
}

/// In a fixture: its first argument as a path that lives as long as the process.
pub fn path_argument() -> &'static std::ffi::CStr {
    Box::leak(c_path(argument(1)).into_boxed_c_str())
}

/// In a fixture: tells the test a line.
pub fn tell(line: impl std::fmt::Display) {
    // SAFETY: the channel is there from the start, and no fixture closes it without meaning to.
    let fd = unsafe { BorrowedFd::borrow_raw(TELL) };
    rustix::io::write(fd, format!("{line}\n").as_bytes()).expect("the test listens");
}

/// In a fixture: waits until the test lets go.
pub fn wait_release() {
    // SAFETY: as in `tell`.
    let fd = unsafe { BorrowedFd::borrow_raw(HEAR) };
    let mut byte = [0];
    while rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut byte)).is_ok_and(|n| n > 0) {}
}

/// In a fixture: waits for one [`Running::step`].
pub fn wait_byte() {
    // SAFETY: as in `tell`.
    let fd = unsafe { BorrowedFd::borrow_raw(HEAR) };
    let _ = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut [0][..]));
}

/// In a fixture: the two descriptors of the channel, for keep lists.
pub fn channel() -> [BorrowedFd<'static>; 2] {
    // SAFETY: as in `tell`.
    [TELL, HEAR].map(|fd| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// In a fixture: how a step went, as a line: `ok` or the errno's number.
pub fn word<T>(result: Result<T, rustix::io::Errno>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(errno) => errno.raw_os_error().to_string(),
    }
}

/// Whether the descriptor has something to read, or its end, in time.
pub fn readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).expect("a limit");
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&limit))).expect("poll") > 0
}

/// Whether the process ends (or is a zombie, or gone) in time.
pub fn ends(pid: i32, limit: Duration) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => readable(pidfd.as_fd(), limit),
        // EINVAL: it was reaped, and its number is still a session's (6.1).
        Err(errno) => [rustix::io::Errno::SRCH, rustix::io::Errno::INVAL].contains(&errno),
    }
}

/// Waits for the end of a process, a child or not.
#[track_caller]
pub fn wait_end(pid: i32) {
    assert!(ends(pid, LIMIT), "process {pid} ends");
}

/// Looks again and again until something is true that no descriptor tells; fails after [`LIMIT`].
#[track_caller]
pub fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A temporary directory, and a path in it as a C string.
pub fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub fn c_path(path: impl AsRef<std::path::Path>) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_ref().as_os_str().as_bytes()).expect("no null in a path")
}

/// Prints that a case could not be tested as hard as it should, in a form that `ci/run test` counts.
pub fn weakened(why: &str) {
    let _ = writeln!(std::io::stderr(), "weakened: {why}");
}
