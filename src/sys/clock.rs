//! A moment that a wait must not outlast.

use super::kernel::call;
use core::ptr::{from_mut, null_mut};
use core::time::Duration;
use linux_raw_sys::general as k;
use rustix::event::Timespec;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

#[cfg(target_pointer_width = "64")]
use linux_raw_sys::general::{__NR_clock_gettime as CLOCK_GETTIME, __NR_ppoll as PPOLL};
#[cfg(target_pointer_width = "32")]
use linux_raw_sys::general::{__NR_clock_gettime64 as CLOCK_GETTIME, __NR_ppoll_time64 as PPOLL};

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
    let mut left = k::__kernel_timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    // SAFETY: nothing is polled; the kernel writes into `left` what is left.
    let _ = unsafe { call(PPOLL, 0, 0, &raw mut left as usize, 0) };
}

/// Waits until the descriptor can be read; whether that is before the time is over.
pub(crate) fn readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<bool, Errno> {
    let mut poll = k::pollfd { fd: fd.as_raw_fd(), events: k::POLLIN as _, revents: 0 };
    let mut left = timeout
        .map(|t| k::__kernel_timespec { tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: t.subsec_nanos().into() });
    let left = left.as_mut().map_or(null_mut(), from_mut);
    loop {
        // SAFETY: one descriptor is polled; the kernel writes into `left` what is left, also when it is interrupted.
        match unsafe { call(PPOLL, &raw mut poll as usize, 1, left as usize, 0) } {
            Err(Errno::INTR) => {}
            ready => return ready.map(|ready| ready > 0),
        }
    }
}

/// By the system call: the vDSO's parser would be the largest part of a static program.
fn now() -> u64 {
    let mut time = k::__kernel_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec. It cannot fail for this clock; if a filter denies
    // the call the time stands at zero, and a wait lasts its full timeout once.
    let _ = unsafe { call(CLOCK_GETTIME, k::CLOCK_MONOTONIC as usize, &raw mut time as usize, 0, 0) };
    (time.tv_sec as u64).saturating_mul(SECOND).saturating_add(time.tv_nsec as u64)
}
