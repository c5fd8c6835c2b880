//! Runs something under a tracer, with a fault or without, and sees what becomes of it.

use crate::fault::{Fault, How, Place};
use crate::state::State;
use functions_proof::{names, stage, watch::Meanwhile};
use pidfile_proof::{proc, room, trace, trace::Event};
use rustix::process::{Pid, WaitStatus};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// What takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a traced process begins to be what is tried.
#[derive(Clone, Copy)]
pub enum Begin {
    /// At the mark, see [`stage`].
    Mark,
    /// At its first call of that name after it has executed a program: the tool's first step.
    Call(&'static str),
}

/// What a function has answered in one process.
pub struct Answer {
    /// See [`stage::Answer`].
    pub number: u64,
    /// The process then.
    pub state: State,
    /// Processes that it has made and that are there, or wait to be reaped; but for the daemon: the third.
    pub left: usize,
    /// Whether that is there, or waits to be reaped.
    pub daemon: bool,
}

/// What was seen.
#[derive(Default)]
pub struct Run {
    /// The system calls, in the order in which they were made.
    pub places: Vec<Place>,
    /// The caller before.
    pub before: State,
    /// Those in which the function has returned, by role.
    pub answers: BTreeMap<usize, Answer>,
    /// How the process has ended that has called the function.
    pub caller: Option<WaitStatus>,
    /// How the one has ended that looks at what comes of it; it may be the same.
    pub end: Option<WaitStatus>,
    /// Whether the third process, which is to become the daemon, is alive at the end.
    pub daemon: bool,
    /// Whether the fault has come to pass.
    pub hit: bool,
    /// Where it hangs, if it does.
    pub hangs: Option<String>,
}

struct Process {
    role: usize,
    inside: bool,
    /// The function has returned, and the answer is not told yet.
    about_to_tell: bool,
    programs: usize,
    made: HashMap<String, usize>,
    last: String,
    /// What it is to be answered after the call that it is in; only if that has succeeded.
    answer: Option<(i64, bool)>,
    /// Its third argument, which it must find again after the call.
    length: Option<u64>,
}

impl Process {
    fn new(role: usize, inside: bool) -> Self {
        Self {
            role,
            inside,
            about_to_tell: false,
            programs: 0,
            made: HashMap::new(),
            last: String::new(),
            answer: None,
            length: None,
        }
    }

    fn place(&mut self, number: u64, arguments: &[u64]) -> Place {
        let call = names::of(number, arguments);
        let made = self.made.entry(call.clone()).or_default();
        *made += 1;
        self.last.clone_from(&call);
        Place { role: self.role, call, nth: *made - 1, length: arguments[2] }
    }
}

struct Watch<'a> {
    fault: Option<&'a Fault>,
    begin: Begin,
    meanwhile: Option<Meanwhile>,
    first: Pid,
    processes: HashMap<Pid, Process>,
    /// In the order of roles.
    roles: Vec<Pid>,
    run: Run,
}

/// Runs `body` in a process of its own.
pub fn run(body: impl FnOnce() -> i32, begin: Begin, meanwhile: Option<Meanwhile>, fault: Option<&Fault>) -> Run {
    let first = trace::follow(body);
    let mut watch = Watch {
        fault,
        begin,
        meanwhile,
        first,
        processes: HashMap::from([(first, Process::new(0, false))]),
        roles: vec![first],
        run: Run::default(),
    };
    let end = Instant::now() + LIMIT;
    let mut early = HashMap::new();
    while watch.goes_on() {
        let Some((pid, event)) = trace::next_until(end) else {
            let inside = watch.processes.values().filter(|process| process.inside);
            let last = inside.map(|process| format!("process {} in {}", process.role, process.last)).collect::<Vec<_>>();
            watch.run.hangs = Some(last.join(", "));
            break;
        };
        if !watch.processes.contains_key(&pid) {
            // Its maker's event tells who it is.
            if !matches!(event, Event::Ended(_)) {
                early.insert(pid, event);
            }
            continue;
        }
        watch.see(pid, event);
        let child = if let Event::Forked(child) = event { Some(child) } else { None };
        if let Some((child, event)) = child.and_then(|child| early.remove_entry(&child)) {
            trace::go_on(child, event);
        }
        if watch.stays(pid, event) {
            watch.processes.remove(&pid);
            trace::let_go(pid);
        } else {
            trace::go_on(pid, event);
        }
    }
    watch.run.daemon = watch.roles.get(2).is_some_and(|daemon| proc::is_alive(*daemon));
    watch.run
}

impl Watch<'_> {
    /// Until the first has ended, or stays as the daemon, and so have all that it has made.
    fn goes_on(&self) -> bool {
        self.processes.contains_key(&self.first) || self.processes.values().any(|process| process.inside || process.about_to_tell)
    }

    /// Whether it has become the daemon: the tool's command runs, or its worker waits.
    fn stays(&self, pid: Pid, event: Event) -> bool {
        let (Begin::Call(_), Some(process)) = (self.begin, self.processes.get(&pid)) else { return false };
        match event {
            Event::Executed => process.programs > 1,
            Event::Entry(..) => process.last == "rt_sigtimedwait" && process.inside && process.answer.is_none(),
            _ => false,
        }
    }

    fn see(&mut self, pid: Pid, event: Event) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        match event {
            Event::Entry(stage::MARK, [stage::BEGIN, ..]) => process.inside = true,
            Event::Entry(stage::MARK, [stage::END, ..]) => (process.inside, process.about_to_tell) = (false, true),
            Event::Entry(stage::MARK, [stage::PREPARED, _, kept, ..]) => {
                self.roles[0] = pid;
                self.run.before = State::of(pid, kept);
            }
            Event::Entry(stage::MARK, [stage::ANSWERED, answered, kept, ..]) => {
                process.about_to_tell = false;
                self.answered(pid, answered, kept);
            }
            Event::Entry(number, arguments) => {
                if let (Begin::Call(name), false, 1) = (self.begin, process.inside, process.programs) {
                    process.inside = names::of(number, &arguments) == name;
                }
                if process.inside {
                    let place = process.place(number, &arguments);
                    self.enter(pid, number, place);
                }
            }
            Event::Exit(value) => {
                if let Some(length) = process.length.take() {
                    trace::shorten(pid, length);
                }
                if let Some((answer, _)) = process.answer.take().filter(|(_, if_done)| !if_done || value >= 0) {
                    trace::answer(pid, answer);
                }
            }
            Event::Executed => {
                process.inside = false;
                process.programs += 1;
            }
            Event::Forked(child) => {
                let inside = process.inside;
                let mut new = Process::new(if inside { self.roles.len() } else { 0 }, inside);
                new.programs = process.programs;
                if inside {
                    self.roles.push(child);
                }
                self.processes.insert(child, new);
            }
            Event::Ended(how) => {
                self.processes.remove(&pid);
                if pid == self.roles[0] {
                    self.run.caller = Some(how);
                }
                if pid == self.first {
                    self.run.end = Some(how);
                }
            }
            Event::Signal(_) | Event::Other => {}
        }
    }

    fn enter(&mut self, pid: Pid, number: u64, place: Place) {
        if let Some((_, act)) = self.meanwhile.take_if(|(at, _)| *at as u64 == number) {
            act();
        }
        let Some(process) = self.processes.get_mut(&pid) else { return };
        if let Some(fault) = self.fault {
            let here = fault.place == Place { length: fault.place.length, ..place.clone() };
            let again = self.run.hit && matches!(fault.how, How::Denied(_)) && place.call == fault.place.call;
            self.run.hit |= here;
            match fault.how {
                How::Fails(errno) | How::Denied(errno) if here || again => {
                    trace::refuse(pid);
                    process.answer = Some((-i64::from(errno.raw_os_error()), false));
                }
                How::FailsAfter(errno) if here => process.answer = Some((-i64::from(errno.raw_os_error()), true)),
                How::Short(length) if here => {
                    process.length = Some(place.length);
                    trace::shorten(pid, length);
                }
                _ => {}
            }
        }
        self.run.places.push(place);
    }

    fn answered(&mut self, pid: Pid, number: u64, kept: u64) {
        let Some(role) = self.roles.iter().position(|known| *known == pid) else { return };
        let there = room::strays(&[pid]);
        let daemon = self.roles.get(2).is_some_and(|daemon| there.contains(daemon));
        // What somebody else has forked a moment ago is in neither list.
        let left: Vec<_> = self.roles.iter().enumerate().filter(|(nth, left)| *nth != 2 && there.contains(left)).collect();
        let answer = Answer { number, state: State::of(pid, kept), left: left.len(), daemon };
        self.run.answers.insert(role, answer);
    }
}

/// After a run: the room as it was.
pub fn tidy() {
    room::sweep(&[]);
    functions_proof::watch::clear(room::PLACE);
}
