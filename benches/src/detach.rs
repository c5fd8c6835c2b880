//! How long it takes to become a daemon, by the memory that was written before.

use crate::figure::{Figures, Medians};
use crate::picture::{Picture, draw};
use crate::run::times;
use std::path::Path;

/// The first, by handoff, is what is compared with the others.
const ALL: [&str; 7] = ["ours", "ours-forks", "daemonize", "fork", "nix", "glibc", "musl"];

/// Mebibytes, and how often it is run.
const SIZES: [(usize, usize); 7] = [(1, 101), (4, 41), (16, 41), (64, 41), (256, 15), (1024, 13), (4096, 5)];

/// What detaching may take of daemonize's time, by mebibytes.
const BOUNDS: [(usize, f64); 4] = [(1, 0.6), (64, 0.15), (1024, 0.02), (4096, 0.01)];

/// At this size it is measured, too, how long it takes until every page is written once.
const TOUCHED: (usize, f64) = (1024, 0.05);

const GROWTH: f64 = 3.0;

pub(crate) fn measure(programs: &Path, to: &Path, figures: &mut Figures) {
    let [rival, musl] = ["rival", "musl"].map(|name| programs.join(name));
    let mut series = ALL.map(|who| (who, Vec::new()));
    for (mebibytes, runs) in SIZES {
        let size = mebibytes.to_string();
        let how = if mebibytes == TOUCHED.0 { "touch" } else { "run" };
        let [running, touched] = figures.interleave(["detach", "touch"], mebibytes, runs, &ALL, |who| {
            let program = if who == "musl" { &musl } else { &rival };
            times(program, &["detach", who, &size, how]).try_into().expect("two times")
        });
        for ((_, points), (_, median)) in series.iter_mut().zip(&running.0) {
            points.push((mebibytes as f64, *median));
        }
        if let Some((_, bound)) = BOUNDS.iter().find(|(size, _)| *size == mebibytes) {
            lines("detach-MiB", mebibytes, &running, *bound, figures);
        }
        if mebibytes == TOUCHED.0 {
            lines("detach-touched-MiB", mebibytes, &touched, TOUCHED.1, figures);
        }
    }
    let ours = &series[0].1;
    let (first, last) = (ours[0].1, ours[ours.len() - 1].1);
    figures.line("detach-growth-MiB", SIZES[SIZES.len() - 1].0, last, ("ours-of-1MiB", first), Some(GROWTH));
    let picture = Picture { title: "Until the daemon runs", x: "MiB of memory written before", y: "µs, median" };
    draw(&to.join("detach.svg"), &picture, &series);
}

fn lines(what: &str, n: usize, medians: &Medians, bound: f64, figures: &mut Figures) {
    for (who, median) in &medians.0[1..] {
        figures.line(what, n, medians.0[0].1, (who, *median), (*who == "daemonize").then_some(bound));
    }
}
