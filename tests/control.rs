//! Signals to a holder, and its end, seen by what the processes become.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    Fork, Holder, PidFile, SignalSet, Stop, Stopped, block_signals, exit, fork, holder, ignore_signal, open_pid_file,
    reset_signals, signal_holder, stop, wait_signal,
};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;
use support::hostile::{self, Halt};
use support::{
    Running, argument, c_path, ends, fixture, path_argument, proc, root_test, tell, temp_dir, test, until, wait_byte, wait_end,
    wait_release,
};

fn main() {
    support::main(
        &[
            ("daemon", daemon),
            ("leader_ends", leader_ends),
            ("shares_descriptors", shares_descriptors),
            ("stopper", stopper),
            ("halted_stopper", halted_stopper),
            ("reuse", reuse),
        ],
        vec![
            // The ends of a daemon
            test("a_daemon_that_ends_on_term_has_ended", ends_on_term),
            test("the_signal_is_the_one_asked_for", the_signal_asked_for),
            test("a_daemon_that_ignores_term_is_still_running", ignores_term),
            test("a_daemon_that_ignores_term_is_killed_on_request", is_killed_on_request),
            test("a_stopped_daemon_goes_on_to_end", a_stopped_daemon),
            test("a_daemon_that_needs_long_is_waited_for", needs_long),
            test("a_wait_for_the_end_sleeps_until_it_comes", one_wait),
            test("a_zombie_has_ended", a_zombie),
            test("a_daemon_whose_first_thread_has_ended_is_stopped", first_thread_has_ended),
            test("a_daemon_that_ends_by_itself_meanwhile_has_ended", ends_meanwhile),
            test("a_daemon_that_has_taken_the_place_meanwhile_is_the_holder", another_daemon_meanwhile),
            test("a_wait_lasts_through_signals", a_wait_lasts_through_signals),
            test("a_wait_ends_without_a_clock", a_wait_ends_without_a_clock),
            // One signal
            test("one_signal_is_sent_and_no_other", one_signal),
            // Nobody to signal
            test("without_a_holder_nobody_is_signalled", without_a_holder),
            test("a_number_in_the_file_is_never_signalled", a_number_in_the_file),
            test("a_start_that_has_not_claimed_is_not_signalled", a_start_is_not_signalled),
            test("what_a_dead_daemon_left_behind_is_not_signalled", left_behind),
            test("a_daemon_that_ended_its_claim_is_not_signalled", ended_its_claim),
            root_test("a_holder_out_of_sight_is_not_signalled", out_of_sight),
            test("a_number_that_outlives_its_process_is_nobodys", a_number_that_outlives),
            root_test("a_stranger_with_the_old_number_is_not_signalled", a_stranger),
            root_test("a_stranger_that_gets_the_number_meanwhile_is_not_signalled", a_stranger_meanwhile),
            root_test("a_stranger_that_gets_the_number_at_last_is_not_signalled", a_stranger_at_last),
            root_test("a_new_daemon_with_the_old_number_is_the_holder", a_new_daemon_with_the_old_number),
            // Errors
            root_test("a_holder_of_another_user_is_an_error", another_user),
            test("an_old_kernel_is_an_error_and_nobody_is_signalled", an_old_kernel),
            test("every_error_of_the_kernel_is_passed_on", errors_of_the_kernel),
        ],
    );
}

// Fixtures

/// A locked and claimed pid file.
fn claimed() -> PidFile<'static> {
    let file = PidFile::lock(path_argument()).expect("locked");
    file.claim().expect("claimed");
    file
}

/// A daemon that meets signals as the second argument says.
fn daemon() {
    let manner = argument(2);
    // Whoever runs the tests may ignore some.
    reset_signals().expect("reset");
    match manner.as_str() {
        "deaf" | "listens" => drop(block_signals(SignalSet::ALL).expect("blocked")),
        "ignores" => ignore_signal(Signal::TERM).expect("ignored"),
        _ => {}
    }
    let file = PidFile::lock(path_argument()).expect("locked");
    if manner != "starts" {
        file.claim().expect("claimed");
    }
    if manner == "reopens" {
        drop(openat(CWD, path_argument(), OFlags::RDONLY, Mode::empty()).expect("the file"));
    }
    if manner == "has a worker" {
        worker();
    }
    tell("ready");
    if manner == "listens" {
        tell_signals();
    }
    wait_release();
}

/// A child that holds signals pending, so that each can be seen.
fn worker() {
    match fork().expect("fork") {
        Fork::Parent(worker) => tell(worker.as_raw_nonzero()),
        Fork::Child => {
            block_signals(SignalSet::ALL).expect("blocked");
            wait_release();
            exit(0);
        }
    }
}

/// Tells the signals that come, up to `SIGTERM`, and ends when it is let go.
fn tell_signals() {
    loop {
        let signal = wait_signal(SignalSet::ALL, None).expect("a signal").expect("no timeout");
        tell(signal);
        if signal == Signal::TERM.as_raw() {
            wait_byte();
            exit(0);
        }
    }
}

/// A daemon whose first thread ends, which leaves a zombie with a living thread.
fn leader_ends() {
    let _file = claimed();
    std::thread::spawn(wait_release);
    tell("ready");
    // SAFETY: ends this thread only; the other one has all that it needs.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// A daemon that ends, while another process has its very descriptors.
fn shares_descriptors() {
    let _kept = claimed();
    // SAFETY: like fork(2), but for the table of descriptors; this is the only thread.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        wait_release();
        exit(0);
    }
    tell(child);
    // At once: the descriptors are the child's too.
    exit(0);
}

/// Prepares as the second argument says, and does what the third says.
fn stopper() {
    for word in argument(2).split_whitespace() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("nobody", _) => hostile::without_root(),
            ("namespace", _) => in_a_namespace(wait_release),
            ("alarms", _) => rain_alarms(),
            (call, errno) => hostile::deny(&[(number_of(call), Errno::from_raw_os_error(errno.parse().expect("a number")))]),
        }
    }
    let open = || fs::read_dir("/proc/self/fd").expect("/proc").count();
    let before = open();
    let told = act(&argument(3));
    assert_eq!(open(), before, "a descriptor is left");
    tell(told);
}

fn number_of(call: &str) -> libc::c_long {
    match call {
        "pidfd_open" => libc::SYS_pidfd_open,
        "pidfd_send_signal" => libc::SYS_pidfd_send_signal,
        "kill" => libc::SYS_kill,
        "tkill" => libc::SYS_tkill,
        "tgkill" => libc::SYS_tgkill,
        "rt_sigqueueinfo" => libc::SYS_rt_sigqueueinfo,
        "ppoll" => libc::SYS_ppoll,
        "fcntl" => libc::SYS_fcntl,
        "clock_gettime" => libc::SYS_clock_gettime,
        _ => panic!("no call: {call}"),
    }
}

/// Stops or signals whoever holds the pid file: the result, as a line.
fn act(what: &str) -> String {
    let file = open_pid_file(path_argument()).expect("the pid file");
    let line = match what {
        "stop" => stop(&file, &Stop::default()).map(|stopped| format!("{stopped:?}")),
        "stop soon" => stop(&file, &SOON).map(|stopped| format!("{stopped:?}")),
        _ => signal_holder(&file, Signal::TERM).map(|holder| format!("{holder:?}")),
    };
    line.unwrap_or_else(|errno| errno.raw_os_error().to_string())
}

const SOON: Stop = Stop { signal: Signal::TERM, timeout: Some(Duration::from_millis(100)), kill: false };

/// Goes on in a child, the first process of a pid namespace; the parent tells its number, and then ends.
fn in_a_namespace(end: impl FnOnce()) {
    // SAFETY: only children are affected.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.expect("a pid namespace");
    let (told, telling) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    if let Fork::Parent(child) = fork().expect("fork") {
        tell(child.as_raw_nonzero());
        drop(telling);
        end();
        exit(0);
    }
    drop(telling);
    assert_eq!(read(&told, &mut [0_u8; 1][..]), Ok(0));
}

/// A handler that does nothing, each millisecond.
fn rain_alarms() {
    extern "C" fn nothing(_: libc::c_int) {}
    // It says what is left when a wait is interrupted.
    support::need_kernel("ppoll(2)'s timeout");
    let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler does nothing, and nobody relies on the former.
    unsafe { libc::signal(libc::SIGALRM, handler as *const () as libc::sighandler_t) };
    // SAFETY: the kernel reads one structure, and writes none.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) }, 0);
}

/// Halts a stopper at the system call that the second argument names until the test lets it go.
fn halted_stopper() {
    let call = number_of(&argument(2));
    let mut halt = Halt::at(&[call]);
    halt.start(|| tell(act(&argument(3))));
    let mut first = true;
    while let Some(halted) = halt.next() {
        if first {
            tell("halted");
            wait_byte();
        }
        // The fourth argument is an errno, for the first time.
        match std::env::args().nth(4).filter(|_| first).and_then(|errno| errno.parse().ok()) {
            Some(errno) => halt.refuse(halted, Errno::from_raw_os_error(errno)),
            None => halt.go(halted),
        }
        first = false;
    }
}

// What tests use

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = temp_dir();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { directory }
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.path().join("pid")
    }

    /// A fixture that is about to tell.
    fn starts(&self, name: &str, arguments: &[&str]) -> Running {
        let support::Fixture { mut command } = fixture(name).arg(self.pid_file());
        command.args(arguments);
        support::Fixture { command }.start()
    }

    #[track_caller]
    fn daemon(&self, manner: &str) -> Running {
        let daemon = self.starts("daemon", &[manner]);
        assert_eq!(daemon.hear(), "ready");
        daemon
    }

    /// What a stopper tells.
    #[track_caller]
    fn stopper(&self, prepared: &str, what: &str) -> String {
        self.starts("stopper", &[prepared, what]).hear()
    }

    #[track_caller]
    fn stop(&self, how: &Stop) -> Stopped {
        stop(&open_pid_file(&c_path(self.pid_file())).expect("the pid file"), how).expect("stop")
    }

    #[track_caller]
    fn holder(&self) -> Holder {
        holder(&open_pid_file(&c_path(self.pid_file())).expect("the pid file")).expect("an answer")
    }

    /// Both ways to signal find this, and not a process.
    #[track_caller]
    fn finds(&self, nobody: Holder) {
        assert_eq!(self.stop(&Stop { kill: true, ..Stop::default() }), Stopped::NotRunning(nobody));
        let file = open_pid_file(&c_path(self.pid_file())).expect("the pid file");
        assert_eq!(signal_holder(&file, Signal::TERM), Ok(nobody));
    }
}

fn running(pid: i32) -> Holder {
    Holder::Running(Pid::from_raw(pid).expect("a pid"))
}

/// The process lives, and no signal is pending; it must be one that blocks them all.
#[track_caller]
fn untouched(pid: i32) {
    assert_ne!(proc::state(pid), "Z");
    let sent = 1 << (Signal::TERM.as_raw() - 1) | 1 << (Signal::CONT.as_raw() - 1);
    assert_eq!(proc::signals(pid, "SigBlk") & sent, sent);
    assert_eq!((proc::signals(pid, "SigPnd"), proc::signals(pid, "ShdPnd")), (0, 0));
}

#[track_caller]
fn ended_by(daemon: &mut Running, signal: Signal) {
    assert_eq!(daemon.status().signal(), Some(signal.as_raw()));
}

// The ends of a daemon

fn ends_on_term() {
    let place = Place::new();
    let mut daemon = place.daemon("");
    assert_eq!(place.stop(&Stop::default()), Stopped::Ended);
    ended_by(&mut daemon, Signal::TERM);
    assert_eq!(place.holder(), Holder::Nobody);
}

fn the_signal_asked_for() {
    let place = Place::new();
    for signal in [Signal::HUP, Signal::USR2, Signal::KILL] {
        let mut daemon = place.daemon("ignores");
        assert_eq!(place.stop(&Stop { signal, ..Stop::default() }), Stopped::Ended);
        ended_by(&mut daemon, signal);
    }
}

fn ignores_term() {
    let place = Place::new();
    let daemon = place.daemon("ignores");
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        assert_eq!(place.stop(&Stop { timeout: Some(timeout), ..Stop::default() }), Stopped::StillRunning);
        assert_eq!(place.holder(), running(daemon.pid()));
    }
}

const KILL_SOON: Stop = Stop { signal: Signal::TERM, timeout: Some(Duration::from_secs(1)), kill: true };

fn is_killed_on_request() {
    let place = Place::new();
    let mut daemon = place.daemon("ignores");
    let mut killed = place.stop(&KILL_SOON);
    // On a machine that stalls, one second may not do for the end.
    while killed == Stopped::StillRunning {
        killed = place.stop(&KILL_SOON);
    }
    assert_eq!(killed, Stopped::Killed);
    ended_by(&mut daemon, Signal::KILL);
}

fn a_stopped_daemon() {
    let place = Place::new();
    for (manner, stopped, signal) in [("", Stopped::Ended, Signal::TERM), ("ignores", Stopped::Killed, Signal::KILL)] {
        let mut daemon = place.daemon(manner);
        kill_process(Pid::from_child(&daemon.child), Signal::STOP).expect("stopped");
        until("the daemon is stopped", || proc::state(daemon.pid()) == "T");
        assert_eq!(place.holder(), running(daemon.pid()));
        assert_eq!(place.stop(&KILL_SOON), stopped);
        ended_by(&mut daemon, signal);
    }
}

fn one_wait() {
    let place = Place::new();
    let mut daemon = place.daemon("listens");
    let stopper = fixture("stopper").arg(place.pid_file()).arg("").arg("stop").start();
    assert_eq!(daemon.hear(), Signal::TERM.as_raw().to_string());
    let woken = || proc::status(stopper.pid())["voluntary_ctxt_switches"].parse::<u32>().expect("a number");
    let before = woken();
    // Time for a hundred looks, if it looked.
    assert!(!ends(stopper.pid(), Duration::from_millis(200)));
    assert!(woken() - before < 5, "it does not sleep until the end");
    daemon.step();
    assert_eq!(stopper.hear(), "Ended");
}

fn needs_long() {
    for timeout in [None, Some(support::LIMIT)] {
        let place = Place::new();
        let mut daemon = place.daemon("listens");
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| place.stop(&Stop { timeout, ..Stop::default() }));
            assert_eq!(daemon.hear(), Signal::TERM.as_raw().to_string());
            assert!(!stopping.is_finished());
            daemon.step();
            assert_eq!(stopping.join().expect("stopped"), Stopped::Ended);
        });
        assert!(daemon.status().success());
    }
}

fn a_zombie() {
    let place = Place::new();
    let daemon = place.daemon("");
    // Its parent is this process, which does not reap it yet.
    assert_eq!(place.stop(&Stop::default()), Stopped::Ended);
    assert_eq!(proc::state(daemon.pid()), "Z");
    place.finds(Holder::Nobody);
    assert_eq!(proc::state(daemon.pid()), "Z");
}

fn first_thread_has_ended() {
    let place = Place::new();
    let mut daemon = place.starts("leader_ends", &[]);
    assert_eq!(daemon.hear(), "ready");
    until("the first thread has ended", || proc::state(daemon.pid()) == "Z");
    assert_eq!(place.holder(), running(daemon.pid()));
    assert_eq!(place.stop(&Stop::default()), Stopped::Ended);
    ended_by(&mut daemon, Signal::TERM);
}

/// A stopper that is halted at the call.
fn halted(place: &Place, call: &str, what: &str) -> Running {
    let stopper = place.starts("halted_stopper", &[call, what]);
    assert_eq!(stopper.hear(), "halted");
    stopper
}

fn ends_meanwhile() {
    let cases = [
        ("pidfd_open", "stop", "NotRunning(Nobody)"),
        ("pidfd_open", "signal", "Nobody"),
        ("pidfd_send_signal", "stop", "Ended"),
        ("pidfd_send_signal", "signal", "Nobody"),
    ];
    for (call, what, result) in cases {
        let place = Place::new();
        let mut daemon = place.daemon("");
        let mut stopper = halted(&place, call, what);
        daemon.release();
        assert!(daemon.status().success());
        stopper.step();
        assert_eq!(stopper.hear(), result, "{call} {what}");
    }
    // A number that is a session's still: Linux 6.1 does not say that there is no such process.
    for (what, result) in [("stop", "NotRunning(Nobody)"), ("signal", "Nobody")] {
        let place = Place::new();
        let mut daemon = place.daemon("");
        let mut stopper = place.starts("halted_stopper", &["pidfd_open", what, "22"]);
        assert_eq!(stopper.hear(), "halted");
        daemon.release();
        assert!(daemon.status().success());
        stopper.step();
        assert_eq!(stopper.hear(), result, "{what}");
    }
    // The same with a zombie.
    let place = Place::new();
    let mut daemon = place.daemon("");
    let mut stopper = halted(&place, "pidfd_open", "stop");
    daemon.release();
    wait_end(daemon.pid());
    stopper.step();
    assert_eq!(stopper.hear(), "NotRunning(Nobody)");
    assert!(daemon.status().success());
}

fn another_daemon_meanwhile() {
    let place = Place::new();
    let mut first = place.daemon("");
    let mut stopper = halted(&place, "pidfd_open", "stop");
    first.release();
    assert!(first.status().success());
    let mut second = place.daemon("");
    stopper.step();
    assert_eq!(stopper.hear(), "Ended");
    ended_by(&mut second, Signal::TERM);
}

fn a_wait_lasts_through_signals() {
    let place = Place::new();
    let daemon = place.daemon("ignores");
    assert_eq!(place.stopper("alarms", "stop soon"), "StillRunning");
    drop(daemon);
    let mut daemon = place.daemon("listens");
    let stopper = place.starts("stopper", &["alarms", "stop"]);
    assert_eq!(daemon.hear(), Signal::TERM.as_raw().to_string());
    daemon.step();
    assert_eq!(stopper.hear(), "Ended");
}

fn a_wait_ends_without_a_clock() {
    let place = Place::new();
    let _daemon = place.daemon("ignores");
    assert_eq!(place.stopper("clock_gettime=1", "stop soon"), "StillRunning");
}

// One signal

fn one_signal() {
    let place = Place::new();
    let mut daemon = place.daemon("listens");
    for signal in [Signal::HUP, Signal::USR1, Signal::TERM] {
        let file = open_pid_file(&c_path(place.pid_file())).expect("the pid file");
        assert_eq!(signal_holder(&file, signal), Ok(running(daemon.pid())));
        assert_eq!(daemon.hear(), signal.as_raw().to_string());
    }
    assert_eq!((proc::signals(daemon.pid(), "SigPnd"), proc::signals(daemon.pid(), "ShdPnd")), (0, 0));
    daemon.step();
    assert!(daemon.status().success());
}

// Nobody to signal

fn without_a_holder() {
    let place = Place::new();
    fs::write(place.pid_file(), "").expect("a file");
    place.finds(Holder::Nobody);
}

/// All ways to send a signal are refused with an errno that nobody expects.
const NO_SIGNALS: &str = "pidfd_open=18 pidfd_send_signal=18 kill=18 tkill=18 tgkill=18 rt_sigqueueinfo=18";

fn a_number_in_the_file() {
    let stranger_place = Place::new();
    let stranger = stranger_place.daemon("deaf");
    let its = format!("{}\n", stranger.pid());
    let place = Place::new();
    for content in ["0\n", "-1\n", "1\n", "2147483648\n", "18446744073709551617\n", "garbage", "\n", "\0", &its] {
        fs::write(place.pid_file(), content).expect("a stale file");
        assert_eq!(place.stopper(NO_SIGNALS, "stop"), "NotRunning(Nobody)", "{content:?}");
        assert_eq!(place.stopper(NO_SIGNALS, "signal"), "Nobody", "{content:?}");
    }
    // Also in the moment between lock and claim, whoever writes it there.
    let starting = place.daemon("starts");
    for content in ["1\n", &its] {
        fs::write(place.pid_file(), content).expect("a stale file");
        assert_eq!(place.stopper(NO_SIGNALS, "stop"), "NotRunning(Starting)", "{content:?}");
        assert_eq!(place.stopper(NO_SIGNALS, "signal"), "Starting", "{content:?}");
    }
    place.finds(Holder::Starting);
    untouched(stranger.pid());
    // And beside a claim, which alone counts.
    drop(starting);
    let mut daemon = place.daemon("");
    fs::write(place.pid_file(), &its).expect("another number");
    assert_eq!(place.stop(&Stop::default()), Stopped::Ended);
    ended_by(&mut daemon, Signal::TERM);
    untouched(stranger.pid());
}

fn a_start_is_not_signalled() {
    let place = Place::new();
    let mut daemon = place.daemon("starts");
    place.finds(Holder::Starting);
    daemon.release();
    assert!(daemon.status().success());
}

fn left_behind() {
    let place = Place::new();
    let daemon = place.starts("daemon", &["has a worker"]);
    let worker = daemon.hear_pid();
    assert_eq!(daemon.hear(), "ready");
    assert_eq!(place.stop(&Stop::default()), Stopped::Ended);
    place.finds(Holder::LeftBehind);
    untouched(worker);
}

fn ended_its_claim() {
    let place = Place::new();
    let mut daemon = place.daemon("reopens");
    place.finds(Holder::LeftBehind);
    daemon.release();
    assert!(daemon.status().success());
}

fn out_of_sight() {
    let place = Place::new();
    let daemon = place.daemon("deaf");
    for (what, result) in [("stop", "NotRunning(OutOfSight)"), ("signal", "OutOfSight")] {
        let stopper = place.starts("stopper", &["namespace", what]);
        stopper.hear_pid();
        assert_eq!(stopper.hear(), result);
    }
    untouched(daemon.pid());
}

fn a_number_that_outlives() {
    let place = Place::new();
    let mut daemon = place.starts("shares_descriptors", &[]);
    let child = daemon.hear_pid();
    assert!(daemon.status().success());
    // A signal is denied, should somebody have got the number by now. In a pid namespace the dead number is none.
    let told = place.stopper("pidfd_send_signal=18", "stop");
    assert!(["NotRunning(LeftBehind)", "NotRunning(OutOfSight)"].contains(&told.as_str()), "{told}");
    // The answer of older kernels where the number is still that of a session.
    assert_eq!(place.stopper("pidfd_open=22", "stop"), told);
    assert!(!ends(child, Duration::ZERO));
}

// Numbers that are used again, in a pid namespace

/// In a pid namespace of its own: a daemon holds the file, a stopper comes, and at some moment the daemon ends and
/// another process gets its number.
fn reuse() {
    let (at, what, heir) = (argument(2), argument(3), argument(4));
    in_a_namespace(wait_release);
    let mut halt = Halt::at(&[libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal]);
    let first = in_child(claimed);
    let replace = || {
        replace_process(first, || match heir.as_str() {
            "stranger" => {
                block_signals(SignalSet::ALL).expect("blocked");
                None
            }
            _ => Some(claimed()),
        });
    };
    if at == "before" {
        replace();
    }
    halt.start(|| tell(act(&what)));
    let mut replaced = at == "before";
    while let Some(halted) = halt.next() {
        if !replaced && halted.call == number_of(&at) {
            replace();
            replaced = true;
        }
        halt.go(halted);
    }
    tell(replaced);
    tell(first.as_raw_nonzero());
    wait_release();
}

/// Starts a child that prepares, and then waits; returns when it has prepared.
fn in_child<T>(prepare: impl FnOnce() -> T) -> Pid {
    let (prepared, preparing) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    if let Fork::Parent(child) = fork().expect("fork") {
        drop(preparing);
        assert_eq!(read(&prepared, &mut [0_u8; 1][..]), Ok(0));
        return child;
    }
    let _kept = prepare();
    drop(preparing);
    wait_release();
    exit(0);
}

/// Ends the child, and starts another with its number.
fn replace_process<T>(former: Pid, prepare: impl FnOnce() -> T) {
    kill_process(former, Signal::KILL).expect("killed");
    waitpid(Some(former), WaitOptions::empty()).expect("reaped");
    let before = former.as_raw_nonzero().get() - 1;
    fs::write("/proc/sys/kernel/ns_last_pid", before.to_string()).expect("the last number");
    assert_eq!(in_child(prepare), former);
}

/// Lets it happen: the process that got the number, as seen from outside, and what the stopper told.
fn happens(place: &Place, at: &str, what: &str, heir: &str) -> (Running, i32, String) {
    let running = place.starts("reuse", &[at, what, heir]);
    let first = running.hear_pid();
    let told = running.hear();
    assert_eq!(running.hear(), "true");
    let number = running.hear();
    let inside = |pid: &i32| proc::status(*pid)["NSpid"].split_whitespace().last() == Some(&number);
    let heir = proc::children(first).into_iter().find(inside).expect("a process with the number");
    (running, heir, told)
}

#[track_caller]
fn no_stranger_is_signalled(at: &str, results: [&str; 2]) {
    for (what, result) in ["stop", "signal"].into_iter().zip(results) {
        let place = Place::new();
        let (_running, stranger, told) = happens(&place, at, what, "stranger");
        assert_eq!(told, result);
        untouched(stranger);
    }
}

fn a_stranger() {
    no_stranger_is_signalled("before", ["NotRunning(Nobody)", "Nobody"]);
}

fn a_stranger_meanwhile() {
    no_stranger_is_signalled("pidfd_open", ["NotRunning(Nobody)", "Nobody"]);
}

fn a_stranger_at_last() {
    no_stranger_is_signalled("pidfd_send_signal", ["Ended", "Nobody"]);
}

fn a_new_daemon_with_the_old_number() {
    let place = Place::new();
    let (_running, heir, told) = happens(&place, "pidfd_open", "stop", "daemon");
    assert_eq!(told, "Ended");
    assert_eq!(proc::state(heir), "Z");
    assert_eq!(place.holder(), Holder::Nobody);
}

// Errors

fn another_user() {
    let place = Place::new();
    let daemon = place.daemon("deaf");
    for what in ["stop", "signal"] {
        assert_eq!(place.stopper("nobody", what), "1");
    }
    untouched(daemon.pid());
    assert_eq!(place.holder(), running(daemon.pid()));
}

fn an_old_kernel() {
    let place = Place::new();
    let daemon = place.daemon("deaf");
    for prepared in ["pidfd_open=38", "pidfd_send_signal=38"] {
        for what in ["stop", "signal"] {
            assert_eq!(place.stopper(prepared, what), "38", "{prepared} {what}");
        }
    }
    untouched(daemon.pid());
}

fn errors_of_the_kernel() {
    let place = Place::new();
    let daemon = place.daemon("deaf");
    for errno in [12, 19, 23, 24] {
        for what in ["stop", "signal"] {
            assert_eq!(place.stopper(&format!("pidfd_open={errno}"), what), errno.to_string());
        }
    }
    assert_eq!(place.stopper("fcntl=1", "stop"), "1");
    untouched(daemon.pid());
    // The signal is sent; only the wait fails.
    assert_eq!(place.stopper("ppoll=12", "stop"), "12");
}
