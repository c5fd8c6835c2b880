//! Standard streams, seen in `/proc/PID/fd` and `/proc/PID/fdinfo`.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Stream, setsid, stdio_fd, stdio_file, stdio_null, umask};
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;
use support::{
    Fixture, HEAR, LIMIT, Running, c_path, channel, fixture, hostile, proc, root_test, tell, temp_dir, test, tty::pty, wait_byte,
    wait_release, word,
};

fn main() {
    support::main(
        &[
            ("null", null),
            ("null_without_dev", null_without_dev),
            ("null_with_dup3_denied", null_with_dup3_denied),
            ("null_below_a_limit", null_below_a_limit),
            ("file", file),
            ("file_with_openat_denied", file_with_openat_denied),
            ("file_with_dup3_denied", file_with_dup3_denied),
            ("file_as_nobody", file_as_nobody),
            ("file_below_a_limit", file_below_a_limit),
            ("file_is_written", file_is_written),
            ("file_after_a_signal", file_after_a_signal),
            ("terminal", terminal),
            ("descriptor", descriptor),
            ("itself", itself),
            ("descriptor_with_dup3_denied", descriptor_with_dup3_denied),
            ("descriptor_above_the_limit", descriptor_above_the_limit),
        ],
        vec![
            test("all_three_become_dev_null_whichever_were_closed", all_three_become_dev_null),
            root_test("a_missing_dev_null_changes_nothing", a_missing_dev_null_changes_nothing),
            test("a_null_that_fails_half_way_leaves_no_descriptor", a_null_that_fails_half_way),
            test("a_null_beyond_the_limit_is_an_error", a_null_beyond_the_limit_is_an_error),
            test("one_stream_becomes_a_file_whichever_were_closed", one_stream_becomes_a_file),
            test("output_is_appended", output_is_appended),
            test("a_file_is_created_with_the_mode_less_the_umask", a_file_is_created_with_the_mode_less_the_umask),
            test("the_mode_of_a_file_that_is_there_stays", the_mode_of_a_file_that_is_there_stays),
            test("input_is_read_and_not_created", input_is_read_and_not_created),
            test("a_bad_path_leaves_the_stream_as_it_was", a_bad_path_leaves_the_stream_as_it_was),
            test("a_program_that_runs_is_not_written", a_program_that_runs_is_not_written),
            test("a_file_of_others_leaves_the_stream_as_it_was", a_file_of_others_leaves_the_stream_as_it_was),
            test("a_full_table_leaves_the_stream_as_it_was", a_full_table_leaves_the_stream_as_it_was),
            test("every_error_of_open_leaves_the_stream_as_it_was", every_error_of_open_leaves_the_stream_as_it_was),
            test("a_denied_dup3_leaves_the_stream_and_no_descriptor", a_denied_dup3_leaves_the_stream),
            test("a_fifo_is_waited_for_through_signals", a_fifo_is_waited_for_through_signals),
            test("a_terminal_does_not_become_the_controlling_one", a_terminal_does_not_become_the_controlling_one),
            test("one_stream_becomes_a_descriptor_which_stays_open", one_stream_becomes_a_descriptor),
            test("a_stream_that_is_there_already_survives_execve", a_stream_that_is_there_already_survives_execve),
            test("a_denied_duplicate_leaves_the_stream_as_it_was", a_denied_duplicate_leaves_the_stream_as_it_was),
            test("a_stream_above_the_limit_is_an_error", a_stream_above_the_limit_is_an_error),
        ],
    );
}

const STREAMS: [Stream; 3] = [Stream::Stdin, Stream::Stdout, Stream::Stderr];
const CLOEXEC: i32 = libc::O_CLOEXEC;

/// The open flags that matter here.
fn flags(running: &Running, fd: RawFd) -> i32 {
    proc::fd_flags(running.pid(), fd) & (libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | CLOEXEC)
}

/// A fixture with `/dev/zero` on all three streams; it closes those whose bits are set in `closed`.
fn prepare(name: &str, closed: u32, stream: Stream, path: &Path) -> Fixture {
    let zero = fs::File::options().read(true).write(true).open("/dev/zero").expect("/dev/zero");
    let zero = || zero.try_clone().expect("a duplicate");
    let Fixture { mut command } = fixture(name);
    command.stdin(zero()).stdout(zero()).stderr(zero());
    command.arg(closed.to_string()).arg((stream as RawFd).to_string()).arg(path);
    Fixture { command }
}

fn start(name: &str, closed: u32, stream: Stream, path: &Path) -> Running {
    prepare(name, closed, stream, path).start()
}

fn argument(n: usize) -> u32 {
    std::env::args().nth(n).and_then(|argument| argument.parse().ok()).expect("a number")
}

fn stream() -> Stream {
    STREAMS[argument(2) as usize]
}

/// In a fixture: closes what is to be closed, tells so, and waits until the test has seen what is open.
fn close_streams() {
    let closed = argument(1);
    for fd in (0..=2).filter(|fd| closed & 1 << fd != 0) {
        // SAFETY: the standard streams have no owner.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
    tell("closed");
    wait_byte();
}

/// Lets the fixture take its step: how that went, and what was open before and after.
fn watch(running: &mut Running) -> (String, [BTreeMap<RawFd, String>; 2]) {
    assert_eq!(running.hear(), "closed");
    let before = proc::fds(running.pid());
    running.step();
    let word = running.hear();
    (word, [before, proc::fds(running.pid())])
}

/// The step fails with `errno`, and nothing that is open has changed.
#[track_caller]
fn assert_refused(mut running: Running, errno: Errno) {
    let (word, [before, after]) = watch(&mut running);
    assert_eq!(word, errno.raw_os_error().to_string(), "{errno}");
    assert_eq!(after, before, "{errno}");
}

// stdio_null

fn null() {
    close_streams();
    tell(word(stdio_null()));
    wait_release();
}

fn null_without_dev() {
    hostile::cover(c"/dev");
    null();
}

fn null_with_dup3_denied() {
    hostile::deny(&[(libc::SYS_dup3, Errno::PERM)]);
    null();
}

fn null_below_a_limit() {
    limit(2);
    null();
}

fn start_null(name: &str, closed: u32) -> Running {
    start(name, closed, Stream::Stdin, "".as_ref())
}

fn all_three_become_dev_null() {
    for closed in 0..8 {
        let mut running = start_null("null", closed);
        let (word, [mut expected, after]) = watch(&mut running);
        assert_eq!(word, "ok");
        expected.extend((0..=2).map(|fd| (fd, "/dev/null".into())));
        assert_eq!(after, expected, "{closed:03b} closed");
        for fd in 0..=2 {
            assert_eq!(flags(&running, fd), libc::O_RDWR);
        }
    }
}

fn a_missing_dev_null_changes_nothing() {
    for closed in 0..8 {
        assert_refused(start_null("null_without_dev", closed), Errno::NOENT);
    }
}

fn a_null_that_fails_half_way() {
    for closed in 0..8 {
        assert_refused(start_null("null_with_dup3_denied", closed), Errno::PERM);
    }
}

fn a_null_beyond_the_limit_is_an_error() {
    assert_refused(start_null("null_below_a_limit", 0b000), Errno::MFILE);
    let (word, [mut expected, after]) = watch(&mut start_null("null_below_a_limit", 0b001));
    assert_eq!(word, Errno::BADF.raw_os_error().to_string());
    expected.insert(1, "/dev/null".into());
    assert_eq!(after, expected);
}

// stdio_file

fn path() -> std::ffi::CString {
    c_path(std::env::args_os().nth(3).expect("a path"))
}

/// The stream of the second argument becomes the file of the third.
fn file() {
    close_streams();
    tell(word(stdio_file(stream(), &path(), Mode::from_raw_mode(0o666))));
    wait_release();
}

fn file_with_openat_denied() {
    hostile::deny(&[(libc::SYS_openat, Errno::from_raw_os_error(argument(4) as i32))]);
    file();
}

fn file_with_dup3_denied() {
    hostile::deny(&[(libc::SYS_dup3, Errno::PERM)]);
    file();
}

/// Without root's powers; an ordinary user is refused the change, and has none.
fn file_as_nobody() {
    // SAFETY: three numbers are passed; a fixture has one thread.
    unsafe { libc::setresuid(65534, 65534, 65534) };
    file();
}

/// The fourth argument is the soft limit.
fn file_below_a_limit() {
    limit(argument(4).into());
    file();
}

fn limit(soft: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum }).expect("setrlimit");
}

fn one_stream_becomes_a_file() {
    let directory = temp_dir();
    let path = directory.path().join("file");
    fs::write(&path, "").expect("a file");
    for stream in STREAMS {
        for closed in 0..8 {
            let mut running = start("file", closed, stream, &path);
            let (word, [mut expected, after]) = watch(&mut running);
            assert_eq!(word, "ok");
            expected.insert(stream as RawFd, path.display().to_string());
            assert_eq!(after, expected, "{closed:03b} closed");
            let wanted = if stream == Stream::Stdin { libc::O_RDONLY } else { libc::O_WRONLY | libc::O_APPEND };
            assert_eq!(flags(&running, stream as RawFd), wanted, "{closed:03b} closed");
        }
    }
}

/// Writes to the stream what the file is to get, after the step.
fn file_is_written() {
    umask(Mode::from_raw_mode(0o027)).expect("umask");
    close_streams();
    let stream = stream();
    tell(word(stdio_file(stream, &path(), Mode::from_raw_mode(0o666))));
    // SAFETY: the stream is open.
    let fd = unsafe { BorrowedFd::borrow_raw(stream as RawFd) };
    assert_eq!(rustix::io::write(fd, b"new\n"), Ok(4));
    tell("written");
    wait_release();
}

fn write(stream: Stream, path: &Path) {
    let mut running = start("file_is_written", 0, stream, path);
    assert_eq!(watch(&mut running).0, "ok");
    assert_eq!(running.hear(), "written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the file")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file").permissions().mode() & 0o7777
}

fn output_is_appended() {
    let directory = temp_dir();
    let path = directory.path().join("file");
    fs::write(&path, "old\n").expect("a file");
    write(Stream::Stdout, &path);
    assert_eq!(read(&path), "old\nnew\n");
    write(Stream::Stderr, &path);
    assert_eq!(read(&path), "old\nnew\nnew\n");
}

fn a_file_is_created_with_the_mode_less_the_umask() {
    let directory = temp_dir();
    for stream in [Stream::Stdout, Stream::Stderr] {
        let path = directory.path().join(format!("{stream:?}"));
        write(stream, &path);
        assert_eq!((mode(&path), &*read(&path)), (0o640, "new\n"));
    }
}

fn the_mode_of_a_file_that_is_there_stays() {
    let directory = temp_dir();
    let path = directory.path().join("file");
    fs::write(&path, "").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("chmod");
    write(Stream::Stdout, &path);
    assert_eq!(mode(&path), 0o604);
}

fn input_is_read_and_not_created() {
    let directory = temp_dir();
    let path = directory.path().join("file");
    assert_refused(start("file", 0, Stream::Stdin, &path), Errno::NOENT);
    assert!(!path.exists());
}

fn a_bad_path_leaves_the_stream_as_it_was() {
    let directory = temp_dir();
    let place = |name: &str| directory.path().join(name);
    fs::write(place("file"), "").expect("a file");
    std::os::unix::fs::symlink("loop", place("loop")).expect("a symlink");
    let _socket = std::os::unix::net::UnixListener::bind(place("socket")).expect("a socket");
    for closed in 0..8 {
        for (path, errno) in [
            (place("none/file"), Errno::NOENT),
            (place("file/file"), Errno::NOTDIR),
            (place("loop"), Errno::LOOP),
            (place(&"long".repeat(64)), Errno::NAMETOOLONG),
            (place("socket"), Errno::NXIO),
        ] {
            for stream in STREAMS {
                assert_refused(start("file", closed, stream, &path), errno);
            }
        }
        assert_refused(start("file", closed, Stream::Stdout, directory.path()), Errno::ISDIR);
    }
}

fn a_program_that_runs_is_not_written() {
    support::need_kernel("itself as the program that runs");
    // EACCES instead, if the program belongs to somebody else.
    let error = fs::File::options().append(true).open("/proc/self/exe").expect_err("it runs");
    let errno = Errno::from_io_error(&error).expect("an errno");
    assert!([Errno::TXTBSY, Errno::ACCESS].contains(&errno), "{errno}");
    assert_refused(start("file", 0, Stream::Stdout, "/proc/self/exe".as_ref()), errno);
}

fn a_file_of_others_leaves_the_stream_as_it_was() {
    let directory = temp_dir();
    let path = directory.path().join("file");
    fs::write(&path, "").expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("chmod");
    for stream in STREAMS {
        assert_refused(start("file_as_nobody", 0, stream, &path), Errno::ACCESS);
    }
}

fn a_full_table_leaves_the_stream_as_it_was() {
    for stream in STREAMS {
        let fixture = prepare("file_below_a_limit", 0, stream, "/dev/null".as_ref());
        assert_refused(fixture.arg("0").start(), Errno::MFILE);
    }
    // There is a place, but it is not the stream's.
    let fixture = prepare("file_below_a_limit", 0b001, Stream::Stdout, "/dev/null".as_ref());
    assert_refused(fixture.arg("1").start(), Errno::BADF);
}

fn every_error_of_open_leaves_the_stream_as_it_was() {
    for errno in [
        Errno::NOENT,
        Errno::ACCESS,
        Errno::ISDIR,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::ROFS,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::NXIO,
        Errno::NODEV,
        Errno::TXTBSY,
        Errno::PERM,
        Errno::IO,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
    ] {
        for stream in STREAMS {
            let fixture = prepare("file_with_openat_denied", 0, stream, "/dev/null".as_ref());
            assert_refused(fixture.arg(errno.raw_os_error().to_string()).start(), errno);
        }
    }
}

fn a_denied_dup3_leaves_the_stream() {
    // Where the file lands on the stream itself, there is no dup3.
    for (stream, closed) in [(Stream::Stdin, 0b000), (Stream::Stdin, 0b110), (Stream::Stdout, 0b001), (Stream::Stderr, 0b111)] {
        assert_refused(start("file_with_dup3_denied", closed, stream, "/dev/null".as_ref()), Errno::PERM);
    }
}

extern "C" fn tell_signal(_: i32) {
    // SAFETY: write(2) is async-signal-safe, and the bytes are there.
    unsafe { libc::write(support::TELL, c"signal\n".as_ptr().cast(), 7) };
}

/// Its handler, without `SA_RESTART`, tells of the signal.
fn file_after_a_signal() {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = tell_signal as extern "C" fn(_) as usize;
    // SAFETY: the handler is async-signal-safe, and has the signature of one without SA_SIGINFO.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    tell("opens");
    tell(word(stdio_file(stream(), &path(), Mode::empty())));
    wait_release();
}

/// No event tells that a process has begun to wait in a system call.
#[track_caller]
fn wait_until_it_sleeps(pid: i32) {
    let start = Instant::now();
    while proc::state(pid) != "S" {
        assert!(start.elapsed() < LIMIT, "process {pid} sleeps");
        std::thread::yield_now();
    }
}

fn a_fifo_is_waited_for_through_signals() {
    let directory = temp_dir();
    for stream in STREAMS {
        let path = directory.path().join(format!("{stream:?}"));
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
        let running = start("file_after_a_signal", 0, stream, &path);
        assert_eq!(running.hear(), "opens");
        for _ in 0..3 {
            wait_until_it_sleeps(running.pid());
            kill_process(Pid::from_child(&running.child), Signal::USR1).expect("the fixture runs");
            assert_eq!(running.hear(), "signal");
        }
        // Opened for both, a FIFO waits for nobody.
        let _other_end = fs::File::options().read(true).write(true).open(&path).expect("the FIFO");
        assert_eq!(running.hear(), "ok");
        assert_eq!(proc::fds(running.pid())[&(stream as RawFd)], path.display().to_string());
    }
}

fn terminal() {
    setsid().expect("setsid");
    let (_master, name) = pty();
    tell(word(stdio_file(stream(), &name, Mode::empty())));
    wait_release();
}

fn a_terminal_does_not_become_the_controlling_one() {
    for stream in STREAMS {
        let running = start("terminal", 0, stream, "".as_ref());
        assert_eq!(running.hear(), "ok");
        assert!(proc::fds(running.pid())[&(stream as RawFd)].starts_with("/dev/pts/"));
        assert_eq!((proc::session(running.pid()), proc::terminal(running.pid())), (running.pid(), 0));
    }
}

// stdio_fd

/// The stream of the second argument becomes one end of the channel, which is closed by execve itself.
fn descriptor() {
    let [_, source] = channel();
    fcntl_setfd(source, FdFlags::CLOEXEC).expect("fcntl");
    close_streams();
    tell(word(stdio_fd(stream(), source)));
    wait_release();
}

fn descriptor_with_dup3_denied() {
    hostile::deny(&[(libc::SYS_dup3, Errno::PERM)]);
    descriptor();
}

fn descriptor_above_the_limit() {
    limit(argument(2).into());
    descriptor();
}

fn one_stream_becomes_a_descriptor() {
    for stream in STREAMS {
        for closed in 0..8 {
            let mut running = start("descriptor", closed, stream, "".as_ref());
            let (word, [mut expected, after]) = watch(&mut running);
            assert_eq!(word, "ok");
            expected.insert(stream as RawFd, expected[&HEAR].clone());
            assert_eq!(after, expected, "{closed:03b} closed");
            assert_eq!(flags(&running, stream as RawFd), libc::O_RDONLY);
            assert_eq!(flags(&running, HEAR), libc::O_RDONLY | CLOEXEC);
        }
    }
}

/// The stream, to be closed by execve, is made itself.
fn itself() {
    let stream = stream();
    // SAFETY: it is open.
    let fd = unsafe { BorrowedFd::borrow_raw(stream as RawFd) };
    fcntl_setfd(fd, FdFlags::CLOEXEC).expect("fcntl");
    close_streams();
    tell(word(stdio_fd(stream, fd)));
    wait_release();
}

fn a_stream_that_is_there_already_survives_execve() {
    for stream in STREAMS {
        let mut running = start("itself", 0, stream, "".as_ref());
        let (word, [before, after]) = watch(&mut running);
        assert_eq!((&*word, before), ("ok", after));
        assert_eq!(flags(&running, stream as RawFd), libc::O_RDWR);
    }
}

fn a_denied_duplicate_leaves_the_stream_as_it_was() {
    for stream in STREAMS {
        assert_refused(start("descriptor_with_dup3_denied", 0, stream, "".as_ref()), Errno::PERM);
    }
}

fn a_stream_above_the_limit_is_an_error() {
    for stream in STREAMS {
        assert_refused(start("descriptor_above_the_limit", 0, stream, "".as_ref()), Errno::BADF);
    }
}
