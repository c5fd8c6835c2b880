//! `close_except` against a set of numbers, by each of its ways.

#![no_main]

use arbitrary::Arbitrary;
use daemon_steps::{close_except, close_from};
use libfuzzer_sys::fuzz_target;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::io::Errno;
use std::cell::LazyCell;
use std::collections::BTreeSet;
use world::{Room, fork, hostile, number};

/// No descriptor that is opened here has a higher number.
const MOST: RawFd = 1024;

#[derive(Arbitrary, Debug)]
struct Input {
    way: Way,
    open: Vec<Place>,
    first: First,
    keep: Option<Vec<Keep>>,
    /// Set after the descriptors are open: the soft limit, and how far the hard one is above it.
    limits: Option<(u16, u16)>,
}

/// What the kernel denies.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Way {
    Nothing,
    Range,
    RangeByFilter,
    RangeAndOpen,
    RangeAndClose,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Low(u8),
    High(u16),
    Row(u8, u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum First {
    Low(u8),
    Any(i32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Keep {
    Low(u8),
    High(u16),
    Any(u32),
}

#[derive(Clone, Copy)]
struct Told {
    result: i32,
    open: [bool; MOST as usize],
}

thread_local! {
    static ROOM: LazyCell<Room<Told>> = const { LazyCell::new(Room::new) };
}

fuzz_target!(|input: Input| {
    let (told, status) = ROOM.with(|room| {
        let child = fork(room, |room| {
            let told = room.tell();
            prepare(&input);
            told.result = number(match keep(&input) {
                // SAFETY: nothing in this child has a descriptor of its own.
                Some(keep) => unsafe { close_except(first(&input), keep) },
                // SAFETY: the same.
                None => unsafe { close_from(first(&input)) },
            });
            for (fd, open) in told.open.iter_mut().enumerate() {
                // SAFETY: a number; whether it is open is the question.
                *open = unsafe { libc::fcntl(fd as RawFd, libc::F_GETFD) } >= 0;
            }
        });
        child.ends()
    });
    assert_eq!(status.exit_status(), Some(0), "the child's end");
    compare(&input, &told);
});

fn opened(input: &Input) -> BTreeSet<RawFd> {
    let mut all = BTreeSet::new();
    for place in &input.open {
        match *place {
            Place::Low(fd) => all.extend([RawFd::from(fd)]),
            Place::High(fd) => all.extend([RawFd::from(fd) % MOST]),
            Place::Row(from, many) => all.extend((from.into()..RawFd::from(from) + RawFd::from(many)).take(MOST as usize)),
        }
    }
    all
}

fn first(input: &Input) -> RawFd {
    match input.first {
        First::Low(fd) => fd.into(),
        First::Any(fd) => fd,
    }
}

fn keep(input: &Input) -> Option<impl Iterator<Item = BorrowedFd<'_>> + Clone> {
    Some(input.keep.as_ref()?.iter().map(|keep| {
        let fd = match *keep {
            Keep::Low(fd) => fd.into(),
            Keep::High(fd) => RawFd::from(fd) % MOST,
            Keep::Any(fd) => (fd >> 1) as RawFd,
        };
        // SAFETY: it is only compared; that one is not open is part of the input.
        unsafe { BorrowedFd::borrow_raw(fd) }
    }))
}

/// In the child: opens what is to be open, and nothing else.
fn prepare(input: &Input) {
    let all = opened(input);
    // SAFETY: this child has none of its own; the fuzzer's stay open in the fuzzer.
    unsafe { libc::close_range(0, u32::MAX, 0) };
    // SAFETY: a C string.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    for fd in &all {
        // SAFETY: nothing of this child's own is there.
        unsafe { libc::dup2(null, *fd) };
    }
    if !all.contains(&null) {
        // SAFETY: it is this function's.
        unsafe { libc::close(null) };
    }
    if let Some((soft, above)) = input.limits {
        let limit = libc::rlimit { rlim_cur: soft.into(), rlim_max: u64::from(soft) + u64::from(above) };
        // SAFETY: the kernel reads one `rlimit`.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    }
    match input.way {
        Way::Nothing => {}
        Way::Range => hostile::deny(&[(libc::SYS_close_range, Errno::NOSYS)]),
        Way::RangeByFilter => hostile::deny(&[(libc::SYS_close_range, Errno::PERM)]),
        Way::RangeAndOpen => hostile::deny(&[(libc::SYS_close_range, Errno::NOSYS), (libc::SYS_openat, Errno::NOENT)]),
        Way::RangeAndClose => hostile::deny(&[(libc::SYS_close_range, Errno::NOSYS), (libc::SYS_close, Errno::PERM)]),
    }
}

fn compare(input: &Input, told: &Told) {
    let was_open = opened(input);
    let kept: BTreeSet<RawFd> = keep(input).into_iter().flatten().map(|fd| std::os::fd::AsRawFd::as_raw_fd(&fd)).collect();
    let stays = |fd: &RawFd| *fd < first(input) || kept.contains(fd);
    let is_open: BTreeSet<RawFd> = (0..MOST).filter(|fd| told.open[*fd as usize]).collect();
    let (soft, hard) =
        input.limits.map_or((RawFd::MAX, RawFd::MAX), |(soft, above)| (soft.into(), RawFd::from(soft) + RawFd::from(above)));

    // What close_except opens for itself it could not close where that is denied.
    assert!(input.way == Way::RangeAndClose || is_open.is_subset(&was_open), "opened: {is_open:?}");
    assert!(was_open.iter().filter(|fd| stays(fd)).all(|fd| is_open.contains(fd)), "what was to stay is closed: {is_open:?}");
    let left: Vec<_> = is_open.intersection(&was_open).filter(|fd| !stays(fd)).collect();
    match input.way {
        Way::RangeAndClose if told.result != 0 => {
            assert_eq!(told.result, Errno::PERM.raw_os_error());
            assert!(!left.is_empty(), "an error, and all is closed");
        }
        // A filter that is gone around by what is listed in /proc, if there is a number free to open that: above the
        // hard limit nobody looks else.
        Way::Nothing => assert_eq!((told.result, left.as_slice()), (0, &[][..])),
        Way::Range | Way::RangeByFilter if (0..soft.min(MOST)).any(|fd| !was_open.contains(&fd)) => {
            assert_eq!((told.result, left.as_slice()), (0, &[][..]));
        }
        _ => {
            assert_eq!(told.result, 0);
            assert!(left.iter().all(|fd| **fd >= hard), "left below the limit of {hard}: {left:?}");
        }
    }
}
