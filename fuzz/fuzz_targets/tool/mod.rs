//! What the command line's reader needs of the tool.

#![allow(clippy::pedantic, dead_code, unreachable_pub)]

#[path = "../../../examples/tool/args.rs"]
pub(crate) mod args;
#[path = "../../../examples/tool/text.rs"]
mod text;

const DONE: i32 = 0;
const FAILED: i32 = 1;
pub(crate) const USAGE: i32 = 2;

/// A line that is counted, and not written.
pub(crate) mod line {
    use rustix::fd::BorrowedFd;

    pub(crate) const STDIN: BorrowedFd<'static> = standard(0);
    pub(crate) const STDOUT: BorrowedFd<'static> = standard(1);
    pub(crate) const STDERR: BorrowedFd<'static> = standard(2);

    const fn standard(number: i32) -> BorrowedFd<'static> {
        // SAFETY: the fuzzer keeps its standard streams.
        unsafe { BorrowedFd::borrow_raw(number) }
    }

    #[derive(Default)]
    pub(crate) struct Line {
        pub(crate) told: usize,
    }

    impl Line {
        pub(crate) fn error(&mut self, _: &str) -> &mut Self {
            self
        }

        pub(crate) fn text(&mut self, _: &str) -> &mut Self {
            self
        }

        pub(crate) fn bytes(&mut self, _: &[u8]) -> &mut Self {
            self
        }

        pub(crate) fn shown(&mut self, _: &[u8]) -> &mut Self {
            self
        }

        pub(crate) fn number(&mut self, _: u32) -> &mut Self {
            self
        }

        pub(crate) fn err(&mut self) {
            self.told += 1;
        }
    }

    pub(crate) fn print(_: BorrowedFd<'_>, _: &[u8]) {}
}
