//! A child for one input, and what it shares with the fuzzer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, pidfd_open, pidfd_send_signal, waitpid};
use std::ptr::{self, addr_of};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// No input takes longer; one that does is a find.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

const RUNS: i32 = 0;
const RESTS: i32 = 1;
const LET_GO: i32 = 2;

unsafe extern "C" {
    #[link_name = "__start___sancov_cntrs"]
    static FIRST: u8;
    #[link_name = "__stop___sancov_cntrs"]
    static END: u8;
}

/// The counters of the edges that this process has gone along.
fn counters() -> &'static mut [u8] {
    let (first, end) = (addr_of!(FIRST), addr_of!(END));
    // SAFETY: the linker sets both around one array of bytes. Instrumented code writes there too, but a count that is
    // a little off is all that can come of it; nobody else has a reference.
    unsafe { std::slice::from_raw_parts_mut(first.cast_mut(), end as usize - first as usize) }
}

/// Memory that a fuzzer has in common with its children: one `T`.
pub struct Room<T> {
    place: *mut Shared<T>,
    counters: *mut u8,
}

#[repr(C)]
struct Shared<T> {
    /// `RUNS`, `RESTS` or `LET_GO`.
    event: AtomicI32,
    told: T,
}

impl<T: Copy> Default for Room<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> Room<T> {
    /// Made once; the children of all inputs use it, one after the other.
    pub fn new() -> Self {
        let place = share(size_of::<Shared<T>>()).cast();
        Self { place, counters: share(counters().len()) }
    }

    /// What the child has told.
    pub fn told(&self) -> T {
        *self.tell()
    }

    /// In a child: the place to tell in. It begins with zeroes, which must be a `T`.
    #[allow(clippy::mut_from_ref)]
    pub fn tell(&self) -> &mut T {
        // SAFETY: the place is there as long as the process, and filled; while the child writes the fuzzer waits.
        unsafe { &mut (*self.place).told }
    }

    fn event(&self) -> &AtomicI32 {
        // SAFETY: the place is there as long as the process.
        unsafe { &(*self.place).event }
    }

    /// In a child: says that all is told, and waits to be let go; not for ever, because the fuzzer may have ended with a find.
    pub fn rest(&self) {
        self.keep_counters();
        self.event().store(RESTS, SeqCst);
        wake(self.event());
        let start = Instant::now();
        while self.event().load(SeqCst) == RESTS && start.elapsed() < LIMIT {
            wait(self.event(), RESTS, LIMIT);
        }
    }

    /// In a child: ends it.
    pub fn end(&self, status: i32) -> ! {
        self.keep_counters();
        daemon_steps::exit(status)
    }

    fn keep_counters(&self) {
        let counters = counters();
        // SAFETY: the place is as large as the counters are many.
        unsafe { ptr::copy_nonoverlapping(counters.as_ptr(), self.counters, counters.len()) };
    }

    /// What the child has covered counts as covered here.
    fn take_counters(&self) {
        let counters = counters();
        // SAFETY: the place is as large as the counters are many, and no child writes there any more, or again.
        let its = unsafe { std::slice::from_raw_parts(self.counters, counters.len()) };
        counters.iter_mut().zip(its).for_each(|(count, its)| *count = (*count).max(*its));
    }
}

/// Runs `body` in a child, to its end or until it rests.
pub fn fork<T: Copy>(room: &Room<T>, body: impl FnOnce(&Room<T>)) -> Child<'_, T> {
    // SAFETY: zeroes are what the place began with, and nobody else looks.
    unsafe { ptr::write_bytes(room.place.cast::<u8>(), 0, size_of::<Shared<T>>()) };
    // SAFETY: the child calls nothing that a lock of another thread could stop: the fuzzer's only other thread sleeps.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        body(room);
        room.end(0);
    }
    let pid = Pid::from_raw(pid).expect("fork returns a pid");
    Child { pid, pidfd: pidfd_open(pid, PidfdFlags::empty()).expect("a child is not gone before it is reaped"), room }
}

/// A child that runs, or rests. Dropped, it is killed.
pub struct Child<'r, T: Copy> {
    pid: Pid,
    pidfd: OwnedFd,
    room: &'r Room<T>,
}

impl<T: Copy> Child<'_, T> {
    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until somebody rests.
    pub fn rests(&self) {
        let start = Instant::now();
        while self.room.event().load(SeqCst) == RUNS {
            wait(self.room.event(), RUNS, Duration::from_millis(100));
            assert!(
                !self.has_ended(Duration::ZERO) || self.room.event().load(SeqCst) != RUNS,
                "the child does not rest, but end"
            );
            assert!(start.elapsed() < LIMIT, "the child does not come to rest");
        }
        self.room.take_counters();
    }

    /// Lets go whoever rests.
    pub fn release(&self) {
        self.room.event().store(LET_GO, SeqCst);
        wake(self.room.event());
    }

    /// Waits for its end: what it has told, and how it has ended.
    pub fn ends(self) -> (T, WaitStatus) {
        assert!(self.has_ended(LIMIT), "the child does not end");
        let (_, status) = waitpid(Some(self.pid), WaitOptions::empty()).expect("a child").expect("it has ended");
        self.room.take_counters();
        (self.room.told(), status)
    }

    fn has_ended(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).expect("a limit");
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        retry_on_intr(|| poll(&mut fds, Some(&limit))).expect("poll") > 0
    }
}

impl<T: Copy> Drop for Child<'_, T> {
    fn drop(&mut self) {
        // One that was reaped is no longer there: no error here is one.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// Zeroes that are kept in common after a fork.
fn share(length: usize) -> *mut u8 {
    // SAFETY: a new mapping, at no address that is used.
    let place = unsafe {
        libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(place, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    place.cast()
}

/// Waits until the event is no longer `seen`, or not; whoever calls looks again.
fn wait(event: &AtomicI32, seen: i32, limit: Duration) {
    let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    // SAFETY: the number and the time are there until the call returns.
    unsafe { libc::syscall(libc::SYS_futex, event.as_ptr(), libc::FUTEX_WAIT, seen, &raw const limit) };
}

fn wake(event: &AtomicI32) {
    // SAFETY: the number is there until the call returns.
    unsafe { libc::syscall(libc::SYS_futex, event.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
