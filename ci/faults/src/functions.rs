//! The public functions, on all their ways.

use crate::fault::{self, Fault};
use crate::oracle::{self, Expect};
use crate::run::{Begin, Run, run, tidy};
use daemon_steps::Step;
use functions_proof::table::words;
use functions_proof::ways::{self, Way};
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
        let mut run = self.run(Some(fault));
        // How often processes wait for each other is not the same each time.
        for _ in 0..20 {
            if !run.hit {
                run = self.run(Some(fault));
            }
        }
        // On a machine that stalls a tracer may be too late: what hangs hangs twice. Told all the same.
        if let Some(at) = &run.hangs {
            println!("faults {} | {fault}: once more, it took too long: {at}", self.name());
            run = self.run(Some(fault));
        }
        must(run.hit, || "it did not come to pass".into())?;
        if let Some(at) = run.hangs {
            return Err(format!("it hangs: {at}"));
        }
        let step = if oracle::COMPOSITIONS.contains(&self.function) {
            Some(oracle::step(&self.when(), fault, &usual.places))
        } else {
            None
        };
        let check = |expect| self.check(expect, usual, &run, step, fault);
        let in_time = check(expect);
        match oracle::too_late(self.function, &self.when()) {
            Some(late) if in_time.is_err() => check(late).or(in_time),
            _ => in_time,
        }
    }

    fn check(&self, expect: Expect, usual: &Run, run: &Run, step: Option<Step>, fault: &Fault) -> Result<(), String> {
        let own = |step| error(step, fault.errno());
        match expect {
            Expect::Works => self.works(usual, run, &[]),
            Expect::WorksBut(but) => self.works(usual, run, but),
            Expect::Nothing | Expect::Dies => self.fails(usual, run, 0, &[]),
            Expect::Returned => self.fails(usual, run, own(step), &[]),
            Expect::ReturnedBut(but) => self.fails(usual, run, own(step), but),
            Expect::ReturnedAt(step) => self.fails(usual, run, own(Some(step)), &[]),
            Expect::Becomes(errno) => self.fails(usual, run, error(step, Some(errno)), &[]),
            Expect::BecomesAt(step, errno) => self.fails(usual, run, error(Some(step), Some(errno)), &[]),
            Expect::Any(several) => {
                let mut wrong =
                    several.iter().map_while(|one| self.check(*one, usual, run, step, fault).err()).collect::<Vec<_>>();
                if wrong.len() < several.len() { Ok(()) } else { Err(wrong.swap_remove(0)) }
            }
        }
    }

    /// All is as without a fault, `but` for some things: what begins so of the state; processes that are left; the end.
    fn works(&self, usual: &Run, run: &Run, but: &[&str]) -> Result<(), String> {
        let counts = |role: usize| role == 0 || !self.way.when.contains(&oracle::OVER);
        let answers = |run: &Run| -> Vec<_> {
            let all = run.answers.iter().filter(|(role, _)| counts(**role));
            all.map(|(role, answer)| format!("{role}: {}", read(answer.number))).collect()
        };
        let (is, must_be) = (answers(run), answers(usual));
        must(is == must_be, || format!("the answers are {is:?}, not {must_be:?}; {}", end(run)))?;
        for (role, answer) in run.answers.iter().filter(|(role, _)| usual.answers.contains_key(*role)) {
            let usual = &usual.answers[role];
            let wrong = answer.state.differs(&usual.state, but);
            must(wrong.is_empty(), || format!("process {role}: {}", wrong.join("; ")))?;
            let more = *role == 0 && answer.left > usual.left && !but.contains(&"left");
            must(!more, || format!("{} processes are left", answer.left))?;
        }
        let same = run.end.map(WaitStatus::as_raw) == usual.end.map(WaitStatus::as_raw);
        must(same || but.contains(&"end"), || end(run))
    }

    fn fails(&self, usual: &Run, run: &Run, number: u64, but: &[&str]) -> Result<(), String> {
        let Some(answer) = run.answers.get(&0) else {
            // The caller's memory is the daemon's by then: it ends.
            let told = run.caller.and_then(WaitStatus::exit_status).is_some_and(|status| status != 0);
            must(!run.daemon, || "the daemon lives on".into())?;
            return must(told, || format!("nobody is told, but by {}", end(run)));
        };
        must(answer.number == number, || format!("the answer is {}, not {}", read(answer.number), read(number)))?;
        must(answer.left == 0 && !answer.daemon, || {
            format!("{} processes are left; the daemon: {}", answer.left, answer.daemon)
        })?;
        must(!run.daemon, || "the daemon lives on".into())?;
        if oracle::COMPOSITIONS.contains(&self.function) && oracle::in_place(&usual.places) {
            return Ok(());
        }
        let done = usual.answers.values().next().map_or(&run.before, |usual| &usual.state);
        let anything = [oracle::half(self.function), but].concat();
        let before = oracle::consumed(self.function).map(|what| run.before.without(what));
        let before = before.as_ref().unwrap_or(&run.before);
        let wrong = answer.state.differs_from_both(before, done, oracle::changes(self.function), &anything);
        must(wrong.is_empty(), || wrong.join("; "))
    }
}

/// As [`functions_proof::stage::Answer`] has it.
fn error(step: Option<Step>, errno: Option<Errno>) -> u64 {
    step.map_or(0, |step| (step as u64 + 1) << 16) | errno.map_or(0, |errno| errno.raw_os_error() as u64)
}

/// An end in words.
fn end(run: &Run) -> String {
    run.end.map_or_else(
        || "no end".into(),
        |end| match (end.exit_status(), end.terminating_signal()) {
            (Some(status), _) => format!("the end with status {status}"),
            (_, signal) => format!("the end by signal {signal:?}"),
        },
    )
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
