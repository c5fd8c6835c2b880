//! The command line: a plan in words.

use super::line::{Line, STDERR, STDIN, STDOUT, print};
use super::text::{before, holds, parts};
use super::{DONE, USAGE};
use core::ffi::CStr;
use core::time::Duration;
use daemon_steps::{Plan, Stdio, Steps, ThinCStr};
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::fs::Mode;
use rustix::process::{Gid, Signal, Uid};

/// What is told of the command line, and what is known of it: an option is what begins a line.
const HELP: &str = "\
usage: daemon start|restart|run [OPTION...] [-- COMMAND [ARG...]]
       daemon stop|status|help [OPTION...]
without COMMAND a worker writes a line a second until SIGTERM
stop takes the first four options, status the first
exit: 0 done, 1 not, 2 usage; status: 0 running, 1 dead, its file left, 3 not running, 4 unknown
--pidfile FILE: daemon.pid if not given
--timeout SECONDS: how long to wait; if not given 10 to stop, for ever to start
--signal NAME: to stop with, or its number; TERM if not given
--kill after the timeout: SIGKILL, and the same wait again
--chdir DIR: / if not given; in the new root
--chroot DIR
--umask OCTAL: up to 777; 022 if not given
--user UID[:GID[,GID...]]: numbers, UID not 0; GID is UID if not given; 32 further GIDs at most
--stdin FILE: /dev/null if not given; run leaves it
--stdout FILE
--stderr FILE
--env NAME: keep only the variables so named; 64 at most
--keep-fd N: leave descriptor N open; 32 at most
--ready-fd N: COMMAND is started when it writes a newline to descriptor N, above 2
";

/// The line of each option.
const PIDFILE: usize = 5;
const TIMEOUT: usize = 6;
const SIGNAL: usize = 7;
const KILL: usize = 8;
const CHDIR: usize = 9;
const CHROOT: usize = 10;
const UMASK: usize = 11;
const USER: usize = 12;
const STDIN_FILE: usize = 13;
const STDERR_FILE: usize = 15;
const ENV: usize = 16;
const KEEP_FD: usize = 17;
const READY_FD: usize = 18;

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
        const VERBS: [Verb; 8] =
            [Verb::Start, Verb::Restart, Verb::Run, Verb::Stop, Verb::Status, Verb::Help, Verb::Help, Verb::Help];
        VERBS.get(position("start restart run stop status help --help -h", word)?).copied()
    }

    fn starts(self) -> bool {
        matches!(self, Self::Start | Self::Restart | Self::Run)
    }

    /// Whether this verb knows the option.
    fn takes(self, option: usize) -> bool {
        match self {
            Self::Start | Self::Restart | Self::Run => option != SIGNAL && option != KILL,
            Self::Stop => option <= KILL,
            Self::Status => option == PIDFILE,
            Self::Help => false,
        }
    }
}

/// A list in a fixed place.
pub(crate) struct List<T, const N: usize> {
    items: [T; N],
    length: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// The list with that many items.
    fn new(filler: T, length: usize) -> Self {
        Self { items: [filler; N], length }
    }

    /// `None` if it is full.
    fn push(&mut self, item: T) -> Option<()> {
        *self.items.get_mut(self.length)? = item;
        self.length += 1;
        Some(())
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.items.get(..self.length).unwrap_or_default()
    }
}

pub(crate) struct Call<'a> {
    pub(crate) verb: Verb,
    pub(crate) pid_file: &'a CStr,
    pub(crate) signal: Signal,
    pub(crate) kill: bool,
    /// The command and its arguments, and `None` at the end; empty if there is no command.
    pub(crate) command: &'a [Option<ThinCStr<'a>>],
    pub(crate) ready_fd: Option<RawFd>,
    /// The steps, but for what stands above and below.
    pub(crate) plan: Plan<'a, 'a>,
    /// The gid, and the further groups.
    pub(crate) gids: List<Gid, 33>,
    pub(crate) env: List<&'a CStr, 64>,
    /// What COMMAND is to have open: the descriptor of `--ready-fd`, or if there is none standard input, and the others.
    pub(crate) keep: List<BorrowedFd<'a>, 33>,
}

pub(crate) fn help() -> i32 {
    print(STDOUT, HELP.as_bytes());
    DONE
}

/// Says what is wrong with the command line, with the exit status for it.
fn wrong(line: &mut Line, what: &str, word: &[u8]) -> i32 {
    line.error(what).shown(word).err();
    USAGE
}

impl<'a> Call<'a> {
    pub(crate) fn new() -> Self {
        Self {
            verb: Verb::Help,
            plan: Plan::new(Steps::DAEMON.difference(Steps::READY) | Steps::PID_FILE | Steps::CLOSE_FDS),
            pid_file: c"daemon.pid",
            gids: List::new(Gid::ROOT, 0),
            env: List::new(c"", 0),
            keep: List::new(STDIN, 1),
            ready_fd: None,
            signal: Signal::TERM,
            kill: false,
            command: &[],
        }
    }

    /// Fills in what the command line says; the exit status if there is something wrong with it.
    pub(crate) fn parse(&mut self, argv: &'a [Option<ThinCStr<'a>>], line: &mut Line) -> Result<(), i32> {
        let mut words = argv.get(1..).unwrap_or_default();
        let verb = next(&mut words).unwrap_or_default().to_bytes();
        let Some(verb) = Verb::from_bytes(verb) else {
            wrong(line, "no such verb: ", verb);
            print(STDERR, HELP.as_bytes());
            return Err(USAGE);
        };
        self.verb = verb;
        if verb == Verb::Run {
            self.plan.steps.remove(Steps::DETACH);
            self.plan.stdio = [Stdio::Keep; 3];
        }
        while let Some(word) = next(&mut words) {
            let bytes = word.to_bytes();
            if bytes == b"--" && verb.starts() {
                self.command = words;
                break;
            }
            // `--option=value`, or `--option` alone.
            let name = before(bytes, b'=');
            let attached = word.to_bytes_with_nul().get(name.len() + 1..).unwrap_or_default();
            let attached = CStr::from_bytes_until_nul(attached).ok();
            if position("--help -h", name).is_some() {
                self.verb = Verb::Help;
                return Ok(());
            }
            if verb.starts() && !name.starts_with(b"-") {
                return Err(wrong(line, "a COMMAND is told by a -- before it: ", bytes));
            }
            let mut rows = parts(HELP.as_bytes(), b'\n').enumerate();
            let Some((option, row)) = rows.find(|(option, row)| before(row, b' ') == name && verb.takes(*option)) else {
                return Err(wrong(line, "no such option here: ", bytes));
            };
            if option == KILL && attached.is_none() {
                self.kill = true;
                continue;
            }
            let Some(value) = attached.or_else(|| next(&mut words)) else {
                return Err(wrong(line, "nothing comes after ", bytes));
            };
            if self.set(option, value).is_none() {
                line.error("wrong: ").shown(value.to_bytes()).text("; wanted: ").bytes(row).err();
                return Err(USAGE);
            }
        }
        if let ([None], _) | ([], Some(_)) = (self.command, self.ready_fd) {
            return Err(wrong(line, "COMMAND is missing", b""));
        }
        if let Some(ready) = self.ready_fd {
            if self.kept().iter().any(|fd| fd.as_raw_fd() == ready) {
                return Err(wrong(line, "--keep-fd and --ready-fd are the same", b""));
            }
            self.keep.items[0] = borrow(ready);
        }
        Ok(())
    }

    // By itself it is smaller.
    #[inline(never)]
    fn set(&mut self, option: usize, value: &'a CStr) -> Option<()> {
        let text = value.to_bytes();
        let plan = &mut self.plan;
        match option {
            PIDFILE => self.pid_file = value,
            TIMEOUT => plan.timeout = Some(Duration::from_secs(number(text, 10)?.into())),
            SIGNAL => self.signal = signal(text)?,
            CHDIR => plan.directory = value,
            CHROOT => {
                plan.root = value;
                plan.steps |= Steps::CHROOT;
            }
            UMASK => plan.umask = Mode::from_raw_mode(number(text, 8).filter(|mode| *mode <= 0o777)?),
            USER => self.set_user(text)?,
            STDIN_FILE..=STDERR_FILE => {
                *plan.stdio.get_mut(option - STDIN_FILE)? = Stdio::File(value, Mode::from_raw_mode(0o644));
            }
            ENV if !text.is_empty() && !holds(text, b'=') => {
                plan.steps |= Steps::FILTER_ENV;
                self.env.push(value)?;
            }
            KEEP_FD => self.keep.push(borrow(descriptor(text)?))?,
            READY_FD => self.ready_fd = Some(descriptor(text).filter(|fd| *fd > 2)?),
            _ => return None,
        }
        Some(())
    }

    /// What COMMAND is to have open.
    pub(crate) fn kept(&self) -> &[BorrowedFd<'a>] {
        self.keep.as_slice()
    }

    /// `UID[:GID[,GID...]]`.
    fn set_user(&mut self, text: &[u8]) -> Option<()> {
        let user = before(text, b':');
        let uid = id(user).filter(|uid| *uid != 0)?;
        self.gids.length = 0;
        for gid in parts(text.get(user.len() + 1..).unwrap_or(user), b',') {
            self.gids.push(Gid::from_raw(id(gid)?))?;
        }
        self.plan.ids.uid = Uid::from_raw(uid);
        self.plan.steps |= Steps::DROP_PRIVILEGES;
        Some(())
    }
}

/// The next word of an argument list.
fn next<'a>(words: &mut &'a [Option<ThinCStr<'a>>]) -> Option<&'a CStr> {
    let [Some(word), rest @ ..] = words else { return None };
    *words = rest;
    Some(word.as_c_str())
}

/// Which of the `words` it is.
fn position(words: &str, word: &[u8]) -> Option<usize> {
    parts(words.as_bytes(), b' ').position(|known| known == word)
}

/// The descriptor of a number that the user says this program has inherited, or that this program owns.
pub(crate) fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // The mask tells the compiler that it is not negative: without it a panic path would stay.
    // SAFETY: whether an inherited one is open is asked before it is used; what is owned is open.
    #[allow(unsafe_code)]
    unsafe {
        BorrowedFd::borrow_raw(fd & RawFd::MAX)
    }
}

pub(crate) fn number(digits: &[u8], base: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let mut number = 0_u32;
    for &byte in digits {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        if digit >= base {
            return None;
        }
        number = number.checked_mul(base)?.checked_add(digit)?;
    }
    Some(number)
}

fn descriptor(text: &[u8]) -> Option<RawFd> {
    number(text, 10)?.try_into().ok()
}

/// An id; all ones is the kernel's "leave it as it is".
fn id(text: &[u8]) -> Option<u32> {
    number(text, 10).filter(|id| *id != u32::MAX)
}

/// `TERM`, `SIGTERM` or `15`.
fn signal(text: &[u8]) -> Option<Signal> {
    const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP \
        TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
    let name = text.strip_prefix(b"SIG").unwrap_or(text);
    let number = match position(NAMES, name) {
        Some(before) => before as u32 + 1,
        None => number(text, 10)?,
    };
    Signal::from_named_raw(number as i32)
}
