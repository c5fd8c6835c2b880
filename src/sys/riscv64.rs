//! syscall(2) of `riscv64`: the number in a7, the result in a0.

use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline]
pub(super) unsafe fn syscall4(nr: u32, a: [usize; 4]) -> usize {
    let ret;
    // SAFETY: the registers are the kernel's convention; the caller answers for the call.
    unsafe {
        asm!(
            "ecall",
            in("a7") nr as usize,
            inlateout("a0") a[0] => ret,
            in("a1") a[1],
            in("a2") a[2],
            in("a3") a[3],
            options(nostack, preserves_flags)
        );
    }
    ret
}
