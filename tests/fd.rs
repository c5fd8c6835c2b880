//! Descriptors, seen in `/proc/PID/fd` and `/proc/PID/fdinfo`.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{close_except, close_from, dup3, fill_stdio};
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeSet;
use support::{
    HEAR, Running, TELL, channel, fixture, hostile, proc, root_test, tell, test, wait_byte, wait_release, weakened, word,
};

fn main() {
    support::main(
        &[
            ("fills", fills),
            ("fills_with_openat_denied", fills_with_openat_denied),
            ("fills_with_fcntl_denied", fills_with_fcntl_denied),
            ("fills_below_no_limit", fills_below_no_limit),
            ("fills_without_dev", fills_without_dev),
            ("closes", closes),
            ("closes_above_soft_limit", closes_above_soft_limit),
            ("closes_above_hard_limit", closes_above_hard_limit),
            ("closes_from", closes_from),
            ("keeps_what_is_no_descriptor", keeps_what_is_no_descriptor),
            ("keeps_the_largest_number", keeps_the_largest_number),
            ("full_table", full_table),
            ("many", many),
            ("close_denied", close_denied),
            ("close_fails_afterwards", close_fails_afterwards),
            ("model", model),
            ("duplicates", duplicates),
            ("marks", marks),
            ("duplicates_nowhere", duplicates_nowhere),
            ("dup3_denied", dup3_denied),
        ],
        vec![
            test("what_is_closed_of_0_1_2_becomes_dev_null_and_what_is_open_stays", what_is_closed_becomes_dev_null),
            test("nothing_is_opened_if_0_1_2_are_open", nothing_is_opened_if_0_1_2_are_open),
            test("what_cannot_be_filled_is_an_error_and_stays_closed", what_cannot_be_filled_stays_closed),
            root_test("a_missing_dev_null_matters_only_if_a_stream_is_closed", a_missing_dev_null),
            test("all_are_closed_if_none_is_kept", all_are_closed_if_none_is_kept),
            test("close_from_leaves_what_is_below", close_from_leaves_what_is_below),
            test("kept_are_those_named_in_any_order_twice_or_below_first", kept_in_any_order),
            test("neighbours_are_kept", neighbours_are_kept),
            test("first_and_the_last_possible_number_are_kept", first_and_last_are_kept),
            test("a_negative_first_counts_as_zero", a_negative_first_counts_as_zero),
            test("thousands_are_kept", thousands_are_kept),
            test("cwd_in_the_keep_list_is_no_descriptor", cwd_is_no_descriptor),
            test("the_largest_number_in_the_keep_list_ends_the_range", the_largest_number_ends_the_range),
            test("what_is_above_a_lowered_soft_limit_is_closed", above_a_lowered_soft_limit),
            test("what_is_above_a_lowered_hard_limit_is_closed_unless_proc_is_missing", above_a_lowered_hard_limit),
            test("a_full_table_is_closed", a_full_table_is_closed),
            test("a_hundred_thousand_are_closed", a_hundred_thousand_are_closed),
            test("a_denied_close_is_an_error_and_no_endless_loop", a_denied_close_is_an_error),
            test("an_error_of_close_after_it_has_closed_is_none", an_error_after_closing_is_none),
            test("random_sets_agree_with_the_model", random_sets_agree_with_the_model),
            root_test("random_sets_agree_with_the_model_without_proc", random_sets_without_proc),
            test("a_duplicate_replaces_what_was_there", a_duplicate_replaces),
            test("the_same_number_gets_or_loses_the_flag", the_same_number_gets_or_loses_the_flag),
            test("a_number_beyond_the_limit_is_an_error", a_number_beyond_the_limit_is_an_error),
            test("a_denied_dup3_is_an_error_and_leaves_what_was_there", a_denied_dup3_is_an_error),
        ],
    );
}

const RDWR: i32 = libc::O_RDWR;
const CLOEXEC: i32 = libc::O_CLOEXEC;

fn argument<T: std::str::FromStr>(n: usize) -> T {
    let argument = std::env::args().nth(n).unwrap_or_default();
    argument.parse().unwrap_or_else(|_| panic!("argument {n} is {argument:?}"))
}

fn list(n: usize) -> Vec<RawFd> {
    argument::<String>(n).split_terminator(',').map(|fd| fd.parse().expect("a number")).collect()
}

fn join(fds: &[RawFd]) -> String {
    fds.iter().map(RawFd::to_string).collect::<Vec<_>>().join(",")
}

fn open_fds(running: &Running) -> BTreeSet<RawFd> {
    proc::fds(running.pid()).into_keys().collect()
}

/// In a fixture: opens these, as duplicates of a descriptor of the channel that does no harm.
fn open_each(fds: impl IntoIterator<Item = RawFd>) {
    for fd in fds {
        // SAFETY: a fixture owns nothing but the channel, and `fd` is not of it.
        unsafe { dup3(channel()[1], fd, false) }.expect("dup3");
    }
}

/// In a fixture: closes one of the standard streams.
fn close_stream(fd: RawFd) {
    // SAFETY: the standard streams have no owner.
    assert_eq!(unsafe { libc::close(fd) }, 0);
}

/// In a fixture: makes descriptors of numbers.
fn borrow(fds: &[RawFd]) -> impl Iterator<Item = BorrowedFd<'static>> + Clone {
    // SAFETY: the fixture has opened them, and nothing closes one while it is kept.
    fds.iter().map(|fd| unsafe { BorrowedFd::borrow_raw(*fd) })
}

fn limit(soft: u64, hard: u64) {
    setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: Some(hard) }).expect("setrlimit");
}

fn hard_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

// fill_stdio

/// The fixture closes those of 0, 1 and 2 whose bits are set in its argument.
fn close_streams() {
    let closed: u32 = argument(1);
    (0..=2).filter(|fd| closed & 1 << fd != 0).for_each(close_stream);
}

fn fill() {
    close_streams();
    tell(word(fill_stdio()));
    wait_release();
}

fn fills() {
    fill();
}

fn fills_with_openat_denied() {
    hostile::deny(&[(libc::SYS_openat, Errno::NFILE)]);
    fill();
}

fn fills_with_fcntl_denied() {
    hostile::deny(&[(libc::SYS_fcntl, Errno::ACCESS)]);
    fill();
}

fn fills_below_no_limit() {
    limit(0, hard_limit());
    fill();
}

fn fills_without_dev() {
    hostile::cover(c"/dev");
    fill();
}

/// Runs a fixture that fills, with `/dev/zero` on all that it does not close, and looks at the three:
/// `zero`, `null` or `-`.
fn filled(name: &str, closed: u32) -> (String, [String; 3]) {
    let mut fixture = fixture(name).arg(closed.to_string());
    let zero = std::fs::File::options().read(true).write(true).open("/dev/zero").expect("/dev/zero");
    let zero = || zero.try_clone().expect("a duplicate");
    fixture.command.stdin(zero()).stdout(zero()).stderr(zero());
    let running = fixture.start();
    let word = running.hear();
    let fds = proc::fds(running.pid());
    let streams = [0, 1, 2].map(|fd| match fds.get(&fd) {
        None => "-".into(),
        Some(target) => {
            assert_eq!(proc::fd_flags(running.pid(), fd) & (libc::O_ACCMODE | CLOEXEC), RDWR);
            target.trim_start_matches("/dev/").into()
        }
    });
    (word, streams)
}

/// What `filled` sees when `there` stands on those that are closed beforehand.
fn streams(closed: u32, there: &str) -> [String; 3] {
    [0, 1, 2].map(|fd| if closed & 1 << fd == 0 { "zero" } else { there }.into())
}

fn what_is_closed_becomes_dev_null() {
    for closed in 0..8 {
        assert_eq!(filled("fills", closed), ("ok".into(), streams(closed, "null")), "{closed:03b} closed");
    }
}

fn nothing_is_opened_if_0_1_2_are_open() {
    assert_eq!(filled("fills_with_openat_denied", 0), ("ok".into(), streams(0, "-")));
}

fn what_cannot_be_filled_stays_closed() {
    for closed in 1..8 {
        for (name, errno) in [
            ("fills_with_openat_denied", Errno::NFILE),
            ("fills_with_fcntl_denied", Errno::ACCESS),
            ("fills_below_no_limit", Errno::MFILE),
        ] {
            assert_eq!(
                filled(name, closed),
                (errno.raw_os_error().to_string(), streams(closed, "-")),
                "{name}, {closed:03b} closed"
            );
        }
    }
}

fn a_missing_dev_null() {
    assert_eq!(filled("fills_without_dev", 0), ("ok".into(), streams(0, "-")));
    for closed in 1..8 {
        assert_eq!(filled("fills_without_dev", closed), ("2".into(), streams(closed, "-")), "{closed:03b} closed");
    }
}

// close_from, close_except

/// How a fixture is brought to close: each is what the kernel leaves it.
const WAYS: [&str; 6] = ["range", "enosys", "eperm", "eacces", "getdents", "loop"];

fn leave_way(way: &str) {
    // A loop over more takes too long.
    let hard = hard_limit().min(1 << 17);
    limit(getrlimit(Resource::Nofile).current.map_or(hard, |soft| soft.min(hard)), hard);
    let range = |errno| (libc::SYS_close_range, errno);
    let proc = (libc::SYS_openat, Errno::NOENT);
    match way {
        // Nothing else could close, or seem to.
        "range" => hostile::deny(&[proc, (libc::SYS_close, Errno::PERM), (libc::SYS_fcntl, Errno::PERM)]),
        "enosys" => hostile::deny(&[range(Errno::NOSYS)]),
        "eperm" => hostile::deny(&[range(Errno::PERM)]),
        "eacces" => hostile::deny(&[range(Errno::ACCESS)]),
        "getdents" => hostile::deny(&[range(Errno::NOSYS), (libc::SYS_getdents64, Errno::PERM)]),
        "loop" => hostile::deny(&[range(Errno::NOSYS), proc]),
        "hidden" => {
            hostile::hide_proc();
            hostile::deny(&[range(Errno::NOSYS)]);
        }
        _ => panic!("no way {way:?}"),
    }
}

/// Closes in the way of the first argument, from the second, what the third opens, except the fourth.
/// The test looks before and after.
fn close_among(surroundings: impl FnOnce()) {
    let (first, keep) = (argument(2), list(4));
    let hard = hard_limit().min(16384);
    limit(hard, hard);
    open_each(list(3));
    surroundings();
    tell("open");
    wait_byte();
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(first, borrow(&keep).chain(channel())) }));
    wait_release();
}

fn closes() {
    close_among(|| {});
}

fn closes_above_soft_limit() {
    close_among(|| limit(100, hard_limit()));
}

fn closes_above_hard_limit() {
    close_among(|| limit(100, 100));
}

/// What is open before and after.
fn before_and_after(name: &str, way: &str, first: RawFd, open: &[RawFd], keep: &[RawFd]) -> [BTreeSet<RawFd>; 2] {
    let mut running = fixture(name).arg(way).arg(first.to_string()).arg(join(open)).arg(join(keep)).start();
    assert_eq!(running.hear(), "open");
    let before = open_fds(&running);
    assert!(open.iter().all(|fd| before.contains(fd)), "{before:?}");
    running.step();
    assert_eq!(running.hear(), "ok", "{way}");
    [before, open_fds(&running)]
}

fn check(name: &str, way: &str, first: RawFd, open: &[RawFd], keep: &[RawFd]) {
    let [mut expected, after] = before_and_after(name, way, first, open, keep);
    expected.retain(|fd| *fd < first || keep.contains(fd) || [TELL, HEAR].contains(fd));
    assert_eq!(after, expected, "{way}");
}

fn check_each_way(first: RawFd, open: &[RawFd], keep: &[RawFd]) {
    for way in WAYS {
        check("closes", way, first, open, keep);
    }
}

fn all_are_closed_if_none_is_kept() {
    check_each_way(200, &[200, 201, 255, 256, 700], &[]);
    check_each_way(3, &[3, 4, 5, 63, 64, 65, 200, 700], &[]);
}

/// The second argument is the first number to be closed.
fn closes_from() {
    open_each([200, 250, 700]);
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing above the channel.
    tell(word(unsafe { close_from(argument(2)) }));
    wait_release();
}

fn close_from_leaves_what_is_below() {
    for way in WAYS {
        let running = fixture("closes_from").arg(way).arg("250").start();
        assert_eq!(running.hear(), "ok", "{way}");
        assert_eq!(open_fds(&running).range(250..).next(), None, "{way}");
        assert!(open_fds(&running).is_superset(&[0, 1, 2, TELL, HEAR, 200].into()), "{way}");
    }
}

fn kept_in_any_order() {
    check_each_way(10, &[3, 5, 10, 20, 30, 40, 50, 60, 300], &[50, 3, 20, 50, 300, 0, 20, 40, 5]);
}

fn neighbours_are_kept() {
    check_each_way(10, &[9, 10, 11, 12, 13, 14, 15, 16], &[13, 12, 14, 16]);
    check_each_way(10, &[9, 10, 11, 12], &[9, 10, 11, 12]);
    check_each_way(196, &[196, 197, 200, 201], &[197, 200]);
}

fn first_and_last_are_kept() {
    let last = getrlimit(Resource::Nofile).maximum.map_or(16384, |hard| hard.min(16384)) as RawFd - 1;
    check_each_way(10, &[10, 11, last - 1, last], &[last, 10]);
}

fn a_negative_first_counts_as_zero() {
    check_each_way(-1, &[3, 4], &[4, 1]);
    check_each_way(RawFd::MIN, &[3, 4], &[]);
}

fn thousands_are_kept() {
    let last = getrlimit(Resource::Nofile).maximum.map_or(4000, |hard| hard.min(4000)) as RawFd;
    let open = (200..last).collect::<Vec<_>>();
    let keep = open.iter().rev().copied().filter(|fd| fd % 3 == 0).collect::<Vec<_>>();
    check("closes", "range", 200, &open, &keep);
    check("closes", "enosys", 200, &open, &keep);
}

fn keeps_what_is_no_descriptor() {
    open_each([10]);
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(-1, channel().into_iter().chain([CWD])) }));
    wait_release();
}

fn cwd_is_no_descriptor() {
    for way in WAYS {
        let running = fixture("keeps_what_is_no_descriptor").arg(way).start();
        assert_eq!(running.hear(), "ok", "{way}");
        assert_eq!(Vec::from_iter(open_fds(&running)), [TELL, HEAR], "{way}");
    }
}

fn keeps_the_largest_number() {
    open_each([10]);
    leave_way(&argument::<String>(1));
    // SAFETY: it is not open, and never used but as a number.
    let largest = unsafe { BorrowedFd::borrow_raw(RawFd::MAX) };
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(3, channel().into_iter().chain([largest])) }));
    wait_release();
}

fn the_largest_number_ends_the_range() {
    for way in WAYS {
        let running = fixture("keeps_the_largest_number").arg(way).start();
        assert_eq!(running.hear(), "ok", "{way}");
        assert_eq!(Vec::from_iter(open_fds(&running)), [0, 1, 2, TELL, HEAR], "{way}");
    }
}

fn above_a_lowered_soft_limit() {
    for way in WAYS {
        check("closes_above_soft_limit", way, 3, &[3, 99, 100, 101, 200, 700], &[101]);
    }
}

fn above_a_lowered_hard_limit() {
    for way in ["range", "enosys", "eperm", "eacces"] {
        check("closes_above_hard_limit", way, 3, &[3, 99, 100, 200, 700], &[200]);
    }
    for way in ["getdents", "loop"] {
        let [mut expected, after] = before_and_after("closes_above_hard_limit", way, 3, &[3, 99, 100, 202, 700], &[]);
        expected.retain(|fd| *fd < 3 || *fd >= 100);
        assert_eq!(after, expected, "{way}");
    }
}

/// No number below the soft limit of the second argument is free when the step is taken; 700 and 701 are open above it.
fn full_table() {
    open_each([700, 701]);
    let soft = argument(2);
    open_each((3..soft as RawFd).filter(|fd| ![TELL, HEAR].contains(fd)));
    limit(soft, 600);
    assert_eq!(rustix::io::dup(channel()[1]).err(), Some(Errno::MFILE));
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(argument(3), borrow(&list(4)).chain(channel())) }));
    wait_release();
}

fn left_of_full_table(way: &str, soft: &str, first: &str, keep: &[RawFd]) -> Vec<RawFd> {
    let running = fixture("full_table").arg(way).arg(soft).arg(first).arg(join(keep)).start();
    assert_eq!(running.hear(), "ok", "{way}");
    open_fds(&running).into_iter().filter(|fd| *fd > 2 && ![TELL, HEAR].contains(fd)).collect()
}

fn a_full_table_is_closed() {
    for way in WAYS {
        // /proc/self/fd has been read, after a place was freed, if what is above the hard limit is closed too.
        let by_loop = ["getdents", "loop"].contains(&way);
        let above: &[RawFd] = if by_loop { &[700, 701] } else { &[] };
        assert_eq!(left_of_full_table(way, "256", "3", &[]), above, "{way}");
        assert_eq!(left_of_full_table(way, "256", "3", &[3, 5]), [&[3, 5], above].concat(), "{way}");
    }
    // A single place can be freed.
    assert_eq!(left_of_full_table("enosys", "4", "3", &[]), []);
    // No place can be freed: what is below the soft limit is not to be closed.
    let below = (3..256).filter(|fd| ![TELL, HEAR].contains(fd)).collect::<Vec<_>>();
    for way in ["enosys", "eperm"] {
        assert_eq!(left_of_full_table(way, "3", "3", &[]), [700, 701], "{way}");
        assert_eq!(left_of_full_table(way, "256", "256", &[701]), [&below[..], &[700, 701]].concat(), "{way}");
    }
}

/// As many as the limit allows, 10^5 at most.
fn many() {
    let wanted = 100_000 + 3;
    let all = hard_limit().min(wanted);
    if setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: Some(wanted) }).is_err() {
        limit(all, all);
    }
    let end = getrlimit(Resource::Nofile).current.expect("a limit") as RawFd;
    open_each((3..end).filter(|fd| ![TELL, HEAR].contains(fd)));
    tell(end - 3);
    wait_byte();
    // The last number is kept free for /proc/self/fd: a full table has a test of its own.
    close_stream(end - 1);
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(3, channel()) }));
    wait_release();
}

fn a_hundred_thousand_are_closed() {
    for way in WAYS {
        let mut running = fixture("many").arg(way).start();
        let open = running.hear_pid();
        if open < 100_000 && way == WAYS[0] {
            weakened(&format!("{open} descriptors closed, not 100000: the hard limit cannot be raised"));
        }
        assert_eq!(open_fds(&running).len(), open as usize + 3);
        running.step();
        assert_eq!(running.hear(), "ok", "{way}");
        assert_eq!(Vec::from_iter(open_fds(&running)), [0, 1, 2, TELL, HEAR], "{way}");
    }
}

/// `close` is answered with the errno of the second argument and does nothing.
fn close_denied() {
    open_each([10]);
    let way = argument::<String>(1);
    hostile::deny(&[(libc::SYS_close, Errno::from_raw_os_error(argument(2)))]);
    leave_way(&way);
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(3, channel()) }));
    wait_release();
}

fn a_denied_close_is_an_error() {
    for way in ["enosys", "getdents", "loop"] {
        for errno in [Errno::PERM, Errno::NOSYS, Errno::INTR, Errno::IO] {
            let running = fixture("close_denied").arg(way).arg(errno.raw_os_error().to_string()).start();
            assert_eq!(running.hear(), errno.raw_os_error().to_string(), "{way}");
            assert!(open_fds(&running).contains(&10));
        }
        // The kernel's word that nothing is open there is believed, and not asked for again and again.
        let running = fixture("close_denied").arg(way).arg(Errno::BADF.raw_os_error().to_string()).start();
        assert_eq!(running.hear(), "ok", "{way}");
    }
}

/// Where close(2) fails after it has closed, as on a network file system: the call traps, and the handler
/// closes and answers as it is told. Its own call passes the filter by a second argument that close(2) ignores.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod late_error {
    use std::sync::atomic::{AtomicI32, Ordering};

    const OWN: u32 = 0x000c_105e;
    static ERRNO: AtomicI32 = AtomicI32::new(0);

    pub(crate) fn install(errno: i32) {
        ERRNO.store(errno, Ordering::Relaxed);
        // SAFETY: all zeros is a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_close as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: the handler is async-signal-safe, and has the signature that SA_SIGINFO asks for.
        assert_eq!(unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) }, 0);
        trap();
    }

    fn trap() {
        crate::support::need_kernel("a seccomp filter");
        let op = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
        let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
        let equal = |k, jt, jf| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k, jt, jf);
        let answer = |k| op(libc::BPF_RET | libc::BPF_K, k, 0, 0);
        // The number stands at byte 0 of seccomp_data, the low half of args[1] at byte 24.
        let mut program = [
            load(0),
            equal(libc::SYS_close as u32, 0, 3),
            load(24),
            equal(OWN, 1, 0),
            answer(libc::SECCOMP_RET_TRAP),
            answer(libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: no memory is passed.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
        // SAFETY: the program outlives the call, which copies it.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }, 0);
    }

    extern "C" fn on_close(_: i32, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
        // SAFETY: the kernel passes the context of what the signal interrupted, and nothing else refers to it.
        let registers = unsafe { &mut (*context).uc_mcontext };
        #[cfg(target_arch = "x86_64")]
        let [fd, result] = [libc::REG_RDI, libc::REG_RAX].map(|register| &raw mut registers.gregs[register as usize]);
        #[cfg(target_arch = "aarch64")]
        let [fd, result] = [(&raw mut registers.regs[0]).cast::<i64>(); 2];
        // SAFETY: it points to a register of the context; so does `result`.
        let fd = unsafe { *fd };
        // SAFETY: this is the close that the step has asked for.
        let closed = unsafe { libc::syscall(libc::SYS_close, fd, OWN) };
        let errno = if closed == 0 { ERRNO.load(Ordering::Relaxed) } else { libc::EBADF };
        // SAFETY: as above.
        unsafe { *result = i64::from(-errno) };
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn close_fails_afterwards() {
    open_each([10, 20]);
    late_error::install(argument(2));
    leave_way(&argument::<String>(1));
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { close_except(3, channel()) }));
    wait_release();
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn close_fails_afterwards() {}

fn an_error_after_closing_is_none() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return weakened("no close that fails afterwards on this architecture");
    }
    for way in ["enosys", "getdents", "loop"] {
        // A FUSE file system answers with what errno it likes.
        for errno in [Errno::INTR, Errno::IO, Errno::NOSPC, Errno::DQUOT, Errno::STALE, Errno::PERM] {
            let running = fixture("close_fails_afterwards").arg(way).arg(errno.raw_os_error().to_string()).start();
            assert_eq!(running.hear(), "ok", "{way}, {errno}");
            assert_eq!(Vec::from_iter(open_fds(&running)), [0, 1, 2, TELL, HEAR], "{way}, {errno}");
        }
    }
}

/// splitmix64: the same sets in the fixture and in the test, in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }
}

const MODEL_LIMIT: RawFd = 512;
const ROUNDS: usize = 300;

/// One round: runs of numbers are opened; then `close_except(first, keep)`.
struct Round {
    open: Vec<RawFd>,
    first: RawFd,
    keep: Vec<RawFd>,
}

impl Round {
    fn next(random: &mut Random) -> Self {
        let mut open = Vec::new();
        for _ in 0..random.below(12) {
            let start = random.below(MODEL_LIMIT as usize - 8) as RawFd;
            open.extend(start..=start + random.below(8) as RawFd);
        }
        open.retain(|fd| ![TELL, HEAR].contains(fd));
        let first = random.below(MODEL_LIMIT as usize + 100) as RawFd - 60;
        let keep = (0..random.below(open.len() + 1)).map(|_| open[random.below(open.len())]).collect();
        Self { open, first, keep }
    }
}

/// Takes rounds in the way of the first argument. One descriptor stands above the hard limit.
fn model() {
    open_each([600]);
    limit(MODEL_LIMIT as u64, MODEL_LIMIT as u64);
    leave_way(&argument::<String>(1));
    let mut random = Random(1);
    tell("open");
    for _ in 0..ROUNDS {
        wait_byte();
        let round = Round::next(&mut random);
        open_each(round.open);
        // SAFETY: a fixture owns nothing but the channel.
        tell(word(unsafe { close_except(round.first, borrow(&round.keep).chain(channel())) }));
    }
    wait_release();
}

fn compare_with_model(way: &str, reaches_above_limit: bool) {
    let mut running = fixture("model").arg(way).start();
    assert_eq!(running.hear(), "open");
    let mut expected = open_fds(&running);
    let mut random = Random(1);
    for n in 0..ROUNDS {
        running.step();
        assert_eq!(running.hear(), "ok", "{way}, round {n}");
        let Round { open, first, keep } = Round::next(&mut random);
        expected.extend(open);
        expected.retain(|fd| {
            *fd < first || keep.contains(fd) || [TELL, HEAR].contains(fd) || (*fd >= MODEL_LIMIT && !reaches_above_limit)
        });
        assert_eq!(open_fds(&running), expected, "{way}, round {n}, first {first}, keep {keep:?}");
    }
}

fn random_sets_agree_with_the_model() {
    for way in ["range", "enosys", "eperm"] {
        compare_with_model(way, true);
    }
    compare_with_model("loop", false);
}

fn random_sets_without_proc() {
    compare_with_model("hidden", false);
}

// dup3

/// Duplicates the standard input to 300, which is open, and to 301, which is not.
fn duplicates() {
    open_each([300]);
    for new in [300, 301] {
        // SAFETY: a fixture owns nothing but the channel.
        tell(word(unsafe { dup3(std::io::stdin(), new, argument::<bool>(1)) }));
    }
    wait_release();
}

fn a_duplicate_replaces() {
    for (cloexec, flag) in [("false", 0), ("true", CLOEXEC)] {
        let running = fixture("duplicates").arg(cloexec).start();
        assert_eq!([running.hear(), running.hear()], ["ok", "ok"]);
        let before = open_fds(&running);
        for new in [300, 301] {
            assert_eq!(proc::fds(running.pid())[&new], "/dev/null");
            assert_eq!(proc::fd_flags(running.pid(), new) & CLOEXEC, flag);
        }
        assert!(before.contains(&0), "the original stays open");
    }
}

fn marks() {
    open_each([300]);
    for cloexec in [true, true, false, false] {
        for fd in borrow(&[300]) {
            // SAFETY: the number stands for the same file as before.
            tell(word(unsafe { dup3(fd, fd.as_raw_fd(), cloexec) }));
        }
        wait_byte();
    }
}

fn the_same_number_gets_or_loses_the_flag() {
    let mut running = fixture("marks").start();
    for flag in [CLOEXEC, CLOEXEC, 0, 0] {
        assert_eq!(running.hear(), "ok");
        let fds = proc::fds(running.pid());
        assert_eq!(fds[&300], fds[&HEAR]);
        assert_eq!(proc::fd_flags(running.pid(), 300) & CLOEXEC, flag);
        running.step();
    }
}

fn duplicates_nowhere() {
    open_each([150]);
    limit(100, hard_limit());
    for new in [99, -1, RawFd::MIN, 100, 150, RawFd::MAX] {
        // SAFETY: a fixture owns nothing but the channel.
        tell(word(unsafe { dup3(std::io::stdin(), new, false) }));
    }
    wait_release();
}

fn a_number_beyond_the_limit_is_an_error() {
    let running = fixture("duplicates_nowhere").start();
    assert_eq!(running.hear(), "ok");
    for _ in 0..5 {
        assert_eq!(running.hear(), Errno::BADF.raw_os_error().to_string());
    }
    let fds = proc::fds(running.pid());
    assert_eq!((&*fds[&99], &fds[&150]), ("/dev/null", &fds[&HEAR]));
}

fn dup3_denied() {
    open_each([300]);
    hostile::deny(&[(libc::SYS_dup3, Errno::PERM)]);
    // SAFETY: a fixture owns nothing but the channel.
    tell(word(unsafe { dup3(std::io::stdin(), 300, false) }));
    wait_release();
}

fn a_denied_dup3_is_an_error() {
    let running = fixture("dup3_denied").start();
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    let fds = proc::fds(running.pid());
    assert_eq!(fds[&300], fds[&HEAR]);
}
