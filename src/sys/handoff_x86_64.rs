//! The move itself on `x86_64`: the parent P, a child C of no memory of its own, the daemon D.
//!
//! Until C and P are gone they share the stack with D: they touch registers, and `shared.daemon`, and nothing else.

use super::handoff::{GIVE, LEND, Shared};
use core::arch::asm;
use core::ffi::c_void;
use linux_raw_sys::general as k;

pub(super) const KNOWN: bool = true;

/// What stands before a restartable sequence's abort handler.
pub(super) const RSEQ_SIGNATURE: usize = 0x5305_3053;

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
    // thinks; P's way saves it in r14, which `watch` preserves, as it does r12; a system call loses rax, rcx and r11.
    unsafe {
        asm!(
            // P: clone C, on this stack; asleep until it has exited. No signal tells its end.
            "mov eax, {clone}",
            "mov edi, {lend}",
            "xor esi, esi",
            "syscall",
            "test eax, eax",
            "jz 2f",
            "js 5f",
            // P: reap C, whose pid is in eax, whatever its exit signal; no place for its status.
            "mov edi, eax",
            "xor esi, esi",
            "mov edx, {wall}",
            "xor r10d, r10d",
            "mov eax, {wait4}",
            "syscall",
            // P: what the kernel has left for it: D's pid; or C: an errno.
            "movsxd rax, dword ptr [r12]",
            "test eax, eax",
            "js 5f",
            // P: off D's stack, and to the watch; back when D has gone.
            "xchg r14, rsp",
            "call r13",
            "mov rsp, r14",
            "jmp 5f",
            // C: the session.
            "2:",
            "mov eax, {setsid}",
            "syscall",
            "test eax, eax",
            "js 3f",
            // C: clone D, as a child of P, on this stack. Its pid is written before it runs, and even if C is killed here.
            "mov eax, {clone}",
            "mov edi, {give}",
            "mov rdx, r12",
            "syscall",
            "test eax, eax",
            "jz 4f",
            "jns 6f",
            // C: no D, so nobody minds.
            "3:",
            "mov dword ptr [r12], eax",
            // C: the end.
            "6:",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            // D: its steps, on top of this frame.
            "4:",
            "mov rdi, r8",
            "call r9",
            "xor eax, eax",
            "5:",
            clone = const k::__NR_clone,
            lend = const LEND,
            give = const GIVE,
            setsid = const k::__NR_setsid,
            wait4 = const k::__NR_wait4,
            wall = const k::__WALL,
            exit = const k::__NR_exit_group,
            in("r8") data,
            in("r9") run,
            in("r12") &raw const shared.daemon,
            in("r13") watch,
            inout("r14") shared.stack_end() => _,
            lateout("rax") ret,
            clobber_abi("C"),
        );
    }
    ret
}

/// Whether the kernel keeps a second stack of return addresses for this thread: it would give D an empty one.
pub(super) fn shadow_stack() -> bool {
    let top: usize;
    // SAFETY: reads a register; without shadow stacks the instruction does nothing.
    unsafe { asm!("xor {top:e}, {top:e}", "rdsspq {top}", top = out(reg) top, options(nomem, nostack)) };
    top != 0
}

/// Where the C library says that its area for restartable sequences stands, and its
/// size; of no size if it has none.
#[cfg(feature = "std")]
pub(super) fn libc_rseq() -> (usize, u32) {
    let (offset, size): (*const isize, *const u32);
    // SAFETY: the linker leaves null where a weak symbol has no definition.
    unsafe {
        asm!(
            ".weak __rseq_offset",
            ".weak __rseq_size",
            "mov {offset}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            "mov {size}, qword ptr [rip + __rseq_size@GOTPCREL]",
            offset = out(reg) offset,
            size = out(reg) size,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    if offset.is_null() || size.is_null() {
        return (0, 0);
    }
    let pointer: usize;
    // SAFETY: the ABI has the thread pointer stand at what it points to.
    unsafe { asm!("mov {}, fs:0", out(reg) pointer, options(pure, readonly, nostack, preserves_flags)) };
    // SAFETY: a symbol of the library, which does not change after its start.
    let offset = unsafe { *offset };
    // SAFETY: the same.
    (pointer.wrapping_add_signed(offset), unsafe { *size })
}
