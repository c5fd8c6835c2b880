//! systemd itself, in namespaces of its own, with units of ours alone.

use crate::run::{Told, end_of, equal, run, this_program, tool, until};
use crate::socket::Manager;
use crate::table::Table;
use pidfile_proof::case::must;
use pidfile_proof::room::{self, PLACE};
use pidfile_proof::trace::execute;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// What its first process does before it is systemd: the rest of the system is not to be touched.
const BEGIN: &str = "
set -e
mount --make-rprivate /
mount --bind /etc /etc
mount -o remount,bind,ro /etc
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i container=daemon-steps PATH=\"$PATH\" NOTIFY_SOCKET=\"$1\" SYSTEMD_UNIT_PATH=\"$2\" SYSTEMD_GENERATOR_PATH= \\
    /lib/systemd/systemd --system --unit=first.target --show-status=no --log-target=null
";

const NAMESPACES: UnshareFlags = UnshareFlags::NEWCGROUP
    .union(UnshareFlags::NEWIPC)
    .union(UnshareFlags::NEWNS)
    .union(UnshareFlags::NEWNET)
    .union(UnshareFlags::NEWUTS)
    .union(UnshareFlags::NEWPID);

/// One that runs.
struct Systemd {
    pid: Pid,
    cgroup: PathBuf,
    units: PathBuf,
}

impl Systemd {
    fn start(cgroup: PathBuf) -> Result<Self, String> {
        std::fs::create_dir(&cgroup).map_err(|error| error.to_string())?;
        let units = Path::new(PLACE).join("units");
        std::fs::create_dir(&units).map_err(|error| error.to_string())?;
        std::fs::write(units.join("first.target"), "[Unit]\nDefaultDependencies=no\n").map_err(|error| error.to_string())?;
        let manager = Manager::at_path();
        let words = ["/bin/sh", "-c", BEGIN, "sh", manager.address(), units.to_str().expect("utf-8")];
        let argv = words.map(|word| CString::new(word).expect("no null"));
        let starter = room::fork(|| {
            std::fs::write(cgroup.join("cgroup.procs"), "0").expect("the cgroup");
            // SAFETY: this process has one thread, and shares nothing that another relies on.
            unsafe { unshare_unsafe(NAMESPACES) }.expect("namespaces");
            room::fork(|| execute(&argv));
            0
        });
        waitpid(Some(starter), WaitOptions::empty()).map_err(|errno| errno.to_string())?;
        // It speaks the same protocol itself, to whoever has started it.
        let pid = manager.wait_for("READY=1").ok_or("nobody is ready")?;
        Ok(Self { pid, cgroup, units })
    }

    /// Adds a unit, and starts it.
    fn service(&self, name: &str, service: &str) -> Result<(), String> {
        let text = format!("[Unit]\nDefaultDependencies=no\n[Service]\nTimeoutSec=30\n{service}");
        std::fs::write(self.units.join(format!("{name}.service")), text).map_err(|error| error.to_string())?;
        self.control(&["daemon-reload"]).with(0)?;
        self.control(&["start", name]).with(0).map_err(|wrong| format!("{wrong}; {}", self.control(&["status", name]).out))?;
        Ok(())
    }

    fn control(&self, words: &[&str]) -> Told {
        let pid = self.pid.as_raw_nonzero().to_string();
        run(&[&["nsenter", "--target", &pid, "--mount", "--pid", "systemctl"], words].concat())
    }

    fn show(&self, name: &str, property: &str) -> String {
        self.control(&["show", "--value", "--property", property, name]).out
    }

    /// How many processes it has.
    fn processes(&self, name: &str) -> Result<usize, String> {
        let group = self.cgroup.join(self.show(name, "ControlGroup").trim_start_matches('/'));
        let list =
            std::fs::read_to_string(group.join("cgroup.procs")).map_err(|error| format!("{}: {error}", group.display()))?;
        Ok(list.lines().count())
    }

    /// The states must be these: active and sub state, result.
    fn is(&self, name: &str, states: &str) -> Result<(), String> {
        let seen = ["ActiveState", "SubState", "Result"].map(|property| self.show(name, property));
        equal("its state", &seen.join(" ").as_str(), &states)
    }

    fn stop(&self, name: &str) -> Result<(), String> {
        self.control(&["stop", name]).with(0)?;
        self.is(name, "inactive dead success")
    }

    /// What the file names, inside, must be the main process.
    fn names_main(&self, name: &str, pid_file: &Path) -> Result<(), String> {
        let named = std::fs::read_to_string(pid_file).map_err(|error| error.to_string())?;
        equal("the main process", &(self.show(name, "MainPID") + "\n"), &named)
    }

    fn end(self) -> Result<(), String> {
        kill_process(self.pid, Signal::KILL).map_err(|error| error.to_string())?;
        end_of(self.pid);
        std::fs::remove_dir_all(&self.units).map_err(|error| error.to_string())
    }
}

fn mount_cgroups() -> Result<PathBuf, String> {
    let root = Path::new(PLACE).join("cgroup");
    std::fs::create_dir(&root).map_err(|error| error.to_string())?;
    mount("cgroup2", &root, "cgroup2", MountFlags::empty(), None).map_err(|errno| format!("cgroup2: {errno}"))?;
    Ok(root)
}

/// In a room of its own, when all is over, however: removes the groups of that name.
pub fn tidy(name: &str) -> bool {
    let Ok(root) = mount_cgroups() else { return true };
    let groups = std::fs::read_dir(root).expect("the groups").flatten();
    for group in groups.filter(|group| group.file_name().to_string_lossy().starts_with(name)) {
        // Those in it were killed, and are about to be gone.
        until(|| remove(&group.path()).is_ok());
    }
    true
}

/// A group can be removed when nobody is in it, whatever files it shows.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

fn forking(systemd: &Systemd, command: &str, pid_file: &Path) -> Result<(), String> {
    let name = "forking";
    systemd
        .service(name, &format!("Type=forking\nPIDFile={}\nExecStart={command} {}\n", pid_file.display(), pid_file.display()))?;
    systemd.is(name, "active running success")?;
    systemd.names_main(name, pid_file)?;
    systemd.stop(name)?;
    must(!pid_file.exists(), || "the pid file is left".into())?;
    // It is told of the end of a process that it has not forked.
    systemd.control(&["start", name]).with(0)?;
    systemd.control(&["kill", "--signal=KILL", name]).with(0)?;
    until(|| systemd.is(name, "failed failed signal").is_ok());
    Ok(())
}

fn notify(systemd: &Systemd, name: &str) -> Result<(), String> {
    systemd.service(name, &format!("Type=notify\nNotifyAccess=main\nExecStart={} service {name}\n", this_program()))?;
    systemd.is(name, "active running success")?;
    until(|| systemd.show(name, "StatusText") == "at work");
    // The other process, if there was one, has gone.
    equal("its processes", &systemd.processes(name)?, &1)?;
    must(systemd.show(name, "MainPID") != "0", || "no main process".into())?;
    systemd.stop(name)
}

fn foreground(systemd: &Systemd, pid_file: &Path) -> Result<(), String> {
    systemd.service("run", &format!("Type=exec\nExecStart={} run --pidfile {}\n", tool(), pid_file.display()))?;
    systemd.is("run", "active running success")?;
    until(|| systemd.names_main("run", pid_file).is_ok());
    systemd.stop("run")?;
    must(!pid_file.exists(), || "the pid file is left".into())
}

/// What is tried with one.
type Case<'a> = dyn Fn(&Systemd) -> Result<(), String> + 'a;

/// All of it.
pub fn cases(table: &mut Table, group: &str) {
    const NAMES: [&str; 5] = [
        "Type=forking, PIDFile=, our tool",
        "Type=forking, PIDFile=, the handoff",
        "Type=notify",
        "Type=notify, detached: the daemon is the main process",
        "Type=exec, our tool in the foreground",
    ];
    let cgroups = match mount_cgroups() {
        Ok(root) => root,
        Err(why) => {
            for name in NAMES {
                table.skip(&format!("systemd: {name}"), &why);
            }
            return;
        }
    };
    let pid_file = Path::new(PLACE).join("systemd.pid");
    let cases: [&Case; 5] = [
        &|systemd| forking(systemd, &format!("{} start --pidfile", tool()), &pid_file),
        &|systemd| forking(systemd, &format!("{} service forking handoff", this_program()), &pid_file),
        &|systemd| notify(systemd, "notify"),
        &|systemd| notify(systemd, "notify-detached"),
        &|systemd| foreground(systemd, &pid_file),
    ];
    for (nth, (name, body)) in NAMES.iter().zip(cases).enumerate() {
        table.case(&format!("systemd: {name}"), || {
            let systemd = Systemd::start(cgroups.join(format!("{group}.{nth}")))?;
            let done = body(&systemd);
            systemd.end().and(done)
        });
    }
}
