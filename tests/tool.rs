//! The tool `daemon`, as its user meets it: command lines, exit statuses, messages, and what the daemon is in `/proc`.
//!
//! Each test has a directory of its own, a [`Place`]. A COMMAND that must do something at its time is a fixture: the
//! tool executes this program, and leaves it the channel on request (`--keep-fd`).

#![allow(unsafe_code, missing_docs)]

mod support;

use daemon_steps::{Fork, Holder, SignalSet, Stop, block_signals, fork, holder, open_pid_file, wait_signal};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{
    Fixture, HEAR, LIMIT, Running, TELL, c_path, fixture, hostile, proc, readable, root_test, tell, temp_dir, test, tty::pty,
    until, wait_end, wait_release,
};

fn main() {
    support::main(
        &[
            ("stays", stays),
            ("hears", hears),
            ("needs_long", needs_long),
            ("leaves_a_child", leaves_a_child),
            ("dies_and_leaves_a_child", dies_and_leaves_a_child),
            ("writes", writes),
            ("ignores_and_blocks", ignores_and_blocks),
            ("has_a_terminal", has_a_terminal),
            ("has_no_proc", has_no_proc),
            ("on_read_only", on_read_only),
            ("without_a_block", without_a_block),
            ("without_an_inode", without_an_inode),
            ("beside", beside),
            ("below", below),
            ("below_init", below_init),
        ],
        vec![
            test("a_command_is_started_seen_refused_and_stopped", a_command_is_started_seen_refused_and_stopped),
            test("what_start_prints_is_what_proc_says", what_start_prints_is_what_proc_says),
            test("the_daemon_has_no_descriptor_but_its_own", the_daemon_has_no_descriptor_but_its_own),
            test("the_worker_writes_a_line_a_second", the_worker_writes_a_line_a_second),
            test("the_worker_ends_and_removes_its_file", the_worker_ends_and_removes_its_file),
            test("restart_replaces_what_runs_or_starts", restart_replaces_what_runs_or_starts),
            test("restart_starts_nothing_beside_what_does_not_end", restart_starts_nothing_beside_what_does_not_end),
            test("restart_stops_nothing_if_it_cannot_start", restart_stops_nothing_if_it_cannot_start),
            test("run_is_the_command_in_the_same_process", run_is_the_command_in_the_same_process),
            test("run_runs_the_worker", run_runs_the_worker),
            test("run_ends_with_the_commands_status", run_ends_with_the_commands_status),
            test("run_passes_the_readiness_descriptor_on", run_passes_the_readiness_descriptor_on),
            test("a_command_is_found_as_a_shell_finds_it", a_command_is_found_as_a_shell_finds_it),
            test("a_command_gets_its_arguments", a_command_gets_its_arguments),
            test("a_command_that_cannot_be_executed_leaves_nothing", a_command_that_cannot_be_executed_leaves_nothing),
            test("a_command_that_ends_at_once_was_started_or_its_status_is_told", a_command_that_ends_at_once),
            test("directory_umask_and_pid_file_are_as_told", directory_umask_and_pid_file_are_as_told),
            test("streams_go_to_files", streams_go_to_files),
            test("the_environment_is_what_was_named", the_environment_is_what_was_named),
            test("descriptors_are_kept_on_request", descriptors_are_kept_on_request),
            test("a_step_that_fails_is_named", a_step_that_fails_is_named),
            test("ready_is_when_the_command_says_so_on_any_descriptor", ready_is_when_the_command_says_so),
            test("not_ready_is_not_started", not_ready_is_not_started),
            test("a_child_that_holds_the_descriptor_does_not_speak_for_the_dead", a_child_that_holds_the_descriptor),
            test("a_start_that_takes_too_long_is_given_up", a_start_that_takes_too_long_is_given_up),
            test("a_start_on_its_way_is_told_as_such", a_start_on_its_way_is_told_as_such),
            test("of_simultaneous_starts_one_wins", of_simultaneous_starts_one_wins),
            test("a_daemon_that_ignores_term_is_killed_if_asked", a_daemon_that_ignores_term_is_killed_if_asked),
            test("a_daemon_that_needs_long_is_waited_for", a_daemon_that_needs_long_is_waited_for),
            test("a_daemon_that_sleeps_by_sigstop_is_stopped", a_daemon_that_sleeps_by_sigstop_is_stopped),
            test("the_signal_asked_for_is_the_one_sent", the_signal_asked_for_is_the_one_sent),
            test("a_zombie_is_not_running", a_zombie_is_not_running),
            test("a_child_left_behind_is_no_daemon", a_child_left_behind_is_no_daemon),
            test("a_pid_file_that_another_program_has_locked_is_an_error", locked_by_another_program),
            test("a_pid_file_that_was_left_misleads_nobody", a_pid_file_that_was_left_misleads_nobody),
            test("a_start_says_what_it_finds_in_the_place_of_a_living_daemons_file", another_file_in_the_place),
            test("a_bad_place_for_the_pid_file_is_named_and_unchanged", a_bad_place_for_the_pid_file),
            test("a_directory_that_may_not_be_written_is_named", a_directory_that_may_not_be_written_is_named),
            test("closed_streams_are_filled", closed_streams_are_filled),
            test("a_pipeline_ends", a_pipeline_ends),
            test("a_terminal_is_left", a_terminal_is_left),
            test("what_the_caller_ignores_and_blocks_does_not_go_over", what_the_caller_ignores_and_blocks),
            test("a_wrong_command_line_is_usage", a_wrong_command_line_is_usage),
            test("help_names_every_option", help_names_every_option),
            root_test("the_user_is_another_for_good", the_user_is_another_for_good),
            root_test("a_dropped_worker_empties_the_file_that_it_cannot_remove", a_dropped_worker_empties_its_file),
            root_test("another_users_daemon_and_file_are_left_alone", another_users_daemon_and_file_are_left_alone),
            root_test("a_root_is_a_root", a_root_is_a_root),
            root_test("without_proc_it_starts_and_stops", without_proc_it_starts_and_stops),
            root_test("a_read_only_file_system_is_named", a_read_only_file_system_is_named),
            root_test("a_full_file_system_is_named", a_full_file_system_is_named),
            root_test("a_daemon_out_of_sight_is_not_signalled", a_daemon_out_of_sight_is_not_signalled),
            root_test("a_daemon_in_a_namespace_below_is_stopped", a_daemon_in_a_namespace_below_is_stopped),
        ],
    );
}

/// The program under test.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("DAEMON_TOOL") {
        return fs::canonicalize(path).expect("the program that DAEMON_TOOL names");
    }
    let path = this_program().parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/daemon");
    assert!(path.exists(), "the program under test is missing: {}: cargo build --example daemon", path.display());
    path
}

fn this_program() -> PathBuf {
    std::env::current_exe().expect("this program")
}

/// A directory of its own, where whatever was started is ended at the end.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = temp_dir();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        Self { dir }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        // A directory that may not be searched would make the reason another.
        let path = std::env::var_os("PATH").expect("PATH");
        let open = std::env::split_paths(&path).filter(|directory| directory.is_dir());
        command.env("PATH", std::env::join_paths(open).expect("as it came"));
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn tool(&self, line: &[&str]) -> Fixture {
        let mut command = self.command(program());
        command.args(line);
        Fixture { command }
    }

    /// A line for the shell, in which `$0` is the tool.
    fn shell(&self, line: &str) -> Ran {
        let mut command = self.command("sh");
        command.args(["-c", line]).arg(program());
        Ran::of(&mut Fixture { command }.start())
    }

    fn run(&self, line: &[&str]) -> Ran {
        Ran::of(&mut self.tool(line).start())
    }

    /// `line`, and after it this program as COMMAND: the fixture so named, with the channel.
    fn tool_with(&self, line: &[&str], name: &str, arguments: &[&str]) -> Fixture {
        let mut tool = self.tool(line).env(support::NAME, name);
        tool.command.args(["--keep-fd", &TELL.to_string(), "--keep-fd", &HEAR.to_string(), "--"]);
        tool.command.arg(this_program()).args(arguments);
        tool
    }

    /// Starts a fixture; the running one ends with what is returned.
    #[track_caller]
    fn start_with(&self, line: &[&str], name: &str, arguments: &[&str]) -> (i32, Running) {
        let mut running = self.tool_with(&[&["start"], line].concat(), name, arguments).start();
        let pid = Ran::of(&mut running).pid();
        assert_eq!(self.holder(), Holder::Running(known(pid)));
        (pid, running)
    }

    /// Starts, and returns the daemon's pid: printed, in the file, and the kernel's.
    #[track_caller]
    fn start(&self, line: &[&str]) -> i32 {
        let pid = self.run(&[&["start"], line].concat()).pid();
        assert_eq!(self.holder(), Holder::Running(known(pid)));
        assert_eq!(fs::read_to_string(self.path("daemon.pid")).expect("a pid file"), format!("{pid}\n"));
        pid
    }

    #[track_caller]
    fn stop(&self) {
        self.run(&["stop"]).said(0, "stopped");
    }

    /// Whoever holds the pid file, as the kernel says.
    fn holder(&self) -> Holder {
        holder(&open_pid_file(&c_path(self.path("daemon.pid"))).expect("a pid file")).expect("the kernel's answer")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the directory");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("utf-8")).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn is_empty(&self) {
        assert_eq!(self.names(), [""; 0]);
    }

    fn write(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).expect("a file");
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("chmod");
    }

    fn executable(&self, name: &str, content: &str) {
        self.write("source", content, 0o755);
        copy(&self.path("source"), &self.path(name));
        fs::remove_file(self.path("source")).expect("rm");
    }

    fn fifo(&self, name: &str) {
        rustix::fs::mknodat(rustix::fs::CWD, self.path(name), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    }

    /// A copy of the tool, for users who may not read where it was built.
    fn copy_tool(&self) -> Command {
        copy(&program(), &self.path("tool"));
        self.command(self.path("tool"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path()).expect("the directory").flatten() {
            if entry.file_name().to_string_lossy().ends_with(".pid") {
                let how = Stop { signal: Signal::KILL, timeout: Some(LIMIT), kill: false };
                let _ = open_pid_file(&c_path(entry.path())).and_then(|file| daemon_steps::stop(&file, &how));
            }
        }
    }
}

/// Copies a file that will be executed. Another process does it: of a file that is open for writing here, a child
/// of another test might have the descriptor, for a moment, and nobody could execute the file (ETXTBSY).
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).stdin(Stdio::null()).status().expect("cp").success());
}

fn known(pid: i32) -> Pid {
    Pid::from_raw(pid).expect("a pid")
}

/// Sends a signal to a process that this test has started.
fn send(pid: i32, signal: Signal) {
    let pidfd = pidfd_open(known(pid), PidfdFlags::empty()).expect("it runs");
    pidfd_send_signal(pidfd, signal).expect("our own process");
}

/// How a call of the tool has ended.
#[derive(Debug)]
struct Ran {
    /// The exit status; the signal's number, negative.
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(running: &mut Running) -> Self {
        let [out, err] = outputs(&mut running.child);
        let status = running.status();
        Self { code: status.code().unwrap_or_else(|| -status.signal().expect("a signal")), out, err }
    }

    /// The pid of a successful "started, pid N".
    #[track_caller]
    fn pid(&self) -> i32 {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        let line = self.out.lines().find_map(|line| line.strip_prefix("started, pid "));
        line.unwrap_or_else(|| panic!("no pid: {self:?}")).parse().expect("a pid")
    }

    /// It ended with this status, one line on standard error, and nothing on standard output.
    #[track_caller]
    fn complained(&self, code: i32, line: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, "", format!("daemon: {line}\n").as_str()));
    }

    #[track_caller]
    fn failed(&self, line: &str) {
        self.complained(1, line);
    }

    #[track_caller]
    fn said(&self, code: i32, line: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, format!("{line}\n").as_str(), ""));
    }
}

/// Both outputs, to their ends: a daemon that kept one of them open would be found here.
fn outputs(child: &mut Child) -> [String; 2] {
    let mut out = child.stdout.take().expect("a pipe");
    let mut err = child.stderr.take().expect("a pipe");
    [read_to_end(&mut out), read_to_end(&mut err)]
}

fn read_to_end(from: &mut (impl Read + std::os::fd::AsFd)) -> String {
    let mut all = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        assert!(readable(from.as_fd(), LIMIT), "no end of output; so far {:?}", String::from_utf8_lossy(&all));
        match from.read(&mut bytes).expect("a pipe") {
            0 => return String::from_utf8(all).expect("utf-8"),
            length => all.extend_from_slice(&bytes[..length]),
        }
    }
}

/// A COMMAND that does nothing for long, and is the same from its first moment on.
const SLEEP: [&str; 3] = ["--", "sleep", "300"];

/// A COMMAND that ignores TERM; ready when it does.
const STUBBORN: [&str; 6] = ["--ready-fd", "3", "--", "sh", "-c", "trap '' TERM; echo >&3; exec sleep 300 3>&-"];

/// Tells its pid, and stays.
fn stays() {
    tell(std::process::id());
    wait_release();
}

// ---- verbs

fn a_command_is_started_seen_refused_and_stopped() {
    let place = Place::new();
    place.run(&["status"]).said(3, "not running");
    let pid = place.start(&SLEEP);
    until("sleep is executed", || proc::stat(pid)[2] == "sleep");
    assert_eq!(proc::umask(pid), "0022");
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    for verb in ["start", "run"] {
        place.run(&[verb, "--", "sleep", "300"]).failed(&format!("already running, pid {pid}"));
    }
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    assert_eq!(proc::stat(pid)[2], "sleep");
    place.stop();
    wait_end(pid);
    place.run(&["status"]).said(3, "not running");
    place.run(&["stop"]).said(0, "not running");
    place.is_empty();
}

fn what_start_prints_is_what_proc_says() {
    let place = Place::new();
    let ran = place.run(&["start", "--umask", "077", "--", "sleep", "300"]);
    let pid = ran.pid();
    assert_eq!((proc::umask(pid).as_str(), proc::cwd(pid), proc::terminal(pid)), ("0077", "/".into(), 0));
    let session = proc::session(pid);
    assert!(session != pid && proc::group(pid) == session && session != proc::session(std::process::id() as i32));
    for set in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(proc::signals(pid, set), 0, "{set}");
    }
    // A program that has just been executed opens its libraries: the descriptors are compared elsewhere.
    let printed: Vec<_> = ran.out.lines().filter(|line| !line.starts_with("  descriptors  ")).collect();
    let none = "0000000000000000";
    let expected = [
        format!("started, pid {pid}"),
        format!("  session      {session}"),
        "  terminal     none".into(),
        "  directory    /".into(),
        "  umask        0077".into(),
        format!("  signals      blocked {none} ignored {none} caught {none}"),
    ];
    assert_eq!(printed, expected);
}

/// As `start` prints them.
fn descriptors(fds: &BTreeMap<i32, String>) -> String {
    let numbers: Vec<_> = fds.keys().map(i32::to_string).collect();
    format!("\n  descriptors  {} \n", numbers.join(" "))
}

fn the_daemon_has_no_descriptor_but_its_own() {
    let place = Place::new();
    // The caller has more open: at least the channel.
    let pid = place.start(&[]);
    until("the readiness pipe is closed", || proc::fds(pid).len() == 5);
    let fds = proc::fds(pid);
    let dir = fs::canonicalize(place.dir.path()).expect("the directory").to_str().expect("utf-8").to_owned();
    let mut targets: Vec<_> = fds.into_values().collect();
    targets.sort();
    assert_eq!(targets, ["/dev/null", "/dev/null", "/dev/null", &dir, &format!("{dir}/daemon.pid")]);
    place.stop();
    // A COMMAND has not even the directory.
    let pid = place.start(&SLEEP);
    let file = [format!("{dir}/daemon.pid")];
    until("it has nothing but the file", || proc::fds(pid).into_values().skip(3).eq(file.clone()));
}

fn the_worker_writes_a_line_a_second() {
    let place = Place::new();
    let before = Instant::now();
    place.start(&["--stdout", "out"]);
    let lines = || fs::read_to_string(place.path("out")).expect("its output");
    until("three lines", || lines().ends_with("line 3\n"));
    assert!(before.elapsed() >= Duration::from_secs(2), "{:?}", before.elapsed());
    assert_eq!(lines(), "working, line 1\nworking, line 2\nworking, line 3\n");
}

fn the_worker_ends_and_removes_its_file() {
    let place = Place::new();
    for signal in [Signal::TERM, Signal::INT] {
        let pid = place.start(&[]);
        send(pid, signal);
        wait_end(pid);
        place.is_empty();
    }
}

fn restart_replaces_what_runs_or_starts() {
    let place = Place::new();
    let first = place.run(&["restart", "--", "sleep", "300"]);
    assert!(first.out.starts_with("not running\nstarted, pid "), "{first:?}");
    let second = place.run(&["restart", "--", "sleep", "300"]);
    assert!(second.out.starts_with("stopped\nstarted, pid "), "{second:?}");
    assert_ne!(first.pid(), second.pid());
    wait_end(first.pid());
    assert_eq!(place.holder(), Holder::Running(known(second.pid())));
}

fn restart_starts_nothing_beside_what_does_not_end() {
    let place = Place::new();
    let pid = place.start(&STUBBORN);
    place.run(&["restart", "--timeout", "1", "--", "sleep", "300"]).failed("not stopped: it has not ended in time");
    assert_eq!(place.holder(), Holder::Running(known(pid)));
}

fn restart_stops_nothing_if_it_cannot_start() {
    let place = Place::new();
    let pid = place.start(&SLEEP);
    place.run(&["restart", "--keep-fd", "77", "--", "sleep", "300"]).failed("cannot keep descriptor 77: it is not open");
    assert_eq!(place.run(&["restart", "--ready-fd", "77"]).code, 2);
    place
        .run(&["restart", "--ready-fd", "2147483647", "--", "sleep", "300"])
        .failed("cannot open the readiness descriptor: Bad file descriptor");
    assert_eq!(place.holder(), Holder::Running(known(pid)));
}

fn run_is_the_command_in_the_same_process() {
    let place = Place::new();
    let mut running = place.tool_with(&["run", "--umask", "027"], "stays", &[]).start();
    let pid = running.pid();
    assert_eq!(running.hear_pid(), pid);
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    assert_eq!((proc::exe(pid), proc::cwd(pid), proc::umask(pid).as_str()), (this_program(), "/".into(), "0027"));
    assert_eq!(proc::session(pid), proc::session(std::process::id() as i32));
    let fds = proc::fds(pid);
    assert!(fds[&0] == "/dev/null" && fds[&1].starts_with("pipe:") && fds[&2].starts_with("pipe:"), "{fds:?}");
    running.release();
    let ran = Ran::of(&mut running);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}

fn run_runs_the_worker() {
    let place = Place::new();
    let mut running = place.tool(&["run"]).start();
    let mut first = [0; 16];
    let out = running.child.stdout.as_mut().expect("a pipe");
    assert!(readable(std::os::fd::AsFd::as_fd(out), LIMIT));
    out.read_exact(&mut first).expect("a line");
    assert_eq!(&first, b"working, line 1\n");
    place.run(&["status"]).said(0, &format!("running, pid {}", running.pid()));
    send(running.pid(), Signal::TERM);
    assert_eq!(Ran::of(&mut running).code, 0);
    place.is_empty();
}

fn run_ends_with_the_commands_status() {
    let place = Place::new();
    let ran = place.run(&["run", "--", "sh", "-c", "cat; echo error >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (7, "", "error\n"));
    // The program has no way to remove the file; it misleads nobody, and the next start takes it.
    place.run(&["status"]).said(1, "dead, and its pid file is left");
    assert_eq!(place.run(&["run", "--", "sh", "-c", "kill -9 $$"]).code, -9);
    place.run(&["run", "--", "nosuchprogram"]).failed("cannot execute the command (nosuchprogram): No such file or directory");
    place.is_empty();
    // Redirected streams are the daemon's, from there on.
    let ran = place.run(&["run", "--stderr", "err", "--chdir", "/nosuch"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (1, "", ""));
    let err = fs::read_to_string(place.path("err")).expect("its errors");
    assert_eq!(err, "daemon: cannot change the directory (/nosuch): No such file or directory\n");
    assert_eq!(place.names(), ["err"]);
}

fn run_passes_the_readiness_descriptor_on() {
    let place = Place::new();
    let ran = place.shell("\"$0\" run --ready-fd 5 -- sh -c 'echo up >&5' 5>&1");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "up\n", ""));
    place.shell("\"$0\" run --ready-fd 5 -- true 5>&-").failed("cannot keep descriptor 5: it is not open");
}

// ---- COMMAND

fn a_command_is_found_as_a_shell_finds_it() {
    let place = Place::new();
    place.executable("program", "#!/bin/sh\nexec /bin/sleep 300\n");
    fs::create_dir(place.path("later")).expect("a directory");
    fs::create_dir(place.path("program.d")).expect("a directory");
    fs::create_dir(place.path("denied")).expect("a directory");
    place.write("denied/program", "", 0o644);
    let here = place.dir.path().to_str().expect("utf-8").to_owned();
    for name in ["./program", &format!("{here}/program"), "later/../program"] {
        place.start(&["--", name]);
        place.stop();
    }
    let long = "x/".repeat(3000);
    for path in [
        &here,
        ".",
        "",
        ":/nosuch",
        "/nosuch::/nosuch",
        &format!("/nosuch:{here}"),
        &format!("{here}/program:{here}/denied:{here}"),
        &format!("later:{long}:."),
    ] {
        let ran = Ran::of(&mut place.tool(&["start", "--", "program"]).env("PATH", path).start());
        assert_eq!(ran.code, 0, "{path}: {ran:?}");
        place.stop();
    }
    // The one that was found and is denied is told, though others are not there.
    let ran = Ran::of(&mut place.tool(&["start", "--", "program"]).env("PATH", format!("{here}/denied:/nosuch")).start());
    ran.failed("cannot execute the command (program): Permission denied");
    // Without the variable, the usual directories.
    let mut tool = place.tool(&["start", "--", "sleep", "300"]);
    tool.command.env_remove("PATH");
    assert_eq!(Ran::of(&mut tool.start()).code, 0);
}

fn a_command_gets_its_arguments() {
    let place = Place::new();
    let (pid, _running) = place.start_with(&[], "stays", &["a b", "", "--kill", "--", "ü"]);
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it runs");
    assert_eq!(line.split_once('\0').expect("arguments"), (this_program().to_str().expect("utf-8"), "a b\0\0--kill\0--\0ü\0"));
}

fn a_command_that_cannot_be_executed_leaves_nothing() {
    let place = Place::new();
    place.write("text", "no program", 0o644);
    place.executable("noexec", "no program");
    place.executable("badshebang", "#!/nosuch/interpreter\n");
    fs::create_dir(place.path("dir")).expect("a directory");
    symlink("loop", place.path("loop")).expect("a link");
    let names = place.names();
    for (command, reason) in [
        ("nosuchprogram", "No such file or directory"),
        ("./nosuchprogram", "No such file or directory"),
        ("", "No such file or directory"),
        ("./text", "Permission denied"),
        ("./dir", "Permission denied"),
        ("/", "Permission denied"),
        ("./noexec", "Exec format error"),
        ("./badshebang", "No such file or directory"),
        ("./loop", "Too many levels of symbolic links"),
        ("./text/x", "Not a directory"),
    ] {
        let line = format!("cannot execute the command ({command}): {reason}");
        place.run(&["start", "--", command]).failed(&line);
        place.run(&["run", "--", command]).failed(&line);
        assert_eq!(place.names(), names);
    }
    let long = "x".repeat(5000);
    let line = format!("cannot execute the command ({}...): File name too long", "x".repeat(200));
    place.run(&["start", "--", &format!("./{long}")]).failed(&line.replacen("(xx", "(./", 1));
    place.run(&["start", "--", "a\nb\x1b[2J"]).failed("cannot execute the command (a?b?[2J): No such file or directory");
    assert_eq!(place.names(), names);
}

fn a_command_that_ends_at_once() {
    let place = Place::new();
    let ran = place.run(&["start", "--", "false"]);
    // "Started" is a successful execve: which of the two it is depends on who is faster.
    if ran.code == 0 {
        assert!(ran.out.starts_with("started, pid "), "{ran:?}");
    } else {
        ran.failed("not started: it ended at once, with status 1");
    }
    until("it has ended", || !matches!(place.run(&["status"]).code, 0));
    place.run(&["stop"]).said(0, "not running");
    place.is_empty();
}

// ---- options

fn directory_umask_and_pid_file_are_as_told() {
    let place = Place::new();
    fs::create_dir(place.path("dir")).expect("a directory");
    place.executable("dir/program", "#!/bin/sh\nexec sleep 300\n");
    let dir = fs::canonicalize(place.path("dir")).expect("the directory");
    // A relative path begins where the tool is called, whatever the daemon's directory.
    let pid = place.run(&["start", "--chdir", "dir", "--umask=077", "--pidfile=own.pid", "--", "dir/program"]).pid();
    assert_eq!((proc::cwd(pid), proc::umask(pid).as_str()), (dir, "0077"));
    assert_eq!(place.names(), ["dir", "own.pid"]);
    assert_eq!(fs::metadata(place.path("own.pid")).expect("the file").permissions().mode() & 0o7133, 0);
    place.run(&["status"]).said(3, "not running");
    place.run(&["status", "--pidfile", "dir/../own.pid"]).said(0, &format!("running, pid {pid}"));
    place.run(&["stop", "--pidfile=own.pid", "--timeout=60"]).said(0, "stopped");
    assert_eq!(place.names(), ["dir"]);
    // The last of several counts.
    let pid = place.start(&["--umask", "0", "--umask", "0777", "--chdir", "/nosuch", "--chdir", "/dev", "--", "sleep", "300"]);
    assert_eq!((proc::cwd(pid), proc::umask(pid).as_str()), ("/dev".into(), "0777"));
}

fn streams_go_to_files() {
    let place = Place::new();
    place.write("in", "from a file\n", 0o644);
    place.write("out", "before\n", 0o644);
    let script = "read line; echo \"$line\"; echo error >&2; echo >&3; exec sleep 300 3>&-";
    let options = ["--stdin", "in", "--stdout", "out", "--stderr", "err", "--umask", "027", "--ready-fd", "3"];
    let pid = place.start(&[&options[..], &["--", "sh", "-c", script]].concat());
    assert_eq!(fs::read_to_string(place.path("out")).expect("its output"), "before\nfrom a file\n");
    assert_eq!(fs::read_to_string(place.path("err")).expect("its errors"), "error\n");
    assert_eq!(fs::metadata(place.path("err")).expect("the file").permissions().mode() & 0o7777, 0o640);
    // A shell redirects its own output for the time of an echo.
    until("sleep is executed", || proc::stat(pid)[2] == "sleep");
    let modes = [0, 1, 2].map(|fd| proc::fd_flags(pid, fd) & (libc::O_ACCMODE | libc::O_APPEND));
    assert_eq!(modes, [libc::O_RDONLY, libc::O_WRONLY | libc::O_APPEND, libc::O_WRONLY | libc::O_APPEND]);
    place.stop();
    let pid = place.start(&["--stderr", "all", "--stdout", "all", "--", "sleep", "300"]);
    let all = fs::canonicalize(place.path("all")).expect("the file").to_str().expect("utf-8").to_owned();
    let fds = proc::fds(pid);
    assert_eq!([&fds[&0], &fds[&1], &fds[&2]], ["/dev/null", &all, &all]);
}

fn the_environment_is_what_was_named() {
    let place = Place::new();
    let environ = |options: &[&str]| {
        // COMMAND is found along PATH, whether that variable goes over or not.
        let tool = place.tool(&[&["start"], options, &SLEEP].concat()).env("KEPT", "1").env("KEPT2", "2").env("EMPTY", "");
        let pid = Ran::of(&mut tool.start()).pid();
        until("sleep is executed", || proc::stat(pid)[2] == "sleep");
        let mut environ = proc::environ(pid);
        environ.sort();
        place.stop();
        environ
    };
    assert_eq!(environ(&["--env", "KEPT", "--env=EMPTY", "--env", "ABSENT"]), ["EMPTY=", "KEPT=1"]);
    assert_eq!(environ(&["--env", "ABSENT"]), [""; 0]);
    let all = environ(&[]);
    assert!(["EMPTY=", "KEPT=1", "KEPT2=2"].iter().all(|entry| all.iter().any(|e| e == entry)), "{all:?}");
}

fn descriptors_are_kept_on_request() {
    let place = Place::new();
    let line = "exec \"$0\" start --keep-fd 7 --keep-fd=3 --keep-fd 7 -- sleep 300 3</dev/null 6</dev/null 7</dev/zero";
    let pid = place.shell(line).pid();
    let fds = proc::fds(pid);
    assert_eq!((fds[&3].as_str(), fds[&7].as_str()), ("/dev/null", "/dev/zero"));
    until("it has nothing but these and the pid file", || proc::fds(pid).len() == 6 && !proc::fds(pid).contains_key(&6));
    place.stop();
    // Not even one that the tool itself comes to have there.
    for number in ["3", "4", "5", "6"] {
        let line = format!("cannot keep descriptor {number}: it is not open");
        for ready in ["", "--ready-fd 9"] {
            place.shell(&format!("\"$0\" start --keep-fd {number} {ready} -- sleep 300 {number}>&-")).failed(&line);
        }
    }
    place.run(&["start", "--keep-fd", "2147483647"]).failed("cannot keep descriptor 2147483647: it is not open");
    place.is_empty();
}

fn a_step_that_fails_is_named() {
    let place = Place::new();
    let cases: [(&[&str], &str); 7] = [
        (&["--chdir", "/nosuch"], "change the directory (/nosuch): No such file or directory"),
        (&["--chdir", "/dev/null"], "change the directory (/dev/null): Not a directory"),
        (&["--chroot", "/nosuch"], "change the root directory (/nosuch): No such file or directory"),
        (&["--stdin", "no"], "redirect standard input, output and error (no): No such file or directory"),
        (&["--stdout", "no/out"], "redirect standard input, output and error (no/out): No such file or directory"),
        (&["--stderr", "/"], "redirect standard input, output and error (/): Is a directory"),
        (&["--stdin", "no", "--stderr", "/"], "redirect standard input, output and error (no, /): No such file or directory"),
    ];
    for (options, line) in cases {
        place.run(&[&["start"], options, &SLEEP].concat()).failed(&format!("cannot {line}"));
        place.run(&[&["start"], options].concat()).failed(&format!("cannot {line}"));
        place.is_empty();
    }
    if !rustix::process::geteuid().is_root() {
        place.run(&["start", "--user", "12345"]).failed("cannot drop privileges: Operation not permitted");
        place.run(&["start", "--chroot", "/"]).failed("cannot change the root directory (/): Operation not permitted");
        place.is_empty();
        // What it is already anybody may become.
        let me = std::process::id() as i32;
        let groups: String = proc::groups(me).iter().fold(String::new(), |all, group| all + "," + &group.to_string());
        place.start(&["--user", &format!("{}:{}{groups}", proc::uids(me)[0], proc::gids(me)[0]), "--", "sleep", "300"]);
    }
}

// ---- readiness

/// Writes what is not yet the word to the descriptor of the first argument, tells, and when released the newline.
fn writes() {
    let fd: i32 = std::env::args().nth(1).expect("a number").parse().expect("a number");
    // SAFETY: the tool has put it there.
    let fd = unsafe { rustix::fd::BorrowedFd::borrow_raw(fd) };
    rustix::io::write(fd, b"not yet").expect("somebody listens");
    tell("not yet");
    support::wait_byte();
    rustix::io::write(fd, b"!\nmore").expect("somebody listens");
    wait_release();
}

fn ready_is_when_the_command_says_so() {
    let place = Place::new();
    for number in (3..=9).chain([300]) {
        let name = number.to_string();
        let mut starting = place.tool_with(&["start", "--ready-fd", &name], "writes", &[&name]).start();
        assert_eq!(starting.hear(), "not yet");
        assert!(starting.child.try_wait().expect("our own child").is_none(), "start waits");
        starting.step();
        let ran = Ran::of(&mut starting);
        let pid = ran.pid();
        // The read end is nowhere in the daemon, and nothing was overwritten.
        let fds = proc::fds(pid);
        assert!(ran.out.contains(&descriptors(&fds)), "{ran:?}: {fds:?}");
        assert_eq!(fds.len(), 3 + 1 + 2 + 1, "{number}: {fds:?}");
        assert_eq!(proc::fd_flags(pid, number) & libc::O_ACCMODE, libc::O_WRONLY);
        place.stop();
    }
    // What the caller has there makes way.
    let pid = place.shell("\"$0\" start --ready-fd 3 -- sh -c 'echo >&3; exec sleep 300' 3</dev/null").pid();
    assert!(proc::fds(pid)[&3].starts_with("pipe:"));
    place.stop();
    // The tool's own standard input is still the caller's when the daemon opens it.
    let line = "echo word | \"$0\" start --stdin /dev/stdin --stdout out --ready-fd 3 -- sh -c 'cat; echo >&3; exec sleep 300'";
    place.shell(line).pid();
    assert_eq!(fs::read_to_string(place.path("out")).expect("its output"), "word\n");
}

const NOT_READY: &str = "not started: it ended, or closed its descriptor, without having been ready";

fn not_ready_is_not_started() {
    let place = Place::new();
    let mut late = place.tool_with(&["start", "--ready-fd", "3", "--timeout", "1"], "stays", &[]).start();
    let pid = late.hear_pid();
    Ran::of(&mut late).failed("cannot report readiness: Timed out");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "killed, and reaped");
    place.is_empty();
    place.run(&["start", "--ready-fd", "3", "--", "sh", "-c", "exec sleep 300 3>&-"]).failed(NOT_READY);
    place.is_empty();
    for (script, how) in [("exit 3", "with status 3"), ("kill -9 $$", "by signal 9"), ("printf word >&3", "with status 0")] {
        let ran = place.run(&["start", "--ready-fd", "3", "--", "sh", "-c", script]);
        // Whether it has ended before its execve is known depends on who is faster.
        let lines = [NOT_READY, &format!("not started: it ended at once, {how}")].map(|line| format!("daemon: {line}\n"));
        assert!(ran.code == 1 && ran.out.is_empty() && lines.contains(&ran.err), "{ran:?}");
        place.is_empty();
    }
    place
        .run(&["start", "--ready-fd", "3", "--", "nosuchprogram"])
        .failed("cannot execute the command (nosuchprogram): No such file or directory");
    place.is_empty();
}

/// Ends when it is asked to, and leaves a child that has all that it had.
fn dies_and_leaves_a_child() {
    let term = SignalSet::from(Signal::TERM);
    block_signals(term).expect("blocked");
    tell(std::process::id());
    if fork().expect("fork") == Fork::Child {
        tell(std::process::id());
        wait_release();
    } else {
        wait_signal(term, Some(LIMIT)).expect("a signal");
    }
}

fn a_child_that_holds_the_descriptor() {
    let place = Place::new();
    let mut running = place.tool_with(&["start", "--ready-fd", "3"], "dies_and_leaves_a_child", &[]).start();
    let (pid, child) = (running.hear_pid(), running.hear_pid());
    let start = running.pid();
    until("start only waits for the newline", || !proc::fds(start).values().any(|target| target.ends_with("daemon.pid")));
    send(pid, Signal::TERM);
    Ran::of(&mut running).failed(NOT_READY);
    // What is not started leaves nothing behind.
    wait_end(child);
    place.is_empty();
    let mut late = place.tool_with(&["start", "--ready-fd", "3", "--timeout", "1"], "leaves_a_child", &[]).start();
    let child = late.hear_pid();
    Ran::of(&mut late).failed("cannot report readiness: Timed out");
    wait_end(child);
    place.is_empty();
}

fn a_start_that_takes_too_long_is_given_up() {
    let place = Place::new();
    // Nobody opens the other end.
    place.fifo("fifo");
    place.run(&["start", "--timeout", "1", "--stdin", "fifo"]).failed("cannot report readiness: Timed out");
    assert_eq!(place.names(), ["fifo"]);
}

fn a_start_on_its_way_is_told_as_such() {
    let place = Place::new();
    place.fifo("fifo");
    let mut starting = place.tool(&["start", "--stdin", "fifo"]).start();
    until("it is locked", || place.path("daemon.pid").exists() && place.holder() == Holder::Starting);
    place.run(&["status"]).said(4, "starting");
    place.run(&["start"]).failed("already starting");
    place.run(&["stop"]).failed("not stopped: starting");
    let other_end = fs::OpenOptions::new().write(true).open(place.path("fifo")).expect("the FIFO");
    let pid = Ran::of(&mut starting).pid();
    drop(other_end);
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
}

fn of_simultaneous_starts_one_wins() {
    let place = Place::new();
    let starts: Vec<_> = (0..8).map(|_| place.tool(&["start", "--", "sleep", "300"]).start()).collect();
    let ran: Vec<_> = starts.into_iter().map(|mut start| Ran::of(&mut start)).collect();
    let (winners, losers): (Vec<_>, Vec<_>) = ran.iter().partition(|ran| ran.code == 0);
    assert_eq!(winners.len(), 1, "{ran:?}");
    let running = format!("daemon: already running, pid {}\n", winners[0].pid());
    for loser in losers {
        assert!(loser.code == 1 && loser.out.is_empty(), "{loser:?}");
        assert!(loser.err == running || loser.err == "daemon: already starting\n", "{loser:?}");
    }
    assert_eq!(place.holder(), Holder::Running(known(winners[0].pid())));
}

// ---- stop

fn a_daemon_that_ignores_term_is_killed_if_asked() {
    let place = Place::new();
    let pid = place.start(&STUBBORN);
    for timeout in ["0", "1"] {
        place.run(&["stop", "--timeout", timeout]).failed("not stopped: it has not ended in time");
    }
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    place.run(&["stop", "--timeout", "1", "--kill"]).said(0, "stopped");
    wait_end(pid);
    place.run(&["status"]).said(3, "not running");
}

/// Asked to end, it tells so, and ends when it is released.
fn needs_long() {
    block_signals(SignalSet::from(Signal::TERM)).expect("blocked");
    tell("listening");
    wait_signal(SignalSet::from(Signal::TERM), Some(LIMIT)).expect("a signal");
    tell("asked");
    wait_release();
}

fn a_daemon_that_needs_long_is_waited_for() {
    let place = Place::new();
    let (pid, mut running) = place.start_with(&[], "needs_long", &[]);
    assert_eq!(running.hear(), "listening");
    let mut stop = place.tool(&["stop", "--timeout", "60", "--kill"]).start();
    assert_eq!(running.hear(), "asked");
    assert!(stop.child.try_wait().expect("our own child").is_none(), "stop waits");
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    running.release();
    Ran::of(&mut stop).said(0, "stopped");
    place.is_empty();
}

fn a_daemon_that_sleeps_by_sigstop_is_stopped() {
    let place = Place::new();
    let (pid, running) = place.start_with(&[], "needs_long", &[]);
    assert_eq!(running.hear(), "listening");
    send(pid, Signal::STOP);
    until("it is stopped", || proc::state(pid) == "T");
    let mut stop = place.tool(&["stop", "--timeout", "60"]).start();
    assert_eq!(running.hear(), "asked");
    drop(running);
    Ran::of(&mut stop).said(0, "stopped");
}

/// Tells the number of the first signal that comes.
fn hears() {
    let all = SignalSet::ALL.without(libc::SIGCONT);
    block_signals(all).expect("blocked");
    tell("listening");
    tell(wait_signal(all, Some(LIMIT)).expect("a signal").expect("in time"));
}

fn the_signal_asked_for_is_the_one_sent() {
    let place = Place::new();
    let numbers = [
        ("HUP", libc::SIGHUP),
        ("SIGINT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ABRT", libc::SIGABRT),
        ("USR1", libc::SIGUSR1),
        ("SIGUSR2", libc::SIGUSR2),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("15", libc::SIGTERM),
        ("1", libc::SIGHUP),
        ("WINCH", libc::SIGWINCH),
        ("PWR", libc::SIGPWR),
    ];
    for (name, number) in numbers {
        let (_, running) = place.start_with(&[], "hears", &[]);
        assert_eq!(running.hear(), "listening");
        place.run(&["stop", "--signal", name]).said(0, "stopped");
        assert_eq!(running.hear(), number.to_string(), "{name}");
    }
    let pid = place.start(&SLEEP);
    for name in ["STOP", "CONT"] {
        place.run(&["stop", "--timeout", "0", "--signal", name]).failed("not stopped: it has not ended in time");
    }
    place.run(&["stop", "--signal=KILL"]).said(0, "stopped");
    wait_end(pid);
    place.is_empty();
}

fn a_zombie_is_not_running() {
    let place = Place::new();
    // In the foreground the daemon is this process's child, which is not reaped until the end.
    let mut running = place.tool_with(&["run"], "stays", &[]).start();
    let pid = running.hear_pid();
    place.stop();
    assert_eq!(proc::state(pid), "Z");
    place.run(&["status"]).said(3, "not running");
    place.run(&["stop"]).said(0, "not running");
    place.start(&SLEEP);
    assert_eq!(Ran::of(&mut running).code, -libc::SIGTERM);
}

/// Has a child that has all that it has.
fn leaves_a_child() {
    if fork().expect("fork") == Fork::Child {
        tell(std::process::id());
    }
    wait_release();
}

fn a_child_left_behind_is_no_daemon() {
    let place = Place::new();
    let (pid, mut running) = place.start_with(&[], "leaves_a_child", &[]);
    let child = running.hear_pid();
    let ran = place.run(&["stop"]);
    let held = "ended, but what it left behind still holds its pid file";
    assert_eq!(ran.out, format!("stopped\n{held}\n"));
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    wait_end(pid);
    place.run(&["status"]).said(4, held);
    place.run(&["stop", "--kill"]).failed(&format!("not stopped: {held}"));
    place.run(&["start", "--", "sleep", "300"]).failed(&format!("already {held}"));
    assert_ne!(proc::state(child), "Z", "nobody has signalled it");
    running.release();
    wait_end(child);
    place.run(&["status"]).said(1, "dead, and its pid file is left");
    place.start(&SLEEP);
}

// ---- the pid file

fn a_pid_file_that_was_left_misleads_nobody() {
    let place = Place::new();
    let bystander = fixture("stays").start();
    let numbers = [bystander.hear_pid(), std::process::id() as i32].map(|pid| format!("{pid}\n"));
    let found = "a pid file was found that nobody held: daemon.pid\nstarted, pid ";
    let contents = ["0\n", "-1\n", "1\n", "1", "4194305\n", "4294967297\n", "99999999999999999999\n", "garbage", "\0\0", "\n"];
    for content in contents.into_iter().chain(numbers.iter().map(String::as_str)) {
        place.write("daemon.pid", content, 0o644);
        place.run(&["status"]).said(1, "dead, and its pid file is left");
        place.run(&["stop", "--kill"]).said(0, "not running");
        place.is_empty();
        place.write("daemon.pid", content, 0o600);
        let ran = place.run(&["start", "--", "sleep", "300"]);
        assert!(ran.out.starts_with(found), "{ran:?}");
        assert_eq!(fs::read_to_string(place.path("daemon.pid")).expect("the file"), format!("{}\n", ran.pid()));
        place.stop();
    }
    assert_ne!(proc::state(bystander.pid()), "Z", "the bystander lives");
    // Locked and never claimed, or emptied at the end: nothing was left.
    place.write("daemon.pid", "", 0o644);
    place.run(&["status"]).said(3, "not running");
    assert!(place.run(&["start", "--", "sleep", "300"]).out.starts_with("started, pid "));
}

fn locked_by_another_program() {
    let place = Place::new();
    let file = fs::File::create(place.path("daemon.pid")).expect("a file");
    flock(&file, FlockOperation::NonBlockingLockExclusive).expect("a lock");
    place.run(&["start", "--", "sleep", "300"]).failed("cannot lock the pid file (daemon.pid): another program has it locked");
    place.run(&["status"]).said(3, "not running");
    drop(file);
    place.start(&SLEEP);
}

fn another_file_in_the_place() {
    let place = Place::new();
    let take_away = |name: &str| fs::rename(place.path("daemon.pid"), place.path(name)).expect("renamed");
    let first = place.start(&SLEEP);
    take_away("first.pid");
    place.write("daemon.pid", &format!("{first}\n"), 0o644);
    place.run(&["status"]).said(1, "dead, and its pid file is left");
    let ran = place.run(&["start", "--", "sleep", "300"]);
    assert!(ran.out.starts_with("a pid file was found that nobody held: daemon.pid\nstarted, pid "), "{ran:?}");
    let second = ran.pid();
    // Nothing is there to be found: only the daemon's own handle knows (`PidFile::verify`).
    take_away("second.pid");
    let ran = place.run(&["start", "--", "sleep", "300"]);
    assert!(ran.out.starts_with("started, pid "), "{ran:?}");
    place.stop();
    wait_end(ran.pid());
    for (name, pid) in [("first", first), ("second", second)] {
        place.run(&["status", "--pidfile", &format!("{name}.pid")]).said(0, &format!("running, pid {pid}"));
    }
}

fn a_bad_place_for_the_pid_file() {
    let place = Place::new();
    fs::create_dir(place.path("dir")).expect("a directory");
    place.write("victim", "untouched", 0o644);
    symlink("victim", place.path("link")).expect("a link");
    symlink("nowhere", place.path("dangling")).expect("a link");
    symlink(".", place.path("here")).expect("a link");
    fs::hard_link(place.path("victim"), place.path("second")).expect("a hard link");
    place.fifo("fifo");
    let names = place.names();
    let long_name = "x".repeat(256);
    let long_path = "x/".repeat(2100) + "y";
    let cut = |path: &str| if path.len() > 200 { format!("{}...", &path[..200]) } else { path.into() };
    for (path, reason, opened) in [
        ("dir", "Is a directory", 4),
        ("dir/", "Is a directory", 4),
        ("", "Is a directory", 4),
        ("here/dir", "Is a directory", 4),
        ("link", "it is a symbolic link", 4),
        ("dangling", "it is a symbolic link", 4),
        ("second", "it has a second name", 1),
        ("fifo", "it is not a regular file", 4),
        ("/dev/null", "it is not a regular file", 4),
        ("nosuch/daemon.pid", "No such file or directory", 3),
        ("victim/daemon.pid", "Not a directory", 4),
        (&long_name, "File name too long", 4),
        (&long_path, "File name too long", 4),
    ] {
        let line = format!("({}): {reason}", cut(path));
        for command in [&SLEEP[..], &[]] {
            place.run(&[&["start", "--pidfile", path], command].concat()).failed(&format!("cannot lock the pid file {line}"));
            assert_eq!(place.names(), names);
        }
        let status = place.run(&["status", "--pidfile", path]);
        assert_eq!(status.code, opened, "{path}");
        let stop = place.run(&["stop", "--pidfile", path]);
        if opened == 4 {
            for ran in [(status, 4), (stop, 1)] {
                ran.0.complained(ran.1, &format!("cannot open the pid file {line}"));
            }
        } else {
            stop.said(0, "not running");
        }
        assert_eq!(place.names(), names);
    }
    assert_eq!(fs::read_to_string(place.path("victim")).expect("the victim"), "untouched");
}

fn a_directory_that_may_not_be_written_is_named() {
    let place = Place::new();
    let mut tool = place.copy_tool();
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o555)).expect("chmod");
    if rustix::process::geteuid().is_root() {
        tool.uid(65534).gid(65534);
    }
    tool.args(["start", "--", "sleep", "300"]);
    Ran::of(&mut Fixture { command: tool }.start()).failed("cannot lock the pid file (daemon.pid): Permission denied");
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o755)).expect("chmod");
    assert_eq!(place.names(), ["tool"]);
}

// ---- surroundings

fn closed_streams_are_filled() {
    let place = Place::new();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        for command in ["", "-- sleep 300"] {
            assert_eq!(place.shell(&format!("\"$0\" start {command} {closed}")).code, 0, "{closed}");
            let Holder::Running(pid) = place.holder() else { panic!("{closed}: nobody runs") };
            let fds = proc::fds(pid.as_raw_nonzero().get());
            assert!((0..3).all(|fd| fds[&fd] == "/dev/null"), "{closed}: {fds:?}");
            place.stop();
        }
        assert_eq!(place.shell(&format!("\"$0\" start -- nosuchprogram {closed}")).code, 1, "{closed}");
        assert_eq!(place.shell(&format!("\"$0\" run -- sh -c 'exit 5' {closed}")).code, 5, "{closed}");
        place.run(&["stop"]).said(0, "not running");
        place.is_empty();
    }
}

fn a_pipeline_ends() {
    let place = Place::new();
    for command in ["", "-- sleep 300"] {
        let pid = place.shell(&format!("\"$0\" start {command} 2>&1 | cat")).pid();
        place.run(&["status"]).said(0, &format!("running, pid {pid}"));
        place.stop();
    }
}

/// Leads a session with a controlling terminal, starts a daemon from it, and hangs it up at the end.
fn has_a_terminal() {
    let (_master, name) = pty();
    rustix::process::setsid().expect("a session");
    let open = || fs::OpenOptions::new().read(true).write(true).open(name.to_str().expect("utf-8")).expect("the terminal");
    // The first terminal that a session's leader opens is its controlling terminal.
    let terminal = open();
    assert_ne!(proc::terminal(std::process::id() as i32), 0);
    let mut command = Command::new(program());
    command.args(["start", "--", "sleep", "300"]).stdin(terminal).stdout(Stdio::piped()).stderr(open());
    let output = command.spawn().expect("the tool").wait_with_output().expect("its output");
    tell(String::from_utf8(output.stdout).expect("utf-8").replace('\n', "|"));
    wait_release();
}

fn a_terminal_is_left() {
    let place = Place::new();
    let mut leader = fixture("has_a_terminal");
    leader.command.current_dir(place.dir.path());
    let mut leader = leader.start();
    let printed = leader.hear();
    let Holder::Running(pid) = place.holder() else { panic!("nobody runs: {printed}") };
    let pid = pid.as_raw_nonzero().get();
    assert!(printed.starts_with(&format!("started, pid {pid}|")) && printed.contains("|  terminal     none|"), "{printed}");
    assert_ne!(proc::terminal(leader.pid()), 0);
    assert_eq!((proc::terminal(pid), proc::fds(pid)[&0].as_str()), (0, "/dev/null"));
    assert!(![pid, leader.pid()].contains(&proc::session(pid)));
    // The daemon does not notice that the terminal hangs up.
    leader.release();
    leader.status();
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
}

/// Ignores and blocks whatever can be, and becomes the program of its arguments.
fn ignores_and_blocks() {
    // glibc keeps 32 and 33 for itself.
    for number in (1..=64).filter(|number| ![libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(number)) {
        // SAFETY: SIG_IGN is no handler.
        assert_ne!(unsafe { libc::signal(number, libc::SIG_IGN) }, libc::SIG_ERR);
    }
    block_signals(SignalSet::ALL).expect("blocked");
    let mut arguments = std::env::args().skip(1);
    let error = Command::new(arguments.next().expect("a program")).args(arguments).exec();
    panic!("{error}");
}

fn what_the_caller_ignores_and_blocks() {
    let place = Place::new();
    let hostile = |verb: &str| {
        let mut hostile = fixture("ignores_and_blocks").arg(program()).arg(verb).arg("--").arg("sleep").arg("300");
        hostile.command.current_dir(place.dir.path()).stdout(Stdio::null());
        hostile.start()
    };
    let check = |pid: i32| {
        until("sleep is executed", || proc::stat(pid)[2] == "sleep");
        let sets = ["SigBlk", "SigIgn", "SigCgt"].map(|set| proc::signals(pid, set));
        place.stop();
        assert_eq!(sets, [0; 3]);
    };
    assert!(hostile("start").status().success());
    let Holder::Running(pid) = place.holder() else { panic!("nobody runs") };
    check(pid.as_raw_nonzero().get());
    let mut running = hostile("run");
    let pid = running.pid();
    let claimed = || place.path("daemon.pid").exists() && place.holder() == Holder::Running(known(pid));
    until("it has claimed its pid file", claimed);
    check(pid);
    assert_eq!(running.status().signal(), Some(libc::SIGTERM));
}

// ---- the command line

fn a_wrong_command_line_is_usage() {
    let place = Place::new();
    let many = format!("1:2{}", ",3".repeat(33));
    let keep = ["--keep-fd", "0"].repeat(33);
    let env = ["--env", "A"].repeat(65);
    let cases: &[(&[&str], &str)] = &[
        (&["start", "--nosuch"], "no such option here: --nosuch"),
        (&["start", "--nosuch=1"], "no such option here: --nosuch=1"),
        (&["start", "-p"], "no such option here: -p"),
        (&["start", "--kill"], "no such option here: --kill"),
        (&["restart", "--signal", "TERM"], "no such option here: --signal"),
        (&["run", "--kill"], "no such option here: --kill"),
        (&["stop", "--umask", "022"], "no such option here: --umask"),
        (&["stop", "--", "sleep"], "no such option here: --"),
        (&["status", "--timeout", "1"], "no such option here: --timeout"),
        (&["status", "--kill"], "no such option here: --kill"),
        (&["start", "sleep", "300"], "a COMMAND is told by a -- before it: sleep"),
        (&["run", "--umask", "022", "sleep"], "a COMMAND is told by a -- before it: sleep"),
        (&["stop", "sleep"], "no such option here: sleep"),
        (&["status", "sleep"], "no such option here: sleep"),
        (&["help", "start"], "no such option here: start"),
        (&["start", "--"], "COMMAND is missing"),
        (&["stop", "--kill=yes"], "wrong: yes; wanted: --kill"),
        (&["start", "--pidfile"], "nothing comes after --pidfile"),
        (&["start", "--env", "A", "--umask"], "nothing comes after --umask"),
        (&["stop", "--signal"], "nothing comes after --signal"),
        (&["start", "--ready-fd", "3"], "COMMAND is missing"),
        (&["start", "--umask", "8"], "wrong: 8; wanted: --umask"),
        (&["start", "--umask", "1000"], "wrong: 1000; wanted: --umask"),
        (&["start", "--umask="], "wrong: ; wanted: --umask"),
        (&["start", "--umask", "-1"], "wrong: -1; wanted: --umask"),
        (&["start", "--umask", "77777777777777777777"], "wrong: 77777777777777777777; wanted: --umask"),
        (&["start", "--user", "nobody"], "wrong: nobody; wanted: --user"),
        (&["start", "--user", "0"], "wrong: 0; wanted: --user"),
        (&["start", "--user", "1:"], "wrong: 1:; wanted: --user"),
        (&["start", "--user", ":1"], "wrong: :1; wanted: --user"),
        (&["start", "--user", "1:2,"], "wrong: 1:2,; wanted: --user"),
        (&["start", "--user", "1,2"], "wrong: 1,2; wanted: --user"),
        (&["start", "--user", "1:2:3"], "wrong: 1:2:3; wanted: --user"),
        (&["start", "--user", "-1"], "wrong: -1; wanted: --user"),
        (&["start", "--user", "4294967295"], "wrong: 4294967295; wanted: --user"),
        (&["start", "--user", "1:4294967295"], "wrong: 1:4294967295; wanted: --user"),
        (&["start", "--user", "4294967297"], "wrong: 4294967297; wanted: --user"),
        (&["start", "--user", &many], &format!("wrong: {many}; wanted: --user")),
        (&["start", "--env", "A=B"], "wrong: A=B; wanted: --env"),
        (&["start", "--env", ""], "wrong: ; wanted: --env"),
        (&[&["start"], &env[..]].concat(), "wrong: A; wanted: --env"),
        (&["start", "--keep-fd", "x"], "wrong: x; wanted: --keep-fd"),
        (&["start", "--keep-fd", "2147483648"], "wrong: 2147483648; wanted: --keep-fd"),
        (&[&["start"], &keep[..]].concat(), "wrong: 0; wanted: --keep-fd"),
        (&["start", "--ready-fd", "2", "--", "true"], "wrong: 2; wanted: --ready-fd"),
        (&["start", "--ready-fd", "5", "--keep-fd", "5", "--", "true"], "--keep-fd and --ready-fd are the same"),
        (&["run", "--keep-fd", "5", "--ready-fd", "5", "--", "true"], "--keep-fd and --ready-fd are the same"),
        (&["start", "--timeout", "1.5"], "wrong: 1.5; wanted: --timeout"),
        (&["stop", "--timeout", "-1"], "wrong: -1; wanted: --timeout"),
        (&["stop", "--signal", "NONE"], "wrong: NONE; wanted: --signal"),
        (&["stop", "--signal", "term"], "wrong: term; wanted: --signal"),
        (&["stop", "--signal", "0"], "wrong: 0; wanted: --signal"),
        (&["stop", "--signal", "65"], "wrong: 65; wanted: --signal"),
    ];
    let help = place.run(&["help"]).out;
    for (line, complaint) in cases {
        // What is wanted is told in the help's own words.
        let complaint = match complaint.split_once("; wanted: ") {
            Some((wrong, option)) => {
                let row = help.lines().find(|row| row.starts_with(&format!("{option} "))).expect("the help names it");
                format!("{wrong}; wanted: {row}")
            }
            None => (*complaint).into(),
        };
        place.run(line).complained(2, &complaint);
        place.is_empty();
    }
    // Who does not know the verbs is told them.
    for (line, complaint) in [(&[][..], "no such verb: "), (&["begin"], "no such verb: begin"), (&[""], "no such verb: ")] {
        let ran = place.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line:?}");
        assert!(ran.err.starts_with(&format!("daemon: {complaint}\nusage: daemon start|restart")), "{ran:?}");
    }
}

fn help_names_every_option() {
    let place = Place::new();
    let help = place.run(&["help"]);
    assert!(help.code == 0 && help.err.is_empty() && help.out.starts_with("usage: daemon start|restart"), "{help:?}");
    for word in [
        "run",
        "stop",
        "status",
        "--pidfile",
        "--chdir",
        "--chroot",
        "--umask",
        "--user",
        "--stdin",
        "--stdout",
        "--stderr",
        "--env",
        "--keep-fd",
        "--ready-fd",
        "--timeout",
        "--signal",
        "--kill",
    ] {
        assert!(help.out.contains(word), "{word}");
    }
    assert!(help.out.lines().all(|line| line.len() <= 110));
    for line in [&["--help"][..], &["-h"], &["start", "--umask", "022", "--help"], &["stop", "-h"], &["status", "--help"]] {
        assert_eq!(place.run(line).out, help.out);
    }
    place.is_empty();
}

// ---- what only root can show

fn the_user_is_another_for_good() {
    let place = Place::new();
    let ids = |user: &str| {
        let pid = place.start(&[&["--user", user], &SLEEP[..]].concat());
        for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
            assert_eq!(proc::status(pid)[set], "0000000000000000", "{set}");
        }
        let ids = (proc::uids(pid), proc::gids(pid), proc::groups(pid));
        place.stop();
        place.is_empty();
        ids
    };
    assert_eq!(ids("65534:65533,7,8"), (vec![65534; 4], vec![65533; 4], vec![7, 8]));
    assert_eq!(ids("65534:65533"), (vec![65534; 4], vec![65533; 4], vec![]));
    assert_eq!(ids("65534"), (vec![65534; 4], vec![65534; 4], vec![]));
    assert_eq!(ids("1:0"), (vec![1; 4], vec![0; 4], vec![]));
    place
        .run(&["start", "--user", "65534", "--", "/nosuch"])
        .failed("cannot execute the command (/nosuch): No such file or directory");
    place.is_empty();
}

fn a_dropped_worker_empties_its_file() {
    let place = Place::new();
    let pid = place.start(&["--user", "65534"]);
    send(pid, Signal::TERM);
    wait_end(pid);
    assert_eq!(fs::read_to_string(place.path("daemon.pid")).expect("the file"), "");
    place.run(&["status"]).said(3, "not running");
    place.run(&["stop"]).said(0, "not running");
    place.is_empty();
}

fn another_users_daemon_and_file_are_left_alone() {
    let place = Place::new();
    let pid = place.start(&SLEEP);
    let as_other = |line: &[&str]| {
        let mut command = place.copy_tool();
        command.args(line).uid(65534).gid(65534);
        Ran::of(&mut Fixture { command }.start())
    };
    as_other(&["status"]).said(0, &format!("running, pid {pid}"));
    as_other(&["stop", "--kill"]).failed("cannot stop the daemon (daemon.pid): it is another user's");
    as_other(&["start", "--", "sleep", "300"]).failed("cannot lock the pid file (daemon.pid): it is another user's");
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    place.stop();
    place.write("daemon.pid", "1\n", 0o666);
    chown(place.path("daemon.pid"), Some(65534), None).expect("chown");
    place.run(&["start", "--", "sleep", "300"]).failed("cannot lock the pid file (daemon.pid): it is another user's");
    assert_eq!(fs::read_to_string(place.path("daemon.pid")).expect("the file"), "1\n");
    // Where only root may look, nobody else learns anything.
    place.write("daemon.pid", "", 0o600);
    chown(place.path("daemon.pid"), Some(0), None).expect("chown");
    as_other(&["status"]).complained(4, "cannot open the pid file (daemon.pid): Permission denied");
    as_other(&["stop"]).failed("cannot open the pid file (daemon.pid): Permission denied");
}

/// Puts this program below `root`, with the libraries that it needs.
fn furnish(root: &Path) {
    copy(&this_program(), &root.join("fixture"));
    let maps = fs::read_to_string("/proc/self/maps").expect("the maps");
    for library in maps.lines().filter_map(|line| Some(Path::new(&line[line.find('/')?..]))) {
        let Some(name) = library.file_name().filter(|name| name.to_string_lossy().contains(".so")) else { continue };
        for directory in ["lib", "lib64"] {
            fs::create_dir_all(root.join(directory)).expect("a directory");
            copy(library, &root.join(directory).join(name));
        }
    }
}

fn a_root_is_a_root() {
    let place = Place::new();
    fs::create_dir_all(place.path("root/inside")).expect("a directory");
    let root = fs::canonicalize(place.path("root")).expect("the root");
    let pid = place.start(&["--chroot", "root", "--chdir", "inside", "--stdout", "out"]);
    assert_eq!((proc::root(pid), proc::cwd(pid)), (root.clone(), root.join("inside")));
    // Nothing that it has open leads out.
    let fds = proc::fds(pid);
    assert!(fds.values().all(|target| !fs::metadata(target).is_ok_and(|data| data.is_dir())), "{fds:?}");
    place.stop();
    assert_eq!(place.names(), ["out", "root"]);
    // COMMAND is below the new root, too; a relative path begins in the daemon's directory there.
    furnish(&root);
    for (chdir, command) in [("/", "/fixture"), ("/inside", "../fixture"), ("/", "fixture")] {
        let mut tool = place.tool(&["start", "--chroot", "root", "--chdir", chdir, "--keep-fd", "198", "--keep-fd", "199"]);
        tool.command.args(["--", command]);
        let mut running = tool.env(support::NAME, "stays").env("PATH", "/nosuch:/").start();
        let ran = Ran::of(&mut running);
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
        let pid = running.hear_pid();
        assert_eq!((proc::root(pid), proc::exe(pid)), (root.clone(), root.join("fixture")));
        place.stop();
    }
    place
        .run(&["start", "--chroot", "root", "--", "/bin/sleep", "1"])
        .failed("cannot execute the command (/bin/sleep): No such file or directory");
    place
        .run(&["start", "--chroot", "root", "--chdir", "/lost"])
        .failed("cannot change the directory (/lost): No such file or directory");
    assert_eq!(place.names(), ["out", "root"]);
}

/// In a fixture: what the tool says, and how many names there are in the current directory afterwards.
fn tell_tool(line: &[&str]) {
    let output = Command::new(program()).args(line).output().expect("the tool runs");
    let text = |bytes| String::from_utf8(bytes).expect("utf-8").trim_end().replace('\n', "|");
    tell(format!("{} {}{}", output.status.code().expect("a status"), text(output.stdout), text(output.stderr)));
}

fn tell_names() {
    tell(format!("{} names", fs::read_dir(".").expect("the directory").count()));
}

fn in_place(place: &Place, name: &str) -> String {
    let mut inside = fixture(name);
    inside.command.current_dir(place.dir.path());
    inside.run().0
}

fn has_no_proc() {
    let tool = program();
    let path = std::env::current_dir().expect("a directory");
    hostile::hide_proc();
    let say = |line: &[&str]| {
        let output = Command::new(&tool).args(line).current_dir(&path).output().expect("the tool runs");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("utf-8");
        let masked = text.trim_end().replace(|c: char| c.is_ascii_digit(), "");
        tell(format!("{} {}", output.status.code().expect("a status"), masked));
    };
    say(&["start", "--", "sleep", "300"]);
    say(&["status"]);
    say(&["start", "--", "sleep", "300"]);
    say(&["stop"]);
    say(&["start"]);
    say(&["stop"]);
    say(&["start", "--", "/nosuch"]);
}

fn without_proc_it_starts_and_stops() {
    let place = Place::new();
    let expected = [
        "0 started, pid ",
        "0 running, pid ",
        "1 daemon: already running, pid ",
        "0 stopped",
        "0 started, pid ",
        "0 stopped",
        "1 daemon: cannot execute the command (/nosuch): No such file or directory",
    ];
    assert_eq!(in_place(&place, "has_no_proc").lines().collect::<Vec<_>>(), expected);
    place.is_empty();
}

/// Covers the current directory with a file system of its own, and goes there.
fn cover_here(options: &std::ffi::CStr) {
    let here = std::env::current_dir().expect("a directory");
    hostile::cover(&c_path(&here));
    rustix::mount::mount_remount(&here, rustix::mount::MountFlags::empty(), options).expect("with these options");
    std::env::set_current_dir(&here).expect("the new one");
}

fn on_read_only() {
    cover_here(c"");
    let flags = rustix::mount::MountFlags::RDONLY | rustix::mount::MountFlags::BIND;
    rustix::mount::mount_remount(".", flags, c"").expect("read-only");
    tell_tool(&["start", "--", "sleep", "300"]);
    tell_tool(&["start"]);
    tell_names();
}

fn a_read_only_file_system_is_named() {
    let line = "1 daemon: cannot lock the pid file (daemon.pid): Read-only file system\n";
    assert_eq!(in_place(&Place::new(), "on_read_only"), line.repeat(2) + "0 names\n");
}

fn without_a_block() {
    cover_here(c"size=4096");
    fs::write("filler", [0; 4096]).expect("it fits");
    tell_tool(&["start", "--", "sleep", "300"]);
    tell_tool(&["start"]);
    tell_tool(&["run"]);
    tell_names();
}

fn without_an_inode() {
    cover_here(c"nr_inodes=1");
    tell_tool(&["start", "--", "sleep", "300"]);
    tell_names();
}

fn a_full_file_system_is_named() {
    let line = "1 daemon: cannot claim the pid file (daemon.pid): No space left on device\n";
    assert_eq!(in_place(&Place::new(), "without_a_block"), line.repeat(3) + "1 names\n");
    let line = "1 daemon: cannot lock the pid file (daemon.pid): No space left on device\n";
    assert_eq!(in_place(&Place::new(), "without_an_inode"), line.to_owned() + "0 names\n");
}

fn new_pid_namespace() {
    // SAFETY: a fixture has one thread, so nobody loses what it shared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }.expect("a pid namespace");
}

/// Calls the tool in a pid namespace that does not show the test's processes.
fn beside() {
    new_pid_namespace();
    let line: Vec<_> = std::env::args().skip(1).collect();
    tell_tool(&line.iter().map(String::as_str).collect::<Vec<_>>());
}

fn a_daemon_out_of_sight_is_not_signalled() {
    let place = Place::new();
    let pid = place.start(&SLEEP);
    let beside = |line: &[&str]| {
        let mut inside = line.iter().fold(fixture("beside"), Fixture::arg);
        inside.command.current_dir(place.dir.path());
        inside.run().0
    };
    assert_eq!(beside(&["status"]), "0 running, in another pid namespace\n");
    assert_eq!(beside(&["stop", "--kill"]), "1 daemon: not stopped: running, in another pid namespace\n");
    assert_eq!(beside(&["start"]), "1 daemon: already running, in another pid namespace\n");
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
}

/// A namespace whose `/proc` is still that of the namespace above.
fn below() {
    new_pid_namespace();
    let status = Command::new("/proc/self/exe").env(support::NAME, "below_init").status().expect("an init");
    assert!(status.success());
}

fn below_init() {
    assert_eq!(std::process::id(), 1);
    tell_tool(&["start", "--", "sleep", "300"]);
    tell_tool(&["status"]);
    wait_release();
}

fn a_daemon_in_a_namespace_below_is_stopped() {
    let place = Place::new();
    let mut inside = fixture("below");
    inside.command.current_dir(place.dir.path());
    let mut running = inside.start();
    let started = running.hear();
    let inner = started.strip_prefix("0 started, pid ").unwrap_or_else(|| panic!("{started}")).to_owned();
    assert_eq!(running.hear(), format!("0 running, pid {inner}"));
    // The file has the number of the daemon's own namespace, which is another's here, or nobody's.
    assert_eq!(fs::read_to_string(place.path("daemon.pid")).expect("a pid file"), format!("{inner}\n"));
    let Holder::Running(pid) = place.holder() else { panic!("nobody runs") };
    let pid = pid.as_raw_nonzero().get();
    assert!(proc::status(pid)["NSpid"].ends_with(&format!("\t{inner}")), "{:?}", proc::status(pid)["NSpid"]);
    place.run(&["status"]).said(0, &format!("running, pid {pid}"));
    place.stop();
    running.release();
    assert!(running.status().success());
}
