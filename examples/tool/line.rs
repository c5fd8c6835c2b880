//! A line of output, put together in a buffer and written at once.

use core::ffi::CStr;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::{retry_on_intr, write};
use rustix::process::Pid;

/// Longer lines are cut.
const LENGTH: usize = 1024;

/// What a user has given is cut here, so that what follows is seen.
const SHOWN: usize = 200;

pub(crate) struct Line {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; LENGTH], length: 0 }
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let rest = self.bytes.get_mut(self.length..).unwrap_or_default();
        // One place is kept for the newline.
        let taken = bytes.len().min(rest.len().saturating_sub(1));
        rest.iter_mut().zip(bytes).take(taken).for_each(|(to, from)| *to = *from);
        self.length += taken;
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn c_str(self, text: &CStr) -> Self {
        self.bytes(text.to_bytes())
    }

    /// What a user has given, in a form that leaves the line one line, and the terminal alone.
    pub(crate) fn shown(mut self, word: &[u8]) -> Self {
        for &byte in word.iter().take(SHOWN) {
            self = self.bytes(&[if byte < b' ' || byte == 0x7f { b'?' } else { byte }]);
        }
        if word.len() > SHOWN { self.text("...") } else { self }
    }

    pub(crate) fn number(self, number: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut left = number;
        let mut first = digits.len() - 1;
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
            first = at;
            if left == 0 {
                break;
            }
        }
        self.bytes(digits.get(first..).unwrap_or_default())
    }

    pub(crate) fn pid(self, pid: Pid) -> Self {
        self.number(pid.as_raw_nonzero().get().unsigned_abs().into())
    }

    /// Whether this is what it says so far.
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        self.bytes.get(..self.length) == Some(text)
    }

    /// The line as a C string: what follows it in the buffer is zero.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    /// Writes the line to standard output. Nobody can be told if that fails.
    pub(crate) fn out(self) {
        self.write(1);
    }

    /// Writes the line to standard error.
    pub(crate) fn err(self) {
        self.write(2);
    }

    fn write(mut self, fd: RawFd) {
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = b'\n';
        }
        // SAFETY: the standard streams were filled at the start, and stay open.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut rest = self.bytes.get(..=self.length).unwrap_or_default();
        while let Ok(written @ 1..) = retry_on_intr(|| write(fd, rest)) {
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
    }
}
