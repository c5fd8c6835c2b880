//! Ten thousand starts and stops through the tool, on one pid file: no descriptor, zombie or file is left, and
//! the last are as fast as the first.
//!
//! On a machine that does other things too a time says nothing, and plain forks suffer otherwise than a round does. So
//! the first and the last tenth are measured against rounds in a place that is new each time, between them.

use pidfile_proof::case::{Count, must};
use pidfile_proof::proc;
use pidfile_proof::room::Room;
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use rustix::process::Pid;
use std::time::{Duration, Instant};

/// Generous: what grows with each round grows a hundredfold in ten thousand.
const SLOWER: f64 = 1.5;

/// The worker, which removes its pid file, and a command, whose pid file is removed by stop.
const WAYS: [&[&str]; 2] = [&[], &["--", "sleep", "1000"]];

/// A round, and one like it in a new place.
struct Times {
    round: Duration,
    fresh: Duration,
}

/// Starts, stops, and reaps only the daemon: whom the tool does not reap stays to be seen.
fn round(tool: &Tool, way: &[&str]) -> Result<(), String> {
    let told = tool.call("start", way);
    let daemon = told.pid().filter(|_| told.status == 0).ok_or_else(|| format!("start: {told:?}"))?;
    tool.stop(daemon)
}

fn timed(count: &mut Count, tool: &Tool, nth: usize) -> Duration {
    let before = Instant::now();
    count.case(format!("round {nth}"), || round(tool, WAYS[nth % WAYS.len()]));
    before.elapsed()
}

/// The same in a new place: before it or after it in turn.
fn compared(count: &mut Count, tool: &Tool, nth: usize) -> Times {
    let new = Tool::new();
    let times = if (nth / WAYS.len()).is_multiple_of(2) {
        Times { round: timed(count, tool, nth), fresh: timed(count, &new, nth) }
    } else {
        let fresh = timed(count, &new, nth);
        Times { round: timed(count, tool, nth), fresh }
    };
    count.case("a new place", || must(new.files() == 0, || "files are left".into()));
    times
}

fn median(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
}

/// How much slower a round is than one in a new place.
fn slower(times: &[Times]) -> f64 {
    median(times.iter().map(|times| times.round)) / median(times.iter().map(|times| times.fresh))
}

fn soak(rounds: usize) -> bool {
    let bystander = Stranger::start();
    let tool = Tool::new();
    let me = rustix::process::getpid();
    let mut count = Count::default();
    // The first call may open what then stays open.
    count.case("the first round", || round(&tool, WAYS[0]));
    let open_before = proc::descriptors(me);
    let tenth = rounds / 10;
    let first: Vec<_> = (0..tenth).map(|nth| compared(&mut count, &tool, nth)).collect();
    for nth in tenth..rounds - tenth {
        timed(&mut count, &tool, nth);
    }
    let last: Vec<_> = (rounds - tenth..rounds).map(|nth| compared(&mut count, &tool, nth)).collect();
    let fds = proc::descriptors(me).abs_diff(open_before);
    let left: Vec<Pid> = proc::others().into_iter().filter(|pid| *pid != bystander.pid && !pid.is_init()).collect();
    let zombies = left.iter().filter(|pid| proc::is_zombie(**pid)).count();
    let files = tool.files();
    let slowdown = slower(&last) / slower(&first);
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
