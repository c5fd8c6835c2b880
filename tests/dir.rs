//! The working directory and the root, seen in `/proc/PID/cwd` and `/proc/PID/root`.

mod support;

use daemon_steps::{chdir, chroot, fchdir};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::{Running, c_path, fixture, hostile, proc, root_test, tell, temp_dir, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("changes", changes),
            ("changes_without_root", changes_without_root),
            ("opened", opened),
            ("opened_without_root", opened_without_root),
            ("a_file", a_file),
            ("roots", roots),
            ("roots_without_root", roots_without_root),
            ("half_rooted", half_rooted),
        ],
        vec![
            test("the_directory_is_changed", the_directory_is_changed),
            test("an_open_directory_is_changed_to", an_open_directory_is_changed_to),
            test("a_bad_directory_is_an_error_and_changes_nothing", a_bad_directory_is_an_error),
            test("a_directory_that_may_not_be_searched_is_refused", a_directory_that_may_not_be_searched_is_refused),
            test("what_is_no_directory_is_refused", what_is_no_directory_is_refused),
            root_test("nothing_is_left_outside_the_root", nothing_is_left_outside_the_root),
            root_test("a_bad_root_is_an_error_and_changes_nothing", a_bad_root_is_an_error),
            test("without_the_capability_the_root_stays", without_the_capability_the_root_stays),
            root_test("a_root_that_cannot_be_entered_is_an_error", a_root_that_cannot_be_entered_is_an_error),
        ],
    );
}

/// The fixture's argument.
fn path_arg() -> String {
    std::env::args().nth(1).expect("a path")
}

fn path() -> CString {
    c_path(path_arg())
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
    let dir = fs::File::open(path_arg()).expect("a directory");
    tell(word(fchdir(&dir)));
    wait_release();
}

fn an_open_directory_is_changed_to() {
    let dir = temp_dir();
    let running = fixture("opened").arg(dir.path()).start();
    assert_eq!(running.hear(), "ok");
    assert_eq!(proc::cwd(running.pid()), fs::canonicalize(dir.path()).expect("the directory"));
}

/// In this directory: paths that are no directory, and what the kernel says to them.
fn bad_paths(dir: &Path) -> [(PathBuf, Errno); 4] {
    fs::write(dir.join("file"), "").expect("a file");
    std::os::unix::fs::symlink("loop", dir.join("loop")).expect("a link");
    [
        (dir.join("none"), Errno::NOENT),
        (dir.join("file"), Errno::NOTDIR),
        (dir.join("loop"), Errno::LOOP),
        (dir.join("x".repeat(256)), Errno::NAMETOOLONG),
    ]
}

/// Asserts that a fixture heard this errno, and is where it was started.
#[track_caller]
fn failed_and_stayed(running: &Running, errno: Errno) {
    assert_eq!(running.hear(), errno.raw_os_error().to_string());
    assert_eq!(proc::cwd(running.pid()), std::env::current_dir().expect("a directory"));
    assert_eq!(proc::root(running.pid()), Path::new("/"));
}

fn a_bad_directory_is_an_error() {
    let dir = temp_dir();
    for (path, errno) in bad_paths(dir.path()) {
        failed_and_stayed(&fixture("changes").arg(path).start(), errno);
    }
}

fn changes_without_root() {
    hostile::without_root();
    changes();
}

fn opened_without_root() {
    let dir = fs::File::open(path_arg()).expect("a directory");
    hostile::without_root();
    tell(word(fchdir(&dir)));
    wait_release();
}

fn a_directory_that_may_not_be_searched_is_refused() {
    let dir = temp_dir();
    // Readable, so that it can be opened and, in the end, removed.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o400)).expect("chmod");
    failed_and_stayed(&fixture("changes_without_root").arg(dir.path()).start(), Errno::ACCESS);
    failed_and_stayed(&fixture("opened_without_root").arg(dir.path()).start(), Errno::ACCESS);
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
    for (path, errno) in bad_paths(dir.path()) {
        failed_and_stayed(&fixture("roots").arg(path).start(), errno);
    }
}

fn roots_without_root() {
    hostile::without_root();
    tell(word(chroot(c"/")));
    wait_release();
}

fn without_the_capability_the_root_stays() {
    failed_and_stayed(&fixture("roots_without_root").start(), Errno::PERM);
}

fn half_rooted() {
    hostile::deny(&[(libc::SYS_chdir, Errno::IO)]);
    tell(word(chroot(&path())));
}

fn a_root_that_cannot_be_entered_is_an_error() {
    let dir = temp_dir();
    assert_eq!(fixture("half_rooted").arg(dir.path()).run().0, format!("{}\n", Errno::IO.raw_os_error()));
}
