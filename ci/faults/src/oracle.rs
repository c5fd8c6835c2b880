//! What must come of a fault.
//!
//! The rule: an error is returned as it is, and nothing has changed; what is short is gone on with. The table: what else is
//! promised, and why.

use crate::fault::{Fault, How, Place};
use crate::run::Run;
use daemon_steps::Step;
use functions_proof::ways::HANDOFF;
use rustix::io::Errno;

/// What must come of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The errno is returned.
    Returned,
    /// Another one is.
    Becomes(Errno),
    /// The errno is returned, and what begins so may be otherwise.
    ReturnedBut(&'static [&'static str]),
    /// The errno is returned, of another step.
    ReturnedAt(Step),
    /// All is as without the fault.
    Works,
    /// All but what begins so.
    WorksBut(&'static [&'static str]),
    /// One of these: which, two calls that are alike in all else decide, or the plan.
    Any(&'static [Expect]),
    /// Another one is, of another step.
    BecomesAt(Step, Errno),
    /// The daemon ends without a word.
    Dies,
    /// No error, and nothing is done.
    Nothing,
}

/// Which faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Once,
    Denied,
    Short,
}

/// An expectation for some faults; an empty list is all.
struct Rule {
    /// None: it is not tried, because it cannot come to pass.
    expect: Option<Expect>,
    of: &'static [&'static str],
    when: Option<&'static str>,
    when_too: Option<&'static str>,
    role: Option<usize>,
    calls: &'static [&'static str],
    before: Option<&'static str>,
    after: Option<&'static str>,
    first: bool,
    last: usize,
    nth: &'static [usize],
    only: bool,
    kind: Option<Kind>,
    errnos: &'static [Errno],
}

/// What is expected, and why.
const fn rule(expect: Expect, _why: &'static str) -> Rule {
    Rule {
        expect: Some(expect),
        of: &[],
        when: None,
        when_too: None,
        role: None,
        calls: &[],
        before: None,
        after: None,
        first: false,
        last: usize::MAX,
        nth: &[],
        only: false,
        kind: None,
        errnos: &[],
    }
}

/// What is not tried, and why.
const fn untried(why: &'static str) -> Rule {
    Rule { expect: None, ..rule(Returned, why) }
}

impl Rule {
    const fn of(self, of: &'static [&'static str]) -> Self {
        Self { of, ..self }
    }

    /// On that way.
    const fn when(self, when: &'static str) -> Self {
        Self { when: Some(when), ..self }
    }

    /// And on that one.
    const fn when_too(self, when: &'static str) -> Self {
        Self { when_too: Some(when), ..self }
    }

    const fn role(self, role: usize) -> Self {
        Self { role: Some(role), ..self }
    }

    const fn calls(self, calls: &'static [&'static str]) -> Self {
        Self { calls, ..self }
    }

    /// Before the first call of this name, in the same process.
    const fn before(self, before: &'static str) -> Self {
        Self { before: Some(before), ..self }
    }

    /// After it.
    const fn after(self, after: &'static str) -> Self {
        Self { after: Some(after), ..self }
    }

    /// The first of its name in its process.
    const fn first(self) -> Self {
        Self { first: true, ..self }
    }

    /// Of the calls of its name in its process among the last so many.
    const fn last(self, last: usize) -> Self {
        Self { last, ..self }
    }

    /// Those of its name in its process, counted from zero.
    const fn nth(self, nth: &'static [usize]) -> Self {
        Self { nth, ..self }
    }

    /// Its process makes no other of its name.
    const fn only(self) -> Self {
        Self { only: true, ..self }
    }

    const fn once(self) -> Self {
        Self { kind: Some(Kind::Once), ..self }
    }

    const fn denied(self) -> Self {
        Self { kind: Some(Kind::Denied), ..self }
    }

    const fn short(self) -> Self {
        Self { kind: Some(Kind::Short), ..self }
    }

    const fn errnos(self, errnos: &'static [Errno]) -> Self {
        Self { errnos, ..self }
    }

    fn fits(&self, function: &str, when: &[&str], fault: &Fault, usual: &Run) -> bool {
        let has = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
        let place = &fault.place;
        let of_process: Vec<_> = usual.places.iter().filter(|other| other.role == place.role).collect();
        let there = of_process.iter().position(|other| *other == place);
        let first = |call: &str| of_process.iter().position(|other| other.call == call);
        let like = of_process.iter().filter(|other| other.call == place.call).count();
        has(self.of, function)
            && self.when.is_none_or(|way| when.contains(&way))
            && self.when_too.is_none_or(|way| when.contains(&way))
            && self.role.is_none_or(|role| role == place.role)
            && has(self.calls, &place.call)
            && self.before.is_none_or(|call| first(call).is_none_or(|first| there < Some(first)))
            && self.after.is_none_or(|call| first(call).is_some_and(|first| there > Some(first)))
            && (!self.first || place.nth == 0)
            && place.nth >= like.saturating_sub(self.last)
            && (self.nth.is_empty() || self.nth.contains(&place.nth))
            && (!self.only || like == 1)
            && self.kind.is_none_or(|kind| kind == kind_of(fault))
            && (self.errnos.is_empty() || fault.errno().is_some_and(|errno| self.errnos.contains(&errno)))
    }
}

fn kind_of(fault: &Fault) -> Kind {
    match fault.how {
        How::Fails(_) | How::FailsAfter(_) => Kind::Once,
        How::Denied(_) => Kind::Denied,
        How::Short(_) => Kind::Short,
    }
}

use Expect::{Any, Becomes, BecomesAt, Dies, Nothing, Returned, ReturnedAt, ReturnedBut, Works, WorksBut};

/// Those that ask whether there is one thread, and nothing else of that kind.
const ASK: &[&str] = &["fork", "setgroups", "setresgid", "setresuid", "drop_privileges", "daemonize", "detach"];
const LOCK: &[&str] = &["PidFile::lock", "PidFile::lock_at", "daemonize", "detach"];
const FILE: &[&str] = &["PidFile::lock", "PidFile::lock_at", "remove_left_over", "daemonize", "detach"];
const DROP: &[&str] = &["drop_privileges", "daemonize", "detach"];
const WAIT: &[&str] = &["Waiter::wait", "handoff_until_ready", "daemonize", "detach"];
const HEAR: &[&str] = &["Waiter::wait", "Waiter::word", "daemonize", "detach"];
/// What is asked before a move.
const ASKED: &[&str] = &[
    "unshare",
    "prctl(PR_GET_TID_ADDRESS)",
    "get_robust_list",
    "sigaltstack",
    "rseq",
    "newfstatat",
    "set_tid_address",
    "set_robust_list",
];
const NO_PIDFD: &str = "The daemon is no child (any more), or has no pidfd";
const NO_WORD: &str = "The pipe ends without a word";
const ENDS: &str = "The daemon ends, or executes a program, before it is ready";
/// On this way the daemon may be killed before it is seen to have returned.
pub const OVER: &str = "The timeout is over, or what comes is no word";
const STOP: &[&str] = &["stop", "signal_holder"];
const CLOSE: &[&str] = &["close_from", "close_except"];
const FILL: &[&str] = &["fill_stdio", "daemonize", "detach"];
const MOVE: &[&str] = &["handoff", "handoff_until_ready"];
const MOVES: &[&str] = &["handoff", "handoff_until_ready", "daemonize", "detach"];
/// The functions that return which step has failed.
pub const COMPOSITIONS: &[&str] = &["daemonize", "detach"];

/// Stands in the list of ways where another process does something meanwhile.
pub const MEANWHILE: &str = "meanwhile";

/// The first that fits counts.
const TABLE: &[Rule] = &[
    rule(Works, "the descriptor is gone, whatever close(2) says").calls(&["close"]),
    untried("all signals are blocked").of(MOVES).when(HANDOFF).calls(&["wait4"]).before("rt_sigaction").errnos(&[Errno::INTR]),
    untried("its child has ended, and is no other's").of(MOVE).calls(&["wait4"]).first(),
    untried("without waiting there is no interruption").of(MOVE).calls(&["wait4"]).errnos(&[Errno::INTR]),
    untried("a filter denies it always, and then the move is refused").of(MOVE).calls(&["unshare"]).after("clone"),
    untried("without waiting there is no interruption")
        .of(&["detach"])
        .when(HANDOFF)
        .when_too(NO_WORD)
        .role(0)
        .calls(&["wait4"])
        .last(1)
        .errnos(&[Errno::INTR]),
    rule(Works, "a call that a signal has interrupted is made again").once().errnos(&[Errno::INTR]),
    untried("no clock fails once: a filter denies it always").calls(&["clock_gettime"]).once(),
    rule(Works, "then a timeout lasts its full time once").calls(&["clock_gettime"]),
    rule(Works, "without it /proc/self/fd is read, and without that all numbers are tried").calls(&["close_range", "getdents64"]),
    rule(Works, "the kernel says that it is closed, so it is filled")
        .of(FILL)
        .role(0)
        .calls(&["fcntl(F_GETFD)"])
        .errnos(&[Errno::BADF]),
    rule(Works, "without /proc all numbers are tried").of(CLOSE).calls(&["openat"]),
    rule(Becomes(Errno::PERM), "it only confirms that `close` was denied").of(CLOSE).calls(&["fcntl(F_GETFD)"]),
    rule(WorksBut(&["end"]), "no children are no error; but then none is counted, which ends the way that has one")
        .of(&["reap"])
        .calls(&["wait4"])
        .errnos(&[Errno::CHILD]),
    rule(Nothing, "no terminal is no error").of(&["tiocnotty"]).calls(&["openat"]).errnos(&[Errno::NXIO]),
    // The compositions.
    rule(Works, "without /proc the end is waited for a while")
        .of(COMPOSITIONS)
        .when(NO_WORD)
        .role(0)
        .calls(&["openat"])
        .after("clone"),
    rule(ReturnedBut(&["file pid"]), "an open file is there, or the file system fails; it stays, empty")
        .of(COMPOSITIONS)
        .role(0)
        .calls(&["newfstatat"])
        .before("pipe2")
        .nth(&[1])
        .errnos(&[Errno::NOENT]),
    rule(WorksBut(&["left", "end"]), "its status is not known then")
        .of(&["detach"])
        .when(NO_WORD)
        .role(0)
        .calls(&["wait4"])
        .last(1),
    rule(WorksBut(&["left", "end"]), "its status is not known then")
        .of(&["detach"])
        .when(NO_WORD)
        .role(0)
        .calls(&["wait4"])
        .denied(),
    rule(WorksBut(&["left"]), "who cannot be asked for is neither killed nor reaped")
        .of(&["detach"])
        .when(OVER)
        .role(0)
        .calls(&["waitid"])
        .denied(),
    rule(Returned, "only the pid could not be told: the error can")
        .of(&["detach"])
        .when(NO_WORD)
        .role(2)
        .calls(&["write"])
        .once()
        .only(),
    rule(Returned, "only the pid could not be told: the error can")
        .of(&["detach"])
        .when(OVER)
        .role(2)
        .calls(&["write"])
        .once()
        .only(),
    rule(Works, "it is a pause").of(COMPOSITIONS).role(1).calls(&["ppoll"]),
    rule(Works, "it is a pause").of(COMPOSITIONS).role(2).calls(&["ppoll"]),
    rule(Works, "without /proc all numbers are tried").of(COMPOSITIONS).role(2).calls(&["openat"]).after("close_range"),
    rule(ReturnedAt(Step::ResetSignals), "the old process needs none")
        .of(COMPOSITIONS)
        .when(HANDOFF)
        .role(0)
        .calls(&["rt_sigaction"])
        .denied(),
    rule(WorksBut(&["Sig"]), "nothing that a kernel refuses once")
        .of(COMPOSITIONS)
        .when(HANDOFF)
        .role(0)
        .calls(&["rt_sigaction"]),
    rule(WorksBut(&["Sig", "kept"]), "it was granted a moment ago").of(COMPOSITIONS).role(0).after("clone").once().calls(&[
        "prctl(PR_GET_CHILD_SUBREAPER)",
        "prctl(PR_SET_CHILD_SUBREAPER)",
        "rt_sigprocmask",
    ]),
    rule(WorksBut(&["file pid"]), "the step's own error counts, and the file stays, empty")
        .of(COMPOSITIONS)
        .role(0)
        .after("clone")
        .calls(&["newfstatat", "unlinkat", "ftruncate"]),
    rule(Works, "replaced meanwhile: it is tried again")
        .of(COMPOSITIONS)
        .role(0)
        .calls(&["newfstatat"])
        .before("pipe2")
        .errnos(&[Errno::NOENT, Errno::STALE]),
    rule(Works, "replaced meanwhile: it is tried again")
        .of(COMPOSITIONS)
        .role(0)
        .calls(&["openat"])
        .after("newfstatat")
        .errnos(&[Errno::STALE]),
    rule(Works, "locked for an instant: it is tried again")
        .of(COMPOSITIONS)
        .role(0)
        .calls(&["flock", "fcntl(F_OFD_SETLK)"])
        .once()
        .errnos(&[Errno::AGAIN]),
    rule(ReturnedBut(&["file pid"]), "it stays, empty").of(COMPOSITIONS).role(0).before("pipe2").calls(&[
        "flock",
        "fcntl(F_OFD_SETLK)",
        "newfstatat",
        "openat",
        "ftruncate",
    ]),
    rule(Becomes(Errno::PROTO), "what cannot be read is no word").of(COMPOSITIONS).when(HANDOFF).role(0).calls(&["read"]),
    rule(Returned, "without a wait there is no word").of(COMPOSITIONS).role(0).calls(&["ppoll"]).first(),
    rule(
        Any(&[BecomesAt(Step::DropPrivileges, Errno::BUSY), BecomesAt(Step::Fork, Errno::BUSY), Becomes(Errno::USERS), Works]),
        "without /proc, as below a new root, nobody can tell",
    )
    .of(COMPOSITIONS)
    .role(0)
    .calls(&["unshare"])
    .denied(),
    rule(WorksBut(&["left"]), "what is not reaped stays").of(COMPOSITIONS).role(0).calls(&["wait4"]).errnos(&[
        Errno::CHILD,
        Errno::INVAL,
        Errno::NOSYS,
        Errno::PERM,
    ]),
    rule(Becomes(Errno::PROTO), "part of a word is none").of(COMPOSITIONS).role(2).calls(&["write"]).short(),
    rule(Dies, "there is no other way to tell").of(COMPOSITIONS).role(2).calls(&["write"]).last(1),
    rule(Dies, "there is no other way to tell").of(COMPOSITIONS).role(2).calls(&["write"]).denied(),
    // Moving: what is registered for the old process.
    rule(Works, "nothing is known to be put back").of(MOVES).calls(&["prctl(PR_GET_DUMPABLE)"]),
    rule(Works, "the step's own error counts; it was granted a moment ago").of(MOVES).calls(&["prctl(PR_SET_DUMPABLE)"]),
    rule(Any(&[Works, Becomes(Errno::ADDRINUSE)]), "it may be somebody else's; forks may be an alternative")
        .of(COMPOSITIONS)
        .role(0)
        .calls(&["rseq"])
        .before("clone"),
    rule(WorksBut(&["kept"]), "without the feature `std` there is no C library").of(MOVES).calls(&["prctl(PR_GET_TID_ADDRESS)"]),
    rule(Any(&[Works, Returned]), "forks may be an alternative")
        .of(COMPOSITIONS)
        .when(HANDOFF)
        .role(0)
        .calls(ASKED)
        .before("clone"),
    rule(WorksBut(&["SigBlk"]), "it was granted a moment ago")
        .of(COMPOSITIONS)
        .when(HANDOFF)
        .role(2)
        .calls(&["rt_sigprocmask"])
        .once()
        .first(),
    rule(WorksBut(&["SigBlk"]), "it was granted a moment ago").of(MOVE).role(2).calls(&["rt_sigprocmask"]).once().first(),
    rule(Works, "it is asked ten times").of(MOVE).calls(&["newfstatat"]).once(),
    rule(Becomes(Errno::BUSY), "nobody can tell").of(MOVE).calls(&["newfstatat"]).denied(),
    rule(Works, "a pause that is none").of(MOVE).calls(&["ppoll"]).before("clone"),
    rule(Works, "as on a kernel before 4.18").of(MOVES).calls(&["rseq"]).before("clone").errnos(&[Errno::NOSYS]),
    rule(Becomes(Errno::ADDRINUSE), "it may be somebody else's").of(MOVES).calls(&["rseq"]).before("clone"),
    rule(WorksBut(&["kept"]), "it was granted a moment ago")
        .of(MOVES)
        .calls(&["set_tid_address", "set_robust_list", "rseq", "sigaltstack"])
        .after("clone"),
    rule(WorksBut(&["kept"]), "it was granted a moment ago").of(MOVES).role(2).calls(&[
        "set_tid_address",
        "set_robust_list",
        "rseq",
        "sigaltstack",
    ]),
    rule(Any(&[Becomes(Errno::USERS), Becomes(Errno::BUSY)]), "nobody can tell").of(MOVE).calls(&["unshare"]).denied(),
    rule(WorksBut(&["SigBlk"]), "it was granted a moment ago").of(MOVE).role(0).calls(&["rt_sigprocmask"]).after("clone"),
    rule(WorksBut(&["Sig"]), "nothing that a kernel refuses once").of(MOVE).role(0).calls(&["rt_sigaction"]),
    rule(WorksBut(&["kept"]), "it was granted a moment ago")
        .of(MOVES)
        .role(0)
        .calls(&["set_tid_address", "set_robust_list"])
        .after("rt_sigprocmask"),
    rule(Any(&[Works, Returned]), "forks may be an alternative")
        .of(COMPOSITIONS)
        .when(HANDOFF)
        .role(0)
        .calls(&["set_tid_address", "set_robust_list"]),
    // Privileges.
    rule(Works, "all is refused before")
        .when("There is a second thread, or nobody can tell")
        .of(ASK)
        .calls(&["getgroups", "newfstatat"]),
    rule(Works, "what is not known to be right is set").of(DROP).calls(&["getgroups"]).once().before("setresuid"),
    rule(Returned, "that is the last look").of(DROP).calls(&["capget"]).last(1),
    rule(Works, "what may be left is given up").of(DROP).calls(&["capget"]).once(),
    rule(Any(&[Returned, Becomes(Errno::PERM)]), "there are more groups than are looked at, and so not those that are wanted")
        .of(&["drop_privileges"])
        .calls(&["getgroups"])
        .after("setresuid")
        .errnos(&[Errno::INVAL]),
    rule(Any(&[Returned, Becomes(Errno::PERM)]), "what is not known to be right is set, by whoever may")
        .of(&["drop_privileges"])
        .calls(&["getgroups"])
        .denied()
        .errnos(&[Errno::NOSYS]),
    // The pid file.
    rule(Returned, "an open file is there, or the file system fails")
        .of(&["PidFile::lock", "PidFile::lock_at"])
        .calls(&["newfstatat"])
        .nth(&[1, 4])
        .errnos(&[Errno::NOENT]),
    rule(Nothing, "the file system says that there is none")
        .of(&["remove_left_over"])
        .calls(&["newfstatat"])
        .nth(&[1])
        .errnos(&[Errno::NOENT]),
    rule(Nothing, "the file system says that there is none")
        .of(&["remove_left_over"])
        .when(MEANWHILE)
        .calls(&["newfstatat"])
        .nth(&[4])
        .errnos(&[Errno::NOENT]),
    rule(Works, "locked for an instant: it is tried again")
        .of(LOCK)
        .role(0)
        .calls(&["flock", "fcntl(F_OFD_SETLK)"])
        .once()
        .errnos(&[Errno::AGAIN]),
    rule(Returned, "that is the removal's own look")
        .of(&["remove_left_over"])
        .calls(&["newfstatat"])
        .after("flock")
        .last(2)
        .errnos(&[Errno::NOENT, Errno::STALE]),
    rule(Works, "replaced meanwhile: it is tried again")
        .of(&["remove_left_over"])
        .calls(&["newfstatat"])
        .after("flock")
        .last(4)
        .errnos(&[Errno::NOENT, Errno::STALE]),
    rule(Nothing, "there is none")
        .of(&["remove_left_over"])
        .when(MEANWHILE)
        .calls(&["newfstatat"])
        .last(5)
        .errnos(&[Errno::NOENT]),
    rule(Nothing, "there is none").of(&["remove_left_over"]).calls(&["newfstatat"]).before("flock").errnos(&[Errno::NOENT]),
    rule(Nothing, "there is none, or somebody has it")
        .of(&["remove_left_over"])
        .calls(&["openat"])
        .after("newfstatat")
        .errnos(&[Errno::NOENT, Errno::AGAIN]),
    rule(Nothing, "somebody holds it").of(&["remove_left_over"]).calls(&["flock"]).errnos(&[Errno::AGAIN]),
    rule(Works, "replaced meanwhile: it is tried again")
        .of(FILE)
        .role(0)
        .calls(&["newfstatat"])
        .errnos(&[Errno::NOENT, Errno::STALE]),
    rule(Works, "replaced meanwhile: it is tried again")
        .of(FILE)
        .role(0)
        .calls(&["openat"])
        .after("newfstatat")
        .errnos(&[Errno::STALE]),
    rule(Becomes(Errno::NOSPC), "the number does not fit")
        .of(&["PidFile::claim", "daemonize", "detach"])
        .calls(&["pwrite64"])
        .short(),
    rule(WorksBut(&["file"]), "the file is emptied, where it may not be removed")
        .of(&["remove_left_over"])
        .calls(&["newfstatat", "unlinkat"])
        .after("flock")
        .last(2)
        .errnos(&[Errno::ACCESS, Errno::BUSY, Errno::ROFS, Errno::PERM]),
    rule(Any(&[WorksBut(&["file"]), Nothing]), "the own file is emptied, where nobody may see whether another stands there")
        .of(&["PidFile::remove"])
        .calls(&["newfstatat"])
        .errnos(&[Errno::ACCESS, Errno::PERM]),
    rule(WorksBut(&["file"]), "the file is emptied, where it may not be removed")
        .of(&["PidFile::remove"])
        .calls(&["newfstatat", "unlinkat"])
        .errnos(&[Errno::ACCESS, Errno::BUSY, Errno::ROFS, Errno::PERM]),
    rule(Works, "a pause that is none")
        .of(&["PidFile::lock", "PidFile::lock_at", "remove_left_over", "holder", "signal_holder"])
        .calls(&["ppoll"]),
    // Signalling.
    rule(Works, "the holder is another by now: it is asked again").of(STOP).calls(&["pidfd_open"]).once().errnos(&[Errno::SRCH]),
    rule(Works, "older kernels say so of one that has ended: the holder is asked again")
        .of(STOP)
        .calls(&["pidfd_open"])
        .once()
        .errnos(&[Errno::INVAL]),
    untried("it has not ended").of(STOP).calls(&["pidfd_send_signal"]).errnos(&[Errno::SRCH]),
    rule(Works, "a pause that is none").of(&["stop"]).when("The answer is to be [`Holder::LeftBehind`]").calls(&["ppoll"]),
    // Readiness.
    rule(Becomes(Errno::SRCH), "older kernels say so of one that has ended")
        .of(&["wait_newline"])
        .calls(&["pidfd_open"])
        .errnos(&[Errno::INVAL]),
    rule(Works, "without /proc the end is waited for a while").of(&["Waiter::wait", "handoff_until_ready"]).calls(&["openat"]),
    rule(Any(&[Becomes(Errno::PROTO), Works]), "part of a word is none; but an end has no parts")
        .of(&["Waiter::word"])
        .calls(&["read"])
        .only()
        .short(),
    rule(Works, "without /proc the end is waited for a while").of(WAIT).after("readlinkat").calls(&["openat", "read"]),
    rule(Works, "without /proc the end is waited for a while").of(WAIT).calls(&["readlinkat"]),
    rule(Dies, "what cannot be read is no word, and there is no caller any more").of(MOVE).role(0).calls(&["read"]),
    rule(Dies, "without a wait there is no word, and there is no caller any more").of(MOVE).role(0).calls(&["ppoll"]).first(),
    rule(Becomes(Errno::PROTO), "part of a word is none").of(HEAR).calls(&["read"]).short(),
    untried("it is there").of(WAIT).calls(&["kill"]).errnos(&[Errno::SRCH]),
    untried("who may not ask for a process cannot know").of(WAIT).when(NO_PIDFD).when_too(NO_WORD).calls(&["kill"]),
    rule(WorksBut(&["left", "end"]), "its status is not known then").of(WAIT).when(NO_WORD).calls(&["wait4"]),
    rule(WorksBut(&["left", "end"]), "its status is not known then").of(WAIT).when(ENDS).calls(&["wait4"]),
    rule(Works, "without a pidfd an end is seen by the pipe's end; what cannot be killed is not waited for").of(WAIT).calls(&[
        "pidfd_open",
        "waitid",
        "wait4",
        "kill",
        "pidfd_send_signal",
    ]),
    rule(Any(&[Works, Returned]), "the wait for a word fails, or the one for an end").of(WAIT).calls(&["ppoll"]).after("ppoll"),
    // One thread?
    rule(Works, "then /proc tells; and what is asked in vain is asked again").of(ASK).calls(&["unshare"]),
    rule(Works, "what is asked in vain is asked again").of(MOVE).calls(&["unshare"]),
    rule(Works, "it is asked ten times").of(ASK).calls(&["newfstatat"]).once(),
    rule(Becomes(Errno::BUSY), "nobody can tell").of(ASK).calls(&["newfstatat"]).denied(),
    rule(Works, "a pause that is none").of(ASK).calls(&["ppoll"]),
];

/// What must come of this fault in this function on this way.
pub fn expect(function: &str, when: &[&str], fault: &Fault, usual: &Run) -> Option<Expect> {
    let otherwise = if kind_of(fault) == Kind::Short { Works } else { Returned };
    TABLE.iter().find(|rule| rule.fits(function, when, fault, usual)).map_or(Some(otherwise), |rule| rule.expect)
}

/// What may come of any fault there: on a machine that stalls the time is over before the fault tells.
pub fn too_late(function: &str, when: &[&str]) -> Option<Expect> {
    (function == "detach" && when.contains(&OVER)).then_some(BecomesAt(Step::Ready, Errno::TIMEDOUT))
}

/// Processes, their calls, the way, and the step.
type Calls = (&'static [usize], &'static [&'static str], Option<&'static str>, Step);

/// Which step a call of a composition belongs to, by role; which way, if it is that of one.
const STEPS: &[Calls] = &[
    (&[0], &["openat", "newfstatat", "flock", "fcntl(F_OFD_SETLK)", "fcntl(F_GETLK)", "ftruncate"], None, Step::LockPidFile),
    (&[0], &["pipe2", "fcntl(F_DUPFD_CLOEXEC)"], None, Step::ReadyPipe),
    (&[0, 1], &["rt_sigprocmask", "unshare", "clone", "wait4", "setsid"], Some(HANDOFF), Step::Handoff),
    (&[0], ASKED, Some(HANDOFF), Step::Handoff),
    (
        &[0],
        &["rt_sigprocmask", "prctl(PR_GET_CHILD_SUBREAPER)", "prctl(PR_SET_CHILD_SUBREAPER)", "unshare", "clone"],
        None,
        Step::Fork,
    ),
    (&[0], &["ppoll", "read", "pidfd_open", "waitid", "wait4"], None, Step::Ready),
    (&[1], &["setsid"], None, Step::Setsid),
    (&[1], &["unshare", "clone"], None, Step::ForkAgain),
    (&[2], &["write"], None, Step::Ready),
    (&[2], &["umask"], None, Step::Umask),
    (&[2], &["openat", "dup3", "fcntl(F_SETFD)"], None, Step::Stdio),
    (&[2], &["close_range", "getdents64", "prlimit64", "fcntl(F_GETFD)"], None, Step::CloseFds),
    (&[2], &["rt_sigaction"], None, Step::ResetSignals),
    (&[2], &["chroot"], None, Step::Chroot),
    (&[2], &["fcntl(F_SETLK)", "fcntl(F_OFD_SETLK)", "pwrite64"], None, Step::ClaimPidFile),
    (&[2], DROPPING, None, Step::DropPrivileges),
    (&[2], &["prctl(PR_SET_NO_NEW_PRIVS)"], None, Step::NoNewPrivs),
    (&[2], &["rt_sigprocmask"], None, Step::SignalMask),
];

/// Whether all is done in one process.
pub fn in_place(usual: &[Place]) -> bool {
    usual.iter().any(|place| place.role == 0 && place.call == "umask")
}

const DROPPING: &[&str] =
    &["getgroups", "unshare", "newfstatat", "setgroups", "setresgid", "setresuid", "capget", "capset", "getresuid", "getresgid"];

/// The step that a fault of a composition must be told with.
pub fn step(when: &[&str], fault: &Fault, usual: &[Place]) -> Step {
    let Place { role, call, nth, .. } = &fault.place;
    // Without a fork all is done by the first.
    let role = if in_place(usual) { &2 } else { role };
    let fills = |place: &Place| place.role == 0 && place.call == "fcntl(F_GETFD)";
    let at = usual.iter().position(|place| *place == fault.place);
    if call == "fcntl(F_GETFD)" && fault.place.role == 0 || call == "openat" && usual.iter().rposition(fills) > at {
        return Step::FillStdio;
    }
    // What changes the root changes the directory, too.
    let changes_root = usual.iter().any(|place| place.call == "chroot");
    if call == "chdir" {
        return if changes_root && *nth == 0 { Step::Chroot } else { Step::Chdir };
    }
    let is_it = |(roles, calls, way, _): &&Calls| {
        roles.contains(role) && calls.contains(&call.as_str()) && way.is_none_or(|way| when.contains(&way))
    };
    STEPS.iter().find(is_it).map_or(Step::Exec, |(.., step)| *step)
}

/// What a function that has failed may leave as if it had not failed, and why.
const CHANGES: &[(&str, &[&str], &str)] = &[
    ("fill_stdio", &["fd 0", "fd 1", "fd 2"], "some are filled"),
    ("stdio_null", &["fd 0", "fd 1"], "some are redirected"),
    ("stdio_file", &["file"], "the file may have been created"),
    ("reset_signals", &["Sig"], "some are reset"),
    ("chroot", &["root"], "the root is the new one"),
    ("drop_privileges", &["Groups", "Gid", "Uid", "Cap"], "half-way"),
    ("PidFile::lock", &["file"], "it stays, empty"),
    ("PidFile::lock_at", &["file"], "it stays, empty"),
    ("PidFile::remove", &["fd"], "it is consumed"),
    ("Notifier::ready", &["fd"], "it is consumed"),
    ("Notifier::failed", &["fd"], "it is consumed"),
    ("Waiter::wait", &["fd"], "it is consumed"),
];

/// What it may leave anyhow, and why.
const HALF: &[(&str, &[&str], &str)] = &[
    ("daemonize", &["fd 0", "file log"], "the standard streams stay filled; a file may have been created"),
    ("detach", &["fd 0", "file log"], "the standard streams stay filled; a file may have been created"),
    ("close_from", &["fd"], "some are closed"),
    ("close_except", &["fd"], "some are closed"),
    ("PidFile::claim", &["fd", "file"], "some locks are set, which mean nothing without the others; part of the number"),
];

/// What a function that has failed has closed: the descriptors of what begins so, as `State` has it.
const CONSUMED: &[(&str, &str)] = &[("PidFile::lock_at", "/mnt, "), ("write_newline", "pipe:[], flags 01")];

/// What a function that has failed has closed.
pub fn consumed(function: &str) -> Option<&'static str> {
    CONSUMED.iter().find(|(of, _)| *of == function).map(|(_, what)| *what)
}

fn listed(list: &[(&str, &'static [&'static str], &str)], function: &str) -> &'static [&'static str] {
    list.iter().find(|(of, ..)| *of == function).map_or(&[], |(_, what, _)| *what)
}

/// What a function that has failed may leave as if it had not failed.
pub fn changes(function: &str) -> &'static [&'static str] {
    listed(CHANGES, function)
}

/// What it may leave anyhow.
pub fn half(function: &str) -> &'static [&'static str] {
    listed(HALF, function)
}
