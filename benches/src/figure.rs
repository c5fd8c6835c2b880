//! What was measured, and the lines that are printed of it.

use std::fmt::Write;
use std::fs::write;
use std::path::Path;

/// Nanoseconds of every run.
type Times = Vec<u64>;

/// What was measured so far.
pub(crate) struct Figures {
    csv: String,
    missed: bool,
}

/// The medians of one round, by name.
pub(crate) struct Medians(pub(crate) Vec<(&'static str, f64)>);

impl Medians {
    /// In microseconds.
    pub(crate) fn of(&self, who: &str) -> f64 {
        self.0.iter().find(|(name, _)| *name == who).expect("it was measured").1
    }
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self { csv: String::from("what,n,who,run,nanoseconds\n"), missed: false }
    }

    /// Runs all of them in turn, so often. Each run tells its times for the figures `what`, in that order.
    pub(crate) fn interleave<const N: usize>(
        &mut self,
        what: [&str; N],
        n: usize,
        runs: usize,
        all: &[&'static str],
        mut run: impl FnMut(&str) -> [u64; N],
    ) -> [Medians; N] {
        let mut times = [(); N].map(|()| vec![Times::new(); all.len()]);
        for _ in 0..runs {
            for (at, who) in all.iter().enumerate() {
                for (times, time) in times.iter_mut().zip(run(who)) {
                    times[at].push(time);
                }
            }
        }
        for (what, times) in what.iter().zip(&times) {
            for (who, times) in all.iter().zip(times) {
                for (run, time) in times.iter().enumerate() {
                    writeln!(self.csv, "{what},{n},{who},{run},{time}").expect("a string");
                }
            }
        }
        times.map(|mut times| Medians(all.iter().copied().zip(times.iter_mut().map(median)).collect()))
    }

    /// One line, of microseconds.
    pub(crate) fn line(&mut self, what: &str, n: usize, ours: f64, rival: (&str, f64), bound: Option<f64>) {
        let (name, theirs) = rival;
        let ratio = ours / theirs;
        print!("bench {what} {n} ours={ours:.1}us {name}={theirs:.1}us ratio={ratio:.5}");
        self.judge(ratio, bound);
    }

    /// The rest of a line.
    pub(crate) fn judge(&mut self, value: f64, bound: Option<f64>) {
        let missed = bound.is_some_and(|bound| value > bound);
        self.missed |= missed;
        println!("{}{}", bound.map_or(String::new(), |bound| format!(" bound={bound}")), if missed { " MISSED" } else { "" });
    }

    /// Whether no bound was missed.
    pub(crate) fn met(&self) -> bool {
        !self.missed
    }

    pub(crate) fn save(&self, to: &Path) {
        write(to, &self.csv).expect("a file");
    }
}

fn median(times: &mut Times) -> f64 {
    times.sort_unstable();
    times[times.len() / 2] as f64 / 1000.0
}
