//! A small PID 1, for an initramfs and for a container: `init [WORD...] [/PROGRAM [ARG...]]`.
//!
//! The program is what runs at the console, `/bin/sh` if none is given. It begins at the first argument with a
//! slash in front, because the kernel passes on the words of its command line that it does not know.
//!
//! * `/proc`, `/dev` and `/sys` are mounted unless something is. 0, 1 and 2 are filled.
//! * Two daemons are started, and the program at the console, which has a session and the terminal; a second after
//!   it has ended it is started again.
//! * Everything is reaped.
//! * `SIGTERM` and `SIGPWR` power off, `SIGINT` (Ctrl-Alt-Del) reboots. The program at the console gets the same signal,
//!   and if it has a terminal SIGHUP; then all get `SIGTERM`, and after five seconds who is left `SIGKILL`. In a container the kernel ends init instead, by `SIGINT` for "off" and `SIGHUP` for "again", which
//!   whoever started it can see. If that is denied, init exits with 0.
//!
//! A step that fails is told on standard error, and init goes on.

#![no_std]
#![no_main]

use core::ffi::{CStr, c_long};
use core::time::Duration;
use daemon_steps::{
    EnvBlock, Fork, SignalSet, Stream, ThinCStr, chdir, close_except, dup3, execve, exit, fill_stdio, fork_unchecked, openat,
    reap, reset_signals, set_signal_mask, setsid, stdio_fd, stdio_null, tiocnotty, tiocsctty, umask, wait_signal,
};
use nolibc::borrow;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use rustix::fs::{CWD, Mode, OFlags, fstat, makedev, mkdirat, stat, sync};
use rustix::io::{Errno, IoSlice, read, writev};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, wait};
use rustix::system::{RebootCommand, reboot, sysinfo};
use rustix::termios::isatty;

nolibc::program!(main);

const FILE_SYSTEMS: [(&CStr, &CStr, MountFlags); 3] = [
    (c"/proc", c"proc", MountFlags::NOSUID.union(MountFlags::NOEXEC)),
    (c"/dev", c"devtmpfs", MountFlags::NOSUID),
    (c"/sys", c"sysfs", MountFlags::NOSUID.union(MountFlags::NOEXEC)),
];

/// The daemons. The first stays in the foreground, and is init's child; the second detaches itself.
const DAEMONS: [&[&CStr]; 2] =
    [&[c"/bin/daemon", c"run", c"--pidfile", c"/run/daemon.pid"], &[c"/bin/minimal", c"/run/minimal.pid"]];

/// How long all have to end after `SIGTERM`, and again after `SIGKILL`.
const SECONDS: c_long = 5;

const SECOND: Duration = Duration::from_secs(1);

// SAFETY: it is filled at the start, and stays open.
const STDIN: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(0) };

// SAFETY: it is filled at the start, and stays open; before that it is written to, which does no harm.
const STDERR: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(2) };

/// Where a daemon's process tells what is wrong until it executes its program.
// SAFETY: used by such a process only, which opens it first.
const CONSOLE: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(3) };

type Arguments<'a> = &'a [Option<ThinCStr<'a>>];

fn main(argv: &[Option<ThinCStr<'static>>], env: &EnvBlock<'static>) -> i32 {
    // To anybody else "kill all" means much more.
    if getpid() != Pid::INIT {
        say("this is not PID 1");
        return 1;
    }
    settle();
    for daemon in DAEMONS {
        start_daemon(daemon, env);
    }
    let told = keep_console(command(argv), env);
    end_all();
    let how = if told == Signal::INT { RebootCommand::Restart } else { RebootCommand::PowerOff };
    say(if how == RebootCommand::PowerOff { "power off" } else { "reboot" });
    sync();
    // It returns in a container that may not do it.
    let _ = reboot(how);
    0
}

/// Makes itself at home. No descriptor is opened before 0, 1 and 2 are there.
fn settle() {
    // A fault that is blocked would be the end all the same; a default disposition ends PID 1 by nothing else.
    attempt("block signals", set_signal_mask(SignalSet::ALL_BUT_FAULTS));
    // An ignored SIGCHLD would leave nobody to reap.
    attempt("reset signals", reset_signals());
    for (directory, kind, flags) in FILE_SYSTEMS {
        if let Err(errno) = mount_on(directory, kind, flags) {
            complain(STDERR, "mount ", directory, errno);
        }
    }
    let _ = mkdirat(CWD, c"/run", Mode::from_raw_mode(0o755));
    attempt("fill descriptors 0, 1 and 2", fill_console());
    // Whoever starts a container may have given its terminal to init's session, where the console's could not have it.
    attempt("give up the terminal", tiocnotty());
    attempt("set the umask", umask(Mode::from_raw_mode(0o022)));
    attempt("change the directory", chdir(c"/"));
    // So that Ctrl-Alt-Del is a SIGINT. A container has no keyboard, and is told so.
    let _ = reboot(RebootCommand::CadOff);
}

/// Mounts a file system, unless there is one. Who may not mount lives with what there is.
fn mount_on(directory: &CStr, kind: &CStr, flags: MountFlags) -> Result<(), Errno> {
    // Where it cannot be made it is there, or mount(2) says what is wrong.
    let _ = mkdirat(CWD, directory, Mode::from_raw_mode(0o755));
    // Something else would be hidden: a container's own devices, or, below a host's directories, the host's processes.
    if stat(directory)?.st_dev != stat(c"/")?.st_dev {
        return Ok(());
    }
    match mount(kind, directory, kind, flags, None) {
        Err(Errno::BUSY | Errno::PERM) => Ok(()),
        done => done,
    }
}

/// What of 0, 1 and 2 is missing becomes the console, which the kernel has not found as long as `/dev` was empty;
/// where there is none, `/dev/null`.
fn fill_console() -> Result<(), Errno> {
    while let Ok(console) = openat(CWD, c"/dev/console", OFlags::RDWR, Mode::empty()) {
        if console.as_raw_fd() > 2 {
            break;
        }
        let _ = console.into_raw_fd();
    }
    fill_stdio()
}

/// The program for the console, with its arguments.
fn command<'a>(argv: Arguments<'a>) -> Arguments<'a> {
    let is_path = |word: &Option<ThinCStr<'_>>| word.is_some_and(|word| word.as_c_str().to_bytes().first() == Some(&b'/'));
    let given = argv.get(1..).unwrap_or_default();
    given.iter().position(is_path).and_then(|first| given.get(first..)).unwrap_or_default()
}

/// Starts a daemon, which stays init's child: in a session of its own, without a terminal, with nothing of init's state.
fn start_daemon(words: &[&CStr], env: &EnvBlock<'_>) {
    let mut argv = [None; 8];
    argv.iter_mut().zip(words).for_each(|(argument, word)| *argument = Some(ThinCStr::from(*word)));
    if new_process() == Some(Fork::Child) {
        become_daemon(&argv, env);
        exit(127);
    }
}

/// Not `fork`, which asks whether there is a second thread: a container may deny that, and have no `/proc`.
fn new_process() -> Option<Fork> {
    // SAFETY: nothing here starts a thread.
    let forked = unsafe { fork_unchecked() };
    attempt("fork", forked)
}

fn become_daemon(argv: Arguments<'_>, env: &EnvBlock<'_>) -> Option<()> {
    attempt("create a session", setsid())?;
    // For the word that the program could not be executed.
    // SAFETY: nobody owns that number: what init was given from 3 on it has no use for.
    attempt("keep the console", unsafe { dup3(STDERR, CONSOLE.as_raw_fd(), true) })?;
    attempt("redirect to /dev/null", stdio_null())?;
    // SAFETY: as above.
    attempt("close descriptors", unsafe { close_except(CONSOLE.as_raw_fd(), [CONSOLE]) })?;
    run(CONSOLE, argv, env)
}

/// Starts the program for the console, after a delay; the process, if there is one.
fn start_console(delay: Duration, argv: Arguments<'_>, env: &EnvBlock<'_>) -> Option<Pid> {
    match new_process()? {
        Fork::Parent(child) => Some(child),
        Fork::Child => {
            // In here, so that init never waits. Who is to end meanwhile ends.
            if wait_signal(Signal::TERM.into(), Some(delay)) == Ok(None) {
                become_console(argv, env);
            }
            exit(127);
        }
    }
}

fn become_console(argv: Arguments<'_>, env: &EnvBlock<'_>) -> Option<()> {
    attempt("create a session", setsid())?;
    attempt("open the terminal", open_terminal());
    match tiocsctty(STDIN) {
        // Not every container has a terminal.
        Err(Errno::NOTTY) => {}
        // Without it there is no job control, but a shell.
        taken => drop(attempt("take the terminal", taken)),
    }
    let shell = [Some(ThinCStr::from(c"/bin/sh")), None];
    run(STDERR, if argv.is_empty() { &shell } else { argv }, env)
}

/// Puts the terminal that `/dev/console` stands for in its place: it has a name, and when the session ends the kernel takes it
/// from whoever is left of it, which it does not do with the console.
fn open_terminal() -> Result<(), Errno> {
    if fstat(STDIN)?.st_rdev != makedev(5, 1) {
        return Ok(());
    }
    let open = |directory, name: &CStr, flags| openat(directory, name, flags | OFlags::CLOEXEC, Mode::empty());
    let consoles = open(CWD, c"/sys/class/tty/console/active", OFlags::RDONLY)?;
    let mut names = [0; 128];
    read(borrow(&consoles), &mut names)?;
    // "tty0 ttyS0" and a newline: the last is the one.
    let mut start = 0;
    for (at, byte) in names.iter_mut().enumerate() {
        match *byte {
            b' ' => start = at + 1,
            b'\n' => *byte = 0,
            _ => {}
        }
    }
    let name = CStr::from_bytes_until_nul(names.get(start..).unwrap_or_default()).unwrap_or_default();
    let terminal = open(borrow(&open(CWD, c"/dev", OFlags::PATH)?), name, OFlags::RDWR)?;
    [Stream::Stdin, Stream::Stdout, Stream::Stderr].into_iter().try_for_each(|stream| stdio_fd(stream, borrow(&terminal)))
}

/// Executes a program, with nothing of what init does with signals; returns only if that fails.
fn run(console: BorrowedFd<'_>, argv: Arguments<'_>, env: &EnvBlock<'_>) -> Option<()> {
    attempt("unblock signals", set_signal_mask(SignalSet::EMPTY))?;
    let path = argv.first().copied()??.as_c_str();
    complain(console, "execute ", path, execve(path, argv, env));
    None
}

/// Keeps the console's program running, and reaps, until a signal says to end, and how; which is forwarded.
fn keep_console(argv: Arguments<'_>, env: &EnvBlock<'_>) -> Signal {
    let signals = SignalSet::from_iter([Signal::CHILD, Signal::TERM, Signal::POWER, Signal::INT]);
    let mut console = start_console(Duration::ZERO, argv, env);
    let told = loop {
        // Where no process could be made another attempt follows.
        let limit = if console.is_none() { Some(SECOND) } else { None };
        match wait_signal(signals, limit).map(|signal| signal.and_then(Signal::from_named_raw)) {
            Ok(Some(told @ (Signal::TERM | Signal::POWER | Signal::INT))) => break told,
            Ok(_) => {}
            Err(errno) => {
                complain(STDERR, "wait for a signal", c"", errno);
                let _ = poll(&mut [], Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
            }
        }
        // One SIGCHLD stands for many.
        attempt("reap", reap(|pid, _| console = console.filter(|console| *console != pid)));
        if console.is_none() {
            console = start_console(SECOND, argv, env);
        }
    };
    if let Some(console) = console {
        let _ = kill_process_group(console, told);
        // An interactive shell ignores that, but not that its terminal goes away.
        if isatty(STDIN) {
            let _ = kill_process_group(console, Signal::HUP);
        }
    }
    told
}

/// Ends all other processes.
fn end_all() {
    say("stopping");
    for signal in [Signal::TERM, Signal::KILL] {
        // As a group's number 1 stands for all processes but init: kill(-1). Who is stopped must go on to end.
        let _ = kill_process_group(Pid::INIT, signal);
        let _ = kill_process_group(Pid::INIT, Signal::CONT);
        if all_have_ended() {
            return;
        }
        say("some do not end");
    }
}

/// Reaps until there is no child, for a limited time. As orphans become init's children, then there is no process.
fn all_have_ended() -> bool {
    let end = sysinfo().uptime + SECONDS;
    loop {
        match wait(WaitOptions::NOHANG) {
            Err(Errno::CHILD) => return true,
            Ok(None) if sysinfo().uptime > end => return false,
            Ok(None) => drop(wait_signal(Signal::CHILD.into(), Some(SECOND))),
            _ => {}
        }
    }
}

/// Tells what has failed; the result, if there is one.
fn attempt<T>(what: &str, result: Result<T, Errno>) -> Option<T> {
    result.inspect_err(|errno| complain(STDERR, what, c"", *errno)).ok()
}

fn complain(to: BorrowedFd<'_>, what: &str, which: &CStr, errno: Errno) {
    let mut digits = [b'0'; 4];
    let mut left = errno.raw_os_error().unsigned_abs();
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
        first -= 1;
        if left == 0 {
            break;
        }
    }
    tell(to, [b"cannot ", what.as_bytes(), which.to_bytes(), b": error ", digits.get(first..).unwrap_or_default()]);
}

/// Tells what init does.
fn say(what: &str) {
    tell(STDERR, [what.as_bytes(), b"", b"", b"", b""]);
}

/// Writes a line, unless that would block: a console that somebody has stopped (Ctrl-S) must not stop init.
fn tell(to: BorrowedFd<'_>, [a, b, c, d, e]: [&[u8]; 5]) {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&now)) == Ok(1) {
        let _ = writev(to, &[b"init: ", a, b, c, d, e, b"\n"].map(IoSlice::new));
    }
}
