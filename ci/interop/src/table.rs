//! What is tried, a line each.

use pidfile_proof::case::Count;
use pidfile_proof::room;

/// What was tried, and what of it came out right.
#[derive(Default)]
pub struct Table {
    count: Count,
    skipped: usize,
}

impl Table {
    /// Tries one thing, ends what it has left, and says how it was.
    pub fn case(&mut self, name: &str, body: impl FnOnce() -> Result<(), String>) {
        let right = self.count.right;
        self.count.case(name, body);
        room::sweep(&[]);
        println!("interop {name:<90} {}", if self.count.right > right { "right" } else { "WRONG" });
    }

    /// Says that something cannot be tried here.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("interop {name:<90} skipped: {why}");
    }

    /// Whether all that was tried is right.
    pub fn end(&self) -> bool {
        println!("interop tried={} right={} skipped={}", self.count.tried, self.count.right, self.skipped);
        self.count.all_right()
    }
}
