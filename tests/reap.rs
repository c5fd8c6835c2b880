//! Ended children: zombies are seen in `/proc`, and seen to go.

mod support;

use daemon_steps::{Fork, exit, fork, reap, reap_by_kernel, set_child_subreaper};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, kill_process, waitpid};
use support::{fixture, hostile, proc, tell, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("reaps", reaps),
            ("reaps_nobody", reaps_nobody),
            ("denied", denied),
            ("only_the_first", only_the_first),
            ("stopped", stopped),
            ("reaped_by_kernel", reaped_by_kernel),
            ("adopts", adopts),
            ("adopts_no_more", adopts_no_more),
            ("inherits", inherits),
        ],
        vec![
            test("all_that_have_ended_are_reaped_and_told", all_that_have_ended_are_reaped_and_told),
            test("no_children_are_no_error", no_children_are_no_error),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
            test("a_change_that_is_denied_is_an_error", a_change_that_is_denied_is_an_error),
            test("who_is_stopped_is_not_reaped", who_is_stopped_is_not_reaped),
            test("where_the_kernel_reaps_there_is_nobody_to_reap", where_the_kernel_reaps_there_is_nobody_to_reap),
            test("a_subreaper_adopts_orphans_and_reaps_them", a_subreaper_adopts_orphans_and_reaps_them),
            test("who_is_a_subreaper_no_longer_adopts_nobody", who_is_a_subreaper_no_longer_adopts_nobody),
            test("a_child_of_a_subreaper_is_none", a_child_of_a_subreaper_is_none),
        ],
    );
}

/// A child that has ended, and is not reaped.
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

fn only_the_first() {
    hostile::deny_if(&[(libc::SYS_prctl, Some(libc::PR_SET_CHILD_SUBREAPER as u32), Errno::PERM)]);
    tell(word(set_child_subreaper(true)));
}

fn a_change_that_is_denied_is_an_error() {
    assert_eq!(fixture("only_the_first").run().0, format!("{}\n", Errno::PERM.raw_os_error()));
}

fn stopped() {
    let child = match fork().expect("fork") {
        Fork::Parent(child) => child,
        Fork::Child => {
            kill_process(rustix::process::getpid(), Signal::STOP).expect("this process");
            exit(0)
        }
    };
    support::until("the child is stopped", || proc::state(child.as_raw_nonzero().get()) == "T");
    tell(word(reap(|_, _| panic!("a stopped child has not ended"))));
    kill_process(child, Signal::KILL).expect("the child is there");
    support::wait_end(child.as_raw_nonzero().get());
    tell(reap(|_, _| ()).expect("reap"));
}

fn who_is_stopped_is_not_reaped() {
    assert_eq!(fixture("stopped").run().0, "ok\n1\n");
}

fn reaped_by_kernel() {
    reap_by_kernel().expect("reap_by_kernel");
    zombie(|| exit(1));
    tell(reap(|_, _| panic!("the kernel has reaped it")).expect("reap"));
}

fn where_the_kernel_reaps_there_is_nobody_to_reap() {
    assert_eq!(fixture("reaped_by_kernel").run().0, "0\n");
}

/// The pid of a grandchild whose parent has ended, and been reaped; it waits for the release.
fn orphan() -> i32 {
    let (told, tell) = rustix::pipe::pipe().expect("a pipe");
    match fork().expect("fork") {
        Fork::Parent(child) => {
            waitpid(Some(child), WaitOptions::empty()).expect("the child ends");
            let mut pid = [0; 4];
            assert_eq!(rustix::io::read(&told, &mut pid), Ok(4));
            i32::from_ne_bytes(pid)
        }
        Fork::Child => {
            if fork().expect("fork") == Fork::Child {
                rustix::io::write(&tell, &std::process::id().to_ne_bytes()).expect("the pipe");
                wait_release();
            }
            exit(0)
        }
    }
}

fn adopts() {
    support::need_subreaper();
    assert_eq!(set_child_subreaper(true), Ok(false));
    assert_eq!(set_child_subreaper(true), Ok(true));
    let orphan = orphan();
    tell(orphan);
    wait_release();
    support::wait_end(orphan);
    let mut reaped = Vec::new();
    assert_eq!(reap(|pid, _| reaped.push(pid.as_raw_nonzero().get())), Ok(1));
    assert_eq!(reaped, [orphan]);
}

fn a_subreaper_adopts_orphans_and_reaps_them() {
    let mut running = fixture("adopts").start();
    assert_eq!(proc::parent(running.hear_pid()), running.pid());
    running.release();
    assert!(running.status().success());
}

fn adopts_no_more() {
    support::need_subreaper();
    set_child_subreaper(true).expect("a subreaper");
    assert_eq!(set_child_subreaper(false), Ok(true));
    assert_eq!(set_child_subreaper(false), Ok(false));
    tell(orphan());
    wait_release();
}

fn who_is_a_subreaper_no_longer_adopts_nobody() {
    let running = fixture("adopts_no_more").start();
    assert_ne!(proc::parent(running.hear_pid()), running.pid());
}

fn inherits() {
    support::need_subreaper();
    set_child_subreaper(true).expect("a subreaper");
    zombie(|| exit(i32::from(set_child_subreaper(false) == Ok(true))));
    assert_eq!(reap(|_, status| tell(status.exit_status().expect("an exit"))), Ok(1));
}

fn a_child_of_a_subreaper_is_none() {
    assert_eq!(fixture("inherits").run().0, "0\n");
}
