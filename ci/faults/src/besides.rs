//! What else may go wrong with a start: limits, a full file system, signals, a word that is none.
//!
//! That the waiting parent or the process between is killed, at each of their system calls, `ci/run pidfile` tries.

use crate::tool::{CALLS, Trial};
use daemon_steps::{Detached, Outcome, Plan, SignalSet, Steps, detach, exit, ready_pipe, stdio_null};
use pidfile_proof::case::must;
use pidfile_proof::room;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, getpid, kill_process, setrlimit, waitpid};
use std::io::Write;
use std::time::Duration;

/// Tells what was tried, and what has come of it.
type Tell<'a> = &'a mut dyn FnMut(String, Result<(), String>);

/// Something to try, at several values.
pub struct Besides {
    /// For people.
    pub name: &'static str,
    /// Tries it; an error is that it could not be tried.
    pub run: fn(Tell<'_>) -> Result<(), String>,
}

/// All of it.
pub const ALL: &[Besides] = &[
    Besides { name: "RLIMIT_AS", run: |tell| limits(tell, Resource::As, (0..64).map(|pages| pages * 4096)) },
    Besides { name: "RLIMIT_NOFILE", run: |tell| limits(tell, Resource::Nofile, 0..24) },
    Besides { name: "RLIMIT_FSIZE, with SIGXFSZ", run: sizes },
    Besides { name: "RLIMIT_NPROC", run: processes },
    Besides { name: "pids cgroup", run: cgroup },
    Besides { name: "full tmpfs", run: full },
    Besides { name: "signals", run: signals },
    Besides { name: "readiness words", run: words },
];

fn limit(resource: Resource, value: u64) {
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).expect("a limit");
}

/// A start, at each value of a limit.
fn limits(tell: Tell<'_>, resource: Resource, values: impl Iterator<Item = u64>) -> Result<(), String> {
    let trial = Trial::new(&CALLS[0]);
    let (usual, ..) = trial.without_fault(false)?;
    for value in values {
        tell(value.to_string(), trial.want(&usual, || limit(resource, value)));
    }
    Ok(())
}

/// What the tool prints goes nowhere: a file would be limited, too.
fn sizes(tell: Tell<'_>) -> Result<(), String> {
    let trial = Trial::new(&CALLS[0]);
    let (usual, ..) = trial.without_fault(false)?;
    for value in 0..8 {
        let prepare = || {
            stdio_null().expect("/dev/null");
            limit(Resource::Fsize, value);
        };
        tell(value.to_string(), trial.want(&usual, prepare));
    }
    Ok(())
}

/// An ordinary user's: root has no such limit. By the function, for "nobody" may not use the tool's place.
#[allow(clippy::unnecessary_wraps)]
fn processes(tell: Tell<'_>) -> Result<(), String> {
    for value in 0..4 {
        let child = room::fork(|| {
            // SAFETY: numbers only; this process has one thread.
            unsafe { libc::setresuid(65534, 65534, 65534) };
            limit(Resource::Nproc, value);
            match detach(&Plan::new(Steps::DAEMON)) {
                Ok(Detached::Daemon(_)) => exit(0),
                Ok(Detached::Caller(Outcome::Ready(daemon))) => i32::from(waitpid(Some(daemon), WaitOptions::empty()).is_err()),
                Err(error) if error.errno == Errno::AGAIN => 0,
                _ => 1,
            }
        });
        tell(value.to_string(), ends_well(child).and_then(|()| nobody_is_left()));
    }
    Ok(())
}

fn ends_well(child: Pid) -> Result<(), String> {
    let end = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty())).expect("a child");
    must(end.is_some_and(|(_, status)| status.exit_status() == Some(0)), || format!("{end:?}"))
}

fn nobody_is_left() -> Result<(), String> {
    room::reap();
    let left = room::strays(&[]);
    room::sweep(&[]);
    must(left.is_empty(), || format!("left: {left:?}"))
}

fn cgroup(tell: Tell<'_>) -> Result<(), String> {
    let place = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(|root| format!("{root}/daemon-steps-{}", std::process::id()));
    let made = place.iter().find(|place| std::fs::create_dir(place).is_ok());
    let Some(place) = made.filter(|place| std::fs::write(format!("{place}/pids.max"), "1").is_ok()) else {
        if let Some(place) = made {
            let _ = std::fs::remove_dir(place);
        }
        println!("faults pids cgroup | skipped: there is no cgroup file system that may be written");
        return Ok(());
    };
    let trial = Trial::new(&CALLS[0]);
    let (usual, ..) = trial.without_fault(false)?;
    for most in 1..5 {
        std::fs::write(format!("{place}/pids.max"), most.to_string()).expect("a limit");
        let enter = || std::fs::write(format!("{place}/cgroup.procs"), "0").expect("entered");
        tell(most.to_string(), trial.want(&usual, enter));
    }
    std::fs::remove_dir(place).map_err(|error| error.to_string())
}

/// The place of the pid file has one page, and that is taken.
fn full(tell: Tell<'_>) -> Result<(), String> {
    let trial = Trial::new(&CALLS[0]);
    let (usual, ..) = trial.without_fault(false)?;
    mount("tmpfs", trial.directory(), "tmpfs", MountFlags::empty(), Some(c"size=4096")).expect("a small file system");
    let path = trial.directory().join("filler");
    // It stays as long as it is open.
    let mut filler = std::fs::File::create(&path).expect("a file");
    std::fs::remove_file(path).expect("removed");
    filler.write_all(&[0; 4096]).expect("it fits");
    let judged = trial.want(&usual, || ());
    tell("no page".into(), judged);
    unmount(trial.directory(), UnmountFlags::DETACH).map_err(|errno| errno.to_string())
}

/// How many starts signals rain on, unless `FAULTS_STARTS` says otherwise.
const STARTS: usize = 1000;

/// Harmless ones, to all processes that there are but those two, without a pause.
fn rain() -> Pid {
    const SIGNALS: [Signal; 4] = [Signal::URG, Signal::WINCH, Signal::CONT, Signal::USR1];
    let maker = getpid();
    room::fork(|| {
        loop {
            for pid in room::strays(&[maker]) {
                for signal in SIGNALS {
                    // It may have ended meanwhile.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    })
}

/// The caller has a handler; the daemon has none, ignores nothing and blocks nothing, as it asks for.
fn signals(tell: Tell<'_>) -> Result<(), String> {
    extern "C" fn nothing(_: libc::c_int) {}
    let starts = std::env::var("FAULTS_STARTS").ok().and_then(|starts| starts.parse().ok()).unwrap_or(STARTS);
    let rain = rain();
    for nth in 0..starts {
        let starter = room::fork(|| {
            // SAFETY: the handler does nothing.
            unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
            match detach(&Plan { signal_mask: SignalSet::ALL, ..Plan::new(Steps::DAEMON) }) {
                Ok(Detached::Daemon(_)) => exit(7),
                Ok(Detached::Caller(Outcome::Ready(daemon))) => {
                    let end = rustix::io::retry_on_intr(|| waitpid(Some(daemon), WaitOptions::empty()));
                    i32::from(!end.is_ok_and(|end| end.is_some_and(|(_, status)| status.exit_status() == Some(7))))
                }
                _ => 1,
            }
        });
        // One whose signal comes before its handler is there ends by that.
        let end = rustix::io::retry_on_intr(|| waitpid(Some(starter), WaitOptions::empty())).expect("a child");
        let right = end.is_some_and(|(_, status)| {
            status.exit_status() == Some(0) || status.terminating_signal() == Some(Signal::USR1.as_raw())
        });
        tell(format!("start {nth}"), must(right, || format!("{end:?}")));
    }
    kill_process(rain, Signal::KILL).expect("it is there");
    waitpid(Some(rain), WaitOptions::empty()).expect("a child");
    nobody_is_left()
}

/// Numbers that look random, the same each time.
fn scatter(seed: &mut u64) -> u8 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 56) as u8
}

/// Words cut short, and others: only `r` and seven zeros says that the daemon is ready.
#[allow(clippy::unnecessary_wraps)]
fn words(tell: Tell<'_>) -> Result<(), String> {
    let mut seed = 1;
    for length in 0..16_usize {
        for nth in 0..64 {
            let mut word: Vec<_> = (0..length).map(|_| scatter(&mut seed)).collect();
            // Some begin well.
            for (to, from) in word.iter_mut().zip(b"rpf".get(nth % 4..=nth % 4).unwrap_or_default()) {
                *to = *from;
            }
            if nth < 32 {
                word.iter_mut().skip(1 + nth % 7).for_each(|byte| *byte = 0);
            }
            let says_ready = word.get(..8).is_some_and(|word| word == b"r\0\0\0\0\0\0\0");
            let judged = hear(&word, says_ready);
            tell(format!("{word:?}"), judged.and_then(|()| nobody_is_left()));
        }
    }
    Ok(())
}

fn hear(word: &[u8], says_ready: bool) -> Result<(), String> {
    let (waiter, notifier) = ready_pipe().expect("a pipe");
    let mut ends = Some((waiter, notifier));
    let child = room::fork(|| {
        let Some((waiter, notifier)) = ends.take() else { return 1 };
        drop(waiter);
        let [pipe, _] = notifier.descriptors();
        rustix::io::write(pipe, word).expect("told");
        std::mem::forget(notifier);
        7
    });
    let Some((waiter, notifier)) = ends else { return Err("no pipe".into()) };
    drop(notifier);
    let heard = waiter.wait(child, Some(Duration::from_secs(5)));
    // One that was ready is not waited for.
    let _ = waitpid(Some(child), WaitOptions::empty());
    let is_ready = matches!(heard, Ok(Outcome::Ready(_)));
    must(is_ready == says_ready && heard.as_ref().err() != Some(&Errno::TIMEDOUT), || format!("{heard:?}"))
}
