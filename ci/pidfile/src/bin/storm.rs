//! Many simultaneous starts on one pid file: exactly one wins, and each of the others is told about it.
//!
//! After every eighth round there is one with stops and removals in the middle of it. How many win then, one after the other, is
//! the scheduler's; but never do two live at once: each daemon there is a witness that takes a lock of its own
//! that the kernel releases, when the daemon is killed, before the pid file's.

use pidfile_proof::case::{Count, must};
use pidfile_proof::proc::truth;
use pidfile_proof::room::{self, Room};
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use pidfile_proof::trace::{Streams, execute, wait_for_end};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};
use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

const SLEEP: &[&str] = &["--", "sleep", "1000"];
/// After so many rounds there is a rough one.
const ROUGH: usize = 8;
const STOPPERS: usize = 16;
const REMOVERS: usize = 8;

/// Processes that all go on at once, when the pipe is closed that they read.
struct Crowd {
    hold: OwnedFd,
    release: OwnedFd,
    arrived: (OwnedFd, OwnedFd),
    members: Vec<Member>,
}

struct Member {
    pid: Pid,
    streams: Streams,
}

/// How a member has ended, and what it has told.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Crowd {
    fn new() -> Self {
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let (hold, release) = pipe();
        Self { hold, release, arrived: pipe(), members: Vec::new() }
    }

    fn add(&mut self, body: impl FnOnce() -> i32) {
        let streams = Streams::new();
        let pid = room::fork(|| {
            // SAFETY: this is the child's own copy, and nothing in the child uses it.
            unsafe { libc::close(self.release.as_raw_fd()) };
            streams.take();
            rustix::io::write(&self.arrived.1, b".").expect("the first process reads");
            wait_for_end(&self.hold);
            body()
        });
        self.members.push(Member { pid, streams });
    }

    /// Waits until all are there, and lets them go; meanwhile, until all have ended, `look` is called again and again.
    fn release(self, mut look: impl FnMut()) -> Vec<Ended> {
        for _ in &self.members {
            rustix::io::retry_on_intr(|| rustix::io::read(&self.arrived.0, &mut [0; 1][..])).expect("it arrives");
        }
        drop(self.release);
        let ends = self.members.into_iter().map(|Member { pid, streams }| {
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child");
            let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            while poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&pause)).is_ok_and(|ended| ended == 0) {
                look();
            }
            let status = waitpid(Some(pid), WaitOptions::empty()).expect("a child").map(|(_, status)| status);
            let [out, err] = streams.told();
            Ended { status: status.and_then(WaitStatus::exit_status), out, err }
        });
        ends.collect()
    }
}

/// What the losers were told, of all rounds.
#[derive(Default)]
struct Told {
    winners: usize,
    pid: usize,
    starting: usize,
}

fn started(out: &str) -> Option<Pid> {
    Pid::from_raw(out.lines().find_map(|line| line.strip_prefix("started, pid "))?.parse().ok()?)
}

/// One wins; the others learn its pid, or that it is starting.
fn quiet_round(tool: &Tool, starters: usize, all: &mut Told) -> Result<(), String> {
    let argv = tool.argv("start", SLEEP);
    let mut crowd = Crowd::new();
    for _ in 0..starters {
        crowd.add(|| execute(&argv));
    }
    let ended = crowd.release(|| {});
    let holders = truth(&tool.pid_file).holders;
    let [winner] = holders[..] else { return Err(format!("holders: {holders:?}")) };
    all.winners += ended.iter().filter(|one| one.status == Some(0)).count();
    let by_pid = format!("daemon: already running, pid {}\n", winner.as_raw_nonzero());
    let mut winners = 0;
    let mut strange = Vec::new();
    for one in &ended {
        match (one.status, &*one.err) {
            (Some(0), "") if started(&one.out) == Some(winner) => winners += 1,
            (Some(1), "daemon: already starting\n") if one.out.is_empty() => all.starting += 1,
            (Some(1), err) if one.out.is_empty() && err == by_pid => all.pid += 1,
            _ => strange.push(one),
        }
    }
    tool.stop(winner)?;
    must(winners == 1 && strange.is_empty(), || format!("{winners} winners; told besides: {strange:?}"))
}

/// With stops and removals in the middle: never two at once. How many have won, one after the other.
fn rough_round(tool: &Tool, starters: usize) -> Result<usize, String> {
    let witness = tempfile::NamedTempFile::new_in(room::PLACE).expect("a file");
    let witness_file = witness.path().to_str().expect("utf-8");
    let me = std::env::current_exe().expect("this program");
    let command = ["--", me.to_str().expect("utf-8"), "witness", witness_file];
    let (start, stop) = (tool.argv("start", &command), tool.argv("stop", &["--timeout", "60"]));
    let path = CString::new(tool.pid_file.to_str().expect("utf-8")).expect("no null");
    let mut crowd = Crowd::new();
    let every = starters / (STOPPERS + REMOVERS) + 1;
    for nth in 0..starters {
        crowd.add(|| execute(&start));
        if nth % every == 0 && nth / every < STOPPERS {
            crowd.add(|| execute(&stop));
        } else if nth % every == 0 {
            crowd.add(|| i32::from(daemon_steps::remove_left_over(&path).is_err()));
        }
    }
    let mut twins = None;
    let ended = crowd.release(|| twins = twins.take().or(two_at_once(&tool.pid_file)));
    must(twins.is_none(), || format!("two at once: {twins:?}"))?;
    let seen = std::fs::read_to_string(witness.path()).expect("the witnesses' file");
    must(!seen.contains("two"), || "a witness has met another".into())?;
    let strange: Vec<_> = ended.iter().filter(|one| !may_be_told(one)).collect();
    must(strange.is_empty(), || format!("{strange:?}"))?;
    let holders = truth(&tool.pid_file).holders;
    must(holders.len() <= 1, || format!("holders: {holders:?}"))?;
    let told = tool.call("stop", &[]);
    let word = if holders.is_empty() { "not running\n" } else { "stopped\n" };
    must(told.status == 0 && told.out == word, || format!("the last stop: {told:?}"))?;
    Ok(ended.iter().filter(|one| started(&one.out).is_some()).count())
}

/// What a start, a stop or a removal may tell where others start and stop at the same time.
fn may_be_told(one: &Ended) -> bool {
    let Some(err) = one.err.strip_prefix("daemon: ") else { return one.status == Some(0) && one.err.is_empty() };
    let (what, rest) = err.split_at(err.find(": ").unwrap_or(0));
    let known = ["already running, pid ", "already starting\n", "already ended, but what it left behind"];
    let died = (what, rest) == ("not started", ": it ended at once, by signal 15\n");
    let not_stopped =
        what == "not stopped" && [": starting\n", ": ended, but what it left behind still holds its pid file\n"].contains(&rest);
    one.status == Some(1)
        && one.err.lines().count() == 1
        && (died || not_stopped || known.iter().any(|text| err.starts_with(text)))
}

/// Two that hold the pid file at the same time: one that holds it after the other was seen, too.
fn two_at_once(path: &Path) -> Option<(Pid, Pid)> {
    let seen = truth(path).holders;
    let [one, other, ..] = seen[..] else { return None };
    let again = truth(path).holders;
    (again.contains(&one) && seen.contains(&other)).then_some((one, other))
}

/// The COMMAND of a rough round. The lock is on descriptor 0, which the kernel closes first.
fn witness(path: &str) -> ! {
    let mut file = OpenOptions::new().append(true).open(path).expect("the witnesses' file");
    // SAFETY: standard input is not used here.
    unsafe { libc::dup2(file.as_raw_fd(), 0) };
    // SAFETY: all zero is a lock on the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: the call reads one lock.
    let alone = unsafe { libc::fcntl(0, libc::F_SETLK, &raw const lock) } == 0;
    file.write_all(if alone { b"one\n" } else { b"two\n" }).expect("a line");
    // Not closed: that would end the lock.
    std::mem::forget(file);
    loop {
        // SAFETY: pause(2) touches no memory.
        unsafe { libc::pause() };
    }
}

fn nothing_left(tool: &Tool, bystander: &Stranger) -> Result<(), String> {
    room::reap();
    let left = room::strays(&[bystander.pid]);
    must(left.is_empty() && tool.files() == 0, || format!("left behind: {left:?}, {} files", tool.files()))?;
    must(bystander.is_unhurt(), || "a bystander is hurt".into())
}

fn storm(rounds: usize, starters: usize) -> bool {
    let bystander = Stranger::start();
    let mut told = Told::default();
    let mut count = Count::default();
    let mut rough_winners = 0;
    for round in 0..rounds + rounds / ROUGH {
        // Each in a directory of its own, so that a round which fails does not make the next fail.
        let tool = Tool::new();
        let rough = round % (ROUGH + 1) == ROUGH;
        count.case(format!("round {round}"), || {
            if rough {
                rough_winners += rough_round(&tool, starters)?;
            } else {
                quiet_round(&tool, starters, &mut told)?;
            }
            nothing_left(&tool, &bystander)
        });
        if !count.all_right() {
            room::sweep(&[bystander.pid]);
        }
    }
    let Told { winners, pid, starting } = told;
    let rough = rounds / ROUGH;
    println!(
        "storm rounds={rounds} starters={starters} winners={winners} told_pid={pid} told_starting={starting} \
         rough_rounds={rough} one_after_the_other={rough_winners}"
    );
    count.all_right() && winners == rounds
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, "witness", path] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        witness(path);
    }
    let number = |at: usize, usual| arguments.get(at).map_or(usual, |word| word.parse().expect("a number"));
    let (rounds, starters) = (number(2, 200), number(3, 64));
    std::process::exit(i32::from(!Room::start(|| storm(rounds, starters)).wait()));
}
