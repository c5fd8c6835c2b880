//! Runs a program, and hears what it says.

use crate::text::Text;
use core::ffi::CStr;
use core::time::Duration;
use daemon_steps::{EnvBlock, Fork, SignalSet, ThinCStr, block_signals, chdir, execve, exit, fork, ignore_signal, umask};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::io::{Result, close, dup, read, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use rustix::thread::nanosleep;

pub(crate) struct Done {
    /// The exit status; nothing if a signal has ended it, or if it could not be run.
    pub(crate) status: Option<i32>,
    pub(crate) out: Text<2048>,
    pub(crate) err: Text<2048>,
    /// Whether it has left its output open: to a daemon.
    pub(crate) left_open: bool,
}

impl core::fmt::Display for Done {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "status {:?} out '{}' err '{}' left_open {}", self.status, self.out, self.err, self.left_open)
    }
}

/// Which descriptors a program inherits.
#[derive(Clone, Copy)]
pub(crate) enum Inherit {
    /// 0, 1 and 2.
    Streams,
    /// 0, 1 and 2, and the pipe that is 1 once more.
    OutputTwice,
    /// 1 and 2.
    NoInput,
}

/// Runs the program at `words[0]` with these words, eleven at most, in surroundings that a daemon must not take over.
pub(crate) fn call(words: &[&CStr], inherit: Inherit, env: &EnvBlock<'_>) -> Done {
    let mut done = Done { status: None, out: Text::new(), err: Text::new(), left_open: false };
    if let Err(errno) = run(words, inherit, env, &mut done) {
        done.err = Text::of(format_args!("not run: {errno:?}"));
    }
    done
}

fn run(words: &[&CStr], inherit: Inherit, env: &EnvBlock<'_>, done: &mut Done) -> Result<()> {
    let (out, out_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (err, err_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let Fork::Parent(child) = fork()? else {
        match dup2_stdout(&out_end).and_then(|()| dup2_stderr(&err_end)).and_then(|()| surround(inherit, &out_end)) {
            Ok(()) => execute(words, env),
            Err(_) => exit(126),
        }
    };
    drop((out_end, err_end));
    done.status = wait(child)?;
    done.left_open = !(hear(&out, &mut done.out) & hear(&err, &mut done.err));
    Ok(())
}

/// Another directory and umask, signals blocked and ignored, the descriptors.
fn surround(inherit: Inherit, out: &OwnedFd) -> Result<()> {
    match inherit {
        Inherit::Streams => {}
        // It is to stay open when this process executes another program.
        Inherit::OutputTwice => core::mem::forget(dup(out)?),
        // SAFETY: nothing in this process has an `OwnedFd` of that number.
        #[allow(unsafe_code)]
        Inherit::NoInput => unsafe { close(0) },
    }
    chdir(c"/bin")?;
    umask(Mode::from_raw_mode(0o077))?;
    block_signals(SignalSet::from_iter([Signal::USR1, Signal::HUP, Signal::CHILD]))?;
    [Signal::PIPE, Signal::QUIT, Signal::USR2].into_iter().try_for_each(ignore_signal)
}

fn execute(words: &[&CStr], env: &EnvBlock<'_>) -> ! {
    let mut argv = [None; 12];
    // The last place stays empty.
    argv.iter_mut().take(11).zip(words).for_each(|(place, word)| *place = Some(ThinCStr::from(*word)));
    let _ = execve(words.first().copied().unwrap_or(c""), &argv, env);
    exit(127)
}

pub(crate) fn wait(child: Pid) -> Result<Option<i32>> {
    Ok(retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()))?.and_then(|(_, status)| status.exit_status()))
}

/// Reads what is there; whether that is all there will ever be.
fn hear(pipe: &OwnedFd, text: &mut Text<2048>) -> bool {
    let _ = fcntl_setfl(pipe.as_fd(), OFlags::NONBLOCK);
    text.fill(|rest| retry_on_intr(|| read(pipe, &mut *rest)))
}

/// Asks until the answer is yes, for five seconds at most; whether it came to be.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) -> bool {
    for _ in 0..500 {
        if is_so() {
            return true;
        }
        pause(Duration::from_millis(10));
    }
    is_so()
}

pub(crate) fn pause(time: Duration) {
    if let Ok(time) = time.try_into() {
        let _ = nanosleep(&time);
    }
}
