//! What a supervisor is told that has started this process: systemd's datagrams, s6's newline.

use crate::sys::{self, borrow, line, pipe, readable, write};
use core::ffi::CStr;
use core::time::Duration;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::Pid;

/// Tells the service manager a `state`: `READY=1`, `STATUS=` and a text, `STOPPING=1`; of several, each on a line.
///
/// `socket` is the value of `NOTIFY_SOCKET`: see [`getenv`](crate::getenv). Without that variable there is nobody to tell. A
/// path is looked up below the root directory, and an abstract name in the network namespace, that the process has now.
/// What is not to tell, a program that is executed, must not find the variable: [`drop_env`](crate::drop_env).
///
/// By default systemd listens to the main process only (`NotifyAccess=`), and may not know any more whose word it was when that
/// process has ended: before an exit call [`sd_notify_barrier`]. For a daemon that has detached, the first process tells of it
/// by [`sd_notify_main_pid`].
///
/// It waits while the manager's queue is full.
///
/// # Errors
///
/// * `EAFNOSUPPORT`: `socket` begins with neither `/` nor `@`. Newer versions of systemd have addresses of vsock(7), too, for
///   virtual machines: those are not supported.
/// * `ENAMETOOLONG`: it is longer than an address can be, which is 108 bytes.
/// * `ECONNREFUSED`: nobody has this address. `EPROTOTYPE`: whoever has it takes no datagrams.
/// * `EACCES`, `ELOOP`, `ENOENT`, `ENOTDIR`: as `path_resolution(7)` has them.
/// * `EMSGSIZE`: the state is too long.
/// * `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
///
/// # System calls
///
/// `socket`, `sendmsg`, `close`; on 32-bit x86 Linux 4.3.
///
/// See [sd_notify(3)](https://man7.org/linux/man-pages/man3/sd_notify.3.html), [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html).
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let manager = std::os::unix::net::UnixDatagram::bind(directory.path().join("notify"))?;
/// # let path = std::ffi::CString::new(format!("NOTIFY_SOCKET={}/notify", directory.path().display()))?;
/// # let mut block = [Some(daemon_steps::ThinCStr::from(&*path)), None];
/// # let environ = std::cell::Cell::from_mut(&mut block[..]).as_slice_of_cells();
/// use daemon_steps::{getenv, sd_notify};
/// if let Some(socket) = getenv(environ, c"NOTIFY_SOCKET") {
///     sd_notify(socket, b"READY=1\nSTATUS=at work")?;
/// }
/// # let mut message = [0; 64];
/// # let length = manager.recv(&mut message)?;
/// # assert_eq!(&message[..length], b"READY=1\nSTATUS=at work");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sd_notify(socket: &CStr, state: &[u8]) -> Result<(), Errno> {
    Ok(sys::send(socket, [state, b""], None)?)
}

/// Tells the service manager a `state`, and that `pid` is the service's main process from here on (`MAINPID=`).
///
/// For the process that the manager has started, when the daemon is ready and before this one exits. In one datagram: what came
/// later would come from a process that is not the main one any more.
///
/// # Errors
///
/// Those of [`sd_notify`].
///
/// # System calls
///
/// Those of [`sd_notify`].
///
/// See [sd_notify(3)](https://man7.org/linux/man-pages/man3/sd_notify.3.html).
///
/// ```no_run
/// use daemon_steps::*;
/// # let (socket, waiter, child) = (c"/run/systemd/notify", ready_pipe()?.0, rustix::process::getpid());
/// if let Outcome::Ready(daemon) = waiter.wait(child, None)? {
///     sd_notify_main_pid(socket, b"READY=1", daemon)?;
///     sd_notify_barrier(socket, None)?;
///     exit(0);
/// }
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn sd_notify_main_pid(socket: &CStr, state: &[u8], pid: Pid) -> Result<(), Errno> {
    let (mut main, mut place) = ([0; 19], [0; 11]);
    let text = b"MAINPID=".iter().chain(line(pid.as_raw_nonzero().get() as u32, &mut place));
    let length = main.iter_mut().zip(text).map(|(to, from)| *to = *from).count();
    Ok(sys::send(socket, [main.get(..length).unwrap_or_default(), state], None)?)
}

/// Waits until the service manager has taken in all that it was told before (`BARRIER=1`).
///
/// Not more than `timeout`, if there is one. The manager gets the write end of a pipe, and closes it when it is there; one older
/// than systemd 246 closes it, too.
///
/// # Errors
///
/// * `ETIMEDOUT`: not within `timeout`.
/// * `ETOOMANYREFS`: too many descriptors are on their way between processes.
/// * Those of [`sd_notify`].
///
/// # System calls
///
/// `pipe2` (2.6.27), `socket`, `sendmsg`, `close`, `ppoll`; on 32-bit x86 Linux 4.3.
///
/// See [sd_notify(3)](https://man7.org/linux/man-pages/man3/sd_notify.3.html), [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html).
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let manager = std::os::unix::net::UnixDatagram::bind(directory.path().join("notify"))?;
/// # let path = std::ffi::CString::new(format!("{}/notify", directory.path().display()))?;
/// use std::time::Duration;
/// # // Received without room for what is passed: that is closed.
/// # let reads = std::thread::spawn(move || manager.recv(&mut [0; 16]));
/// # let socket = &path;
/// daemon_steps::sd_notify_barrier(socket, Some(Duration::from_secs(5)))?;
/// # assert_eq!(reads.join().unwrap()?, 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sd_notify_barrier(socket: &CStr, timeout: Option<Duration>) -> Result<(), Errno> {
    let (read_end, write_end) = pipe()?;
    sys::send(socket, [b"BARRIER=1", b""], Some(borrow(&write_end)))?;
    drop(write_end);
    // Nobody writes: the one thing that comes is the end.
    if readable(borrow(&read_end), timeout)? { Ok(()) } else { Err(Errno::TIMEDOUT) }
}

/// Tells an s6 supervisor that this process is ready: writes a newline, and closes the descriptor.
///
/// Its number stands in the service directory's `notification-fd`. What [`wait_newline`](crate::wait_newline) waits for. It is
/// closed whatever the answer.
///
/// # Errors
///
/// * `EPIPE`: nobody reads it any more. Where `SIGPIPE` is neither ignored nor blocked, that ends the process.
/// * `EAGAIN`: it does not wait, and there is no room.
///
/// # System calls
///
/// `write`, `close`.
///
/// See [notifywhenup](https://skarnet.org/software/s6/notifywhenup.html).
///
/// ```
/// let (read_end, write_end) = rustix::pipe::pipe()?;
/// daemon_steps::write_newline(write_end)?;
/// assert!(daemon_steps::wait_newline(&read_end, rustix::process::getpid(), None)?);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn write_newline(fd: impl Into<OwnedFd>) -> Result<(), Errno> {
    let fd = fd.into();
    Ok(write(fd.as_raw_fd(), b"\n").map(drop)?)
}
