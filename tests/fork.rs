//! fork, exit and exec, seen by the parent, in `/proc`, and by what a program does.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    Fork, SignalSet, Stream, ThinCStr, block_signals, execve, exit, fork, fork_unchecked, ignore_signal, stdio_fd,
};
use rustix::fd::AsRawFd;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, Signal, WaitOptions, setrlimit};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use support::{c_path, fixture, hostile, proc, root_test, tell, temp_dir, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("forks", forks),
            ("second_thread", second_thread),
            ("unshare_denied", unshare_denied),
            ("unshare_denied_second_thread", unshare_denied_second_thread),
            ("nothing_to_ask", nothing_to_ask),
            ("name_like_numbers", name_like_numbers),
            ("joined", joined),
            ("proc_denied", proc_denied),
            ("unchecked", unchecked),
            ("too_many", too_many),
            ("dead_namespace", dead_namespace),
            ("atfork", atfork),
            ("exits", exits),
            ("exits_with_threads", exits_with_threads),
            ("executes", executes),
            ("cannot_execute", cannot_execute),
            ("bad_arrays", bad_arrays),
            ("long_word", long_word),
            ("over_the_limit", over_the_limit),
        ],
        vec![
            test("a_child_is_a_child_with_its_pid_told", a_child_is_a_child_with_its_pid_told),
            test("a_second_thread_is_refused", a_second_thread_is_refused),
            test("without_unshare_proc_counts_the_threads", without_unshare_proc_counts_the_threads),
            test("a_name_that_looks_like_numbers_does_not_deceive", a_name_that_looks_like_numbers_does_not_deceive),
            test("when_the_second_thread_has_gone_fork_is_granted", when_the_second_thread_has_gone_fork_is_granted),
            test("when_nobody_can_tell_fork_refuses", when_nobody_can_tell_fork_refuses),
            root_test("without_unshare_and_proc_fork_refuses", without_unshare_and_proc_fork_refuses),
            test("unchecked_forks_beside_a_second_thread", unchecked_forks_beside_a_second_thread),
            test("one_process_too_many_is_an_error", one_process_too_many_is_an_error),
            root_test("a_namespace_without_its_first_process_is_an_error", a_dead_namespace_is_an_error),
            test("only_its_own_fork_tells_the_c_library", only_its_own_fork_tells_the_c_library),
            test("exit_tells_eight_bits", exit_tells_eight_bits),
            test("exit_runs_no_handler_and_flushes_nothing", exit_runs_no_handler_and_flushes_nothing),
            test("exit_ends_the_other_threads_too", exit_ends_the_other_threads_too),
            test("a_program_gets_what_execve_says", a_program_gets_what_execve_says),
            test("execve_returns_its_errors", execve_returns_its_errors),
            test("an_array_that_does_not_end_is_refused", an_array_that_does_not_end_is_refused),
            test("a_word_too_long_is_an_error", a_word_too_long_is_an_error),
            root_test("a_user_with_too_many_processes_executes_nothing", a_user_with_too_many_processes_executes_nothing),
        ],
    );
}

fn forks() {
    match fork().expect("fork") {
        Fork::Parent(child) => {
            tell(format!("parent of {}", child.as_raw_nonzero()));
            wait_release();
        }
        Fork::Child => {
            tell(std::process::id());
            wait_release();
        }
    }
}

fn a_child_is_a_child_with_its_pid_told() {
    let running = fixture("forks").start();
    let mut lines = [running.hear(), running.hear()];
    lines.sort();
    let [child, parent] = lines;
    assert_eq!(parent, format!("parent of {child}"));
    let child = child.parse().expect("a pid");
    assert_eq!(proc::parent(child), running.pid());
    assert_eq!(proc::session(child), proc::session(running.pid()));
}

fn second_thread() {
    tell(word(hostile::with_second_thread(fork)));
}

fn a_second_thread_is_refused() {
    // One line: no second process told one.
    assert_eq!(fixture("second_thread").run().0, format!("{}\n", Errno::BUSY.raw_os_error()));
}

fn unshare_denied() {
    hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]);
    if fork() == Ok(Fork::Child) {
        tell("child");
    }
}

fn unshare_denied_second_thread() {
    hostile::deny(&[(libc::SYS_unshare, Errno::PERM)]);
    second_thread();
}

fn without_unshare_proc_counts_the_threads() {
    assert_eq!(fixture("unshare_denied").run().0, "child\n");
    assert_eq!(fixture("unshare_denied_second_thread").run().0, format!("{}\n", Errno::BUSY.raw_os_error()));
}

fn name_like_numbers() {
    // SAFETY: the name is a C string, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, c") 2 2 2 2 2 2 2".as_ptr()) };
    unshare_denied();
}

fn a_name_that_looks_like_numbers_does_not_deceive() {
    assert_eq!(fixture("name_like_numbers").run().0, "child\n");
}

fn joined() {
    hostile::with_second_thread(|| assert_eq!(fork(), Err(Errno::BUSY)));
    // The kernel counts a thread for a moment longer than join waits for it.
    let mut forked = fork();
    support::until("a joined thread is gone", || {
        if forked == Err(Errno::BUSY) {
            forked = fork();
        }
        forked.is_ok()
    });
    if forked == Ok(Fork::Child) {
        tell("child");
    }
}

fn when_the_second_thread_has_gone_fork_is_granted() {
    assert_eq!(fixture("joined").run().0, "child\n");
}

fn proc_denied() {
    hostile::deny(&[(libc::SYS_unshare, Errno::NOSYS), (hostile::SYS_NEWFSTATAT, Errno::ACCESS)]);
    tell(word(fork()));
}

fn when_nobody_can_tell_fork_refuses() {
    assert_eq!(fixture("proc_denied").run().0, format!("{}\n", Errno::BUSY.raw_os_error()));
}

fn nothing_to_ask() {
    hostile::hide_proc();
    unshare_denied_second_thread();
    tell(word(fork()));
}

fn without_unshare_and_proc_fork_refuses() {
    let busy = Errno::BUSY.raw_os_error();
    assert_eq!(fixture("nothing_to_ask").run().0, format!("{busy}\n{busy}\n"));
}

fn unchecked() {
    hostile::with_second_thread(|| {
        // SAFETY: the child calls write(2) and _exit(2) only.
        if unsafe { fork_unchecked() } == Ok(Fork::Child) {
            // SAFETY: write(2) reads six bytes of a constant.
            unsafe { libc::write(support::TELL, c"child\n".as_ptr().cast(), 6) };
            exit(0);
        }
    });
}

fn unchecked_forks_beside_a_second_thread() {
    assert_eq!(fixture("unchecked").run().0, "child\n");
}

fn too_many() {
    hostile::without_root();
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
    tell(word(fork()));
}

fn one_process_too_many_is_an_error() {
    assert_eq!(fixture("too_many").run().0, format!("{}\n", Errno::AGAIN.raw_os_error()));
}

fn dead_namespace() {
    // SAFETY: children get a pid namespace of their own; this process, of one thread, stays as it is.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }.expect("a pid namespace");
    match fork().expect("the first process of the namespace") {
        Fork::Parent(_) => rustix::process::wait(WaitOptions::empty()).expect("its end"),
        Fork::Child => exit(0),
    };
    tell(word(fork()));
}

fn a_dead_namespace_is_an_error() {
    assert_eq!(fixture("dead_namespace").run().0, format!("{}\n", Errno::NOMEM.raw_os_error()));
}

extern "C" fn before_fork() {
    tell("atfork");
}

fn atfork() {
    // SAFETY: the handler is a function that stays.
    unsafe { libc::pthread_atfork(Some(before_fork), None, None) };
    if fork() == Ok(Fork::Child) {
        tell(if has_own_clock() { "renewed" } else { "stale" });
    }
}

/// Whether the C library knows this thread: the clock it names has the thread's id in it.
fn has_own_clock() -> bool {
    // SAFETY: asks for nothing but who calls.
    let this = unsafe { libc::pthread_self() };
    let mut clock = 0;
    // SAFETY: the thread runs, and the clock's number has its place.
    assert_eq!(unsafe { libc::pthread_getcpuclockid(this, &raw mut clock) }, 0);
    // SAFETY: without a place for it no resolution is written.
    unsafe { libc::clock_getres(clock, std::ptr::null_mut()) == 0 }
}

fn only_its_own_fork_tells_the_c_library() {
    let told = if cfg!(feature = "std") { "atfork\nrenewed\n" } else { "stale\n" };
    assert_eq!(fixture("atfork").run().0, told);
}

extern "C" fn handler() {
    tell("an atexit handler ran");
}

fn exits() {
    // SAFETY: the handler is a function that stays.
    unsafe { libc::atexit(handler) };
    // Without a newline, and to a file, it stays in the buffer of the C library.
    // SAFETY: the format asks for no argument.
    unsafe { libc::printf(c"buffered".as_ptr()) };
    exit(std::env::args().nth(1).expect("a status").parse().expect("a number"));
}

fn exit_tells_eight_bits() {
    for (status, seen) in [(0, 0), (1, 1), (127, 127), (128, 128), (255, 255), (256, 0), (0x1ff, 255), (-2, 254)] {
        assert_eq!(fixture("exits").arg(status.to_string()).run().1.code(), Some(seen), "{status}");
    }
}

fn exit_runs_no_handler_and_flushes_nothing() {
    let mut fixture = fixture("exits").arg("3");
    let dir = temp_dir();
    let out = dir.path().join("out");
    fixture.command.stdout(std::fs::File::create(&out).expect("a file"));
    let (told, status) = fixture.run();
    assert_eq!((told.as_str(), status.code()), ("", Some(3)));
    assert_eq!(std::fs::read_to_string(out).expect("the file"), "");
}

fn exits_with_threads() {
    hostile::with_second_thread(|| exit(4));
}

fn exit_ends_the_other_threads_too() {
    assert_eq!(fixture("exits_with_threads").run().1.code(), Some(4));
}

fn executes() {
    block_signals(SignalSet::from(Signal::USR1)).expect("block");
    ignore_signal(Signal::USR2).expect("ignore");
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    tell(null.as_raw_fd());
    // The program talks over the channel, too: it ends when the test lets go, not before.
    let [tell, hear] = support::channel();
    stdio_fd(Stream::Stdout, tell).expect("stdout");
    stdio_fd(Stream::Stdin, hear).expect("stdin");
    let argv = [c"/bin/sh", c"-c", c"echo $0 $1 $A; read end", c"zero", c"one"].map(|word| Some(ThinCStr::from(word)));
    let argv: Vec<_> = argv.into_iter().chain([None]).collect();
    let env = [Some(ThinCStr::from(c"A=b")), None].map(Cell::new);
    panic!("{}", execve(c"/bin/sh", &argv, &env));
}

fn a_program_gets_what_execve_says() {
    let running = fixture("executes").start();
    let closed = running.hear_pid();
    assert_eq!(running.hear(), "zero one b");
    let pid = running.pid();
    let fds = proc::fds(pid);
    assert!(!fds.contains_key(&closed) && fds.contains_key(&support::TELL));
    assert_eq!(proc::environ(pid), ["A=b"]);
    assert_eq!(proc::exe(pid), std::fs::canonicalize("/bin/sh").expect("a shell"));
    let bit = |signal: Signal| 1 << (signal.as_raw() - 1);
    assert_eq!(proc::signals(pid, "SigBlk"), bit(Signal::USR1));
    assert_eq!(proc::signals(pid, "SigIgn") & bit(Signal::USR2), bit(Signal::USR2));
}

/// What execve says to this program, with its path for the only word and an empty environment.
fn executed(path: &CStr) -> String {
    execve(path, &[Some(ThinCStr::from(path)), None], &[Cell::new(None)]).raw_os_error().to_string()
}

fn cannot_execute() {
    tell(executed(&c_path(std::env::args().nth(1).expect("a path"))));
}

fn execve_returns_its_errors() {
    let dir = temp_dir();
    let path = |name: &str| dir.path().join(name);
    for (name, mode) in [("text", 0o755), ("denied", 0o644)] {
        std::fs::write(path(name), "no program\n").expect("a file");
        std::fs::set_permissions(path(name), Permissions::from_mode(mode)).expect("chmod");
    }
    std::os::unix::fs::symlink("loop", path("loop")).expect("a link");
    for (path, errno) in [
        (path("none"), Errno::NOENT),
        (path("denied"), Errno::ACCESS),
        (dir.path().to_owned(), Errno::ACCESS),
        (path("text"), Errno::NOEXEC),
        (path("text/x"), Errno::NOTDIR),
        (path("loop"), Errno::LOOP),
        (path(&"x".repeat(256)), Errno::NAMETOOLONG),
    ] {
        let (told, status) = fixture("cannot_execute").arg(&path).run();
        assert_eq!((told, status.code()), (format!("{}\n", errno.raw_os_error()), Some(0)), "{}", path.display());
    }
}

fn bad_arrays() {
    let word = Some(ThinCStr::from(c"x"));
    let none = [Cell::new(None)];
    // A shell without words would end without one.
    tell(execve(c"/bin/sh", &[word], &none));
    tell(execve(c"/bin/sh", &[], &none));
    tell(execve(c"/bin/sh", &[word, None], &[]));
    tell(execve(c"/bin/sh", &[word, None], &[Cell::new(word)]));
    tell(execve(c"/bin/sh", &[None, word], &none));
}

fn an_array_that_does_not_end_is_refused() {
    assert_eq!(fixture("bad_arrays").run().0, format!("{}\n", Errno::INVAL).repeat(5));
}

fn long_word() {
    // One word has at most 32 pages, and no page has more than 64 KiB.
    let long = CString::new("x".repeat(32 * 65536)).expect("no null");
    tell(execve(c"/bin/sh", &[Some(ThinCStr::from(&*long)), None], &[Cell::new(None)]));
}

fn a_word_too_long_is_an_error() {
    assert_eq!(fixture("long_word").run().0, format!("{}\n", Errno::TOOBIG));
}

fn over_the_limit() {
    // The change of the user counts the processes that the user has before it: there is one.
    let (mut here, mut there) = UnixStream::pair().expect("a pair");
    if fork() == Ok(Fork::Child) {
        drop(here);
        hostile::without_root();
        there.write_all(b".").expect("the parent listens");
        assert_eq!(there.read(&mut [0]).expect("the parent's end"), 0);
        return;
    }
    drop(there);
    here.read_exact(&mut [0]).expect("the child is another user's");
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
    hostile::without_root();
    tell(executed(c"/bin/sh"));
}

fn a_user_with_too_many_processes_executes_nothing() {
    assert_eq!(fixture("over_the_limit").run().0, format!("{}\n", Errno::AGAIN.raw_os_error()));
}
