//! Real supervisors and the library, each with the other. All goes on in a room of its own, where nothing is left.
//!
//! Arguments: the tool, and the folder that Debian's packages are unpacked in. With `service` as the first argument this
//! program is what is supervised.

mod order;
mod run;
mod runit;
mod s6;
mod service;
mod socket;
mod start_stop_daemon;
mod systemd;
mod table;

use pidfile_proof::room::Room;
use rustix::mount::{MountFlags, mount};
use start_stop_daemon::Program;
use table::Table;

/// Lays what was unpacked over what is installed: some programs look for others of theirs by an absolute path.
fn lay_over(unpacked: &str) {
    let options = std::ffi::CString::new(format!("lowerdir={unpacked}/usr:/usr")).expect("no null");
    mount("overlay", "/usr", "overlay", MountFlags::RDONLY, Some(options.as_c_str())).expect("an overlay");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [first, rest @ ..] = arguments.as_slice() else { panic!("arguments: the tool, and the packages") };
    if first == "service" {
        std::process::exit(service::run(rest));
    }
    let [unpacked] = rest else { panic!("arguments: the tool, and the packages") };
    // The one thing that does not go with the room.
    let group = format!("daemon-steps-interop-{}", std::process::id());
    let room = Room::start(|| {
        lay_over(unpacked);
        let mut table = Table::default();
        let (dpkg, busybox) = (["start-stop-daemon"], [&format!("{unpacked}/bin/busybox"), "start-stop-daemon"]);
        start_stop_daemon::cases(&mut table, Program { name: "start-stop-daemon, dpkg", words: &dpkg, status: &["--status"] });
        start_stop_daemon::cases(
            &mut table,
            Program { name: "start-stop-daemon, busybox", words: &busybox, status: &["-K", "-t"] },
        );
        s6::cases(&mut table);
        runit::cases(&mut table);
        order::cases(&mut table);
        socket::cases(&mut table);
        systemd::cases(&mut table, &group);
        table.end()
    });
    let right = room.wait();
    let tidy = Room::start(|| systemd::tidy(&group)).wait();
    std::process::exit(i32::from(!right || !tidy));
}
