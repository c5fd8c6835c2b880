//! The steps, and their arguments.

use arbitrary::Arbitrary;

#[derive(Arbitrary, Debug)]
pub struct Input {
    /// What the child begins with.
    pub ignored: u64,
    pub caught: u64,
    pub steps: Vec<Step>,
}

/// A step, or something that happens to the process between two.
#[derive(Arbitrary, Clone, Debug)]
pub enum Step {
    Umask(u16),
    Chdir(Path),
    Fchdir(Fd),
    Chroot(Path),
    Setsid,
    Tiocnotty,
    Fork,
    FillStdio,
    StdioNull,
    StdioFile(u8, Path, u16),
    StdioFd(u8, Fd),
    Dup3(Fd, Fd, bool),
    Open(Path, bool),
    CloseExcept(i8, Vec<Fd>),
    ResetSignals,
    Ignore(u8),
    ReapByKernel,
    Block(Signals),
    Unblock(Signals),
    SetMask(Signals),
    Raise(u8),
    WaitSignal(Signals),
    Reap(Vec<u8>),
    Subreaper(bool),
    NoNewPrivs,
    Setgroups(Vec<Id>),
    Setresgid(Id),
    Setresuid(Id),
    DropPrivileges(Id, Id, Vec<Id>),
    Detach(Box<Plan>),
}

/// The steps of `daemonize`, and what it is given for them.
#[derive(Arbitrary, Clone, Debug)]
pub struct Plan {
    pub steps: u32,
    pub umask: u16,
    pub stdio: [Stdio; 3],
    pub keep: Vec<Fd>,
    pub root: Path,
    pub directory: Path,
    pub ids: (Id, Id, Vec<Id>),
    pub mask: Signals,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Stdio {
    Null,
    File(Path, u16),
    Fd(Fd),
    Keep,
}

/// A descriptor: few, so that they meet.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Fd {
    Low(u8),
    Any(u8),
}

impl Fd {
    pub fn number(self) -> i32 {
        match self {
            Self::Low(fd) => (fd % 8).into(),
            Self::Any(fd) => fd.into(),
        }
    }
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Path {
    pub absolute: bool,
    pub parts: Vec<Part>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Part {
    A,
    B,
    Dot,
    Up,
    File,
    New,
    Private,
    DevNull,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Signals {
    Any(u64),
    One(u8),
    All,
}

impl Signals {
    pub fn bits(self) -> u64 {
        match self {
            Self::Any(bits) => bits,
            Self::One(number) => bit(signal(number)),
            Self::All => !0,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Id {
    Root,
    Daemon,
    Somebody,
    Nobody,
}

impl Id {
    pub fn number(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::Daemon => 1,
            Self::Somebody => 1000,
            Self::Nobody => 65534,
        }
    }
}

/// From 1 to 64.
pub fn signal(number: u8) -> i32 {
    i32::from(number % 64) + 1
}

pub fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
