//! stop and status.

use super::args::Call;
use super::line::Line;
use super::{DONE, FAILED, text};
use core::time::Duration;
use daemon_steps::{Holder, Stop, Stopped, holder, open_pid_file, remove_left_over};
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::process::Pid;

/// Stops the daemon, and removes the pid file that it left.
pub(crate) fn stop(call: &Call<'_>) -> i32 {
    let file = match open_pid_file(call.pid_file) {
        Ok(file) => file,
        Err(Errno::NOENT) => return not_running(),
        Err(errno) => return text::complain_of_pid_file("open the pid file", call.pid_file, errno),
    };
    let how = Stop { signal: call.signal, timeout: Some(call.timeout.unwrap_or(Duration::from_secs(10))), kill: call.kill };
    match daemon_steps::stop(&file, &how) {
        Ok(Stopped::Ended | Stopped::Killed) => {
            Line::new().text("stopped").out();
            if !matches!(holder(&file), Ok(Holder::Nobody)) {
                Line::new().text("its pid file is still held: by what it left behind, or by another start").out();
            }
        }
        Ok(Stopped::NotRunning(Holder::Nobody)) => {
            not_running();
        }
        Ok(Stopped::NotRunning(other)) => return cannot(other),
        Ok(Stopped::StillRunning) => return fail("it has not ended in time"),
        Err(Errno::PERM) => return fail("it is another user's: Operation not permitted"),
        Err(errno) => return text::complain("stop the daemon", [], errno),
    }
    // Where it cannot be removed it misleads nobody: nobody holds it.
    let _ = remove_left_over(call.pid_file);
    DONE
}

fn not_running() -> i32 {
    Line::new().text("not running").out();
    DONE
}

/// No process can be named: nobody was signalled.
fn cannot(holder: Holder) -> i32 {
    fail(match holder {
        Holder::Starting => "it is still starting",
        Holder::OutOfSight => "it runs in another pid namespace",
        _ => "it has ended, but what it left behind still holds its pid file",
    })
}

fn fail(why: &str) -> i32 {
    Line::new().text("daemon: not stopped: ").text(why).err();
    FAILED
}

/// Says how it stands; the exit status as the Linux Standard Base has it.
pub(crate) fn status(call: &Call<'_>) -> i32 {
    let file = match open_pid_file(call.pid_file) {
        Ok(file) => file,
        Err(Errno::NOENT) => return say("not running", None, 3),
        Err(errno) => {
            text::complain_of_pid_file("open the pid file", call.pid_file, errno);
            return 4;
        }
    };
    match holder(&file) {
        Ok(Holder::Running(pid)) => say("running, pid ", Some(pid), 0),
        Ok(Holder::OutOfSight) => say("running, in another pid namespace", None, 0),
        Ok(Holder::Starting) => say("starting", None, 4),
        Ok(Holder::LeftBehind) => say("it has ended, but what it left behind still holds its pid file", None, 4),
        Ok(Holder::Nobody) if fstat(&file).is_ok_and(|stat| stat.st_size == 0) => say("not running", None, 3),
        Ok(Holder::Nobody) => say("dead, and its pid file is left", None, 1),
        Err(errno) => {
            text::complain("ask who holds the pid file", [call.pid_file], errno);
            4
        }
    }
}

fn say(what: &str, pid: Option<Pid>, status: i32) -> i32 {
    let line = Line::new().text(what);
    match pid {
        Some(pid) => line.pid(pid),
        None => line,
    }
    .out();
    status
}
