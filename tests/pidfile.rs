//! Pid files, seen in the directory, in `/proc/locks`, and by other processes that ask or start.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{Fork, Holder, PidFile, chdir, chroot, exit, fork, holder, ignore_signal, open_pid_file, remove_left_over};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, OFlags, flock, makedev, mknodat, openat};
use rustix::io::{Errno, read};
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::hostile::{self, Halt};
use support::{
    HEAR, Running, argument, c_path, fixture, path_argument, proc, root_test, tell, temp_dir, test, until, wait_byte,
    wait_release, word,
};

fn main() {
    support::main(
        &[
            ("steps", steps),
            ("paths", paths),
            ("asks_twice", asks_twice),
            ("claims_halted", claims_halted),
            ("foreign", foreign),
            ("foreign_probe", foreign_probe),
            ("replaced", replaced),
            ("turns_bad", turns_bad),
            ("poses", poses),
            ("remover_meets_start", remover_meets_start),
        ],
        vec![
            // Exclusion
            test("a_second_lock_in_the_same_process_is_refused", second_lock_in_the_same_process),
            test("a_second_lock_in_another_process_is_refused_and_changes_nothing", second_lock_in_another_process),
            test("of_simultaneous_locks_one_is_taken", one_of_many),
            test("a_child_keeps_the_lock_of_its_dead_parent", a_child_keeps_the_lock),
            test("a_child_that_closes_the_file_does_not_unlock_it", a_child_that_closes),
            // Holder
            test("the_kernel_holds_what_the_table_of_the_module_says", the_table_of_locks),
            test("a_holder_is_starting_then_running_then_nobody", starting_running_nobody),
            root_test("a_holder_in_another_pid_namespace_is_out_of_sight", out_of_sight),
            root_test("a_holder_in_a_child_namespace_is_named_in_the_askers", named_in_the_askers_namespace),
            test("a_worker_that_survives_its_daemon_is_left_behind", a_worker_is_left_behind),
            test("a_daemon_that_is_about_to_end_leaves_nothing_behind", about_to_end),
            test("a_daemon_that_reopened_its_file_is_told_as_left_behind", a_daemon_that_reopened),
            test("asking_does_not_disturb_a_holder", asking_does_not_disturb),
            test("a_holder_is_found_with_the_standard_streams_closed", with_closed_streams),
            test("a_holder_that_cannot_be_asked_is_an_error", a_holder_that_cannot_be_asked),
            test("left_behind_is_told_without_a_clock", left_behind_without_a_clock),
            // Foreign locks
            test("a_foreign_lock_is_not_taken_for_a_daemon", a_foreign_lock),
            test("a_foreign_lock_of_a_moment_refuses_no_start", a_foreign_lock_of_a_moment),
            test("a_reader_of_the_file_cannot_pose_as_a_holder", a_reader_cannot_pose),
            // Places
            test("a_bad_place_is_an_error_and_stays_as_it_was", bad_places),
            test("a_place_that_turns_bad_before_it_is_opened_is_an_error", a_place_that_turns_bad),
            root_test("a_bad_place_of_root_is_an_error_and_stays_as_it_was", bad_places_of_root),
            test("a_directory_that_was_removed_is_no_place", a_removed_directory),
            root_test("a_read_only_file_system_is_an_error", a_read_only_file_system),
            root_test("a_full_file_system_is_an_error", a_full_file_system),
            test("paths_of_every_length_work_up_to_the_limit", paths_of_every_length),
            root_test("a_path_directly_in_the_root_works", a_path_in_the_root),
            test("every_error_of_the_kernel_is_passed_on", errors_of_the_kernel),
            root_test("a_place_that_becomes_anothers_is_an_error", a_place_that_becomes_anothers),
            test("a_full_table_of_descriptors_creates_nothing", a_full_table),
            test("until_it_is_claimed_it_is_starting", until_it_is_claimed),
            // Content
            test("stale_content_is_told_and_gone_between_lock_and_claim", stale_content),
            test("a_claim_writes_the_pid_and_a_newline", a_claim_writes_the_pid),
            test("a_claim_of_another_process_is_refused", a_claim_is_refused),
            test("a_claim_that_cannot_be_written_is_an_error", a_claim_that_cannot_be_written),
            // Verify, remove
            test("a_removed_or_replaced_file_is_noticed", removed_or_replaced),
            test("a_daemon_removes_its_own_file", removes_its_own),
            test("a_daemon_does_not_remove_what_was_put_in_the_place", does_not_remove_anothers),
            test("a_file_that_cannot_be_removed_is_emptied", emptied),
            test("a_directory_that_was_left_is_no_way_to_the_file", left_directory),
            test("a_name_is_where_its_directory_is_open", name_in_an_open_directory),
            root_test("chdir_and_chroot_change_nothing", chdir_and_chroot),
            root_test("a_file_under_a_mount_is_emptied", under_a_mount),
            root_test("another_file_system_has_the_same_inode_numbers", twins),
            test("left_over_files_are_removed_and_held_ones_are_not", left_over),
            test("a_start_waits_for_a_remover", a_start_waits_for_a_remover),
            // exec
            test("a_program_holds_the_file_on_request_only", across_exec),
            // Replaced between open and flock
            test("a_file_that_is_replaced_while_it_is_locked_is_let_go", replaced_while_it_is_locked),
            test("a_file_that_is_replaced_sixteen_times_is_given_up", replaced_sixteen_times),
        ],
    );
}

// A fixture that takes steps

/// Takes the steps that the second argument lists, on the pid file that the first names; tells how each went.
fn steps() {
    let path = path_argument();
    let mut file = None;
    for step in argument(2).split_whitespace() {
        match (step, &mut file) {
            ("lock", _) => {
                let locked = PidFile::lock(path);
                tell(word(locked.as_ref().map_err(|errno| *errno)));
                // A second lock that is refused leaves the first.
                file = locked.ok().or(file);
            }
            ("lockat", _) => {
                let here = openat(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the directory");
                let locked = PidFile::lock_at(here, path);
                tell(word(locked.as_ref().map_err(|errno| *errno)));
                file = locked.ok().or(file);
            }
            ("remove", _) => tell(word(file.take().expect("a file").remove())),
            ("close", _) => file = None,
            ("open", _) => tell(word(open_pid_file(path))),
            ("holder", _) => {
                let holder = open_pid_file(path).and_then(|file| holder(&file));
                tell(holder.map_or_else(|e| word::<()>(Err(e)), |h| format!("{h:?}")));
            }
            ("leftover", _) => tell(remove_left_over(path).map_or_else(|e| word::<()>(Err(e)), |removed| removed.to_string())),
            ("claim", Some(file)) => tell(word(file.claim())),
            ("verify", Some(file)) => tell(word(file.verify())),
            ("keep", Some(file)) => tell(word(file.keep_across_exec())),
            ("leave", Some(file)) => file.leave_directory(),
            ("left", Some(file)) => tell(file.was_left()),
            _ => prepare(step, path),
        }
    }
    wait_release();
}

/// What a fixture does besides the steps of this file.
fn prepare(step: &str, path: &CStr) {
    match step.split_once(':').unwrap_or((step, "")) {
        ("wait", _) => wait_byte(),
        ("done", _) => tell("done"),
        ("worker", _) => worker(),
        ("daemon", _) => become_child(|| exit(0)),
        ("child", _) => become_child(wait_release),
        ("namespace", _) => {
            // SAFETY: only children are affected.
            unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.expect("a pid namespace");
            become_child(wait_release);
        }
        ("reopen", _) => drop(openat(CWD, path, OFlags::RDONLY, Mode::empty()).expect("the file")),
        ("chdir", _) => chdir(c"/").expect("chdir"),
        ("chroot", directory) => chroot(&c_path(directory)).expect("chroot"),
        ("nobody", _) => hostile::without_root(),
        ("exec", _) => execute(),
        ("streams", _) => close_streams(),
        ("deny", call) => hostile::deny(&[denied(call)]),
        ("limit", free) => limit_descriptors(free.parse().expect("a number")),
        ("size", _) => {
            ignore_signal(Signal::XFSZ).expect("ignored");
            setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) }).expect("a limit");
        }
        ("tmpfs", options) => mount_on(&directory_of(path), options),
        ("twin", _) => cover_with_twin(path),
        ("under", _) => {
            hostile::hide_proc();
            mount_bind(path, path).expect("a mount");
        }
        _ => panic!("no step: {step}"),
    }
}

fn directory_of(path: &CStr) -> PathBuf {
    let path = PathBuf::from(OsString::from_vec(path.to_bytes().to_vec()));
    path.parent().expect("a directory").to_owned()
}

/// A child that only waits; it has the descriptors.
fn worker() {
    match fork().expect("fork") {
        Fork::Parent(worker) => tell(worker.as_raw_nonzero()),
        Fork::Child => {
            wait_release();
            exit(0);
        }
    }
}

/// Goes on in a child as soon as its parent, which sees its number from outside, has told it; then the parent ends
/// as it is told to.
fn become_child(end: impl FnOnce()) {
    let (told, telling) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    if let Fork::Parent(child) = fork().expect("fork") {
        tell(child.as_raw_nonzero());
        drop(telling);
        end();
        exit(0);
    }
    drop(telling);
    assert_eq!(read(&told, &mut [0_u8; 1][..]), Ok(0));
}

/// A program that ends when the test lets go.
fn execute() {
    // SAFETY: the channel is open.
    let hear = unsafe { BorrowedFd::borrow_raw(HEAR) };
    let hear = hear.try_clone_to_owned().expect("a duplicate");
    panic!("{}", Command::new("cat").stdin(hear).exec());
}

fn close_streams() {
    for fd in 0..=2 {
        // SAFETY: the standard streams have no owner.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
}

fn denied(call: &str) -> (libc::c_long, Errno) {
    let (name, errno) = call.split_once('=').expect("a call and a number");
    let number = match name {
        "openat" => libc::SYS_openat,
        "stat" => hostile::SYS_NEWFSTATAT,
        "flock" => libc::SYS_flock,
        "fcntl" => libc::SYS_fcntl,
        "truncate" => libc::SYS_ftruncate,
        "pwrite" => libc::SYS_pwrite64,
        "unlink" => libc::SYS_unlinkat,
        "clock" => libc::SYS_clock_gettime,
        _ => panic!("no call: {name}"),
    };
    (number, Errno::from_raw_os_error(errno.parse().expect("a number")))
}

/// Leaves this many descriptors free.
fn limit_descriptors(free: u64) {
    let lowest = rustix::io::dup(std::io::stdin()).expect("a duplicate").as_raw_fd();
    let (current, maximum) = (Some(lowest as u64 + free), getrlimit(Resource::Nofile).maximum);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("a limit");
}

/// A tmpfs on the directory, for this process only: read-only, without room for a file, without room in a file.
fn mount_on(directory: &Path, kind: &str) {
    let place = c_path(directory);
    hostile::cover(&place);
    let options = if kind == "inodes" { c"nr_inodes=1,mode=755" } else { c"size=4k,mode=755" };
    mount(c"none", place.as_c_str(), c"tmpfs", MountFlags::empty(), options).expect("a tmpfs");
    match kind {
        "readonly" => mount_remount(place.as_c_str(), MountFlags::RDONLY, options).expect("read-only"),
        "blocks" => fs::write(directory.join("full"), [1; 4096]).expect("room for a page"),
        _ => {}
    }
}

/// A file with the same inode number, of another file system, comes to stand at the path.
fn cover_with_twin(path: &CStr) {
    let other = directory_of(path).join("other");
    fs::create_dir(&other).expect("a directory");
    mount(c"none", c_path(&other).as_c_str(), c"tmpfs", MountFlags::empty(), None).expect("a tmpfs");
    let number = |path: &Path| fs::metadata(path).expect("a file").ino();
    let wanted = number(&PathBuf::from(OsString::from_vec(path.to_bytes().to_vec())));
    let mut files = (0..100).map(|nth| other.join(nth.to_string()));
    let twin = files.find(|file| fs::write(file, "").is_ok() && number(file) == wanted).expect("the same number");
    mount_bind(c_path(twin).as_c_str(), path).expect("a mount");
}

// What tests use

/// A directory that everybody may search, with a name for a pid file in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = temp_dir();
        set_mode(directory.path(), 0o755);
        Self { directory }
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.path().join("pid")
    }

    /// A fixture that takes these steps.
    fn takes(&self, steps: &str) -> Running {
        takes(&self.pid_file(), steps)
    }

    /// Starts the steps, and asserts what is told.
    #[track_caller]
    fn told(&self, steps: &str, words: &str) -> Running {
        let running = self.takes(steps);
        hear(&running, words);
        running
    }

    #[track_caller]
    fn holder(&self) -> Holder {
        ask(&self.pid_file())
    }

    fn content(&self) -> String {
        fs::read_to_string(self.pid_file()).expect("the pid file")
    }
}

fn takes(path: &Path, steps: &str) -> Running {
    fixture("steps").arg(path).arg(steps).start()
}

#[track_caller]
fn hear(running: &Running, words: &str) {
    let heard: Vec<_> = words.split_whitespace().map(|_| running.hear()).collect();
    assert_eq!(heard.join(" "), words);
}

/// Asks as any other process would: this one has no lock.
#[track_caller]
fn ask(path: &Path) -> Holder {
    holder(&open_pid_file(&c_path(path)).expect("the pid file")).expect("an answer")
}

fn running(pid: i32) -> Holder {
    Holder::Running(Pid::from_raw(pid).expect("a pid"))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Kills a process that a fixture has started, or the fixture.
fn kill(pid: i32) {
    let pid = Pid::from_raw(pid).expect("a pid");
    kill_process(pid, Signal::KILL).expect("killed");
    support::wait_end(pid.as_raw_nonzero().get());
}

/// The record locks on the file, as `/proc/locks` has them: kind, access, pid, first byte, last byte.
fn record_locks(path: &Path) -> Vec<String> {
    let inode = format!(":{}", fs::metadata(path).expect("the pid file").ino());
    let mut locks: Vec<_> = fs::read_to_string("/proc/locks")
        .expect("/proc/locks")
        .lines()
        .map(|line| line.split_whitespace().map(String::from).collect::<Vec<_>>())
        .filter(|lock| lock.len() == 8 && lock[5].ends_with(&inode))
        .map(|lock| [&lock[1], &lock[3], &lock[4], &lock[6], &lock[7]].map(String::as_str).join(" "))
        .collect();
    locks.sort();
    locks
}

/// Waits, because `/proc/locks` is read in pieces, between which others lock and unlock.
#[track_caller]
fn locked_as(path: &Path, expected: &[String]) {
    until(&format!("{expected:?}"), || record_locks(path) == expected);
}

// Exclusion

const REFUSED: &str = "11";

fn second_lock_in_the_same_process() {
    let place = Place::new();
    let running = place.told("lock lock", &format!("ok {REFUSED}"));
    assert_eq!(place.holder(), Holder::Starting);
    drop(running);
    place.told("lock", "ok");
}

fn second_lock_in_another_process() {
    let place = Place::new();
    let first = place.told("lock claim", "ok ok");
    let before = snapshot(place.directory.path());
    let second = place.told("lock", REFUSED);
    assert_eq!(snapshot(place.directory.path()), before);
    assert_eq!(place.holder(), running(first.pid()));
    let directory = place.directory.path().to_str().expect("text");
    assert!(!support::proc::fds(second.pid()).values().any(|open| open.contains(directory)), "a descriptor is left");
}

fn one_of_many() {
    let place = Place::new();
    let mut starters: Vec<_> = (0..8).map(|_| place.takes("wait lock")).collect();
    starters.iter_mut().for_each(Running::step);
    let words: Vec<_> = starters.iter().map(Running::hear).collect();
    let winners: Vec<_> = (0..8).filter(|n| words[*n] == "ok").collect();
    assert_eq!(winners.len(), 1, "{words:?}");
    assert!(words.iter().all(|word| word == "ok" || word == REFUSED), "{words:?}");
    assert_eq!(place.holder(), Holder::Starting);
}

fn a_child_keeps_the_lock() {
    let place = Place::new();
    let starter = place.told("lock daemon", "ok");
    let daemon = starter.hear_pid();
    support::wait_end(starter.pid());
    assert_eq!(place.holder(), Holder::Starting);
    place.told("lock", REFUSED);
    kill(daemon);
    place.told("lock", "ok");
}

fn a_child_that_closes() {
    let place = Place::new();
    let starter = place.told("lock claim child close done", "ok ok");
    starter.hear_pid();
    hear(&starter, "done");
    assert_eq!(place.holder(), running(starter.pid()));
    place.told("lock", REFUSED);
}

// Holder

fn the_table_of_locks() {
    let place = Place::new();
    let daemon = place.told("lock wait claim", "ok");
    let pid = daemon.pid();
    locked_as(&place.pid_file(), &[format!("FLOCK WRITE {pid} 0 EOF"), "OFDLCK WRITE -1 1 1".into()]);
    let mut daemon = daemon;
    daemon.step();
    hear(&daemon, "ok");
    locked_as(
        &place.pid_file(),
        &[format!("FLOCK WRITE {pid} 0 EOF"), "OFDLCK WRITE -1 1 2".into(), format!("POSIX WRITE {pid} 0 0")],
    );
}

fn starting_running_nobody() {
    let place = Place::new();
    fs::write(place.pid_file(), "1\n").expect("a stale file");
    assert_eq!(place.holder(), Holder::Nobody);
    let mut starter = place.told("lock daemon wait claim wait close done", "ok");
    let daemon = starter.hear_pid();
    support::wait_end(starter.pid());
    assert_eq!(place.holder(), Holder::Starting);
    starter.step();
    hear(&starter, "ok");
    assert_eq!(place.holder(), running(daemon));
    starter.step();
    hear(&starter, "done");
    assert_eq!(place.holder(), Holder::Nobody);
}

fn out_of_sight() {
    let place = Place::new();
    let daemon = place.takes("namespace lock claim");
    let pid = daemon.hear_pid();
    hear(&daemon, "ok ok");
    let asker = place.takes("namespace holder lock holder");
    asker.hear_pid();
    hear(&asker, &format!("OutOfSight {REFUSED} OutOfSight"));
    assert_eq!(place.holder(), running(pid));
}

fn named_in_the_askers_namespace() {
    let place = Place::new();
    let daemon = place.takes("namespace lock claim");
    let pid = daemon.hear_pid();
    hear(&daemon, "ok ok");
    assert_eq!(place.holder(), running(pid));
    // People in the daemon's namespace read the number that it has there.
    assert_eq!(place.content(), "1\n");
}

fn a_worker_is_left_behind() {
    let place = Place::new();
    let mut daemon = place.told("lock claim worker", "ok ok");
    let worker = daemon.hear_pid();
    assert_eq!(place.holder(), running(daemon.pid()));
    kill(daemon.pid());
    assert_eq!(place.holder(), Holder::LeftBehind);
    place.told("lock leftover", &format!("{REFUSED} false"));
    daemon.release();
    support::wait_end(worker);
    assert_eq!(place.holder(), Holder::Nobody);
    place.told("lock left", "ok true");
}

/// Claims, and halts before the claim itself.
fn claims_halted() {
    let mut halt = Halt::at_fcntl(libc::F_SETLK);
    halt.start(|| {
        let file = PidFile::lock(path_argument()).expect("locked");
        file.claim().expect("claimed");
        tell("claimed");
        wait_release();
    });
    while let Some(halted) = halt.next() {
        tell("halted");
        wait_byte();
        halt.go(halted);
    }
}

fn until_it_is_claimed() {
    let place = Place::new();
    let mut starter = fixture("claims_halted").arg(place.pid_file()).start();
    hear(&starter, "halted");
    assert_eq!(place.holder(), Holder::Starting);
    starter.step();
    hear(&starter, "claimed");
    assert!(matches!(place.holder(), Holder::Running(_)));
}

/// Asks for the holder; tells when it has found something left behind, before it asks again.
fn asks_twice() {
    let mut halt = Halt::at_fcntl(libc::F_GETLK);
    halt.start(|| tell(format!("{:?}", open_pid_file(path_argument()).and_then(|file| holder(&file)).expect("an answer"))));
    let mut asked = 0;
    while let Some(halted) = halt.next() {
        asked += 1;
        // For the claim's mark, for the claim, and then once more.
        if asked == 3 {
            tell("again");
            wait_byte();
        }
        halt.go(halted);
    }
}

fn about_to_end() {
    let place = Place::new();
    // As the kernel ends a process: the claim first, and then the other locks.
    let daemon = place.told("lock claim reopen done", "ok ok done");
    let mut asker = fixture("asks_twice").arg(place.pid_file()).start();
    hear(&asker, "again");
    kill(daemon.pid());
    asker.step();
    hear(&asker, "Nobody");
}

fn a_daemon_that_reopened() {
    let place = Place::new();
    let daemon = place.told("lock claim reopen done", "ok ok done");
    assert_eq!(place.holder(), Holder::LeftBehind);
    place.told("lock", REFUSED);
    assert_eq!(place.content(), format!("{}\n", daemon.pid()));
}

fn asking_does_not_disturb() {
    let place = Place::new();
    let daemon = place.told("lock claim", "ok ok");
    let before = snapshot(place.directory.path());
    let pid = daemon.pid();
    let locks = [format!("FLOCK WRITE {pid} 0 EOF"), "OFDLCK WRITE -1 1 2".into(), format!("POSIX WRITE {pid} 0 0")];
    let askers: Vec<_> = (0..4).map(|_| place.takes("holder open")).collect();
    for asker in &askers {
        assert_eq!(asker.hear(), format!("{:?}", running(daemon.pid())));
        hear(asker, "ok");
    }
    locked_as(&place.pid_file(), &locks);
    assert_eq!(snapshot(place.directory.path()), before);
    // Somebody who has the file open for asking refuses nobody's start.
    drop(daemon);
    let file = open_pid_file(&c_path(place.pid_file())).expect("the file");
    assert_eq!(holder(&file), Ok(Holder::Nobody));
    place.told("lock", "ok");
}

fn with_closed_streams() {
    let place = Place::new();
    let daemon = place.told("streams lock claim", "ok ok");
    let fds = proc::fds(daemon.pid());
    assert!(fds.keys().all(|fd| *fd > 2), "{fds:?}");
    assert_eq!(fds.values().filter(|target| Path::new(target).starts_with(place.directory.path())).count(), 2, "{fds:?}");
    let named = format!("{:?}", running(daemon.pid()));
    assert_eq!(place.takes("streams holder").hear(), named);
    assert_eq!(place.takes("streams lock holder").hear(), REFUSED);
    assert_eq!(place.takes("holder").hear(), named);
}

fn a_holder_that_cannot_be_asked() {
    let place = Place::new();
    let _daemon = place.told("lock claim", "ok ok");
    let path = openat(CWD, place.pid_file(), OFlags::PATH, Mode::empty()).expect("a path");
    assert_eq!(holder(&path), Err(Errno::BADF));
    place.told("deny:fcntl=1 holder", "1");
}

fn left_behind_without_a_clock() {
    let place = Place::new();
    let daemon = place.told("lock claim worker", "ok ok");
    daemon.hear_pid();
    kill(daemon.pid());
    place.told("deny:clock=1 holder lock", &format!("LeftBehind {REFUSED}"));
}

// Foreign locks

const KINDS: [&str; 6] = ["flock", "flock-shared", "lockf", "lockf-shared", "ofd", "ofd-shared"];

/// Locks the whole file as other programs do.
fn foreign_lock(path: &Path, kind: &str) -> fs::File {
    let file = fs::File::options().read(true).write(true).open(path).expect("the file");
    match kind {
        "flock" => flock(&file, FlockOperation::NonBlockingLockExclusive).expect("a lock"),
        "flock-shared" => flock(&file, FlockOperation::NonBlockingLockShared).expect("a lock"),
        "lockf" => record_lock(&file, libc::F_SETLK, libc::F_WRLCK),
        "lockf-shared" => record_lock(&file, libc::F_SETLK, libc::F_RDLCK),
        "ofd" => record_lock(&file, libc::F_OFD_SETLK, libc::F_WRLCK),
        "ofd-shared" => record_lock(&file, libc::F_OFD_SETLK, libc::F_RDLCK),
        _ => panic!("no lock: {kind}"),
    }
    file
}

/// A lock on the whole file.
fn record_lock(file: &fs::File, command: i32, kind: i32) {
    lock_bytes(file, command, kind, 0, 0);
}

fn lock_bytes(file: &fs::File, command: i32, kind: i32, start: libc::off_t, length: libc::off_t) {
    let lock = libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: start, l_len: length, l_pid: 0 };
    // SAFETY: the kernel reads the structure.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const lock) }, 0);
}

fn foreign() {
    let _file = foreign_lock(Path::new(&argument(1)), &argument(2));
    tell("locked");
    wait_release();
}

fn a_foreign_lock() {
    for kind in KINDS {
        let place = Place::new();
        fs::write(place.pid_file(), "1\n").expect("a stale file");
        let foreign = fixture("foreign").arg(place.pid_file()).arg(kind).start();
        hear(&foreign, "locked");
        assert_eq!(place.holder(), Holder::Nobody, "{kind}");
        assert_eq!(place.takes("lock").hear(), "16", "{kind}");
        assert_eq!(place.content(), "1\n", "{kind}");
        drop(foreign);
        assert_eq!(place.takes("lock").hear(), "ok", "{kind}");
    }
}

/// Lets go of a foreign lock when the start has met it, and tries again.
fn foreign_probe() {
    let mut probe = Some(foreign_lock(Path::new(&argument(1)), &argument(2)));
    let mut halt = Halt::at(&[libc::SYS_flock]);
    halt.start(|| {
        probe = None;
        tell(word(PidFile::lock(path_argument())));
    });
    let mut tries = 0;
    while let Some(halted) = halt.next() {
        tries += 1;
        if tries == 2 {
            probe = None;
        }
        halt.go(halted);
    }
    drop(probe);
    tell(tries);
}

fn a_foreign_lock_of_a_moment() {
    for kind in KINDS {
        let place = Place::new();
        fs::write(place.pid_file(), "1\n").expect("a stale file");
        let told = fixture("foreign_probe").arg(place.pid_file()).arg(kind).run().0;
        assert_eq!(told, "ok\n2\n", "{kind}");
    }
}

/// Sets on each byte of a daemon's lock what a descriptor for reading allows.
fn poses() {
    let [first, second] = [(); 2].map(|()| fs::File::open(argument(1)).expect("the file"));
    lock_bytes(&first, libc::F_OFD_SETLK, libc::F_RDLCK, 1, 2);
    lock_bytes(&second, libc::F_SETLK, libc::F_RDLCK, 0, 1);
    tell("locked");
    wait_release();
}

fn a_reader_cannot_pose() {
    let place = Place::new();
    fs::write(place.pid_file(), "1\n").expect("a stale file");
    let reader = fixture("poses").arg(place.pid_file()).start();
    hear(&reader, "locked");
    locked_as(&place.pid_file(), &["OFDLCK READ -1 1 2".into(), format!("POSIX READ {} 0 0", reader.pid())]);
    assert_eq!(place.holder(), Holder::Nobody);
}

// Places

type Snapshot = BTreeMap<PathBuf, [u64; 9]>;

/// All that stat(2) tells of a directory and of what is in it, but the times of access.
fn snapshot(directory: &Path) -> Snapshot {
    let entries = fs::read_dir(directory).expect("the directory").map(|entry| entry.expect("an entry").path());
    entries
        .chain([directory.to_owned()])
        .map(|path| {
            let stat = fs::symlink_metadata(&path).expect("an entry");
            let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()].map(|time| time as u64);
            let [modified, modified_nsec, changed, changed_nsec] = times;
            let (mode, owner) = (stat.mode().into(), stat.uid().into());
            (path, [stat.ino(), stat.nlink(), stat.size(), mode, owner, modified, modified_nsec, changed, changed_nsec])
        })
        .collect()
}

/// What `lock`, `open_pid_file` and `remove_left_over` say of a place, which stays as it was.
#[track_caller]
fn bad(place: &Place, path: impl AsRef<Path>, before: &str, words: &str) {
    let path = place.directory.path().join(path);
    let was = snapshot(place.directory.path());
    let running = takes(&path, &format!("{before} lock open leftover"));
    let told: Vec<_> = (0..3).map(|_| running.hear()).collect();
    assert_eq!(told.join(" "), words, "{}", path.display());
    assert_eq!(snapshot(place.directory.path()), was, "{}", path.display());
}

fn bad_places() {
    let place = Place::new();
    let at = |name: &str| place.directory.path().join(name);
    fs::write(at("file"), "1\n").expect("a file");
    fs::write(at("first"), "1\n").expect("a file");
    fs::hard_link(at("first"), at("second")).expect("a link");
    symlink("file", at("symlink")).expect("a link");
    symlink("missing", at("dangling")).expect("a link");
    fs::create_dir(at("directory")).expect("a directory");
    fs::create_dir(at("unsearchable")).expect("a directory");
    fs::create_dir(at("unwritable")).expect("a directory");
    set_mode(&at("unsearchable"), 0o600);
    set_mode(&at("unwritable"), 0o555);
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
    mknodat(CWD, at("socket"), FileType::Socket, Mode::from_raw_mode(0o600), 0).expect("a socket");
    bad(&place, "symlink", "", "40 40 40");
    bad(&place, "dangling", "", "40 40 40");
    bad(&place, "directory", "", "21 21 21");
    bad(&place, "fifo", "", "22 22 22");
    bad(&place, "socket", "", "22 22 22");
    bad(&place, "first", "", "31 ok 31");
    bad(&place, "missing/pid", "", "2 2 2");
    bad(&place, "file/pid", "", "20 20 20");
    bad(&place, "file/", "", "20 20 20");
    bad(&place, "unwritable/pid", "nobody", "13 2 false");
    bad(&place, "unsearchable/pid", "nobody", "13 13 13");
    bad(&place, "/etc/passwd", "nobody", "1 ok 1");
    bad(&place, "n".repeat(256), "", "36 36 36");
    bad(&place, "n".repeat(256) + "/pid", "", "36 36 36");
    for path in ["directory/", "directory/.", "directory/..", "directory//", "/"] {
        bad(&place, path, "", "21 21 21");
    }
    for path in ["", ".", ".."] {
        hear(&takes(Path::new(path), "lock open leftover"), "21 21 21");
    }
    // For the temporary directory's own removal.
    set_mode(&at("unsearchable"), 0o700);
}

/// Halted before the file is opened; meanwhile what is called `bad` comes to stand there.
fn turns_bad() {
    let path = PathBuf::from(argument(1));
    let mut halt = Halt::at(&[libc::SYS_openat]);
    halt.start(|| match argument(2).as_str() {
        "lock" => tell(word(PidFile::lock(path_argument()))),
        _ => tell(word(open_pid_file(path_argument()))),
    });
    let mut tries = 0;
    while let Some(halted) = halt.next() {
        tries += 1;
        // The first is that of the directory.
        if tries == 2 {
            fs::rename(path.with_file_name("bad"), &path).expect("something bad");
        }
        halt.go(halted);
    }
}

fn a_place_that_turns_bad() {
    turn_bad(&[
        ("fifo", 22, &["lock", "open"]),
        ("symlink", 40, &["lock", "open"]),
        ("dangling", 40, &["lock", "open"]),
        ("directory", 21, &["lock"]),
        ("link", 31, &["lock"]),
    ]);
}

fn a_place_that_becomes_anothers() {
    turn_bad(&[("owned", 1, &["lock"])]);
}

fn turn_bad(cases: &[(&str, i32, &[&str])]) {
    for (kind, errno, functions) in cases {
        for function in *functions {
            let place = Place::new();
            let [other, bad] = ["other", "bad"].map(|name| place.directory.path().join(name));
            fs::write(&other, "1\n").expect("a file");
            match *kind {
                "fifo" => mknodat(CWD, &bad, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO"),
                "symlink" => symlink("other", &bad).expect("a link"),
                "dangling" => symlink("missing", &bad).expect("a link"),
                "directory" => fs::create_dir(&bad).expect("a directory"),
                "owned" => {
                    fs::write(&bad, "1\n").expect("a file");
                    chown(&bad, Some(65534), None).expect("another's file");
                }
                _ => fs::hard_link(&other, &bad).expect("a link"),
            }
            if *function == "open" {
                fs::write(place.pid_file(), "1\n").expect("a file");
            }
            let told = fixture("turns_bad").arg(place.pid_file()).arg(function).run().0;
            assert_eq!(told, format!("{errno}\n"), "{kind} {function}");
            assert_eq!(fs::read_to_string(&other).expect("the file"), "1\n", "{kind} {function}");
            assert_eq!(fs::read_dir(place.directory.path()).expect("the directory").count(), 2, "{kind} {function}");
            if *kind == "owned" {
                assert_eq!(place.content(), "1\n");
            }
        }
    }
}

fn bad_places_of_root() {
    let place = Place::new();
    let at = |name: &str| place.directory.path().join(name);
    let mode = Mode::from_raw_mode(0o600);
    // The numbers of /dev/null and of a loop device.
    mknodat(CWD, at("character"), FileType::CharacterDevice, mode, makedev(1, 3)).expect("a device");
    mknodat(CWD, at("block"), FileType::BlockDevice, mode, makedev(7, 0)).expect("a device");
    fs::write(at("anothers"), "1\n").expect("a file");
    chown(at("anothers"), Some(65534), None).expect("chown");
    bad(&place, "character", "", "22 22 22");
    bad(&place, "block", "", "22 22 22");
    bad(&place, "anothers", "", "1 ok 1");
}

fn a_removed_directory() {
    let place = Place::new();
    let support::Fixture { mut command } = fixture("steps").arg("pid").arg("wait lock open leftover");
    command.current_dir(place.directory.path());
    let mut starter = support::Fixture { command }.start();
    fs::remove_dir(place.directory.path()).expect("removed");
    starter.step();
    hear(&starter, "2 2 false");
}

/// The names in the directory, as the process sees it.
fn seen_by(running: &Running, place: &Place) -> Vec<OsString> {
    let directory = place.directory.path().strip_prefix("/").expect("an absolute path");
    let entries = fs::read_dir(Path::new(&format!("/proc/{}/root", running.pid())).join(directory)).expect("the directory");
    entries.map(|entry| entry.expect("an entry").file_name()).collect()
}

fn a_read_only_file_system() {
    let place = Place::new();
    let starter = place.told("tmpfs:readonly lock open leftover", "30 2 false");
    assert!(seen_by(&starter, &place).is_empty());
}

fn a_full_file_system() {
    let place = Place::new();
    let starter = place.told("tmpfs:inodes lock open leftover", "28 2 false");
    assert!(seen_by(&starter, &place).is_empty());
    // Room for a name, none for a byte.
    let starter = place.told("tmpfs:blocks lock claim remove", "ok 28 ok");
    assert_eq!(seen_by(&starter, &place), ["full"]);
}

/// Locks and claims each of the paths; tells how that went.
fn paths() {
    for path in std::env::args_os().skip(1) {
        let path = c_path(path);
        tell(word(PidFile::lock(&path).and_then(|file| file.claim())));
    }
    wait_release();
}

/// Locks and claims the paths, which are relative to the place, and looks whether each file is where it belongs.
fn lock_all(place: &Place, paths: &[PathBuf]) {
    let directory = fs::File::open(place.directory.path()).expect("the directory");
    for path in paths {
        make_directories(&directory, path);
    }
    let support::Fixture { mut command } = fixture("paths");
    command.current_dir(place.directory.path()).args(paths);
    let running = support::Fixture { command }.start();
    for path in paths {
        assert_eq!(running.hear(), "ok", "{}", path.display());
        let file = openat(&directory, path, OFlags::RDONLY, Mode::empty()).unwrap_or_else(|e| panic!("{e}: {}", path.display()));
        assert_eq!(std::io::read_to_string(fs::File::from(file)).expect("a number"), format!("{}\n", running.pid()));
    }
}

fn make_directories(start: &fs::File, path: &Path) {
    let mut directory = start.try_clone().expect("a duplicate");
    for part in path.parent().expect("a directory").components() {
        let part = part.as_os_str();
        let _ = rustix::fs::mkdirat(&directory, part, Mode::from_raw_mode(0o755));
        let next = openat(&directory, part, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("a directory");
        directory = fs::File::from(next);
    }
}

fn paths_of_every_length() {
    let place = Place::new();
    // Around the length of a piece, with one slash, and with more than one where the path is cut.
    let mut paths = Vec::new();
    for length in 250..=255 {
        let directory = "d".repeat(length);
        for slashes in ["/", "//", "///", "/./", "/.//", "//.////"] {
            paths.push(format!("{directory}{slashes}pid{}", paths.len()));
            paths.push(format!("{directory}{slashes}{directory}{slashes}pid{}", paths.len()));
            paths.push(format!("a/{directory}{slashes}b{slashes}{directory}{slashes}pid{}", paths.len()));
        }
    }
    // Up to the longest path that there is.
    for length in (300..=4000).step_by(100).chain([4094, 4095]) {
        let directories = (length - 1) / 100;
        paths.push(("p".repeat(99) + "/").repeat(directories) + &"n".repeat(length - 100 * directories));
    }
    paths.push("s".repeat(2) + &"/".repeat(4000) + "pid");
    lock_all(&place, &paths.iter().map(PathBuf::from).collect::<Vec<_>>());
    hear(&takes(Path::new(&("./".repeat(2045) + "pid00")), "open"), "2");
    for length in [4096, 4097, 9000] {
        hear(&takes(Path::new(&"./".repeat(length).split_off(length)), "lock open leftover"), "36 36 36");
    }
}

fn a_path_in_the_root() {
    let place = Place::new();
    let directory = place.directory.path().to_str().expect("utf-8");
    for path in ["/pid", "//pid", "/./pid", "/../pid"] {
        let daemon = takes(Path::new(path), &format!("chroot:{directory} lock claim holder"));
        hear(&daemon, "ok ok");
        assert_eq!(place.content(), format!("{}\n", daemon.pid()));
    }
}

fn errors_of_the_kernel() {
    let place = Place::new();
    for errno in [5, 12, 23, 24, 28, 122] {
        place.told(&format!("deny:openat={errno} lock open leftover"), &[errno.to_string().as_str(); 3].join(" "));
    }
    assert!(!place.pid_file().exists());
    place.told("deny:stat=13 lock", "13");
    place.told("deny:flock=37 lock", "37");
    place.told("deny:fcntl=37 lock", "37");
    place.told("deny:truncate=5 lock", "5");
    place.told("lock deny:fcntl=37 claim", "ok 37");
    place.told("lock deny:fcntl=1 keep", "ok 1");
    place.told("lock deny:pwrite=5 claim", "ok 5");
    place.told("lock deny:stat=13 verify", "ok 13");
    place.told("lock claim deny:unlink=5 remove", "ok ok 5");
    for refused in [1, 13, 16, 30] {
        place.told(&format!("lock claim deny:unlink={refused} remove"), "ok ok ok");
        assert_eq!(place.content(), "");
    }
    // An empty file is left, which misleads nobody and is the next start's.
    assert_eq!(place.content(), "");
    place.told("lock claim remove", "ok ok ok");
    assert!(!place.pid_file().exists());
}

fn a_full_table() {
    for free in 0..2 {
        let place = Place::new();
        place.told(&format!("limit:{free} lock"), "24");
        assert!(!place.pid_file().exists());
    }
}

// Content

fn stale_content() {
    let huge = "9".repeat(5000);
    for content in ["0\n", "-1\n", "1\n", "2147483648\n", "18446744073709551617\n", &huge, "garbage", "\n", "\0", ""] {
        let place = Place::new();
        fs::write(place.pid_file(), content).expect("a stale file");
        assert_eq!(place.holder(), Holder::Nobody, "{content:?}");
        let mut daemon = place.told("lock left wait claim left", &format!("ok {}", !content.is_empty()));
        assert_eq!(place.content(), "", "{content:?}");
        daemon.step();
        hear(&daemon, "ok");
        assert_eq!(place.content(), format!("{}\n", daemon.pid()), "{content:?}");
    }
    Place::new().told("lock left", "ok false");
}

fn a_claim_writes_the_pid() {
    let place = Place::new();
    let starter = place.told("lock daemon claim claim", "ok");
    let daemon = starter.hear_pid();
    hear(&starter, "ok ok");
    assert_eq!(place.content(), format!("{daemon}\n"));
    let file = fs::metadata(place.pid_file()).expect("the file");
    assert_eq!(file.mode() & 0o7777 & !0o644, 0);
    assert_eq!(file.uid(), rustix::process::geteuid().as_raw());
}

fn a_claim_is_refused() {
    let place = Place::new();
    let daemon = place.told("lock claim child claim", "ok ok");
    daemon.hear_pid();
    hear(&daemon, REFUSED);
    assert_eq!(place.holder(), running(daemon.pid()));
    assert_eq!(place.content(), format!("{}\n", daemon.pid()));
}

fn a_claim_that_cannot_be_written() {
    let place = Place::new();
    place.told("lock size claim remove", "ok 27 ok");
    assert!(!place.pid_file().exists());
}

// Verify, remove

/// Puts another file in the place, as mv(1) does.
fn replace(path: &Path, content: &str) {
    let other = path.with_extension("new");
    fs::write(&other, content).expect("another file");
    fs::rename(&other, path).expect("another file in its place");
}

fn removed_or_replaced() {
    let place = Place::new();
    let mut daemon = place.told("lock claim verify wait verify wait verify wait verify", "ok ok ok");
    let file = place.pid_file();
    let aside = place.directory.path().join("aside");
    fs::rename(&file, &aside).expect("aside");
    daemon.step();
    hear(&daemon, "2");
    fs::copy(&aside, &file).expect("a copy");
    daemon.step();
    hear(&daemon, "116");
    fs::rename(&aside, &file).expect("back");
    daemon.step();
    hear(&daemon, "ok");
}

fn removes_its_own() {
    let place = Place::new();
    let starter = place.told("lock daemon claim remove", "ok");
    starter.hear_pid();
    hear(&starter, "ok ok");
    assert_eq!(fs::read_dir(place.directory.path()).expect("the directory").count(), 0);
    place.told("lock remove", "ok ok");
    assert!(!place.pid_file().exists());
}

fn does_not_remove_anothers() {
    let place = Place::new();
    let file = place.pid_file();
    for (what, errno) in [("nothing", "2"), ("file", "116"), ("symlink", "116"), ("directory", "116")] {
        let mut daemon = place.told("lock claim wait remove", "ok ok");
        fs::remove_file(&file).expect("removed by hand");
        match what {
            "file" => fs::write(&file, "1\n").expect("a file"),
            "symlink" => symlink("pid.real", &file).expect("a link"),
            "directory" => fs::create_dir(&file).expect("a directory"),
            _ => {}
        }
        let before = snapshot(place.directory.path());
        daemon.step();
        hear(&daemon, errno);
        assert_eq!(snapshot(place.directory.path()), before);
        let _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
    }
    let mut first = place.told("lock claim wait remove", "ok ok");
    fs::remove_file(&file).expect("removed by hand");
    let second = place.told("lock claim", "ok ok");
    first.step();
    hear(&first, "116");
    assert_eq!(place.holder(), running(second.pid()));
    assert_eq!(place.content(), format!("{}\n", second.pid()));
}

fn emptied() {
    // The directory may not be written any more, or not even be searched.
    for mode in [0o555, 0o600] {
        let place = Place::new();
        let mut daemon = place.told("lock claim nobody wait verify remove", "ok ok");
        set_mode(place.directory.path(), mode);
        daemon.step();
        hear(&daemon, if mode == 0o600 { "13 ok" } else { "ok ok" });
        set_mode(place.directory.path(), 0o755);
        assert_eq!(place.content(), "");
        assert_eq!(place.holder(), Holder::Nobody);
        place.told("lock left", "ok false");
    }
}

fn left_directory() {
    let place = Place::new();
    let mut daemon = place.told("lock claim leave verify wait remove", "ok ok 9");
    let fds = proc::fds(daemon.pid());
    let directory = place.directory.path();
    assert_eq!(fds.values().filter(|target| Path::new(target).starts_with(directory)).count(), 1, "{fds:?}");
    assert_eq!(place.holder(), running(daemon.pid()));
    daemon.step();
    hear(&daemon, "ok");
    assert_eq!(place.content(), "");
}

/// Takes the steps on `pid` in a directory that is left meanwhile.
fn leaves_the_directory(place: &Place, steps: &str) {
    let support::Fixture { mut command } = fixture("steps").arg("pid").arg(steps);
    command.current_dir(place.directory.path());
    let mut daemon = support::Fixture { command }.start();
    hear(&daemon, "ok ok ok");
    assert_eq!(place.holder(), running(daemon.pid()), "{steps}");
    assert_eq!(place.takes("lockat").hear(), REFUSED, "a path from the root needs no directory");
    daemon.step();
    hear(&daemon, "ok");
    assert!(!place.pid_file().exists(), "{steps}");
}

fn name_in_an_open_directory() {
    leaves_the_directory(&Place::new(), "lockat claim chdir verify wait remove");
}

fn chdir_and_chroot() {
    for lock in ["lock", "lockat"] {
        leaves_the_directory(&Place::new(), &format!("{lock} claim chdir chroot:/dev verify wait remove"));
    }
}

fn under_a_mount() {
    let place = Place::new();
    fs::write(place.pid_file(), "1\n").expect("a file");
    place.told("under lock claim remove", "ok ok ok");
    assert_eq!(place.content(), "");
}

fn twins() {
    let stale = Errno::STALE.raw_os_error();
    Place::new().told("tmpfs: lock claim twin verify", &format!("ok ok {stale}"));
}

fn left_over() {
    let place = Place::new();
    place.told("leftover", "false");
    fs::write(place.pid_file(), "1\n").expect("a stale file");
    place.told("leftover", "true");
    assert!(!place.pid_file().exists());
    let mut daemon = place.told("lock wait claim", "ok");
    place.told("leftover", "false");
    daemon.step();
    hear(&daemon, "ok");
    place.told("leftover", "false");
    assert_eq!(place.holder(), running(daemon.pid()));
    assert_eq!(place.content(), format!("{}\n", daemon.pid()));
}

/// A start finds the file locked by a remover that is about to unlink it.
fn remover_meets_start() {
    let path = path_argument();
    let mut halt = Halt::at(&[libc::SYS_flock, libc::SYS_unlinkat]);
    halt.start(|| tell(remove_left_over(path).expect("removed")));
    let lock = halt.next().expect("the remover's lock");
    halt.go(lock);
    let unlink = halt.next().expect("the remover's unlink");
    halt.start(|| {
        let locked = PidFile::lock(path);
        tell(word(locked.as_ref().map_err(|errno| *errno)));
        wait_release();
    });
    let first = halt.next().expect("the start's lock");
    halt.go(first);
    let again = halt.next().expect("the start's next try");
    halt.go(unlink);
    halt.go(again);
    while let Some(halted) = halt.next() {
        halt.go(halted);
    }
}

fn a_start_waits_for_a_remover() {
    let place = Place::new();
    fs::write(place.pid_file(), "1\n").expect("a stale file");
    let running = fixture("remover_meets_start").arg(place.pid_file()).start();
    let mut told = [running.hear(), running.hear()];
    told.sort();
    assert_eq!(told, ["ok", "true"]);
    assert_eq!(place.holder(), Holder::Starting);
}

// exec

fn across_exec() {
    let place = Place::new();
    for (steps, words) in [("lock claim keep exec", "ok ok ok"), ("lock keep exec", "ok ok"), ("lock claim exec", "ok ok")] {
        let mut daemon = place.told(steps, words);
        let pid = daemon.pid();
        until("the program runs", || proc::stat(pid)[2] == "cat");
        match steps {
            "lock claim keep exec" => {
                assert_eq!(place.holder(), running(pid));
                let claim = format!("POSIX WRITE {pid} 0 0");
                until("the claim is seen", || record_locks(&place.pid_file()).contains(&claim));
                place.told("lock", REFUSED);
            }
            "lock keep exec" => assert_eq!(place.holder(), Holder::Starting),
            _ => {
                assert_eq!(place.holder(), Holder::Nobody);
                place.told("lock", "ok");
            }
        }
        daemon.release();
        assert!(daemon.status().success());
        assert_eq!(place.holder(), Holder::Nobody);
    }
}

// Replaced between open and flock

/// A start that is halted at each flock(2), as often as the test says, while the file is removed or replaced.
fn replaced() {
    let path = PathBuf::from(argument(1));
    let how = argument(2);
    let times: u32 = argument(3).parse().expect("a number");
    let mut halt = Halt::at(&[libc::SYS_flock]);
    halt.start(|| {
        let locked = PidFile::lock(path_argument());
        tell(word(locked.as_ref().map_err(|errno| *errno)));
        wait_release();
    });
    let mut tries = 0;
    while let Some(halted) = halt.next() {
        tries += 1;
        match how.as_bytes() {
            _ if tries > times => {}
            b"remove" => fs::remove_file(&path).expect("removed"),
            _ => replace(&path, "1\n"),
        }
        halt.go(halted);
    }
    tell(tries);
}

fn start_while_replaced(place: &Place, how: &str, times: u32) -> Running {
    fixture("replaced").arg(place.pid_file()).arg(how).arg(times.to_string()).start()
}

fn replaced_while_it_is_locked() {
    for how in ["remove", "replace"] {
        for times in [1, 15] {
            let place = Place::new();
            let mut starter = start_while_replaced(&place, how, times);
            hear(&starter, "ok");
            assert_eq!(place.holder(), Holder::Starting);
            assert_eq!(place.content(), "");
            until("the new file is locked", || record_locks(&place.pid_file()).iter().any(|lock| lock.starts_with("FLOCK")));
            place.told("lock", REFUSED);
            starter.release();
            assert_eq!(starter.hear(), (times + 1).to_string());
        }
    }
}

fn replaced_sixteen_times() {
    let place = Place::new();
    let mut starter = start_while_replaced(&place, "replace", 100);
    hear(&starter, "116");
    assert!(record_locks(&place.pid_file()).is_empty());
    assert_eq!(place.content(), "1\n");
    starter.release();
    assert_eq!(starter.hear(), "16");
    place.told("lock left", "ok true");
}
