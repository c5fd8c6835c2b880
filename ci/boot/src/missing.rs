//! Without `/proc`, and without the null device.

use crate::daemon::{Promise, ended, refused, start, stop, tool};
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
    let done = tool(c"start", PID_FILE, env);
    let said = done.out.as_bytes().starts_with(b"started, pid ");
    tell.fact("start", done.status == Some(0) && said && done.err.is("") && !done.left_open, done);
    ended(tell, "stop-unseen", &tool(c"stop", PID_FILE, env), 0, "stopped\n", "");
    start(&Teller { about: "noproc-again", ..*tell }, PID_FILE, env);
    let mounted = mount(c"proc", c"/proc", c"proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None);
    tell.fact("mounted", mounted.is_ok(), format_args!("{mounted:?}"));
    if let Some(pid) = (Promise { pid_file: PID_FILE, leads: Some(false) }).facts(tell) {
        refused(tell, PID_FILE, pid, env);
        stop(tell, PID_FILE, pid, env);
    }
}

/// Where there is no null device a start is refused, and leaves nothing.
pub(crate) fn null(tell: &Teller<'_>, env: &EnvBlock<'_>) {
    const PID_FILE: &CStr = c"/run/nonull.pid";
    const WHY: &str = "daemon: cannot redirect standard input, output and error: No such file or directory\n";
    let removed = unlinkat(CWD, c"/dev/null", AtFlags::empty());
    tell.fact("unlinked", removed.is_ok(), format_args!("{removed:?}"));
    ended(tell, "start", &tool(c"start", PID_FILE, env), 1, "", WHY);
    let left = statat(CWD, PID_FILE, AtFlags::SYMLINK_NOFOLLOW).map(drop);
    tell.fact("removed", left == Err(Errno::NOENT), format_args!("{left:?}"));
    ended(tell, "status", &tool(c"status", PID_FILE, env), 3, "not running\n", "");
    let made = mknodat(CWD, c"/dev/null", FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3));
    tell.fact("made", made.is_ok(), format_args!("{made:?}"));
}
