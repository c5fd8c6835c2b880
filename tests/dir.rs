//! The working directory and the root, seen in `/proc/PID/cwd` and `/proc/PID/root`.

mod support;

use daemon_steps::{chdir, chroot, fchdir};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs;
use support::{c_path, fixture, hostile, proc, root_test, tell, temp_dir, test, wait_release, word};

fn main() {
    support::main(
        &[("changes", changes), ("opened", opened), ("a_file", a_file), ("roots", roots), ("denied", denied)],
        vec![
            test("the_directory_is_changed", the_directory_is_changed),
            test("an_open_directory_is_changed_to", an_open_directory_is_changed_to),
            test("a_bad_directory_is_an_error_and_changes_nothing", a_bad_directory_is_an_error),
            test("what_is_no_directory_is_refused", what_is_no_directory_is_refused),
            root_test("nothing_is_left_outside_the_root", nothing_is_left_outside_the_root),
            root_test("a_bad_root_is_an_error_and_changes_nothing", a_bad_root_is_an_error),
            test("a_denied_root_is_an_error_and_changes_nothing", a_denied_root_is_an_error),
        ],
    );
}

/// The fixture's argument.
fn path() -> CString {
    CString::new(std::env::args().nth(1).expect("a path")).expect("no null")
}

fn changes() {
    tell(word(chdir(&path())));
    wait_release();
}

fn the_directory_is_changed() {
    let dir = temp_dir();
    let running = fixture("changes").arg(dir.path()).start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::cwd(running.pid()), fs::canonicalize(dir.path()).expect("the directory"));
}

fn opened() {
    let dir = fs::File::open(std::env::args().nth(1).expect("a path")).expect("a directory");
    tell(word(fchdir(&dir)));
    wait_release();
}

fn an_open_directory_is_changed_to() {
    let dir = temp_dir();
    let running = fixture("opened").arg(dir.path()).start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::cwd(running.pid()), fs::canonicalize(dir.path()).expect("the directory"));
}

fn a_bad_directory_is_an_error() {
    let dir = temp_dir();
    fs::write(dir.path().join("file"), "").expect("a file");
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).expect("a link");
    let long = dir.path().join("x".repeat(256));
    for (path, errno) in [
        (dir.path().join("none"), Errno::NOENT),
        (dir.path().join("file"), Errno::NOTDIR),
        (dir.path().join("loop"), Errno::LOOP),
        (long, Errno::NAMETOOLONG),
    ] {
        let running = fixture("changes").arg(&path).start();
        assert_eq!(running.hear(), errno.raw_os_error().to_string(), "{}", path.display());
        assert_eq!(proc::cwd(running.pid()), std::env::current_dir().expect("a directory"));
    }
}

fn a_file() {
    let file = fs::File::open("/proc/self/exe").expect("this program");
    tell(word(fchdir(&file)));
}

fn what_is_no_directory_is_refused() {
    assert_eq!(fixture("a_file").run().0, format!("{}\n", Errno::NOTDIR.raw_os_error()));
}

fn roots() {
    tell(word(chroot(&path())));
    // By the relative way out that a chroot(2) alone leaves open.
    tell(fs::read_dir("../../../..").expect("a directory").count());
    wait_release();
}

fn nothing_is_left_outside_the_root() {
    let dir = temp_dir();
    fs::create_dir(dir.path().join("only")).expect("a directory");
    let running = fixture("roots").arg(dir.path()).start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(running.hear(), "1");
    let root = fs::canonicalize(dir.path()).expect("the root");
    assert_eq!((proc::root(running.pid()), proc::cwd(running.pid())), (root.clone(), root));
}

fn a_bad_root_is_an_error() {
    let dir = temp_dir();
    let path = c_path(dir.path().join("none"));
    let running = fixture("roots").arg(path.to_str().expect("utf-8")).start();
    assert_eq!(running.hear(), Errno::NOENT.raw_os_error().to_string());
    assert_eq!(proc::root(running.pid()), std::path::Path::new("/"));
    assert_eq!(proc::cwd(running.pid()), std::env::current_dir().expect("a directory"));
}

fn denied() {
    hostile::deny(&[(libc::SYS_chroot, Errno::PERM)]);
    tell(word(chroot(c"/tmp")));
    wait_release();
}

fn a_denied_root_is_an_error() {
    let running = fixture("denied").start();
    assert_eq!(running.hear(), Errno::PERM.raw_os_error().to_string());
    assert_eq!(proc::cwd(running.pid()), std::env::current_dir().expect("a directory"));
}
