//! What a process has become, read from `/proc`, from outside.

use super::line::Line;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::{Errno, read, retry_on_intr};
use rustix::process::{Pid, getpid};

/// Prints it; `?` stands for what cannot be read (any more).
pub(crate) fn report(pid: Pid) {
    // In the `/proc` of another pid namespace the number is another's.
    let mut link = [0; 512];
    let length = readlinkat_raw(CWD, c"/proc/self", &mut link[..]).unwrap_or(0);
    if !Line::new().pid(getpid()).is(link.get(..length).unwrap_or_default()) {
        return;
    }
    let Ok(process) = open_process(pid) else { return };
    let mut buffer = [0; 4096];
    let stat = contents(&process, c"stat", &mut buffer);
    // The name, in parentheses, may hold anything: fields are counted from its end. The state is the third.
    let field = |number: usize| stat.rsplit(|&byte| byte == b')').next()?.split(|&byte| byte == b' ').nth(number - 2);
    let session = field(6).unwrap_or(b"?");
    let terminal = field(7).map_or("?", |device| if device == b"0" { "none" } else { "it has one" });
    let leads = Line::new().pid(pid).is(session);
    item("session").bytes(session).text(if leads { ", which it leads" } else { ", which it does not lead" }).out();
    item("terminal").text(terminal).out();
    let length = readlinkat_raw(&process, c"cwd", &mut link[..]).unwrap_or(0);
    item("directory").shown(link.get(..length).filter(|link| !link.is_empty()).unwrap_or(b"?")).out();
    let status = contents(&process, c"status", &mut buffer);
    let line = |name: &[u8]| {
        let mut lines = status.split(|&byte| byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b":\t")).unwrap_or(b"?")
    };
    item("umask").bytes(line(b"Umask")).out();
    descriptors(&process).out();
    let signals = item("signals").text("blocked ").bytes(line(b"SigBlk"));
    signals.text(" ignored ").bytes(line(b"SigIgn")).text(" caught ").bytes(line(b"SigCgt")).out();
}

fn item(name: &str) -> Line {
    Line::new().text("  ").text(name).bytes(b"             ".get(name.len()..).unwrap_or_default())
}

fn open_process(pid: Pid) -> Result<OwnedFd, Errno> {
    let path = Line::new().text("/proc/").pid(pid);
    openat(CWD, path.as_c_str(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// What is in the file, as far as it fits; nothing if it cannot be read.
fn contents<'b>(process: &OwnedFd, name: &CStr, buffer: &'b mut [u8]) -> &'b [u8] {
    let file = openat(process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let length = file.and_then(|file| retry_on_intr(|| read(&file, &mut buffer[..]))).unwrap_or(0);
    buffer.get(..length).unwrap_or_default()
}

/// The numbers of the open descriptors.
fn descriptors(process: &OwnedFd) -> Line {
    let mut line = item("descriptors");
    let Ok(directory) = openat(process, c"fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else {
        return line.text("?");
    };
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        if !entry.file_name().to_bytes().starts_with(b".") {
            line = line.c_str(entry.file_name()).text(" ");
        }
    }
    line
}
