//! The pid file.

use super::{Function, LEFT, LOCKED, STREAM_CLOSED, of};
use crate::stage::alone;
use crate::surroundings::{PID_FILE, close, held, left_behind, locked, probed, reaped, replace, unheld};
use daemon_steps::{Holder, PidFile, holder, open_pid_file, openat, remove_left_over};
use pidfile_proof::room;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

const REPLACED: &str = "The file was replaced meanwhile";
const NOT_REMOVED: &str = "The name cannot be removed";

pub(super) fn functions() -> Vec<Function> {
    vec![
        lock(),
        lock_at(),
        claim(),
        of("PidFile::verify")
            .main(|| {
                let file = locked();
                alone(|| file.verify()).expect("the same");
            })
            .main(|| {
                let file = locked();
                replace();
                assert_eq!(alone(|| file.verify()), Err(Errno::STALE));
            }),
        of("PidFile::remove")
            .main(|| {
                let file = locked();
                alone(|| file.remove()).expect("removed");
            })
            .main(|| {
                let file = locked();
                replace();
                assert_eq!(alone(|| file.remove()), Err(Errno::STALE));
            })
            .when(&[NOT_REMOVED], || {
                let mut file = locked();
                file.leave_directory();
                alone(|| file.remove()).expect("emptied");
            }),
        of("PidFile::keep_across_exec").main(|| {
            let file = locked();
            alone(|| file.keep_across_exec()).expect("kept");
        }),
        of("PidFile::leave_directory").main(|| {
            let mut file = locked();
            alone(|| file.leave_directory());
        }),
        of("open_pid_file")
            .main(|| {
                drop(locked());
                alone(|| open_pid_file(PID_FILE)).expect("the file");
            })
            .main(|| assert_eq!(alone(|| open_pid_file(PID_FILE)).err(), Some(Errno::NOENT)))
            .main(|| assert_eq!(alone(|| open_pid_file(c"/mnt/missing/pid")).err(), Some(Errno::NOENT)))
            .main(|| assert_eq!(alone(|| open_pid_file(c"/mnt")).err(), Some(Errno::ISDIR)))
            .when(&[STREAM_CLOSED], || {
                drop(locked());
                close(0);
                alone(|| open_pid_file(PID_FILE)).expect("the file");
            }),
        of("holder")
            .main(|| {
                let file = held();
                assert!(matches!(alone(|| holder(&file)), Ok(Holder::Running(_))));
            })
            .main(|| {
                let file = unheld();
                assert_eq!(alone(|| holder(&file)), Ok(Holder::Nobody));
            })
            .main(|| {
                let file = locked();
                let asked = open_pid_file(PID_FILE).expect("the file");
                assert_eq!(alone(|| holder(&asked)), Ok(Holder::Starting));
                drop(file);
            })
            .when(&[LEFT], || {
                let file = left_behind();
                assert_eq!(alone(|| holder(&file)), Ok(Holder::LeftBehind));
            }),
        of("remove_left_over")
            .main(|| {
                drop(locked());
                assert_eq!(alone(|| remove_left_over(PID_FILE)), Ok(true));
            })
            .main(|| {
                held();
                assert_eq!(alone(|| remove_left_over(PID_FILE)), Ok(false));
            })
            .main(|| assert_eq!(alone(|| remove_left_over(PID_FILE)), Ok(false)))
            .main(|| assert_eq!(alone(|| remove_left_over(c"/mnt")), Err(Errno::ISDIR)))
            .main(|| {
                drop(locked());
                assert_eq!(alone(|| remove_left_over(PID_FILE)), Ok(true));
            })
            .meanwhile(libc::SYS_flock, replace)
            .when(&[STREAM_CLOSED], || {
                drop(locked());
                close(0);
                assert_eq!(alone(|| remove_left_over(PID_FILE)), Ok(true));
            }),
    ]
}

/// [`PidFile::lock_at`] alone, in a directory that was opened before something else was done.
fn locked_at(before: impl FnOnce()) -> Result<PidFile<'static>, Errno> {
    let dir = openat(CWD, c"/mnt", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("the directory");
    before();
    alone(|| PidFile::lock_at(dir, c"pid"))
}

fn lock_at() -> Function {
    of("PidFile::lock_at")
        .main(|| drop(locked_at(|| ()).expect("the lock")))
        .when(&[REPLACED], || drop(locked_at(|| ()).expect("the lock")))
        .meanwhile(libc::SYS_flock, replace)
        .when(&[STREAM_CLOSED], || drop(locked_at(|| close(0)).expect("the lock")))
        .when(&[LOCKED], || {
            held();
            assert_eq!(locked_at(|| ()).err(), Some(Errno::WOULDBLOCK));
        })
        .when(&[LOCKED], || {
            left_behind();
            assert_eq!(locked_at(|| ()).err(), Some(Errno::WOULDBLOCK));
        })
}

fn claim() -> Function {
    of("PidFile::claim")
        .main(|| {
            let file = locked();
            alone(|| file.claim()).expect("the claim");
        })
        .main(|| {
            let file = locked();
            file.claim().expect("the claim");
            let other = room::fork(|| i32::from(alone(|| file.claim()) != Err(Errno::AGAIN)));
            assert_eq!(reaped(other), Some(0));
        })
}

fn lock() -> Function {
    of("PidFile::lock")
        .main(|| drop(alone(|| PidFile::lock(PID_FILE)).expect("the lock")))
        .main(|| {
            let path = std::ffi::CString::new(format!("/mnt/{}pid", "./".repeat(300))).expect("no null");
            alone(|| PidFile::lock(&path)).expect("the lock");
        })
        .when(&[REPLACED], || drop(alone(|| PidFile::lock(PID_FILE)).expect("the lock")))
        .meanwhile(libc::SYS_flock, replace)
        .when(&[STREAM_CLOSED], || {
            close(0);
            alone(|| PidFile::lock(PID_FILE)).expect("the lock");
        })
        .when(&[LOCKED], || {
            held();
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::WOULDBLOCK));
        })
        .when(&[LOCKED], || {
            left_behind();
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::WOULDBLOCK));
        })
        .when(&[LOCKED], || {
            probed();
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::BUSY));
        })
        .main(|| {
            std::os::unix::fs::symlink("other", "/mnt/pid").expect("a symlink");
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::LOOP));
        })
        .main(|| assert_eq!(alone(|| PidFile::lock(c"/mnt")).err(), Some(Errno::ISDIR)))
        .main(|| assert_eq!(alone(|| PidFile::lock(c"/mnt/missing/pid")).err(), Some(Errno::NOENT)))
        .main(|| {
            drop(locked());
            std::os::unix::fs::chown("/mnt/pid", Some(1), None).expect("another's");
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::PERM));
        })
        .main(|| {
            drop(locked());
            std::fs::hard_link("/mnt/pid", "/mnt/name").expect("a second name");
            assert_eq!(alone(|| PidFile::lock(PID_FILE)).err(), Some(Errno::MLINK));
        })
}
