//! Detaching in constant time: the process moves instead of being copied.

use crate::ready::{Notifier, Outcome, Waiter, exit_status, outcome, ready_pipe};
use crate::sys::{self, Task, exit};
use core::mem::forget;
use core::time::Duration;
use rustix::io::Errno;

/// Becomes a new process with the memory of this one, in a new session that it does not lead: in place of fork, setsid, fork.
///
/// TODO
pub fn handoff() -> Result<(), Errno> {
    let task = Task::movable()?;
    // SAFETY: no steps, and so nothing that they leave.
    #[allow(unsafe_code)]
    unsafe {
        sys::handoff(&task, None, &mut || true)
    }
    .map(drop)
}

/// [`handoff`] with a parent that waits for the daemon's word, and exits with it.
///
/// TODO
pub fn handoff_until_ready(timeout: Option<Duration>) -> Result<Notifier, Errno> {
    let (waiter, notifier) = ready_pipe()?;
    let mut kept = None;
    // SAFETY: the steps leave nothing.
    #[allow(unsafe_code)]
    let outcome = unsafe {
        handoff_steps(&Task::movable()?, timeout, waiter, notifier, |notifier| {
            kept = Some(notifier);
            true
        })
    }?;
    match outcome {
        None => kept.ok_or(Errno::CANCELED),
        Some(outcome) => exit(exit_status(outcome)),
    }
}

/// The move, with `steps` to be taken in the daemon. If they say no, or the daemon ends in them, the parent has its memory back,
/// and returns what the daemon has come to. Returns in the daemon with none, if they say yes.
///
/// # Safety
///
/// What `steps` leaves in memory, having said no or anywhere on its way, must be sound for the parent, which has the
/// descriptors from before: none that the daemon has opened.
#[allow(unsafe_code)]
pub(crate) unsafe fn handoff_steps(
    task: &Task,
    timeout: Option<Duration>,
    waiter: Waiter,
    notifier: Notifier,
    steps: impl FnOnce(Notifier) -> bool,
) -> Result<Option<Outcome>, Errno> {
    let watch = waiter.watch(&notifier, timeout);
    let mut once = Some((waiter, notifier, steps));
    let mut steps = || {
        once.take().is_some_and(|(waiter, notifier, steps)| {
            drop(waiter);
            steps(notifier)
        })
    };
    // SAFETY: the caller vouches for the steps. The descriptors are the daemon's; the parent closes its own of the same numbers.
    let end = unsafe { sys::handoff(task, Some(watch), &mut steps) }?;
    end.map(|end| {
        forget(once);
        outcome(&end)
    })
    .transpose()
}
