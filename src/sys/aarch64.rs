//! syscall(2) of `aarch64`: the number in x8, the result in x0.

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
            "svc 0",
            in("x8") nr as usize,
            inlateout("x0") a => ret,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") last,
            options(nostack, preserves_flags)
        );
    }
    ret
}
