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

    /// Makes a fault, and looks at what comes of it.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn try_fault(&self, usual: &Run, fault: &Fault) -> Result<(), String> {
        let run = self.run(Some(fault));
        must(run.hit, || "it did not come to pass".into())?;
        if let Some(where_) = run.hangs {
            return Err(format!("it hangs: {where_}"));
        }
        let expect = oracle::expect(self.function, fault);
        match expect {
            Expect::Works => works(usual, &run, &[]),
            Expect::WorksBut(but) => works(usual, &run, but),
            Expect::Returned => self.fails(usual, &run, fault, fault.errno().map_or(0, |errno| errno.raw_os_error() as u64)),
            Expect::Becomes(errno) => self.fails(usual, &run, fault, errno.raw_os_error() as u64),
        }
        .map_err(|wrong| format!("{wrong} ({expect:?})"))
    }

    fn fails(&self, usual: &Run, run: &Run, fault: &Fault, errno: u64) -> Result<(), String> {
        let step = if oracle::COMPOSITIONS.contains(&self.function) { oracle::step(fault) as u64 + 1 } else { 0 };
        let number = step << 16 | errno;
        let roles: Vec<_> = run.answers.keys().collect();
        must(roles == [&0], || format!("it has returned in {roles:?}, and ended with {:?}", run.end))?;
        let answer = &run.answers[&0];
        must(answer.number == number, || format!("the answer is {}, not {}", read(answer.number), read(number)))?;
        let may_change = oracle::CHANGES.iter().find(|(function, ..)| *function == self.function).map_or(&[][..], |(_, what, _)| *what);
        let wanted = usual.answers.get(&0).map_or(run.before.clone(), |usual| run.before.with(&usual.state, may_change));
        let wrong = answer.state.differs(&wanted, &[]);
        must(wrong.is_empty(), || wrong.join("; "))?;
        must(answer.left == 0, || format!("{} processes are left", answer.left))
    }
}

fn works(usual: &Run, run: &Run, but: &[&str]) -> Result<(), String> {
    let show = |run: &Run| run.answers.iter().map(|(role, answer)| format!("{role}: {}", read(answer.number))).collect::<Vec<_>>();
    must(show(usual) == show(run), || format!("the answers are {:?}, not {:?}; {:?}", show(run), show(usual), run.end))?;
    for (role, answer) in &run.answers {
        let wrong = answer.state.differs(&usual.answers[role].state, but);
        must(wrong.is_empty(), || format!("process {role}: {}", wrong.join("; ")))?;
        must(*role != 0 || answer.left <= usual.answers[role].left, || format!("{} processes are left", answer.left))?;
    }
    must(run.end.map(WaitStatus::as_raw) == usual.end.map(WaitStatus::as_raw), || format!("it has ended with {:?}", run.end))
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

/// The faults of a subject.
///
/// # Errors
///
/// As [`fault::all`].
pub fn faults(usual: &Run, every: bool) -> Result<Vec<Fault>, String> {
    fault::all(&usual.places, every)
}
