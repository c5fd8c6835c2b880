//! The tool's command line against a second reader of it, written from the tool's `help` alone.

#![no_main]

mod tool;

use arbitrary::Arbitrary;
use daemon_steps::{Stdio, Steps, ThinCStr};
use libfuzzer_sys::fuzz_target;
use rustix::fd::AsRawFd;
use rustix::fs::Mode;
use std::ffi::CString;
use tool::args::{Call, Verb};
use tool::line::Line;

#[derive(Arbitrary, Debug)]
enum Word<'a> {
    Verb(u8),
    Option(u8),
    Attached(u8, Value<'a>),
    Value(Value<'a>),
    Command,
}

#[derive(Arbitrary, Debug)]
enum Value<'a> {
    Text(&'a [u8]),
    Small(u8),
    Number(u32),
    Octal(u16),
    Signal(u8, bool),
    User(u32, Vec<u32>),
}

const VERBS: [&str; 9] = ["start", "restart", "run", "stop", "status", "help", "--help", "-h", ""];
const OPTIONS: [&str; 16] = [
    "--pidfile",
    "--timeout",
    "--signal",
    "--kill",
    "--chdir",
    "--chroot",
    "--umask",
    "--user",
    "--stdin",
    "--stdout",
    "--stderr",
    "--env",
    "--keep-fd",
    "--ready-fd",
    "--help",
    "-h",
];
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

fuzz_target!(|input: Vec<Word<'_>>| {
    let words: Vec<CString> = input.iter().map(spelt).collect();
    let mut argv = vec![Some(ThinCStr::from(c"daemon"))];
    argv.extend(words.iter().map(|word| Some(ThinCStr::from(&**word))));
    argv.push(None);

    let mut line = Line::default();
    let mut call = Call::new();
    let read = call.parse(&argv, &mut line);
    match (read, Wanted::read(&words)) {
        (Err(status), None) => assert_eq!((status, line.told), (tool::USAGE, 1)),
        (Ok(()), Some(wanted)) => {
            assert_eq!(line.told, 0);
            // Nothing else matters to whoever asks for help.
            if wanted.verb != "help" {
                assert_eq!(Wanted::of(&call), wanted);
            }
            assert!(call.verb == Verb::Help || wanted.verb != "help");
        }
        (read, wanted) => panic!("{words:?}: {read:?}, wanted {wanted:?}"),
    }
});

fn spelt(word: &Word<'_>) -> CString {
    let of = |list: &[&str], at: &u8| list[usize::from(*at) % list.len()].as_bytes().to_vec();
    let bytes = match word {
        Word::Verb(at) => of(&VERBS, at),
        Word::Option(at) => of(&OPTIONS, at),
        Word::Attached(at, value) => [of(&OPTIONS, at), value.spelt()].join(&b'='),
        Word::Value(value) => value.spelt(),
        Word::Command => b"--".to_vec(),
    };
    CString::new(bytes.into_iter().take_while(|byte| *byte != 0).collect::<Vec<_>>()).expect("cut at the null")
}

impl Value<'_> {
    fn spelt(&self) -> Vec<u8> {
        match self {
            Value::Text(text) => text.to_vec(),
            Value::Small(number) => number.to_string().into(),
            Value::Number(number) => number.to_string().into(),
            Value::Octal(number) => format!("{number:o}").into(),
            Value::Signal(at, long) => [if *long { "SIG" } else { "" }, SIGNALS[usize::from(*at) % 31]].concat().into(),
            Value::User(uid, gids) => {
                let gids: Vec<_> = gids.iter().map(u32::to_string).collect();
                format!("{uid}:{}", gids.join(",")).into()
            }
        }
    }
}

/// What the words mean.
#[derive(Debug, PartialEq)]
struct Wanted {
    verb: &'static str,
    pid_file: CString,
    timeout: Option<u32>,
    signal: i32,
    kill: bool,
    chdir: CString,
    chroot: Option<CString>,
    umask: u32,
    user: Option<(u32, Vec<u32>)>,
    files: [Option<CString>; 3],
    env: Option<Vec<CString>>,
    keep: Vec<i32>,
    ready: Option<i32>,
    command: Option<Vec<CString>>,
}

impl Wanted {
    /// `None`: it makes no sense.
    fn read(words: &[CString]) -> Option<Self> {
        let mut words = words.iter();
        let verb = words.next()?.to_str().ok()?;
        let verb = *VERBS[..8].iter().find(|known| **known == verb)?;
        let verb = if verb.starts_with('-') { "help" } else { verb };
        let starts = ["start", "restart", "run"].contains(&verb);
        let mut wanted = Self {
            verb,
            pid_file: c"daemon.pid".into(),
            timeout: None,
            signal: libc::SIGTERM,
            kill: false,
            chdir: c"/".into(),
            chroot: None,
            umask: 0o022,
            user: None,
            files: [None, None, None],
            env: None,
            keep: vec![],
            ready: None,
            command: None,
        };
        while let Some(word) = words.next() {
            if starts && word.as_bytes() == b"--" {
                wanted.command = Some(words.by_ref().cloned().collect());
                break;
            }
            let mut halves = word.as_bytes().splitn(2, |byte| *byte == b'=');
            let option = halves.next()?;
            let attached = halves.next().map(|value| CString::new(value).expect("part of a C string"));
            let option = *OPTIONS.iter().find(|known| known.as_bytes() == option)?;
            match option {
                "--help" | "-h" => {
                    wanted.verb = "help";
                    return Some(wanted);
                }
                "--kill" if verb == "stop" && attached.is_none() => {
                    wanted.kill = true;
                    continue;
                }
                "--kill" => return None,
                _ => {}
            }
            let known = match verb {
                "stop" => ["--pidfile", "--timeout", "--signal"].contains(&option),
                "status" => option == "--pidfile",
                "help" => false,
                _ => option != "--signal",
            };
            let value = attached.or_else(|| words.next().cloned());
            wanted.set(option, value.filter(|_| known)?)?;
        }
        let complete = wanted.command.as_ref().is_none_or(|command| !command.is_empty());
        let commanded = wanted.ready.is_none_or(|ready| wanted.command.is_some() && !wanted.keep.contains(&ready));
        (complete && commanded).then_some(wanted)
    }

    fn set(&mut self, option: &str, value: CString) -> Option<()> {
        match option {
            "--pidfile" => self.pid_file = value,
            "--timeout" => self.timeout = Some(number(&value)?),
            "--signal" => self.signal = signal(&value)?,
            "--chdir" => self.chdir = value,
            "--chroot" => self.chroot = Some(value),
            "--umask" => {
                let digits = value.to_str().ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
                self.umask = u32::from_str_radix(digits, 8).ok().filter(|umask| *umask <= 0o777)?;
            }
            "--user" => {
                let text = value.to_str().ok()?;
                let (uid, gids) = text.split_once(':').unwrap_or((text, text));
                let gids: Option<Vec<_>> = gids.split(',').map(id).collect();
                self.user = Some((id(uid).filter(|uid| *uid != 0)?, gids.filter(|gids| gids.len() <= 33)?));
            }
            "--stdin" => self.files[0] = Some(value),
            "--stdout" => self.files[1] = Some(value),
            "--stderr" => self.files[2] = Some(value),
            "--env" => {
                let name = Some(value).filter(|name| !name.is_empty() && !name.as_bytes().contains(&b'='))?;
                self.env.get_or_insert_default().push(name);
                self.env.as_ref().filter(|names| names.len() <= 64)?;
            }
            "--keep-fd" => {
                self.keep.push(number(&value)?.try_into().ok()?);
                Some(()).filter(|()| self.keep.len() <= 32)?;
            }
            "--ready-fd" => self.ready = Some(i32::try_from(number(&value)?).ok().filter(|fd| *fd > 2)?),
            _ => return None,
        }
        Some(())
    }

    /// What the tool has read.
    fn of(call: &Call<'_>) -> Self {
        let plan = &call.plan;
        let steps = plan.steps;
        let (run, verb) = match call.verb {
            Verb::Start => (false, "start"),
            Verb::Restart => (false, "restart"),
            Verb::Run => (true, "run"),
            Verb::Stop => (false, "stop"),
            Verb::Status => (false, "status"),
            Verb::Help => (false, "help"),
        };
        let optional = Steps::CHROOT | Steps::FILTER_ENV | Steps::DROP_PRIVILEGES;
        let usual = Steps::DAEMON.difference(Steps::READY) | Steps::PID_FILE | Steps::CLOSE_FDS;
        assert_eq!(steps.difference(optional), if run { usual.difference(Steps::DETACH) } else { usual });
        assert_eq!(plan.timeout.map_or(0, |timeout| timeout.subsec_nanos()), 0);
        let kept: Vec<_> = call.kept().iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(kept[0], call.ready_fd.unwrap_or(0));
        let gids = call.gids.as_slice().iter().map(|gid| gid.as_raw()).collect();
        Self {
            verb,
            pid_file: call.pid_file.into(),
            timeout: plan.timeout.map(|timeout| timeout.as_secs() as u32),
            signal: call.signal.as_raw(),
            kill: call.kill,
            chdir: plan.directory.into(),
            chroot: steps.contains(Steps::CHROOT).then(|| plan.root.into()),
            umask: plan.umask.as_raw_mode(),
            user: steps.contains(Steps::DROP_PRIVILEGES).then_some((plan.ids.uid.as_raw(), gids)),
            files: plan.stdio.map(|stdio| match stdio {
                Stdio::File(path, mode) => {
                    assert_eq!(mode, Mode::from_raw_mode(0o644));
                    Some(path.into())
                }
                Stdio::Keep => Some(c"kept".into()).filter(|_| !run),
                Stdio::Null => Some(c"null".into()).filter(|_| run),
                Stdio::Fd(_) => panic!("no option redirects to a descriptor"),
            }),
            env: steps.contains(Steps::FILTER_ENV).then(|| call.env.as_slice().iter().map(|name| (*name).into()).collect()),
            keep: kept[1..].to_vec(),
            ready: call.ready_fd,
            command: match call.command {
                [] => None,
                [words @ .., None] => Some(words.iter().map(|word| word.expect("a word").as_c_str().into()).collect()),
                _ => panic!("a command does not end with null"),
            },
        }
    }
}

fn number(text: &CString) -> Option<u32> {
    digits(text.to_str().ok()?)
}

/// Rust's own reader takes a plus, too.
fn digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn id(text: &str) -> Option<u32> {
    digits(text).filter(|id| *id != u32::MAX)
}

fn signal(text: &CString) -> Option<i32> {
    let text = text.to_str().ok()?;
    let name = text.strip_prefix("SIG").unwrap_or(text);
    match SIGNALS.iter().position(|known| *known == name) {
        Some(before) => Some(before as i32 + 1),
        None => digits(name).filter(|number| (1..32).contains(number)).map(|number| number as i32),
    }
}
