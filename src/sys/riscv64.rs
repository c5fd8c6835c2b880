//! syscall(2) of `riscv64`: the number in a7, the result in a0.

use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline]
pub(super) unsafe fn syscall4(a: usize, b: usize, c: usize, d: usize, nr: u32) -> usize {
    let ret;
    // SAFETY: the registers are the kernel's convention; the caller answers for the call.
    unsafe {
        asm!(
            "ecall",
            in("a7") nr as usize,
            inlateout("a0") a => ret,
            in("a1") b,
            in("a2") c,
            in("a3") d,
            options(nostack, preserves_flags)
        );
    }
    ret
}
