//! The public functions, each on its main way and on the others that its documentation has.
//!
//! A way is named as there. What stands outside of [`alone`](crate::stage::alone) prepares, or shows that the way was the right one.

mod fd;
mod pidfile;
mod ready;
mod notify;
mod process;
mod handoff;
mod stdio;
mod signal;
mod rest;
mod ids;
mod control;
mod daemon;

use crate::watch::Meanwhile;

/// One way of a function.
pub struct Way {
    /// When, by the documentation; the main way has no word for it. Of several, all of it holds.
    pub when: &'static [&'static str],
    /// Prepares, calls the function, and looks at what it returns.
    pub body: fn(),
    /// What another does at one of its calls.
    pub meanwhile: Option<Meanwhile>,
}

/// A public function.
pub struct Function {
    /// Its name, with its type's if it is a method.
    pub name: &'static str,
    /// The ways, the main one first.
    pub ways: Vec<Way>,
}

fn of(name: &'static str) -> Function {
    Function { name, ways: Vec::new() }
}

impl Function {
    /// The main way, or one more state in which it goes there.
    fn main(self, body: fn()) -> Self {
        self.when(&[], body)
    }

    fn when(mut self, when: &'static [&'static str], body: fn()) -> Self {
        self.ways.push(Way { when, body, meanwhile: None });
        self
    }

    /// At a call of the way that was just named, this is done by another process.
    fn meanwhile(mut self, call: i64, act: fn()) -> Self {
        if let Some(way) = self.ways.last_mut() {
            way.meanwhile = Some((call, act));
        }
        self
    }
}

// More than one has these.
const MISSING: &str = "One is missing";
const NO_RANGE: &str = "It is not there, or denied";
const NO_PROC: &str = "Nor is `/proc`";
const STREAM_CLOSED: &str = "A standard stream is closed";
const LOCKED: &str = "It is locked";
const LEFT: &str = "The answer is to be [`Holder::LeftBehind`]";
const TIMEOUT: &str = "There is a timeout";
const UNSHARE: &str = "`unshare` is denied";
const OVER: &str = "The timeout is over, or what comes is no word";
const THREADS: &str = "There is a second thread, or nobody can tell";

/// By this way a composition moves.
pub const HANDOFF: &str = "[`Plan::way`] is a handoff";

/// The ways that nobody can be led onto from outside: the function, the way, and why.
pub const UNTRIED: &[(&str, &str, &str)] =
    &[("fill_stdio", "Another thread fills it first", "only a race between threads of one process leads there")];

/// Those that make no system call and so have no section about it.
pub const SILENT: &[&str] = &[
    "CloseFds::all_but",
    "Notifier::descriptors",
    "PidFile::descriptors",
    "PidFile::was_left",
    "Plan::new",
    "SignalSet::contains",
    "SignalSet::with",
    "SignalSet::without",
    "Step::failed",
    "ThinCStr::array",
    "ThinCStr::as_c_str",
    "as_str",
    "exit_status",
];

/// All of them.
pub fn all() -> Vec<Function> {
    [
        fd::functions(),
        pidfile::functions(),
        ready::functions(),
        notify::functions(),
        process::functions(),
        handoff::functions(),
        stdio::functions(),
        signal::functions(),
        rest::functions(),
        ids::functions(),
        control::functions(),
        daemon::functions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
