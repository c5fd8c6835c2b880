//! What a C library would do before `main`: `_start`, and the functions that the compiler calls by name.
//!
//! A program names its main function with [`program!`](crate::program).

#![no_std]

use core::ffi::c_char;
use daemon_steps::{EnvBlock, ThinCStr, exit};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Defines the entry point of a program: `program!(main)`, with `fn main(argv, env) -> i32`.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            // Nothing here panics; what the linker keeps of this shows that nothing can.
            daemon_steps::exit(101)
        }

        /// # Safety
        ///
        /// Called once, by `_start`, with the stack as the kernel has laid it out.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn nolibc_main(stack: *const usize) -> ! {
            // SAFETY: that is this function's own contract.
            unsafe { $crate::run(stack, $main) }
        }
    };
}

// The kernel enters here with the stack pointer at argc. The psABI wants the stack aligned to 16
// bytes at a call, and a frame pointer of zero to end a backtrace.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call nolibc_main",);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "b nolibc_main",);
#[cfg(target_arch = "riscv64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    ".option push",
    ".option norelax",
    "la gp, __global_pointer$",
    ".option pop",
    "mv a0, sp",
    "tail nolibc_main",
);
#[cfg(target_arch = "arm")]
core::arch::global_asm!(".globl _start", "_start:", "mov fp, #0", "mov r0, sp", "b nolibc_main",);
#[cfg(target_arch = "x86")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov eax, esp",
    "and esp, -16",
    "sub esp, 12",
    "push eax",
    "call nolibc_main",
);

/// Finds the arguments and the environment on the stack, runs `main`, and exits with its status.
///
/// # Safety
///
/// `stack` is where the stack pointer stood when the kernel entered the program: argc, the
/// arguments, a null, the environment, a null. `main` is the only thing that changes the pointers.
#[inline(always)]
pub unsafe fn run(stack: *const usize, main: fn(&[Option<ThinCStr<'static>>], &EnvBlock<'static>) -> i32) -> ! {
    // SAFETY: the first word is argc.
    let argc = unsafe { stack.read() };
    // SAFETY: argv follows, of argc pointers and a null.
    let argv = unsafe { stack.add(1) };
    // SAFETY: `Option<ThinCStr>` is a pointer or null, and the array lives as long as the program.
    let arguments = unsafe { core::slice::from_raw_parts(argv.cast(), argc + 1) };
    // SAFETY: the environment follows the null.
    let environment = unsafe { argv.add(argc + 1) };
    // SAFETY: it is an array of pointers to strings, and ends with null.
    let environment = unsafe { ThinCStr::array(environment.cast::<*const c_char>().cast_mut()) };
    exit(main(arguments, environment))
}

/// `AsFd::as_fd`, which rustix's type has with a panic path, for the number -1.
#[must_use]
pub fn borrow(fd: &OwnedFd) -> BorrowedFd<'_> {
    // The mask tells the compiler what the type promises.
    // SAFETY: it is open as long as its owner is borrowed.
    unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd() & RawFd::MAX) }
}

/// What the compiler calls by name, in the shortest form: small beats fast here. The reads are
/// volatile, so that these loops are not compiled into calls of themselves.
///
/// To the caller of such a function a byte is one thing, however many operations that takes.
#[allow(clippy::multiple_unsafe_ops_per_block)]
mod mem {
    use core::ptr::read_volatile as read;

    /// # Safety
    ///
    /// That of memcpy(3).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        for at in 0..length {
            // SAFETY: `at` is below `length`; the caller vouches for so many bytes at both places.
            unsafe { *to.add(at) = read(from.add(at)) };
        }
        to
    }

    /// # Safety
    ///
    /// That of memset(3).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
        for at in 0..length {
            // SAFETY: `at` is below `length`; the caller vouches for so many bytes.
            unsafe { to.add(at).write_volatile(byte as u8) };
        }
        to
    }

    /// # Safety
    ///
    /// That of bcmp(3).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, length: usize) -> i32 {
        for at in 0..length {
            // SAFETY: `at` is below `length`; the caller vouches for so many bytes at both places.
            let difference = unsafe { i32::from(read(a.add(at))) - i32::from(read(b.add(at))) };
            if difference != 0 {
                return difference;
            }
        }
        0
    }

    /// # Safety
    ///
    /// That of strlen(3).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(string: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: the caller vouches for a null; the bytes before it can be read.
        while unsafe { read(string.add(length)) } != 0 {
            length += 1;
        }
        length
    }
}
