//! Ended children: zombies are seen in `/proc`, and seen to go.

mod support;

use daemon_steps::{Fork, exit, fork, reap, set_child_subreaper};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use support::{fixture, hostile, proc, tell, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("reaps", reaps),
            ("reaps_nobody", reaps_nobody),
            ("denied", denied),
            ("adopts", adopts),
            ("does_not_adopt", does_not_adopt),
        ],
        vec![
            test("all_that_have_ended_are_reaped_and_told", all_that_have_ended_are_reaped_and_told),
            test("no_children_are_no_error", no_children_are_no_error),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
            test("a_subreaper_adopts_orphans_until_it_is_none", a_subreaper_adopts_orphans_until_it_is_none),
        ],
    );
}

/// A child that exits with `status`, ended and not reaped.
fn zombie(end: impl FnOnce()) -> i32 {
    match fork().expect("fork") {
        Fork::Parent(child) => {
            let pid = child.as_raw_nonzero().get();
            support::wait_end(pid);
            pid
        }
        Fork::Child => {
            end();
            exit(0)
        }
    }
}

fn reaps() {
    let (held, hold) = rustix::pipe::pipe().expect("a pipe");
    let living = match fork().expect("fork") {
        Fork::Parent(child) => child,
        Fork::Child => {
            drop(hold);
            let _ = rustix::io::read(&held, &mut [0][..]);
            exit(0)
        }
    };
    let first = zombie(|| exit(3));
    let second = zombie(|| kill_process(rustix::process::getpid(), Signal::KILL).expect("this process"));
    let third = zombie(|| ());
    tell(format!("{first} {second} {third}"));
    support::wait_byte();
    let mut ended = Vec::new();
    let number = reap(|pid, status| ended.push((pid.as_raw_nonzero().get(), status.exit_status(), status.terminating_signal())));
    assert_eq!(number, Ok(3));
    ended.sort_unstable();
    let mut expected = vec![(first, Some(3), None), (second, None, Some(9)), (third, Some(0), None)];
    expected.sort_unstable();
    assert_eq!(ended, expected);
    assert_eq!(reap(|_, _| panic!("one lives, and no other is left")), Ok(0));
    tell(living.as_raw_nonzero());
    wait_release();
    drop(hold);
    support::wait_end(living.as_raw_nonzero().get());
    assert_eq!(reap(|_, _| ()), Ok(1));
}

fn all_that_have_ended_are_reaped_and_told() {
    let mut running = fixture("reaps").start();
    let pids: Vec<i32> = running.hear().split(' ').map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(pids.iter().map(|pid| proc::state(*pid)).collect::<Vec<_>>(), ["Z", "Z", "Z"]);
    running.step();
    let living = running.hear_pid();
    assert_eq!(proc::children(running.pid()), [living]);
    running.release();
    assert!(running.status().success());
}

fn reaps_nobody() {
    tell(word(reap(|_, _| panic!("there is no child"))));
}

fn no_children_are_no_error() {
    assert_eq!(fixture("reaps_nobody").run().0, "ok\n");
}

fn denied() {
    hostile::deny(&[(libc::SYS_wait4, Errno::PERM), (libc::SYS_prctl, Errno::INVAL)]);
    tell(word(reap(|_, _| ())));
    tell(word(set_child_subreaper(true)));
}

fn a_denied_call_is_an_error() {
    assert_eq!(fixture("denied").run().0, format!("{}\n{}\n", Errno::PERM.raw_os_error(), Errno::INVAL.raw_os_error()));
}

/// A grandchild whose parent has ended, and been reaped.
fn orphan() {
    match fork().expect("fork") {
        Fork::Parent(child) => {
            rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).expect("the child ends");
        }
        Fork::Child => {
            if fork().expect("fork") == Fork::Child {
                tell(std::process::id());
                wait_release();
            }
            exit(0);
        }
    }
}

fn adopts() {
    assert_eq!(set_child_subreaper(true), Ok(false));
    orphan();
    assert_eq!(set_child_subreaper(true), Ok(true));
    tell("adopted");
    rustix::process::wait(rustix::process::WaitOptions::empty()).expect("the orphan is a child");
}

fn does_not_adopt() {
    set_child_subreaper(true).expect("a subreaper");
    assert_eq!(set_child_subreaper(false), Ok(true));
    orphan();
    tell("not adopted");
    tell(word(reap(|_, _| ())));
    assert!(rustix::process::wait(rustix::process::WaitOptions::empty()).is_err(), "no child");
}

/// The two lines come in any order; the pid is the one that is a number.
fn orphan_of(running: &support::Running) -> i32 {
    let lines = [running.hear(), running.hear()];
    lines.iter().find_map(|line| line.parse().ok()).expect("a pid")
}

fn a_subreaper_adopts_orphans_until_it_is_none() {
    let running = fixture("adopts").start();
    assert_eq!(proc::parent(orphan_of(&running)), running.pid());
    let running = fixture("does_not_adopt").start();
    assert_ne!(proc::parent(orphan_of(&running)), running.pid());
}
