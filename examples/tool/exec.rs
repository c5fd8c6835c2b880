//! Executes COMMAND: by its path, or by its name along `PATH`.

use core::ffi::CStr;
use daemon_steps::{EnvBlock, ThinCStr, execve};
use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;

/// What is known of COMMAND's whereabouts before the process changes its directory and environment.
pub(crate) struct Whereabouts<'a> {
    /// The directory where the tool was called: relative paths begin there. Empty below a new root; `None` if it is
    /// not known, as without `/proc`: then they are refused, and not taken for paths from somewhere else.
    here: Option<Path>,
    search: &'a [u8],
}

impl<'a> Whereabouts<'a> {
    pub(crate) fn new(env: &EnvBlock<'a>, below_new_root: bool) -> Self {
        let variable = env.iter().find_map(|entry| entry.get()?.as_c_str().to_bytes().strip_prefix(b"PATH="));
        Self {
            here: if below_new_root { Some(Path::EMPTY) } else { Path::here() },
            search: variable.unwrap_or(b"/usr/local/bin:/usr/bin:/bin"),
        }
    }

    /// Executes the command, as execvp(3) would from `here`; returns only if that fails.
    pub(crate) fn exec(&self, command: &[Option<ThinCStr<'_>>], env: &EnvBlock<'_>) -> Errno {
        let Some(Some(name)) = command.first() else { return Errno::NOENT };
        let name = name.as_c_str().to_bytes();
        if name.is_empty() {
            return Errno::NOENT;
        }
        if name.contains(&b'/') {
            return self.try_one(b"", name, command, env);
        }
        let mut denied = Errno::NOENT;
        for directory in self.search.split(|&byte| byte == b':') {
            let directory = if directory.is_empty() { b"." } else { directory };
            match self.try_one(directory, name, command, env) {
                Errno::ACCESS => denied = Errno::ACCESS,
                Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => {}
                errno => return errno,
            }
        }
        denied
    }

    fn try_one(&self, directory: &[u8], name: &[u8], command: &[Option<ThinCStr<'_>>], env: &EnvBlock<'_>) -> Errno {
        let absolute = directory.first().or(name.first()) == Some(&b'/');
        let Some(mut path) = (if absolute { Some(Path::EMPTY) } else { self.here }) else { return Errno::NOENT };
        let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        match path.push(directory).and_then(|()| path.push(slash)).and_then(|()| path.push(name)) {
            Some(()) => CStr::from_bytes_until_nul(&path.bytes).map_or(Errno::NAMETOOLONG, |path| execve(path, command, env)),
            None => Errno::NAMETOOLONG,
        }
    }
}

const PATH_MAX: usize = 4096;

/// A path put together in place, with a null after it.
#[derive(Clone, Copy)]
struct Path {
    bytes: [u8; PATH_MAX],
    length: usize,
}

impl Path {
    const EMPTY: Self = Self { bytes: [0; PATH_MAX], length: 0 };

    /// The current directory and a slash, if it can be had.
    fn here() -> Option<Self> {
        let mut path = Self::EMPTY;
        path.length = readlinkat_raw(CWD, c"/proc/self/cwd", &mut path.bytes[..]).ok()?;
        path.push(b"/")?;
        Some(path)
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        let rest = self.bytes.get_mut(self.length..).filter(|rest| part.len() < rest.len())?;
        rest.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        self.length += part.len();
        Some(())
    }
}
