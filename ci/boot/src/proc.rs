//! What `/proc` tells of a process.

use crate::text::Text;
use core::ffi::CStr;
use core::fmt::Display;
use core::mem::MaybeUninit;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::{Result, read, retry_on_intr};
use rustix::process::Pid;

/// Long enough for each file that is read here.
pub(crate) type Contents = Text<4096>;

pub(crate) struct Process(OwnedFd);

impl Process {
    pub(crate) fn open(pid: impl Display) -> Result<Self> {
        let path: Text<64> = Text::of(format_args!("/proc/{pid}\0"));
        directory(CWD, CStr::from_bytes_until_nul(path.as_bytes()).unwrap_or(c"")).map(Self)
    }

    pub(crate) fn of(pid: Pid) -> Result<Self> {
        Self::open(pid.as_raw_nonzero())
    }

    /// A field of `stat`, by its number in proc(5). The name, in parentheses, may hold anything: fields are counted from its end.
    pub(crate) fn stat(&self, number: usize) -> Text<32> {
        let stat = contents(&self.0, c"stat");
        let fields = stat.as_bytes().rsplit(|&byte| byte == b')').next().unwrap_or_default();
        word(fields.split(|&byte| byte == b' ').nth(number - 2))
    }

    /// A line of `status`.
    pub(crate) fn status(&self, name: &str) -> Text<32> {
        let status = contents(&self.0, c"status");
        let mut lines = status.as_bytes().split(|&byte| byte == b'\n');
        word(lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":\t")))
    }

    pub(crate) fn link(&self, name: &CStr) -> Text<256> {
        link(&self.0, name)
    }

    /// Calls `see` with each descriptor's number and what it leads to.
    pub(crate) fn descriptors(&self, mut see: impl FnMut(i32, &Text<256>)) -> Result<()> {
        let fds = directory(&self.0, c"fd")?;
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(&fds, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if let Some(number) = number(entry.file_name().to_bytes()) {
                see(number, &link(&fds, entry.file_name()));
            }
        }
        Ok(())
    }

    /// The device that a descriptor leads to; nothing if it leads to no device.
    pub(crate) fn device(&self, fd: i32) -> Option<(u32, u32)> {
        let path: Text<32> = Text::of(format_args!("fd/{fd}\0"));
        let stat = statat(&self.0, CStr::from_bytes_until_nul(path.as_bytes()).ok()?, AtFlags::empty()).ok()?;
        let device = stat.st_rdev;
        Some((rustix::fs::major(device), rustix::fs::minor(device))).filter(|_| device != 0)
    }
}

/// Calls `see` with every process that there is.
pub(crate) fn all(mut see: impl FnMut(Pid, &Process)) -> Result<()> {
    let processes = directory(CWD, c"/proc")?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&processes, &mut buffer);
    while let Some(entry) = entries.next() {
        let pid = number(entry?.file_name().to_bytes()).and_then(Pid::from_raw);
        if let Some((pid, Ok(process))) = pid.map(|pid| (pid, Process::of(pid))) {
            see(pid, &process);
        }
    }
    Ok(())
}

/// What is in the file, as far as it fits; nothing if it cannot be read.
pub(crate) fn contents(at: impl rustix::fd::AsFd, name: &CStr) -> Contents {
    let mut contents = Contents::new();
    if let Ok(file) = openat(at, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        contents.fill(|rest| retry_on_intr(|| read(&file, &mut *rest)));
    }
    contents
}

pub(crate) fn number(digits: &[u8]) -> Option<i32> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn directory(at: impl rustix::fd::AsFd, name: &CStr) -> Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn link(at: impl rustix::fd::AsFd, name: &CStr) -> Text<256> {
    let mut link = [0; 256];
    let length = readlinkat_raw(at, name, &mut link[..]).unwrap_or(0);
    let mut text = Text::new();
    text.push(link.get(..length).unwrap_or_default());
    text
}

fn word(bytes: Option<&[u8]>) -> Text<32> {
    let mut text = Text::new();
    text.push(bytes.unwrap_or(b"?"));
    text
}
