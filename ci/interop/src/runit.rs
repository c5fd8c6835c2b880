//! runit: supervised in the foreground.

use crate::run::{command, equal, field, pid, run, script, tool, until};
use crate::table::Table;
use pidfile_proof::case::must;
use pidfile_proof::room::PLACE;
use pidfile_proof::tool::Tool;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::read_to_string;
use std::path::PathBuf;
use std::process::Child;

/// More than anything takes, in seconds.
const LIMIT: &str = "30";

struct Supervised {
    supervisor: Child,
    directory: tempfile::TempDir,
    ours: Tool,
}

impl Supervised {
    /// Our tool, by runsv.
    fn start() -> Result<Self, String> {
        let ours = Tool::new();
        let directory = tempfile::tempdir_in(PLACE).expect("a directory");
        let file = |name: &str| directory.path().join(name).to_str().expect("utf-8").to_string();
        script(&file("run"), &format!("exec {} run --pidfile {} >/dev/null", tool(), ours.pid_file.display()));
        script(&file("finish"), r#"echo "$@" >finished"#);
        let supervisor = command(&["runsv", directory.path().to_str().expect("utf-8")]).spawn().expect("runsv");
        let supervised = Self { supervisor, directory, ours };
        until(|| supervised.file("supervise/ok").exists() && supervised.ours.call("status", &[]).status == 0);
        supervised.sv("start")?;
        Ok(supervised)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn sv(&self, what: &str) -> Result<(), String> {
        run(&["sv", "-w", LIMIT, what, self.directory.path().to_str().expect("utf-8")]).with(0).map(drop)
    }

    /// The process that runsv supervises, and that holds our pid file.
    fn daemon(&self) -> Result<Pid, String> {
        let told = pid(&read_to_string(self.file("supervise/pid")).map_err(|error| error.to_string())?)?;
        equal("the holder", &self.ours.call("status", &[]).pid(), &Some(told))?;
        equal("its parent", &field(told, "PPid"), &self.supervisor.id().to_string())?;
        Ok(told)
    }

    fn stop(mut self) -> Result<(), String> {
        self.sv("stop")?;
        let finished = read_to_string(self.file("finished")).map_err(|error| error.to_string())?;
        equal("its exit status and signal", &finished.as_str(), &"0 0\n")?;
        equal("files left", &self.ours.files(), &0)?;
        self.sv("exit")?;
        let status = self.supervisor.wait().map_err(|error| error.to_string())?;
        must(status.success(), || format!("runsv: {status}"))
    }
}

/// All of it.
pub fn cases(table: &mut Table) {
    table.case("runit: our tool in the foreground is its child, and ends well when it is stopped", || {
        let supervised = Supervised::start()?;
        supervised.daemon()?;
        supervised.stop()
    });
    table.case("runit: killed, it is started again over the pid file that it has left", || {
        let supervised = Supervised::start()?;
        let first = supervised.daemon()?;
        kill_process(first, Signal::KILL).expect("it runs");
        until(|| supervised.ours.call("status", &[]).pid().is_some_and(|pid| pid != first));
        supervised.daemon()?;
        supervised.stop()
    });
}
