//! The move itself on `aarch64`: the parent P, a child C of no memory of its own, the daemon D.
//!
//! Until C and P are gone they share the stack with D: they touch registers, and `shared.daemon`, and nothing else.

use super::handoff::{GIVE, LEND, Shared};
use core::arch::asm;
use core::ffi::c_void;
use linux_raw_sys::general as k;

pub(super) const KNOWN: bool = true;

/// What stands before a restartable sequence's abort handler.
pub(super) const RSEQ_SIGNATURE: usize = 0xd428_bc00;

/// Clones the process into the same memory, twice, with a new session between.
///
/// In D, calls `run(data)`, and returns zero once that has returned. In P, if there is no D, returns the errno, negative; else
/// calls `watch()` on the stack `shared.stack`, and returns what that returns. So one of the two returns.
///
/// # Safety
///
/// * This is the only thread with this memory, and all signals are blocked.
/// * P is registered nowhere to write this memory when it exits; no user shadow stack is on.
/// * `shared` is used by nobody else until P and C have ended, and its `daemon` is not positive.
/// * `watch` does not return before D has left this memory, and not at all if `run` has returned.
pub(super) unsafe fn split(
    shared: &'static Shared,
    run: extern "C" fn(*mut c_void),
    data: *mut c_void,
    watch: extern "C" fn() -> isize,
) -> isize {
    let ret: isize;
    // SAFETY: the caller's part is above. The stack is not moved on D's way, so its frames are where the compiler
    // thinks; P's way saves it in x22, which `watch` preserves; a system call loses x0 only.
    unsafe {
        asm!(
            // P: clone C, on this stack; asleep until it has exited. No signal tells its end.
            "mov x8, {clone}",
            "mov w0, {lend}",
            "mov x1, xzr",
            "svc 0",
            "cbz w0, 2f",
            "tbnz w0, 31, 5f",
            // P: reap C, whose pid is in x0, whatever its exit signal; no place for its status.
            "mov x1, xzr",
            "mov w2, {wall}",
            "mov x3, xzr",
            "mov x8, {wait4}",
            "svc 0",
            // P: what the kernel has left for it: D's pid; or C: an errno.
            "ldrsw x0, [x20]",
            "tbnz w0, 31, 5f",
            // P: off D's stack, and to the watch; back when D has gone.
            "mov x9, sp",
            "mov sp, x22",
            "mov x22, x9",
            "blr x21",
            "mov sp, x22",
            "b 5f",
            // C: the session.
            "2:",
            "mov x8, {setsid}",
            "svc 0",
            "tbnz w0, 31, 3f",
            // C: clone D, as a child of P, on this stack. Its pid is written before it runs, and even if C is killed here.
            "mov x8, {clone}",
            "mov w0, {give_low}",
            "movk w0, {give_high}, lsl 16",
            "mov x1, xzr",
            "mov x2, x20",
            "svc 0",
            "cbz w0, 4f",
            "tbz w0, 31, 6f",
            // C: no D, so nobody minds.
            "3:",
            "str w0, [x20]",
            // C: the end.
            "6:",
            "mov x8, {exit}",
            "mov x0, xzr",
            "svc 0",
            "udf 0",
            // D: its steps, on top of this frame.
            "4:",
            "mov x0, x23",
            "blr x24",
            "mov x0, xzr",
            "5:",
            clone = const k::__NR_clone,
            lend = const LEND,
            give_low = const GIVE & 0xffff,
            give_high = const GIVE >> 16,
            setsid = const k::__NR_setsid,
            wait4 = const k::__NR_wait4,
            wall = const k::__WALL,
            exit = const k::__NR_exit_group,
            in("x20") &raw const shared.daemon,
            in("x21") watch,
            inout("x22") shared.stack_end() => _,
            in("x23") data,
            in("x24") run,
            lateout("x0") ret,
            clobber_abi("C"),
        );
    }
    ret
}

/// Whether the kernel keeps a second stack of return addresses for this thread (GCS): it would give D an empty one.
pub(super) fn shadow_stack() -> bool {
    let off: usize;
    // SAFETY: `chkfeat x16`, which clears the bits of what is on; a processor without it does nothing.
    unsafe { asm!("mov x16, 1", "hint 40", out("x16") off, options(nomem, nostack, preserves_flags)) };
    off == 0
}

/// Where the C library says that its area for restartable sequences stands, and its size; of no size if it has none.
#[cfg(feature = "std")]
pub(super) fn libc_rseq() -> (usize, u32) {
    let (offset, size): (*const isize, *const u32);
    // SAFETY: the linker leaves null where a weak symbol has no definition.
    unsafe {
        asm!(
            ".weak __rseq_offset",
            ".weak __rseq_size",
            "adrp {offset}, :got:__rseq_offset",
            "ldr {offset}, [{offset}, :got_lo12:__rseq_offset]",
            "adrp {size}, :got:__rseq_size",
            "ldr {size}, [{size}, :got_lo12:__rseq_size]",
            offset = out(reg) offset,
            size = out(reg) size,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    if offset.is_null() || size.is_null() {
        return (0, 0);
    }
    let pointer: usize;
    // SAFETY: reads the thread pointer.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    // SAFETY: a symbol of the library, which does not change after its start.
    let offset = unsafe { *offset };
    // SAFETY: the same.
    (pointer.wrapping_add_signed(offset), unsafe { *size })
}
