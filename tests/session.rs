//! Sessions and terminals, seen in `/proc/PID/stat`.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Fork, fork, ignore_signal, reset_signals, setsid, tiocnotty, tiocsctty};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use support::{fixture, hostile, proc, root_test, tell, test, tty::terminal, wait_byte, wait_release, word};

fn main() {
    support::main(
        &[
            ("creates", creates),
            ("leaves_a_terminal", leaves_a_terminal),
            ("creates_twice", creates_twice),
            ("takes", takes),
            ("no_terminal", no_terminal),
            ("takes_a_second", takes_a_second),
            ("steals", steals),
            ("takes_what_hung_up", takes_what_hung_up),
            ("leader_gives_up", leader_gives_up),
            ("leader_is_hung_up", leader_is_hung_up),
            ("member_gives_up", member_gives_up),
            ("nothing_to_give_up", nothing_to_give_up),
            ("hung_up", hung_up),
            ("no_dev", no_dev),
            ("cannot_open", cannot_open),
            ("denied", denied),
        ],
        vec![
            test("a_session_is_led", a_session_is_led),
            test("a_new_session_has_no_terminal", a_new_session_has_no_terminal),
            test("a_session_leader_cannot_create_another", a_session_leader_cannot_create_another),
            test("a_group_leader_cannot_create_a_session", a_group_leader_cannot_create_a_session),
            test("a_leader_takes_a_terminal", a_leader_takes_a_terminal),
            test("only_a_leader_takes_a_terminal_and_only_a_terminal_is_taken", only_a_leader_takes_a_terminal),
            test("a_second_terminal_is_not_taken", a_second_terminal_is_not_taken),
            test("a_terminal_is_not_stolen", a_terminal_is_not_stolen),
            test("a_terminal_that_has_hung_up_is_not_taken", a_terminal_that_has_hung_up_is_not_taken),
            test("a_leader_gives_the_terminal_up_for_its_session", a_leader_gives_the_terminal_up_for_its_session),
            test("a_leader_that_does_not_ignore_it_is_hung_up", a_leader_that_does_not_ignore_it_is_hung_up),
            test("a_member_gives_up_only_its_own", a_member_gives_up_only_its_own),
            test("no_terminal_is_no_error", no_terminal_is_no_error),
            test("a_terminal_that_cannot_be_opened_is_kept_and_told", a_terminal_that_cannot_be_opened_is_kept_and_told),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
            root_test("without_dev_there_is_no_telling", without_dev_there_is_no_telling),
        ],
    );
}

fn creates() {
    tell(match setsid() {
        Ok(session) => session.as_raw_nonzero().to_string(),
        Err(errno) => errno.to_string(),
    });
    wait_release();
}

fn a_session_is_led() {
    let running = fixture("creates").start();
    let pid = running.hear_pid();
    assert_eq!(pid, running.pid());
    assert_eq!((proc::session(pid), proc::group(pid)), (pid, pid));
}

fn leaves_a_terminal() {
    let _terminal = with_terminal();
    if fork() == Ok(Fork::Child) {
        tell(std::process::id());
        wait_byte();
        return creates();
    }
    rustix::process::wait(rustix::process::WaitOptions::empty()).expect("the child ends");
}

fn a_new_session_has_no_terminal() {
    let mut running = fixture("leaves_a_terminal").start();
    let child = running.hear_pid();
    assert_ne!(proc::terminal(child), 0);
    running.step();
    assert_eq!(running.hear_pid(), child);
    assert_eq!((proc::session(child), proc::group(child), proc::terminal(child)), (child, child, 0));
    assert_ne!(proc::terminal(running.pid()), 0);
}

fn creates_twice() {
    setsid().expect("setsid");
    tell(word(setsid()));
}

fn a_session_leader_cannot_create_another() {
    assert_eq!(fixture("creates_twice").run().0, format!("{}\n", Errno::PERM.raw_os_error()));
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

fn takes_a_second() {
    let _first = with_terminal();
    let (_master, second) = terminal();
    tell(word(tiocsctty(&second)));
    wait_release();
}

fn a_second_terminal_is_not_taken() {
    let running = fixture("takes_a_second").start();
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    assert_ne!(proc::terminal(running.pid()), 0);
}

fn steals() {
    let (_master, tty) = with_terminal();
    if fork() == Ok(Fork::Child) {
        setsid().expect("setsid");
        tell(word(tiocsctty(&tty)));
        tell(std::process::id());
    }
    wait_release();
}

fn a_terminal_is_not_stolen() {
    let running = fixture("steals").start();
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    assert_eq!(proc::terminal(running.hear_pid()), 0);
    assert_ne!(proc::terminal(running.pid()), 0);
}

fn takes_what_hung_up() {
    setsid().expect("setsid");
    let (master, tty) = terminal();
    drop(master);
    tell(word(tiocsctty(&tty)));
}

fn a_terminal_that_has_hung_up_is_not_taken() {
    assert_eq!(fixture("takes_what_hung_up").run().0, format!("{}\n", Errno::IO.raw_os_error()));
}

/// Leads a session with a terminal: both of its sides. Hang-ups are ignored.
fn with_terminal() -> (OwnedFd, OwnedFd) {
    ignore_signal(Signal::HUP).expect("ignore");
    setsid().expect("setsid");
    let (master, tty) = terminal();
    tiocsctty(&tty).expect("a controlling terminal");
    (master, tty)
}

/// Gives the terminal up when the test says so.
fn give_up() {
    tell(std::process::id());
    wait_byte();
    tell(word(tiocnotty()));
    wait_release();
}

fn leader_gives_up() {
    let _terminal = with_terminal();
    let (ended, leader) = rustix::pipe::pipe().expect("a pipe");
    if fork() == Ok(Fork::Child) {
        tell(std::process::id());
        drop(leader);
        // Not at the channel: what the test says there is for the leader.
        assert!(support::readable(ended.as_fd(), support::LIMIT));
        return;
    }
    give_up();
}

fn a_leader_gives_the_terminal_up_for_its_session() {
    let mut running = fixture("leader_gives_up").start();
    let both = [running.hear_pid(), running.hear_pid()];
    assert!(both.contains(&running.pid()));
    let fds = proc::fds(running.pid());
    assert!(both.iter().all(|pid| proc::terminal(*pid) != 0));
    running.step();
    assert_eq!(running.hear(), "ok");
    assert_eq!(both.map(proc::terminal), [0, 0]);
    assert_eq!(both.map(proc::session), [running.pid(); 2]);
    assert_eq!(proc::fds(running.pid()), fds);
}

fn leader_is_hung_up() {
    let _terminal = with_terminal();
    reset_signals().expect("reset");
    give_up();
}

fn a_leader_that_does_not_ignore_it_is_hung_up() {
    let mut running = fixture("leader_is_hung_up").start();
    assert_eq!(running.hear_pid(), running.pid());
    running.step();
    assert_eq!(running.status().signal(), Some(Signal::HUP.as_raw()));
}

fn member_gives_up() {
    let _terminal = with_terminal();
    if fork() == Ok(Fork::Child) {
        return give_up();
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

fn hung_up() {
    drop(with_terminal());
    tell(word(tiocnotty()));
}

fn no_terminal_is_no_error() {
    assert_eq!(fixture("nothing_to_give_up").run().0, "ok\n");
    assert_eq!(fixture("hung_up").run().0, "ok\n");
}

fn no_dev() {
    hostile::cover(c"/dev");
    nothing_to_give_up();
}

fn without_dev_there_is_no_telling() {
    assert_eq!(fixture("no_dev").run().0, format!("{}\n", Errno::NOENT.raw_os_error()));
}

/// Tells how giving up went when `/dev/tty` could not be opened, and goes on with its terminal.
fn cannot_open() {
    let _terminal = with_terminal();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).expect("a lower limit");
    tell(word(tiocnotty()));
    setrlimit(Resource::Nofile, limit).expect("the former limit");
    hostile::deny(&[(libc::SYS_openat, Errno::ACCESS), (hostile::SYS_OPEN, Errno::ACCESS)]);
    tell(word(tiocnotty()));
    wait_release();
}

fn a_terminal_that_cannot_be_opened_is_kept_and_told() {
    let running = fixture("cannot_open").start();
    assert_eq!(running.hear(), Errno::MFILE.raw_os_error().to_string());
    assert_eq!(running.hear(), Errno::ACCESS.raw_os_error().to_string());
    assert_ne!(proc::terminal(running.pid()), 0);
}

fn denied() {
    let _terminal = with_terminal();
    tell(proc::fds(std::process::id() as i32).len());
    hostile::deny(&[(libc::SYS_ioctl, Errno::PERM)]);
    tell(word(tiocnotty()));
    wait_release();
}

fn a_denied_call_is_an_error() {
    let running = fixture("denied").start();
    let fds: usize = running.hear().parse().expect("a number");
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    // One less: that by which it looked at them.
    assert_eq!(proc::fds(running.pid()).len(), fds - 1);
}
