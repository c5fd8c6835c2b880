//! What errors are called.

use super::FAILED;
use super::line::Line;
use core::ffi::CStr;
use rustix::io::Errno;

/// "daemon: cannot WHAT (WHICH): REASON"; the exit status for it.
pub(crate) fn complain(what: &str, which: Option<&CStr>, errno: Errno) -> i32 {
    let line = Line::new().text("daemon: cannot ").text(what);
    let line = match which {
        Some(which) => line.text(" (").c_str(which).text(")"),
        None => line,
    };
    let line = line.text(": ");
    match reason(errno) {
        Some(reason) => line.text(reason),
        None => line.text("error ").number(errno.raw_os_error().unsigned_abs().into()),
    }
    .err();
    FAILED
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
