//! umask(2), seen in `/proc/PID/status`.

mod support;

use daemon_steps::umask;
use rustix::fs::Mode;
use rustix::io::Errno;
use support::{fixture, hostile, proc, tell, test, wait_release, word};

fn main() {
    support::main(
        &[("sets", sets), ("denied", denied)],
        vec![
            test("the_mask_is_set_and_the_former_returned", the_mask_is_set_and_the_former_returned),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
        ],
    );
}

fn sets() {
    umask(Mode::from_raw_mode(0o077)).expect("umask");
    let former = umask(Mode::from_raw_mode(0o027)).expect("umask");
    tell(format!("{:o}", former.as_raw_mode()));
    wait_release();
}

fn the_mask_is_set_and_the_former_returned() {
    let running = fixture("sets").start();
    assert_eq!(running.hear(), "77");
    assert_eq!(proc::umask(running.pid()), "0027");
}

fn denied() {
    hostile::deny(&[(libc::SYS_umask, Errno::PERM)]);
    tell(word(umask(Mode::empty())));
}

fn a_denied_call_is_an_error() {
    assert_eq!(fixture("denied").run().0, "1\n");
}
