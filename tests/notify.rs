//! What a supervisor is told: by a socket that is systemd's side, and a pipe that is s6's.

#![allow(unsafe_code)]

mod support;

use daemon_steps::{sd_notify, sd_notify_barrier, sd_notify_main_pid, wait_newline, write_newline};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Resource, Rlimit, getpid, setrlimit};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;
use support::{LIMIT, Running, c_path, fixture, hostile, proc, readable, tell, temp_dir, test, wait_release, word};

fn main() {
    support::main(
        &[
            ("tells", tells),
            ("many", many),
            ("barrier", barrier),
            ("no_entry", no_entry),
            ("denied", denied),
            ("full_table", full_table),
            ("newline_to_nobody", newline_to_nobody),
        ],
        vec![
            test("a_path_and_an_abstract_name_are_reached", a_path_and_an_abstract_name_are_reached),
            test("an_address_may_fill_its_place", an_address_may_fill_its_place),
            test("any_other_address_is_refused", any_other_address_is_refused),
            test("nobody_there_is_an_error", nobody_there_is_an_error),
            test("a_path_that_may_not_be_gone_is_an_error", a_path_that_may_not_be_gone_is_an_error),
            test("a_state_that_is_too_long_is_an_error", a_state_that_is_too_long_is_an_error),
            test("the_main_process_is_told_by_number", the_main_process_is_told_by_number),
            test("a_full_queue_is_waited_for", a_full_queue_is_waited_for),
            test("the_barrier_opens_when_the_descriptor_is_closed", the_barrier_opens_when_the_descriptor_is_closed),
            test("a_barrier_that_stays_is_given_up", a_barrier_that_stays_is_given_up),
            test("a_denied_call_is_an_error", a_denied_call_is_an_error),
            test("a_full_table_is_an_error", a_full_table_is_an_error),
            test("a_newline_is_written_and_the_descriptor_closed", a_newline_is_written_and_the_descriptor_closed),
            test("a_newline_that_nobody_reads_is_an_error", a_newline_that_nobody_reads_is_an_error),
            test("a_newline_without_room_is_an_error", a_newline_without_room_is_an_error),
        ],
    );
}

/// A manager, and its address as `NOTIFY_SOCKET` has it.
struct Manager {
    socket: UnixDatagram,
    address: CString,
    directory: Option<tempfile::TempDir>,
}

impl Manager {
    fn at_path() -> Self {
        let directory = temp_dir();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self { socket, address: c_path(path), directory: Some(directory) }
    }

    /// At a name of its own; with `length` it is that long.
    fn abstract_of(length: usize) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("{:x<length$}", format!("daemon-steps-{}-{count}-", std::process::id()));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
        Self { socket, address: CString::new(format!("@{name}")).expect("no null"), directory: None }
    }

    fn both() -> [Self; 2] {
        [Self::at_path(), Self::abstract_of(0)]
    }

    /// What comes next, and what is passed with it.
    fn receive(&self) -> (String, Vec<OwnedFd>) {
        assert!(readable(self.socket.as_fd(), LIMIT), "a datagram in time");
        let mut bytes = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).expect("a datagram");
        let mut passed = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                passed.extend(fds);
            }
        }
        (String::from_utf8(bytes[..message.bytes].to_vec()).expect("utf-8"), passed)
    }

    /// What comes next, with nothing passed.
    fn hear(&self) -> String {
        let (text, passed) = self.receive();
        assert!(passed.is_empty(), "{text}: passes nothing");
        text
    }

    fn is_silent(&self) -> bool {
        !readable(self.socket.as_fd(), Duration::ZERO)
    }

    /// Starts a fixture that tells this manager something.
    fn teller(&self, name: &str) -> Running {
        fixture(name).arg(self.address.to_str().expect("utf-8")).start()
    }
}

fn tells() {
    let socket = support::path_argument();
    let before = proc::fds(std::process::id() as i32).len();
    sd_notify(socket, b"READY=1\nSTATUS=at work").expect("told");
    sd_notify(socket, b"STOPPING=1").expect("told");
    tell(proc::fds(std::process::id() as i32).len() - before);
}

fn a_path_and_an_abstract_name_are_reached() {
    for manager in Manager::both() {
        let teller = manager.teller("tells");
        assert_eq!(manager.hear(), "READY=1\nSTATUS=at work");
        assert_eq!(manager.hear(), "STOPPING=1");
        assert_eq!(teller.hear(), "0", "nothing stays open");
        assert!(manager.is_silent());
    }
}

/// A path of so many bytes, and the socket there: bound by another path, since the library wants room for a null.
fn at_path_of(length: usize) -> Manager {
    let directory = temp_dir();
    let above = directory.path().join("x".repeat(length - directory.path().as_os_str().len() - 3));
    std::fs::create_dir(&above).expect("a directory");
    let opened = std::fs::File::open(&above).expect("the directory");
    let socket = UnixDatagram::bind(format!("/proc/self/fd/{}/s", opened.as_raw_fd())).expect("a socket");
    let address = c_path(above.join("s"));
    assert_eq!(address.count_bytes(), length);
    Manager { socket, address, directory: Some(directory) }
}

fn an_address_may_fill_its_place() {
    let [names, paths] = [[106, 107].map(Manager::abstract_of), [107, 108].map(at_path_of)];
    for manager in names.into_iter().chain(paths) {
        assert_eq!(sd_notify(&manager.address, b"READY=1"), Ok(()), "{:?}", manager.address);
        assert_eq!(manager.hear(), "READY=1");
    }
    for first in ["/", "@"] {
        let address = CString::new(first.to_owned() + &"x".repeat(108)).expect("no null");
        assert_eq!(sd_notify(&address, b"READY=1"), Err(Errno::NAMETOOLONG), "{address:?}");
    }
}

/// All three say so.
fn refused(address: &CStr, errno: Errno) {
    assert_eq!(sd_notify(address, b"READY=1"), Err(errno), "{address:?}");
    assert_eq!(sd_notify_main_pid(address, b"READY=1", getpid()), Err(errno), "{address:?}");
    assert_eq!(sd_notify_barrier(address, Some(LIMIT)), Err(errno), "{address:?}");
}

fn any_other_address_is_refused() {
    for address in [c"", c"notify", c"vsock:2:1234", c"vsock-stream:2:1234", c" /run/systemd/notify"] {
        refused(address, Errno::AFNOSUPPORT);
    }
}

fn nobody_there_is_an_error() {
    let directory = temp_dir();
    let path = directory.path().join("notify");
    let address = c_path(&path);
    refused(&address, Errno::NOENT);
    drop(UnixDatagram::bind(&path).expect("a socket"));
    refused(&address, Errno::CONNREFUSED);
    refused(&c_path(path.join("below")), Errno::NOTDIR);
    let stream = directory.path().join("stream");
    let _listener = UnixListener::bind(&stream).expect("a socket");
    refused(&c_path(stream), Errno::PROTOTYPE);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&link, &link).expect("a link");
    refused(&c_path(link), Errno::LOOP);
    let gone = Manager::abstract_of(0);
    drop(gone.socket);
    refused(&gone.address, Errno::CONNREFUSED);
    refused(c"@", Errno::CONNREFUSED);
}

fn no_entry() {
    hostile::without_root();
    tell(word(sd_notify(support::path_argument(), b"READY=1")));
}

fn a_path_that_may_not_be_gone_is_an_error() {
    let manager = Manager::at_path();
    let directory = manager.directory.as_ref().expect("at a path").path();
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o000)).expect("mine");
    assert_eq!(manager.teller("no_entry").hear(), Errno::ACCESS.raw_os_error().to_string());
    std::fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("mine");
}

fn a_state_that_is_too_long_is_an_error() {
    let manager = Manager::abstract_of(0);
    // More than the kernel lets wait in a socket, wherever that limit stands.
    let state = vec![b'x'; 64 << 20];
    assert_eq!(sd_notify(&manager.address, &state), Err(Errno::MSGSIZE));
}

fn the_main_process_is_told_by_number() {
    for manager in Manager::both() {
        for number in [1, 9, 10, 4_194_304, i32::MAX] {
            sd_notify_main_pid(&manager.address, b"READY=1", Pid::from_raw(number).expect("a pid")).expect("told");
            assert_eq!(manager.hear(), format!("MAINPID={number}\nREADY=1"));
        }
    }
}

/// How many datagrams are more than the kernel lets wait.
fn more_than_wait() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").expect("the limit");
    limit.trim().parse::<usize>().expect("a number") + 2
}

fn many() {
    for _ in 0..more_than_wait() {
        sd_notify(support::path_argument(), b"WATCHDOG=1").expect("told");
    }
    tell("all told");
}

fn a_full_queue_is_waited_for() {
    let manager = Manager::at_path();
    let teller = manager.teller("many");
    support::until("the teller waits", || proc::state(teller.pid()) == "S");
    for _ in 0..more_than_wait() {
        assert_eq!(manager.hear(), "WATCHDOG=1");
    }
    assert_eq!(teller.hear(), "all told");
}

fn barrier() {
    let socket = support::path_argument();
    let before = proc::fds(std::process::id() as i32);
    sd_notify(socket, b"STOPPING=1").expect("told");
    let limit = std::env::args().nth(2).map_or(LIMIT, |limit| Duration::from_millis(limit.parse().expect("a number")));
    let waited = word(sd_notify_barrier(socket, Some(limit)));
    // Told by the same way, so that one is seen to come after the other.
    sd_notify(socket, b"STATUS=behind the barrier").expect("told");
    tell(waited);
    tell(proc::fds(std::process::id() as i32).len() - before.len());
    wait_release();
}

fn the_barrier_opens_when_the_descriptor_is_closed() {
    for manager in Manager::both() {
        let teller = manager.teller("barrier");
        assert_eq!(manager.hear(), "STOPPING=1");
        let (text, mut passed) = manager.receive();
        assert_eq!(text, "BARRIER=1", "and nothing else in that datagram");
        let end = passed.pop().expect("a descriptor");
        assert!(passed.is_empty(), "one descriptor");
        support::until("the teller waits", || proc::state(teller.pid()) == "S");
        assert!(manager.is_silent(), "the barrier stands");
        drop(end);
        assert_eq!(manager.hear(), "STATUS=behind the barrier");
        assert_eq!(teller.hear(), "ok");
        assert_eq!(teller.hear(), "0", "nothing stays open");
    }
}

fn a_barrier_that_stays_is_given_up() {
    let manager = Manager::abstract_of(0);
    let teller = fixture("barrier").arg(manager.address.to_str().expect("utf-8")).arg("20").start();
    assert_eq!(teller.hear(), Errno::TIMEDOUT.raw_os_error().to_string());
    assert_eq!(teller.hear(), "0", "nothing stays open");
}

fn denied() {
    let socket = support::path_argument();
    hostile::deny(&[(libc::SYS_sendmsg, Errno::PERM)]);
    tell(word(sd_notify(socket, b"READY=1")));
    hostile::deny(&[(libc::SYS_socket, Errno::PERM)]);
    tell(word(sd_notify(socket, b"READY=1")));
}

fn a_denied_call_is_an_error() {
    let manager = Manager::at_path();
    let teller = manager.teller("denied");
    assert_eq!([teller.hear(), teller.hear()], ["1", "1"]);
    assert!(manager.is_silent());
}

fn full_table() {
    let socket = support::path_argument();
    setrlimit(Resource::Nofile, Rlimit { current: Some(220), maximum: Some(220) }).expect("a limit");
    let mut held = Vec::new();
    while let Ok(fd) = rustix::io::dup(std::io::stdin()) {
        held.push(fd);
    }
    tell(word(sd_notify(socket, b"READY=1")));
    tell(word(sd_notify_barrier(socket, Some(LIMIT))));
    // Room for the pipe, and not for the socket.
    held.truncate(held.len() - 2);
    tell(word(sd_notify_barrier(socket, Some(LIMIT))));
    held.pop();
    tell(word(sd_notify(socket, b"READY=1")));
}

fn a_full_table_is_an_error() {
    let manager = Manager::at_path();
    let fixture = fixture("full_table").arg(manager.address.to_str().expect("utf-8"));
    let many = Errno::MFILE.raw_os_error().to_string();
    assert_eq!(fixture.run().0, format!("{many}\n{many}\n{many}\nok\n"));
    assert_eq!(manager.hear(), "READY=1");
    assert!(manager.is_silent());
}

fn a_newline_is_written_and_the_descriptor_closed() {
    let (read_end, write_end) = rustix::pipe::pipe().expect("a pipe");
    write_newline(write_end).expect("written");
    let mut bytes = [0; 4];
    assert_eq!(rustix::io::read(&read_end, &mut bytes), Ok(1));
    assert_eq!(bytes[0], b'\n');
    // The end: the one write end is closed.
    assert!(readable(read_end.as_fd(), LIMIT));
    assert_eq!(rustix::io::read(&read_end, &mut bytes), Ok(0));
    let (read_end, write_end) = UnixStream::pair().expect("a pair");
    write_newline(write_end).expect("written");
    assert_eq!(wait_newline(&read_end, getpid(), Some(LIMIT)), Ok(true));
}

fn newline_to_nobody() {
    let pipe = || rustix::pipe::pipe().expect("a pipe");
    let (read_end, write_end) = pipe();
    let number = write_end.as_raw_fd();
    drop(read_end);
    // As the standard library has it, SIGPIPE is ignored.
    tell(word(write_newline(write_end)));
    // SAFETY: it only asks.
    tell(unsafe { libc::fcntl(number, libc::F_GETFD) });
    daemon_steps::reset_signals().expect("default dispositions");
    let (read_end, write_end) = pipe();
    drop(read_end);
    tell(word(write_newline(write_end)));
}

fn a_newline_that_nobody_reads_is_an_error() {
    let (told, status) = fixture("newline_to_nobody").run();
    assert_eq!(told, format!("{}\n-1\n", Errno::PIPE.raw_os_error()));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGPIPE));
}

fn a_newline_without_room_is_an_error() {
    let (_read_end, write_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe");
    while rustix::io::write(&write_end, &[b'x'; 4096]).is_ok() {}
    assert_eq!(write_newline(write_end), Err(Errno::AGAIN));
}
