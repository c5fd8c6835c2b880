//! Kills `start` at each system call of each of its processes in turn, before and after the call, and
//! looks whether anybody is misled: status, the next start, its status, its stop.
//!
//! `first`, `between` and `daemon` are the processes of a start, in the order in which they are forked.
//! A place in one of the first two is tried twice once there is a younger process: with that where it happens
//! to be, and (`late`) after that has come to its end, or to where it stays.

use pidfile_proof::case::{Count, must};
use pidfile_proof::proc::truth;
use pidfile_proof::room::{self, Room};
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use pidfile_proof::trace::{self, Event, Streams};
use rustix::process::{Pid, WaitStatus, geteuid};
use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Formatter};
use std::fs::File;
use std::io::{Read, Seek, Write};

const ROLES: [&str; 3] = ["first", "between", "daemon"];
const DAEMON: usize = 2;

/// Two processors, two rooms.
const ROOMS: usize = 2;

/// How the daemon says that it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    /// COMMAND is executed.
    Executes,
    /// The built-in worker writes a word to its first process.
    Writes,
    /// COMMAND writes a newline.
    Newline,
}

struct Way {
    name: &'static str,
    word: Word,
    arguments: &'static [&'static str],
    needs_root: bool,
}

const WAYS: &[Way] = &[
    Way { name: "command", word: Word::Executes, arguments: &["--", "sleep", "1000"], needs_root: false },
    Way { name: "worker", word: Word::Writes, arguments: &[], needs_root: false },
    Way {
        name: "ready-fd",
        word: Word::Newline,
        arguments: &["--ready-fd", "9", "--", "sh", "-c", "trap '' PIPE; echo >&9; exec sleep 1000"],
        needs_root: false,
    },
    Way {
        name: "user",
        word: Word::Executes,
        arguments: &["--user", "65534:65534,65533", "--", "sleep", "1000"],
        needs_root: true,
    },
];

/// Before or after the nth system call of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    role: usize,
    index: usize,
    call: u64,
    after: bool,
    /// Whether there is a younger process already.
    forked: bool,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let side = if self.after { "after" } else { "before" };
        write!(f, "{} at {}, {side} system call {}", ROLES[self.role], self.index, self.call)
    }
}

struct Process {
    place: Place,
    /// The third argument of the call: the length that a write has.
    length: u64,
    words: usize,
    executed: usize,
    /// The call was interrupted by a signal that does nothing, and is entered once more.
    restarts: bool,
}

impl Process {
    fn new(role: usize) -> Self {
        let place = Place { role, index: 0, call: 0, after: false, forked: false };
        Self { place, length: 0, words: 0, executed: 0, restarts: false }
    }

    /// Whether the event has brought it to a new place.
    fn moves(&mut self, event: Event) -> bool {
        match event {
            Event::Entry(call, [_, _, length, ..]) => {
                if std::mem::take(&mut self.restarts) {
                    return false;
                }
                (self.place.call, self.place.after, self.length) = (call, false, length);
            }
            Event::Exit(-516..=-512) => {
                self.restarts = true;
                return false;
            }
            Event::Exit(value) => {
                self.place.after = true;
                let wrote = self.place.call == libc::SYS_write as u64 && value == self.length as i64;
                self.words += usize::from(wrote && self.length == if self.executed == 0 { 8 } else { 1 });
            }
            _ => return false,
        }
        self.place.index += 1;
        true
    }

    /// Whether it has told that it is the daemon, and runs.
    fn has_told(&self, word: Word) -> bool {
        match word {
            Word::Executes => self.executed == 1,
            Word::Writes => self.words == 2,
            // The first two words, if any, were no newlines: the program was not executed yet.
            Word::Newline => self.executed > 0 && self.words == 2,
        }
    }

    /// Whether it has come to where it stays: the command sleeps, the worker waits for a signal.
    fn stays(&self, word: Word) -> bool {
        self.place.role == DAEMON
            && match word {
                Word::Executes => self.executed == 1 && self.place.after,
                Word::Writes => self.place.call == libc::SYS_rt_sigtimedwait as u64,
                Word::Newline => self.executed == 2 && self.place.after,
            }
    }
}

/// What has become of a traced start.
#[derive(Default)]
struct Run {
    places: Vec<Place>,
    reached: bool,
    daemon_has_told: bool,
    first_ended: Option<WaitStatus>,
    told: [String; 2],
}

/// Starts, kills at the place if there is one, and returns when all that the start has begun has ended or stays.
fn run(tool: &Tool, way: &Way, target: Option<(Place, bool)>) -> Run {
    let streams = Streams::new();
    let first = trace::start(&tool.argv("start", way.arguments), &streams);
    let mut run = Run::default();
    let mut processes = HashMap::from([(first, Process::new(0))]);
    let mut unknown = HashSet::new();
    let mut held = None;
    while !processes.is_empty() {
        let (pid, event) = trace::next();
        if let Event::Ended(status) = event {
            processes.remove(&pid);
            run.first_ended = if pid == first { Some(status) } else { run.first_ended };
        } else if let Some(process) = processes.get_mut(&pid) {
            let moved = process.moves(event);
            process.executed += usize::from(matches!(event, Event::Executed) && process.place.role == DAEMON);
            run.daemon_has_told |= process.place.role == DAEMON && process.has_told(way.word);
            let (place, stays) = (process.place, process.stays(way.word));
            process.place.forked |= matches!(event, Event::Forked(_));
            if moved {
                run.places.push(place);
            }
            match (event, target) {
                (_, Some((target, late))) if moved && target == place => {
                    run.reached = true;
                    held = Some((pid, place.role, late));
                }
                _ if moved && stays => {
                    processes.remove(&pid);
                    trace::let_go(pid);
                }
                (Event::Forked(child), _) => {
                    processes.insert(child, Process::new(place.role + 1));
                    if unknown.remove(&child) {
                        trace::go_on(child, Event::Other);
                    }
                    trace::go_on(pid, event);
                }
                _ => trace::go_on(pid, event),
            }
        } else {
            // Just forked, and seen before its parent has told of it.
            unknown.insert(pid);
        }
        let at_its_end = |(_, role, late): &(Pid, usize, bool)| !late || processes.values().all(|one| one.place.role <= *role);
        if let Some((victim, ..)) = held.take_if(|held| at_its_end(held)) {
            trace::kill(victim);
        }
    }
    run.told = streams.told();
    run
}

/// What is there to be found: from the locks that `/proc` shows, or else from the file.
fn status_must(tool: &Tool, holder: Option<Pid>) -> (i32, String) {
    match (holder, std::fs::metadata(&tool.pid_file)) {
        (Some(pid), _) => (0, format!("running, pid {}\n", pid.as_raw_nonzero())),
        (None, Ok(file)) if file.len() > 0 => (1, "dead, and its pid file is left\n".into()),
        (None, _) => (3, "not running\n".into()),
    }
}

fn check_status(tool: &Tool, holder: Option<Pid>) -> Result<(), String> {
    let must_be = status_must(tool, holder);
    let told = tool.call("status", &[]);
    must((told.status, &told.out) == (must_be.0, &must_be.1), || format!("status: {told:?}, and not {must_be:?}"))
}

/// Where the first process lives on, it tells the truth.
fn check_word(run: &Run, victim: usize, holder: Option<Pid>) -> Result<(), String> {
    let [out, err] = &run.told;
    let status = run.first_ended.ok_or("the first process has not ended")?;
    let tells = || format!("the first process: {status:?} {out:?} {err:?}; the holder: {holder:?}");
    let pid = out.lines().find_map(|line| Pid::from_raw(line.strip_prefix("started, pid ")?.parse().ok()?));
    let right = match (victim, status.exit_status()) {
        (0, _) => status.terminating_signal() == Some(libc::SIGKILL),
        // Killed after its word: who has heard it cannot know.
        (DAEMON, Some(0)) => run.daemon_has_told && pid.is_some(),
        (_, Some(0)) => pid.is_some() && pid == holder,
        (_, Some(1)) => holder.is_none() && pid.is_none() && err.lines().count() == 1 && err.starts_with("daemon: "),
        _ => false,
    };
    must(right, tells)
}

fn try_place(tool: &Tool, way: &Way, stale: bool, target: (Place, bool), bystander: &Stranger) -> Result<(), String> {
    leave_file(tool, stale, bystander);
    let run = run(tool, way, Some(target));
    must(run.reached, || "not reached".into())?;
    let truth = truth(&tool.pid_file);
    let holder = truth.holders.first().copied();
    must(truth.lockers == truth.holders && truth.holders.len() <= 1, || format!("{truth:?}"))?;
    must(holder.is_none() || target.0.role != DAEMON, || format!("killed, and {holder:?} holds the file"))?;
    check_word(&run, target.0.role, holder)?;
    check_status(tool, holder)?;
    let daemon = if let Some(pid) = holder {
        let told = tool.call("start", way.arguments);
        let refusal = format!("daemon: already running, pid {}\n", pid.as_raw_nonzero());
        must((told.status, &told.err) == (1, &refusal), || format!("the next start: {told:?}"))?;
        pid
    } else {
        // The number that is in the file now may be anybody's.
        room::reap();
        let heir = match number_in(tool) {
            Some(dead) if dead != bystander.pid => Some(Stranger::start_as(dead)?),
            _ => None,
        };
        // On what was left either the next stop comes first, or the next start.
        if stale {
            let told = tool.call("stop", &[]);
            must((told.status, &*told.out) == (0, "not running\n"), || format!("a stop at once: {told:?}"))?;
            must(bystander.is_unhurt(), || "a stop at once hurts a bystander".into())?;
        }
        let daemon = tool.start(way.arguments).map_err(|wrong| format!("the next {wrong}"))?;
        must(heir.is_none_or(|heir| heir.is_unhurt()), || "who has got a dead daemon's number is hurt".into())?;
        daemon
    };
    check_status(tool, Some(daemon))?;
    tool.stop(daemon)?;
    room::reap();
    must(bystander.is_unhurt(), || "a bystander is hurt".into())?;
    let left = room::strays(&[bystander.pid]);
    must(left.is_empty() && tool.files() == 0, || format!("left behind: {left:?}, {} files", tool.files()))
}

/// The number that stands in the file.
fn number_in(tool: &Tool) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(&tool.pid_file).ok()?.trim_end().parse().ok()?)
}

/// A file that an instance has left whose number is a bystander's now; or none.
fn leave_file(tool: &Tool, stale: bool, bystander: &Stranger) {
    if stale {
        std::fs::write(&tool.pid_file, format!("{}\n", bystander.pid.as_raw_nonzero())).expect("a stale pid file");
    }
}

/// After a failure: as before it.
fn sweep(tool: &Tool, bystander: &Stranger) {
    room::sweep(&[bystander.pid]);
    let _ = std::fs::remove_file(&tool.pid_file);
}

/// Tries every `ROOMS`th case, from the nth on, at all its places.
fn work(nth: usize) -> Count {
    let bystander = Stranger::start();
    let tool = Tool::new();
    let mut count = Count::default();
    let ways = WAYS.iter().filter(|way| !way.needs_root || geteuid().is_root());
    let cases = ways.flat_map(|way| [(way, false), (way, true)]);
    for (way, stale) in cases.skip(nth).step_by(ROOMS) {
        let case = format!("{}{}", way.name, if stale { ", a file left" } else { "" });
        let places = list_places(&tool, way, stale, &bystander, &case).unwrap_or_default();
        // Without a list nothing is tried, and nothing is right.
        count.tried += usize::from(places.is_empty());
        let twice = places.iter().flat_map(|place| [(*place, false), (*place, true)]);
        for target in twice.filter(|(place, late)| !late || place.forked) {
            let late = if target.1 { ", late" } else { "" };
            let before = count.right;
            count.case(format!("{case}: {}{late}", target.0), || try_place(&tool, way, stale, target, &bystander));
            if count.right == before {
                sweep(&tool, &bystander);
            }
        }
    }
    count
}

/// The places of a start of which nothing is killed.
fn list_places(tool: &Tool, way: &Way, stale: bool, bystander: &Stranger, case: &str) -> Option<Vec<Place>> {
    let mut places = None;
    Count::default().case(format!("{case}: nothing killed"), || {
        leave_file(tool, stale, bystander);
        let run = run(tool, way, None);
        let daemon = truth(&tool.pid_file).holders.first().copied().ok_or(format!("not started: {:?}", run.told))?;
        must(run.daemon_has_told, || "it has not told".into())?;
        check_word(&run, 1, Some(daemon))?;
        tool.stop(daemon)?;
        places = Some(run.places);
        Ok(())
    });
    if places.is_none() {
        sweep(tool, bystander);
    }
    places
}

fn main() {
    let rooms: Vec<_> = (0..ROOMS)
        .map(|nth| {
            let memory = rustix::fs::memfd_create("count", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
            let mut file = File::from(memory);
            let room = Room::start(|| {
                let count = work(nth);
                write!(file, "{} {}", count.tried, count.right).is_ok()
            });
            (room, file)
        })
        .collect();
    let mut count = Count::default();
    let mut ended = true;
    for (room, mut file) in rooms {
        ended &= room.wait();
        let mut text = String::new();
        file.rewind().expect("seek");
        file.read_to_string(&mut text).expect("text");
        let mut numbers = text.split(' ').filter_map(|number| number.parse::<usize>().ok());
        count.tried += numbers.next().unwrap_or(1);
        count.right += numbers.next().unwrap_or(0);
    }
    println!("kill places={} right={}", count.tried, count.right);
    std::process::exit(i32::from(!ended || !count.all_right()));
}
