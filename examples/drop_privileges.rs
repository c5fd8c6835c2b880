//! What only root may is done first; then the process becomes nobody, for good. Run as root. Ends on SIGTERM.
//!
//! ```text
//! cargo run --example drop_privileges
//! cargo run --example daemon -- stop --pidfile drop_privileges.pid
//! ```

use daemon_steps::{Error, Ids, Plan, SignalSet, Stdio, Step, Steps, daemonize, wait_signal};
use rustix::fs::Mode;
use rustix::process::{Gid, Signal, Uid};

fn main() -> Result<(), Error> {
    let ends = SignalSet::from(Signal::TERM);
    let nobody = Ids { uid: Uid::from_raw(65534), gid: Gid::from_raw(65534), groups: &[] };
    // The pid file and the log are opened before the drop; descriptors keep their rights. So would a socket of a low port,
    // bound before this call.
    let log = Stdio::File(c"drop_privileges.log", Mode::from_raw_mode(0o600));
    let daemon = daemonize(&Plan {
        pid_file: Some(c"drop_privileges.pid"),
        stdio: [Stdio::Null, log, log],
        ids: nobody,
        signal_mask: ends,
        ..Plan::new(Steps::DAEMON | Steps::PID_FILE | Steps::DROP_PRIVILEGES | Steps::NO_NEW_PRIVS)
    })?;
    println!("uid {}, gid {}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    wait_signal(ends, None).map_err(|errno| Step::SignalMask.failed(errno))?;
    // Where nobody may not remove the file, it is emptied.
    if let Some(pid_file) = daemon.pid_file {
        let _ = pid_file.remove();
    }
    Ok(())
}
