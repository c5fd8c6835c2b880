//! Dispositions, the mask, and synchronous waiting.

use crate::sys::{self, Change, Code, Deadline, Disposition};
use core::time::Duration;
use linux_raw_sys::general as k;
use rustix::io::Errno;
use rustix::process::Signal;

/// A set of signals, 1 to 64, as `/proc/PID/status` shows it: bit 0 is signal 1.
///
/// Numbers and not names, because `SIGRTMIN` and its followers have none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// Every signal.
    pub const ALL: Self = Self(!0);
    /// Every signal but those that a fault of the process's own raises: `SIGSEGV`, `SIGBUS`, `SIGFPE`,
    /// `SIGILL`, `SIGABRT`, `SIGTRAP`, `SIGSYS`. A program that waits synchronously blocks these and no others.
    pub const ALL_BUT_FAULTS: Self = Self::ALL
        .without(k::SIGSEGV as i32)
        .without(k::SIGBUS as i32)
        .without(k::SIGFPE as i32)
        .without(k::SIGILL as i32)
        .without(k::SIGABRT as i32)
        .without(k::SIGTRAP as i32)
        .without(k::SIGSYS as i32);

    const fn bit(number: i32) -> u64 {
        if number >= 1 && number <= 64 { 1 << (number - 1) } else { 0 }
    }

    /// The set and the signal `number`; the same set if that is not between 1 and 64.
    ///
    /// ```
    /// use daemon_steps::SignalSet;
    /// // The first real-time signal that the kernel has, and one that no kernel has.
    /// assert_eq!(SignalSet::EMPTY.with(32).with(65), SignalSet::EMPTY.with(32));
    /// ```
    #[must_use]
    pub const fn with(self, number: i32) -> Self {
        Self(self.0 | Self::bit(number))
    }

    /// The set without the signal `number`.
    #[must_use]
    pub const fn without(self, number: i32) -> Self {
        Self(self.0 & !Self::bit(number))
    }

    /// Whether the signal `number` is in the set.
    #[must_use]
    pub const fn contains(self, number: i32) -> bool {
        self.0 & Self::bit(number) != 0
    }
}

impl From<Signal> for SignalSet {
    fn from(signal: Signal) -> Self {
        Self::EMPTY.with(signal.as_raw())
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::EMPTY, |set, signal| set.with(signal.as_raw()))
    }
}

/// Resets every signal's disposition to its default, the real-time signals' too. If it fails some are reset.
///
/// `SIGKILL` and `SIGSTOP` have no other. With the feature `std` the C library's own handlers (32 and
/// 33 in glibc, to 34 in musl) are left alone; if one of those is *ignored* it is reset, for a
/// parent's `posix_spawn` leaves them so. Setting the default of a signal that is ignored by
/// default discards it if it is pending: `SIGCHLD`, for one.
///
/// Rust's `std` ignores `SIGPIPE` and reports stack overflows by a handler of `SIGSEGV` and `SIGBUS`, from before `main`. Both
/// are gone then: a program that writes to pipes or sockets wants [`ignore_signal`] of `SIGPIPE` afterwards.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers.
///
/// # System calls
///
/// `rt_sigaction`, 62 times.
///
/// With the feature `std` a few more.
///
/// See [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html).
///
/// ```
/// daemon_steps::reset_signals()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn reset_signals() -> Result<(), Errno> {
    for number in (1..65).filter(|number| *number != k::SIGKILL as i32 && *number != k::SIGSTOP as i32) {
        let libcs = sys::libc_signals().contains(&number);
        if !libcs || sys::sigdisposition(number)? == Disposition::Ignore {
            sys::sigaction(number, Disposition::Default)?;
        }
    }
    Ok(())
}

/// Ignores `signal`. Programs executed later ignore it, too.
///
/// # Errors
///
/// * `EINVAL`: `signal` is `SIGKILL` or `SIGSTOP`.
///
/// # System calls
///
/// `rt_sigaction`.
///
/// See [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html).
///
/// ```
/// daemon_steps::ignore_signal(rustix::process::Signal::PIPE)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn ignore_signal(signal: Signal) -> Result<(), Errno> {
    Ok(sys::sigaction(signal.as_raw(), Disposition::Ignore)?)
}

/// Has the kernel reap children as they end: `SIGCHLD` ignored, with `SA_NOCLDWAIT`.
///
/// Their status is lost, and wait(2) blocks until the last has ended and then says `ECHILD`.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers.
///
/// # System calls
///
/// `rt_sigaction`.
///
/// See [sigaction(2)](https://man7.org/linux/man-pages/man2/sigaction.2.html).
///
/// ```
/// daemon_steps::reap_by_kernel()?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn reap_by_kernel() -> Result<(), Errno> {
    Ok(sys::sigaction(Signal::CHILD.as_raw(), Disposition::Reap)?)
}

/// Adds `set` to the calling thread's signal mask; the former mask.
///
/// With the feature `std` the C library's own signals are never blocked: other threads would
/// wait for this one for ever.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers.
///
/// # System calls
///
/// `rt_sigprocmask`.
///
/// See [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html).
///
/// ```
/// use daemon_steps::{SignalSet, block_signals, set_signal_mask};
/// let former = block_signals(SignalSet::ALL)?;
/// set_signal_mask(former)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn block_signals(set: SignalSet) -> Result<SignalSet, Errno> {
    change(Change::Block, blockable(set))
}

/// Takes `set` out of the calling thread's signal mask; the former mask.
///
/// # Errors
///
/// Those of [`block_signals`].
///
/// # System calls
///
/// `rt_sigprocmask`.
///
/// See [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html).
///
/// ```
/// use daemon_steps::{SignalSet, unblock_signals};
/// unblock_signals(SignalSet::ALL)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn unblock_signals(set: SignalSet) -> Result<SignalSet, Errno> {
    change(Change::Unblock, set)
}

/// Makes `set` the calling thread's signal mask; the former mask. Otherwise as [`block_signals`].
///
/// # Errors
///
/// Those of [`block_signals`].
///
/// # System calls
///
/// `rt_sigprocmask`.
///
/// See [sigprocmask(2)](https://man7.org/linux/man-pages/man2/sigprocmask.2.html).
///
/// ```
/// use daemon_steps::{SignalSet, set_signal_mask};
/// set_signal_mask(SignalSet::EMPTY)?;
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn set_signal_mask(set: SignalSet) -> Result<SignalSet, Errno> {
    change(Change::Set, blockable(set))
}

#[inline(always)]
fn change(change: Change, SignalSet(mut set): SignalSet) -> Result<SignalSet, Errno> {
    sys::sigprocmask(change, &mut set)?;
    Ok(SignalSet(set))
}

fn blockable(set: SignalSet) -> SignalSet {
    sys::libc_signals().fold(set, SignalSet::without)
}

/// Waits for a signal of `set` and takes it: its number, or `None` after `timeout`.
///
/// Block the set first, in every thread; what is not blocked goes to its disposition instead. No
/// timeout is for ever. Signals of one number that come while one is pending are one.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers.
///
/// `EINTR` is retried, for the rest of the time.
///
/// # System calls
///
/// `rt_sigtimedwait`.
///
/// * There is a timeout: `clock_gettime`.
///
/// On 32-bit architectures these are `rt_sigtimedwait_time64` and `clock_gettime64` (5.1).
///
/// See [sigtimedwait(2)](https://man7.org/linux/man-pages/man2/sigtimedwait.2.html).
///
/// ```
/// use core::time::Duration;
/// use daemon_steps::{SignalSet, block_signals, wait_signal};
/// use rustix::process::Signal;
/// let set = SignalSet::from_iter([Signal::TERM, Signal::HUP]);
/// block_signals(set)?;
/// assert_eq!(wait_signal(set, Some(Duration::ZERO))?, None);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn wait_signal(set: SignalSet, timeout: Option<Duration>) -> Result<Option<i32>, Errno> {
    let deadline = Deadline::after(timeout);
    loop {
        let left = deadline.left().map(|left| k::__kernel_timespec { tv_sec: left.tv_sec, tv_nsec: left.tv_nsec as _ });
        match sys::sigtimedwait(set.0, left.as_ref()) {
            Err(Code::INTR) => {}
            Err(Code::AGAIN) => return Ok(None),
            taken => return Ok(Some(taken?)),
        }
    }
}
