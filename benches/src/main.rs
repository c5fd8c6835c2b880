//! Side by side with what a user would pick instead: `bench PROGRAMS TO`, called by `ci/run bench`.
//!
//! One line a figure, `bench WHAT N ours=… RIVAL=… ratio=…`: medians of interleaved runs, ours over the rival's. Absolute times
//! of a shared machine mean nothing; the ratios of one session do. `PROGRAMS` holds what is started; what was measured is left
//! in `TO`.

mod calls;
mod close;
mod detach;
mod figure;
mod picture;
mod ready;
mod run;

use figure::Figures;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [programs, to] = &arguments[..] else { panic!("usage: bench PROGRAMS TO") };
    let (programs, to) = (Path::new(programs), Path::new(to));
    daemon_steps::set_child_subreaper(true).expect("a subreaper");
    run::kill_on_panic();
    if !run::go_first() {
        println!("# not in real time: what else this machine does is measured, too");
    }
    let mut figures = Figures::new();
    ready::measure(programs, &mut figures);
    calls::count(programs, &mut figures);
    detach::measure(programs, to, &mut figures);
    close::measure(programs, to, &mut figures);
    figures.save(&to.join("raw.csv"));
    if figures.met() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
