//! The examples, as programs: what they print, how they end, and what they have become in `/proc`.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Holder, Stop, Stopped, holder, open_pid_file, signal_holder, stop};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{LIMIT, c_path, ends, proc, root_test, temp_dir, test, until, wait_end};

fn main() {
    support::main(
        &[],
        vec![
            test("by_hand_is_a_daemon_and_stops", by_hand),
            test("one_call_is_a_daemon_and_stops", one_call),
            test("a_second_instance_is_refused", a_second_instance_is_refused),
            test("who_is_told_ready_may_connect", who_is_told_ready_may_connect),
            test("what_keeps_it_from_being_ready_is_told", what_keeps_it_from_being_ready),
            test("a_guest_that_hangs_up_does_not_end_it", a_guest_that_hangs_up),
            test("a_service_serves_its_last_guest_before_it_ends", a_service_serves_its_last_guest),
            test("a_service_in_the_foreground_is_the_process_that_was_started", a_service_in_the_foreground),
            test("a_pool_does_its_jobs_and_ends_with_them", a_pool_does_its_jobs),
            test("a_worker_that_dies_is_replaced", a_worker_that_dies_is_replaced),
            test("a_worker_does_not_keep_the_lock", a_worker_does_not_keep_the_lock),
            root_test("privileges_are_gone_and_open_files_stay", privileges_are_gone),
            test("who_has_no_privileges_to_drop_hears_it", who_has_no_privileges),
        ],
    );
}

/// An example in a directory of its own; its daemon is ended at the end.
struct Place {
    name: &'static str,
    dir: tempfile::TempDir,
}

impl Place {
    fn new(name: &'static str) -> Self {
        let dir = temp_dir();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        Self { name, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pid_file(&self) -> PathBuf {
        self.path(self.name).with_extension("pid")
    }

    fn command(&self) -> Command {
        let this = std::env::current_exe().expect("this program");
        let program = this.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples").join(self.name);
        assert!(program.exists(), "the example is missing: {}: cargo build --examples", program.display());
        let mut command = Command::new(program);
        command.current_dir(self.dir.path());
        command
    }

    /// Runs the example until the process that was called has ended.
    fn start(&self) -> Output {
        ended(&mut self.command())
    }

    /// Starts it, and returns the daemon's pid, as the kernel has it.
    fn started(&self) -> i32 {
        let output = self.start();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(text(&output.stdout), "");
        assert_eq!(text(&output.stderr), "");
        self.running()
    }

    fn running(&self) -> i32 {
        let file = open_pid_file(&c_path(self.pid_file())).expect("a pid file");
        match holder(&file).expect("the kernel answers") {
            Holder::Running(pid) => pid.as_raw_nonzero().get(),
            other => panic!("{other:?}"),
        }
    }

    /// Stops it with SIGTERM alone.
    fn stop(&self) {
        let file = open_pid_file(&c_path(self.pid_file())).expect("a pid file");
        let how = Stop { timeout: Some(LIMIT), ..Stop::default() };
        assert_eq!(stop(&file, &how), Ok(Stopped::Ended));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(file) = open_pid_file(&c_path(self.pid_file())) {
            let _ = stop(&file, &Stop { signal: Signal::KILL, ..Stop::default() });
        }
    }
}

/// Runs the process that is called to its end, and not longer than the limit.
fn ended(command: &mut Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    if !ends(child.id() as i32, LIMIT) {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its end");
    assert_ne!(output.status.signal(), Some(libc::SIGKILL), "it ends");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("utf-8")
}

fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("a process");
}

/// Detached, and nobody's: a session that it does not lead, no terminal, the streams at `/dev/null`.
fn assert_detached(pid: i32) {
    assert_ne!(proc::session(pid), proc::session(std::process::id() as i32), "a session of its own");
    assert_ne!(proc::session(pid), pid, "it does not lead it");
    assert_eq!(proc::terminal(pid), 0);
    assert_ne!(proc::parent(pid), std::process::id() as i32);
    assert_eq!(proc::fds(pid)[&0], "/dev/null");
}

fn starts_and_stops(name: &'static str) {
    let place = Place::new(name);
    let pid = place.started();
    assert_detached(pid);
    assert_eq!(proc::fds(pid)[&2], "/dev/null");
    assert_eq!(proc::cwd(pid), Path::new("/"));
    assert_eq!(proc::umask(pid), "0022");
    assert_eq!(proc::signals(pid, "SigIgn"), 0);
    assert_eq!(fs::read_to_string(place.pid_file()).expect("a pid file"), format!("{pid}\n"));
    place.stop();
    assert!(!place.pid_file().exists());
}

fn by_hand() {
    starts_and_stops("by_hand");
}

fn one_call() {
    starts_and_stops("one_call");
}

fn a_second_instance_is_refused() {
    for name in ["by_hand", "one_call", "readiness", "service", "workers"] {
        let place = Place::new(name);
        let pid = place.started();
        let second = place.start();
        assert_eq!(second.status.code(), Some(1), "{name}");
        let told = text(&second.stderr);
        assert!(["temporarily unavailable", "code: 11,", "AGAIN"].iter().any(|word| told.contains(word)), "{told}");
        assert_eq!(place.running(), pid);
        place.stop();
    }
}

fn who_is_told_ready_may_connect() {
    let place = Place::new("readiness");
    assert_detached(place.started());
    let mut greeting = String::new();
    let mut stream = UnixStream::connect(place.path("readiness.sock")).expect("it listens");
    stream.read_to_string(&mut greeting).expect("a greeting");
    assert_eq!(greeting, "hello\n");
    place.stop();
    assert!(!place.path("readiness.sock").exists());
    assert!(!place.pid_file().exists());
}

fn what_keeps_it_from_being_ready() {
    for name in ["readiness", "service"] {
        let place = Place::new(name);
        fs::write(place.path(name).with_extension("sock"), "").expect("a file in the way");
        let output = place.start();
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(["Address already in use", "code: 98,", "ADDRINUSE"].iter().any(|word| told.contains(word)), "{told}");
        assert!(!place.pid_file().exists(), "nothing is left");
    }
}

fn a_guest_that_hangs_up() {
    for name in ["readiness", "service"] {
        let place = Place::new(name);
        let pid = place.started();
        assert_eq!(proc::signals(pid, "SigIgn"), 1 << (Signal::PIPE.as_raw() - 1), "{name}");
        let socket = place.path(name).with_extension("sock");
        for _ in 0..20 {
            let mut guest = UnixStream::connect(&socket).expect("it listens");
            let _ = guest.write_all(b"a line\nand another\n");
        }
        assert_eq!(place.running(), pid);
        place.stop();
    }
}

/// One line to the service, and its answer.
fn answer(guest: &mut BufReader<UnixStream>, line: &str) -> String {
    guest.get_mut().write_all(line.as_bytes()).expect("it listens");
    let mut answer = String::new();
    guest.read_line(&mut answer).expect("it answers");
    answer
}

fn serves_its_last_guest(place: &Place, pid: i32) {
    let socket = place.path("service.sock");
    let mut guest = BufReader::new(UnixStream::connect(&socket).expect("it listens"));
    assert_eq!(answer(&mut guest, "before\n"), "before\n");
    signal_holder(&open_pid_file(&c_path(place.pid_file())).expect("a pid file"), Signal::TERM).expect("a signal");
    until("no more guests are taken", || !socket.exists());
    assert_eq!(answer(&mut guest, "after\n"), "after\n");
    assert_eq!(place.running(), pid);
    drop(guest);
    wait_end(pid);
    assert!(!place.pid_file().exists());
}

fn a_service_serves_its_last_guest() {
    let place = Place::new("service");
    let pid = place.started();
    assert_detached(pid);
    serves_its_last_guest(&place, pid);
}

fn a_service_in_the_foreground() {
    let place = Place::new("service");
    let mut child = place.command().arg("--foreground").spawn().expect("it runs");
    let pid = child.id() as i32;
    until("it listens", || UnixStream::connect(place.path("service.sock")).is_ok());
    assert_eq!(place.running(), pid);
    assert_eq!(proc::parent(pid), std::process::id() as i32);
    serves_its_last_guest(&place, pid);
    assert!(child.wait().expect("its end").success());
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

/// The pool, when its jobs are done and two workers wait for more.
fn pool() -> (Place, i32) {
    let place = Place::new("workers");
    let pid = place.started();
    assert_detached(pid);
    let log = || fs::read_to_string(place.path("workers.log")).unwrap_or_default();
    until("the jobs are done", || log().lines().count() == 4);
    until("there are two workers", || children(pid).len() == 2);
    let log = log();
    let mut jobs: Vec<_> = log.lines().collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["job a", "job b", "job c", "job d"]);
    (place, pid)
}

fn a_pool_does_its_jobs() {
    let (place, pid) = pool();
    let workers = children(pid);
    place.stop();
    workers.into_iter().for_each(wait_end);
    assert!(!place.pid_file().exists());
}

fn a_worker_that_dies_is_replaced() {
    let (place, pid) = pool();
    let before = children(pid);
    send(before[0], Signal::KILL);
    until("another takes its place", || {
        let now = children(pid);
        now.len() == 2 && !now.contains(&before[0]) && now.contains(&before[1])
    });
    place.stop();
}

/// Processes that sleep by SIGSTOP, until the end of this.
struct Asleep(Vec<i32>);

impl Drop for Asleep {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| send(*pid, Signal::CONT));
    }
}

fn a_worker_does_not_keep_the_lock() {
    let (place, pid) = pool();
    let workers = children(pid);
    let mut asleep = Asleep(Vec::new());
    for worker in &workers {
        let pid_file = place.pid_file();
        until("the worker has closed the pid file", || !proc::fds(*worker).values().any(|file| Path::new(file) == pid_file));
        // So that it is still there when the next daemon starts.
        send(*worker, Signal::STOP);
        asleep.0.push(*worker);
    }
    send(pid, Signal::KILL);
    wait_end(pid);
    let next = place.started();
    assert_ne!(next, pid);
    assert!(workers.iter().all(|worker| Path::new(&format!("/proc/{worker}")).exists()));
    drop(asleep);
    // Their queue has ended with their daemon.
    workers.into_iter().for_each(wait_end);
    place.stop();
}

fn privileges_are_gone() {
    let place = Place::new("drop_privileges");
    let pid = place.started();
    assert_detached(pid);
    until("it prints what it is", || fs::read_to_string(place.path("drop_privileges.log")).is_ok_and(|log| log.contains('\n')));
    let log = fs::read_to_string(place.path("drop_privileges.log")).expect("a log");
    assert_eq!(log, "uid 65534, gid 65534\n");
    assert_eq!(proc::uids(pid), [65534; 4]);
    assert_eq!(proc::gids(pid), [65534; 4]);
    assert_eq!(proc::groups(pid), [0_u32; 0]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(proc::signals(pid, set), 0, "{set}");
    }
    assert_eq!(proc::status(pid)["NoNewPrivs"], "1");
    place.stop();
    assert_eq!(fs::read(place.pid_file()).expect("root's directory keeps the name"), b"");
}

fn who_has_no_privileges() {
    let place = Place::new("drop_privileges");
    fs::set_permissions(place.dir.path(), Permissions::from_mode(0o777)).expect("chmod");
    // By a descriptor: the program may be in a directory that only root may search.
    let program = fs::File::open(place.command().get_program()).expect("the example");
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.current_dir(place.dir.path());
    if rustix::process::geteuid().is_root() {
        // SAFETY: these are calls of the kernel, and nothing is allocated.
        unsafe { command.pre_exec(become_somebody) };
    }
    let output = ended(&mut command);
    if rustix::process::geteuid().as_raw() == 65534 {
        // Whoever is nobody may become nobody.
        assert!(output.status.success(), "{output:?}");
        return place.stop();
    }
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = text(&output.stderr);
    assert!(told.contains("DropPrivileges") && (told.contains("code: 1,") || told.contains("PERM")), "{told}");
    assert!(!place.pid_file().exists(), "nothing is left");
}

fn become_somebody() -> std::io::Result<()> {
    // SAFETY: no group is read from the null pointer.
    let groups = unsafe { libc::setgroups(0, std::ptr::null()) };
    // SAFETY: numbers.
    let gid = unsafe { libc::setresgid(65533, 65533, 65533) };
    // SAFETY: numbers.
    let uid = unsafe { libc::setresuid(65533, 65533, 65533) };
    if groups | gid | uid == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
