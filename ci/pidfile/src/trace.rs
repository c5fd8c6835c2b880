//! ptrace(2): a program, and all that it forks, halted at every system call, before and after it.

use crate::room;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::time::Instant;

/// Why a process has halted, or that it has ended.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Before a system call: its number, and its arguments.
    Entry(u64, [u64; 6]),
    /// After one: what it returns.
    Exit(i64),
    /// It has forked this one, which is traced too.
    Forked(Pid),
    /// It has executed a program.
    Executed,
    /// It is about to get this signal.
    Signal(i32),
    /// It was just forked, or something else that is of no interest.
    Other,
    /// It has ended; it may be one that is not traced.
    Ended(WaitStatus),
}

/// Where a traced program writes.
pub struct Streams {
    out: File,
    err: File,
}

impl Streams {
    /// In memory.
    pub fn new() -> Self {
        let file = || rustix::fs::memfd_create("stream", rustix::fs::MemfdFlags::CLOEXEC).expect("memory");
        Self { out: file().into(), err: file().into() }
    }

    /// What was written: output and errors.
    pub fn told(mut self) -> [String; 2] {
        [&mut self.out, &mut self.err].map(|file| {
            let mut text = String::new();
            file.rewind().expect("seek");
            file.read_to_string(&mut text).expect("text");
            text
        })
    }

    /// In a child: makes them its standard streams, with nothing to read.
    pub fn take(&self) {
        let null = File::open("/dev/null").expect("/dev/null");
        for (from, to) in [(&null, 0), (&self.out, 1), (&self.err, 2)] {
            // SAFETY: the descriptor to be replaced is a standard stream of a process that only executes a program.
            unsafe { libc::dup2(from.as_raw_fd(), to) };
        }
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

/// In a child: executes the program.
pub fn execute(argv: &[CString]) -> i32 {
    let mut pointers: Vec<_> = argv.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the array and what it points to live, and it ends with null.
    unsafe { libc::execv(pointers[0], pointers.as_ptr()) };
    127
}

/// In a child: waits for the other end of the pipe to be closed.
pub fn wait_for_end(pipe: &OwnedFd) {
    while rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut [0; 1][..])).is_ok_and(|length| length > 0) {}
}

/// Starts a program traced. It ends when the tracer ends. The first event is [`Event::Executed`].
pub fn start(argv: &[CString], streams: &Streams) -> Pid {
    let (pid, _release) = seize(|| {
        streams.take();
        execute(argv)
    });
    pid
}

/// Starts a process traced, which ends with the status that `body` returns. It ends when the tracer ends. The first
/// event is [`Event::Other`], before `body` begins.
pub fn follow(body: impl FnOnce() -> i32) -> Pid {
    let (pid, _release) = seize(body);
    ptrace(libc::PTRACE_INTERRUPT, pid, 0, 0).expect("it waits");
    pid
}

/// A traced process that waits until what is returned beside it is dropped.
fn seize(body: impl FnOnce() -> i32) -> (Pid, OwnedFd) {
    let (hold, release) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    // SAFETY: the descriptor is open, and is the child's own copy; this closure runs there alone.
    let close = |fd: BorrowedFd<'_>| unsafe { libc::close(fd.as_raw_fd()) };
    let pid = room::fork(|| {
        close(release.as_fd());
        wait_for_end(&hold);
        close(hold.as_fd());
        body()
    });
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SEIZE, pid, 0, options as usize).expect("ptrace");
    (pid, release)
}

/// Waits for the next event of any process.
pub fn next() -> (Pid, Event) {
    loop {
        if let Some(event) = next_unless(|| false) {
            return event;
        }
    }
}

/// The same, but not beyond that moment. Something has to interrupt the wait from time to time: a timer's signal.
pub fn next_until(moment: Instant) -> Option<(Pid, Event)> {
    next_unless(|| Instant::now() >= moment)
}

fn next_unless(over: impl Fn() -> bool) -> Option<(Pid, Event)> {
    let (pid, status) = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some(event)) => break event,
            Ok(None) | Err(Errno::INTR) if over() => return None,
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => panic!("wait: {errno}"),
        }
    };
    let raw = status.as_raw();
    if !libc::WIFSTOPPED(raw) {
        return Some((pid, Event::Ended(status)));
    }
    let event = match (libc::WSTOPSIG(raw), raw >> 16) {
        (0x85, _) => call(pid),
        (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => Event::Executed,
        (libc::SIGTRAP, libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE) => forked(pid),
        (_, libc::PTRACE_EVENT_STOP) => Event::Other,
        (signal, _) => Event::Signal(signal),
    };
    Some((pid, event))
}

fn forked(pid: Pid) -> Event {
    let mut message: libc::c_ulong = 0;
    // It may have been killed meanwhile, by another of the processes: then it tells nothing more.
    match ptrace(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message as usize) {
        Ok(_) => Pid::from_raw(message as i32).map_or(Event::Other, Event::Forked),
        Err(_) => Event::Other,
    }
}

fn call(pid: Pid) -> Event {
    // The kernel's structure: an operation, an architecture, two pointers, and at most eight words.
    let mut info = [0_u64; 16];
    if ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), info.as_mut_ptr() as usize).is_err() {
        return Event::Other;
    }
    let [operation, _, _, first, rest @ ..] = info;
    match operation as u8 {
        1 => Event::Entry(first, std::array::from_fn(|nth| rest[nth])),
        2 => Event::Exit(first as i64),
        _ => Event::Other,
    }
}

/// Before a system call: it is not made. What it returns is told after it, by [`answer`].
pub fn refuse(pid: Pid) {
    change(pid, |registers| registers.orig_rax = !0);
}

/// Before a system call: its third argument, which is the length of what is read or written, is this. A program may rely on
/// it afterwards, so after the call it must be what it was.
pub fn shorten(pid: Pid, length: u64) {
    change(pid, |registers| registers.rdx = length);
}

/// After a system call: it returns this.
pub fn answer(pid: Pid, value: i64) {
    change(pid, |registers| registers.rax = value as u64);
}

/// One that was killed meanwhile has no registers any more.
fn change(pid: Pid, how: impl FnOnce(&mut libc::user_regs_struct)) {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::uninit();
    if ptrace(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr() as usize).is_ok() {
        // SAFETY: the kernel has filled it.
        let mut registers = unsafe { registers.assume_init() };
        how(&mut registers);
        let _ = ptrace(libc::PTRACE_SETREGS, pid, 0, &raw mut registers as usize);
    }
}

/// Lets a halted process go on to its next event.
pub fn go_on(pid: Pid, event: Event) {
    let signal = if let Event::Signal(signal) = event { signal } else { 0 };
    // One that was killed meanwhile goes on by itself, to its end.
    let _ = ptrace(libc::PTRACE_SYSCALL, pid, 0, signal as usize);
}

/// Lets a halted process go on untraced.
pub fn let_go(pid: Pid) {
    let _ = ptrace(libc::PTRACE_DETACH, pid, 0, 0);
}

/// Kills a halted process there.
pub fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("it is there");
}

fn ptrace(request: libc::c_uint, pid: Pid, address: usize, data: usize) -> Result<libc::c_long, std::io::Error> {
    // SAFETY: the requests used here read numbers, or what `data` points to, or write there what the caller has room for.
    match unsafe { libc::ptrace(request, pid.as_raw_nonzero().get(), address, data) } {
        -1 => Err(std::io::Error::last_os_error()),
        done => Ok(done),
    }
}
