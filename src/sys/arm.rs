//! syscall(2) of 32-bit `arm` (EABI): the number in r7, the result in r0.

use super::kernel::Register;
use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline(always)]
pub(super) unsafe fn syscall(nr: u32, [a, b, c, d, last]: [Register; 5]) -> usize {
    let ret;
    // SAFETY: the registers are the kernel's convention; the caller answers for the call.
    // r7 is Thumb's frame pointer and no operand: it is saved in another register.
    unsafe {
        asm!(
            "mov {saved}, r7",
            "mov r7, {nr}",
            "svc 0",
            "mov r7, {saved}",
            nr = in(reg) nr as usize,
            saved = out(reg) _,
            inlateout("r0") a => ret,
            in("r1") b,
            in("r2") c,
            in("r3") d,
            in("r4") last,
            options(nostack, preserves_flags)
        );
    }
    ret
}
