//! What the targets share: children that live for one input.
//!
//! A step changes the process that takes it, for good; so each input has a process of its own, forked, which ends with
//! it. It tells by memory that it shares with the fuzzer, because its descriptors are the input's to close. What it has
//! covered is copied back, or the fuzzer would be blind.

mod child;
#[path = "../../tests/support/hostile.rs"]
#[allow(clippy::multiple_unsafe_ops_per_block, clippy::needless_pass_by_value, clippy::should_implement_trait, missing_docs)]
pub mod hostile;
#[path = "../../tests/support/proc.rs"]
#[allow(missing_docs)]
pub mod proc;

use child::LIMIT;
pub use child::{Child, Room, fork};

/// The fuzzer runs on a kernel, not under an emulator.
fn need_kernel(_: &str) {}

/// Zero, or the errno's number.
pub fn number<T>(result: Result<T, rustix::io::Errno>) -> i32 {
    result.map_or_else(rustix::io::Errno::raw_os_error, |_| 0)
}
