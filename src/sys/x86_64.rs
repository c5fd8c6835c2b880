//! syscall(2) of `x86_64`: the number and the result in rax; rcx and r11 are lost.

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
            "syscall",
            inlateout("rax") nr as usize => ret,
            in("rdi") a[0],
            in("rsi") a[1],
            in("rdx") a[2],
            in("r10") a[3],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        );
    }
    ret
}
