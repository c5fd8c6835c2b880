//! The process moves instead of being copied: what must hold before, and what is registered per task.

use super::handoff_arch::{self as arch, RSEQ_SIGNATURE};
use super::kernel::{Change, SIGSET, SigAction, call, close, exit_group, read, sigprocmask};
use super::{Code, TimeLeft, alone, exit, pause, poll};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{from_ref, null_mut};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use linux_raw_sys::general as k;
use linux_raw_sys::prctl::{PR_GET_DUMPABLE, PR_GET_TID_ADDRESS, PR_SET_DUMPABLE};
use rustix::fd::RawFd;
use rustix::io::Errno;

/// What P lends C: the memory until C's end, and the descriptors, of which C uses none.
pub(super) const LEND: u32 = k::CLONE_VM | k::CLONE_VFORK | k::CLONE_FILES;
/// What C gives D: the memory, and its own parent, P. D's pid is told to P.
pub(super) const GIVE: u32 = k::CLONE_VM | k::CLONE_PARENT | k::CLONE_PARENT_SETTID;

/// How many pauses a process that shared this memory may take to be gone.
const GRACE: u32 = 10;

/// `RSEQ_FLAG_UNREGISTER`.
const UNREGISTER: usize = 1;

/// The calling task's own, which a clone does not inherit, or must not share.
pub(crate) struct Task {
    /// Where the kernel writes zero at the thread's end, and a C library keeps the thread's id; or null.
    tid: *mut i32,
    robust_list: usize,
    alternate_stack: k::stack_t,
    /// Address and length; no length: none.
    rseq: (usize, usize),
}

impl Task {
    /// What the calling task has registered, if the process can be moved. Changes nothing.
    pub(crate) fn movable() -> Result<Self, Errno> {
        if !arch::KNOWN {
            return Err(Errno::NOSYS);
        }
        has_own_memory()?;
        if arch::shadow_stack() {
            return Err(Errno::OPNOTSUPP);
        }
        Self::registered()
    }

    /// Not inlined, so that it is not on the stack while memory and threads are asked about.
    #[inline(never)]
    fn registered() -> Result<Self, Errno> {
        Ok(Self { tid: tid_address()?, robust_list: robust_list()?, alternate_stack: alternate_stack()?, rseq: rseq()? })
    }

    /// From here on nothing of this task's end, or of its being scheduled, is written to memory.
    fn leave(&self) {
        if !self.tid.is_null() {
            // SAFETY: nothing is registered.
            let _ = unsafe { call(k::__NR_set_tid_address, [0]) };
        }
        if self.robust_list != 0 {
            let _ = set_robust_list(0);
        }
        self.set_rseq(UNREGISTER);
    }

    /// Registers the same for the calling task, the only one in this memory that goes on.
    ///
    /// The calls have been granted a moment ago; one that is denied all the same leaves the C library without, as on an old kernel.
    fn enter(&self) {
        if !self.tid.is_null() {
            // SAFETY: the place was registered before, by a C library that keeps it as long as the thread.
            if let Ok(tid) = unsafe { call(k::__NR_set_tid_address, [self.tid as usize]) } {
                // SAFETY: `tid_address` has found the thread's id there.
                unsafe { self.tid.write_volatile(tid as i32) };
            }
        }
        if self.robust_list != 0 {
            let _ = set_robust_list(self.robust_list);
        }
        if self.alternate_stack.ss_flags & k::SS_DISABLE as i32 == 0 {
            // SAFETY: the stack was registered before, for the thread that this one goes on as.
            let _ = unsafe { call(k::__NR_sigaltstack, [from_ref(&self.alternate_stack) as usize, 0]) };
        }
        self.set_rseq(0);
    }

    fn set_rseq(&self, flags: usize) {
        let (area, length) = self.rseq;
        if length != 0 {
            // SAFETY: the area is what the C library has registered, for the thread that this one goes on as.
            let _ = unsafe { call(k::__NR_rseq, [area, length, flags, RSEQ_SIGNATURE]) };
        }
    }
}

/// unshare(2) answers EINVAL to `CLONE_VM` where a second task has this memory, in a thread or a process, and else does nothing.
fn unshare_memory() -> Result<(), Code> {
    // SAFETY: the flag unshares nothing: the call does nothing, or fails.
    unsafe { call(k::__NR_unshare, [k::CLONE_VM as usize]) }.map(drop)
}

fn has_own_memory() -> Result<(), Errno> {
    if unshare_memory().is_ok() {
        return Ok(());
    }
    alone()?;
    for _ in 0..GRACE {
        if unshare_memory().is_ok() {
            return Ok(());
        }
        pause();
    }
    Err(Errno::USERS)
}

/// Where the thread's id stands; null if nothing is registered, and so there is no C library.
fn tid_address() -> Result<*mut i32, Errno> {
    let mut address = null_mut::<i32>();
    // SAFETY: the kernel writes one pointer.
    let _ = unsafe { call(k::__NR_prctl, [PR_GET_TID_ADDRESS as usize, &raw mut address as usize]) };
    if address.is_null() {
        // A C library has one, on a kernel that tells.
        return if cfg!(feature = "std") { Err(Errno::LIBACC) } else { Ok(address) };
    }
    // SAFETY: what is registered is registered again; so it is granted, and tells the thread's id.
    let tid = unsafe { call(k::__NR_set_tid_address, [address as usize]) }?;
    // SAFETY: the kernel will write a number of this size there; only this thread runs.
    let cached = unsafe { address.read_volatile() };
    // musl has a lock there, and the id elsewhere.
    if cached == tid as i32 { Ok(address) } else { Err(Errno::LIBACC) }
}

fn robust_list() -> Result<usize, Errno> {
    let (mut head, mut length) = (0_usize, 0_usize);
    // SAFETY: the kernel writes an address and a length.
    unsafe { call(k::__NR_get_robust_list, [0, &raw mut head as usize, &raw mut length as usize]) }?;
    if head != 0 {
        // The same again: so it is granted.
        set_robust_list(head)?;
    }
    Ok(head)
}

fn set_robust_list(head: usize) -> Result<(), Code> {
    // SAFETY: none; or the one that a C library keeps for this thread.
    unsafe { call(k::__NR_set_robust_list, [head, size_of::<k::robust_list_head>()]) }.map(drop)
}

fn alternate_stack() -> Result<k::stack_t, Errno> {
    let mut stack = MaybeUninit::<k::stack_t>::uninit();
    // SAFETY: the kernel writes one structure.
    unsafe { call(k::__NR_sigaltstack, [0, stack.as_mut_ptr() as usize]) }?;
    // SAFETY: the call succeeded, so the kernel has filled it.
    Ok(unsafe { stack.assume_init() })
}

/// The C library's area, made sure to be the registered one; or none, made sure of, too.
fn rseq() -> Result<(usize, usize), Errno> {
    /// 32 bytes that no program can register.
    const NOWHERE: usize = !31;
    /// The least that the kernel takes; the library registers so much even where it uses less.
    const LEAST: usize = 32;

    #[cfg(feature = "std")]
    let (area, size) = arch::libc_rseq();
    #[cfg(not(feature = "std"))]
    let (area, size) = (0, 0_u32);
    let length = LEAST.max(size as usize);
    let (address, there) = if size == 0 { (NOWHERE, Errno::FAULT) } else { (area, Errno::BUSY) };
    // SAFETY: what is registered is not registered again, and nowhere is no place: the call fails, and its errno tells.
    match unsafe { call(k::__NR_rseq, [address, length, 0, RSEQ_SIGNATURE]) } {
        Err(code) if code == there.into() => Ok(if size == 0 { (0, 0) } else { (area, length) }),
        // A kernel without.
        Err(code) if code == Errno::NOSYS.into() && size == 0 => Ok((0, 0)),
        _ => Err(Errno::ADDRINUSE),
    }
}

/// P's, while it watches. Aligned as the psABI wants a stack at a call, and so is its end.
#[repr(align(16))]
struct Stack(UnsafeCell<MaybeUninit<[u8; STACK]>>);

const STACK: usize = 16 * 1024;

/// What P uses when the stack is D's. Of the move under way, and there is one at a time: it begins with one task in this
/// memory, and until P and C have ended there are more.
pub(super) struct Shared {
    /// Written by the kernel: D's pid. By C: an errno, negative.
    pub(super) daemon: AtomicI32,
    /// D has left the frame to which P could return.
    left: AtomicBool,
    /// Whether the memory may be dumped and looked at: that, too, is the memory's, and a change of D's ids takes it.
    dumpable: AtomicU32,
    /// If P watches.
    watch: UnsafeCell<MaybeUninit<Watch>>,
    end: UnsafeCell<Option<End>>,
    actions: UnsafeCell<[SigAction; ENDING.len()]>,
    stack: Stack,
}

// SAFETY: used by one move at a time; what P, C and D pass each other are the atomics, and the rest is P's.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared {
    daemon: AtomicI32::new(0),
    left: AtomicBool::new(false),
    dumpable: AtomicU32::new(0),
    watch: UnsafeCell::new(MaybeUninit::uninit()),
    end: UnsafeCell::new(None),
    actions: UnsafeCell::new([SigAction::DEFAULT; ENDING.len()]),
    stack: Stack(UnsafeCell::new(MaybeUninit::uninit())),
};

impl Shared {
    /// The stack's upper end: stacks grow downwards.
    pub(super) fn stack_end(&self) -> *mut u8 {
        self.stack.0.get().cast::<u8>().wrapping_add(STACK)
    }
}

/// What P watches while it waits for D's word.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    /// The pipe, to be read.
    pub(crate) pipe: RawFd,
    /// D's descriptors of it, which P must close to see its end.
    pub(crate) notifier: [RawFd; 2],
    /// The word that ends P with status zero.
    pub(crate) ready: [u8; 8],
    pub(crate) left: TimeLeft,
    /// What P does at the end when there is no caller to return to.
    pub(crate) exit: fn(&End) -> !,
}

/// How P's watch has ended: D has left the memory; it is a child of P that nobody has waited for.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) daemon: i32,
    /// A last word.
    pub(crate) told: Option<[u8; 8]>,
    /// Why it was killed, if it was.
    pub(crate) killed: Option<Errno>,
}

/// What P hears while it watches, with the default disposition unless it is ignored: a terminal's keys, and who wants it to end.
/// All else stays blocked: a handler is D's code by now, and a core dump is of D's memory, if it does not end D.
const ENDING: [u32; 4] = [k::SIGHUP, k::SIGINT, k::SIGTERM, k::SIGTSTP];

struct Job<'a> {
    task: &'a Task,
    mask: u64,
    steps: &'a mut dyn FnMut() -> bool,
}

/// If nobody tells: what nobody can set.
fn dumpable() -> u32 {
    // SAFETY: numbers only.
    unsafe { call(k::__NR_prctl, [PR_GET_DUMPABLE as usize]) }.unwrap_or(!0)
}

fn set_dumpable(dumpable: u32) {
    // SAFETY: numbers only.
    let _ = unsafe { call(k::__NR_prctl, [PR_SET_DUMPABLE as usize, dumpable as usize]) };
}

/// Moves the process: returns in D with none, or in P with an error or with D's end.
///
/// `steps` is called in D, while P can still have its memory back: if it says no, or if D ends in it, P returns. Once it has said yes P only
/// watches, and exits. Without `watch` P exits at once. If P returns with D's end, its descriptors of the pipe are closed: forget them.
///
/// # Safety
///
/// What `steps` may leave in memory when D ends in it must be sound for P: of descriptors P has those from before, but not the pipe's.
pub(crate) unsafe fn handoff(task: &Task, watch: Option<&Watch>, steps: &mut dyn FnMut() -> bool) -> Result<Option<End>, Errno> {
    let mut job = Job { task, mask: !0, steps };
    sigprocmask(Change::Block, &mut job.mask)?;
    // ECHILD stays if somebody kills C.
    SHARED.daemon.store(Errno::CHILD.raw_os_error().wrapping_neg(), Ordering::Relaxed);
    SHARED.left.store(false, Ordering::Relaxed);
    SHARED.dumpable.store(dumpable(), Ordering::Relaxed);
    let watcher = if let Some(watch) = watch {
        // SAFETY: no other move is under way, and P does not watch yet.
        unsafe { &mut *SHARED.watch.get() }.write(*watch);
        watching
    } else {
        leaving
    };
    task.leave();
    // SAFETY: `task` says that this is the only thread, without a shadow stack; all signals are blocked and nothing
    // is registered; `watching` returns when D has gone and not left this frame, `leaving` never.
    let ret = unsafe { arch::split(&SHARED, becoming, (&raw mut job).cast(), watcher) };
    if ret == 0 {
        return Ok(None);
    }
    // P again, the only one in this memory.
    task.enter();
    set_dumpable(SHARED.dumpable.load(Ordering::Relaxed));
    let _ = sigprocmask(Change::Set, &mut job.mask);
    super::code::number(ret as i32)?;
    // SAFETY: P's watch is over.
    let end = unsafe { *SHARED.end.get() };
    end.map(Some).ok_or(Errno::CHILD)
}

/// D's begin.
extern "C" fn becoming(job: *mut c_void) {
    // SAFETY: `handoff` passes it, in a frame that stays, and looks at it no more.
    let job = unsafe { &mut *job.cast::<Job<'_>>() };
    job.task.enter();
    // The same call was granted a moment ago. P may need its mask again, in whose place the former one comes.
    let mut mask = job.mask;
    let _ = sigprocmask(Change::Set, &mut mask);
    if !(job.steps)() {
        exit(1);
    }
    SHARED.left.store(true, Ordering::Relaxed);
}

// What follows is P's, on the small stack, while D runs in the same memory: with the same thread-local variables, `errno` among
// them, and perhaps on its way through the dynamic linker. So it makes system calls, and calls no other library.

extern "C" fn leaving() -> isize {
    exit_group(0)
}

extern "C" fn watching() -> isize {
    // SAFETY: P's alone.
    let watch = unsafe { &mut *SHARED.watch.get() };
    // SAFETY: `handoff` has written it, and nobody else makes a P that watches.
    let watch = unsafe { watch.assume_init_mut() };
    for fd in watch.notifier {
        // SAFETY: D has them in its own table; P's caller has given them away.
        let _ = unsafe { close(fd) };
    }
    hear_endings();
    let end = watch.until_gone(SHARED.daemon.load(Ordering::Relaxed));
    // The memory is P's again.
    if SHARED.left.load(Ordering::Relaxed) {
        (watch.exit)(&end);
    }
    let _ = sigprocmask(Change::Block, &mut !0);
    restore_endings();
    // SAFETY: P's alone.
    unsafe { *SHARED.end.get() = Some(end) };
    1
}

/// The signals of `ENDING`, each with the place where P keeps its disposition.
fn endings() -> impl Iterator<Item = (usize, *mut SigAction)> {
    ENDING.iter().enumerate().map(|(n, signal)| (*signal as usize, SHARED.actions.get().cast::<SigAction>().wrapping_add(n)))
}

fn hear_endings() {
    let mut mask = !0_u64;
    for (signal, action) in endings() {
        // SAFETY: the place is P's.
        let _ = unsafe { call(k::__NR_rt_sigaction, [signal, 0, action as usize, SIGSET]) };
        // SAFETY: the place is P's.
        if unsafe { (*action).handler } > 1 {
            // SAFETY: no handler is installed, but the default.
            let _ = unsafe { call(k::__NR_rt_sigaction, [signal, from_ref(&SigAction::DEFAULT) as usize, 0, SIGSET]) };
        }
        mask &= !(1 << (signal - 1));
    }
    let _ = sigprocmask(Change::Set, &mut mask);
}

fn restore_endings() {
    for (signal, action) in endings() {
        // SAFETY: the disposition is the one that the kernel has told.
        let _ = unsafe { call(k::__NR_rt_sigaction, [signal, action as usize, 0, SIGSET]) };
    }
}

impl Watch {
    /// Waits until D has left this memory, by its end or by execve(2). Ends P when D is ready.
    fn until_gone(&mut self, daemon: i32) -> End {
        let mut end = End { daemon, told: None, killed: None };
        // SAFETY: numbers only. Without it (before 5.3) D's end is seen by the pipe's end.
        let pidfd = unsafe { call(k::__NR_pidfd_open, [daemon as usize, 0]) }.map_or(NOBODY, |fd| fd as RawFd);
        loop {
            match poll([pidfd, self.pipe], &mut self.left) {
                Ok(true) => match next_word(self.pipe) {
                    Some(word) if word == self.ready => exit_group(0),
                    // D's pid, which P knows.
                    Some([b'p', ..]) => {}
                    // A failure, or the pipe's end. From one who says anything else no good is to be expected.
                    last => {
                        if last.is_some_and(|[kind, ..]| kind != b'f') {
                            self.kill(&mut end, Errno::PROTO);
                        }
                        end.told = last;
                        break;
                    }
                },
                // D can say no more.
                Ok(false) => break,
                Err(errno) => {
                    self.kill(&mut end, errno.into());
                    break;
                }
            }
        }
        let mut process = pidfd;
        while unshare_memory().is_err() {
            if process == NOBODY {
                pause();
                continue;
            }
            match poll([process, NOBODY], &mut self.left) {
                // What has the memory now is a child of D's, about to execute a program.
                Ok(_) => process = NOBODY,
                Err(errno) => self.kill(&mut end, errno.into()),
            }
        }
        for fd in [pidfd, self.pipe] {
            // SAFETY: both are this watch's, in P's table.
            let _ = unsafe { close(fd) };
        }
        end
    }

    /// There is no time left, or nothing to wait with.
    fn kill(&mut self, end: &mut End, why: Errno) {
        end.killed.get_or_insert(why);
        self.left = TimeLeft::of(None);
        // SAFETY: numbers only. D is a child that nobody has waited for: its number is its own.
        if unsafe { call(k::__NR_kill, [end.daemon as usize, k::SIGKILL as usize]) }.is_err() {
            // It keeps the memory for ever.
            exit_group(1);
        }
    }
}

/// No descriptor.
const NOBODY: RawFd = -1;

/// The next word; none at the pipe's end.
fn next_word(pipe: RawFd) -> Option<[u8; 8]> {
    let mut word = 0_u64.to_ne_bytes();
    match read(pipe, &mut word) {
        Ok(0) => None,
        Ok(8) => Some(word),
        // Part of a word is none.
        _ => Some(0_u64.to_ne_bytes()),
    }
}
