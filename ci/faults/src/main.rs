//! Each system call of each public function, and of the example tool, fails in turn, in each way that it can.
//!
//! Arguments: the tool; `every`, for each place of a loop, too; other words select by the beginning of a name.

mod besides;
mod errnos;
mod fault;
mod functions;
mod oracle;
mod run;
mod state;
mod tool;

use pidfile_proof::room::Room;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;

/// Some wait, so that more than the processors are.
const ROOMS: usize = 4;

/// What was tried.
#[derive(Default)]
struct Count {
    calls: usize,
    injected: usize,
    right: usize,
    untried: usize,
}

/// Numbers, for whoever takes one first.
struct Queue(File);

impl Queue {
    fn of(length: usize) -> Self {
        let (out, into) = rustix::pipe::pipe().expect("a pipe");
        for number in 0..length as u16 {
            rustix::io::write(&into, &number.to_ne_bytes()).expect("there is room");
        }
        Self(out.into())
    }

    fn next(&self) -> Option<usize> {
        let mut number = [0; 2];
        (&self.0).read_exact(&mut number).ok()?;
        Some(u16::from_ne_bytes(number).into())
    }
}

/// Waits for an event are looked at once a second: see [`pidfile_proof::trace::next_until`].
fn tick() {
    extern "C" fn nothing(_: libc::c_int) {}
    let second = libc::timeval { tv_sec: 1, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: second, it_value: second };
    // SAFETY: zero is no flags and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing. Without SA_RESTART.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    // SAFETY: the structure outlives the call.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

/// What is tried at all places of its own.
enum Subject {
    Function(functions::Subject),
    Tool(&'static tool::Call),
    /// What else may go wrong.
    Besides(&'static besides::Besides),
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Self::Function(subject) => subject.name(),
            Self::Tool(call) => call.name.into(),
            Self::Besides(besides) => besides.name.into(),
        }
    }

    /// What is counted as one function.
    fn function(&self) -> &'static str {
        match self {
            Self::Function(subject) => subject.function,
            Self::Tool(call) => call.name,
            Self::Besides(besides) => besides.name,
        }
    }

    fn try_all(&self, count: &mut Count, every: bool) -> Result<(), String> {
        match self {
            Self::Function(subject) => {
                let usual = subject.without_fault()?;
                let (faults, untried) = subject.faults(&usual, every)?;
                count.calls += usual.places.len();
                count.untried += untried;
                for fault in &faults {
                    count.inject(&self.name(), fault, subject.try_fault(&usual, fault));
                }
            }
            Self::Tool(call) => {
                let trial = tool::Trial::new(call);
                let (usual, faults, untried) = trial.without_fault(every)?;
                count.calls += usual.calls;
                count.untried += untried;
                for fault in &faults {
                    count.inject(&self.name(), fault, trial.try_fault(&usual, fault));
                }
            }
            Self::Besides(besides) => (besides.run)(&mut |what, judged| count.inject(besides.name, &what, judged))?,
        }
        Ok(())
    }
}

impl Count {
    fn inject(&mut self, name: &str, what: &impl std::fmt::Display, judged: Result<(), String>) {
        self.injected += 1;
        match judged {
            Ok(()) => self.right += 1,
            Err(wrong) => eprintln!("wrong: {name}: {what}: {wrong}"),
        }
    }
}

fn work(queue: &Queue, subjects: &[Subject], every: bool) -> Count {
    let mut count = Count::default();
    tick();
    while let Some(subject) = queue.next().map(|number| &subjects[number]) {
        let started = std::time::Instant::now();
        let before = count.injected;
        if let Err(wrong) = subject.try_all(&mut count, every) {
            // Nothing is tried, so nothing is right.
            count.injected += 1;
            eprintln!("wrong: {}: {wrong}", subject.name());
        }
        println!("faults {} | injected {} in {:.1} s", subject.name(), count.injected - before, started.elapsed().as_secs_f32());
    }
    count
}

/// Nothing open but the standard streams, and few numbers, so that going through all of them is short.
fn usual_descriptors() {
    let few = Rlimit { current: Some(256), maximum: Some(256) };
    // SAFETY: this program has opened nothing yet.
    unsafe { daemon_steps::close_from(3) }.expect("closed");
    setrlimit(Resource::Nofile, few).expect("a limit");
}

fn main() {
    usual_descriptors();
    // The first is the tool's: see `pidfile_proof::tool`.
    let words: Vec<_> = std::env::args().skip(2).collect();
    let every = words.iter().any(|word| word == "every");
    let names: Vec<_> = words.iter().filter(|word| *word != "every").collect();
    let functions = functions::subjects().into_iter().map(Subject::Function);
    let mut subjects: Vec<_> =
        functions.chain(tool::CALLS.iter().map(Subject::Tool)).chain(besides::ALL.iter().map(Subject::Besides)).collect();
    subjects.retain(|subject| names.is_empty() || names.iter().any(|name| subject.name().starts_with(*name)));
    let functions: std::collections::BTreeSet<_> = subjects.iter().map(Subject::function).collect();
    let queue = Queue::of(subjects.len());
    let rooms: Vec<_> = (0..ROOMS)
        .map(|_| {
            let memory: OwnedFd = rustix::fs::memfd_create("count", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
            let mut file = File::from(memory);
            let room = Room::start(|| {
                let count = work(&queue, &subjects, every);
                write!(file, "{} {} {} {}", count.calls, count.injected, count.right, count.untried).is_ok()
            });
            (room, file)
        })
        .collect();
    let (mut count, mut ended) = (Count::default(), true);
    for (room, mut file) in rooms {
        ended &= room.wait();
        let mut text = String::new();
        file.rewind().expect("seek");
        file.read_to_string(&mut text).expect("text");
        let mut numbers = text.split(' ').filter_map(|number| number.parse::<usize>().ok());
        count.calls += numbers.next().unwrap_or(0);
        count.injected += numbers.next().unwrap_or(1);
        count.right += numbers.next().unwrap_or(0);
        count.untried += numbers.next().unwrap_or(0);
    }
    let Count { calls, injected, right, untried } = count;
    println!("faults untried={untried}: what they would say cannot be");
    println!("faults functions={} calls={calls} injected={injected} right={right}", functions.len());
    std::process::exit(i32::from(!(ended && injected > 0 && right == injected)));
}
