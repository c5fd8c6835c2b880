//! dpkg's and busybox's start-stop-daemon: both know a daemon by the number in its pid file.

use crate::run::{Told, end_of, equal, run, tool};
use crate::table::Table;
use pidfile_proof::case::must;
use pidfile_proof::proc::is_alive;
use pidfile_proof::tool::Tool;
use rustix::process::{Signal, kill_process};

/// Their daemon.
const SLEEP: &str = "/bin/sleep";

/// One of them, and how to ask it whether the daemon runs.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// Its name.
    pub name: &'a str,
    /// The words that a call begins with.
    pub words: &'a [&'a str],
    /// Those of the question.
    pub status: &'a [&'a str],
}

struct Theirs<'a> {
    program: Program<'a>,
    ours: Tool,
}

impl Theirs<'_> {
    /// Calls it with the pid file.
    fn call(&self, before: &[&str], after: &[&str]) -> Told {
        let pid_file = ["--pidfile", self.ours.pid_file.to_str().expect("utf-8")];
        run(&[self.program.words, before, &pid_file, after].concat())
    }

    /// Whether something runs, for it.
    fn sees(&self) -> bool {
        self.call(self.program.status, &[]).status == 0
    }

    /// The words to start our tool with.
    fn start<'w>(&'w self, tool: &'w str) -> [&'w str; 6] {
        ["--exec", tool, "--", "start", "--pidfile", self.ours.pid_file.to_str().expect("utf-8")]
    }

    /// Whether our tool answers a verb so.
    fn ours(&self, verb: &str, status: i32, out: &str) -> Result<(), String> {
        let told = self.ours.call(verb, &[]);
        must(told.status == status && told.out.trim_end() == out, || format!("{verb}: not {status} {out:?}: {told:?}"))
    }
}

/// All of one of them.
pub fn cases(table: &mut Table, program: Program) {
    let mut case = |what: &str, body: fn(Theirs) -> Result<(), String>| {
        table.case(&format!("{}: {what}", program.name), || body(Theirs { program, ours: Tool::new() }));
    };
    case("sees ours while it runs, and not when it was killed", |theirs| {
        must(!theirs.sees(), || "seen before it was started".into())?;
        let pid = theirs.ours.start(&[])?;
        must(theirs.sees(), || "not seen".into())?;
        kill_process(pid, Signal::KILL).expect("it runs");
        end_of(pid);
        pidfile_proof::room::reap();
        must(!theirs.sees(), || "seen, dead".into())?;
        must(theirs.ours.pid_file.exists(), || "the file is gone: nothing was tried".into())
    });
    case("stops ours, which removes its pid file", |theirs| {
        let pid = theirs.ours.start(&[])?;
        theirs.call(&["-K"], &[]).with(0)?;
        end_of(pid);
        equal("files left", &theirs.ours.files(), &0)?;
        theirs.ours("status", 3, "not running")
    });
    case("starts nothing beside ours", |theirs| {
        let pid = theirs.ours.start(&[])?;
        theirs.call(&["-S"], &theirs.start(&tool())).with(1)?;
        equal("others", &pidfile_proof::room::strays(&[pid]), &Vec::new())?;
        theirs.ours.stop(pid)
    });
    case("starts ours, refuses a second, stops it", |theirs| {
        let tool = tool();
        let words = theirs.start(&tool);
        theirs.call(&["-S"], &words).with(0)?;
        // Its pid file is right as soon as the first process has ended.
        must(theirs.sees(), || "not seen".into())?;
        theirs.call(&["-S"], &words).with(1)?;
        let pid = theirs.ours.call("status", &[]).pid().ok_or("no holder")?;
        theirs.call(&["-K"], &["--exec", &tool]).with(0)?;
        end_of(pid);
        equal("files left", &theirs.ours.files(), &0)
    });
    case("its own daemon holds no lock: ours neither sees nor signals it", |theirs| {
        theirs.call(&["-S", "-b", "-m"], &["--exec", SLEEP, "--", "1000"]).with(0)?;
        // With -b it does not wait for what it has started.
        crate::run::until(|| theirs.sees());
        let number = std::fs::read_to_string(&theirs.ours.pid_file).map_err(|error| error.to_string())?;
        theirs.ours("status", 1, "dead, and its pid file is left")?;
        theirs.ours("stop", 0, "not running")?;
        must(is_alive(crate::run::pid(&number)?), || "it was ended".into())?;
        // Nobody holds it, so that it is removed, as documented.
        equal("files left", &theirs.ours.files(), &0)
    });
}
