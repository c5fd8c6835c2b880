//! What is being tried, its limit in time, and what went wrong.

use std::fmt::Display;
use std::io::Write;
use std::sync::Mutex;

/// Nothing that is tried takes longer: what does hangs.
const LIMIT: libc::c_uint = 120;

/// Enough to see what is wrong.
const SHOWN: usize = 40;

static NOW: Mutex<String> = Mutex::new(String::new());

/// Counts what was tried, and what of it came out right.
#[derive(Default, Clone, Copy)]
pub struct Count {
    /// What was tried.
    pub tried: usize,
    /// What of it came out right.
    pub right: usize,
}

impl Count {
    /// Tries one thing, and names on standard error what is wrong with it.
    pub fn case(&mut self, name: impl Display, body: impl FnOnce() -> Result<(), String>) {
        begin(&name);
        self.tried += 1;
        match body() {
            Ok(()) => self.right += 1,
            Err(wrong) if self.tried - self.right <= SHOWN => eprintln!("wrong: {name}: {wrong}"),
            Err(_) => {}
        }
    }

    /// Whether something was tried, and all of it is right.
    pub fn all_right(self) -> bool {
        self.tried > 0 && self.right == self.tried
    }
}

/// Gives what follows this name, and its time.
pub fn begin(name: &impl Display) {
    *NOW.lock().expect("one thread") = name.to_string();
    // SAFETY: alarm(2) touches no memory.
    unsafe { libc::alarm(LIMIT) };
}

/// From here on what takes too long is named, and ends this process, and with it all that it has started.
pub fn watch() {
    extern "C" fn over(_: libc::c_int) {
        // A name that is just being changed is the wrong one anyway.
        if let Ok(name) = NOW.try_lock() {
            let _ = std::io::stderr().write_all(format!("wrong: {name}: it hangs\n").as_bytes());
        }
        daemon_steps::exit(1)
    }
    // SAFETY: the handler is for the one thread of a program that hangs in a system call, not in its allocator.
    unsafe { libc::signal(libc::SIGALRM, over as extern "C" fn(libc::c_int) as libc::sighandler_t) };
}

/// `wrong` unless it holds.
///
/// # Errors
///
/// What is wrong, in words.
pub fn must(holds: bool, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(wrong()) }
}
