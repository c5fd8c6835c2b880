//! What a system call answers.

use core::hint::assert_unchecked;
use core::num::NonZeroI32;
use rustix::io::Errno;

/// An errno as the kernel answers it, -4095 to -1: what [`Errno`] is at the doors of this crate.
///
/// A `Result<(), Code>` is one number, zero when all is well, and goes through any number of functions in its
/// register. `Errno` leaves no such gap: a `Result` of it is packed and unpacked at each level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code(NonZeroI32);

macro_rules! codes {
    ($($name:ident)+) => {
        impl Code { $(pub(crate) const $name: Self = Self::of(Errno::$name);)+ }
    };
}

codes! {
    ACCESS AFNOSUPPORT AGAIN BADF BUSY INTR INVAL ISDIR LOOP MLINK NAMETOOLONG NOENT NXIO PERM PROTO ROFS SRCH STALE TIMEDOUT WOULDBLOCK
}

impl Code {
    const fn of(errno: Errno) -> Self {
        // SAFETY: there is no errno zero.
        Self(unsafe { NonZeroI32::new_unchecked(errno.raw_os_error().wrapping_neg()) })
    }
}

impl From<Errno> for Code {
    fn from(errno: Errno) -> Self {
        Self::of(errno)
    }
}

impl From<Code> for Errno {
    fn from(Code(code): Code) -> Self {
        // SAFETY: it was made from an `Errno`, or by `number`.
        unsafe { assert_unchecked(code.get() >= -4095 && code.get() < 0) };
        Self::from_raw_os_error(code.get().wrapping_neg())
    }
}

/// -4095 to -1 is an errno, anything else a result. No call of this crate has one that is more than an `int`.
pub(super) fn fit(answer: usize) -> i32 {
    if answer > -4096_isize as usize { answer as i32 } else { answer as i32 & i32::MAX }
}

/// What [`fit`] has let through.
pub(super) fn number(answer: i32) -> Result<u32, Code> {
    match NonZeroI32::new(answer) {
        Some(code) if answer < 0 => Err(Code(code)),
        _ => Ok(answer as u32),
    }
}
