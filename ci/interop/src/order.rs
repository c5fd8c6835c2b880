//! The order that `Type=forking` with `PIDFile=` needs, systemd.service(5): the file is read when the first process has
//! ended. So that process is halted at its very exit, and the file is looked at.

use crate::run::{equal, field, this_program, tool};
use crate::table::Table;
use daemon_steps::{Holder, holder, open_pid_file};
use pidfile_proof::case::must;
use pidfile_proof::proc::is_alive;
use pidfile_proof::room::PLACE;
use pidfile_proof::trace::{self, Event, Streams};
use rustix::process::Pid;
use std::ffi::CString;

/// The daemon, if the pid file names it.
fn named(pid_file: &str) -> Result<Pid, String> {
    let text = std::fs::read_to_string(pid_file).map_err(|error| format!("the pid file: {error}"))?;
    let daemon = crate::run::pid(text.strip_suffix('\n').ok_or_else(|| format!("no line: {text:?}"))?)?;
    must(is_alive(daemon), || format!("{daemon:?} does not run"))?;
    let path = CString::new(pid_file).expect("no null");
    let held = open_pid_file(&path).and_then(|file| holder(&file));
    equal("the holder", &held, &Ok(Holder::Running(daemon)))?;
    Ok(daemon)
}

/// Starts a daemon; what its pid file says when its first process, halted, is about to exit with 0.
fn at_exit(words: &[&str], pid_file: &str) -> Result<(), String> {
    let argv: Vec<_> = words.iter().map(|word| CString::new(*word).expect("no null")).collect();
    let streams = Streams::new();
    let first = trace::start(&argv, &streams);
    let mut seen = Err("it has not exited".to_string());
    loop {
        let (pid, event) = trace::next();
        match event {
            Event::Entry(number, [status, ..]) if pid == first && number == libc::SYS_exit_group as u64 => {
                seen = named(pid_file).and_then(|daemon| equal("the exit status", &status, &0).map(|()| daemon));
            }
            Event::Ended(_) if pid == first => break,
            _ => {}
        }
        trace::go_on(pid, event);
    }
    let daemon = seen.map_err(|wrong| format!("{wrong}; {:?}", streams.told()))?;
    must(daemon != first, || "the first process is the daemon".into())?;
    // What the manager is told the end of is its own child: where this process adopts, as a manager does.
    equal("its parent", &field(daemon, "PPid"), &std::process::id().to_string())
}

/// All of it.
pub fn cases(table: &mut Table) {
    let pid_file = format!("{PLACE}/forking.pid");
    let mut case = |name: &str, words: &[&str], right: bool| {
        table.case(&format!("systemd's order: {name}"), || {
            let seen = at_exit(words, &pid_file);
            let _ = std::fs::remove_file(&pid_file);
            if right { seen } else { must(seen.is_err(), || "it is not".into()) }
        });
    };
    let (tool, service) = (tool(), this_program());
    let our_tool = [&tool, "start", "--pidfile", &pid_file];
    case("our tool's pid file names the daemon when the first process exits", &our_tool, true);
    case("the same, by two forks", &[&service, "service", "forking", "forks", &pid_file], true);
    case("the same, by the handoff", &[&service, "service", "forking", "handoff", &pid_file], true);
    case("a first process that does not wait is found out", &[&service, "service", "hasty", &pid_file], false);
}
