//! Text in a fixed place, and the lines that the host reads.

use crate::call::until;
use core::fmt::{Display, Formatter, Result, Write};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::{retry_on_intr, write};

/// What does not fit is cut.
#[derive(Clone, Copy)]
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    pub(crate) fn of(value: impl Display) -> Self {
        let mut text = Self::new();
        // The only error is "cut", and a cut text is what is wanted then.
        let _ = write!(text, "{value}");
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn is(&self, value: impl Display) -> bool {
        self.as_bytes() == Self::of(value).as_bytes()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let rest = self.bytes.get_mut(self.length..).unwrap_or_default();
        rest.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.length += bytes.len().min(rest.len());
    }

    /// Fills the rest with what `read` reads until it reads nothing; whether it did so without an error.
    pub(crate) fn fill(&mut self, mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> bool {
        loop {
            let rest = self.bytes.get_mut(self.length..).unwrap_or_default();
            match read(rest) {
                Ok(0) => return true,
                Ok(length) => self.length += length,
                Err(_) => return false,
            }
        }
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl<const N: usize> Display for Text<N> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.as_bytes().utf8_chunks().try_for_each(|chunk| f.write_str(chunk.valid()))
    }
}

/// Where facts about one thing are told.
pub(crate) struct Teller<'a> {
    pub(crate) to: BorrowedFd<'a>,
    pub(crate) about: &'a str,
}

impl Teller<'_> {
    /// Tells one fact: it is as it should be, or what was seen instead.
    pub(crate) fn fact(&self, name: &str, right: bool, saw: impl Display) {
        let about = self.about;
        let line: Text<1024> = if right {
            Text::of(format_args!("fact {about}-{name} ok\n"))
        } else {
            let saw: Text<900> = Text::of(saw);
            Text::of(format_args!("fact {about}-{name} WRONG saw={}\n", saw.as_bytes().escape_ascii()))
        };
        say(self.to, line.as_bytes());
    }

    /// The fact that what is seen becomes what is `promised`.
    pub(crate) fn becomes(&self, name: &str, promised: impl Display, see: impl Fn() -> Text<32>) {
        let mut saw = see();
        until(|| {
            saw = see();
            saw.is(&promised)
        });
        self.is(name, promised, saw);
    }

    /// The fact that `saw` is what is `promised`.
    pub(crate) fn is(&self, name: &str, promised: impl Display, saw: impl Display) {
        let saw: Text<900> = Text::of(saw);
        self.fact(name, saw.is(promised), saw);
    }
}

fn say(to: impl AsFd, mut line: &[u8]) {
    while let Ok(written @ 1..) = retry_on_intr(|| write(&to, line)) {
        line = line.get(written..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
    }
}
