//! How long it takes to close all descriptors.

use crate::figure::Figures;
use crate::picture::{Picture, draw};
use crate::run::times;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// With `-enosys` without `close_range`(2).
const ALL: [&str; 7] = ["ours", "loop", "close_fds", "glibc", "ours-enosys", "close_fds-enosys", "glibc-enosys"];

/// So many are asked for.
const MOST: usize = 1_000_000;

/// Below it are those that stay open.
const FIRST: usize = 10;

const RUNS: usize = 15;

/// Of what takes microseconds only, more.
const QUICK_RUNS: usize = 51;

/// Of ours by the rival's.
const BOUNDS: [(&str, &str, Option<f64>); 5] = [
    ("ours", "loop", Some(0.01)),
    ("ours", "glibc", Some(1.1)),
    ("ours", "close_fds", None),
    ("ours-enosys", "glibc-enosys", Some(1.1)),
    ("ours-enosys", "close_fds-enosys", None),
];

pub(crate) fn measure(programs: &Path, to: &Path, figures: &mut Figures) {
    let most = raise_limit();
    if most < MOST {
        println!("# no more than {most} descriptors may be had here, instead of {MOST}");
    }
    let rival = programs.join("rival");
    let mut series = ALL.map(|who| (who, Vec::new()));
    for n in [10, 100, 1000, 10_000, 100_000].into_iter().filter(|n| *n < most).chain([most]) {
        let number = n.to_string();
        let run = |who: &str| times(&rival, &["close", who, &number, &number]).try_into().expect("one time");
        let [medians] = figures.interleave(["close"], n, RUNS, &ALL, run);
        for ((_, points), (_, median)) in series.iter_mut().zip(&medians.0) {
            points.push((n as f64, *median));
        }
        if n == most {
            for (ours, who, bound) in BOUNDS {
                let what = if ours == "ours" { "close-fds" } else { "close-fds-without-close_range" };
                figures.line(what, n, medians.of(ours), (who, medians.of(who)), bound);
            }
        }
    }
    numbers(&rival, figures);
    let picture = Picture { title: "Closing descriptors", x: "descriptors", y: "µs, median" };
    draw(&to.join("close.svg"), &picture, &series);
}

/// Few are open, of so many numbers that the limit may allow: what a daemon usually finds.
fn numbers(rival: &Path, figures: &mut Figures) {
    let run = |who: &str| times(rival, &["close", who, "10", &MOST.to_string()]).try_into().expect("one time");
    let [medians] = figures.interleave(["close-numbers"], MOST, QUICK_RUNS, &["ours", "loop", "glibc"], run);
    for (ours, who, bound) in &BOUNDS[..2] {
        figures.line("close-numbers", MOST, medians.of(ours), (who, medians.of(who)), *bound);
    }
}

/// As many descriptors as may be had.
fn raise_limit() -> usize {
    let enough = Some((MOST + FIRST) as u64);
    if setrlimit(Resource::Nofile, Rlimit { current: enough, maximum: enough }).is_err() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the hard limit");
    }
    getrlimit(Resource::Nofile).current.map_or(MOST, |limit| MOST.min(limit as usize - FIRST))
}
