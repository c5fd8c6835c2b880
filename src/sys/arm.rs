//! syscall(2) of 32-bit `arm` (EABI): the number in r7, the result in r0.

use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline]
pub(super) unsafe fn syscall4(nr: u32, a: [usize; 4]) -> usize {
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
            inlateout("r0") a[0] => ret,
            in("r1") a[1],
            in("r2") a[2],
            in("r3") a[3],
            options(nostack, preserves_flags)
        );
    }
    ret
}
