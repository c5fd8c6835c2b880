//! fork, exit and exec, seen by the parent, in `/proc`, and by what a program does.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{
    Fork, SignalSet, Stream, ThinCStr, block_signals, execve, exit, fork, fork_unchecked, ignore_signal, stdio_fd,
};
use rustix::io::Errno;
use rustix::process::Signal;
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use support::{c_path, fixture, hostile, proc, root_test, tell, temp_dir, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("forks", forks),
            ("second_thread", second_thread),
            ("unshare_denied", unshare_denied),
            ("unshare_denied_second_thread", unshare_denied_second_thread),
            ("nothing_to_ask", nothing_to_ask),
            ("unchecked", unchecked),
            ("clone_denied", clone_denied),
            ("exits", exits),
            ("executes", executes),
            ("cannot_execute", cannot_execute),
        ],
        vec![
            test("a_child_is_a_child_with_its_pid_told", a_child_is_a_child_with_its_pid_told),
            test("a_second_thread_is_refused", a_second_thread_is_refused),
            test("without_unshare_proc_counts_the_threads", without_unshare_proc_counts_the_threads),
            root_test("without_unshare_and_proc_fork_refuses", without_unshare_and_proc_fork_refuses),
            test("unchecked_forks_beside_a_second_thread", unchecked_forks_beside_a_second_thread),
            test("a_fork_that_the_kernel_denies_is_an_error", a_fork_that_the_kernel_denies_is_an_error),
            test("exit_tells_eight_bits_and_runs_no_handler", exit_tells_eight_bits_and_runs_no_handler),
            test("a_program_gets_what_execve_says", a_program_gets_what_execve_says),
            test("execve_returns_its_errors", execve_returns_its_errors),
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

fn clone_denied() {
    hostile::deny(&[(libc::SYS_clone, Errno::AGAIN), (libc::SYS_clone3, Errno::NOSYS)]);
    tell(word(fork()));
}

fn a_fork_that_the_kernel_denies_is_an_error() {
    assert_eq!(fixture("clone_denied").run().0, format!("{}\n", Errno::AGAIN.raw_os_error()));
}

extern "C" fn handler() {
    tell("an atexit handler ran");
}

fn exits() {
    // SAFETY: the handler is a function that stays.
    unsafe { libc::atexit(handler) };
    // Without a newline this stays in std's buffer.
    print!("buffered");
    exit(0x1ff);
}

fn exit_tells_eight_bits_and_runs_no_handler() {
    let mut fixture = fixture("exits");
    let dir = temp_dir();
    let out = dir.path().join("out");
    fixture.command.stdout(std::fs::File::create(&out).expect("a file"));
    let (told, status) = fixture.run();
    assert_eq!((told.as_str(), status.code()), ("", Some(255)));
    assert_eq!(std::fs::read_to_string(out).expect("the file"), "");
}

fn executes() {
    block_signals(SignalSet::from(Signal::USR1)).expect("block");
    ignore_signal(Signal::USR2).expect("ignore");
    // The program talks over the channel, too: it ends when the test lets go, not before.
    let [tell, hear] = support::channel();
    stdio_fd(Stream::Stdout, tell).expect("stdout");
    stdio_fd(Stream::Stdin, hear).expect("stdin");
    let argv = [c"/bin/sh", c"-c", c"echo $0 $1 $A; read end", c"zero", c"one"].map(|word| Some(ThinCStr::from(word)));
    let argv: Vec<_> = argv.into_iter().chain([None]).collect();
    let mut env = [Some(ThinCStr::from(c"A=b")), None];
    let errno = execve(c"/bin/sh", &argv, Cell::from_mut(&mut env[..]).as_slice_of_cells());
    panic!("{errno}");
}

fn a_program_gets_what_execve_says() {
    let running = fixture("executes").start();
    assert_eq!(running.hear(), "zero one b");
    let pid = running.pid();
    assert_eq!(proc::environ(pid), ["A=b"]);
    assert_ne!(proc::exe(pid), proc::exe(std::process::id() as i32));
    let bit = |signal: Signal| 1 << (signal.as_raw() - 1);
    assert_eq!(proc::signals(pid, "SigBlk"), bit(Signal::USR1));
    assert_eq!(proc::signals(pid, "SigIgn") & bit(Signal::USR2), bit(Signal::USR2));
}

fn cannot_execute() {
    let path = CString::new(std::env::args().nth(1).expect("a path")).expect("no null");
    let run = |path: &CStr| {
        let mut env = [None];
        execve(path, &[Some(ThinCStr::from(path)), None], Cell::from_mut(&mut env[..]).as_slice_of_cells()).raw_os_error()
    };
    tell(run(&path));
    let name = ThinCStr::from(c"x");
    tell(execve(c"/bin/true", &[Some(name)], &[Cell::new(None)]).raw_os_error());
    tell(execve(c"/bin/true", &[Some(name), None], &[]).raw_os_error());
    tell(execve(c"/bin/true", &[], &[Cell::new(None)]).raw_os_error());
}

fn execve_returns_its_errors() {
    let dir = temp_dir();
    let text = dir.path().join("text");
    std::fs::File::create(&text).expect("a file").write_all(b"no program\n").expect("written");
    let denied = text.clone();
    std::fs::copy(&text, dir.path().join("noexec")).expect("copied");
    let noexec = dir.path().join("noexec");
    let mode = |path, mode| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    mode(&noexec, 0o755);
    let cases = [
        (dir.path().join("none"), Errno::NOENT),
        (denied, Errno::ACCESS),
        (noexec, Errno::NOEXEC),
        (text.join("x"), Errno::NOTDIR),
    ];
    for (path, errno) in cases {
        let (told, status) = fixture("cannot_execute").arg(c_path(&path).to_str().expect("utf-8")).run();
        let invalid = Errno::INVAL.raw_os_error();
        assert_eq!(told, format!("{}\n{invalid}\n{invalid}\n{invalid}\n", errno.raw_os_error()), "{path:?}");
        assert_eq!(status.signal(), None);
    }
}
