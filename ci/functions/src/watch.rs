//! Watches a function on one of its ways.

use crate::{names, stage};
use pidfile_proof::room;
use pidfile_proof::trace::{self, Event};
use rustix::process::{Pid, WaitStatus};
use std::collections::{BTreeSet, HashMap};

/// What was seen of a function, in all processes that it has made.
#[derive(Default)]
pub struct Seen {
    /// The system calls.
    pub calls: BTreeSet<String>,
    /// The deepest stack.
    pub stack: usize,
}

/// Something that another process does at the function's first call of that number.
pub type Meanwhile = (i64, fn());

/// Runs `body` in a process of its own, and watches what goes on in [`stage::alone`].
///
/// # Errors
///
/// It has not ended well, or no function was called.
pub fn watch(body: fn(), mut meanwhile: Option<Meanwhile>) -> Result<Seen, String> {
    let first = trace::follow(|| {
        body();
        0
    });
    let mut seen = Seen::default();
    // Whether each is in the function now.
    let mut inside = HashMap::from([(first, false)]);
    let mut early = HashMap::new();
    let (mut called, mut status) = (false, None);
    while status.is_none() || inside.values().any(|inside| *inside) {
        let (pid, event) = trace::next();
        let Some(now) = inside.get(&pid).copied() else {
            // Its maker's event tells who it is.
            if !matches!(event, Event::Ended(_)) {
                early.insert(pid, event);
            }
            continue;
        };
        match event {
            Event::Entry(stage::MARK, [stage::BEGIN, ..]) => {
                called = true;
                inside.insert(pid, true);
            }
            Event::Entry(stage::MARK, [stage::END, ..]) => {
                deepen(&mut seen, pid)?;
                inside.insert(pid, false);
            }
            Event::Entry(number, arguments) if now => {
                seen.calls.insert(names::of(number, &arguments));
                if let Some((_, act)) = meanwhile.take_if(|(at, _)| *at as u64 == number) {
                    act();
                }
                if [libc::SYS_exit_group as u64, libc::SYS_execve as u64].contains(&number) {
                    deepen(&mut seen, pid)?;
                }
            }
            Event::Executed => drop(inside.insert(pid, false)),
            Event::Forked(child) => {
                inside.insert(child, now);
                if let Some(event) = early.remove(&child) {
                    trace::go_on(child, event);
                }
            }
            Event::Ended(how) => {
                inside.remove(&pid);
                if pid == first {
                    status = Some(how);
                }
            }
            _ => {}
        }
        trace::go_on(pid, event);
    }
    room::sweep(&[]);
    clear(room::PLACE);
    match status.and_then(WaitStatus::exit_status) {
        _ if !called => Err("it was not called".into()),
        Some(0) if meanwhile.is_none() => Ok(seen),
        Some(0) => Err("nothing was done meanwhile: that call is not made".into()),
        _ => Err(format!("it has ended with {status:?}")),
    }
}

fn deepen(seen: &mut Seen, pid: Pid) -> Result<(), String> {
    let peak = stage::peak(pid).map_err(|error| format!("its stack: {error}"))?;
    seen.stack = seen.stack.max(peak);
    Ok(())
}

/// Removes the files in a directory.
pub fn clear(directory: &str) {
    for entry in std::fs::read_dir(directory).expect("the directory") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }
}
