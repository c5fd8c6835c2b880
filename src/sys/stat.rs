//! What `/proc/PID/stat` tells of a process.

use super::borrow;
use super::code::Code;
use super::decimal::line;
use core::ffi::CStr;
use rustix::fd::{AsRawFd, BorrowedFd};
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
    let proc = super::openat(CWD, c"/proc", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if !shows_us(borrow(&proc)) {
        return Err(Code::SRCH);
    }
    // The number stands before the slash.
    let mut path = *b"0123456789/stat\0";
    let [place @ .., _, _, _, _, _] = &mut path;
    let start = place.len() - line(pid.as_raw_nonzero().get() as u32, place).len();
    path[10] = b'/';
    // SAFETY: it is the place of a digit.
    let path = unsafe { path.get_unchecked(start..) };
    // SAFETY: the null is at the end, and no other.
    let path = unsafe { CStr::from_bytes_with_nul_unchecked(path) };
    // Up to field 9, with the longest name that there is.
    let mut text = [0; 160];
    let file = super::openat(borrow(&proc), path, OFlags::CLOEXEC, Mode::empty())?;
    let length = super::read(file.as_raw_fd(), &mut text)?;
    let flags = flags(text.get(..length as usize).unwrap_or_default()).ok_or(Code::SRCH)?;
    Ok(flags & PF_FORKNOEXEC == 0)
}

/// Whether `proc` is that of this pid namespace: its `self` names the asker there.
fn shows_us(proc: BorrowedFd<'_>) -> bool {
    let mut link = [0; 11];
    let length = super::readlink(proc, c"self", &mut link).unwrap_or(0);
    let digits = link.iter().take(length).map(|byte| u32::from(*byte).wrapping_sub(u32::from(b'0')));
    digits.fold(0, |number: u32, digit| number.wrapping_mul(10).wrapping_add(digit)) == getpid().as_raw_nonzero().get() as u32
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
