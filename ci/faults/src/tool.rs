//! The example tool, from outside: what it tells by its exit status is true, and where it fails it leaves nothing.
//!
//! Here the rule is one for all calls. A start succeeds, and then the daemon is what it is without a fault, in all that `/proc`
//! shows; or it says why not in one line, and nobody and nothing is left. A stop harms nobody else.

use crate::fault::{self, Fault};
use crate::run::{Begin, Run, run};
use crate::state::State;
use pidfile_proof::case::must;
use pidfile_proof::proc::truth;
use pidfile_proof::room;
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use pidfile_proof::trace::{Streams, execute};
use rustix::io::Errno;
use rustix::process::{Pid, WaitStatus};
use std::path::Path;
use std::time::Duration;

/// What the tool is called with.
pub struct Call {
    /// For people.
    pub name: &'static str,
    verb: &'static str,
    arguments: &'static [&'static str],
    /// Whether a daemon runs before.
    runs: bool,
}

/// All that are tried.
pub const CALLS: &[Call] = &[
    Call { name: "tool start, a worker", verb: "start", arguments: &[], runs: false },
    Call { name: "tool start, a command", verb: "start", arguments: &["--", "/bin/sleep", "1000"], runs: false },
    Call {
        name: "tool start, all options",
        verb: "start",
        arguments: &[
            "--user",
            "65534:65534,65533",
            "--umask",
            "77",
            "--env",
            "PATH",
            "--stdout",
            "/mnt/log",
            "--",
            "/bin/sleep",
            "1000",
        ],
        runs: false,
    },
    Call {
        name: "tool start, ready by a newline",
        verb: "start",
        arguments: &["--ready-fd", "9", "--", "/bin/sh", "-c", "echo >&9; exec /bin/sleep 1000"],
        runs: false,
    },
    Call { name: "tool start, again", verb: "start", arguments: &[], runs: true },
    Call { name: "tool run", verb: "run", arguments: &[], runs: false },
    Call { name: "tool stop", verb: "stop", arguments: &["--timeout", "2"], runs: true },
    Call { name: "tool stop, nobody", verb: "stop", arguments: &[], runs: false },
    Call { name: "tool status", verb: "status", arguments: &[], runs: true },
    Call { name: "tool status, nobody", verb: "status", arguments: &[], runs: false },
];

/// A call, and its surroundings.
pub struct Trial<'a> {
    call: &'a Call,
    tool: Tool,
    bystander: Stranger,
}

/// What there is after a call.
struct Found {
    run: Run,
    out: String,
    err: String,
    /// Who holds the pid file.
    holder: Option<Pid>,
    /// The one that ran before.
    before: Option<Pid>,
    /// All processes, but the bystander and those two.
    left: usize,
}

impl Found {
    fn status(&self) -> Option<i32> {
        self.run.end.and_then(WaitStatus::exit_status)
    }
}

/// The state, once the process has come to rest.
fn at_rest(pid: Pid) -> State {
    let mut last = State::default();
    let mut same = 0;
    for _ in 0..1000 {
        let now = State::of(pid, 0);
        same = if now == last { same + 1 } else { 0 };
        if same == 3 {
            break;
        }
        last = now;
        std::thread::sleep(Duration::from_millis(2));
    }
    last
}

/// The same, when a command has had time to begin.
fn at_rest_at_last(pid: Pid) -> State {
    std::thread::sleep(Duration::from_millis(200));
    at_rest(pid)
}

impl<'a> Trial<'a> {
    /// In a room.
    pub fn new(call: &'a Call) -> Self {
        Self { call, tool: Tool::new(), bystander: Stranger::start() }
    }

    fn run(&self, fault: Option<&Fault>) -> Result<Found, String> {
        self.run_after(fault, || ())
    }

    fn run_after(&self, fault: Option<&Fault>, prepare: impl FnOnce()) -> Result<Found, String> {
        let before = if self.call.runs { Some(self.tool.start(&["--", "/bin/sleep", "1000"])?) } else { None };
        let streams = Streams::new();
        let argv = self.tool.argv(self.call.verb, self.call.arguments);
        let body = || {
            streams.take();
            prepare();
            execute(&argv)
        };
        let run = run(body, Begin::Call("fcntl(F_GETFD)"), None, fault);
        if run.hangs.is_none() {
            self.wait_for_the_others(before);
        }
        let holder = truth(&self.tool.pid_file).holders.first().copied();
        let known: Vec<_> = [self.bystander.pid].into_iter().chain(before).chain(holder).collect();
        let [out, err] = streams.told();
        Ok(Found { run, out, err, holder, before, left: room::strays(&known).len() })
    }

    /// Those that are about to end, and that nobody has to wait for, have ended.
    fn wait_for_the_others(&self, before: Option<Pid>) {
        for _ in 0..100 {
            room::reap();
            let holder = truth(&self.tool.pid_file).holders;
            let known: Vec<_> = [self.bystander.pid].into_iter().chain(before).chain(holder).collect();
            if room::strays(&known).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// As before, for what comes next.
    fn tidy(&self) {
        room::sweep(&[self.bystander.pid]);
        let _ = std::fs::remove_file(&self.tool.pid_file);
        let _ = std::fs::remove_file("/mnt/log");
    }

    /// Without a fault; the faults to try, and how many are not tried.
    ///
    /// # Errors
    ///
    /// It does not do what it is called for.
    pub fn without_fault(&self, every: bool) -> Result<(Usual, Vec<Fault>, usize), String> {
        let found = self.run(None);
        let daemon = found.as_ref().ok().and_then(|found| found.holder).map(at_rest_at_last);
        self.tidy();
        let found = found?;
        must(found.run.hangs.is_none() && !found.run.places.is_empty(), || format!("without a fault: {:?}", found.run.hangs))?;
        let all = fault::all(&found.run.places, every)?;
        let (faults, untried): (Vec<_>, Vec<_>) = all.into_iter().partition(|fault| self.tries(fault));
        let usual = Usual { status: found.status(), out: found.out, daemon, calls: found.run.places.len() };
        let again = self.run(None)?;
        let judged = self.judge(&usual, &again);
        self.tidy();
        judged.map(|()| (usual, faults, untried.len()))
    }

    /// Who is told that there is no file while there is one may believe it; and after its word the daemon may end.
    fn tries(&self, fault: &Fault) -> bool {
        let call = fault.place.call.as_str();
        let lies = self.call.runs && fault.errno() == Some(Errno::NOENT) && ["openat", "newfstatat"].contains(&call);
        !lies && (self.call.verb != "start" || call != "rt_sigtimedwait")
    }

    /// In want of something: a start, after what `prepare` does to the process that executes the tool.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn want(&self, usual: &Usual, prepare: impl FnOnce()) -> Result<(), String> {
        let found = self.run_after(None, prepare)?;
        // Without memory for the program there is no tool that could say something.
        let began = !found.run.places.is_empty();
        let judged = if began {
            self.judge(usual, &found)
        } else {
            must(found.left == 0, || format!("{} processes are left", found.left))
        };
        let judged = judged.and_then(|()| self.stop(&found));
        self.tidy();
        judged.map_err(|wrong| format!("{wrong}; {:?}, {:?}, {:?}", found.status(), found.out.lines().next(), found.err))
    }

    /// Where the pid file is.
    pub fn directory(&self) -> &Path {
        self.tool.pid_file.parent().expect("a directory")
    }

    /// Makes a fault, and looks at what comes of it.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn try_fault(&self, usual: &Usual, fault: &Fault) -> Result<(), String> {
        let mut found = self.run(Some(fault))?;
        for _ in 0..20 {
            if !found.run.hit {
                self.tidy();
                found = self.run(Some(fault))?;
            }
        }
        let judged = must(found.run.hit, || "it did not come to pass".into()).and_then(|()| self.judge(usual, &found));
        let judged = judged.and_then(|()| self.stop(&found));
        self.tidy();
        judged.map_err(|wrong| format!("{wrong}; {:?}, {:?}, {:?}", found.status(), found.out.lines().next(), found.err))
    }

    fn judge(&self, usual: &Usual, found: &Found) -> Result<(), String> {
        if let Some(at) = &found.run.hangs {
            return Err(format!("it hangs: {at}"));
        }
        must(self.bystander.is_unhurt(), || "a bystander is hurt".into())?;
        must(found.left == 0, || format!("{} processes are left", found.left))?;
        let (status, holder) = (found.status(), found.holder);
        let says_why = found.err.lines().count() == 1 && found.err.starts_with("daemon: ");
        match (self.call.verb, status) {
            // It became the daemon itself.
            ("run", None) => Self::is_as_promised(usual, found),
            ("start", Some(0)) => {
                must(!self.call.runs, || "a second one is told to be started".into())?;
                let pid = found.out.lines().find_map(|line| Pid::from_raw(line.strip_prefix("started, pid ")?.parse().ok()?));
                // Where output fails the exit status alone tells.
                must(pid.is_none() || pid == holder, || format!("{pid:?} is told, {holder:?} holds the file"))?;
                Self::is_as_promised(usual, found)
            }
            ("start" | "run", Some(1)) => {
                must(says_why || found.err.is_empty(), || "it does not say why".into())?;
                must(holder == found.before, || format!("{holder:?} holds the file"))
            }
            ("stop", Some(0)) => must(holder.is_none(), || format!("{holder:?} still holds the file")),
            ("stop", Some(1)) => must(says_why || found.err.is_empty(), || "it does not say why".into()),
            ("status", _) if status == usual.status => {
                must(usual.out == found.out || found.out.is_empty() || self.call.runs, || "it tells something else".into())
            }
            ("status", Some(4)) => must(says_why, || "it does not say why".into()),
            _ => Err("no such exit status".into()),
        }
    }

    /// What runs is what would run without a fault.
    fn is_as_promised(usual: &Usual, found: &Found) -> Result<(), String> {
        let pid = found.holder.ok_or("nobody holds the file")?;
        let daemon = usual.daemon.as_ref().ok_or("there is no daemon usually")?;
        // A command may take a while to begin.
        let mut wrong = at_rest(pid).differs(daemon, &[]);
        for _ in 0..500 {
            if wrong.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
            wrong = at_rest(pid).differs(daemon, &[]);
        }
        must(wrong.is_empty(), || format!("the daemon: {}", wrong.join("; ")))
    }

    /// A stop afterwards works, leaves nothing, and harms nobody.
    fn stop(&self, found: &Found) -> Result<(), String> {
        let told = self.tool.call("stop", &[]);
        must(told.status == 0, || format!("a stop afterwards: {told:?}"))?;
        must(self.bystander.is_unhurt(), || "a stop afterwards hurts a bystander".into())?;
        let holder = truth(&self.tool.pid_file).holders;
        must(holder.is_empty(), || format!("after a stop {holder:?} holds the file"))?;
        let running = found.holder.is_none() && told.out != "not running\n";
        must(!running, || format!("a stop afterwards has found somebody: {told:?}"))?;
        must(self.tool.files() == 0, || "after a stop there is a file".into())
    }
}

/// What comes of a call without a fault.
pub struct Usual {
    status: Option<i32>,
    out: String,
    daemon: Option<State>,
    /// How many calls there were.
    pub calls: usize,
}
