//! What must come of a fault. The rule: the error is returned as it is, and nothing has changed; what is short is gone on with. The
//! table: what else is promised, and why.

use crate::fault::{Fault, How};
use daemon_steps::Step;
use rustix::io::Errno;

/// What must come of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The errno is returned.
    Returned,
    /// Another one is.
    Becomes(Errno),
    /// All is as without the fault.
    Works,
    /// All but that.
    WorksBut(&'static [&'static str]),
}

/// Which faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Any,
    /// Once.
    Once,
    /// From there on.
    Denied,
    Short,
}

struct Row {
    /// Functions; none: all.
    of: &'static [&'static str],
    /// Calls; none: all.
    calls: &'static [&'static str],
    kind: Kind,
    /// Errnos; none: all.
    errnos: &'static [Errno],
    expect: Expect,
    /// For people.
    #[allow(dead_code)]
    why: &'static str,
}

const fn row(
    of: &'static [&'static str],
    calls: &'static [&'static str],
    kind: Kind,
    errnos: &'static [Errno],
    expect: Expect,
    why: &'static str,
) -> Row {
    Row { of, calls, kind, errnos, expect, why }
}

use Expect::Works;
use Kind::{Any, Denied, Once, Short};

/// The first that fits counts.
const TABLE: &[Row] = &[
    row(&[], &["close"], Any, &[], Works, "the descriptor is gone, whatever close(2) says"),
    row(&[], &[], Once, &[Errno::INTR], Works, "the call is made again"),
    row(&[], &["close_range"], Any, &[], Works, "without it, /proc/self/fd is read"),
];

/// What must come of this fault in this function.
pub fn expect(function: &str, fault: &Fault) -> Expect {
    let kind = match fault.how {
        How::Fails(_) | How::FailsAfter(_) => Once,
        How::Denied(_) => Denied,
        How::Short(_) => Short,
    };
    let has = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
    let fits = |row: &&Row| {
        has(row.of, function)
            && has(row.calls, &fault.place.call)
            && (row.kind == Any || row.kind == kind)
            && (row.errnos.is_empty() || fault.errno().is_some_and(|errno| row.errnos.contains(&errno)))
    };
    let usual = if kind == Short { Works } else { Expect::Returned };
    TABLE.iter().find(fits).map_or(usual, |row| row.expect)
}

/// The functions that return which step has failed.
pub const COMPOSITIONS: &[&str] = &["daemonize", "detach"];

/// Which step a call of theirs belongs to, by role, call, and which of them; none: any.
const STEPS: &[(usize, &[&str], Option<usize>, Step)] = &[];

/// The step that a fault of a composition must be told with.
pub fn step(fault: &Fault) -> Step {
    let place = &fault.place;
    let is_it = |(role, calls, nth, _): &&(usize, &[&str], Option<usize>, Step)| {
        *role == place.role && calls.contains(&place.call.as_str()) && nth.is_none_or(|nth| nth == place.nth)
    };
    STEPS.iter().find(is_it).map_or(Step::Exec, |(.., step)| *step)
}

/// What a function that has failed may leave otherwise than it was: as if it had not failed.
pub const CHANGES: &[(&str, &[&str], &str)] = &[];
