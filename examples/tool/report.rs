//! What a process has become, read from `/proc`, from outside.

use super::args::number;
use super::line::{Line, STDIN};
use super::text::parts;
use core::ffi::CStr;
use daemon_steps::{Stream, stdio_file};
use rustix::fs::{CWD, Mode, readlinkat_raw};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, getpid};

/// Adds it to what is on the line; `?` stands for what cannot be read (any more).
///
/// Standard input, which is not needed any more, becomes one file after the other.
pub(crate) fn report(pid: Pid, line: &mut Line) {
    let (mut link, mut stat, mut status) = ([0; 512], [0; 512], [0; 2048]);
    // In the `/proc` of another pid namespace the number is another's.
    if number(link_at(c"/proc/self", &mut link), 10) != Some(getpid().as_raw_nonzero().get() as u32) {
        return;
    }
    let start = line.length();
    let mut open = |name: &str| {
        let opened = stdio_file(Stream::Stdin, line.text("/proc/").pid(pid).text(name).path(start), Mode::empty());
        line.cut(start);
        opened
    };
    let stat = contents(open("/stat"), &mut stat);
    let status = contents(open("/status"), &mut status);
    let opened = open("/fd");
    let directory = link_at(line.text("/proc/").pid(pid).text("/cwd").path(start), &mut link);
    line.cut(start);
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
    match (opened, number(value(b"FDSize:\t"), 10)) {
        (Ok(()), Some(places)) => descriptors(places, line),
        _ => drop(line.text("?")),
    }
}

/// Where the symbolic link leads to.
fn link_at<'b>(path: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    match readlinkat_raw(CWD, path, &mut *buffer) {
        Ok(length) => buffer.get(..length).unwrap_or_default(),
        Err(_) => b"?",
    }
}

/// What is in the opened file, as far as it fits; nothing if it cannot be read.
fn contents(opened: Result<(), Errno>, buffer: &mut [u8]) -> &[u8] {
    let length = opened.and_then(|()| retry_on_intr(|| read(STDIN, &mut *buffer))).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// The numbers of the open descriptors, of so many places. Reading the directory would be less work for the kernel, but
/// rustix's way to do it has a panic path.
fn descriptors(places: u32, line: &mut Line) {
    for number in 0..places {
        let start = line.length();
        match readlinkat_raw(STDIN, line.number(number).path(start), &mut [0; 1][..]) {
            Ok(_) => line.text(" "),
            Err(_) => line.cut(start),
        };
    }
}
