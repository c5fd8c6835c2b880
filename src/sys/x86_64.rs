//! syscall(2) of `x86_64`: the number and the result in rax; rcx and r11 are lost.

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
            "syscall",
            inlateout("rax") nr as usize => ret,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") last,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        );
    }
    ret
}
