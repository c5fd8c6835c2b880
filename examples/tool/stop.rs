//! stop and status.

use super::args::Call;
use super::line::Line;
use super::{DONE, FAILED, text};
use core::ffi::CStr;
use core::time::Duration;
use daemon_steps::{Holder, Stop, Stopped, holder, open_pid_file, remove_left_over};
use rustix::fs::stat;
use rustix::io::Errno;

/// What `status` answers when nobody knows.
pub(crate) const UNKNOWN: i32 = 4;

/// Stops the daemon, and removes the pid file that it left.
pub(crate) fn stop(call: &Call<'_>, line: &mut Line) -> i32 {
    let how = Stop { signal: call.signal, timeout: call.plan.timeout.or(Some(Duration::from_secs(10))), kill: call.kill };
    let file = match open_pid_file(call.pid_file) {
        Ok(file) => file,
        Err(errno) => return unopened(call, line, errno, DONE, FAILED),
    };
    match daemon_steps::stop(&file, &how) {
        Ok(Stopped::Ended | Stopped::Killed) => {
            line.begin("stopped").out();
            match holder(&file) {
                Ok(Holder::Nobody) | Err(_) => {}
                Ok(other) => line.begin("").holder(other).out(),
            }
        }
        Ok(Stopped::NotRunning(Holder::Nobody)) => line.begin("").holder(Holder::Nobody).out(),
        Ok(Stopped::NotRunning(other)) => {
            // No process can be named: nobody was signalled.
            line.error("not stopped: ").holder(other).err();
            return FAILED;
        }
        Ok(Stopped::StillRunning) => {
            line.error("not stopped: it has not ended in time").err();
            return FAILED;
        }
        Err(errno) => return text::complain_of_pid_file(line, "stop the daemon", call.pid_file, errno),
    }
    // Where it cannot be removed it misleads nobody: nobody holds it.
    let _ = remove_left_over(call.pid_file);
    DONE
}

/// Who holds the pid file, and whether something stands in it.
pub(crate) fn look(path: &CStr) -> Result<(Holder, bool), Errno> {
    let file = open_pid_file(path)?;
    Ok((holder(&file)?, stat(path)?.st_size > 0))
}

/// Says how it stands; the exit status as the Linux Standard Base has it.
pub(crate) fn status(call: &Call<'_>, line: &mut Line) -> i32 {
    let (holder, dead) = match look(call.pid_file) {
        Ok(found) => found,
        Err(errno) => return unopened(call, line, errno, 3, UNKNOWN),
    };
    if dead && holder == Holder::Nobody {
        line.begin("dead, and its pid file is left").out();
        return 1;
    }
    line.begin("").holder(holder).out();
    match holder {
        Holder::Running(_) | Holder::OutOfSight => 0,
        Holder::Nobody => 3,
        Holder::Starting | Holder::LeftBehind => UNKNOWN,
    }
}

/// Without a pid file nobody runs; if it cannot be opened, who knows.
fn unopened(call: &Call<'_>, line: &mut Line, errno: Errno, missing: i32, unknown: i32) -> i32 {
    if errno == Errno::NOENT {
        line.begin("").holder(Holder::Nobody).out();
        return missing;
    }
    text::complain_of_pid_file(line, "open the pid file", call.pid_file, errno);
    unknown
}
