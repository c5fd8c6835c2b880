//! A socket that is systemd's side of `sd_notify(3)`.

use crate::run::{command, end_of, equal, field, this_program};
use crate::table::Table;
use pidfile_proof::case::must;
use pidfile_proof::proc::is_alive;
use pidfile_proof::room::PLACE;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal, kill_process};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Child;

/// The socket, and its address as the environment has it.
pub struct Manager {
    socket: UnixDatagram,
    address: String,
}

/// A datagram.
struct Said {
    text: String,
    by: Option<Pid>,
    passed: Vec<OwnedFd>,
}

impl Manager {
    /// At a path in the room.
    pub fn at_path() -> Self {
        let address = format!("{PLACE}/notify");
        let _ = std::fs::remove_file(&address);
        let socket = UnixDatagram::bind(&address).expect("a socket");
        Self::with(socket, address)
    }

    /// At an abstract name.
    fn at_name() -> Self {
        let name = format!("daemon-steps-interop-{:?}", std::time::SystemTime::now());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
        Self::with(socket, format!("@{name}"))
    }

    fn with(socket: UnixDatagram, address: String) -> Self {
        set_socket_passcred(&socket, true).expect("credentials");
        Self { socket, address }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> &str {
        &self.address
    }

    fn hear(&self) -> Said {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
        let message = recvmsg(self.socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a datagram");
        let mut said = Said { text: String::new(), by: None, passed: Vec::new() };
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(fds) => said.passed.extend(fds),
                RecvAncillaryMessage::ScmCredentials(who) => said.by = Some(who.pid),
                _ => {}
            }
        }
        said.text = String::from_utf8_lossy(&bytes[..message.bytes]).into_owned();
        said
    }

    /// What comes next must be this, from that process, with nothing passed. systemd knows a service by its sender.
    fn hears(&self, text: &str, by: Pid) -> Result<(), String> {
        let said = self.hear();
        equal("the datagram", &said.text.trim_end(), &text)?;
        equal("its sender", &said.by, &Some(by))?;
        equal("descriptors", &said.passed.len(), &0)
    }

    /// Waits for a line, whatever else is said before: who has said it.
    pub fn wait_for(&self, line: &str) -> Option<Pid> {
        loop {
            let said = self.hear();
            if said.text.lines().any(|said| said == line) {
                return said.by;
            }
        }
    }

    /// What comes next must be a barrier; whoever stands before it goes on when this is done, and not before.
    fn opens_barrier(&self, by: Pid) -> Result<(), String> {
        let said = self.hear();
        equal("the datagram", &said.text.trim_end(), &"BARRIER=1")?;
        equal("its sender", &said.by, &Some(by))?;
        equal("descriptors", &said.passed.len(), &1)?;
        must(is_alive(by), || "it has not waited".into())
    }

    /// Starts what is to tell this manager something.
    fn start(&self, words: &[&str]) -> (Child, Pid) {
        let child = command(words).env("NOTIFY_SOCKET", &self.address).spawn().expect("it starts");
        let pid = Pid::from_raw(child.id() as i32).expect("a pid");
        (child, pid)
    }
}

fn ended(mut child: Child) -> Result<(), String> {
    let status = child.wait().map_err(|error| error.to_string())?;
    must(status.success(), || format!("it has ended with {status}"))
}

/// In the foreground.
fn serves(manager: &Manager) -> Result<(), String> {
    let (child, pid) = manager.start(&[&this_program(), "service", "notify"]);
    manager.hears("READY=1\nSTATUS=at work", pid)?;
    kill_process(pid, Signal::TERM).expect("it runs");
    manager.hears("STOPPING=1", pid)?;
    manager.opens_barrier(pid)?;
    ended(child)
}

/// The first process, which is the one that the manager knows, hands over to the daemon.
fn hands_over(manager: &Manager) -> Result<(), String> {
    let (child, first) = manager.start(&[&this_program(), "service", "notify-detached"]);
    let said = manager.hear();
    equal("the sender", &said.by, &Some(first))?;
    let number = said.text.strip_prefix("MAINPID=").and_then(|text| text.strip_suffix("\nREADY=1\nSTATUS=at work"));
    let daemon = crate::run::pid(number.ok_or_else(|| format!("{:?}", said.text))?)?;
    must(daemon != first && is_alive(daemon), || format!("{daemon:?} is not the daemon"))?;
    manager.opens_barrier(first)?;
    ended(child)?;
    equal("its parent", &field(daemon, "PPid"), &std::process::id().to_string())?;
    kill_process(daemon, Signal::TERM).expect("it runs");
    manager.hears("STOPPING=1", daemon)?;
    manager.opens_barrier(daemon)?;
    end_of(daemon);
    Ok(())
}

/// systemd's own program says the same to this socket: so it is no socket that understands us alone.
fn understands(manager: &Manager) -> Result<(), String> {
    let (child, pid) = manager.start(&["systemd-notify", "--ready", "--status=at work"]);
    // It speaks for whoever has started it.
    manager.hears("READY=1\nSTATUS=at work", rustix::process::getpid())?;
    manager.opens_barrier(pid)?;
    ended(child)
}

/// All of it.
pub fn cases(table: &mut Table) {
    for how in ["by a path", "by an abstract name"] {
        let manager = || if how == "by a path" { Manager::at_path() } else { Manager::at_name() };
        table.case(&format!("sd_notify {how}: READY, STATUS, STOPPING, BARRIER"), || serves(&manager()));
        table.case(&format!("sd_notify {how}: MAINPID, from the first process to the daemon"), || hands_over(&manager()));
        table.case(&format!("sd_notify {how}: systemd-notify says the same"), || understands(&manager()));
    }
}
