//! `stop` is halted at each of its system calls in turn, before and after; there the daemon is killed and reaped,
//! and a stranger gets its pid. Whatever stop does then, the stranger lives, and has got no signal.

use pidfile_proof::case::{Count, must};
use pidfile_proof::room::{self, Room};
use pidfile_proof::stranger::Stranger;
use pidfile_proof::tool::Tool;
use pidfile_proof::trace::{self, Event, Streams};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitStatus, kill_process, pidfd_open, waitid};
use std::fmt::{Display, Formatter};

struct Way {
    name: &'static str,
    start: &'static [&'static str],
    stop: &'static [&'static str],
}

const WAYS: &[Way] = &[
    Way { name: "worker", start: &[], stop: &[] },
    Way { name: "command", start: &["--", "sleep", "1000"], stop: &[] },
    // It ignores SIGTERM before it says that it is there.
    Way {
        name: "kill",
        start: &["--ready-fd", "9", "--", "sh", "-c", "trap '' TERM; echo >&9; exec sleep 1000"],
        stop: &["--timeout", "0", "--kill"],
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    index: usize,
    call: u64,
    after: bool,
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "at {}, {} system call {}", self.index, if self.after { "after" } else { "before" }, self.call)
    }
}

struct Stop {
    places: Vec<Place>,
    status: WaitStatus,
    told: [String; 2],
}

/// Runs stop, and calls `at` at each place while it is halted there, with whether the daemon was reaped already;
/// `at` tells whether the daemon's number is another's now.
fn traced_stop(tool: &Tool, way: &Way, daemon: Pid, mut at: impl FnMut(Place, bool) -> bool) -> Stop {
    let streams = Streams::new();
    let stop = trace::start(&tool.argv("stop", way.stop), &streams);
    let mut places = Vec::new();
    let mut place = Place { index: 0, call: 0, after: false };
    let (mut reaped, mut replaced, mut kills) = (false, false, false);
    loop {
        let (pid, event) = trace::next();
        match event {
            Event::Ended(status) if pid == stop => return Stop { places, status, told: streams.told() },
            Event::Ended(_) => reaped |= pid == daemon,
            Event::Entry(call, [_, signal, ..]) => {
                (place.call, place.after) = (call, false);
                kills = call == libc::SYS_pidfd_send_signal as u64 && signal == libc::SIGKILL as u64;
            }
            Event::Exit(_) => place.after = true,
            _ => {}
        }
        if let (true, Event::Entry(..) | Event::Exit(_)) = (pid == stop, event) {
            place.index += 1;
            places.push(place);
            replaced |= at(place, reaped);
            if kills && place.after && !reaped && !replaced {
                // It does not wait after that: so that it always finds the same, its daemon ends here.
                let _ = waitid(WaitId::Pid(daemon), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            }
        }
        if pid == stop {
            trace::go_on(pid, event);
        }
    }
}

/// Ends the daemon, if stop has not, frees its number, and gives it to a stranger.
fn replace(daemon: Pid, reaped: bool) -> Result<Stranger, String> {
    if reaped {
        return Stranger::start_as(daemon);
    }
    let pidfd = pidfd_open(daemon, PidfdFlags::empty()).map_err(|errno| format!("the daemon is gone: {errno}"))?;
    kill_process(daemon, Signal::KILL).map_err(|errno| format!("the daemon: {errno}"))?;
    waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).map_err(|errno| format!("the daemon: {errno}"))?;
    Stranger::start_as(daemon)
}

fn try_place(tool: &Tool, way: &Way, target: Place) -> Result<(), String> {
    let daemon = tool.start(way.start)?;
    let mut stranger = None;
    let stop = traced_stop(tool, way, daemon, |place, reaped| {
        if place == target {
            stranger = Some(replace(daemon, reaped));
        }
        stranger.is_some()
    });
    let stranger = stranger.ok_or("not reached")??;
    must(stranger.is_unhurt(), || format!("the stranger is hurt; stop tells {:?}", stop.told))?;
    let [out, err] = &stop.told;
    let right = stop.status.exit_status() == Some(0) && ["stopped\n", "not running\n"].contains(&&**out) && err.is_empty();
    must(right, || format!("stop: {:?} {out:?} {err:?}", stop.status))?;
    must(tool.call("stop", &[]).status == 0, || "one more stop".into())?;
    must(stranger.is_unhurt(), || "the stranger is hurt by one more stop".into())?;
    must(tool.files() == 0, || "a file is left".into())
}

/// After a failure: as before it.
fn sweep(tool: &Tool) {
    room::sweep(&[]);
    let _ = std::fs::remove_file(&tool.pid_file);
}

fn reuse() -> bool {
    let tool = Tool::new();
    let mut count = Count::default();
    for way in WAYS {
        let mut places = Vec::new();
        let mut whole = Count::default();
        whole.case(format!("{}: nobody replaced", way.name), || {
            let daemon = tool.start(way.start)?;
            let stop = traced_stop(&tool, way, daemon, |_, _| false);
            places = stop.places;
            sweep(&tool);
            must(stop.status.exit_status().is_some(), || format!("stop: {:?}", stop.told))
        });
        count.tried += whole.tried - whole.right;
        for place in places {
            let before = count.right;
            count.case(format!("{}: {place}", way.name), || try_place(&tool, way, place));
            if count.right == before {
                sweep(&tool);
            }
        }
    }
    println!("reuse places={} spared={}", count.tried, count.right);
    count.all_right()
}

fn main() {
    std::process::exit(i32::from(!Room::start(reuse).wait()));
}
