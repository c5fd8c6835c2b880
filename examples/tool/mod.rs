//! The tool, without a heap and without `core::fmt`: the same source serves programs without a C library.

mod args;
mod exec;
mod line;
mod report;
mod start;
mod stop;
mod text;
mod worker;

use args::{Call, Verb};
use daemon_steps::{EnvBlock, ThinCStr, fill_stdio};

/// What every verb answers when it has done what was asked.
const DONE: i32 = 0;
/// It could not be done; one line on standard error says why.
const FAILED: i32 = 1;
/// The command line makes no sense.
const USAGE: i32 = 2;

/// Runs the tool; the exit status.
pub(crate) fn main(argv: &[Option<ThinCStr<'_>>], env: &EnvBlock<'static>) -> i32 {
    if let Err(errno) = fill_stdio() {
        return text::complain("fill descriptors 0, 1 and 2", [], errno);
    }
    let call = match Call::parse(argv) {
        Ok(call) => call,
        Err(wrong) => return wrong.tell(),
    };
    match call.verb {
        Verb::Start => start::start(&call, env),
        Verb::Run => start::run(&call, env),
        Verb::Restart => match stop::stop(&call) {
            DONE => start::start(&call, env),
            failed => failed,
        },
        Verb::Stop => stop::stop(&call),
        Verb::Status => stop::status(&call),
        Verb::Help => args::help(),
    }
}
