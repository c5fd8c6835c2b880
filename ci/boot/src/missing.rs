//! Without `/proc`, and without the null device.

use crate::call::{Inherit, call};
use crate::daemon::{Promise, ended, refused, said_started, start, stop, tool};
use crate::proc::contents;
use crate::text::Teller;
use core::ffi::CStr;
use daemon_steps::EnvBlock;
use rustix::fs::{AtFlags, CWD, FileType, Mode, makedev, mknodat, statat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// A daemon that is started while `/proc` is not mounted is what any other is.
pub(crate) fn proc(tell: &Teller<'_>, env: &EnvBlock<'_>) {
    const PID_FILE: &CStr = c"/run/noproc.pid";
    let gone = unmount(c"/proc", UnmountFlags::DETACH);
    let left = statat(CWD, c"/proc/self", AtFlags::SYMLINK_NOFOLLOW).map(drop);
    tell.fact("unmounted", left == Err(Errno::NOENT), format_args!("{gone:?} {left:?}"));
    start(tell, PID_FILE, env);
    ended(tell, "stop-unseen", &tool(c"stop", PID_FILE, env), 0, "stopped\n", "");
    start(&Teller { about: "noproc-again", ..*tell }, PID_FILE, env);
    let mounted = mount(c"proc", c"/proc", c"proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None);
    tell.fact("mounted", mounted.is_ok(), format_args!("{mounted:?}"));
    if let Some(pid) = (Promise { pid_file: PID_FILE, from: "/run", leads: false }).facts(tell) {
        refused(tell, PID_FILE, pid, env);
        stop(tell, PID_FILE, pid, env);
    }
}

/// Where there is no null device a start that needs it is refused, and leaves nothing; one that does not is none the worse.
pub(crate) fn null(tell: &Teller<'_>, env: &EnvBlock<'_>) {
    const PID_FILE: &CStr = c"/run/nonull.pid";
    const STREAMS: &str = "daemon: cannot redirect standard input, output and error: No such file or directory\n";
    const FILL: &str = "daemon: cannot fill descriptors 0, 1 and 2: No such file or directory\n";
    let removed = unlinkat(CWD, c"/dev/null", AtFlags::empty());
    tell.fact("unlinked", removed.is_ok(), format_args!("{removed:?}"));
    let command = [c"/bin/daemon", c"start", c"--pidfile", PID_FILE];
    ended(tell, "start", &call(&command, Inherit::OutputTwice, env), 1, "", STREAMS);
    ended(tell, "start-no-input", &call(&command, Inherit::NoInput, env), 1, "", FILL);
    let left = statat(CWD, PID_FILE, AtFlags::SYMLINK_NOFOLLOW).map(drop);
    tell.fact("removed", left == Err(Errno::NOENT), format_args!("{left:?}"));
    ended(tell, "status", &tool(c"status", PID_FILE, env), 3, "not running\n", "");
    with_files(tell, PID_FILE, env);
    let made = mknodat(CWD, c"/dev/null", FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3));
    tell.fact("made", made.is_ok(), format_args!("{made:?}"));
    // It is there again, and what is closed is filled with it.
    said_started(tell, "start-filled", &call(&command, Inherit::NoInput, env));
    ended(tell, "stop-filled", &tool(c"stop", PID_FILE, env), 0, "stopped\n", "");
}

/// Nobody asks for the null device where each stream has a file.
fn with_files(tell: &Teller<'_>, pid_file: &CStr, env: &EnvBlock<'_>) {
    let out = c"/run/nonull.out";
    let words = [c"/bin/daemon", c"start", c"--pidfile", pid_file, c"--stdin", c"/bin/check", c"--stdout", out, c"--stderr", out];
    said_started(tell, "start-files", &call(&words, Inherit::OutputTwice, env));
    ended(tell, "stop-files", &tool(c"stop", pid_file, env), 0, "stopped\n", "");
    let written = contents(CWD, out);
    tell.fact("written", written.as_bytes().starts_with(b"working, line 1\n"), written);
}
