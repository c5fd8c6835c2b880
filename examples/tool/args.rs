//! The command line.

use super::line::Line;
use super::{DONE, USAGE};
use core::ffi::CStr;
use core::time::Duration;
use daemon_steps::ThinCStr;
use rustix::fd::RawFd;
use rustix::fs::Mode;
use rustix::process::{Gid, Signal, Uid};

const HELP: &[&str] = &[
    "usage: daemon start|restart [options] [-- COMMAND [ARG...]]",
    "       daemon run [options] [-- COMMAND [ARG...]]",
    "       daemon stop [--pidfile FILE] [--signal NAME] [--timeout SECONDS] [--kill]",
    "       daemon status [--pidfile FILE]",
    "no COMMAND: a built-in worker writes a line a second until SIGTERM",
    "options:",
    "  --pidfile FILE                  daemon.pid if not given",
    "  --chdir DIR  --chroot DIR       / if not given; the root as it is",
    "  --umask OCTAL                   022 if not given",
    "  --user UID[:GID[,GID...]]       numbers; the gid is the uid if not given, further ones are the groups",
    "  --stdin FILE  --stdout FILE  --stderr FILE   /dev/null if not given; run leaves them",
    "  --env NAME                      keep only the variables so named; repeatable",
    "  --keep-fd N                     leave descriptor N open; repeatable",
    "  --ready-fd N                    the COMMAND is started when it writes a newline to descriptor N",
    "  --timeout SECONDS               how long to wait: 10 if not given to stop, for ever to start",
    "  --signal NAME                   to stop with: TERM if not given; a number will do",
    "  --kill                          after the timeout SIGKILL, and the same wait again",
    "relative paths begin where daemon is called; --chdir begins in the new root, if there is one",
    "exit: 0 done, 1 not, 2 usage; status: 0 running, 1 dead, its file left, 3 not running, 4 unknown",
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Restart,
    Run,
    Stop,
    Status,
    Help,
}

impl Verb {
    fn from_bytes(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"start" => Self::Start,
            b"restart" => Self::Restart,
            b"run" => Self::Run,
            b"stop" => Self::Stop,
            b"status" => Self::Status,
            b"help" | b"--help" | b"-h" => Self::Help,
            _ => return None,
        })
    }

    /// Whether this verb knows the option.
    fn takes(self, option: &[u8]) -> bool {
        match self {
            Self::Start | Self::Restart | Self::Run => matches!(
                option,
                b"--pidfile"
                    | b"--chdir"
                    | b"--chroot"
                    | b"--umask"
                    | b"--user"
                    | b"--stdin"
                    | b"--stdout"
                    | b"--stderr"
                    | b"--env"
                    | b"--keep-fd"
                    | b"--ready-fd"
                    | b"--timeout"
            ),
            Self::Stop => matches!(option, b"--pidfile" | b"--signal" | b"--timeout" | b"--kill"),
            Self::Status => option == b"--pidfile",
            Self::Help => false,
        }
    }

    fn takes_command(self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Run)
    }
}

/// A list in a fixed place: `None` when it is full.
#[derive(Clone, Copy)]
pub(crate) struct List<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    fn new(filler: T) -> Self {
        Self { items: [filler; N], length: 0 }
    }

    fn push(&mut self, item: T) -> Option<()> {
        *self.items.get_mut(self.length)? = item;
        self.length += 1;
        Some(())
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(..self.length).unwrap_or_default()
    }
}

pub(crate) struct User {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: List<Gid, 32>,
}

pub(crate) struct Call<'a> {
    pub(crate) verb: Verb,
    pub(crate) pid_file: &'a CStr,
    pub(crate) directory: &'a CStr,
    pub(crate) root: Option<&'a CStr>,
    pub(crate) umask: Mode,
    pub(crate) user: Option<User>,
    /// For standard input, output and error.
    pub(crate) files: [Option<&'a CStr>; 3],
    pub(crate) env: List<&'a CStr, 64>,
    pub(crate) keep: List<RawFd, 32>,
    pub(crate) ready_fd: Option<RawFd>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) signal: Signal,
    pub(crate) kill: bool,
    /// The command and its arguments, and `None` at the end; empty if there is no command.
    pub(crate) command: &'a [Option<ThinCStr<'a>>],
}

/// What is wrong with a command line.
pub(crate) enum Wrong<'a> {
    /// No verb, or none that is known.
    Verb(&'a [u8]),
    /// An option, or a word that is none.
    Word(&'static str, &'a [u8]),
    /// An option's value.
    Value { option: &'a [u8], value: &'a [u8] },
}

impl Wrong<'_> {
    /// Says so, with the exit status for it.
    pub(crate) fn tell(&self) -> i32 {
        let line = Line::new().text("daemon: ");
        match *self {
            Self::Verb(b"") => line.text("what is to be done?"),
            Self::Verb(verb) => line.text("no such verb: ").shown(verb),
            Self::Word(what, word) => line.text(what).shown(word),
            Self::Value { option, value } => line.bytes(option).text(" wants ").text(wants(option)).text(", not ").shown(value),
        }
        .err();
        if let Self::Verb(_) = self {
            HELP.iter().take(4).for_each(|line| Line::new().text(line).err());
        }
        USAGE
    }
}

fn wants(option: &[u8]) -> &'static str {
    match option {
        b"--umask" => "an octal number up to 777",
        b"--user" => "UID[:GID[,GID...]], numbers, the UID not 0, 32 further GIDs at most",
        b"--env" => "a name, 64 times at most",
        b"--keep-fd" => "a descriptor's number, 32 times at most",
        b"--ready-fd" => "a descriptor's number above 2",
        b"--timeout" => "whole seconds",
        _ => "a signal",
    }
}

pub(crate) fn help() -> i32 {
    for line in HELP {
        Line::new().text(line).out();
    }
    DONE
}

impl<'a> Call<'a> {
    fn new(verb: Verb) -> Self {
        Self {
            verb,
            pid_file: c"daemon.pid",
            directory: c"/",
            root: None,
            umask: Mode::WGRP | Mode::WOTH,
            user: None,
            files: [None; 3],
            env: List::new(c""),
            keep: List::new(0),
            ready_fd: None,
            timeout: None,
            signal: Signal::TERM,
            kill: false,
            command: &[],
        }
    }

    pub(crate) fn parse(argv: &'a [Option<ThinCStr<'a>>]) -> Result<Self, Wrong<'a>> {
        let word = |at: usize| argv.get(at).copied().flatten().map(ThinCStr::as_c_str);
        let verb = word(1).map(CStr::to_bytes).unwrap_or_default();
        let mut call = Self::new(Verb::from_bytes(verb).ok_or(Wrong::Verb(verb))?);
        let mut at = 2;
        while let Some(argument) = word(at) {
            at += 1;
            if argument == c"--" && call.verb.takes_command() {
                call.command = argv.get(at..).filter(|_| word(at).is_some()).unwrap_or_default();
                if call.command.is_empty() {
                    return Err(Wrong::Word("no COMMAND after --", b""));
                }
                break;
            }
            let (option, attached) = split(argument);
            match option {
                b"--help" | b"-h" => return Ok(Self::new(Verb::Help)),
                _ if call.verb.takes(option) => {}
                [b'-', ..] => return Err(Wrong::Word("no such option here: ", option)),
                _ if call.verb.takes_command() => return Err(Wrong::Word("a COMMAND is told by a -- before it: ", option)),
                _ => return Err(Wrong::Word("one word too many: ", option)),
            }
            if option == b"--kill" {
                call.kill = true;
                if attached.is_some() {
                    return Err(Wrong::Word("no value is wanted after ", option));
                }
                continue;
            }
            let value = attached.or_else(|| word(at)).ok_or(Wrong::Word("a value is missing after ", option))?;
            at += usize::from(attached.is_none());
            call.set(option, value).ok_or(Wrong::Value { option, value: value.to_bytes() })?;
        }
        if call.ready_fd.is_some() && call.command.is_empty() {
            return Err(Wrong::Word("without a COMMAND there is nobody to write to --ready-fd", b""));
        }
        Ok(call)
    }

    fn set(&mut self, option: &[u8], value: &'a CStr) -> Option<()> {
        let text = value.to_bytes();
        match option {
            b"--pidfile" => put(&mut self.pid_file, Some(value)),
            b"--chdir" => put(&mut self.directory, Some(value)),
            b"--chroot" => put(&mut self.root, Some(Some(value))),
            b"--umask" => put(&mut self.umask, number(text, 8).filter(|n| *n <= 0o777).map(Mode::from_raw_mode)),
            b"--user" => put(&mut self.user, user(text).map(Some)),
            b"--stdin" => put(&mut self.files[0], Some(Some(value))),
            b"--stdout" => put(&mut self.files[1], Some(Some(value))),
            b"--stderr" => put(&mut self.files[2], Some(Some(value))),
            b"--env" => Some(value).filter(|_| !text.is_empty() && !text.contains(&b'=')).and_then(|name| self.env.push(name)),
            b"--keep-fd" => descriptor(text).and_then(|fd| self.keep.push(fd)),
            b"--ready-fd" => put(&mut self.ready_fd, descriptor(text).filter(|fd| *fd > 2).map(Some)),
            b"--timeout" => put(&mut self.timeout, number(text, 10).map(|seconds| Some(Duration::from_secs(seconds.into())))),
            b"--signal" => put(&mut self.signal, signal(text)),
            _ => None,
        }
    }
}

/// `--option=value`, or `--option` alone.
fn split(argument: &CStr) -> (&[u8], Option<&CStr>) {
    let bytes = argument.to_bytes_with_nul();
    let equals = bytes.iter().position(|&byte| byte == b'=').filter(|_| bytes.starts_with(b"--"));
    match equals.and_then(|at| bytes.split_at_checked(at)) {
        Some((option, [_, value @ ..])) => (option, CStr::from_bytes_with_nul(value).ok()),
        _ => (argument.to_bytes(), None),
    }
}

fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

fn number(text: &[u8], base: u32) -> Option<u32> {
    let digits = text.iter().map(|&byte| char::from(byte).to_digit(base));
    if text.is_empty() {
        return None;
    }
    digits.into_iter().try_fold(0_u32, |n, digit| n.checked_mul(base)?.checked_add(digit?))
}

fn descriptor(text: &[u8]) -> Option<RawFd> {
    number(text, 10)?.try_into().ok()
}

/// An id; all ones is the kernel's "leave it as it is".
fn id(text: &[u8]) -> Option<u32> {
    number(text, 10).filter(|id| *id != u32::MAX)
}

/// `UID[:GID[,GID...]]`.
fn user(text: &[u8]) -> Option<User> {
    let mut parts = text.splitn(2, |&byte| byte == b':');
    let uid = id(parts.next()?).filter(|uid| *uid != 0)?;
    let mut gids = parts.next().into_iter().flat_map(|gids| gids.split(|&byte| byte == b',')).map(id);
    let gid = gids.next().unwrap_or(Some(uid))?;
    let mut groups = List::new(Gid::ROOT);
    for group in gids {
        groups.push(Gid::from_raw(group?))?;
    }
    Some(User { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups })
}

/// `TERM`, `SIGTERM` or `15`.
fn signal(text: &[u8]) -> Option<Signal> {
    const NAMES: &[(&[u8], Signal)] = &[
        (b"HUP", Signal::HUP),
        (b"INT", Signal::INT),
        (b"QUIT", Signal::QUIT),
        (b"ABRT", Signal::ABORT),
        (b"KILL", Signal::KILL),
        (b"USR1", Signal::USR1),
        (b"USR2", Signal::USR2),
        (b"PIPE", Signal::PIPE),
        (b"ALRM", Signal::ALARM),
        (b"TERM", Signal::TERM),
        (b"CONT", Signal::CONT),
        (b"STOP", Signal::STOP),
        (b"WINCH", Signal::WINCH),
        (b"PWR", Signal::POWER),
    ];
    if let Some(number) = number(text, 10) {
        return Signal::from_named_raw(number.try_into().ok()?);
    }
    let name = text.strip_prefix(b"SIG").unwrap_or(text);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}
