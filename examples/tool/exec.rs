//! Executes COMMAND: by its path, or by its name along `PATH`.

use super::line::Line;
use super::text::{holds, parts};
use daemon_steps::{EnvBlock, ThinCStr, execve};
use rustix::fs::CWD;
use rustix::io::Errno;

/// What is known of COMMAND's whereabouts before the process changes its directory and environment.
pub(crate) struct Whereabouts<'a> {
    /// The length of what is on the line: the directory where the tool was called, with a slash. Relative paths begin
    /// there. `None` if it is not known, as without `/proc`: then they are refused, and not taken for paths from
    /// somewhere else.
    here: Option<usize>,
    search: &'a [u8],
}

impl<'a> Whereabouts<'a> {
    /// They stay on the line until `exec`.
    pub(crate) fn new(env: &EnvBlock<'a>, below_new_root: bool, line: &mut Line) -> Self {
        let variable = env.iter().find_map(|entry| entry.get()?.as_c_str().to_bytes().strip_prefix(b"PATH="));
        let empty = line.begin("");
        let here = if below_new_root { Some(empty) } else { empty.link(CWD, c"/proc/self/cwd").map(|here| here.text("/")) };
        Self { here: here.map(|here| here.length()), search: variable.unwrap_or(b"/usr/local/bin:/usr/bin:/bin") }
    }

    /// Executes the command, as execvp(3) would from `here`; returns only if that fails.
    // By itself it is smaller.
    #[inline(never)]
    pub(crate) fn exec(&self, command: &[Option<ThinCStr<'_>>], env: &EnvBlock<'_>, line: &mut Line) -> Errno {
        let Some(Some(name)) = command.first() else { return Errno::NOENT };
        let name = name.as_c_str().to_bytes();
        let is_path = holds(name, b'/');
        let here = self.here.unwrap_or_default();
        let mut denied = Errno::NOENT;
        for directory in parts(if is_path { b"" } else { self.search }, b':') {
            let absolute = directory.first().or(name.first()) == Some(&b'/');
            if name.is_empty() || !absolute && self.here.is_none() {
                return Errno::NOENT;
            }
            line.cut(here).bytes(directory).text(if directory.is_empty() { "" } else { "/" }).bytes(name);
            match execve(line.path(if absolute { here } else { 0 }), command, env) {
                errno if is_path => return errno,
                Errno::ACCESS => denied = Errno::ACCESS,
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => {}
                errno => return errno,
            }
        }
        denied
    }
}
