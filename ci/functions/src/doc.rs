//! What the documentation says: the sections "System calls" of the library's public functions.
//!
//! The first paragraph is the main way. Each item of a list is another way: when, a colon, and what it calls besides. Calls
//! are the words in backticks that begin with a small letter; "Those of" other functions are links. Further paragraphs are for people.

use crate::names;
use std::collections::BTreeMap;
use std::path::Path;

/// Names of calls, each once, in the order of the text.
pub type Calls = Vec<String>;

/// One section.
#[derive(Default, Clone)]
pub struct Section {
    /// What the main way calls.
    pub main: Calls,
    /// The other ways.
    pub ways: Vec<Way>,
}

/// Another way than the main one.
#[derive(Clone)]
pub struct Way {
    /// When it is taken.
    pub when: String,
    /// What is called besides.
    pub calls: Calls,
    /// Whether it is another function's, that is referred to.
    pub elsewhere: bool,
}

/// A word of a piece of text that lists calls.
enum Word {
    Call(String),
    /// All that another function calls.
    Link(String),
}

#[derive(Default)]
struct Raw {
    main: Vec<Word>,
    ways: Vec<(String, Vec<Word>)>,
}

/// What was read.
pub struct Doc {
    /// The sections, by the function's name.
    pub sections: BTreeMap<String, Section>,
    /// The public functions without one.
    pub silent: Vec<String>,
}

impl Doc {
    /// Reads the sources in `directory`.
    ///
    /// # Errors
    ///
    /// What does not follow the form.
    pub fn read(directory: &Path) -> Result<Self, String> {
        let mut raw = BTreeMap::new();
        let mut silent = Vec::new();
        for file in std::fs::read_dir(directory).map_err(|error| error.to_string())? {
            let path = file.map_err(|error| error.to_string())?.path();
            if path.is_dir() {
                continue;
            }
            for (name, doc) in functions(&std::fs::read_to_string(&path).map_err(|error| error.to_string())?) {
                match section(&doc) {
                    Some(lines) => drop(raw.insert(name.clone(), parse(&lines).map_err(|wrong| format!("{name}: {wrong}"))?)),
                    None => silent.push(name),
                }
            }
        }
        let resolve = |name: &String| Ok((name.clone(), resolve(&raw, name)?));
        Ok(Self { sections: raw.keys().map(resolve).collect::<Result<_, String>>()?, silent })
    }
}

/// The public functions of a file, methods with their type, and the lines of their documentation.
fn functions(source: &str) -> Vec<(String, Vec<String>)> {
    let (mut found, mut doc, mut of) = (Vec::new(), Vec::new(), String::new());
    for line in source.lines() {
        let text = line.trim_start();
        if let Some(comment) = text.strip_prefix("///") {
            doc.push(comment.trim().to_string());
            continue;
        }
        if let Some(rest) = line.strip_prefix("impl") {
            // `impl<'p> PidFile<'p> {`
            let rest = if rest.starts_with('<') { rest.split_once('>').map_or("", |(_, rest)| rest) } else { rest };
            of = format!("{}::", identifier(rest.trim_start()));
        } else if line == "}" {
            of.clear();
        } else if let Some(name) = text.strip_prefix("pub ").and_then(function) {
            found.push((format!("{of}{name}"), std::mem::take(&mut doc)));
        }
        if !text.starts_with("#[") {
            doc.clear();
        }
    }
    found
}

/// The name of a function whose declaration, after `pub`, this is.
fn function(mut text: &str) -> Option<&str> {
    for word in ["const ", "unsafe "] {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    text.strip_prefix("fn ").map(identifier)
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The lines of the section, up to the link to the manual or the next section.
fn section(doc: &[String]) -> Option<Vec<String>> {
    let start = doc.iter().position(|line| line == "# System calls")?;
    let end = |line: &&String| !line.starts_with("See [") && !line.starts_with("# ") && !line.starts_with("```");
    Some(doc[start + 1..].iter().take_while(end).cloned().collect())
}

fn parse(lines: &[String]) -> Result<Raw, String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut new = true;
    for line in lines {
        if line.is_empty() {
            new = true;
        } else if new || line.starts_with("* ") {
            paragraphs.push(line.clone());
            new = false;
        } else if let Some(last) = paragraphs.last_mut() {
            *last = format!("{last} {line}");
        }
    }
    let mut raw = Raw::default();
    for (nth, paragraph) in paragraphs.iter().enumerate() {
        if let Some(item) = paragraph.strip_prefix("* ") {
            let (when, calls) = item.split_once(": ").ok_or_else(|| format!("no colon in '{item}'"))?;
            raw.ways.push((when.to_string(), list(calls)?));
        } else if nth == 0 {
            raw.main = list(paragraph)?;
            if raw.main.is_empty() && paragraph != "None." {
                return Err(format!("no call in '{paragraph}'"));
            }
        }
    }
    if paragraphs.is_empty() { Err("an empty section".into()) } else { Ok(raw) }
}

fn list(text: &str) -> Result<Vec<Word>, String> {
    let mut list = Vec::new();
    let pieces: Vec<_> = text.split('`').collect();
    for (nth, word) in pieces.iter().enumerate().skip(1).step_by(2) {
        let after = pieces.get(nth + 1).ok_or_else(|| format!("an odd backtick in '{text}'"))?;
        if pieces[nth - 1].ends_with('[') && after.starts_with(']') {
            list.push(Word::Link(word.trim_end_matches("()").to_string()));
        } else if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            if !names::is_known(word) {
                return Err(format!("no system call is known by the name '{word}'"));
            }
            list.push(Word::Call((*word).to_string()));
        }
    }
    Ok(list)
}

fn add(calls: &mut Calls, call: &str) {
    if !calls.iter().any(|known| known == call) {
        calls.push(call.to_string());
    }
}

/// With what the links refer to: the main way of each, and in the main way of this one also the others.
fn resolve(raw: &BTreeMap<String, Raw>, name: &str) -> Result<Section, String> {
    let this = raw.get(name).ok_or_else(|| format!("a link to '{name}', which has no such section"))?;
    let mut section = Section::default();
    for word in &this.main {
        let linked = match word {
            Word::Call(call) => {
                add(&mut section.main, call);
                continue;
            }
            Word::Link(name) => resolve(raw, name)?,
        };
        linked.main.iter().for_each(|call| add(&mut section.main, call));
        for way in linked.ways {
            match section.ways.iter_mut().find(|known| known.when == way.when) {
                Some(known) => way.calls.iter().for_each(|call| add(&mut known.calls, call)),
                None => section.ways.push(Way { elsewhere: true, ..way }),
            }
        }
    }
    for (when, words) in &this.ways {
        let mut calls = Calls::new();
        for word in words {
            match word {
                Word::Call(call) => add(&mut calls, call),
                Word::Link(name) => resolve(raw, name)?.main.iter().for_each(|call| add(&mut calls, call)),
            }
        }
        section.ways.push(Way { when: when.clone(), calls, elsewhere: false });
    }
    Ok(section)
}
