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
    seed: u64,
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
        Self { csv: String::from("what,n,who,run,nanoseconds\n"), missed: false, seed: 0 }
    }

    /// Runs all of them, one after the other, so often. Each run tells its times for the figures `what`, in that order.
    pub(crate) fn interleave<const N: usize>(
        &mut self,
        what: [&str; N],
        n: usize,
        runs: usize,
        all: &[&'static str],
        mut run: impl FnMut(&str) -> [u64; N],
    ) -> [Medians; N] {
        let mut times = [(); N].map(|()| vec![Times::new(); all.len()]);
        let mut order: Vec<usize> = (0..all.len()).collect();
        for _ in 0..runs {
            // Whoever runs leaves traces for the next one: that shall not always be the same.
            self.shuffle(&mut order);
            for at in &order {
                for (times, time) in times.iter_mut().zip(run(all[*at])) {
                    times[*at].push(time);
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

    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            // Knuth's generator: the same order in every bench.
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(last, (self.seed >> 33) as usize % (last + 1));
        }
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
