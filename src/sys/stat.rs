//! What `/proc/PID/stat` tells of a process.

use super::code::Code;
use super::decimal::digits;
use rustix::fd::AsRawFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, getpid};

/// The bit of proc(5)'s field 9, `flags`, that says "has forked, and not called execve since".
const PF_FORKNOEXEC: u32 = 0x40;

/// Whether the process has executed a program since its fork. `ESRCH` if `/proc` is another pid namespace's,
/// where the number is another's.
///
/// Not inlined, so that the text does not stay on the caller's stack.
#[inline(never)]
pub(crate) fn has_executed(pid: Pid) -> Result<bool, Code> {
    if !shows_us() {
        return Err(Code::SRCH);
    }
    let mut path = [0; 24];
    let mut line = [0; 11];
    let parts = b"/proc/".iter().chain(digits(pid.as_raw_nonzero().get() as u32, &mut line)).chain(b"/stat");
    path.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    let path = super::c_str(&path)?;
    // Up to field 9, with the longest name that there is.
    let mut text = [0; 160];
    let file = super::openat(CWD, path, OFlags::CLOEXEC, Mode::empty())?;
    let length = super::read(file.as_raw_fd(), &mut text)?;
    let flags = flags(text.get(..length as usize).unwrap_or_default()).ok_or(Code::SRCH)?;
    Ok(flags & PF_FORKNOEXEC == 0)
}

/// Whether `/proc` is that of this pid namespace: its `self` names the asker there.
fn shows_us() -> bool {
    let mut link = [0; 11];
    let length = super::readlink(c"/proc/self", &mut link).unwrap_or(0);
    link.get(..length) == Some(digits(getpid().as_raw_nonzero().get() as u32, &mut [0; 11]))
}

/// Field 9, if it is there as a whole. The command's name, field 2, may hold anything: what follows its `)`, the last, is counted.
fn flags(text: &[u8]) -> Option<u32> {
    let mut spaces = 0;
    let mut flags = 0_u32;
    for &byte in text {
        match byte {
            b')' => (spaces, flags) = (0, 0),
            b' ' => spaces += 1,
            b'0'..=b'9' if spaces == 7 => flags = flags.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')),
            _ => {}
        }
    }
    (spaces > 7).then_some(flags)
}
