//! Compares what was seen with what is documented, and makes the documentation's table of it.

use crate::doc::{Doc, Section};
use crate::names::bare;
use std::collections::BTreeSet;

/// A run: when, and the calls that were seen.
pub type Run = (&'static [&'static str], BTreeSet<String>);

/// When a way is taken, in words.
pub fn words(when: &[&str]) -> String {
    if when.is_empty() { "always".into() } else { when.join("; ") }
}

/// What is wrong with the documentation, or with the function; of some ways it is known that nobody tries them.
pub fn compare(section: &Section, runs: &[Run], untried: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (when, seen) in runs {
        let mut documented: BTreeSet<&str> = section.main.iter().map(String::as_str).collect();
        for name in *when {
            match section.ways.iter().find(|way| way.when == *name) {
                Some(way) => documented.extend(way.calls.iter().map(String::as_str)),
                None => wrong.push(format!("the documentation has no way '{name}'")),
            }
        }
        let undocumented = seen.iter().filter(|call| !documented.contains(call.as_str()));
        wrong.extend(undocumented.map(|call| format!("{}: {call} is made, and not documented", words(when))));
    }
    let seen = |call: &String, on: &dyn Fn(&[&str]) -> bool| runs.iter().any(|(when, seen)| on(when) && seen.contains(call));
    let never = section.main.iter().filter(|call| !seen(call, &|when| when.is_empty()));
    wrong.extend(never.map(|call| format!("{call} is documented, and never made")));
    for way in section.ways.iter().filter(|way| !way.elsewhere && !untried(&way.when)) {
        let on = |when: &[&str]| when.contains(&way.when.as_str());
        let never = way.calls.iter().filter(|call| !seen(call, &on));
        wrong.extend(never.map(|call| format!("'{}': {call} is documented, and never made", way.when)));
        if !runs.iter().any(|(when, _)| on(when)) {
            wrong.push(format!("'{}': nobody tries it", way.when));
        }
    }
    wrong
}

/// The bare names, each once.
pub fn names<'a>(calls: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for call in calls {
        if !names.contains(&bare(call)) {
            names.push(bare(call));
        }
    }
    names
}

/// The table, as a page in Markdown has it; functions that call the same share a line.
pub fn markdown(doc: &Doc, functions: &[&str]) -> String {
    let mut lines: Vec<(Vec<String>, String)> = Vec::new();
    for function in functions {
        let section = &doc.sections[*function];
        let main = names(&section.main);
        let mut others = names(section.ways.iter().flat_map(|way| &way.calls));
        others.retain(|name| !main.contains(name));
        let cell = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let calls = format!("{} | {}", if main.is_empty() { "none".into() } else { cell(&main) }, cell(&others));
        // These are modules, too.
        let link =
            if ["fork", "handoff", "umask"].contains(function) { format!("[`{function}()`]") } else { format!("[`{function}`]") };
        match lines.iter_mut().find(|(_, known)| *known == calls) {
            Some((links, _)) => links.push(link),
            None => lines.push((vec![link], calls)),
        }
    }
    let lines = lines.iter().map(|(links, calls)| format!("| {} | {} |\n", links.join(", "), calls.trim_end()));
    format!("| function | always | on other ways |\n|---|---|---|\n{}", lines.collect::<String>())
}
