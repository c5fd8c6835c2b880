//! Each public function makes the system calls that its documentation lists, and no others; and a program that may
//! make no others than those of its steps works.
//!
//! Arguments: the repository, and the program `minimal`. `RENEW` in the environment has the table in the README renewed.

use daemon_steps::{Holder, Stop, Stopped, holder, open_pid_file, setgroups, stop};
use functions_proof::doc::Doc;
use functions_proof::{hostile, names, surroundings::PID_FILE, table, watch::clear, watch::watch, ways, ways::Function};
use pidfile_proof::case::{Count, must};
use pidfile_proof::room::{self, PLACE, Room};
use pidfile_proof::trace::{Streams, execute};
use rustix::process::Gid;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::path::Path;
use std::time::Duration;

/// What `minimal` is composed of.
const MINIMAL: &[&str] = &[
    "fill_stdio",
    "close_from",
    "openat",
    "PidFile::lock_at",
    "block_signals",
    "reset_signals",
    "keep_env",
    "ready_pipe",
    "fork_unchecked",
    "Waiter::word",
    "setsid",
    "exit",
    "Notifier::announce",
    "umask",
    "chdir",
    "stdio_null",
    "PidFile::claim",
    "drop_privileges",
    "set_signal_mask",
    "Notifier::ready",
    "wait_signal",
    "PidFile::remove",
];

fn functions(doc: &Doc) -> Count {
    let mut count = Count::default();
    let mut tried = BTreeSet::new();
    for Function { name: function, ways } in ways::all() {
        tried.insert(function.to_string());
        let mut runs = Vec::new();
        for way in ways {
            let when = table::words(way.when);
            count.case(format!("{function}: {when}"), || {
                let seen = watch(way.body, way.meanwhile)?.calls;
                println!("calls {function} | {when} | {}", seen.iter().cloned().collect::<Vec<_>>().join(", "));
                runs.push((way.when, seen));
                Ok(())
            });
        }
        count.case(function, || {
            let section = doc.sections.get(function).ok_or("it has no section about system calls")?;
            let untried = |when: &str| ways::UNTRIED.iter().any(|(of, way, _)| (*of, *way) == (function, when));
            let wrong = table::compare(section, &runs, untried);
            must(wrong.is_empty(), || wrong.join("; "))
        });
    }
    count.case("the functions", || {
        let untried: Vec<_> = doc.sections.keys().filter(|function| !tried.contains(*function)).collect();
        must(untried.is_empty(), || format!("nobody tries {untried:?}"))?;
        let silent: Vec<_> = doc.silent.iter().filter(|function| !ways::SILENT.contains(&function.as_str())).collect();
        must(silent.is_empty(), || format!("without a section about system calls: {silent:?}"))
    });
    count
}

/// The page's table is the one that the sections make.
fn page(doc: &Doc, readme: &Path) -> Result<(), String> {
    let functions: Vec<_> = ways::all().into_iter().map(|function| function.name).collect();
    let table = table::markdown(doc, &functions);
    print!("{table}");
    let text = std::fs::read_to_string(readme).map_err(|error| error.to_string())?;
    let start = text.find("| function | always |").ok_or("README.md has no table of system calls")?;
    let end = text[start..].find("\n\n").map_or(text.len(), |end| start + end + 1);
    if text[start..end] == table {
        return Ok(());
    }
    if std::env::var_os("RENEW").is_none() {
        return Err("the table in README.md is another; `RENEW=1 ci/run calls` writes this one there".into());
    }
    std::fs::write(readme, format!("{}{table}{}", &text[..start], &text[end..])).map_err(|error| error.to_string())
}

/// Executes `minimal`, which may make these calls only; its exit status, or none if the kernel has killed it.
fn start(minimal: &CString, allowed: &[&str]) -> Option<i32> {
    let numbers: Vec<_> = allowed.iter().map(|name| names::number(name)).collect();
    let streams = Streams::new();
    let argv = [minimal.clone(), PID_FILE.into()];
    let pid = room::fork(|| {
        streams.take();
        // So that there is one to be dropped.
        setgroups(&[Gid::from_raw(1)]).expect("a group");
        hostile::allow_only(&numbers);
        execute(&argv)
    });
    functions_proof::surroundings::reaped(pid)
}

/// Started, holding its pid file; refused when started again; stopped, its pid file removed or emptied.
fn works(minimal: &CString, allowed: &[&str]) -> Result<(), String> {
    let first = start(minimal, allowed);
    must(first == Some(0), || format!("the start: {first:?}"))?;
    let file = open_pid_file(PID_FILE).map_err(|errno| format!("the pid file: {errno}"))?;
    let held = holder(&file);
    must(matches!(held, Ok(Holder::Running(_))), || format!("the holder: {held:?}"))?;
    let second = start(minimal, allowed);
    must(second.is_some_and(|status| status != 0), || format!("the second start: {second:?}"))?;
    let stopped = stop(&file, &Stop { timeout: Some(Duration::from_secs(10)), ..Stop::default() });
    must(stopped == Ok(Stopped::Ended), || format!("the stop: {stopped:?}"))?;
    // "Nobody" cannot remove it there.
    let left = std::fs::read_to_string(PID_FILE.to_str().expect("utf-8")).unwrap_or_default();
    must(left.is_empty(), || format!("the pid file still says {left}"))
}

fn composition(doc: &Doc, minimal: &CString) -> Count {
    let mut calls: Vec<_> = MINIMAL.iter().flat_map(|function| &doc.sections[*function].main).cloned().collect();
    // The launcher's, after it has set the filter.
    calls.push("execve".into());
    let allowed = table::names(&calls);
    let mut count = Count::default();
    count.case("minimal", || works(minimal, &allowed));
    for missing in &allowed {
        room::sweep(&[]);
        clear(PLACE);
        count.case(format!("minimal without {missing}"), || {
            let rest: Vec<_> = allowed.iter().filter(|name| *name != missing).copied().collect();
            must(works(minimal, &rest).is_err(), || "it works".into())
        });
    }
    println!("calls minimal allowed={} needed={}: {}", allowed.len(), count.right - 1, allowed.join(" "));
    count
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().expect("the repository");
    let minimal = CString::new(arguments.next().expect("the program")).expect("no null");
    let repository = Path::new(&repository);
    let doc = Doc::read(&repository.join("src")).unwrap_or_else(|wrong| {
        eprintln!("wrong: {wrong}");
        std::process::exit(1);
    });
    let room = Room::start(|| {
        let mut count = functions(&doc);
        println!("calls tried={} right={}", count.tried, count.right);
        count.case("the table", || page(&doc, &repository.join("README.md")));
        composition(&doc, &minimal).all_right() && count.all_right()
    });
    std::process::exit(i32::from(!room.wait()));
}
