//! What a supervisor is told.

use super::{Function, of};
use crate::stage::alone;
use daemon_steps::{sd_notify, sd_notify_barrier, sd_notify_main_pid, write_newline};
use pidfile_proof::room;
use rustix::io::Errno;
use rustix::process::getpid;
use std::ffi::CStr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const SOCKET: &CStr = c"/mnt/notify";

/// The manager's side.
fn manager() -> UnixDatagram {
    UnixDatagram::bind("/mnt/notify").expect("a socket")
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        of("sd_notify").main(|| {
            let _manager = manager();
            alone(|| sd_notify(SOCKET, b"READY=1")).expect("told");
        }),
        of("sd_notify_main_pid").main(|| {
            let _manager = manager();
            let me = getpid();
            alone(|| sd_notify_main_pid(SOCKET, b"READY=1", me)).expect("told");
        }),
        of("sd_notify_barrier")
            .main(|| {
                let manager = manager();
                // Without room for a descriptor the kernel closes it.
                room::fork(|| i32::from(manager.recv(&mut [0; 16]).is_err()));
                alone(|| sd_notify_barrier(SOCKET, None)).expect("taken in");
            })
            .main(|| {
                let _manager = manager();
                assert_eq!(alone(|| sd_notify_barrier(SOCKET, Some(Duration::ZERO))), Err(Errno::TIMEDOUT));
            }),
        of("write_newline").main(|| {
            let (_hear, tell) = rustix::pipe::pipe().expect("a pipe");
            alone(|| write_newline(tell)).expect("told");
        }),
    ]
}
