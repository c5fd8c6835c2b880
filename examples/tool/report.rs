//! What a process has become, read from `/proc`, from outside.

use super::args::{borrow, number};
use super::line::Line;
use super::text::parts;
use core::ffi::CStr;
use daemon_steps::openat;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{CWD, Mode, OFlags, readlinkat_raw};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, getpid};

/// Adds it to what is on the line; `?` stands for what cannot be read (any more).
///
/// Not inlined, so that the buffers do not stay on the caller's stack.
#[inline(never)]
pub(crate) fn report(pid: Pid, line: &mut Line) {
    let (mut link, mut stat, mut status) = ([0; 512], [0; 512], [0; 2048]);
    // In the `/proc` of another pid namespace the number is another's.
    if number(link_at(CWD, c"/proc/self", &mut link), 10) != Some(getpid().as_raw_nonzero().get() as u32) {
        return;
    }
    let start = line.length();
    let opened = open(CWD, line.text("/proc/").pid(pid).path(start));
    line.cut(start);
    // There is no descriptor of the largest number.
    let process = borrow(opened.as_ref().map_or(RawFd::MAX, AsRawFd::as_raw_fd));
    let stat = contents(process, c"stat", &mut stat);
    let status = contents(process, c"status", &mut status);
    let directory = link_at(process, c"cwd", &mut link);
    // The name, in parentheses, may hold anything: fields are counted from its end. The state is the third.
    let field = |number: usize| parts(parts(stat, b')').last()?, b' ').nth(number - 2);
    let terminal = if field(7) == Some(b"0") { "none" } else { "it may have one" };
    line.text("\n  session      ").bytes(field(6).unwrap_or(b"?"));
    line.text("\n  terminal     ").text(terminal);
    line.text("\n  directory    ").shown(directory);
    let value = |name: &[u8]| parts(status, b'\n').find_map(|line| line.strip_prefix(name)).unwrap_or(b"?");
    line.text("\n  umask        ").bytes(value(b"Umask:\t"));
    line.text("\n  signals      blocked ").bytes(value(b"SigBlk:\t"));
    line.text(" ignored ").bytes(value(b"SigIgn:\t"));
    line.text(" caught ").bytes(value(b"SigCgt:\t"));
    line.text("\n  descriptors  ");
    match (open(process, c"fd"), number(value(b"FDSize:\t"), 10)) {
        (Ok(directory), Some(places)) => descriptors(borrow(directory.as_raw_fd()), places, line),
        _ => drop(line.text("?")),
    }
}

fn open(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, path, OFlags::CLOEXEC, Mode::empty())
}

/// Where the symbolic link leads to.
fn link_at<'b>(directory: BorrowedFd<'_>, path: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    match readlinkat_raw(directory, path, &mut *buffer) {
        Ok(length) => buffer.get(..length).unwrap_or_default(),
        Err(_) => b"?",
    }
}

/// What is in the file, as far as it fits; nothing if it cannot be read.
fn contents<'b>(directory: BorrowedFd<'_>, path: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    let length =
        open(directory, path).and_then(|file| retry_on_intr(|| read(borrow(file.as_raw_fd()), &mut *buffer))).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// The numbers of the open descriptors, of so many places. Reading the directory would be less work for the kernel, but
/// rustix's way to do it has a panic path.
fn descriptors(directory: BorrowedFd<'_>, places: u32, line: &mut Line) {
    for number in 0..places {
        let start = line.length();
        match readlinkat_raw(directory, line.number(number).path(start), &mut [0; 1][..]) {
            Ok(_) => line.text(" "),
            Err(_) => line.cut(start),
        };
    }
}
