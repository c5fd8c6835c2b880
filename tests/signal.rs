//! Dispositions and masks, seen in `/proc/PID/status`; waiting, by what is delivered.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    Fork, SignalSet, block_signals, exit, fork, ignore_signal, reap_by_kernel, reset_signals, set_signal_mask, unblock_signals,
    wait_signal,
};
use rustix::io::Errno;
use rustix::process::Signal;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::{fixture, hostile, proc, tell, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("resets", resets),
            ("ignores", ignores),
            ("nothing_left_to_reap", nothing_left_to_reap),
            ("blocks", blocks),
            ("waits", waits),
            ("interrupted", interrupted),
            ("denied", denied),
        ],
        vec![
            test("a_set_holds_what_was_put_in", a_set_holds_what_was_put_in),
            test("every_disposition_is_reset", every_disposition_is_reset),
            test("a_signal_is_ignored_or_it_is_an_error", a_signal_is_ignored_or_it_is_an_error),
            test("the_kernel_reaps_on_request", the_kernel_reaps_on_request),
            test("the_mask_is_what_was_asked_for", the_mask_is_what_was_asked_for),
            test("a_signal_is_waited_for_and_taken", a_signal_is_waited_for_and_taken),
            test("a_handler_does_not_end_the_wait", a_handler_does_not_end_the_wait),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
        ],
    );
}

/// What a C library keeps for itself: 32 and 33 in glibc, to 34 in musl; and what has no disposition.
const LIBCS: u64 = 0b11 << 31;
const FIXED: u64 = 1 << 8 | 1 << 18;

fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

fn a_set_holds_what_was_put_in() {
    let set = SignalSet::EMPTY.with(1).with(34).with(64).with(1);
    for number in -1..=65 {
        assert_eq!(set.contains(number), [1, 34, 64].contains(&number), "{number}");
    }
    assert_eq!(set.without(64).without(1), SignalSet::EMPTY.with(34));
    assert_eq!(SignalSet::EMPTY.with(0).with(65).with(-3), SignalSet::EMPTY);
    assert_eq!(SignalSet::from(Signal::TERM), SignalSet::from_iter([Signal::TERM, Signal::TERM]));
    let faults = [Signal::SEGV, Signal::BUS, Signal::FPE, Signal::ILL, Signal::ABORT, Signal::TRAP, Signal::SYS];
    for number in 1..=64 {
        let is_fault = faults.iter().any(|fault| fault.as_raw() == number);
        assert_eq!(SignalSet::ALL_BUT_FAULTS.contains(number), !is_fault, "{number}");
    }
}

static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

/// Sets a disposition by the system call: the C library refuses its own signals.
fn raw_disposition(number: i32, handler: usize) {
    #[repr(C)]
    struct Action(usize, usize, usize, u64);
    let action = Action(handler, 0, 0, 0);
    // SAFETY: the action outlives the call; what is not ignored is never delivered here.
    let answer = unsafe { libc::syscall(libc::SYS_rt_sigaction, number, &raw const action, 0, 8) };
    assert_eq!(answer, 0, "{number}");
}

fn resets() {
    for number in (1..=64).filter(|number| ![9, 19].contains(number)) {
        raw_disposition(number, if number % 2 == 0 { libc::SIG_IGN } else { handler as *const () as usize });
    }
    tell("set");
    support::wait_byte();
    tell(word(reset_signals()));
    wait_release();
}

fn every_disposition_is_reset() {
    support::need_kernel("its dispositions in /proc");
    let mut running = fixture("resets").start();
    assert_eq!(running.hear(), "set");
    let pid = running.pid();
    assert_eq!(proc::signals(pid, "SigIgn") | proc::signals(pid, "SigCgt"), !FIXED);
    running.step();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::signals(pid, "SigIgn"), 0);
    // With a C library its own handlers stay: of the two, 33 was caught and 32 ignored.
    let own = if cfg!(feature = "std") { bit(33) } else { 0 };
    assert_eq!(proc::signals(pid, "SigCgt"), own);
}

fn ignores() {
    tell(word(ignore_signal(Signal::XCPU)));
    tell(word(ignore_signal(Signal::KILL)));
    tell(word(ignore_signal(Signal::STOP)));
    wait_release();
}

fn a_signal_is_ignored_or_it_is_an_error() {
    let running = fixture("ignores").start();
    let invalid = Errno::INVAL.raw_os_error().to_string();
    assert_eq!([running.hear(), running.hear(), running.hear()], ["ok".into(), invalid.clone(), invalid]);
    let xcpu = bit(Signal::XCPU.as_raw());
    assert_eq!(proc::signals(running.pid(), "SigIgn") & xcpu, xcpu);
}

fn nothing_left_to_reap() {
    tell(word(reap_by_kernel()));
    if fork().expect("fork") == Fork::Child {
        exit(3);
    }
    // wait(2) returns when the last child has ended, with no status.
    tell(word(rustix::process::wait(rustix::process::WaitOptions::empty())));
    wait_release();
}

fn the_kernel_reaps_on_request() {
    let running = fixture("nothing_left_to_reap").start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(running.hear(), Errno::CHILD.raw_os_error().to_string());
    assert_eq!(proc::children(running.pid()), [0; 0]);
}

fn blocks() {
    let set = SignalSet::EMPTY.with(1).with(15).with(40);
    set_signal_mask(SignalSet::EMPTY).expect("a mask");
    let changes: [&dyn Fn() -> Result<SignalSet, Errno>; 3] =
        [&|| block_signals(set), &|| block_signals(SignalSet::EMPTY.with(64)), &|| unblock_signals(SignalSet::EMPTY.with(15))];
    for change in changes {
        tell(format!("{:?}", change().expect("a mask")));
        support::wait_byte();
    }
    for set in [SignalSet::ALL, SignalSet::EMPTY.with(2)] {
        set_signal_mask(set).expect("a mask");
        tell("set");
        support::wait_byte();
    }
    block_signals(SignalSet::ALL).expect("a mask");
    tell("all");
    support::wait_byte();
}

fn the_mask_is_what_was_asked_for() {
    support::need_kernel("its mask in /proc");
    let mut running = fixture("blocks").start();
    let pid = running.pid();
    let mut after = |said: String, mask: u64| {
        assert_eq!(running.hear(), said);
        assert_eq!(proc::signals(pid, "SigBlk"), mask);
        running.step();
    };
    let first = SignalSet::EMPTY.with(1).with(15).with(40);
    after(format!("{:?}", SignalSet::EMPTY), bit(1) | bit(15) | bit(40));
    after(format!("{first:?}"), bit(1) | bit(15) | bit(40) | bit(64));
    after(format!("{:?}", first.with(64)), bit(1) | bit(40) | bit(64));
    // The C library's own are never blocked.
    let all = !FIXED & if cfg!(feature = "std") { !LIBCS } else { !0 };
    after("set".into(), all);
    after("set".into(), bit(2));
    after("all".into(), all);
}

/// Sends this process a signal, which stays pending if it is blocked.
fn send(number: i32) {
    let this = std::process::id() as i32;
    // SAFETY: kill(2) touches no memory; the process is this one.
    assert_eq!(unsafe { libc::kill(this, number) }, 0);
}

fn waits() {
    let set = SignalSet::EMPTY.with(15).with(10).with(64);
    block_signals(set).expect("blocked");
    send(15);
    send(15);
    send(64);
    for _ in 0..3 {
        tell(format!("{:?}", wait_signal(set, Some(Duration::ZERO))));
    }
    let start = Instant::now();
    let timed_out = wait_signal(set, Some(Duration::from_millis(20)));
    assert!(timed_out == Ok(None) && start.elapsed() >= Duration::from_millis(20));
    tell("waits");
    tell(format!("{:?}", wait_signal(set, None)));
}

fn a_signal_is_waited_for_and_taken() {
    support::need_kernel("signal 64");
    let running = fixture("waits").start();
    // The two of one number were one.
    assert_eq!([running.hear(), running.hear(), running.hear()], ["Ok(Some(15))", "Ok(Some(64))", "Ok(None)"]);
    assert_eq!(running.hear(), "waits");
    // SAFETY: kill(2) touches no memory; the process is this test's child, not reaped yet.
    assert_eq!(unsafe { libc::kill(running.pid(), 10) }, 0);
    assert_eq!(running.hear(), "Ok(Some(10))");
}

fn interrupted() {
    raw_handler(12);
    let set = SignalSet::EMPTY.with(10);
    block_signals(set).expect("blocked");
    if let Fork::Child = fork().expect("fork") {
        let parent = rustix::process::getppid().expect("a parent");
        // A handled signal each time that the parent sleeps in its wait, then the one that it waits for.
        for signal in [Signal::USR2, Signal::USR2, Signal::USR1] {
            let pid = parent.as_raw_nonzero().get();
            support::until("the parent waits", || proc::state(pid) == "S");
            rustix::process::kill_process(parent, signal).expect("the parent");
            support::until("it is delivered", || proc::signals(pid, "ShdPnd") == 0);
        }
        exit(0);
    }
    let taken = wait_signal(set, Some(support::LIMIT));
    tell(format!("{taken:?} {}", CAUGHT.load(Ordering::Relaxed)));
    rustix::process::wait(rustix::process::WaitOptions::empty()).expect("the child ends");
}

/// Installs the handler, by the C library, which brings the restorer that it needs to return.
fn raw_handler(number: i32) {
    // SAFETY: the handler adds to an atomic number only.
    unsafe { libc::signal(number, handler as *const () as usize) };
}

fn a_handler_does_not_end_the_wait() {
    let told = fixture("interrupted").run().0;
    assert!(told == "Ok(Some(10)) 2\n" || told == "Ok(Some(10)) 1\n", "{told}");
}

fn denied() {
    hostile::deny(&[
        (libc::SYS_rt_sigaction, Errno::PERM),
        (libc::SYS_rt_sigprocmask, Errno::PERM),
        (libc::SYS_rt_sigtimedwait, Errno::PERM),
    ]);
    let set = SignalSet::EMPTY.with(15);
    tell(word(reset_signals()));
    tell(word(ignore_signal(Signal::PIPE)));
    tell(word(reap_by_kernel()));
    tell(word(block_signals(set)));
    tell(word(unblock_signals(set)));
    tell(word(set_signal_mask(set)));
    tell(word(wait_signal(set, None)));
}

fn a_denied_call_is_an_error() {
    assert_eq!(fixture("denied").run().0, "1\n".repeat(7));
}
