//! `daemonize` and `detach`, and the same composed by hand, seen from outside.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    CloseFds, Daemon, Detached, EnvBlock, EnvFilter, Error, Fork, Holder, Ids, Notifier, Outcome, PidFile, Plan, SignalSet,
    Stdio, Step, Steps, Stream, ThinCStr, Way, block_signals, chdir, chroot, close_except, daemonize, detach, drop_privileges,
    execve, exit, exit_status, fill_stdio, fork, holder, keep_env, open_pid_file, ready_pipe, reset_signals, set_child_subreaper,
    set_no_new_privs, set_signal_mask, setgroups, setsid, stdio_fd, stdio_file, stdio_null, tiocsctty, umask,
};
use rustix::fd::BorrowedFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Resource, Rlimit, Signal, Uid, WaitOptions, getpid, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;
use support::{
    Fixture, HEAR, Running, TELL, argument, c_path, channel, ends, fixture, hostile, proc, root_test, tell, temp_dir, test,
    tty::terminal, wait_byte, wait_end, wait_release, weakened,
};

fn main() {
    support::main(
        &[
            ("becomes", becomes),
            ("executes", executes),
            ("stays", stays),
            ("fails", fails),
            ("mute", mute),
            ("dies", dies),
            ("announces", announces),
            ("storm", storm),
            ("given_up", given_up),
            ("first_of_a_namespace", first_of_a_namespace),
        ],
        vec![
            test("the_usual_daemon_is_what_its_steps_promise", the_usual_daemon),
            test("every_value_of_a_plan_is_seen_in_the_daemon", every_value_of_a_plan),
            test("a_stream_is_kept_beside_one_that_is_not", a_stream_is_kept),
            test("an_error_output_joins_the_output", an_error_output_joins_the_output),
            test("with_one_fork_the_daemon_leads_its_session", one_fork_leads),
            test("without_a_session_two_forks_are_two_forks", without_a_session),
            test("what_is_not_selected_is_not_done", what_is_not_selected_is_not_done),
            root_test("a_new_root_and_another_user_leave_no_way_back", a_new_root_and_another_user),
            test("a_program_gets_the_filtered_environment_and_holds_the_pid_file", a_program_gets_the_environment),
            test("the_same_by_hand_looks_the_same", the_same_by_hand),
            root_test("the_same_by_hand_looks_the_same_to_root", the_same_by_hand_to_root),
            test("in_the_foreground_it_is_the_same_process", in_the_foreground),
            test("a_hostile_start_makes_the_same_daemon", a_hostile_start),
            root_test("without_proc_the_same_daemon_is_made", without_proc),
            test("a_full_table_of_descriptors_is_left_behind", a_full_table),
            test("a_handler_of_the_callers_never_runs_in_the_daemon", a_handler_never_runs_in_the_daemon),
            test("a_step_that_fails_is_told_to_a_caller_that_is_what_it_was", a_step_that_fails),
            root_test("a_second_fork_that_fails_is_told", a_second_fork_that_fails),
            test("a_plan_that_lacks_something_changes_nothing", a_plan_that_lacks_something),
            test("another_instance_is_told_and_left_alone", another_instance),
            test("a_daemon_that_cannot_speak_is_no_success", a_daemon_that_cannot_speak),
            test("the_caller_ends_with_the_status_of_a_daemon_that_died", the_status_of_a_daemon_that_died),
            test("a_death_whose_status_somebody_else_got_is_no_success", a_status_that_somebody_else_got),
            root_test("without_proc_a_death_is_no_success", without_proc_a_death_is_no_success),
            test("a_notifier_that_is_dropped_cancels", a_notifier_that_is_dropped),
            test("a_daemon_that_is_late_is_killed", a_daemon_that_is_late),
            test("a_daemon_that_is_given_up_is_killed_wherever_it_is", a_daemon_that_is_given_up),
            test("the_caller_waits_until_the_daemon_says_that_it_is_ready", the_caller_waits),
            test("the_daemon_goes_on_when_the_waiting_caller_is_killed", the_waiting_caller_is_killed),
            test("the_daemon_goes_on_when_ctrl_c_ends_the_waiting_caller", ctrl_c_ends_the_caller),
            test("the_pid_that_detach_returns_is_the_daemons", the_pid_is_the_daemons),
            root_test("the_pid_of_another_namespace_is_told_as_the_caller_sees_it", the_pid_of_another_namespace),
        ],
    );
}

// Plans

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn path(dir: &Path, name: &str) -> &'static CStr {
    leaked(c_path(dir.join(name))).as_c_str()
}

/// The channel stays open; a test has nothing else above 2 that the daemon uses.
fn close_all_but_the_channel() -> CloseFds<'static> {
    // SAFETY: a fixture's daemon uses the channel only.
    unsafe { CloseFds::all_but(leaked(channel())) }
}

unsafe extern "C" {
    static mut environ: *mut *const c_char;
}

fn environment() -> &'static EnvBlock<'static> {
    // SAFETY: a fixture has one thread, and it does not change the environment now.
    let first = unsafe { environ };
    // SAFETY: the C library's array ends with null; its strings stay until the fixture ends.
    unsafe { ThinCStr::array(first) }
}

// SAFETY: standard output is open when the plan is carried out.
const STDOUT: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(1) };

const MASK: SignalSet = SignalSet::EMPTY.with(10).with(64);

/// The plans that are compared; each has its composition by hand below.
fn plan(name: &str, dir: &Path) -> Plan<'static, 'static> {
    let usual = Steps::DAEMON | Steps::PID_FILE | Steps::CLOSE_FDS;
    let plan = Plan { pid_file: Some(path(dir, "pid")), close: Some(close_all_but_the_channel()), ..Plan::new(usual) };
    match name {
        "usual" => plan,
        "full" => Plan {
            steps: usual | Steps::FILTER_ENV | Steps::NO_NEW_PRIVS,
            env: (EnvFilter::Keep(&[c"A"]), environment()),
            umask: Mode::from_raw_mode(0o027),
            stdio: [
                Stdio::File(path(dir, "in"), Mode::empty()),
                Stdio::File(path(dir, "out"), Mode::from_raw_mode(0o666)),
                Stdio::Fd(channel()[0]),
            ],
            directory: path(dir, ""),
            signal_mask: MASK,
            ..plan
        },
        "kept" => Plan { stdio: [Stdio::Keep, Stdio::Null, Stdio::Keep], ..plan },
        "joined" => Plan { stdio: [Stdio::Null, Stdio::File(path(dir, "out"), Mode::RUSR), Stdio::Fd(STDOUT)], ..plan },
        "leading" => Plan { steps: usual.difference(Steps::FORK_AGAIN), ..plan },
        "staying" => Plan { steps: usual.difference(Steps::SETSID), ..plan },
        "bare" => Plan::new(Steps::FORK | Steps::READY),
        "rooted" => Plan {
            steps: usual | Steps::CHROOT | Steps::DROP_PRIVILEGES | Steps::NO_NEW_PRIVS,
            root: path(dir, "root"),
            ids: nobody(),
            ..plan
        },
        other => panic!("no plan {other}"),
    }
}

fn nobody() -> Ids<'static> {
    Ids { uid: Uid::from_raw(65534), gid: Gid::from_raw(65533), groups: &[] }
}

/// The forks by hand. Returns in the daemon; the first process waits and exits.
fn forks_by_hand() -> Result<Notifier, Errno> {
    let (waiter, notifier) = ready_pipe()?;
    let former = block_signals(SignalSet::ALL)?;
    support::need_subreaper();
    set_child_subreaper(true)?;
    if let Fork::Parent(child) = fork()? {
        drop(notifier);
        set_signal_mask(former)?;
        exit(exit_status(waiter.wait(child, None)?));
    }
    drop(waiter);
    setsid()?;
    if let Fork::Parent(_) = fork()? {
        exit(0);
    }
    notifier.announce()?;
    Ok(notifier)
}

fn close_by_hand(file: &PidFile<'_>, notifier: &Notifier) -> Result<(), Errno> {
    let keep = channel().into_iter().chain(file.descriptors()).chain(notifier.descriptors());
    // SAFETY: the daemon uses nothing but the channel and these.
    unsafe { close_except(3, keep) }
}

fn usual_by_hand(dir: &Path) -> Result<Option<PidFile<'static>>, Errno> {
    fill_stdio()?;
    let file = PidFile::lock(path(dir, "pid"))?;
    let notifier = forks_by_hand()?;
    umask(Mode::from_raw_mode(0o022))?;
    stdio_null()?;
    close_by_hand(&file, &notifier)?;
    reset_signals()?;
    chdir(c"/")?;
    file.claim()?;
    set_signal_mask(SignalSet::EMPTY)?;
    notifier.ready()?;
    Ok(Some(file))
}

fn full_by_hand(dir: &Path) -> Result<Option<PidFile<'static>>, Errno> {
    fill_stdio()?;
    let file = PidFile::lock(path(dir, "pid"))?;
    let notifier = forks_by_hand()?;
    umask(Mode::from_raw_mode(0o027))?;
    stdio_file(Stream::Stdin, path(dir, "in"), Mode::empty())?;
    stdio_file(Stream::Stdout, path(dir, "out"), Mode::from_raw_mode(0o666))?;
    stdio_fd(Stream::Stderr, channel()[0])?;
    close_by_hand(&file, &notifier)?;
    reset_signals()?;
    keep_env(environment(), &[c"A"]);
    chdir(path(dir, ""))?;
    file.claim()?;
    set_no_new_privs()?;
    set_signal_mask(MASK)?;
    notifier.ready()?;
    Ok(Some(file))
}

fn bare_by_hand() -> Result<Option<PidFile<'static>>, Errno> {
    let (waiter, notifier) = ready_pipe()?;
    if let Fork::Parent(child) = fork()? {
        drop(notifier);
        exit(exit_status(waiter.wait(child, None)?));
    }
    drop(waiter);
    notifier.ready()?;
    Ok(None)
}

fn rooted_by_hand(dir: &Path) -> Result<Option<PidFile<'static>>, Errno> {
    fill_stdio()?;
    let mut file = PidFile::lock(path(dir, "pid"))?;
    let notifier = forks_by_hand()?;
    umask(Mode::from_raw_mode(0o022))?;
    stdio_null()?;
    close_by_hand(&file, &notifier)?;
    reset_signals()?;
    chroot(path(dir, "root"))?;
    chdir(c"/")?;
    file.claim()?;
    file.leave_directory();
    drop_privileges(&nobody())?;
    set_no_new_privs()?;
    set_signal_mask(SignalSet::EMPTY)?;
    notifier.ready()?;
    Ok(Some(file))
}

// States to start in

/// The fixture's own pid, for handlers: what runs elsewhere is astray.
static CALLER: AtomicI32 = AtomicI32::new(0);

extern "C" fn handler(_: c_int) {
    if getpid().as_raw_nonzero().get() != CALLER.load(Ordering::Relaxed) {
        // SAFETY: write(2) reads six bytes of a constant.
        unsafe { libc::write(TELL, c"stray\n".as_ptr().cast(), 6) };
    }
}

extern "C" fn reaping_handler(_: c_int) {
    while rustix::process::wait(WaitOptions::NOHANG).is_ok_and(|ended| ended.is_some()) {}
}

fn dispose(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is a constant, or a function of this file that is async-signal-safe.
    unsafe { libc::signal(signal, disposition) };
}

fn all_signals() -> impl Iterator<Item = c_int> {
    (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, 32, 33, 34].contains(signal))
}

fn handle(signals: impl Iterator<Item = c_int>) {
    CALLER.store(getpid().as_raw_nonzero().get(), Ordering::Relaxed);
    signals.for_each(|signal| dispose(signal, handler as extern "C" fn(c_int) as libc::sighandler_t));
}

fn raise_blocked_signals() {
    block_signals(SignalSet::ALL).expect("block");
    for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGSEGV, libc::SIGCHLD, libc::SIGRTMIN() + 3] {
        // SAFETY: raise(3) takes a number.
        assert_eq!(unsafe { libc::raise(signal) }, 0);
    }
}

/// Opens descriptors from `first` on, as many as there may be up to `count`; how many.
fn open_many(first: i32, count: i32) -> i32 {
    // SAFETY: dup2 on a number that is not in use, of standard input, which is open.
    (first..first + count).filter(|fd| unsafe { libc::dup2(0, *fd) } == *fd).count() as i32
}

/// Fills the table, but for a few that the steps need.
fn fill_table() {
    let wish = Rlimit { current: Some(100_400), maximum: Some(100_400) };
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < 100_400) && setrlimit(Resource::Nofile, wish).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the hard limit");
    } else if limit.maximum.is_none_or(|maximum| maximum >= 100_400) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(100_400), ..limit }).expect("below the hard limit");
    }
    tell(open_many(HEAR + 1, 100_400));
}

const STATES: &[&str] = &[
    "leader",
    "terminal",
    "closed1",
    "closed2",
    "closed3",
    "closed4",
    "closed5",
    "closed6",
    "closed7",
    "above_the_limit",
    "deaf",
    "no_children",
    "reaping",
    "handlers",
    "umask",
];

/// Brings the fixture into the state that it is to start from.
fn enter(state: &str, dir: &Path) {
    match state {
        "plain" => {}
        "leader" => drop(setsid().expect("setsid")),
        "terminal" => {
            setsid().expect("setsid");
            tiocsctty(&leaked(terminal()).1).expect("a controlling terminal");
        }
        "above_the_limit" => {
            assert_eq!(open_many(500, 300), 300);
            let limit = Rlimit { current: Some(100), ..getrlimit(Resource::Nofile) };
            setrlimit(Resource::Nofile, limit).expect("a lower limit");
        }
        "many" => fill_table(),
        "deaf" => {
            all_signals().for_each(|signal| dispose(signal, libc::SIG_IGN));
            block_signals(SignalSet::ALL).expect("block");
        }
        "groups" => setgroups(&[Gid::from_raw(1), Gid::from_raw(2)]).expect("groups"),
        "no_children" => dispose(libc::SIGCHLD, libc::SIG_IGN),
        "reaping" => dispose(libc::SIGCHLD, reaping_handler as extern "C" fn(c_int) as libc::sighandler_t),
        "handlers" => {
            handle(all_signals());
            raise_blocked_signals();
        }
        "no_proc" => hostile::hide_proc(),
        "no_pidfd" => hostile::deny(&[(libc::SYS_pidfd_open, Errno::NOSYS)]),
        "umask" => {
            // Left over, and readable for the test whatever the umask.
            std::fs::write(dir.join("pid"), "12345678\n").expect("a stale pid file");
            umask(Mode::from_raw_mode(0o777)).expect("umask");
        }
        closed => {
            let closed: u32 = closed.strip_prefix("closed").expect("a state").parse().expect("a number");
            close_streams(closed);
        }
    }
}

fn close_streams(which: u32) {
    for fd in (0..=2).filter(|fd| which & 1 << fd != 0) {
        // SAFETY: the standard streams have no owner.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
}

// What a daemon looks like

/// In a fixture: becomes a daemon, tells its pid, and waits. Arguments: how, plan, state, directory.
fn becomes() {
    let dir = PathBuf::from(argument(4));
    enter(&argument(3), &dir);
    let name = argument(2);
    let by_hand = |done: Result<Option<PidFile<'static>>, Errno>| done.expect("every step");
    let file = match (argument(1).as_str(), name.as_str()) {
        ("call", name) => daemonize(&plan(name, &dir)).expect("every step").pid_file,
        (_, "usual") => by_hand(usual_by_hand(&dir)),
        (_, "full") => by_hand(full_by_hand(&dir)),
        (_, "bare") => by_hand(bare_by_hand()),
        _ => by_hand(rooted_by_hand(&dir)),
    };
    tell(std::process::id());
    wait_release();
    if let Some(file) = file {
        file.remove().expect("removed, or emptied");
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    leads: (bool, bool),
    new_session: bool,
    terminal: i64,
    orphan: bool,
    root: PathBuf,
    cwd: PathBuf,
    umask: String,
    streams: Vec<(String, i32)>,
    /// What else is open, with its flags, whatever its number.
    others: Vec<(String, i32)>,
    blocked: u64,
    ignored: u64,
    caught: u64,
    no_new_privs: String,
    ids: [Vec<u32>; 3],
}

/// What the daemon `pid` is, seen from outside, after the process that started it has ended.
fn look(pid: i32, caller: i32, dir: &Path) -> Seen {
    let (streams, others) = descriptors(pid, dir).into_iter().partition::<Vec<_>, _>(|(fd, _)| *fd <= 2);
    let mut others: Vec<_> = others.into_iter().map(|(_, open)| open).collect();
    others.sort();
    Seen {
        leads: (proc::session(pid) == pid, proc::group(pid) == pid),
        new_session: proc::session(pid) != proc::session(std::process::id() as i32),
        terminal: proc::terminal(pid),
        orphan: proc::parent(pid) != caller,
        root: within(&proc::root(pid), dir),
        cwd: within(&proc::cwd(pid), dir),
        umask: proc::umask(pid),
        streams: streams.into_iter().map(|(_, open)| open).collect(),
        others,
        blocked: proc::signals(pid, "SigBlk"),
        ignored: proc::signals(pid, "SigIgn"),
        caught: proc::signals(pid, "SigCgt"),
        no_new_privs: proc::status(pid)["NoNewPrivs"].clone(),
        ids: [proc::uids(pid), proc::gids(pid), proc::groups(pid)],
    }
}

/// The path as seen from the test's own directory, which has another name in each run.
fn within(path: &Path, dir: &Path) -> PathBuf {
    path.strip_prefix(dir).map_or_else(|_| path.into(), |below| Path::new("DIR").join(below).components().collect())
}

/// What is open, with its flags. A pipe's number and the directory of the test are left out.
fn descriptors(pid: i32, dir: &Path) -> BTreeMap<i32, (String, i32)> {
    let name = |target: String| match target.split_once(":[") {
        Some((kind, _)) => kind.to_owned(),
        None => within(Path::new(&target), dir).display().to_string(),
    };
    let flags = |fd| proc::fd_flags(pid, fd) & (libc::O_ACCMODE | libc::O_APPEND | libc::O_CLOEXEC);
    proc::fds(pid).into_iter().map(|(fd, target)| (fd, (name(target), flags(fd)))).collect()
}

/// A directory with what the plans name.
fn prepared_dir() -> tempfile::TempDir {
    let dir = temp_dir();
    std::fs::write(dir.path().join("in"), "input").expect("a file");
    std::fs::create_dir(dir.path().join("root")).expect("a directory");
    dir
}

fn start(how: &str, plan: &str, state: &str, dir: &Path) -> Running {
    let mut fixture = fixture("becomes").arg(how).arg(plan).arg(state).arg(dir);
    let zero = std::fs::File::open("/dev/zero").expect("/dev/zero");
    fixture.command.stdin(zero).stderr(std::process::Stdio::null());
    fixture.start()
}

/// Starts a daemon, looks at it while `also` does, and ends it.
fn watch(how: &str, plan: &str, state: &str, also: impl FnOnce(i32, &Path)) -> Seen {
    let dir = prepared_dir();
    let mut running = start(how, plan, state, dir.path());
    let context = format!("{how} {plan} {state}");
    let told = running.hear();
    let pid = told.parse().unwrap_or_else(|_| panic!("{context}: a pid, not {told:?}"));
    assert_eq!(running.status().code(), Some(0), "{context}");
    let seen = look(pid, running.pid(), dir.path());
    also(pid, dir.path());
    running.release();
    wait_end(pid);
    assert_eq!(running.hear_all(), "", "{context}");
    assert!(plan == "rooted" || !dir.path().join("pid").exists(), "{context}: the daemon has removed its pid file");
    seen
}

/// The kernel names `pid` as the holder, so does the file, and nobody else can lock it.
fn assert_holds(pid: i32, dir: &Path) {
    let pid_file = c_path(dir.join("pid"));
    assert_eq!(std::fs::read_to_string(dir.join("pid")).expect("the pid file"), format!("{pid}\n"));
    let held = holder(&open_pid_file(&pid_file).expect("the pid file")).expect("a holder");
    assert_eq!(held, Holder::Running(Pid::from_raw(pid).expect("a pid")));
    assert_eq!(PidFile::lock(&pid_file).map(drop), Err(Errno::WOULDBLOCK));
}

const CHANNEL: [(&str, i32); 2] = [("pipe", libc::O_RDONLY), ("pipe", libc::O_WRONLY)];

fn owned(list: &[(&str, i32)]) -> Vec<(String, i32)> {
    list.iter().map(|(name, flags)| ((*name).to_owned(), *flags)).collect()
}

/// An own directory (`O_PATH`) and an own file.
fn pid_file_descriptors() -> Vec<(String, i32)> {
    owned(&[("DIR", libc::O_CLOEXEC), ("DIR/pid", libc::O_RDWR | libc::O_CLOEXEC)])
}

fn own_ids() -> [Vec<u32>; 3] {
    let me = std::process::id() as i32;
    [proc::uids(me), proc::gids(me), proc::groups(me)]
}

fn usual() -> Seen {
    Seen {
        leads: (false, false),
        new_session: true,
        terminal: 0,
        orphan: true,
        root: "/".into(),
        cwd: "/".into(),
        umask: "0022".into(),
        streams: vec![("/dev/null".into(), libc::O_RDWR); 3],
        others: [pid_file_descriptors(), owned(&CHANNEL)].concat(),
        blocked: 0,
        ignored: 0,
        caught: 0,
        no_new_privs: proc::status(std::process::id() as i32)["NoNewPrivs"].clone(),
        ids: own_ids(),
    }
}

fn the_usual_daemon() {
    assert_eq!(watch("call", "usual", "plain", assert_holds), usual());
}

fn every_value_of_a_plan() {
    let seen = watch("call", "full", "plain", |pid, dir| {
        assert_holds(pid, dir);
        let created = std::fs::metadata(dir.join("out")).expect("the output");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&created.permissions()) & 0o777, 0o640);
    });
    let streams = [("DIR/in", libc::O_RDONLY), ("DIR/out", libc::O_WRONLY | libc::O_APPEND), ("pipe", libc::O_WRONLY)];
    let expected = Seen {
        cwd: "DIR".into(),
        umask: "0027".into(),
        streams: owned(&streams),
        blocked: 1 << 9 | 1 << 63,
        no_new_privs: "1".into(),
        ..usual()
    };
    assert_eq!(seen, expected);
}

fn an_error_output_joins_the_output() {
    let seen = watch("call", "joined", "plain", assert_holds);
    let out = ("DIR/out", libc::O_WRONLY | libc::O_APPEND);
    assert_eq!(seen, Seen { streams: owned(&[("/dev/null", libc::O_RDONLY), out, out]), ..usual() });
}

fn one_fork_leads() {
    let seen = watch("call", "leading", "plain", assert_holds);
    assert_eq!(seen, Seen { leads: (true, true), ..usual() });
}

fn without_a_session() {
    let me = std::process::id() as i32;
    let seen = watch("call", "staying", "plain", assert_holds);
    assert_eq!(seen, Seen { new_session: false, terminal: proc::terminal(me), ..usual() });
}

fn a_stream_is_kept() {
    let seen = watch("call", "kept", "plain", assert_holds);
    let null = libc::O_WRONLY | libc::O_APPEND;
    let streams = [("/dev/zero", libc::O_RDONLY), ("/dev/null", null), ("/dev/null", libc::O_WRONLY)];
    assert_eq!(seen, Seen { streams: owned(&streams), ..usual() });
}

fn what_is_not_selected_is_not_done() {
    let me = std::process::id() as i32;
    let seen = watch("call", "bare", "plain", |_, dir| assert!(!dir.join("pid").exists()));
    let session = (seen.leads, seen.new_session, seen.terminal);
    assert_eq!(session, ((false, false), false, proc::terminal(me)));
    assert_eq!((seen.cwd, seen.umask, seen.blocked), (proc::cwd(me), proc::umask(me), proc::signals(me, "SigBlk")));
    // The standard library ignores it in every program.
    assert_ne!(seen.ignored & 1 << (libc::SIGPIPE - 1), 0);
}

fn a_new_root_and_another_user() {
    let dir = prepared_dir();
    let mut running = start("call", "rooted", "groups", dir.path());
    let pid = running.hear_pid();
    assert_eq!(running.status().code(), Some(0));
    let expected = Seen {
        root: "DIR/root".into(),
        cwd: "DIR/root".into(),
        others: [owned(&[("DIR/pid", libc::O_RDWR | libc::O_CLOEXEC)]), owned(&CHANNEL)].concat(),
        no_new_privs: "1".into(),
        ids: [vec![65534; 4], vec![65533; 4], vec![]],
        ..usual()
    };
    assert_eq!(look(pid, running.pid(), dir.path()), expected);
    let capabilities = proc::status(pid);
    for set in ["CapInh", "CapPrm", "CapEff"] {
        assert_eq!(capabilities[set], "0000000000000000", "{set}");
    }
    for fd in proc::fds(pid).keys() {
        assert!(!std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).expect("a descriptor").is_dir(), "{fd} leads out");
    }
    assert_holds(pid, dir.path());
    running.release();
    wait_end(pid);
    assert_eq!(running.hear_all(), "");
    // Its name cannot be removed from in there.
    assert_eq!(std::fs::read_to_string(dir.path().join("pid")).expect("the pid file"), "");
}

/// In a fixture: the daemon executes a shell. Argument 1 is `keep` or `drop`, 2 the directory.
fn executes() {
    let [tell, hear] = channel();
    let filter = if argument(1) == "keep" { EnvFilter::Keep(&[c"A", c"NONE"]) } else { EnvFilter::Drop(&[c"SECRET"]) };
    let plan = Plan {
        pid_file: Some(path(&PathBuf::from(argument(2)), "pid")),
        env: (filter, environment()),
        stdio: [Stdio::Fd(hear), Stdio::Fd(tell), Stdio::Null],
        ..Plan::new(Steps::DAEMON.difference(Steps::READY) | Steps::PID_FILE | Steps::FILTER_ENV)
    };
    let Daemon { pid_file, notifier } = daemonize(&plan).expect("every step");
    let pid_file = pid_file.expect("a pid file");
    pid_file.keep_across_exec().expect("kept");
    let argv = [c"sh", c"-c", c"echo $$; read end"].map(|word| Some(ThinCStr::from(word)));
    let argv: Vec<_> = argv.into_iter().chain([None]).collect();
    let errno = execve(c"/bin/sh", &argv, environment());
    drop((notifier, pid_file));
    panic!("{errno}");
}

fn a_program_gets_the_environment() {
    for filter in ["keep", "drop"] {
        let dir = temp_dir();
        let fixture = fixture("executes").arg(filter).arg(dir.path()).env("A", "b=c").env("SECRET", "s");
        let mut running = fixture.start();
        let pid = running.hear_pid();
        assert_eq!(running.status().code(), Some(0), "the program runs: that is the daemon's word");
        let environment = proc::environ(pid);
        match filter {
            "keep" => assert_eq!(environment, ["A=b=c"]),
            _ => assert!(environment.contains(&"A=b=c".into()) && !environment.iter().any(|v| v.starts_with("SECRET"))),
        }
        assert_ne!(proc::exe(pid), proc::exe(std::process::id() as i32));
        assert_holds(pid, dir.path());
        running.release();
        wait_end(pid);
    }
}

fn the_same_by_hand() {
    for plan in ["usual", "full", "bare"] {
        assert_eq!(watch("hand", plan, "plain", |_, _| ()), watch("call", plan, "plain", |_, _| ()), "{plan}");
    }
}

fn the_same_by_hand_to_root() {
    assert_eq!(watch("hand", "rooted", "plain", |_, _| ()), watch("call", "rooted", "plain", |_, _| ()));
}

/// In a fixture: all but the forks. Argument 1 is the directory.
fn stays() {
    let dir = PathBuf::from(argument(1));
    let steps = Steps::FOREGROUND | Steps::PID_FILE | Steps::CLOSE_FDS;
    let daemon = daemonize(&Plan { steps, ..plan("usual", &dir) }).expect("every step");
    tell(format!("{}", daemon.notifier.is_none()));
    wait_release();
    daemon.pid_file.expect("a pid file").remove().expect("removed");
}

fn in_the_foreground() {
    let dir = prepared_dir();
    let mut running = fixture("stays").arg(dir.path()).start();
    assert_eq!(running.hear(), "true");
    let pid = running.pid();
    let me = std::process::id() as i32;
    let seen = look(pid, 0, dir.path());
    let expected = Seen { new_session: false, terminal: proc::terminal(me), ..usual() };
    assert_eq!(seen, expected);
    assert_eq!(proc::group(pid), proc::group(me));
    assert_holds(pid, dir.path());
    running.release();
    assert_eq!(running.status().code(), Some(0));
    assert!(!dir.path().join("pid").exists());
}

// Hostile states

fn a_hostile_start() {
    for state in STATES {
        let seen = watch("call", "usual", state, assert_holds);
        assert_eq!(seen, usual(), "{state}");
    }
}

fn without_proc() {
    assert_eq!(watch("call", "usual", "no_proc", assert_holds), usual());
}

fn a_full_table() {
    let dir = prepared_dir();
    let mut running = start("call", "usual", "many", dir.path());
    let open = running.hear_pid();
    if open < 100_000 {
        weakened(&format!("{open} descriptors open, not 100000: the hard limit cannot be raised"));
    }
    let pid = running.hear_pid();
    assert_eq!(running.status().code(), Some(0));
    assert_eq!(look(pid, running.pid(), dir.path()), usual());
}

/// In a fixture: a caller with a handler, while signals rain on its group.
fn storm() {
    handle([libc::SIGUSR1].into_iter());
    tell("armed");
    wait_byte();
    let _daemon = daemonize(&plan("usual", &PathBuf::from(argument(1)))).expect("every step");
    tell(std::process::id());
    wait_release();
}

fn a_handler_never_runs_in_the_daemon() {
    for _ in 0..20 {
        let dir = prepared_dir();
        let mut fixture = fixture("storm").arg(dir.path());
        fixture.command.process_group(0);
        let mut running = fixture.start();
        assert_eq!(running.hear(), "armed");
        let group = Pid::from_raw(running.pid()).expect("a pid");
        let over = AtomicBool::new(false);
        let told = std::thread::scope(|scope| {
            // The first process is not waited for meanwhile, so the group is its own.
            scope.spawn(|| {
                // A bound: nothing else runs in a process whose next signal is always there.
                for _ in 0..50_000 {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let _ = rustix::process::kill_process_group(group, Signal::USR1);
                }
            });
            running.step();
            let told = running.hear();
            over.store(true, Ordering::Relaxed);
            told
        });
        assert!(told.parse::<i32>().is_ok(), "a pid, not {told:?}");
        assert_eq!(running.status().code(), Some(0));
        running.release();
        assert_eq!(running.hear_all(), "");
    }
}

// Steps that fail

const BECAME: &str = "became a daemon";

fn described(result: &Result<Detached<'_>, Error>) -> String {
    match result {
        Ok(Detached::Daemon(_)) => BECAME.into(),
        Ok(Detached::Caller(outcome)) => exit_status(*outcome).to_string(),
        Err(Error { step, errno }) => format!("{step:?} {}", errno.raw_os_error()),
    }
}

const PR_SET_CHILD_SUBREAPER: u32 = 36;
const PR_SET_NO_NEW_PRIVS: u32 = 38;

/// Where it fails, in the words of [`described`], and how.
const FAILURES: &[(&str, Step, Errno)] = &[
    ("fill_stdio", Step::FillStdio, Errno::ACCESS),
    ("pid_file_nowhere", Step::LockPidFile, Errno::NOENT),
    ("pid_file_is_a_directory", Step::LockPidFile, Errno::ISDIR),
    ("pipe", Step::ReadyPipe, Errno::MFILE),
    ("thread", Step::Fork, Errno::BUSY),
    ("clone", Step::Fork, Errno::AGAIN),
    ("subreaper", Step::Fork, Errno::PERM),
    ("block", Step::Fork, Errno::PERM),
    ("setsid", Step::Setsid, Errno::PERM),
    ("umask", Step::Umask, Errno::PERM),
    ("output_nowhere", Step::Stdio, Errno::NOENT),
    ("dup3", Step::Stdio, Errno::PERM),
    ("close", Step::CloseFds, Errno::PERM),
    ("sigaction", Step::ResetSignals, Errno::PERM),
    ("root_nowhere", Step::Chroot, Errno::NOENT),
    ("directory_nowhere", Step::Chdir, Errno::NOENT),
    ("pid_is_not_written", Step::ClaimPidFile, Errno::NOSPC),
    ("pid_is_too_long", Step::ClaimPidFile, Errno::FBIG),
    ("root_is_no_drop", Step::DropPrivileges, Errno::INVAL),
    ("drop", Step::DropPrivileges, Errno::PERM),
    ("no_new_privs", Step::NoNewPrivs, Errno::PERM),
    ("mask", Step::SignalMask, Errno::PERM),
    ("poll", Step::Ready, Errno::PERM),
];

/// The plan, and the state, in which the step fails.
fn failing(name: &str, dir: &Path) -> Plan<'static, 'static> {
    let plan = Plan { directory: c"/", signal_mask: MASK, ..plan("full", dir) };
    let nowhere = path(dir, "none/none");
    let and = |more| plan.steps | more;
    let deny = |call| hostile::deny(&[(call, Errno::PERM)]);
    let deny_if = |call, first| hostile::deny_if(&[(call, Some(first), Errno::PERM)]);
    match name {
        "fill_stdio" => {
            close_streams(1);
            hostile::deny(&[(libc::SYS_openat, Errno::ACCESS)]);
        }
        "pid_file_nowhere" => return Plan { pid_file: Some(nowhere), ..plan },
        "pid_file_is_a_directory" => return Plan { pid_file: Some(path(dir, "root")), ..plan },
        "pipe" => hostile::deny(&[(libc::SYS_pipe2, Errno::MFILE)]),
        "clone" => hostile::deny(&[(libc::SYS_clone, Errno::AGAIN), (libc::SYS_clone3, Errno::NOSYS)]),
        "subreaper" => deny_if(libc::SYS_prctl, PR_SET_CHILD_SUBREAPER),
        "block" => deny_if(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK as u32),
        "setsid" => deny(libc::SYS_setsid),
        "second_fork" => become_nearly_alone(dir),
        "umask" => deny(libc::SYS_umask),
        "output_nowhere" => return Plan { stdio: [Stdio::Null, Stdio::File(nowhere, Mode::empty()), Stdio::Keep], ..plan },
        "dup3" => deny(libc::SYS_dup3),
        "close" => hostile::deny(&[(libc::SYS_close_range, Errno::PERM), (libc::SYS_close, Errno::PERM)]),
        "sigaction" => deny(libc::SYS_rt_sigaction),
        "root_nowhere" => return Plan { steps: and(Steps::CHROOT), root: nowhere, ..plan },
        "directory_nowhere" => return Plan { directory: nowhere, ..plan },
        "pid_is_not_written" => hostile::deny(&[(libc::SYS_pwrite64, Errno::NOSPC)]),
        "pid_is_too_long" => setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit"),
        "root_is_no_drop" => {
            return Plan { steps: and(Steps::DROP_PRIVILEGES), ids: Ids { uid: Uid::ROOT, ..nobody() }, ..plan };
        }
        "drop" => {
            deny(libc::SYS_setresgid);
            return Plan { steps: and(Steps::DROP_PRIVILEGES), ids: nobody(), ..plan };
        }
        "no_new_privs" => deny_if(libc::SYS_prctl, PR_SET_NO_NEW_PRIVS),
        "mask" => deny_if(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as u32),
        "poll" => {
            hostile::deny(&[(libc::SYS_ppoll, Errno::PERM)]);
            #[cfg(target_arch = "x86_64")]
            deny(libc::SYS_poll);
        }
        "no_fork" => return Plan { steps: plan.steps.difference(Steps::FORK), ..plan },
        "no_lock" => return Plan { steps: plan.steps.difference(Steps::LOCK_PID_FILE), ..plan },
        "no_path" => return Plan { pid_file: None, ..plan },
        "no_token" => return Plan { close: None, ..plan },
        _ => {}
    }
    plan
}

/// As another user, who may have two processes.
fn become_nearly_alone(dir: &Path) {
    let user = 20_000 + std::process::id() % 30_000;
    std::os::unix::fs::chown(dir, Some(user), None).expect("chown");
    setrlimit(Resource::Nproc, Rlimit { current: Some(2), maximum: Some(2) }).expect("a limit");
    // SAFETY: setresuid(2) takes numbers.
    assert_eq!(unsafe { libc::setresuid(user, user, user) }, 0);
}

/// In a fixture: a caller whose `detach` fails. Arguments: case, directory.
fn fails() {
    let dir = PathBuf::from(argument(2));
    let name = argument(1);
    if ["no_fork", "no_lock", "no_path", "no_token"].contains(&name.as_str()) {
        close_streams(1);
    }
    let reaper = name == "directory_nowhere";
    set_child_subreaper(reaper).expect("prctl");
    let way = if argument(3) == "forks" { Way::FORKS } else { Way::HANDOFF };
    let plan = Plan { way, ..failing(&name, &dir) };
    let act = || {
        tell("before");
        wait_byte();
        tell(described(&detach(&plan)));
        wait_byte();
    };
    if name == "thread" {
        hostile::with_second_thread(act);
    } else {
        act();
    }
    let no_child = rustix::process::wait(WaitOptions::NOHANG).err() == Some(Errno::CHILD);
    // /proc does not show these two.
    let as_before = rustix::process::child_subreaper().expect("prctl").is_some() == reaper;
    tell(format!("no child {no_child}, reaper as before {as_before}, environment {:?}", std::env::var("SECRET").ok()));
}

/// What a caller is, that must be the same afterwards.
#[derive(Debug, PartialEq)]
struct Caller {
    fds: BTreeMap<i32, (String, i32)>,
    signals: [u64; 3],
    umask: String,
    places: [PathBuf; 2],
    session: [i32; 3],
    children: Vec<i32>,
    ids: [Vec<u32>; 3],
    no_new_privs: String,
}

fn caller(pid: i32) -> Caller {
    Caller {
        fds: descriptors(pid, Path::new("/none")),
        signals: ["SigBlk", "SigIgn", "SigCgt"].map(|set| proc::signals(pid, set)),
        umask: proc::umask(pid),
        places: [proc::root(pid), proc::cwd(pid)],
        session: [proc::session(pid), proc::group(pid), proc::parent(pid)],
        children: proc::children(pid),
        ids: [proc::uids(pid), proc::gids(pid), proc::groups(pid)],
        no_new_privs: proc::status(pid)["NoNewPrivs"].clone(),
    }
}

/// The step fails so, in the caller, which is what it was; no process and no pid file is left.
#[track_caller]
fn assert_fails(name: &str, step: Step, errno: Errno) {
    assert_fails_by("forks", name, step, errno);
    // There it is no subreaper that waits; and a caller that cannot wait may find that the daemon has the memory for good.
    let moves = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    if moves && !["subreaper", "poll"].contains(&name) {
        let forks = [Step::Fork, Step::Setsid, Step::ForkAgain].contains(&step) && name != "no_fork";
        assert_fails_by("handoff", name, if forks { Step::Handoff } else { step }, errno);
    }
}

#[track_caller]
fn assert_fails_by(way: &str, name: &str, step: Step, errno: Errno) {
    let dir = prepared_dir();
    let mut fixture = fixture("fails").arg(name).arg(dir.path()).arg(way).env("SECRET", "s");
    if cfg!(not(feature = "std")) {
        // Without it the C library's own are refused.
        fixture = fixture.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
    }
    fixture.command.stderr(std::process::Stdio::null());
    let mut running = fixture.start();
    assert_eq!(running.hear(), "before", "{name}");
    let mut before = caller(running.pid());
    running.step();
    let mut told = running.hear();
    if name == "poll" && told == BECAME {
        // It got that far before it was killed.
        told = running.hear();
    }
    assert_eq!(told, format!("{step:?} {}", errno.raw_os_error()), "{way} {name}");
    let after = caller(running.pid());
    match name {
        // Nobody can close a descriptor there.
        "close" => before.fds.clone_from(&after.fds),
        // Nobody can set the mask there.
        "mask" => before.signals[0] = after.signals[0],
        _ => {}
    }
    assert_eq!(after, before, "{way} {name}");
    running.step();
    let nothing_changed = "no child true, reaper as before true, environment ";
    let told = running.hear();
    let environment = told.strip_prefix(nothing_changed).unwrap_or_else(|| panic!("{way} {name}: {told}"));
    // The memory that comes back is that in which the daemon has filtered.
    assert!(environment == "Some(\"s\")" || (way == "handoff" && step > Step::FilterEnv), "{way} {name}: {environment}");
    // The end of the channel: nobody is left who could tell.
    assert_eq!(running.hear_all(), "", "{name}");
    assert!(!dir.path().join("pid").exists(), "{name}");
}

fn a_step_that_fails() {
    for (name, step, errno) in FAILURES {
        assert_fails(name, *step, *errno);
    }
}

fn a_second_fork_that_fails() {
    assert_fails("second_fork", Step::ForkAgain, Errno::AGAIN);
}

fn a_plan_that_lacks_something() {
    let plans = [
        ("no_fork", Step::ForkAgain),
        ("no_lock", Step::ClaimPidFile),
        ("no_path", Step::LockPidFile),
        ("no_token", Step::CloseFds),
    ];
    for (name, step) in plans {
        assert_fails(name, step, Errno::INVAL);
    }
}

fn another_instance() {
    let dir = prepared_dir();
    let mut first = start("call", "usual", "plain", dir.path());
    let pid = first.hear_pid();
    assert_eq!(first.status().code(), Some(0));
    let mut second = fixture("fails").arg("usual").arg(dir.path()).arg("forks").start();
    assert_eq!(second.hear(), "before");
    second.step();
    assert_eq!(second.hear(), format!("LockPidFile {}", Errno::WOULDBLOCK.raw_os_error()));
    second.step();
    assert!(second.hear().starts_with("no child true"));
    assert_eq!(second.hear_all(), "");
    assert_holds(pid, dir.path());
}

/// In a fixture: nothing can be written, not the daemon's word either.
fn mute() {
    let plan = plan("usual", &PathBuf::from(argument(1)));
    hostile::deny(&[(libc::SYS_write, Errno::PERM)]);
    let _ = daemonize(&plan);
    wait_release();
}

fn a_daemon_that_cannot_speak() {
    let dir = prepared_dir();
    let mut running = fixture("mute").arg(dir.path()).start();
    assert_eq!(running.hear_all(), "");
    assert_eq!(running.status().code(), Some(1));
    assert!(!dir.path().join("pid").exists());
}

// The end of a daemon that is not ready

/// In a fixture: a daemon that ends in some way without a word. Arguments: how, way, state, directory.
fn dies() {
    let dir = PathBuf::from(argument(4));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
    enter(&argument(3), &dir);
    let way = argument(2);
    let steps = plan("usual", &dir).steps.difference(Steps::READY);
    let timeout = (way == "late").then_some(Duration::from_millis(50));
    let plan = Plan { steps, timeout, ..plan("usual", &dir) };
    let detached = if argument(1) == "daemonize" { daemonize(&plan).map(Detached::Daemon) } else { detach(&plan) };
    if let Ok(Detached::Daemon(daemon)) = detached {
        die(&way, daemon.notifier);
    }
    tell(described(&detached));
    wait_release();
}

fn die(way: &str, notifier: Option<Notifier>) -> ! {
    match way.split_once(' ') {
        Some(("exit", status)) => exit(status.parse().expect("a status")),
        Some((_, signal)) => {
            let signal: c_int = signal.parse().expect("a number");
            // SAFETY: kill(2) takes numbers; the signal is for this process itself.
            unsafe { libc::kill(getpid().as_raw_nonzero().get(), signal) };
        }
        None if way == "cancelled" => {
            drop(notifier);
            exit(0);
        }
        // The pipe does not end with the daemon.
        None if way == "leaves_a_worker" => {
            if fork() == Ok(Fork::Child) {
                wait_release();
            }
            exit(5);
        }
        None => {
            tell(std::process::id());
            wait_release();
            drop(notifier);
        }
    }
    exit(0);
}

fn deadly(how: &str, way: &str, state: &str, dir: &Path) -> Running {
    fixture("dies").arg(how).arg(way).arg(state).arg(dir).start()
}

const WAYS: [(&str, i32); 8] = [
    ("exit 3", 3),
    ("exit 0", 1),
    ("exit 255", 255),
    ("signal 15", 128 + 15),
    ("signal 9", 128 + 9),
    ("signal 11", 128 + 11),
    ("signal 64", 128 + 64),
    ("leaves_a_worker", 5),
];

/// The caller of `detach` hears this status, has no child left, and the pid file is gone.
#[track_caller]
fn assert_hears(way: &str, state: &str, right: impl Fn(i32) -> bool) {
    let dir = prepared_dir();
    let running = deadly("detach", way, state, dir.path());
    let status = running.hear_pid();
    assert!(right(status), "{way} {state}: {status}");
    // A worker of the daemon's is nobody's to end; its subreaper, the caller, has got it.
    assert!(way == "leaves_a_worker" || proc::children(running.pid()).is_empty(), "{way} {state}");
    assert!(!dir.path().join("pid").exists(), "{way} {state}");
}

fn the_status_of_a_daemon_that_died() {
    for (way, status) in WAYS {
        let dir = prepared_dir();
        let mut running = deadly("daemonize", way, "plain", dir.path());
        assert_eq!(running.status().code(), Some(status), "{way}");
        assert!(!dir.path().join("pid").exists(), "{way}");
        assert_hears(way, "plain", |heard| heard == status);
    }
    assert_hears("exit 3", "no_pidfd", |heard| heard == 3);
    assert_hears("signal 9", "no_pidfd", |heard| heard == 137);
}

fn a_status_that_somebody_else_got() {
    for (way, status) in WAYS {
        assert_hears(way, "no_children", |heard| heard == 1);
        assert_hears(way, "reaping", |heard| heard == 1 || heard == status);
    }
}

fn without_proc_a_death_is_no_success() {
    for (way, status) in WAYS {
        assert_hears(way, "no_proc", |heard| heard == status);
    }
}

fn a_notifier_that_is_dropped() {
    let dir = prepared_dir();
    let mut running = deadly("daemonize", "cancelled", "plain", dir.path());
    assert_eq!(running.hear(), format!("Ready {}", Errno::CANCELED.raw_os_error()));
    assert!(proc::children(running.pid()).is_empty());
    assert!(!dir.path().join("pid").exists());
    running.release();
    assert_eq!(running.status().code(), Some(0));
}

fn a_daemon_that_is_late() {
    for state in ["plain", "no_children", "reaping", "no_pidfd"] {
        let dir = prepared_dir();
        let mut running = deadly("daemonize", "late", state, dir.path());
        // The daemon may be killed before it tells its pid.
        let mut told = running.hear();
        if let Ok(pid) = told.parse::<i32>() {
            wait_end(pid);
            told = running.hear();
        }
        assert_eq!(told, format!("Ready {}", Errno::TIMEDOUT.raw_os_error()), "{state}");
        assert!(proc::children(running.pid()).is_empty(), "{state}");
        assert!(!dir.path().join("pid").exists(), "{state}");
        running.release();
        assert_eq!(running.hear_all(), "", "{state}");
    }
}

/// In a fixture: daemons that are given up in every phase of their start. Arguments: plan, state, directory.
fn given_up() {
    let dir = PathBuf::from(argument(3));
    enter(&argument(2), &dir);
    let plan = plan(&argument(1), &dir);
    let plan = Plan { steps: plan.steps.difference(Steps::READY), ..plan };
    for round in 0..100 {
        let plan = Plan { timeout: Some(Duration::from_micros(round * 10)), ..plan };
        let detached = detach(&plan);
        if let Ok(Detached::Daemon(daemon)) = detached {
            wait_release();
            drop(daemon);
            exit(0);
        }
        let told = described(&detached);
        if told != format!("Ready {}", Errno::TIMEDOUT.raw_os_error()) || PidFile::lock(path(&dir, "pid")).is_err() {
            tell(told);
        }
    }
    tell("over");
}

fn a_daemon_that_is_given_up() {
    for state in ["plain", "no_children", "reaping", "no_pidfd"] {
        let dir = prepared_dir();
        let mut running = fixture("given_up").arg("usual").arg(state).arg(dir.path()).start();
        assert_eq!(running.hear(), "over", "{state}");
        // The end of the channel: no daemon is left.
        assert_eq!(running.hear_all(), "", "{state}");
        assert_eq!(running.status().code(), Some(0), "{state}");
    }
}

// The caller that waits

/// In a fixture: a daemon that says that it is ready when the test says so. Arguments: how, directory.
fn announces() {
    reset_signals().expect("reset");
    let dir = PathBuf::from(argument(2));
    let steps = plan("usual", &dir).steps.difference(Steps::READY);
    let plan = Plan { steps, ..plan("usual", &dir) };
    let detached = if argument(1) == "daemonize" { daemonize(&plan).map(Detached::Daemon) } else { detach(&plan) };
    match detached.expect("every step") {
        Detached::Daemon(Daemon { notifier, pid_file }) => {
            tell(std::process::id());
            wait_byte();
            notifier.expect("a notifier").ready().expect("said");
            tell("ready");
            wait_release();
            pid_file.expect("a pid file").remove().expect("removed");
        }
        Detached::Caller(Outcome::Ready(pid)) => {
            tell(format!("caller of {}", pid.as_raw_nonzero()));
            wait_release();
        }
        Detached::Caller(other) => panic!("{other:?}"),
    }
}

fn waiting(fixture: Fixture, how: &str, dir: &Path) -> (Running, i32) {
    let running = fixture.arg(how).arg(dir).start();
    let pid = running.hear_pid();
    (running, pid)
}

/// Lets the daemon, whose caller has ended, say that it is ready.
fn assert_goes_on(running: &mut Running, pid: i32, dir: &Path) {
    running.step();
    assert_eq!(running.hear(), "ready");
    assert_holds(pid, dir);
    running.release();
    wait_end(pid);
    assert_eq!(running.hear_all(), "");
    assert!(!dir.join("pid").exists());
}

fn the_caller_waits() {
    let dir = temp_dir();
    let (mut running, pid) = waiting(fixture("announces"), "daemonize", dir.path());
    assert!(!ends(running.pid(), Duration::from_millis(200)), "it waits");
    running.step();
    assert_eq!(running.hear(), "ready");
    assert_eq!(running.status().code(), Some(0));
    assert_holds(pid, dir.path());
}

fn the_pid_is_the_daemons() {
    let dir = temp_dir();
    let (mut running, pid) = waiting(fixture("announces"), "detach", dir.path());
    let daemons = [proc::session(pid), proc::group(pid)];
    running.step();
    let caller_of =
        [running.hear(), running.hear()].into_iter().find_map(|line| Some(line.strip_prefix("caller of ")?.to_owned()));
    assert_eq!(caller_of, Some(pid.to_string()));
    // No zombie of the process between.
    assert_eq!(proc::children(running.pid()), [pid]);
    // The fixture's is another process, of another session.
    assert!(pid != running.pid() && !daemons.contains(&pid) && !daemons.contains(&running.pid()));
}

fn the_waiting_caller_is_killed() {
    let dir = temp_dir();
    let (mut running, pid) = waiting(fixture("announces"), "daemonize", dir.path());
    running.child.kill().expect("killed");
    assert_eq!(running.status().signal(), Some(libc::SIGKILL));
    assert_goes_on(&mut running, pid, dir.path());
}

fn ctrl_c_ends_the_caller() {
    let dir = temp_dir();
    let (master, terminal) = terminal();
    let mut fixture = fixture("announces");
    fixture.command.stdin(terminal);
    // SAFETY: it is used after the spawn, where standard input is open.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let lead = move || setsid().and_then(|_| tiocsctty(stdin));
    // SAFETY: the two are system calls, and nothing else.
    unsafe {
        fixture.command.pre_exec(move || lead().map_err(|errno| std::io::Error::from_raw_os_error(errno.raw_os_error())));
    }
    let (mut running, pid) = waiting(fixture, "daemonize", dir.path());
    assert_ne!(proc::terminal(running.pid()), 0);
    rustix::io::write(&master, b"\x03").expect("typed");
    assert_eq!(running.status().signal(), Some(libc::SIGINT));
    // The terminal has hung up as well.
    drop(master);
    assert_goes_on(&mut running, pid, dir.path());
}

/// In a fixture: the daemon is the first process of a pid namespace, and there its pid is 1.
fn first_of_a_namespace() {
    // SAFETY: nothing is unshared of this process itself; its next child is in the new namespace.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.expect("a pid namespace");
    match detach(&plan("leading", &PathBuf::from(argument(1)))).expect("every step") {
        Detached::Daemon(_daemon) => wait_release(),
        Detached::Caller(Outcome::Ready(pid)) => {
            tell(pid.as_raw_nonzero());
            wait_release();
        }
        Detached::Caller(other) => panic!("{other:?}"),
    }
}

fn the_pid_of_another_namespace() {
    let dir = temp_dir();
    let running = fixture("first_of_a_namespace").arg(dir.path()).start();
    let pid = running.hear_pid();
    assert_eq!(proc::children(running.pid()), [pid]);
    assert_eq!(proc::status(pid)["NSpid"].split_whitespace().last(), Some("1"));
}
