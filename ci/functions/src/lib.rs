//! Each public function, alone under a tracer, on each of the ways that its documentation has.

pub mod doc;
pub mod names;
pub mod stage;
pub mod surroundings;
pub mod table;
pub mod watch;
pub mod ways;

/// What the library's tests use, too.
#[path = "../../../tests/support/hostile.rs"]
#[allow(dead_code, missing_docs, clippy::all, clippy::pedantic)]
#[allow(clippy::multiple_unsafe_ops_per_block)]
pub mod hostile;
#[path = "../../../tests/support/tty.rs"]
#[allow(dead_code, missing_docs, clippy::all, clippy::pedantic)]
pub mod tty;

/// What the tests ask for before what an emulator has not; this runs under none.
fn need_kernel(_: &str) {}

/// Nothing here takes longer.
pub const LIMIT: std::time::Duration = std::time::Duration::from_mins(1);
