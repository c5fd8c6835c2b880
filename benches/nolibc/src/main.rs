//! fork, setsid, fork and exit: writes to its output the nanoseconds until the daemon runs. ../floor.c is the same in C.

#![no_std]
#![no_main]

use core::arch::asm;
use daemon_steps::{EnvBlock, Fork, ThinCStr, exit, fork, setsid};

nolibc::program!(main);

const WRITE: u64 = 1;
const CLOCK_GETTIME: u64 = 228;
const CLOCK_MONOTONIC: u64 = 1;

fn main(_: &[Option<ThinCStr<'static>>], _: &EnvBlock<'static>) -> i32 {
    let before = now();
    leave();
    if setsid().is_err() {
        return 1;
    }
    leave();
    let time = now() - before;
    // SAFETY: write(2) reads the eight bytes of `time`.
    unsafe { call(WRITE, 1, (&raw const time).cast_mut().cast(), 8) };
    0
}

/// Goes on in a child.
fn leave() {
    match fork() {
        Ok(Fork::Child) => {}
        Ok(Fork::Parent(_)) => exit(0),
        Err(_) => exit(1),
    }
}

fn now() -> u64 {
    let mut time = [0_u64; 2];
    // SAFETY: clock_gettime(2) writes two words.
    unsafe { call(CLOCK_GETTIME, CLOCK_MONOTONIC, time.as_mut_ptr(), 0) };
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}

/// A system call by hand, as in the C program: with rustix's, the clock's would bring a static that has no place here.
///
/// # Safety
///
/// The system call does with `at` what is sound.
unsafe fn call(number: u64, a: u64, at: *mut u64, c: u64) {
    // SAFETY: the kernel changes `rax`, `rcx` and `r11`, and what the caller vouches for.
    unsafe {
        asm!("syscall", inlateout("rax") number => _, in("rdi") a, in("rsi") at, in("rdx") c, out("rcx") _, out("r11") _,
            options(nostack));
    }
}
