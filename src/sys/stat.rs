//! Numbers out of `/proc/PID/stat`.

use super::decimal::{self, Decimal};
use core::ffi::CStr;
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat_raw};
use rustix::io::{Errno, read};
use rustix::process::{Pid, getpid};

/// A field of proc(5)'s `stat`, counted from 1 as there.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    Flags = 9,
    NumThreads = 20,
}

/// The bit of [`Field::Flags`] that says "has forked, and not called execve since".
pub(crate) const PF_FORKNOEXEC: u64 = 0x40;

/// The number in one field of the process `pid`, or of this one. `ESRCH` if `/proc` is another pid namespace's,
/// where the number is another's.
pub(crate) fn stat(pid: Option<Pid>, field: Field) -> Result<u64, Errno> {
    if pid.is_some() && !shows_us() {
        return Err(Errno::SRCH);
    }
    let mut text = [0; 512];
    let path = pid.map(path_of);
    let path = path.as_ref().map_or(Ok(c"/proc/self/stat"), |path| CStr::from_bytes_until_nul(path));
    let file = openat(CWD, path.map_err(|_| Errno::INVAL)?, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = read(&file, &mut text[..])?;
    let text = text.get(..length).unwrap_or_default();
    parse(text, field).ok_or(Errno::INVAL)
}

/// Whether `/proc` is that of this pid namespace: its `self` names the asker there.
fn shows_us() -> bool {
    let mut link = [0; 11];
    let length = readlinkat_raw(CWD, c"/proc/self", &mut link[..]).unwrap_or(0);
    link.get(..length) == Some(Decimal::of(getpid().as_raw_nonzero().get().unsigned_abs()).digits())
}

/// `/proc/PID/stat`, and a null.
fn path_of(pid: Pid) -> [u8; 24] {
    let mut path = [0; 24];
    let pid = Decimal::of(pid.as_raw_nonzero().get().unsigned_abs());
    let parts = b"/proc/".iter().chain(pid.digits()).chain(b"/stat");
    path.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    path
}

/// The command's name, field 2, may hold anything: what follows its last `)` is counted.
fn parse(text: &[u8], field: Field) -> Option<u64> {
    let after = text.rsplit(|&byte| byte == b')').next()?;
    decimal::number(after.split(|&byte| byte == b' ').nth(field as usize - 2)?)
}
