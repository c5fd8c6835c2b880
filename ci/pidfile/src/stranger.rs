//! A process that nobody has any business with.

use crate::{proc, room};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// It blocks all signals, so that one which was sent stays to be seen. Dropped, it is ended.
pub struct Stranger {
    /// Its number.
    pub pid: Pid,
}

impl Stranger {
    /// Starts one.
    pub fn start() -> Self {
        let pid = room::fork(|| {
            daemon_steps::block_signals(daemon_steps::SignalSet::ALL).expect("a mask");
            loop {
                // SAFETY: pause(2) touches no memory.
                unsafe { libc::pause() };
            }
        });
        Self { pid }
    }

    /// Starts one with just this number, which is free.
    ///
    /// # Errors
    ///
    /// Which number it has got instead.
    pub fn start_as(pid: Pid) -> Result<Self, String> {
        let number = pid.as_raw_nonzero().get();
        std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).expect("ns_last_pid");
        let stranger = Self::start();
        let got = stranger.pid;
        if got == pid { Ok(stranger) } else { Err(format!("the stranger is {got:?}, not {pid:?}")) }
    }

    /// Whether it lives, and no signal waits for it.
    pub fn is_unhurt(&self) -> bool {
        let status = proc::status(self.pid);
        let pending = status.lines().filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"));
        proc::is_alive(self.pid)
            && pending.clone().count() == 2
            && pending.clone().all(|line| line.ends_with("\t0000000000000000"))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}
