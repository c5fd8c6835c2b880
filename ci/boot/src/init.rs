//! What init has made of the machine, and of the terminal for its child: this process.

use crate::call::until;
use crate::daemon::{NO_SIGNAL, Promise};
use crate::proc::{Process, all, contents};
use crate::text::{Teller, Text};
use rustix::fs::CWD;
use rustix::process::getpid;

/// The daemons that init starts, in the root directory.
const DAEMONS: [(&str, Promise<'_>); 2] = [
    ("init-daemon", Promise { pid_file: c"/run/daemon.pid", from: "/run", leads: true }),
    ("init-minimal", Promise { pid_file: c"/run/minimal.pid", from: "/", leads: false }),
];

pub(crate) fn facts(tell: &Teller<'_>) {
    mounts(tell);
    match Process::open(1) {
        Ok(init) => streams(tell, &init),
        Err(errno) => tell.fact("streams", false, format_args!("{errno:?}")),
    }
    for (about, promise) in DAEMONS {
        promise.facts(&Teller { about, ..*tell });
    }
    no_zombies(tell);
}

/// What init gives the program on the console.
pub(crate) fn console_facts(tell: &Teller<'_>) {
    match Process::open("self") {
        Ok(own) => console(tell, &own),
        Err(errno) => tell.fact("proc", false, format_args!("{errno:?}")),
    }
}

/// A session of its own with the terminal, in the foreground; nothing inherited but that.
fn console(tell: &Teller<'_>, own: &Process) {
    let pid = getpid().as_raw_nonzero();
    tell.is("ppid", 1, own.stat(4));
    tell.is("group", pid, own.stat(5));
    tell.is("session", pid, own.stat(6));
    tell.fact("terminal", !own.stat(7).is(0), own.stat(7));
    tell.is("foreground", pid, own.stat(8));
    tell.is("blocked", NO_SIGNAL, own.status("SigBlk"));
    tell.is("ignored", NO_SIGNAL, own.status("SigIgn"));
    tell.is("directory", "/", own.link(c"cwd"));
    let (mut seen, mut others) = (Text::<512>::new(), 0);
    // The directory that lists them is the one other.
    let read = own.descriptors(|fd, link| {
        others += usize::from(fd > 2 && !link.as_bytes().starts_with(b"/proc"));
        seen.push(Text::<300>::of(format_args!("{fd}={link} ")).as_bytes());
    });
    tell.fact("descriptors", (read, others) == (Ok(()), 0), seen);
    let devices = [0, 1, 2].map(|fd| own.device(fd));
    tell.fact("streams", devices[0].is_some() && devices == [devices[0]; 3], format_args!("{devices:?}"));
}

fn mounts(tell: &Teller<'_>) {
    let mounts = contents(CWD, c"/proc/mounts");
    for (name, wanted) in [("proc", " /proc proc "), ("sys", " /sys sysfs "), ("dev", " /dev devtmpfs ")] {
        let wanted = wanted.as_bytes();
        tell.fact(name, mounts.as_bytes().windows(wanted.len()).any(|part| part == wanted), mounts);
    }
}

fn streams(tell: &Teller<'_>, init: &Process) {
    let devices = [0, 1, 2].map(|fd| init.device(fd));
    tell.fact("streams", devices.iter().all(Option::is_some), format_args!("{devices:?}"));
}

/// Nothing that has ended waits for PID 1 to reap it.
pub(crate) fn no_zombies(tell: &Teller<'_>) {
    let mut seen = Text::<512>::new();
    let gone = until(|| {
        seen = Text::new();
        let read = all(|pid, process| {
            if process.stat(3).is("Z") && process.stat(4).is(1) {
                seen.push(Text::<16>::of(format_args!("{} ", pid.as_raw_nonzero())).as_bytes());
            }
        });
        read.is_ok() && seen.as_bytes().is_empty()
    });
    tell.fact("no-zombies", gone, seen);
}
