//! Terminals, for fixtures that have one.

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::CString;

/// A new terminal: its master, and the name of its other side.
pub fn pty() -> (OwnedFd, CString) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
    grantpt(&master).expect("grantpt");
    unlockpt(&master).expect("unlockpt");
    let name = ptsname(&master, Vec::new()).expect("ptsname");
    (master, name)
}

/// A new terminal, both sides open; it is nobody's controlling terminal.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let (master, name) = pty();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    (master, openat(CWD, &*name, flags, Mode::empty()).expect("the terminal"))
}
