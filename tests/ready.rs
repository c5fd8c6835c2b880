//! Readiness: what the waiter says, against what became of the process, and that nothing is left.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    Fork, Notifier, Outcome, Step, Stream, ThinCStr, Waiter, execve, exit, fork, ready_pipe, reap, reap_by_kernel, reset_signals,
    set_child_subreaper, setsid, stdio_null, wait_newline,
};
use rustix::fd::AsRawFd;
use rustix::io::{Errno, write};
use rustix::process::{Signal, WaitOptions, getpid, kill_process, wait};
use std::cell::Cell;
use std::time::Duration;
use support::{fixture, hostile, proc, root_test, tell, test, wait_end, wait_release, word};

fn main() {
    support::main(
        &[
            ("case", case),
            ("every_step", every_step),
            ("words", words),
            ("times_out", times_out),
            ("lives_on", lives_on),
            ("stays_between", stays_between),
            ("looked_at_late", looked_at_late),
            ("stranger", stranger),
            ("waits", wait_release),
            ("not_adopted", not_adopted),
            ("waiter_killed", waiter_killed),
            ("kernel_reaps", kernel_reaps),
            ("handler_interrupts", handler_interrupts),
            ("closed_streams", closed_streams),
            ("no_pidfd", no_pidfd),
            ("no_proc", no_proc),
            ("no_proc_no_pidfd", no_proc_no_pidfd),
            ("word_alone", word_alone),
            ("newline", newline),
        ],
        vec![
            test("the_word_is_the_daemons", the_word_is_the_daemons),
            test("every_step_and_errno_goes_over", every_step_and_errno_goes_over),
            test("what_is_no_word_is_an_error_and_ends_the_daemon", what_is_no_word_is_an_error),
            test("a_daemon_that_is_late_is_killed", a_daemon_that_is_late_is_killed),
            test("a_daemon_that_failed_and_lives_on_is_killed_in_time", a_daemon_that_failed_and_lives_on),
            test("a_process_between_that_stays_is_killed_in_time", a_process_between_that_stays),
            test("a_daemon_that_ended_before_anybody_looked_is_told", a_daemon_that_ended_before_anybody_looked),
            test("a_stranger_is_not_killed", a_stranger_is_not_killed),
            test("a_daemon_that_is_not_adopted_is_told_by_the_pipe", a_daemon_that_is_not_adopted),
            test("a_daemon_outlives_its_waiter", a_daemon_outlives_its_waiter),
            test("a_caller_that_ignores_its_children_learns_of_the_end", a_caller_that_ignores_its_children),
            test("a_handler_does_not_end_the_wait", a_handler_does_not_end_the_wait),
            test("the_pipe_stands_above_the_streams", the_pipe_stands_above_the_streams),
            test("without_pidfds_the_pipe_tells", without_pidfds_the_pipe_tells),
            root_test("without_proc_an_end_is_an_end_and_a_program_a_program", without_proc),
            test("a_word_is_read_and_nobody_reaped", a_word_is_read_and_nobody_reaped),
            test("a_newline_is_waited_for", a_newline_is_waited_for),
        ],
    );
}

/// Forks once or twice, lets the daemon do `act`, and returns what the waiter says.
fn wait_for(forks: usize, timeout: Option<Duration>, act: impl FnOnce(Notifier)) -> Result<Outcome, Errno> {
    support::need_subreaper();
    set_child_subreaper(true).expect("a subreaper");
    wait_without_adoption(forks, timeout, act)
}

fn wait_without_adoption(forks: usize, timeout: Option<Duration>, act: impl FnOnce(Notifier)) -> Result<Outcome, Errno> {
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    match fork().expect("fork") {
        Fork::Parent(child) => {
            drop(notifier);
            waiter.wait(child, timeout)
        }
        Fork::Child => {
            in_daemon(waiter, notifier, forks, act);
            exit(0)
        }
    }
}

fn in_daemon(waiter: Waiter, notifier: Notifier, forks: usize, act: impl FnOnce(Notifier)) {
    drop(waiter);
    setsid().expect("a session");
    if forks == 2 && matches!(fork().expect("fork"), Fork::Parent(_)) {
        exit(0);
    }
    act(notifier);
}

/// The outcome in a form that can be compared: statuses, and not pids.
fn say(outcome: Result<Outcome, Errno>) -> String {
    match outcome {
        Ok(Outcome::Ready(_)) => "ready".into(),
        Ok(Outcome::Failed(error)) => format!("{:?} {}", error.step, error.errno.raw_os_error()),
        Ok(Outcome::Died(Some(status))) => format!("died {:?} {:?}", status.exit_status(), status.terminating_signal()),
        Ok(Outcome::Died(None)) => "died".into(),
        Err(errno) => errno.raw_os_error().to_string(),
    }
}

/// Tells the outcome, and whether the waiting process has children left.
fn tell_outcome(outcome: Result<Outcome, Errno>) {
    let pid = match outcome {
        Ok(Outcome::Ready(pid)) => Some(pid),
        _ => None,
    };
    tell(say(outcome));
    if let Some(pid) = pid {
        tell(format!("daemon {}", pid.as_raw_nonzero()));
        // To be looked at.
        return wait_release();
    }
    tell(match wait(WaitOptions::NOHANG) {
        Err(Errno::CHILD) => "nobody left".into(),
        other => format!("left: {other:?}"),
    });
}

fn this(signal: Signal) {
    kill_process(getpid(), signal).expect("this process");
    unreachable!("{signal:?} ends it");
}

fn case() {
    reset_signals().expect("default dispositions");
    let arguments: Vec<_> = std::env::args().collect();
    let forks = arguments[1].parse().expect("a number");
    let what = arguments[2].as_str();
    let outcome = wait_for(forks, None, |notifier| {
        if what == "killed unannounced" {
            this(Signal::KILL);
        }
        notifier.announce().expect("a word");
        match what {
            "ready" => {
                notifier.ready().expect("a word");
                wait_release();
            }
            "failed" => notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("a word"),
            "exit 3" => exit(3),
            "exit 0" => exit(0),
            "term" => this(Signal::TERM),
            "segv" => this(Signal::SEGV),
            "kill" => this(Signal::KILL),
            "dropped" => drop(notifier),
            "closes and exits" => {
                for fd in notifier.descriptors() {
                    // SAFETY: the notifier, which owns them, is not used any more: exit drops nothing.
                    unsafe { libc::close(fd.as_raw_fd()) };
                }
                // What the kernel may take between the end of the pipe and that of the process.
                std::thread::sleep(Duration::from_millis(5));
                exit(3);
            }
            "dropped in a worker" => {
                if fork().expect("fork") == Fork::Child {
                    drop(notifier);
                    exit(0);
                }
                wait(WaitOptions::empty()).expect("the worker ends");
                notifier.failed(Step::Umask.failed(Errno::PERM)).expect("a word");
            }
            "leaked" => {
                // A child keeps the write end, and the daemon ends.
                if fork().expect("fork") == Fork::Child {
                    wait_release();
                    exit(0);
                }
                exit(5);
            }
            "executes" => run(c"/bin/sh", &[c"sh", c"-c", c"read end"]),
            "executes a moment" => run(c"/bin/sh", &[c"sh", c"-c", c"exit 3"]),
            "executes nothing" => run(c"/no/such/program", &[c"x"]),
            _ => unreachable!("{what}"),
        }
    });
    tell_outcome(outcome);
}

/// Executes a program, with the channel as its descriptor 0.
fn run(path: &std::ffi::CStr, words: &[&std::ffi::CStr]) {
    let [_, hear] = support::channel();
    daemon_steps::stdio_fd(Stream::Stdin, hear).expect("stdin");
    let argv: Vec<_> = words.iter().map(|word| Some(ThinCStr::from(*word))).chain([None]).collect();
    let _ = execve(path, &argv, &[Cell::new(None)]);
}

fn the_word_is_the_daemons() {
    for forks in ["1", "2"] {
        for (what, outcome) in [
            ("failed", "Chdir 2"),
            ("exit 3", "died Some(3) None"),
            ("exit 0", "died Some(0) None"),
            ("closes and exits", "died Some(3) None"),
            ("term", "died None Some(15)"),
            ("segv", "died None Some(11)"),
            ("kill", "died None Some(9)"),
            ("killed unannounced", "died None Some(9)"),
            ("dropped", "Ready 125"),
            ("dropped in a worker", "Umask 1"),
            // execve fails, and the notifier is dropped.
            ("executes nothing", "Ready 125"),
        ] {
            let told = fixture("case").arg(forks).arg(what).run().0;
            assert_eq!(told, format!("{outcome}\nnobody left\n"), "{forks} {what}");
        }
        for what in ["ready", "executes"] {
            let mut running = fixture("case").arg(forks).arg(what).start();
            assert_eq!(running.hear(), "ready", "{forks} {what}");
            let line = running.hear();
            let daemon = line.strip_prefix("daemon ").and_then(|pid| pid.parse().ok()).expect("a pid");
            // The process between was reaped.
            assert_eq!(proc::children(running.pid()), [daemon]);
            assert_eq!(proc::exe(daemon) == proc::exe(std::process::id() as i32), what == "ready");
            running.release();
            wait_end(daemon);
        }
        let running = fixture("case").arg(forks).arg("leaked").start();
        assert_eq!(running.hear(), "died Some(5) None", "{forks}");
        // Whether a program that runs for a moment is seen running is a matter of luck; its status is its own.
        let told = fixture("case").arg(forks).arg("executes a moment").run().0;
        assert!(told.starts_with("ready\ndaemon ") || told == "died Some(3) None\nnobody left\n", "{forks} {told}");
    }
}

fn every_step() {
    for (number, step) in Step::ALL.iter().enumerate() {
        let errno = Errno::from_raw_os_error(number as i32 + 1);
        let outcome = wait_for(1, None, |notifier| notifier.failed(step.failed(errno)).expect("a word"));
        tell_outcome(outcome);
    }
}

fn every_step_and_errno_goes_over() {
    let expected: Vec<_> =
        (Step::ALL.iter().enumerate()).map(|(at, step)| format!("{step:?} {}\nnobody left\n", at + 1)).collect();
    assert_eq!(fixture("every_step").run().0, expected.concat());
}

/// Raw bytes instead of a word, and then a daemon that would live on.
fn words() {
    let bytes: [&[u8]; 8] = [
        b"x",
        b"r\0\0\0",
        b"r\0\0\0\x01\0\0\0",
        b"z\0\0\0\0\0\0\0",
        b"f\xff\0\0\x01\0\0\0",
        b"f\0\0\0\0\0\0\0",
        b"f\0\0\0\xff\xff\xff\xff",
        b"p\0\0\0\xff\xff\xff\xff",
    ];
    for bytes in bytes {
        let outcome = wait_for(2, None, |notifier| {
            write(notifier.descriptors()[0], bytes).expect("written");
            wait_release();
        });
        tell_outcome(outcome);
    }
}

fn what_is_no_word_is_an_error() {
    let running = fixture("words").start();
    for _ in 0..8 {
        assert_eq!(running.hear(), Errno::PROTO.raw_os_error().to_string());
        // What was forked was killed, though the channel still holds it.
        assert_eq!(running.hear(), "nobody left");
    }
}

/// A daemon that never says its last word, forked once or twice, announced or not; without a system call, if one is named.
fn times_out() {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(call) = arguments.get(3) {
        hostile::deny(&[(call.parse().expect("a number"), Errno::PERM)]);
    }
    let forks = arguments[1].parse().expect("a number");
    tell_outcome(wait_for(forks, Some(SHORT), |notifier| {
        if arguments[2] == "announced" {
            notifier.announce().expect("a word");
        }
        wait_release();
    }));
}

const SHORT: Duration = Duration::from_millis(50);

fn a_daemon_that_is_late_is_killed() {
    let late = [Errno::TIMEDOUT.raw_os_error().to_string(), "nobody left".into()];
    for forks in ["1", "2"] {
        for announced in ["announced", "unannounced"] {
            let running = fixture("times_out").arg(forks).arg(announced).start();
            assert_eq!([running.hear(), running.hear()], late, "{forks} {announced}");
            for denied in [libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal] {
                let running = fixture("times_out").arg(forks).arg(announced).arg(denied.to_string()).start();
                assert_eq!([running.hear(), running.hear()], late, "{forks} {announced} {denied}");
            }
        }
    }
}

fn lives_on() {
    let arguments: Vec<_> = std::env::args().collect();
    let forks = arguments[1].parse().expect("a number");
    tell_outcome(wait_for(forks, Some(SHORT), |notifier| {
        if arguments[2] == "announced" {
            notifier.announce().expect("a word");
        }
        notifier.failed(Step::Umask.failed(Errno::PERM)).expect("a word");
        wait_release();
    }));
}

fn a_daemon_that_failed_and_lives_on() {
    for (forks, announced) in [("1", "announced"), ("2", "announced"), ("1", "unannounced")] {
        let running = fixture("lives_on").arg(forks).arg(announced).start();
        assert_eq!([running.hear(), running.hear()], ["Umask 1", "nobody left"], "{forks} {announced}");
    }
}

/// There is no session, and the process that forks the daemon, if it does, does not exit.
fn stays_between() {
    let what = std::env::args().nth(1).expect("a case");
    support::need_subreaper();
    set_child_subreaper(true).expect("a subreaper");
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    if let Fork::Parent(child) = fork().expect("fork") {
        drop(notifier);
        return tell_outcome(waiter.wait(child, Some(SHORT)));
    }
    if what != "no daemon" && fork().expect("fork") == Fork::Child {
        notifier.announce().expect("a word");
        if what == "ready" {
            notifier.ready().expect("a word");
        }
    }
    wait_release();
    exit(0);
}

fn a_process_between_that_stays() {
    let running = fixture("stays_between").arg("ready").start();
    assert_eq!(running.hear(), "ready");
    let daemon = running.hear();
    let daemon = daemon.strip_prefix("daemon ").and_then(|pid| pid.parse().ok()).expect("a pid");
    assert_eq!(proc::children(running.pid()), [daemon]);
    for what in ["silent", "no daemon"] {
        let running = fixture("stays_between").arg(what).start();
        let late = [Errno::TIMEDOUT.raw_os_error().to_string(), "nobody left".into()];
        assert_eq!([running.hear(), running.hear()], late, "{what}");
    }
}

/// The daemon has ended when the waiter begins, and perhaps a child of it still holds the pipe.
fn looked_at_late() {
    let what = std::env::args().nth(1).expect("a case");
    if what == "kernel reaps" {
        reap_by_kernel().expect("SIGCHLD ignored");
    }
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    if let Fork::Parent(child) = fork().expect("fork") {
        drop(notifier);
        wait_end(child.as_raw_nonzero().get());
        if what == "kernel reaps" {
            support::until("it is reaped", || rustix::process::test_kill_process(child) == Err(Errno::SRCH));
        }
        return tell_outcome(waiter.wait(child, Some(support::LIMIT)));
    }
    notifier.announce().expect("a word");
    if what == "executes a moment" {
        run(c"/bin/sh", &[c"sh", c"-c", c"exit 3"]);
    }
    if fork().expect("fork") == Fork::Child {
        wait_release();
    }
    exit(3);
}

fn a_daemon_that_ended_before_anybody_looked() {
    for (what, outcome) in
        [("kernel reaps", "died"), ("leaves a child", "died Some(3) None"), ("executes a moment", "died Some(3) None")]
    {
        let running = fixture("looked_at_late").arg(what).start();
        assert_eq!([running.hear(), running.hear()], [outcome, "nobody left"], "{what}");
    }
}

/// The pid that comes over the pipe is that of a process which is none of the waiter's.
fn stranger() {
    let pid: i32 = std::env::args().nth(1).expect("a pid").parse().expect("a number");
    for (last, timeout) in [(&b""[..], SHORT), (b"x", support::LIMIT)] {
        tell(say(wait_for(2, Some(timeout), |notifier| {
            let pipe = notifier.descriptors()[0];
            let [a, b, c, d] = pid.to_ne_bytes();
            write(pipe, &[b'p', 0, 0, 0, a, b, c, d]).expect("written");
            write(pipe, last).expect("written");
            wait_release();
        })));
    }
}

fn a_stranger_is_not_killed() {
    let mut stranger = fixture("waits").start();
    let running = fixture("stranger").arg(stranger.pid().to_string()).start();
    for errno in [Errno::TIMEDOUT, Errno::PROTO] {
        assert_eq!(running.hear(), errno.raw_os_error().to_string());
    }
    stranger.release();
    assert!(stranger.status().success());
}

/// Two forks, and nobody asked to adopt the daemon: its status goes elsewhere.
fn not_adopted() {
    let what = std::env::args().nth(1).expect("an end");
    tell(say(wait_without_adoption(2, Some(support::LIMIT), |notifier| {
        notifier.announce().expect("a word");
        match what.as_str() {
            "exits" => exit(3),
            "fails" => notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("a word"),
            "executes" => run(c"/bin/sh", &[c"sh", c"-c", c"read end"]),
            _ => {
                notifier.ready().expect("a word");
                wait_release();
            }
        }
    })));
    tell(word(wait(WaitOptions::NOHANG)));
}

fn a_daemon_that_is_not_adopted() {
    for (what, outcome) in [("exits", "died"), ("fails", "Chdir 2"), ("executes", "ready"), ("is ready", "ready")] {
        let running = fixture("not_adopted").arg(what).start();
        assert_eq!([running.hear(), running.hear()], [outcome.into(), Errno::CHILD.raw_os_error().to_string()], "{what}");
    }
}

fn waiter_killed() {
    reset_signals().expect("default dispositions");
    let outcome = wait_for(2, None, |notifier| {
        notifier.announce().expect("a word");
        stdio_null().expect("no streams");
        tell(std::process::id());
        support::wait_byte();
        tell(word(notifier.ready()));
        support::wait_byte();
        tell("goes on");
    });
    unreachable!("{}", say(outcome));
}

fn a_daemon_outlives_its_waiter() {
    let mut running = fixture("waiter_killed").start();
    let daemon = running.hear_pid();
    running.child.kill().expect("a child");
    running.status();
    running.step();
    // No SIGPIPE, and no error: the daemon goes on.
    assert_eq!(running.hear(), "ok");
    running.step();
    assert_eq!(running.hear(), "goes on");
    wait_end(daemon);
}

fn kernel_reaps() {
    reap_by_kernel().expect("SIGCHLD ignored");
    for forks in [1, 2] {
        tell_outcome(wait_for(forks, None, |notifier| {
            notifier.announce().expect("a word");
            exit(3);
        }));
        tell_outcome(wait_for(forks, None, |notifier| notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("a word")));
    }
}

fn a_caller_that_ignores_its_children() {
    let expected = "died\nnobody left\nChdir 2\nnobody left\n".repeat(2);
    assert_eq!(fixture("kernel_reaps").run().0, expected);
}

extern "C" fn handler(_: libc::c_int) {}

fn handler_interrupts() {
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as usize) };
    let waiting = getpid();
    tell_outcome(wait_for(1, None, |notifier| {
        notifier.announce().expect("a word");
        let pid = waiting.as_raw_nonzero().get();
        for _ in 0..10 {
            support::until("the waiter sleeps", || proc::state(pid) == "S");
            kill_process(waiting, Signal::USR1).expect("the waiter");
            support::until("it is delivered", || proc::signals(pid, "ShdPnd") == 0);
        }
        exit(3);
    }));
}

fn a_handler_does_not_end_the_wait() {
    assert_eq!(fixture("handler_interrupts").run().0, "died Some(3) None\nnobody left\n");
}

fn closed_streams() {
    for fd in 0..3 {
        // SAFETY: nothing here owns the standard streams.
        unsafe { libc::close(fd) };
    }
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    assert!(notifier.descriptors().iter().all(|fd| fd.as_raw_fd() > 2));
    for fd in notifier.descriptors() {
        assert!(rustix::io::fcntl_getfd(fd).expect("open").contains(rustix::io::FdFlags::CLOEXEC));
    }
    let fds = proc::fds(std::process::id() as i32);
    // The only one below is the directory that was just read, gone by now.
    tell(fds.range(..3).filter(|(_, target)| target.starts_with("pipe:")).count());
    drop((waiter, notifier));
}

fn the_pipe_stands_above_the_streams() {
    assert_eq!(fixture("closed_streams").run().0, "0\n");
}

fn no_pidfd() {
    hostile::deny(&[(libc::SYS_pidfd_open, Errno::NOSYS)]);
    case();
}

fn without_pidfds_the_pipe_tells() {
    for (what, outcome) in [("exit 3", "died Some(3) None"), ("failed", "Chdir 2"), ("kill", "died None Some(9)")] {
        let told = fixture("no_pidfd").arg("2").arg(what).run().0;
        assert_eq!(told, format!("{outcome}\nnobody left\n"), "{what}");
    }
}

fn no_proc() {
    hostile::hide_proc();
    case();
}

/// What an old kernel is without `/proc`.
fn no_proc_no_pidfd() {
    hostile::hide_proc();
    no_pidfd();
}

fn without_proc() {
    for name in ["no_proc", "no_proc_no_pidfd"] {
        for forks in ["1", "2"] {
            let ends = [
                ("exit 3", "died Some(3) None"),
                ("closes and exits", "died Some(3) None"),
                ("failed", "Chdir 2"),
                ("kill", "died None Some(9)"),
            ];
            for (what, outcome) in ends {
                let told = fixture(name).arg(forks).arg(what).run().0;
                assert_eq!(told, format!("{outcome}\nnobody left\n"), "{name} {forks} {what}");
            }
            let running = fixture(name).arg(forks).arg("executes").start();
            assert_eq!(running.hear(), "ready", "{name} {forks}");
        }
    }
}

/// The daemon's word, read by a process that does nothing else; and whether its child is still to be reaped.
fn word_alone() {
    let arguments: Vec<_> = std::env::args().collect();
    let forks = arguments[1].parse().expect("a number");
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    let Fork::Parent(child) = fork().expect("fork") else {
        in_daemon(waiter, notifier, forks, |notifier| {
            notifier.announce().expect("a word");
            match arguments[2].as_str() {
                "ready" => {
                    tell(std::process::id());
                    notifier.ready().expect("a word");
                }
                "failed" => notifier.failed(Step::Chdir.failed(Errno::NOENT)).expect("a word"),
                "no word" => write(notifier.descriptors()[0], b"x").map(drop).expect("written"),
                _ => {}
            }
            // Nothing more is said.
            exit(3);
        });
        exit(0);
    };
    drop(notifier);
    let outcome = waiter.word(child);
    tell(match outcome {
        Ok(Outcome::Ready(pid)) => pid.as_raw_nonzero().to_string(),
        outcome => say(outcome),
    });
    assert!(matches!(wait(WaitOptions::empty()), Ok(Some((ended, _))) if ended == child), "the child is there to be reaped");
}

fn a_word_is_read_and_nobody_reaped() {
    for forks in ["1", "2"] {
        let told = fixture("word_alone").arg(forks).arg("ready").run().0;
        let [daemon, ready] = told.lines().collect::<Vec<_>>()[..] else { panic!("{forks} {told}") };
        assert_eq!(daemon, ready, "{forks}");
        let protocol = Errno::PROTO.raw_os_error().to_string();
        for (what, outcome) in [("failed", "Chdir 2"), ("silent", "died"), ("no word", &protocol)] {
            assert_eq!(fixture("word_alone").arg(forks).arg(what).run().0, format!("{outcome}\n"), "{forks} {what}");
        }
    }
}

fn newline() {
    let pipe = || rustix::pipe::pipe().expect("a pipe");
    let me = getpid();
    let (read_end, write_end) = pipe();
    write(&write_end, b"words before it").expect("written");
    write(&write_end, b"\nafter").expect("written");
    tell(format!("{:?}", wait_newline(&read_end, me, None)));
    let (read_end, write_end) = pipe();
    write(&write_end, &[b'x'; 200]).expect("written");
    let waited = wait_newline(&read_end, me, Some(Duration::from_millis(20)));
    tell(word(waited));
    drop(write_end);
    tell(format!("{:?}", wait_newline(&read_end, me, None)));
    // A stream whose end can be read.
    let (read_end, write_end) = std::os::unix::net::UnixStream::pair().expect("a pair");
    drop(write_end);
    tell(format!("{:?}", wait_newline(&read_end, me, None)));
    // A process that has ended, with a copy of the write end left in this one.
    let (read_end, _write_end) = pipe();
    let Fork::Parent(child) = fork().expect("fork") else { exit(0) };
    tell(format!("{:?}", wait_newline(&read_end, child, None)));
    // As soon as it is reaped there is nobody of that number.
    reap(|_, _| ()).expect("reaped");
    tell(word(wait_newline(&read_end, child, None)));
}

fn a_newline_is_waited_for() {
    let timed_out = Errno::TIMEDOUT.raw_os_error();
    let no_such = Errno::SRCH.raw_os_error();
    let told = format!("Ok(true)\n{timed_out}\nOk(false)\nOk(false)\nOk(false)\n{no_such}\n");
    assert_eq!(fixture("newline").run().0, told);
}
