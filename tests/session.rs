//! Sessions and terminals, seen in `/proc/PID/stat`.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{ignore_signal, setsid, tiocnotty, tiocsctty};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::os::unix::process::CommandExt;
use support::{fixture, hostile, proc, root_test, tell, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("creates", creates),
            ("takes", takes),
            ("gives_up", gives_up),
            ("member_gives_up", member_gives_up),
            ("nothing_to_give_up", nothing_to_give_up),
            ("no_dev", no_dev),
            ("no_terminal", no_terminal),
        ],
        vec![
            test("a_session_is_led_and_has_no_terminal", a_session_is_led_and_has_no_terminal),
            test("a_group_leader_cannot_create_a_session", a_group_leader_cannot_create_a_session),
            test("a_leader_takes_a_terminal", a_leader_takes_a_terminal),
            test("only_a_leader_takes_a_terminal_and_only_a_terminal_is_taken", only_a_leader_takes_a_terminal),
            test("a_leader_gives_its_terminal_up", a_leader_gives_its_terminal_up),
            test("a_member_gives_up_only_its_own", a_member_gives_up_only_its_own),
            test("no_terminal_is_no_error", no_terminal_is_no_error),
            root_test("without_dev_there_is_no_telling", without_dev_there_is_no_telling),
        ],
    );
}

/// A terminal: both of its sides.
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let name = ptsname(&master, Vec::new()).expect("ptsname");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    (master, openat(CWD, &*name, flags, Mode::empty()).expect("the terminal"))
}

fn creates() {
    tell(match setsid() {
        Ok(session) => session.as_raw_nonzero().to_string(),
        Err(errno) => errno.to_string(),
    });
    wait_release();
}

fn a_session_is_led_and_has_no_terminal() {
    let running = fixture("creates").start();
    let pid = running.hear_pid();
    assert_eq!(pid, running.pid());
    assert_eq!((proc::session(pid), proc::group(pid), proc::terminal(pid)), (pid, pid, 0));
}

fn a_group_leader_cannot_create_a_session() {
    let mut fixture = fixture("creates");
    fixture.command.process_group(0);
    let running = fixture.start();
    assert_eq!(running.hear(), Errno::PERM.to_string());
    assert_ne!(proc::session(running.pid()), running.pid());
}

fn takes() {
    setsid().expect("setsid");
    let (_master, tty) = terminal();
    tell(word(tiocsctty(&tty)));
    wait_release();
}

fn a_leader_takes_a_terminal() {
    let running = fixture("takes").start();
    assert_eq!(running.hear(), "ok");
    assert_ne!(proc::terminal(running.pid()), 0);
    assert_eq!(proc::session(running.pid()), running.pid());
}

fn no_terminal() {
    let (_master, tty) = terminal();
    tell(word(tiocsctty(&tty)));
    setsid().expect("setsid");
    tell(word(tiocsctty(std::fs::File::open("/dev/null").expect("/dev/null"))));
    wait_release();
}

fn only_a_leader_takes_a_terminal() {
    let running = fixture("no_terminal").start();
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    assert_eq!(running.hear(), Errno::NOTTY.raw_os_error().to_string());
    assert_eq!(proc::terminal(running.pid()), 0);
}

/// Leads a session with a terminal; the terminal's master is kept by `keep`.
fn with_terminal() -> (OwnedFd, OwnedFd) {
    setsid().expect("setsid");
    let (master, tty) = terminal();
    tiocsctty(&tty).expect("a controlling terminal");
    (master, tty)
}

fn gives_up() {
    let _terminal = with_terminal();
    ignore_signal(Signal::HUP).expect("ignore");
    tell("has it");
    support::wait_byte();
    tell(word(tiocnotty()));
    wait_release();
}

fn a_leader_gives_its_terminal_up() {
    let mut running = fixture("gives_up").start();
    assert_eq!(running.hear(), "has it");
    assert_ne!(proc::terminal(running.pid()), 0);
    running.step();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::terminal(running.pid()), 0);
}

fn member_gives_up() {
    let _terminal = with_terminal();
    if daemon_steps::fork() == Ok(daemon_steps::Fork::Child) {
        tell(std::process::id());
        support::wait_byte();
        tell(word(tiocnotty()));
        wait_release();
        return;
    }
    // The leader does not listen: what the test says is for the member.
    rustix::process::wait(rustix::process::WaitOptions::empty()).expect("the member ends");
}

fn a_member_gives_up_only_its_own() {
    let mut running = fixture("member_gives_up").start();
    let member = running.hear_pid();
    assert_ne!(proc::terminal(member), 0);
    running.step();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::terminal(member), 0);
    assert_ne!(proc::terminal(running.pid()), 0);
    assert_eq!(proc::session(member), running.pid());
}

fn nothing_to_give_up() {
    setsid().expect("setsid");
    tell(word(tiocnotty()));
}

fn no_terminal_is_no_error() {
    assert_eq!(fixture("nothing_to_give_up").run().0, "ok\n");
}

fn no_dev() {
    hostile::cover(c"/dev");
    nothing_to_give_up();
    assert!(support::channel().iter().all(|fd| fd.as_fd().as_raw_fd() > 2));
}

fn without_dev_there_is_no_telling() {
    assert_eq!(fixture("no_dev").run().0, format!("{}\n", Errno::NOENT.raw_os_error()));
}
