//! s6: supervised in the foreground, ready by a newline.

use crate::run::{command, command_line, equal, field, pid, run, script, this_program, tool, until};
use crate::table::Table;
use daemon_steps::wait_newline;
use pidfile_proof::case::must;
use pidfile_proof::room::PLACE;
use rustix::process::Pid;
use std::process::Child;

/// More than anything takes; in milliseconds, as s6 has it.
const LIMIT: &str = "30000";

/// A supervision tree with one service.
struct Tree {
    scan: Child,
    directory: tempfile::TempDir,
}

impl Tree {
    /// Starts it, and waits until it says, by a newline, that it is ready.
    fn start(run: &str, notification: Option<&str>) -> Result<Self, String> {
        let directory = tempfile::tempdir_in(PLACE).expect("a directory");
        let service = directory.path().join("service");
        std::fs::create_dir(&service).expect("a directory");
        script(service.join("run").to_str().expect("utf-8"), run);
        if let Some(fd) = notification {
            std::fs::write(service.join("notification-fd"), fd).expect("a file");
        }
        let (told, tell) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        let scan = command(&["sh", "-c", "exec s6-svscan -d 9 -t 0 \"$0\" 9>&1 >&2", directory.path().to_str().expect("utf-8")])
            .stdout(tell)
            .spawn()
            .expect("s6-svscan");
        let tree = Self { scan, directory };
        let scan = Pid::from_raw(tree.scan.id() as i32).expect("a pid");
        equal("s6-svscan's own newline", &wait_newline(&told, scan, None), &Ok(true))?;
        until(|| run_on(&tree.service(), &["s6-svok"]).status == 0);
        Ok(tree)
    }

    fn service(&self) -> String {
        self.directory.path().join("service").to_str().expect("utf-8").to_string()
    }

    fn wait(&self, event: &str) -> Result<(), String> {
        run_on(&self.service(), &["s6-svwait", event, "-t", LIMIT]).with(0).map(drop)
    }

    fn status(&self, fields: &str) -> Result<String, String> {
        Ok(run_on(&self.service(), &["s6-svstat", "-o", fields]).with(0)?.out)
    }

    /// Takes the service down, and waits for that; its exit status must be 0.
    fn down(&self) -> Result<(), String> {
        run_on(&self.service(), &["s6-svc", "-wD", "-T", LIMIT, "-d"]).with(0)?;
        equal("its exit status and signal", &self.status("exitcode,signal")?.as_str(), &"0 NA")
    }

    fn end(mut self) -> Result<(), String> {
        run(&["s6-svscanctl", "-t", self.directory.path().to_str().expect("utf-8")]).with(0)?;
        let status = self.scan.wait().map_err(|error| error.to_string())?;
        must(status.success(), || format!("s6-svscan: {status}"))
    }
}

fn run_on(service: &str, words: &[&str]) -> crate::run::Told {
    run(&[words, &[service]].concat())
}

/// All of it.
pub fn cases(table: &mut Table) {
    table.case("s6: ready when our newline is written, and not before", || {
        let directory = tempfile::tempdir_in(PLACE).expect("a directory");
        let gate = directory.path().join("gate").to_str().expect("utf-8").to_string();
        rustix::fs::mknodat(rustix::fs::CWD, &gate, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).expect("a fifo");
        let tree = Tree::start(&format!("exec {} service newline 3 {gate}", this_program()), Some("3"))?;
        tree.wait("-u")?;
        equal("up, ready", &tree.status("up,ready")?.as_str(), &"true false")?;
        // The service stands there, or comes soon: whoever opens one end waits for the other.
        drop(std::fs::OpenOptions::new().write(true).open(&gate).map_err(|error| error.to_string())?);
        tree.wait("-U")?;
        equal("up, ready", &tree.status("up,ready")?.as_str(), &"true true")?;
        let daemon = pid(&tree.status("pid")?)?;
        must(command_line(daemon).contains(&gate), || format!("it supervises {:?}", command_line(daemon)))?;
        // It is closed right after the newline.
        until(|| !std::path::Path::new(&format!("/proc/{}/fd/3", daemon.as_raw_nonzero())).exists());
        tree.down()?;
        tree.end()
    });
    table.case("s6: our tool in the foreground is its child, and ends well when it is taken down", || {
        let ours = pidfile_proof::tool::Tool::new();
        let pid_file = ours.pid_file.to_str().expect("utf-8").to_string();
        let tree = Tree::start(&format!("exec {} run --pidfile {pid_file} >/dev/null", tool()), None)?;
        tree.wait("-u")?;
        let daemon = pid(&tree.status("pid")?)?;
        until(|| ours.call("status", &[]).status == 0);
        equal("the holder", &ours.call("status", &[]).pid(), &Some(daemon))?;
        equal("its parent", &field(pid(&field(daemon, "PPid"))?, "Name").as_str(), &"s6-supervise")?;
        tree.down()?;
        equal("files left", &ours.files(), &0)?;
        tree.end()
    });
}
