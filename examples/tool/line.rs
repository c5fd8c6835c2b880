//! The line that the tool writes on: put together in place, then printed, or used as a path.

use core::ffi::CStr;
use daemon_steps::Holder;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::readlinkat_raw;
use rustix::io::{retry_on_intr, write};
use rustix::process::Pid;

/// What is longer is cut. It is more than two paths may have: if one is cut here, it is too long for the kernel, too.
const LENGTH: usize = 8200;

/// What a user has given is cut here, so that what follows is seen.
const SHOWN: usize = 200;

pub(crate) const STDIN: BorrowedFd<'static> = standard(0);
pub(crate) const STDOUT: BorrowedFd<'static> = standard(1);
pub(crate) const STDERR: BorrowedFd<'static> = standard(2);

const fn standard(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the standard streams were filled at the start, and stay open.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(number)
    }
}

pub(crate) struct Line {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; LENGTH], length: 0 }
    }

    /// Begins anew.
    pub(crate) fn begin(&mut self, text: &str) -> &mut Self {
        self.cut(0).text(text)
    }

    /// Begins a complaint.
    pub(crate) fn error(&mut self, text: &str) -> &mut Self {
        self.begin("daemon: ").text(text)
    }

    fn byte(&mut self, byte: u8) {
        // The last place is kept for the newline, or the null.
        if let (Some(place), true) = (self.bytes.get_mut(self.length), self.length < LENGTH - 1) {
            *place = byte;
            self.length += 1;
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &byte in bytes {
            self.byte(byte);
        }
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// What a user has given, in a form that leaves the line one line, and the terminal alone.
    pub(crate) fn shown(&mut self, word: &[u8]) -> &mut Self {
        for &byte in word.iter().take(SHOWN) {
            self.byte(if byte < b' ' || byte == 0x7f { b'?' } else { byte });
        }
        if word.len() > SHOWN { self.text("...") } else { self }
    }

    pub(crate) fn number(&mut self, number: u32) -> &mut Self {
        if number > 9 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
        self
    }

    pub(crate) fn pid(&mut self, pid: Pid) -> &mut Self {
        self.number(pid.as_raw_nonzero().get() as u32)
    }

    /// What the symbolic link leads to; `None` if it cannot be read.
    pub(crate) fn link(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Option<&mut Self> {
        self.length += readlinkat_raw(directory, name, self.bytes.get_mut(self.length..)?).ok()?;
        Some(self)
    }

    pub(crate) fn holder(&mut self, holder: Holder) -> &mut Self {
        let how = match holder {
            Holder::Running(pid) => return self.text("running, pid ").pid(pid),
            Holder::Starting => "starting",
            Holder::OutOfSight => "running, in another pid namespace",
            Holder::LeftBehind => "ended, but what it left behind still holds its pid file",
            Holder::Nobody => "not running",
        };
        self.text(how)
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Leaves the first `length` bytes.
    pub(crate) fn cut(&mut self, length: usize) -> &mut Self {
        self.length = length;
        self
    }

    /// What is on the line from `start` on, as a path.
    pub(crate) fn path(&mut self, start: usize) -> &CStr {
        let path = self.end(0).get(start..).unwrap_or_default();
        CStr::from_bytes_until_nul(path).unwrap_or_default()
    }

    /// Writes the line to standard output.
    pub(crate) fn out(&mut self) {
        print(STDOUT, self.end(b'\n'));
    }

    /// Writes the line to standard error.
    pub(crate) fn err(&mut self) {
        print(STDERR, self.end(b'\n'));
    }

    fn end(&mut self, byte: u8) -> &[u8] {
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = byte;
        }
        self.bytes.get(..=self.length).unwrap_or_default()
    }
}

/// Writes to a standard stream. Nobody can be told if that fails.
pub(crate) fn print(stream: BorrowedFd<'_>, text: &[u8]) {
    let mut rest = text;
    while let Ok(written @ 1..) = retry_on_intr(|| write(stream, rest)) {
        rest = rest.get(written..).unwrap_or_default();
    }
}
