//! What a process has become, read from `/proc`, from outside.

use super::args::number;
use super::line::Line;
use super::text::parts;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, getpid};

/// Prints it, after what is on the line; `?` stands for what cannot be read (any more).
pub(crate) fn report(pid: Pid, line: &mut Line) {
    let mut buffer = [0; 3072];
    // In the `/proc` of another pid namespace the number is another's.
    let me = link(CWD, c"/proc/self", &mut buffer);
    if number(me, 10) != Some(getpid().as_raw_nonzero().get() as u32) {
        return;
    }
    let start = line.length();
    let process = open(CWD, line.text("/proc/").pid(pid).path(start));
    line.cut(start);
    let Ok(process) = process else { return };
    let stat = contents(&process, c"stat", &mut buffer);
    // The name, in parentheses, may hold anything: fields are counted from its end. The state is the third.
    let field = |number: usize| parts(parts(stat, b')').last()?, b' ').nth(number - 2);
    let terminal = if field(7) == Some(b"0") { "none" } else { "it may have one" };
    line.text("\n  session      ").bytes(field(6).unwrap_or(b"?"));
    line.text("\n  terminal     ").text(terminal);
    line.text("\n  directory    ").shown(link(process.as_fd(), c"cwd", &mut buffer));
    let status = contents(&process, c"status", &mut buffer);
    let mut value = |text: &str, name: &[u8]| {
        let value = parts(status, b'\n').find_map(|line| line.strip_prefix(name));
        line.text(text).bytes(value.unwrap_or(b"?"));
    };
    value("\n  umask        ", b"Umask:\t");
    value("\n  signals      blocked ", b"SigBlk:\t");
    value(" ignored ", b"SigIgn:\t");
    value(" caught ", b"SigCgt:\t");
    line.text("\n  descriptors  ");
    descriptors(&process, line);
}

fn open(directory: impl AsFd, path: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Where the symbolic link leads to.
fn link<'b>(directory: BorrowedFd<'_>, name: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    match readlinkat_raw(directory, name, &mut *buffer) {
        Ok(length) => buffer.get(..length).unwrap_or_default(),
        Err(_) => b"?",
    }
}

/// What is in the file, as far as it fits; nothing if it cannot be read.
fn contents<'b>(process: &OwnedFd, name: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    let file = open(process, name);
    let length = file.and_then(|file| retry_on_intr(|| read(&file, &mut buffer[..]))).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// The numbers of the open descriptors.
fn descriptors(process: &OwnedFd, line: &mut Line) {
    let Ok(directory) = open(process, c"fd") else {
        line.text("?");
        return;
    };
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name().to_bytes();
        if !name.starts_with(b".") {
            line.bytes(name).text(" ");
        }
    }
}
