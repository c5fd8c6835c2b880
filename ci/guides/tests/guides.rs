//! What the guides say of the programs that they show: each pair is run alike, and looked at from outside.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::fs;
use std::io::Error;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(50);

/// A program of a guide, in a directory of its own. Whatever it has left running is killed at the end.
struct Place {
    program: &'static str,
    dir: tempfile::TempDir,
}

impl Place {
    fn new(program: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("home")).expect("a directory");
        Self { program, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(words).arg(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// The exit status that whoever called it sees, and what it printed. In a file: a daemon that keeps a pipe open
    /// would be waited for.
    fn call(&self, command: &mut Command) -> Output {
        let log = fs::File::create(self.path("terminal")).expect("a file");
        let status = command.stdout(log.try_clone().expect("a file")).stderr(log).status().expect("it runs");
        Output { status, stdout: fs::read(self.path("terminal")).expect("a file"), stderr: Vec::new() }
    }

    fn start(&self) -> i32 {
        self.call(&mut self.command(&[])).status.code().expect("a status")
    }

    /// What the daemon has written, once it is there.
    fn pid(&self) -> i32 {
        let read = || fs::read_to_string(self.path("pid")).ok()?.trim().parse().ok();
        until("a pid file", || read().is_some());
        read().expect("a pid")
    }

    /// The processes that run this program in this directory.
    fn running(&self) -> Vec<i32> {
        let dir = self.dir.path().as_os_str().as_encoded_bytes();
        let ours = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.strip_prefix(self.program.as_bytes()).is_some_and(|words| words.split(|byte| *byte == 0).any(|word| word == dir))
        };
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(ours).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Again, for one that has forked meanwhile.
        while let Some(pid) = self.running().first() {
            let _ = kill_process(Pid::from_raw(*pid).expect("a pid"), Signal::KILL);
            wait_end(*pid);
        }
    }
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wait_end(pid: i32) {
    let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).expect("a pid"), PidfdFlags::empty()) else { return };
    let limit = Timespec::try_from(LIMIT).expect("a limit");
    assert_eq!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)), Ok(1), "process {pid} ends");
}

fn terminate(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::TERM).expect("it runs");
    wait_end(pid);
}

fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("a field");
    line.trim().into()
}

/// Whether the signal is in the set, as `/proc/PID/status` has it.
fn has(pid: i32, set: &str, signal: Signal) -> bool {
    u64::from_str_radix(&status(pid, set), 16).expect("hexadecimal") & (1 << (signal.as_raw() - 1)) != 0
}

/// Whether it leads its session.
fn leads(pid: i32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, fields) = text.rsplit_once(')').expect("a name");
    fields.split_whitespace().nth(3).expect("a session") == pid.to_string()
}

/// A caller that ignores SIGHUP, blocks SIGUSR1, and has a umask of 077.
fn careless(mut command: Command) -> Command {
    let before = || {
        // SAFETY: a call of the kernel.
        unsafe { libc::umask(0o077) };
        // SAFETY: no handler.
        let ignored = unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
        // SAFETY: zeros are a set.
        let mut set = unsafe { std::mem::zeroed() };
        // SAFETY: it is a set, and a signal.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGUSR1) };
        // SAFETY: it is a set, and the former mask is not asked for.
        let blocked = unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if ignored == libc::SIG_ERR || blocked != 0 { Err(Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: all that is called is async-signal-safe.
    unsafe { command.pre_exec(before) };
    command
}

/// A daemon that a careless caller has started: does it ignore, block, and which umask has it?
fn inherits(program: &'static str) -> (bool, bool, String) {
    let place = Place::new(program);
    let started = place.call(&mut careless(place.command(&[])));
    assert!(started.status.success(), "{started:?}");
    let pid = place.pid();
    (has(pid, "SigIgn", Signal::HUP), has(pid, "SigBlk", Signal::USR1), status(pid, "Umask"))
}

/// The exit status of a second start, and how many run then.
fn second(program: &'static str) -> (i32, usize) {
    let place = Place::new(program);
    assert_eq!(place.start(), 0);
    let first = place.pid();
    let status = place.start();
    // What the second may still become is there when the file is its own, or it has ended.
    until("two, or one again", || place.running() == [first] || place.pid() != first);
    until("the process between has exited", || place.running().len() <= 2);
    (status, place.running().len())
}

/// The exit status of a start that cannot write its pid file.
fn unwritable(program: &'static str) -> i32 {
    let place = Place::new(program);
    fs::create_dir(place.path("pid")).expect("a directory");
    let status = place.start();
    until("it has ended", || place.running().is_empty());
    status
}

const DAEMONIZE: [&str; 2] = [env!("CARGO_BIN_EXE_daemonize_before"), env!("CARGO_BIN_EXE_daemonize_after")];
const FORK: [&str; 2] = [env!("CARGO_BIN_EXE_fork_before"), env!("CARGO_BIN_EXE_fork_after")];
const NIX: [&str; 2] = [env!("CARGO_BIN_EXE_nix_before"), env!("CARGO_BIN_EXE_nix_after")];
const PYTHON: &str = env!("CARGO_BIN_EXE_python_daemon_after");

#[test]
fn a_second_instance() {
    assert_eq!(DAEMONIZE.map(second), [(0, 1), (1, 1)]);
    assert_eq!(FORK.map(second), [(0, 2), (1, 1)]);
    assert_eq!(NIX.map(second), [(0, 2), (1, 1)]);
}

#[test]
fn a_pid_file_that_cannot_be_written() {
    assert_eq!(FORK.map(unwritable), [0, 1]);
    assert_eq!(NIX.map(unwritable), [0, 1]);
}

#[test]
fn what_the_caller_ignores_and_blocks() {
    let kept = |program| (inherits(program).0, inherits(program).1);
    assert_eq!(DAEMONIZE.map(kept), [(true, true), (false, false)]);
    assert_eq!(FORK.map(kept), [(true, true), (false, false)]);
    assert_eq!(FORK.map(|program| inherits(program).2), ["0077", "0022"]);
    assert_eq!(inherits(NIX[0]), (true, true, "0077".into()));
}

#[test]
fn daemonize_without_a_directory_to_be_in() {
    let statuses = DAEMONIZE.map(|program| {
        let place = Place::new(program);
        fs::remove_dir(place.path("home")).expect("an empty directory");
        let told = place.call(&mut place.command(&[]));
        until("it has ended", || place.running().is_empty());
        (told.status.code(), String::from_utf8(told.stdout).expect("utf-8").contains("cannot change the directory"))
    });
    assert_eq!(statuses, [(Some(0), false), (Some(1), true)]);
}

#[test]
fn daemonize_and_a_symlink() {
    let overwritten = DAEMONIZE.map(|program| {
        let place = Place::new(program);
        fs::write(place.path("other"), "something else").expect("a file");
        symlink(place.path("other"), place.path("pid")).expect("a link");
        let status = place.start();
        let what = || fs::read_to_string(place.path("other")).expect("a file");
        until("it has written, or has ended", || what() != "something else" || place.running().is_empty());
        (status, what() != "something else")
    });
    assert_eq!(overwritten, [(0, true), (1, false)]);
}

#[test]
fn daemonize_after_sigterm() {
    let stays = DAEMONIZE.map(|program| {
        let place = Place::new(program);
        assert_eq!(place.start(), 0);
        let pid = place.pid();
        until("it prints", || fs::read_to_string(place.path("log")).is_ok_and(|log| log == "running\n"));
        terminate(pid);
        place.path("pid").exists()
    });
    assert_eq!(stays, [true, false]);
}

#[test]
fn fork_when_the_caller_has_exited() {
    let place = Place::new(FORK[1]);
    assert_eq!(place.start(), 0);
    assert_eq!(fs::read_to_string(place.path("pid")).expect("it is there"), format!("{}\n", place.running()[0]));
}

#[test]
fn nix_and_the_session() {
    let leaders = NIX.map(|program| {
        let place = Place::new(program);
        assert_eq!(place.start(), 0);
        leads(place.pid())
    });
    assert_eq!(leaders, [true, false]);
}

fn python(place: &Place, verb: &str) -> i32 {
    place.call(&mut place.command(&[verb])).status.code().expect("a status")
}

#[test]
fn python_daemons_verbs() {
    let place = Place::new(PYTHON);
    assert_eq!(python(&place, "is_running"), 1);
    assert_eq!(python(&place, "stop"), 0);
    assert_eq!(python(&place, "start"), 0);
    let first = place.pid();
    assert_eq!(python(&place, "is_running"), 0);
    assert_eq!(python(&place, "start"), 1);
    assert_eq!(python(&place, "restart"), 0);
    assert_ne!(place.pid(), first);
    assert_eq!(place.running().len(), 1);
    assert_eq!(python(&place, "stop"), 0);
    assert!(!place.path("pid").exists());
    assert!(place.running().is_empty());
}

#[test]
fn python_daemon_without_its_directory() {
    let place = Place::new(PYTHON);
    let missing = place.path("missing");
    let status = place.call(Command::new(PYTHON).arg("start").arg(&missing)).status;
    assert_eq!(status.code(), Some(1));
}

#[test]
fn python_daemon_in_the_foreground() {
    let place = Place::new(PYTHON);
    let mut child = place.command(&["foreground"]).spawn().expect("it runs");
    assert_eq!(place.pid(), child.id() as i32);
    terminate(child.id() as i32);
    assert!(child.wait().expect("its end").success());
    assert!(!place.path("pid").exists());
}

#[test]
fn python_daemon_and_what_was_left() {
    let mut stranger = Command::new("sleep").arg("600").spawn().expect("a stranger");
    for left in [String::new(), format!("{}\n", stranger.id())] {
        let place = Place::new(PYTHON);
        fs::write(place.path("pid"), &left).expect("a file");
        assert_eq!(python(&place, "is_running"), 1);
        assert_eq!(python(&place, "stop"), 0);
        assert!(stranger.try_wait().expect("a child").is_none(), "the stranger lives");
        assert_eq!(python(&place, "start"), 0);
        assert_eq!(place.running(), [place.pid()]);
    }
    stranger.kill().expect("a child");
    stranger.wait().expect("a child");
}
