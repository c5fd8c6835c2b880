//! The public functions, on all their ways.

use crate::fault::{self, Fault};
use crate::oracle::{self, Expect};
use crate::run::{Begin, Run, run, tidy};
use functions_proof::table::words;
use functions_proof::ways::{self, Way};
use daemon_steps::Step;
use pidfile_proof::case::must;
use rustix::io::Errno;
use rustix::process::WaitStatus;

/// A way of a function.
pub struct Subject {
    /// The function.
    pub function: &'static str,
    way: Way,
}

/// All of them.
pub fn subjects() -> Vec<Subject> {
    let ways = |function: ways::Function| function.ways.into_iter().map(move |way| Subject { function: function.name, way });
    ways::all().into_iter().flat_map(ways).collect()
}

impl Subject {
    /// For people.
    pub fn name(&self) -> String {
        format!("{}, {}", self.function, words(self.way.when))
    }

    /// The ways, and whether another process does something meanwhile.
    fn when(&self) -> Vec<&'static str> {
        let meanwhile = self.way.meanwhile.map(|_| oracle::MEANWHILE);
        self.way.when.iter().copied().chain(meanwhile).collect()
    }

    /// Without a fault: the calls that it makes, and what they come to.
    ///
    /// # Errors
    ///
    /// It does not do what its way is there for.
    pub fn without_fault(&self) -> Result<Run, String> {
        let run = self.run(None);
        must(run.hangs.is_none() && run.end.is_some_and(|end| end.exit_status() == Some(0)), || {
            format!("without a fault: {:?}, it hangs: {:?}", run.end, run.hangs)
        })?;
        Ok(run)
    }

    fn run(&self, fault: Option<&Fault>) -> Run {
        let body = self.way.body;
        let whole = || {
            // What an assertion says of a function that has failed is no news.
            std::panic::set_hook(Box::new(|_| ()));
            body();
            0
        };
        let run = run(whole, Begin::Mark, self.way.meanwhile, fault);
        tidy();
        run
    }

    /// The faults to try, and how many are not tried.
    ///
    /// # Errors
    ///
    /// As [`fault::all`].
    pub fn faults(&self, usual: &Run, every: bool) -> Result<(Vec<Fault>, usize), String> {
        let all = fault::all(&usual.places, every)?;
        let (tried, untried): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|fault| oracle::expect(self.function, &self.when(), fault, usual).is_some());
        Ok((tried, untried.len()))
    }

    /// Makes a fault, and looks at what comes of it.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn try_fault(&self, usual: &Run, fault: &Fault) -> Result<(), String> {
        let expect = oracle::expect(self.function, &self.when(), fault, usual).ok_or("it is not to be tried")?;
        let run = self.run(Some(fault));
        must(run.hit, || "it did not come to pass".into())?;
        if let Some(at) = run.hangs {
            return Err(format!("it hangs: {at}"));
        }
        let step = if oracle::COMPOSITIONS.contains(&self.function) { Some(oracle::step(&self.when(), fault, &usual.places)) } else { None };
        match expect {
            Expect::Works => works(usual, &run, &[]),
            Expect::WorksBut(but) => works(usual, &run, but),
            Expect::WorksOrReturned => {
                works(usual, &run, &[]).or_else(|_| self.fails(usual, &run, error(step, fault.errno())))
            }
            Expect::Nothing => self.fails(usual, &run, 0),
            Expect::Returned => self.fails(usual, &run, error(step, fault.errno())),
            Expect::Becomes(errno) => self.fails(usual, &run, error(step, Some(errno))),
            Expect::BecomesAt(step, errno) => self.fails(usual, &run, error(Some(step), Some(errno))),
        }
    }

    fn fails(&self, usual: &Run, run: &Run, number: u64) -> Result<(), String> {
        let roles: Vec<_> = run.answers.keys().collect();
        must(roles == [&0], || format!("it has returned in {roles:?}, and {}", end(run)))?;
        let answer = &run.answers[&0];
        must(answer.number == number, || format!("the answer is {}, not {}", read(answer.number), read(number)))?;
        let done = usual.answers.values().next().map_or(&run.before, |usual| &usual.state);
        let wrong = answer.state.differs_from_both(&run.before, done, oracle::changes(self.function), oracle::half(self.function));
        must(wrong.is_empty(), || wrong.join("; "))?;
        must(answer.left == 0, || format!("{} processes are left", answer.left))
    }
}

/// As [`functions_proof::stage::Answer`] has it.
fn error(step: Option<Step>, errno: Option<Errno>) -> u64 {
    step.map_or(0, |step| (step as u64 + 1) << 16) | errno.map_or(0, |errno| errno.raw_os_error() as u64)
}

fn works(usual: &Run, run: &Run, but: &[&str]) -> Result<(), String> {
    let show = |run: &Run| run.answers.iter().map(|(role, answer)| format!("{role}: {}", read(answer.number))).collect::<Vec<_>>();
    must(show(usual) == show(run), || format!("the answers are {:?}, not {:?}; {}", show(run), show(usual), end(run)))?;
    for (role, answer) in &run.answers {
        let wrong = answer.state.differs(&usual.answers[role].state, but);
        must(wrong.is_empty(), || format!("process {role}: {}", wrong.join("; ")))?;
        must(*role != 0 || answer.left <= usual.answers[role].left, || format!("{} processes are left", answer.left))?;
    }
    must(run.end.map(WaitStatus::as_raw) == usual.end.map(WaitStatus::as_raw), || end(run))
}

/// An end in words.
fn end(run: &Run) -> String {
    run.end.map_or_else(|| "no end".into(), |end| match (end.exit_status(), end.terminating_signal()) {
        (Some(status), _) => format!("the end with status {status}"),
        (_, signal) => format!("the end by signal {signal:?}"),
    })
}

/// An answer in words.
fn read(number: u64) -> String {
    if number == 0 {
        return "no error".into();
    }
    let errno = fault::name(Errno::from_raw_os_error((number & 0xffff) as i32));
    match number >> 16 {
        0 => errno,
        step => format!("{:?} {errno}", Step::ALL[step as usize - 1]),
    }
}

