//! Ten thousand starts and stops through the tool, on one pid file: no descriptor, zombie or file is left, and
//! the last are as fast as the first.
//!
//! On a machine that does other things too a time says nothing, and plain forks suffer otherwise than a round does. So
//! each round of the first and the last tenth is measured against as many calls of the tool that start nothing,
//! right before it or right after it.

use daemon_steps::{Holder, PidFile, Stop, Stopped, holder, open_pid_file, remove_left_over, stop};
use pidfile_proof::case::{Count, must};
use pidfile_proof::proc;
use pidfile_proof::room::{self, Room};
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

/// Generous: what grows with each round grows a hundredfold in ten thousand.
const SLOWER: f64 = 1.5;

/// The worker, which removes its pid file, and a command, whose pid file is removed by stop.
const WAYS: [&[&str]; 2] = [&[], &["--", "sleep", "1000"]];

/// A round executes about as many programs.
const CALLS: usize = 3;

/// A round, and the calls beside it.
struct Times {
    round: Duration,
    calls: Duration,
}

/// Starts, is refused in this process, and stops through the tool or, `here`, in this process, whose descriptors are
/// counted. Reaps only the daemon: whom the tool does not reap stays to be seen.
fn round(tool: &Tool, way: &[&str], here: bool) -> Result<(), String> {
    let told = tool.call("start", way);
    let daemon = told.pid().filter(|_| told.status == 0).ok_or_else(|| format!("start: {told:?}"))?;
    let path = CString::new(tool.pid_file.as_os_str().as_bytes()).expect("no null");
    must(PidFile::lock(&path).is_err_and(|errno| errno == Errno::WOULDBLOCK), || "a second lock".into())?;
    if !here {
        return tool.stop(daemon);
    }
    let file = open_pid_file(&path).map_err(|errno| format!("open: {errno}"))?;
    let found = holder(&file);
    must(found == Ok(Holder::Running(daemon)), || format!("the holder: {found:?}"))?;
    let stopped = stop(&file, &Stop::default());
    must(stopped == Ok(Stopped::Ended), || format!("stop: {stopped:?}"))?;
    remove_left_over(&path).map_err(|errno| format!("remove: {errno}"))?;
    must(matches!(waitpid(Some(daemon), WaitOptions::NOHANG), Ok(Some(_))), || "it has not ended".into())
}

fn timed(act: impl FnOnce()) -> Duration {
    let before = Instant::now();
    act();
    before.elapsed()
}

/// The calls come before the round or after it, in turn.
fn both(tool: &Tool, nth: usize, act: impl FnOnce()) -> Times {
    let calls = || timed(|| (0..CALLS).for_each(|_| drop(tool.call_without_file("help"))));
    if (nth / WAYS.len()).is_multiple_of(2) {
        Times { calls: calls(), round: timed(act) }
    } else {
        Times { round: timed(act), calls: calls() }
    }
}

/// The time that a tenth of them keeps: what they take when nobody is in their way. The median is the other
/// programs' doing: half of all rounds may have to wait for a processor, or none.
fn unhindered(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 10).map_or(0.0, Duration::as_secs_f64)
}

/// A round's time as a multiple of that of the calls.
fn in_calls(times: &[Times]) -> f64 {
    unhindered(times.iter().map(|times| times.round)) / unhindered(times.iter().map(|times| times.calls))
}

fn soak(rounds: usize) -> bool {
    let bystander = Stranger::start();
    let tool = Tool::new();
    let me = rustix::process::getpid();
    let mut count = Count::default();
    // The first call may open what then stays open.
    for here in [false, true] {
        count.case("the first rounds", || round(&tool, WAYS[0], here));
    }
    let open_before = proc::descriptors(me);
    let tenth = rounds / 10;
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for nth in 0..rounds {
        let mut act = || count.case(format!("round {nth}"), || round(&tool, WAYS[nth % WAYS.len()], nth / 4 % 2 == 0));
        match nth {
            _ if nth < tenth => first.push(both(&tool, nth, act)),
            _ if nth >= rounds - tenth => last.push(both(&tool, nth, act)),
            _ => act(),
        }
    }
    let fds = proc::descriptors(me).abs_diff(open_before);
    let left = room::strays(&[bystander.pid]);
    let zombies = left.iter().filter(|pid| proc::is_zombie(**pid)).count();
    let files = tool.files();
    let slowdown = in_calls(&last) / in_calls(&first);
    println!("soak rounds={rounds} fds={fds} zombies={zombies} files={files} slowdown={slowdown:.2}");
    count.case("what is left", || {
        must(left.len() == zombies, || format!("processes: {left:?}"))?;
        must(fds + zombies + files == 0, || "descriptors, zombies or files".into())?;
        must(slowdown <= SLOWER, || format!("the last tenth is {slowdown:.2} times as slow"))?;
        must(bystander.is_unhurt(), || "a bystander is hurt".into())
    });
    count.all_right()
}

fn main() {
    let rounds = std::env::args().nth(2).map_or(10_000, |word| word.parse().expect("a number"));
    std::process::exit(i32::from(!Room::start(|| soak(rounds)).wait()));
}
