//! The init of `examples/nolibc`, as PID 1 of a container that has nothing in it but what init needs: a pid namespace, a mount
//! namespace, a root directory of its own. It never sees a console, because that would be this machine's.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Fork, Holder, SignalSet, block_signals, exit, fork, holder, ignore_signal, open_pid_file, wait_signal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use rustix::termios::{Action, tcflow};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::{
    HEAR, LIMIT, Running, argument, c_path, fixture, hostile, proc, readable, root_test, tell, temp_dir, tty::terminal, until,
    wait_byte, wait_release,
};

/// The variable that names the fixture which the console's program is, if that is `/bin/check`.
const CONSOLE: &str = "DAEMON_STEPS_CONSOLE";

const SLEEP: [&str; 2] = ["/usr/bin/sleep", "300"];

fn main() {
    support::main(
        &[
            ("container", || container(|| ())),
            ("of_a_session", || container(lead_terminal)),
            ("beside_a_session", beside_a_session),
            ("may_not_reboot", || container(may_not_reboot)),
            ("ignored_and_blocked", || container(ignore_and_block)),
            ("streamless", || container(close_streams)),
            ("deviceless", || container(deviceless)),
            ("unmountable", || container(|| hostile::deny(&[(libc::SYS_mount, Errno::NODEV)]))),
            ("second", || container(second)),
            ("ends", ends),
            ("leaves_orphans", leaves_orphans),
            ("heeds_term", heeds_term),
            ("heeds_a_hang_up", heeds_a_hang_up),
            ("heeds_int_first", heeds_int_first),
            ("heeds_nothing", heeds_nothing),
        ],
        vec![
            root_test("the_program_at_the_console_has_a_session_and_the_terminal", the_program_has_a_session_and_the_terminal),
            root_test("a_terminal_that_init_was_given_is_handed_on", a_terminal_that_init_was_given_is_handed_on),
            root_test("a_terminal_of_another_session_is_not_stolen", a_terminal_of_another_session_is_not_stolen),
            root_test("without_a_terminal_there_is_none", without_a_terminal_there_is_none),
            root_test("the_program_is_the_first_path_with_its_arguments", the_program_is_the_first_path),
            root_test("what_cannot_be_executed_is_told", what_cannot_be_executed_is_told),
            root_test("what_ends_is_started_again_and_not_at_once", what_ends_is_started_again),
            root_test("file_systems_are_mounted_where_there_are_none", file_systems_are_mounted_where_there_are_none),
            root_test("what_cannot_be_mounted_is_told", what_cannot_be_mounted_is_told),
            root_test("closed_streams_are_filled", closed_streams_are_filled),
            root_test("without_devices_it_lives", without_devices_it_lives),
            root_test("daemons_are_started_and_detached", daemons_are_started_and_detached),
            root_test("orphans_are_adopted_and_reaped", orphans_are_adopted_and_reaped),
            root_test("what_init_inherits_ignored_and_blocked_ends_there", what_init_inherits_ends_there),
            root_test("term_ends_all_and_is_a_power_off", term_ends_all_and_is_a_power_off),
            root_test("pwr_is_a_power_off_too", || says_how_it_ended(Signal::POWER, "signal 2")),
            root_test("int_is_a_reboot", || says_how_it_ended(Signal::INT, "signal 1")),
            root_test("other_signals_do_nothing", other_signals_do_nothing),
            root_test("a_shell_is_hung_up", a_shell_is_hung_up),
            root_test("what_init_was_told_is_forwarded_and_no_hang_up_without_a_terminal", what_init_was_told_is_forwarded),
            root_test("who_heeds_nothing_is_killed", who_heeds_nothing_is_killed),
            root_test("where_reboot_is_denied_it_exits", where_reboot_is_denied_it_exits),
            root_test("a_stopped_terminal_does_not_stop_init", a_stopped_terminal_does_not_stop_init),
            root_test("only_pid_1_is_init", only_pid_1_is_init),
        ],
    );
}

/// The directory of `init`, `daemon` and `minimal`: of what `DAEMON_INIT` names, or built here, once.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        if let Some(init) = std::env::var_os("DAEMON_INIT") {
            let init = fs::canonicalize(init).expect("the program that DAEMON_INIT names");
            return init.parent().expect("a directory").into();
        }
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = repository.join("target/nolibc");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--quiet", "--manifest-path"]).arg(repository.join("examples/nolibc/Cargo.toml"));
        assert!(cargo.arg("--target-dir").arg(&target).status().expect("cargo").success(), "the programs are built");
        target.join("release")
    })
}

/// In a fixture: makes the directory of its first argument a root for init, in a mount namespace of this process's own.
fn build_root() -> PathBuf {
    let root = PathBuf::from(argument(1));
    let programs = PathBuf::from(argument(2));
    // SAFETY: a fixture has one thread, so nobody loses what it shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWPID) }.expect("namespaces");
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private mounts");
    let tmpfs = |path: &Path| mount(c"none", c_path(path), c"tmpfs", MountFlags::empty(), None).expect("a tmpfs");
    tmpfs(&root);
    for directory in ["bin", "dev", "usr"] {
        fs::create_dir(root.join(directory)).expect("a directory");
    }
    tmpfs(&root.join("dev"));
    for directory in ["lib", "lib64"] {
        share_directory(&root, directory);
    }
    mount_bind(c"/usr", c_path(root.join("usr"))).expect("a bind mount");
    for device in ["dev/null", "dev/tty"] {
        share_file(&Path::new("/").join(device), &root.join(device));
    }
    share_file(&programs.join("init"), &root.join("init"));
    share_file(&programs.join("daemon"), &root.join("bin/daemon"));
    share_file(&programs.join("minimal"), &root.join("bin/minimal"));
    share_file(&std::env::current_exe().expect("this program"), &root.join("bin/check"));
    root
}

fn share_file(from: &Path, to: &Path) {
    fs::write(to, "").expect("a file");
    mount_bind(c_path(from), c_path(to)).expect("a bind mount");
}

/// A directory of the host's, or the symbolic link that stands for it.
fn share_directory(root: &Path, name: &str) {
    let (from, to) = (Path::new("/").join(name), root.join(name));
    if let Ok(target) = fs::read_link(&from) {
        std::os::unix::fs::symlink(target, to).expect("a symbolic link");
    } else if from.is_dir() {
        fs::create_dir(&to).expect("a directory");
        mount_bind(c_path(from), c_path(to)).expect("a bind mount");
    }
}

/// In a fixture: starts init with the arguments from the third on, after what is done `before` in its process.
/// Tells its pid, and how it has ended; if the test lets go before, kills it.
fn container(before: impl FnOnce()) {
    let root = build_root();
    let (go, told) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    match fork().expect("fork") {
        Fork::Child => {
            drop(told);
            // SAFETY: a number and a signal.
            assert_eq!(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }, 0);
            let _ = rustix::io::read(&go, &mut [0][..]);
            daemon_steps::chroot(&c_path(root)).expect("a root");
            // Whoever starts a container may be anywhere.
            daemon_steps::chdir(c"/usr").expect("a directory");
            daemon_steps::umask(rustix::fs::Mode::empty()).expect("a mask");
            before();
            panic!("{}", init().exec());
        }
        Fork::Parent(init) => {
            drop(go);
            tell(init.as_raw_nonzero());
            drop(told);
            watch(init);
            let (_, status) = waitpid(Some(init), WaitOptions::empty()).expect("wait").expect("an end");
            tell(match (status.exit_status(), status.terminating_signal()) {
                (Some(status), _) => format!("exit {status}"),
                (_, signal) => format!("signal {}", signal.expect("an end")),
            });
        }
    }
}

fn init() -> Command {
    let mut command = Command::new("/init");
    command.args(std::env::args().skip(3));
    if let Some(name) = std::env::var_os(CONSOLE) {
        command.env_remove(CONSOLE).env(support::NAME, name);
    }
    command
}

/// Waits for the end of `init`, or for the test to let go.
fn watch(init: Pid) {
    let pidfd = pidfd_open(init, PidfdFlags::empty()).expect("a pidfd");
    // SAFETY: the channel is there from the start, and no fixture closes it without meaning to.
    let channel = unsafe { BorrowedFd::borrow_raw(HEAR) };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN), PollFd::from_borrowed_fd(channel, PollFlags::empty())];
    rustix::io::retry_on_intr(|| poll(&mut fds, None)).expect("poll");
    if !fds[1].revents().is_empty() {
        let _ = kill_process(init, Signal::KILL);
    }
}

/// A container that runs. Dropped, it is ended.
struct Container {
    running: Running,
    errors: Option<ChildStderr>,
    init: i32,
    _root: tempfile::TempDir,
}

impl Container {
    /// Starts one whose console's program is `/bin/check`, as this fixture.
    fn of(console: &str) -> Self {
        Self::start("container", &["/bin/check"], |command| command.env(CONSOLE, console))
    }

    fn start(kind: &str, arguments: &[&str], configure: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let root = temp_dir();
        let mut fixture = fixture(kind).arg(root.path()).arg(programs());
        fixture.command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
        configure(&mut fixture.command);
        let mut running = fixture.start();
        let init = running.hear_pid();
        let errors = running.child.stderr.take();
        Self { running, errors, init, _root: root }
    }

    /// The child of init's that has executed a program of this name.
    #[track_caller]
    fn child(&self, name: &str) -> i32 {
        let mut found = None;
        until(name, || {
            // The name comes first, the arguments a moment later: then the program is there.
            let runs =
                |pid: &i32| has_name(*pid, name) && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
            found = proc::children(self.init).into_iter().find(runs);
            found.is_some()
        });
        found.expect("a child")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.init).expect("a pid"), signal).expect("init runs");
    }

    /// Waits until the daemons run. One that is about to fork does not hand on the SIGTERM that it gets.
    #[track_caller]
    fn settles(&self) -> [i32; 2] {
        ["daemon", "minimal"].map(|name| daemon(self, name))
    }

    /// Sends the signal, and says how init has ended.
    fn end(mut self, signal: Signal) -> (String, String) {
        self.signal(signal);
        let ended = self.running.hear();
        (ended, self.errors())
    }

    /// What init, and whoever has not been able to become a program, has told to the end.
    fn errors(&mut self) -> String {
        let mut all = String::new();
        while let Some(line) = self.next_error() {
            all = all + &line + "\n";
        }
        all
    }

    /// Waits until this line is told.
    #[track_caller]
    fn tells(&mut self, line: &str) {
        let mut before = Vec::new();
        while let Some(told) = self.next_error() {
            if told == line {
                return;
            }
            before.push(told);
        }
        panic!("{line:?} is not in {before:?}");
    }

    /// The next line on standard error; `None` when nobody is left who could write one, or after the limit.
    fn next_error(&mut self) -> Option<String> {
        let errors = self.errors.as_mut().expect("a pipe");
        let mut line = Vec::new();
        let mut byte = [0];
        while readable(errors.as_fd(), LIMIT) && errors.read(&mut byte).expect("the pipe") == 1 {
            match byte {
                [b'\n'] => return Some(String::from_utf8(line).expect("utf-8")),
                [byte] => line.push(byte),
            }
        }
        None
    }
}

/// Whether a process that may just end has this name, and has not ended.
fn has_name(pid: i32, name: &str) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    text.contains(&format!(" ({name}) ")) && !text.contains(") Z ")
}

/// `SLEEP` with a terminal on 0, 1 and 2.
fn with_terminal(kind: &str) -> (OwnedFd, OwnedFd, Container) {
    let (master, slave) = terminal();
    let copy = || Stdio::from(slave.try_clone().expect("a copy"));
    let container = Container::start(kind, &SLEEP, |command| command.stdin(copy()).stdout(copy()).stderr(copy()));
    (master, slave, container)
}

/// A program that init has started for the console: it leads a session, and has nothing of what init does with signals and
/// descriptors.
#[track_caller]
fn check_program(container: &Container) -> i32 {
    let pid = container.child("sleep");
    assert_eq!((proc::session(pid), proc::group(pid)), (pid, pid));
    assert_eq!(["SigBlk", "SigIgn", "SigCgt"].map(|set| proc::signals(pid, set)), [0; 3]);
    assert_eq!((proc::umask(pid), proc::cwd(pid)), ("0022".into(), proc::root(pid)));
    // What init was given is handed on, and nothing besides, once the libraries are loaded.
    until("no other descriptors", || proc::fds(pid).into_keys().eq(proc::fds(container.init).into_keys()));
    pid
}

/// Whether 0, 1 and 2 are the container's `/dev/null`, which has a longer name here.
fn has_null_streams(pid: i32) -> bool {
    let fds = proc::fds(pid);
    (0..=2).all(|fd| fds.get(&fd).is_some_and(|link| link.ends_with("/dev/null")))
}

fn the_program_has_a_session_and_the_terminal() {
    let (_master, _slave, container) = with_terminal("container");
    let program = check_program(&container);
    assert_ne!(proc::terminal(program), 0);
    assert_eq!(proc::stat(program)[8], program.to_string(), "it is in the foreground");
    assert_ne!(proc::session(container.init), program);
    assert_eq!(proc::terminal(container.init), 0);
}

/// As a container's runtime does it: init leads a session that has the terminal.
fn lead_terminal() {
    rustix::process::setsid().expect("a session");
    rustix::process::ioctl_tiocsctty(std::io::stdin()).expect("the terminal");
}

fn a_terminal_that_init_was_given_is_handed_on() {
    let (_master, _slave, container) = with_terminal("of_a_session");
    let program = check_program(&container);
    assert_ne!(proc::terminal(program), 0);
    assert_eq!(proc::session(container.init), container.init);
    assert_eq!(proc::terminal(container.init), 0);
}

fn beside_a_session() {
    lead_terminal();
    container(|| ());
}

fn a_terminal_of_another_session_is_not_stolen() {
    let (_master, slave) = terminal();
    let mut container = Container::start("beside_a_session", &SLEEP, |command| command.stdin(slave.try_clone().expect("a copy")));
    container.tells("init: cannot take the terminal: error 1");
    let program = check_program(&container);
    assert_eq!(proc::terminal(program), 0);
    assert_ne!(proc::terminal(container.running.pid()), 0);
}

fn without_a_terminal_there_is_none() {
    let container = Container::start("container", &SLEEP, |command| command);
    let program = check_program(&container);
    assert_eq!(proc::terminal(program), 0);
    container.settles();
    assert_eq!(container.end(Signal::TERM).1, "init: stopping\ninit: power off\n");
}

fn the_program_is_the_first_path() {
    let container =
        Container::start("container", &["quiet", "a/b", SLEEP[0], SLEEP[1]], |command| command.env("KERNEL_WORD", "1"));
    let program = container.child("sleep");
    assert_eq!(fs::read_to_string(format!("/proc/{program}/cmdline")).expect("it runs"), "/usr/bin/sleep\x00300\0");
    assert!(proc::environ(program).contains(&"KERNEL_WORD=1".into()));
}

fn what_cannot_be_executed_is_told() {
    for (arguments, missing) in [(&["quiet"][..], "/bin/sh"), (&["/bin/missing", "x"], "/bin/missing"), (&["/usr"], "/usr")] {
        let mut container = Container::start("container", arguments, |command| command);
        let errno = if missing == "/usr" { Errno::ACCESS } else { Errno::NOENT }.raw_os_error();
        let line = format!("init: cannot execute {missing}: error {errno}");
        container.tells(&line);
        // And again: init lives.
        container.tells(&line);
        assert_eq!(container.end(Signal::TERM).0, "signal 2");
    }
}

fn ends() {
    tell(std::process::id());
}

fn what_ends_is_started_again() {
    let container = Container::of("ends");
    let first = container.running.hear_pid();
    let start = Instant::now();
    let others = [container.running.hear_pid(), container.running.hear_pid()];
    // A machine that is slow makes it longer.
    assert!(start.elapsed() > Duration::from_millis(1500), "two pauses of a second in {:?}", start.elapsed());
    assert!(first < others[0] && others[0] < others[1]);
}

/// What is mounted where, as a process sees it.
fn mounts(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("the process runs");
    let word = |text: &str, n: usize| text.split(' ').nth(n).expect("a word").to_owned();
    let mount = |line: &str| line.split_once(" - ").map(|(place, what)| (word(place, 4), word(what, 0)));
    text.lines().filter_map(mount).collect()
}

fn file_systems_are_mounted_where_there_are_none() {
    let container = Container::start("container", &SLEEP, |command| command);
    let mounts = mounts(container.child("sleep"));
    let kind = |directory: &str| mounts.get(directory).map(String::as_str);
    assert_eq!((kind("/proc"), kind("/sys")), (Some("proc"), Some("sysfs")), "{mounts:?}");
    // What there was is not covered.
    assert_eq!(kind("/dev"), Some("tmpfs"));
}

fn what_cannot_be_mounted_is_told() {
    let mut container = Container::start("unmountable", &SLEEP, |command| command);
    container.tells("init: cannot mount /proc: error 19");
    container.tells("init: cannot mount /sys: error 19");
    check_program(&container);
    assert_eq!(container.end(Signal::TERM).0, "signal 2");
}

fn close_streams() {
    for fd in 0..=2 {
        // SAFETY: nothing is said here any more.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
}

fn closed_streams_are_filled() {
    let container = Container::start("streamless", &SLEEP, |command| command);
    let program = check_program(&container);
    for pid in [container.init, program] {
        assert!(has_null_streams(pid));
    }
    assert_eq!(container.end(Signal::TERM), ("signal 2".into(), String::new()));
}

/// Nothing in `/dev`, and no right to mount anything there.
fn deviceless() {
    rustix::mount::unmount(c"/dev/null", rustix::mount::UnmountFlags::DETACH).expect("unmounted");
    fs::remove_file("/dev/null").expect("removed");
    hostile::deny(&[(libc::SYS_mount, Errno::PERM)]);
    close_streams();
}

fn without_devices_it_lives() {
    let container = Container::start("deviceless", &SLEEP, |command| command);
    let program = container.child("sleep");
    assert_eq!(proc::session(program), program);
    assert_eq!(container.end(Signal::TERM).0, "signal 2");
}

/// The process that holds one of the daemons' pid files.
#[track_caller]
fn daemon(container: &Container, name: &str) -> i32 {
    let path = c_path(format!("/proc/{}/root/run/{name}.pid", container.init));
    let mut pid = 0;
    until(name, || match open_pid_file(&path).and_then(|file| holder(&file)) {
        Ok(Holder::Running(running)) => {
            pid = running.as_raw_nonzero().get();
            // Until the process between has exited that is the parent.
            proc::parent(pid) == container.init
        }
        _ => false,
    });
    pid
}

fn daemons_are_started_and_detached() {
    let container = Container::start("container", &SLEEP, |command| command);
    for (name, leads) in [("daemon", true), ("minimal", false)] {
        let pid = daemon(&container, name);
        assert_eq!(proc::stat(pid)[2], name);
        assert_eq!(proc::session(pid) == pid, leads);
        assert!(![container.init, container.child("sleep")].contains(&proc::session(pid)));
        assert_eq!(proc::terminal(pid), 0);
        assert!(has_null_streams(pid));
        // Besides those its pid file, and the directory that its name counts from; nothing of what init was given.
        let mut others = proc::fds(pid).into_iter().filter(|(fd, _)| *fd > 2);
        let here = proc::root(pid);
        assert!(others.all(|(_, link)| link.contains("/run") || Path::new(&link) == here), "{:?}", proc::fds(pid));
        assert_eq!((proc::umask(pid), proc::cwd(pid)), ("0022".into(), proc::root(pid)));
        assert_eq!(proc::signals(pid, "SigIgn"), 0);
        // They block, and wait for, these two at most.
        let waited = (1 << (libc::SIGTERM - 1)) | (1 << (libc::SIGINT - 1));
        assert_eq!(proc::signals(pid, "SigBlk") & !waited, 0);
    }
    assert_eq!(container.end(Signal::TERM), ("signal 2".into(), "init: stopping\ninit: power off\n".into()));
}

/// Many orphans that have ended when init hears of them, and three that live.
fn leaves_orphans() {
    let orphan = |act: fn()| match fork().expect("fork") {
        Fork::Child => {
            if fork().expect("fork") == Fork::Child {
                act();
            }
            exit(0)
        }
        Fork::Parent(child) => drop(waitpid(Some(child), WaitOptions::empty()).expect("the child ends")),
    };
    (0..200).for_each(|_| orphan(|| ()));
    (0..3).for_each(|_| orphan(wait_byte));
    let ends = SignalSet::from(Signal::TERM);
    block_signals(ends).expect("blocked");
    tell("left");
    wait_signal(ends, None).expect("a signal");
}

fn orphans_are_adopted_and_reaped() {
    let mut container = Container::of("leaves_orphans");
    assert_eq!(container.running.hear(), "left");
    // The program, its three orphans; the daemons. No zombie.
    let daemons = container.settles();
    let states = |container: &Container| {
        let others = proc::children(container.init).into_iter().filter(|pid| !daemons.contains(pid));
        others.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok()).collect::<Vec<_>>()
    };
    let are = |container: &Container, number: usize| {
        let states = states(container);
        states.len() == number && states.iter().all(|state| state.contains("(check) S"))
    };
    until("three orphans are left", || are(&container, 4));
    for left in (1..=3).rev() {
        container.running.step();
        until("an orphan is reaped", || are(&container, left));
    }
}

/// Ignores and blocks whatever can be.
fn ignore_and_block() {
    // glibc keeps 32 and 33 for itself.
    for number in (1..=64).filter(|number| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(number)) {
        // SAFETY: SIG_IGN is no handler.
        assert_ne!(unsafe { libc::signal(number, libc::SIG_IGN) }, libc::SIG_ERR);
    }
    block_signals(SignalSet::ALL).expect("blocked");
}

fn what_init_inherits_ends_there() {
    let container = Container::start("ignored_and_blocked", &SLEEP, |command| command);
    let program = check_program(&container);
    // What a fault raises is not blocked: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
    let faults = [4, 5, 6, 7, 8, 11, 31].iter().fold(0_u64, |set, signal| set | 1 << (signal - 1));
    let sets = ["SigBlk", "SigIgn", "SigCgt"].map(|set| proc::signals(container.init, set));
    assert_eq!([sets[0] & faults, sets[1], sets[2]], [0; 3]);
    kill_process(Pid::from_raw(program).expect("a pid"), Signal::KILL).expect("it runs");
    support::wait_end(program);
    assert_ne!(container.child("sleep"), program);
    assert_eq!(container.end(Signal::TERM).0, "signal 2");
}

/// The console's program and an orphan of it: each says that it was asked to end.
fn heeds_term() {
    let set = SignalSet::from_iter([Signal::TERM, Signal::HUP]);
    block_signals(set).expect("blocked");
    let session = fork().expect("fork") == Fork::Child;
    if session {
        rustix::process::setsid().expect("a session");
    } else if fork().expect("fork") == Fork::Child {
        // One that is stopped, and has to go on to end.
        daemon_steps::unblock_signals(set).expect("unblocked");
        kill_process(rustix::process::getpid(), Signal::STOP).expect("this process");
        wait_release();
        exit(0);
    }
    tell(format!("{} waits", if session { "orphan" } else { "program" }));
    while wait_signal(set, None) != Ok(Some(libc::SIGTERM)) {}
    tell(format!("{} ends", if session { "orphan" } else { "program" }));
}

fn term_ends_all_and_is_a_power_off() {
    let mut container = Container::of("heeds_term");
    let mut heard = [container.running.hear(), container.running.hear()];
    heard.sort_unstable();
    assert_eq!(heard, ["orphan waits", "program waits"]);
    container.settles();
    let program = container.child("check");
    until("the third is stopped", || proc::children(program).into_iter().any(|pid| proc::state(pid) == "T"));
    let all: Vec<i32> = proc::children(container.init).into_iter().chain(proc::children(program)).collect();
    container.signal(Signal::TERM);
    let mut heard = [container.running.hear(), container.running.hear()];
    heard.sort_unstable();
    assert_eq!(heard, ["orphan ends", "program ends"]);
    assert_eq!(container.running.hear(), "signal 2");
    // Nobody had to be killed.
    assert_eq!(container.errors(), "init: stopping\ninit: power off\n");
    all.into_iter().for_each(support::wait_end);
}

fn says_how_it_ended(signal: Signal, ended: &str) {
    let container = Container::start("container", &SLEEP, |command| command);
    container.settles();
    let word = if ended == "signal 1" { "reboot" } else { "power off" };
    assert_eq!(container.end(signal), (ended.into(), format!("init: stopping\ninit: {word}\n")));
}

fn other_signals_do_nothing() {
    let container = Container::start("container", &SLEEP, |command| command);
    let program = container.child("sleep");
    for signal in [Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::PIPE, Signal::ALARM, Signal::TSTP] {
        container.signal(signal);
    }
    // It still does what it is for.
    kill_process(Pid::from_raw(program).expect("a pid"), Signal::KILL).expect("it runs");
    support::wait_end(program);
    assert_ne!(container.child("sleep"), program);
    assert_eq!(container.end(Signal::TERM).0, "signal 2");
}

/// As an interactive shell does.
fn heeds_a_hang_up() {
    ignore_signal(Signal::TERM).expect("ignored");
    tell("waits");
    wait_release();
}

fn a_shell_is_hung_up() {
    let (_master, slave) = terminal();
    let container =
        Container::start("container", &["/bin/check"], |command| command.env(CONSOLE, "heeds_a_hang_up").stdin(slave));
    assert_eq!(container.running.hear(), "waits");
    container.settles();
    assert_eq!(container.end(Signal::TERM), ("signal 2".into(), "init: stopping\ninit: power off\n".into()));
}

/// Says which signals it gets, until the one that all get.
fn heeds_int_first() {
    let set = SignalSet::from_iter([Signal::TERM, Signal::HUP]);
    for signals in [set, Signal::INT.into()] {
        block_signals(signals).expect("blocked");
    }
    tell("waits");
    let told = wait_signal(Signal::INT.into(), None).expect("a signal");
    let then = wait_signal(set, None).expect("a signal");
    tell(format!("{told:?}, {then:?}"));
}

fn what_init_was_told_is_forwarded() {
    let container = Container::of("heeds_int_first");
    assert_eq!(container.running.hear(), "waits");
    container.settles();
    container.signal(Signal::INT);
    assert_eq!(container.running.hear(), format!("Some({}), Some({})", libc::SIGINT, libc::SIGTERM));
    assert_eq!(container.running.hear(), "signal 1");
}

fn heeds_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        ignore_signal(signal).expect("ignored");
    }
    let _ = fork().expect("fork");
    tell("waits");
    // The end of the test, if nothing else: init's limit is far below.
    wait_release();
}

fn who_heeds_nothing_is_killed() {
    let container = Container::of("heeds_nothing");
    assert_eq!([container.running.hear(), container.running.hear()], ["waits", "waits"]);
    let all = proc::children(container.init);
    let (ended, told) = container.end(Signal::TERM);
    assert_eq!((ended.as_str(), told.as_str()), ("signal 2", "init: stopping\ninit: some do not end\ninit: power off\n"));
    all.into_iter().for_each(support::wait_end);
}

fn may_not_reboot() {
    const CAP_SYS_BOOT: libc::c_ulong = 22;
    // SAFETY: numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) }, 0);
}

fn where_reboot_is_denied_it_exits() {
    for signal in [Signal::TERM, Signal::INT] {
        let container = Container::start("may_not_reboot", &SLEEP, |command| command);
        container.child("sleep");
        assert_eq!(container.end(signal).0, "exit 0");
    }
}

fn a_stopped_terminal_does_not_stop_init() {
    let (_master, slave, mut container) = with_terminal("container");
    container.child("sleep");
    tcflow(&slave, Action::OOff).expect("stopped");
    container.signal(Signal::TERM);
    assert_eq!(container.running.hear(), "signal 2");
    container.running.release();
}

/// Another process is PID 1.
fn second() {
    let status = init().status().expect("init starts");
    exit(status.code().unwrap_or(99));
}

fn only_pid_1_is_init() {
    let mut container = Container::start("second", &SLEEP, |command| command);
    assert_eq!(container.running.hear(), "exit 1");
    assert_eq!(container.errors(), "init: this is not PID 1\n");
}
