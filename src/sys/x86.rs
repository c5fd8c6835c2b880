//! syscall(2) of 32-bit `x86`: the number and the result in eax, by interrupt 0x80.

use super::kernel::Register;
use core::arch::asm;

/// # Safety
///
/// That of the system call `nr`.
#[inline(always)]
pub(super) unsafe fn syscall(nr: u32, [a, b, c, d, last]: [Register; 5]) -> usize {
    let ret;
    // SAFETY: the registers are the kernel's convention; the caller answers for the call.
    // The compiler keeps esi for itself: the fourth argument is exchanged in and out.
    unsafe {
        asm!(
            "xchg esi, {fourth}",
            "int 0x80",
            "xchg esi, {fourth}",
            fourth = inout(reg) d => _,
            inlateout("eax") nr as usize => ret,
            in("ebx") a,
            in("ecx") b,
            in("edx") c,
            in("edi") last,
            options(nostack, preserves_flags)
        );
    }
    ret
}
