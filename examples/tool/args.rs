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
            Self::Start | Self::Restart | Self::Run => !matches!(option, b"--signal" | b"--kill"),
            Self::Stop => matches!(option, b"--pidfile" | b"--signal" | b"--timeout" | b"--kill"),
            Self::Status => option == b"--pidfile",
            Self::Help => false,
        }
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
pub(crate) struct Wrong<'a> {
    what: &'static str,
    word: &'a [u8],
}

impl Wrong<'_> {
    /// Says so, with the exit status for it.
    pub(crate) fn tell(&self) -> i32 {
        Line::new().text("daemon: ").text(self.what).bytes(self.word).err();
        for line in HELP.iter().take(4) {
            Line::new().text(line).err();
        }
        USAGE
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
        let Some(verb) = word(1) else { return Err(Wrong { what: "what is to be done?", word: b"" }) };
        let wrong_verb = Wrong { what: "no such verb: ", word: verb.to_bytes() };
        let mut call = Self::new(Verb::from_bytes(verb.to_bytes()).ok_or(wrong_verb)?);
        let mut at = 2;
        while let Some(argument) = word(at) {
            at += 1;
            if argument == c"--" && !matches!(call.verb, Verb::Stop | Verb::Status | Verb::Help) {
                call.command = argv.get(at..).filter(|_| word(at).is_some()).unwrap_or_default();
                if call.command.is_empty() {
                    return Err(Wrong { what: "no command after --", word: b"" });
                }
                break;
            }
            let (option, attached) = split(argument);
            if !call.verb.takes(option) {
                return Err(Wrong { what: "not an option here: ", word: option });
            }
            if option == b"--kill" && attached.is_none() {
                call.kill = true;
                continue;
            }
            let value = attached.or_else(|| word(at)).ok_or(Wrong { what: "a value is missing after ", word: option })?;
            at += usize::from(attached.is_none());
            call.set(option, value)?;
        }
        if call.ready_fd.is_some() && call.command.is_empty() {
            return Err(Wrong { what: "without a command there is nobody to write to --ready-fd", word: b"" });
        }
        Ok(call)
    }

    fn set(&mut self, option: &'a [u8], value: &'a CStr) -> Result<(), Wrong<'a>> {
        let text = value.to_bytes();
        let set = match option {
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
            _ => return Err(Wrong { what: "no such option: ", word: option }),
        };
        set.ok_or(Wrong { what: "a value of the wrong kind, or one too many, after ", word: option })
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
    let uid = id(parts.next()?)?;
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
