//! Where a function runs alone: on a painted stack, between two marks that the tracer sees.

use daemon_steps::Error;
use rustix::io::Errno;
use std::cell::UnsafeCell;

/// Sixteen times of what is promised.
const WORDS: usize = 4096;

/// What the stack is painted with: no address, no small number.
const PAINT: u64 = 0xa5a5_5a5a_c3c3_3c3c;

/// The mark's system call; nobody else gives it these arguments.
pub const MARK: u64 = libc::SYS_getppid as u64;

/// Its first argument before the function.
pub const BEGIN: u64 = 0x6265_6769;

/// And after it.
pub const END: u64 = 0x656e_6421;

/// Its first argument long before, and long after: the second is what the function has answered, the third what the kernel
/// keeps of the process and nobody else can ask for.
pub const PREPARED: u64 = 0x7072_6570;

/// As [`PREPARED`], after.
pub const ANSWERED: u64 = 0x616e_7377;

/// What a function has answered, as a number; zero if it is no error.
pub trait Answer {
    /// The number.
    fn number(&self) -> u64;
}

impl Answer for () {
    fn number(&self) -> u64 {
        0
    }
}

impl Answer for usize {
    fn number(&self) -> u64 {
        0
    }
}

impl Answer for Errno {
    fn number(&self) -> u64 {
        self.raw_os_error() as u64
    }
}

impl<T> Answer for Option<T> {
    fn number(&self) -> u64 {
        0
    }
}

/// The step, counted from one, stands above the errno.
impl Answer for Error {
    fn number(&self) -> u64 {
        ((self.step as u64 + 1) << 16) | self.errno.number()
    }
}

impl<T, E: Answer> Answer for Result<T, E> {
    fn number(&self) -> u64 {
        self.as_ref().err().map_or(0, Answer::number)
    }
}

#[repr(C, align(4096))]
struct Stack(UnsafeCell<[u64; WORDS]>);

// SAFETY: it is used by the processes that are forked for one function each, by one thread.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; WORDS]));

struct Play<F, R> {
    call: Option<F>,
    result: Option<R>,
}

/// Calls the function alone. Whatever surroundings it needs are there before, and its result goes after.
pub fn alone<R: Answer>(call: impl FnOnce() -> R) -> R {
    let mut play = Play { call: Some(call), result: None };
    // SAFETY: nobody runs on that stack yet.
    unsafe { &mut *STACK.0.get() }.fill(PAINT);
    mark(PREPARED, 0, kept());
    run(&mut play);
    let result = play.result.expect("it has returned");
    mark(ANSWERED, result.number(), kept());
    result
}

/// What the kernel keeps of this process: whether it is a subreaper, and whether something is registered for its end, its robust
/// mutexes, its signal stack.
fn kept() -> u64 {
    let (mut adopts, mut tid, mut robust, mut length) = (0_i32, 0_usize, 0_usize, 0_usize);
    let mut stack = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
    // SAFETY: the kernel writes one number.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut adopts) };
    // SAFETY: the kernel writes one pointer.
    unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut tid) };
    // SAFETY: the kernel writes a pointer and a length.
    unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut robust, &raw mut length) };
    // SAFETY: the kernel writes one structure.
    unsafe { libc::sigaltstack(std::ptr::null(), &raw mut stack) };
    let each = [adopts != 0, tid != 0, robust != 0, stack.ss_flags & libc::SS_DISABLE == 0];
    each.iter().fold(0, |all, one| all << 1 | u64::from(*one))
}

fn run<F: FnOnce() -> R, R>(play: &mut Play<F, R>) {
    // The first word above: aligned to a page.
    let top = STACK.0.get().wrapping_add(1);
    // SAFETY: `enter` gets what it casts it to; it returns to the stack that it was called from.
    unsafe { on_stack(top.cast(), enter::<F, R>, (&raw mut *play).cast()) };
}

/// # Safety
///
/// `play` is a `Play<F, R>` of its own.
unsafe extern "C" fn enter<F: FnOnce() -> R, R>(play: *mut libc::c_void) {
    // SAFETY: that is this function's own contract.
    let play = unsafe { &mut *play.cast::<Play<F, R>>() };
    let Some(call) = play.call.take() else { return };
    mark(BEGIN, 0, 0);
    let result = call();
    mark(END, 0, 0);
    play.result = Some(result);
}

fn mark(what: u64, answered: u64, kept: u64) {
    // SAFETY: getppid(2) takes no argument; these are for the tracer.
    unsafe { libc::syscall(MARK as i64, what, answered, kept) };
}

unsafe extern "C" {
    /// Calls `call(argument)` on the stack whose end is `top`.
    fn on_stack(top: *mut u64, call: unsafe extern "C" fn(*mut libc::c_void), argument: *mut libc::c_void);
}

#[cfg(not(target_arch = "x86_64"))]
compile_error!("this proof runs on x86_64: the stacks that it measures are those");

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".globl on_stack",
    "on_stack:",
    "push rbp",
    "mov rbp, rsp",
    "mov rsp, rdi",
    "mov rdi, rdx",
    "call rsi",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
);

/// The deepest byte that was written in that process, counted from the call on: all of the stack if there was not enough.
///
/// # Errors
///
/// Its memory cannot be read.
pub fn peak(process: rustix::process::Pid) -> std::io::Result<usize> {
    let memory = std::fs::File::open(format!("/proc/{}/mem", process.as_raw_nonzero()))?;
    let mut bytes = vec![0; size_of::<Stack>()];
    // This program has forked it, so the stack is at the same place there.
    std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, STACK.0.get() as u64)?;
    let untouched = bytes.chunks_exact(8).take_while(|word| **word == PAINT.to_ne_bytes()).count();
    Ok((WORDS - untouched) * 8)
}
