//! A moment that a wait must not outlast.

use super::code::Code;
use super::kernel::call;
use core::ffi::c_short;
use core::ptr::{from_mut, null_mut};
use core::time::Duration;
use linux_raw_sys::general as k;
use rustix::event::Timespec;
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};

const SECOND: u64 = 1_000_000_000;

/// A moment of `CLOCK_MONOTONIC`, in nanoseconds; or never.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<u64>);

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.map(|t| now().saturating_add(t.as_secs().saturating_mul(SECOND)).saturating_add(t.subsec_nanos().into())))
    }

    /// What is left, as poll(2) takes it: `None` is for ever.
    pub(crate) fn left(self) -> Option<Timespec> {
        self.0.map(|end| {
            let left = end.saturating_sub(now());
            Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as _ }
        })
    }
}

/// A millisecond, for what another process or the kernel is about to end. Whoever pauses counts, and
/// does not look at a clock: that may be denied, and a machine that stalls would turn many pauses into one.
pub(crate) fn pause() {
    let _ = ppoll(&mut [], &mut TimeLeft::of(Some(Duration::from_millis(1))));
}

/// What is left of a timeout; without one, for ever. The kernel counts it down, where a process waits in [`poll`].
#[derive(Clone, Copy)]
pub(crate) struct TimeLeft(Option<k::__kernel_old_timespec>);

impl TimeLeft {
    pub(crate) fn of(timeout: Option<Duration>) -> Self {
        Self(timeout.map(|t| k::__kernel_old_timespec {
            tv_sec: t.as_secs().try_into().unwrap_or(k::__kernel_old_time_t::MAX),
            tv_nsec: t.subsec_nanos() as usize as _,
        }))
    }
}

/// Waits until the descriptor can be read; whether that is before the time is over.
pub(crate) fn readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, Code> {
    let mut fds = [k::pollfd { fd: fd.as_raw_fd(), events: k::POLLIN as _, revents: 0 }];
    ppoll(&mut fds, &mut TimeLeft::of(timeout)).map(|ready| ready > 0)
}

/// Waits until one of two descriptors has something to say; whether it is the second. `ETIMEDOUT` when no time is left.
///
/// The kernel looks at one after the other.
pub(crate) fn poll(fds: [RawFd; 2], left: &mut TimeLeft) -> Result<bool, Code> {
    let mut fds = fds.map(|fd| k::pollfd { fd, events: k::POLLIN as _, revents: 0 });
    match ppoll(&mut fds, left)? {
        0 => Err(Code::TIMEDOUT),
        _ => Ok(fds[1].revents & k::POLLIN as c_short != 0),
    }
}

fn ppoll(fds: &mut [k::pollfd], left: &mut TimeLeft) -> Result<u32, Code> {
    let left = left.0.as_mut().map_or(null_mut(), from_mut);
    // SAFETY: the kernel writes to the descriptors and to the time left, and no mask is given.
    unsafe { call(k::__NR_ppoll, fds.as_mut_ptr() as usize, fds.len(), left as usize) }
}

#[cfg(target_pointer_width = "64")]
const CLOCK_GETTIME: u32 = k::__NR_clock_gettime;
#[cfg(target_pointer_width = "32")]
const CLOCK_GETTIME: u32 = k::__NR_clock_gettime64;

/// By the system call: the vDSO's parser would be the largest part of a static program.
fn now() -> u64 {
    let mut time = k::__kernel_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec. It cannot fail for this clock; if a filter denies
    // the call the time stands at zero, and a wait lasts its full timeout once.
    let _ = unsafe { call(CLOCK_GETTIME, k::CLOCK_MONOTONIC as usize, &raw mut time as usize, 0) };
    (time.tv_sec as u64).saturating_mul(SECOND).saturating_add(time.tv_nsec as u64)
}
