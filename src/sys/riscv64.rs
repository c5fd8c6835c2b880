//! syscall(2) of `riscv64`: the number in a7, the result in a0.

use super::kernel::Register;
use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline(always)]
pub(super) unsafe fn syscall(nr: u32, [a, b, c, d, last]: [Register; 5]) -> usize {
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
            in("a4") last,
            options(nostack, preserves_flags)
        );
    }
    ret
}
