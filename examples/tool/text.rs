//! What errors are called.

use super::FAILED;
use super::line::Line;
use core::ffi::CStr;
use rustix::io::Errno;

/// "daemon: cannot WHAT (WHICH): REASON"; the exit status for it.
pub(crate) fn complain<'a>(what: &str, which: impl IntoIterator<Item = &'a CStr>, errno: Errno) -> i32 {
    match reason(errno) {
        Some(reason) => cannot(what, which).text(reason),
        None => cannot(what, which).text("error ").number(errno.raw_os_error().unsigned_abs().into()),
    }
    .err();
    FAILED
}

/// The same of a pid file, where some of errno's words would puzzle.
pub(crate) fn complain_of_pid_file(what: &str, path: &CStr, errno: Errno) -> i32 {
    let unfit = match errno {
        Errno::LOOP => "it is a symbolic link",
        Errno::INVAL => "it is not a regular file",
        Errno::PERM => "it is another user's",
        Errno::MLINK => "it has a second name",
        Errno::BUSY => "another program has it locked",
        _ => return complain(what, [path], errno),
    };
    cannot(what, [path]).text(unfit).err();
    FAILED
}

fn cannot<'a>(what: &str, which: impl IntoIterator<Item = &'a CStr>) -> Line {
    let mut line = Line::new().text("daemon: cannot ").text(what);
    let mut before = " (";
    for which in which {
        line = line.text(before).shown(which.to_bytes());
        before = ", ";
    }
    line.text(if before == ", " { "): " } else { ": " })
}

/// The errors that a user meets, in the words of errno(3).
fn reason(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::PERM => "Operation not permitted",
        Errno::NOENT => "No such file or directory",
        Errno::INTR => "Interrupted system call",
        Errno::IO => "Input/output error",
        Errno::NXIO => "No such device or address",
        Errno::TOOBIG => "Argument list too long",
        Errno::NOEXEC => "Exec format error",
        Errno::BADF => "Bad file descriptor",
        Errno::AGAIN => "Resource temporarily unavailable",
        Errno::NOMEM => "Cannot allocate memory",
        Errno::ACCESS => "Permission denied",
        Errno::BUSY => "Device or resource busy",
        Errno::EXIST => "File exists",
        Errno::NOTDIR => "Not a directory",
        Errno::ISDIR => "Is a directory",
        Errno::INVAL => "Invalid argument",
        Errno::NFILE => "Too many open files in system",
        Errno::MFILE => "Too many open files",
        Errno::TXTBSY => "Text file busy",
        Errno::FBIG => "File too large",
        Errno::NOSPC => "No space left on device",
        Errno::ROFS => "Read-only file system",
        Errno::MLINK => "Too many links",
        Errno::NAMETOOLONG => "File name too long",
        Errno::NOLCK => "No locks available",
        Errno::NOSYS => "Function not implemented",
        Errno::LOOP => "Too many levels of symbolic links",
        Errno::STALE => "Stale file handle",
        Errno::DQUOT => "Disk quota exceeded",
        Errno::CANCELED => "Operation canceled",
        Errno::TIMEDOUT => "Timed out",
        Errno::PROTO => "Protocol error",
        _ => return None,
    })
}
