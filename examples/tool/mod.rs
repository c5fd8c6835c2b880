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
use daemon_steps::{EnvBlock, Step, ThinCStr, fill_stdio};
use line::Line;

/// What every verb answers when it has done what was asked.
const DONE: i32 = 0;
/// It could not be done; one line on standard error says why.
const FAILED: i32 = 1;
/// The command line makes no sense.
const USAGE: i32 = 2;

/// Runs the tool; the exit status.
pub(crate) fn main(argv: &[Option<ThinCStr<'_>>], env: &EnvBlock<'static>) -> i32 {
    let mut line = Line::new();
    let filled = fill_stdio();
    let mut call = Call::new();
    if let Err(status) = call.parse(argv, &mut line) {
        return status;
    }
    if let Err(errno) = filled {
        let failed = text::complain(&mut line, Step::FillStdio.as_str(), &[], errno);
        return if call.verb == Verb::Status { stop::UNKNOWN } else { failed };
    }
    match call.verb {
        Verb::Start | Verb::Restart | Verb::Run => start::start(&call, env, &mut line),
        Verb::Stop => stop::stop(&call, &mut line),
        Verb::Status => stop::status(&call, &mut line),
        Verb::Help => args::help(),
    }
}
