//! An architecture without a file here: the crate's root says so, and this keeps the compiler from saying more.

/// # Safety
///
/// Never called.
pub(super) unsafe fn syscall4(_: u32, _: [usize; 4]) -> usize {
    0
}
