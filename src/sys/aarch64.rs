//! syscall(2) of `aarch64`: the number in x8, the result in x0.

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
            "svc 0",
            in("x8") nr as usize,
            inlateout("x0") a[0] => ret,
            in("x1") a[1],
            in("x2") a[2],
            in("x3") a[3],
            options(nostack, preserves_flags)
        );
    }
    ret
}
