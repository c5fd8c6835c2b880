//! What a process is, as `/proc` shows it, in a form that two runs have alike.

use pidfile_proof::proc;
use pidfile_proof::room::PLACE;
use rustix::process::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read_dir, read_link, read_to_string};

/// Names of things, and what they are.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct State(BTreeMap<String, String>);

/// The lines of `status` that count; the numbers in them are the same in two runs.
const STATUS: &[&str] =
    &["Umask", "SigBlk", "SigIgn", "SigCgt", "Uid", "Gid", "Groups", "NoNewPrivs", "CapInh", "CapPrm", "CapEff"];

impl State {
    /// Looks at a process that is halted, and at the files in the room.
    pub fn of(pid: Pid, kept: u64) -> Self {
        let mut state = Self::default();
        let number = pid.as_raw_nonzero().get();
        let place = |name: &str| format!("/proc/{number}/{name}");
        for line in proc::status(pid).lines() {
            if let Some((name, value)) = line.split_once(':').filter(|(name, _)| STATUS.contains(name)) {
                state.set(name, value.trim());
            }
        }
        for name in ["cwd", "root"] {
            state.set(name, read_link(place(name)).map_or_else(|_| "?".into(), |link| link.display().to_string()));
        }
        let stat = read_to_string(place("stat")).unwrap_or_default();
        // After the name: state, parent, group, session, terminal.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        for (name, nth) in [("group", 2), ("session", 3)] {
            let is_own = fields.get(nth) == Some(&number.to_string().as_str());
            state.set(name, if is_own { "its own" } else { "another's" });
        }
        state.set("terminal", if fields.get(4) == Some(&"0") { "none" } else { "one" });
        state.set("kept", format!("{kept:b}"));
        for entry in read_dir(place("fd")).into_iter().flatten().flatten() {
            let fd = entry.file_name().into_string().expect("a number");
            let target = read_link(entry.path()).map_or_else(|_| "?".into(), |link| link.display().to_string());
            state.set(&format!("fd {fd}"), nameless(&target) + &info(&place(&format!("fdinfo/{fd}"))));
        }
        state.look_at_files(number);
        state
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    fn look_at_files(&mut self, number: i32) {
        for entry in read_dir(PLACE).expect("the place").flatten() {
            let text = read_to_string(entry.path()).unwrap_or_default();
            let what = match text.as_str() {
                "" => "empty",
                own if own == format!("{number}\n") => "its number",
                _ => "something",
            };
            self.set(&format!("file {}", entry.file_name().display()), what);
        }
    }

    /// Where this one differs from another, but for what begins with one of these.
    pub fn differs(&self, other: &Self, but: &[&str]) -> Vec<String> {
        let differs = |name: &&str| !but.iter().any(|begin| name.starts_with(begin)) && self.get(name) != other.get(name);
        let show = |state: &Self, name: &str| state.get(name).unwrap_or("nothing").to_string();
        let names = self.names(other).into_iter().filter(differs);
        names.map(|name| format!("{name} is {}, not {}", show(self, name), show(other, name))).collect()
    }

    /// Where this one differs from another; what begins with one of these may be as in a third, or anything.
    pub fn differs_from_both(&self, other: &Self, may_be: &Self, begins: &[&str], anything: &[&str]) -> Vec<String> {
        let may = |name: &&str| begins.iter().any(|begin| name.starts_with(begin));
        let as_there: Vec<_> =
            self.names(other).into_iter().filter(|name| may(name) && self.get(name) == may_be.get(name)).collect();
        self.differs(other, &[&as_there, anything].concat())
    }

    /// Without the descriptors of what begins so.
    pub fn without(&self, what: &str) -> Self {
        let stays = |name: &str, is: &str| !(name.starts_with("fd ") && is.starts_with(what));
        Self(self.0.iter().filter(|(name, is)| stays(name, is)).map(|(name, is)| (name.clone(), is.clone())).collect())
    }

    fn names<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        self.0.keys().chain(other.0.keys()).map(String::as_str).collect()
    }

    /// What it is in one respect.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Without the numbers of pipes and processes.
fn nameless(target: &str) -> String {
    target.split(|c: char| c.is_ascii_digit()).collect()
}

/// Flags, and the locks, of which the process's number and the file's say nothing here.
fn info(path: &str) -> String {
    let text = read_to_string(path).unwrap_or_default();
    let mut words = String::new();
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("flags:") {
            words.extend([", flags ", flags.trim()]);
        } else if let Some(lock) = line.strip_prefix("lock:") {
            let lock: Vec<_> = lock.split_whitespace().collect();
            let [_, kind, _, how, .., first, last] = lock.as_slice() else { continue };
            words.extend([", ", kind, " ", how, " ", first, " ", last]);
        }
    }
    words
}
