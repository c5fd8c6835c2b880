//! What init starts on the console, in place of a shell: tells facts about daemons as `/proc` shows them, one a line, and then
//! asks init to shut down.
//!
//! ```text
//! fact NAME ok
//! fact NAME WRONG saw=...
//! ```

#![no_std]
#![no_main]

mod call;
mod daemon;
mod end;
mod handoff;
mod init;
mod missing;
mod orphans;
mod proc;
mod text;

use call::{Inherit, call};
use core::ffi::CStr;
use daemon::{Promise, refused, start, stop};
use daemon_steps::{EnvBlock, ThinCStr};
use rustix::fs::{CWD, Mode, OFlags, openat};
use text::Teller;

nolibc::program!(main);

fn main(_: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    // SAFETY: init has opened it; if not, nothing is told, and that is a failure.
    #[allow(unsafe_code)]
    let to = unsafe { rustix::fd::BorrowedFd::borrow_raw(1) };
    let about = |about| Teller { to, about };
    if is_first() {
        init::console_facts(&about("console"));
        return 0;
    }
    init::console_facts(&about("console-again"));
    init::facts(&about("init"));
    the_daemon(&about("daemon"), env);
    the_minimal(&about("minimal"), env);
    missing::proc(&about("noproc"), env);
    missing::null(&about("nonull"), env);
    handoff::facts(&about("handoff"));
    orphans::facts(&about("orphans"));
    end::facts(&about("end"))
}

/// Whether init starts this program for the first time; it is to start it again when it has ended.
fn is_first() -> bool {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    openat(CWD, c"/run/check.started", flags, Mode::RUSR).is_ok()
}

fn the_daemon(tell: &Teller<'_>, env: &EnvBlock<'_>) {
    const PID_FILE: &CStr = c"/run/check-daemon.pid";
    start(tell, PID_FILE, env);
    if let Some(pid) = (Promise { pid_file: PID_FILE, from: "/run", leads: false }).facts(tell) {
        refused(tell, PID_FILE, pid, env);
        stop(tell, PID_FILE, pid, env);
    }
}

fn the_minimal(tell: &Teller<'_>, env: &EnvBlock<'_>) {
    const PID_FILE: &CStr = c"/run/check-minimal.pid";
    let minimal = || call(&[c"/bin/minimal", PID_FILE], Inherit::Streams, env);
    daemon::ended(tell, "start", &minimal(), 0, "", "");
    if let Some(pid) = (Promise { pid_file: PID_FILE, from: "/bin", leads: false }).facts(tell) {
        // 64, and the number of the step that locks the pid file.
        daemon::ended(tell, "second-start", &minimal(), 64 + daemon_steps::Step::LockPidFile as i32, "", "");
        stop(tell, PID_FILE, pid, env);
    }
}
