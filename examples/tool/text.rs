//! What errors are called.

use super::FAILED;
use super::line::Line;
use core::ffi::CStr;
use rustix::io::Errno;

/// The errors that a user meets: errno's number, its words, a null. Those from 128 on are said of a pid file, where
/// some of errno(3)'s own words would puzzle.
const REASONS: &[u8] = b"\
    \x01Operation not permitted\0\
    \x02No such file or directory\0\
    \x05Input/output error\0\
    \x07Argument list too long\0\
    \x08Exec format error\0\
    \x09Bad file descriptor\0\
    \x0bResource temporarily unavailable\0\
    \x0cCannot allocate memory\0\
    \x0dPermission denied\0\
    \x14Not a directory\0\
    \x15Is a directory\0\
    \x16Invalid argument\0\
    \x18Too many open files\0\
    \x1aText file busy\0\
    \x1cNo space left on device\0\
    \x1eRead-only file system\0\
    \x1fit has a second name\0\
    \x24File name too long\0\
    \x26Function not implemented\0\
    \x28Too many levels of symbolic links\0\
    \x6eTimed out\0\
    \x7aDisk quota exceeded\0\
    \x81it is another user's\0\
    \x90another program has it locked\0\
    \x96it is not a regular file\0\
    \xa8it is a symbolic link";

/// The parts of `text` between `separator`s.
pub(crate) fn parts(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    text.split(move |&byte| byte == separator)
}

/// `text` up to the separator, if there is one.
pub(crate) fn before(text: &[u8], separator: u8) -> &[u8] {
    parts(text, separator).next().unwrap_or_default()
}

pub(crate) fn holds(text: &[u8], byte: u8) -> bool {
    before(text, byte).len() < text.len()
}

/// "daemon: cannot WHAT (WHICH): REASON"; the exit status for it.
pub(crate) fn complain(line: &mut Line, what: &str, which: &[Option<&CStr>], errno: Errno) -> i32 {
    cannot(line, what, which, errno.raw_os_error() as u8)
}

/// The same of a pid file.
pub(crate) fn complain_of_pid_file(line: &mut Line, what: &str, path: &CStr, errno: Errno) -> i32 {
    cannot(line, what, &[Some(path)], errno.raw_os_error() as u8 | 128)
}

fn cannot(line: &mut Line, what: &str, which: &[Option<&CStr>], number: u8) -> i32 {
    line.error("cannot ").text(what);
    let (mut open, mut close) = (" (", ": ");
    for which in which.iter().flatten() {
        line.text(open).shown(which.to_bytes());
        (open, close) = (", ", "): ");
    }
    line.text(close);
    let errno = number % 128;
    match reason(number).or_else(|| reason(errno)) {
        Some(reason) => line.bytes(reason),
        None => line.text("error ").number(errno.into()),
    }
    .err();
    FAILED
}

fn reason(number: u8) -> Option<&'static [u8]> {
    parts(REASONS, 0).find_map(|reason| reason.strip_prefix(&[number]))
}
