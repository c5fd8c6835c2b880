//! A process, as the manual pages say that it changes.

use super::files::{Files, Found};
use super::input::{Fd, Id, Input, Plan, Stdio, Step, bit, signal};
use super::take::{Answer, Do, Plan as Concrete, Redirect};
use daemon_steps::{Step as Name, Steps};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::path::PathBuf;

/// What a step returns, or its errno.
type Result<T = u64> = std::result::Result<T, i32>;

/// Neither blocked, caught nor ignored, ever.
const NEVER: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
/// The C library's own.
pub const LIBCS: u64 = 1 << 31 | 1 << 32;
/// Ignored by default: setting that discards what is pending.
const IGNORED: u64 = 1 << (libc::SIGCHLD - 1) | 1 << (libc::SIGCONT - 1) | 1 << (libc::SIGURG - 1) | 1 << (libc::SIGWINCH - 1);
/// These stop and continue: they discard each other.
const JOB_CONTROL: u64 =
    1 << (libc::SIGCONT - 1) | 1 << (libc::SIGTSTP - 1) | 1 << (libc::SIGTTIN - 1) | 1 << (libc::SIGTTOU - 1);
/// The kernel hands these out before others.
const FAULTS: u64 = 1 << (libc::SIGSEGV - 1)
    | 1 << (libc::SIGBUS - 1)
    | 1 << (libc::SIGILL - 1)
    | 1 << (libc::SIGTRAP - 1)
    | 1 << (libc::SIGFPE - 1)
    | 1 << (libc::SIGSYS - 1);
const CHILD: u64 = 1 << (libc::SIGCHLD - 1);

#[derive(Clone, Debug)]
pub struct Open {
    pub path: PathBuf,
    pub cloexec: bool,
}

#[derive(Clone)]
pub struct Model {
    pub files: Files,
    pub umask: u32,
    pub cwd: PathBuf,
    pub root: PathBuf,
    /// How many forks it is away from the first child; its group's leader, and its session's: none is the fuzzer's.
    pub generation: usize,
    pub group: Option<usize>,
    pub session: Option<usize>,
    pub fds: BTreeMap<i32, Open>,
    pub blocked: u64,
    pub ignored: u64,
    pub caught: u64,
    pub pending: u64,
    pub no_new_privs: bool,
    pub subreaper: bool,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    /// Whether it has root's capabilities.
    pub power: bool,
}

impl Model {
    pub fn new(input: &Input) -> Self {
        let files = Files::new();
        Self {
            umask: 0o022,
            cwd: files.base.clone(),
            root: "/".into(),
            generation: 0,
            group: None,
            session: None,
            fds: (0..3).map(|fd| (fd, Open { path: "/dev/null".into(), cloexec: false })).collect(),
            blocked: 0,
            ignored: input.ignored & !(NEVER | LIBCS),
            caught: input.caught & !input.ignored & !(NEVER | LIBCS),
            pending: 0,
            no_new_privs: false,
            subreaper: false,
            uid: 0,
            gid: 0,
            groups: vec![],
            power: true,
            files,
        }
    }

    /// Takes a step: what that is in words that need no model, and what it must answer. `None` if it makes no sense here.
    pub fn take(&mut self, step: &Step) -> Option<(Do, Answer)> {
        let (step, answer) = match step {
            Step::Umask(mask) => (Do::Umask((*mask).into()), self.umask(*mask)),
            Step::Chdir(path) => {
                let path = self.files.spell(self, path);
                (Do::Chdir(path.clone()), self.chdir(&path)?)
            }
            Step::Fchdir(fd) => (Do::Fchdir(fd.number()), self.fchdir(fd.number())),
            Step::Chroot(path) => {
                let path = self.files.spell(self, path);
                (Do::Chroot(path.clone()), self.chroot(&path)?)
            }
            Step::Setsid => (Do::Setsid, self.setsid()),
            Step::Tiocnotty => (Do::Tiocnotty, self.openable(c"/dev/tty").map(|()| 0)),
            Step::Fork if self.generation < 3 => (Do::Fork, Ok(self.fork())),
            Step::FillStdio => (Do::FillStdio, self.fill_stdio()),
            Step::StdioNull => (Do::StdioNull, self.stdio_null()),
            Step::StdioFile(stream, path, mode) => {
                let (stream, path, mode) = (i32::from(stream % 3), self.files.spell(self, path), u32::from(mode & 0o777));
                (Do::StdioFile(stream, path.clone(), mode), self.stdio_file(stream, &path, mode)?)
            }
            Step::StdioFd(stream, fd) => {
                let stream = i32::from(stream % 3);
                (Do::StdioFd(stream, fd.number()), self.dup3(fd.number(), stream, false))
            }
            Step::Dup3(old, new, cloexec) => {
                (Do::Dup3(old.number(), new.number(), *cloexec), self.dup3(old.number(), new.number(), *cloexec))
            }
            Step::Open(path, cloexec) => {
                let path = self.files.spell(self, path);
                (Do::Open(path.clone(), *cloexec), self.open(&path, *cloexec)?)
            }
            Step::CloseExcept(first, keep) => {
                let keep = numbers(keep);
                let answer = self.close_except((*first).into(), &keep);
                (Do::CloseExcept((*first).into(), keep), answer)
            }
            Step::ResetSignals => (Do::ResetSignals, self.reset_signals()),
            Step::Ignore(number) => {
                let number = i32::from(number % 31) + 1;
                (Do::Ignore(number), self.ignore(bit(number)))
            }
            Step::ReapByKernel => (Do::ReapByKernel, self.ignore(CHILD)),
            Step::Block(set) => (Do::Block(set.bits()), self.set_mask(self.blocked | set.bits() & !LIBCS)),
            Step::Unblock(set) => {
                let set = set.bits() & !self.pending;
                (Do::Unblock(set), self.set_mask(self.blocked & !set))
            }
            Step::SetMask(set) => {
                let set = set.bits() | self.pending;
                (Do::SetMask(set), self.set_mask(set & !LIBCS))
            }
            Step::Raise(number) => {
                let one = bit(signal(*number)) & self.blocked & !self.pending & !(NEVER | LIBCS | JOB_CONTROL);
                if one == 0 {
                    return None;
                }
                self.pending |= one;
                (Do::Raise(signal(*number)), Ok(0))
            }
            Step::WaitSignal(set) => (Do::WaitSignal(set.bits()), self.wait_signal(set.bits())),
            Step::Reap(statuses) => {
                let statuses: Vec<_> = statuses.iter().copied().take(3).collect();
                (Do::Reap(statuses.clone()), Ok(self.reap(&statuses)))
            }
            Step::Subreaper(adopts) => (Do::Subreaper(*adopts), Ok(std::mem::replace(&mut self.subreaper, *adopts).into())),
            Step::NoNewPrivs => {
                self.no_new_privs = true;
                (Do::NoNewPrivs, Ok(0))
            }
            Step::Setgroups(groups) => (Do::Setgroups(ids(groups)), self.setgroups(&ids(groups))),
            Step::Setresgid(gid) => (Do::Setresgid(gid.number()), self.setresgid(gid.number())),
            Step::Setresuid(uid) => (Do::Setresuid(uid.number()), self.setresuid(uid.number())),
            Step::DropPrivileges(uid, gid, groups) => {
                let (uid, gid, groups) = (uid.number(), gid.number(), ids(groups));
                let answer = self.drop_privileges(uid, gid, &groups);
                (Do::DropPrivileges(uid, gid, groups), answer)
            }
            Step::Detach(plan) if self.generation < 2 => return self.detach(plan),
            Step::Fork | Step::Detach(_) => return None,
        };
        Some((step, Answer::of(answer)))
    }

    fn umask(&mut self, mask: u16) -> Result {
        Ok(std::mem::replace(&mut self.umask, u32::from(mask) & 0o777).into())
    }

    fn chdir(&mut self, path: &CString) -> Option<Result> {
        Some(self.files.directory(self, path)?.map(|path| {
            self.cwd = path;
            0
        }))
    }

    fn fchdir(&mut self, fd: i32) -> Result {
        let open = self.fds.get(&fd).ok_or(libc::EBADF)?;
        let node = self.files.node(&open.path).expect("what is open is there");
        if !super::files::is_dir(node) {
            return Err(libc::ENOTDIR);
        }
        if !node.may(self, 1) {
            return Err(libc::EACCES);
        }
        self.cwd = open.path.clone();
        Ok(0)
    }

    fn chroot(&mut self, path: &CString) -> Option<Result> {
        Some(self.files.directory(self, path)?.and_then(|path| {
            if !self.power {
                return Err(libc::EPERM);
            }
            self.root.clone_from(&path);
            self.cwd = path;
            Ok(0)
        }))
    }

    fn setsid(&mut self) -> Result {
        let me = Some(self.generation);
        if self.group == me {
            return Err(libc::EPERM);
        }
        (self.group, self.session) = (me, me);
        Ok(0)
    }

    fn fork(&mut self) -> u64 {
        self.generation += 1;
        self.pending = 0;
        self.subreaper = false;
        0
    }

    /// Whether it can be opened to be read and written.
    fn openable(&self, path: &std::ffi::CStr) -> Result<()> {
        match self.files.find(self, &path.into()) {
            Some(Ok(Found::At(_, node))) if node.may(self, 6) => Ok(()),
            Some(Ok(Found::At(..))) => Err(libc::EACCES),
            Some(Err(errno)) => Err(errno),
            _ => Err(libc::ENOENT),
        }
    }

    fn lowest(&self) -> i32 {
        (0..1024).find(|fd| !self.fds.contains_key(fd)).expect("there are numbers enough")
    }

    fn null() -> Open {
        Open { path: "/dev/null".into(), cloexec: false }
    }

    fn fill_stdio(&mut self) -> Result {
        for fd in 0..3 {
            if !self.fds.contains_key(&fd) {
                self.openable(c"/dev/null")?;
                self.fds.insert(fd, Self::null());
            }
        }
        Ok(0)
    }

    fn stdio_null(&mut self) -> Result {
        self.openable(c"/dev/null")?;
        self.fds.extend((0..3).map(|fd| (fd, Self::null())));
        Ok(0)
    }

    fn stdio_file(&mut self, stream: i32, path: &CString, mode: u32) -> Option<Result> {
        let mut files = self.files.clone();
        let opened = files.open(self, path, (stream > 0).then_some(mode))?;
        self.files = files;
        Some(opened.map(|path| {
            self.fds.insert(stream, Open { path, cloexec: false });
            0
        }))
    }

    fn dup3(&mut self, old: i32, new: i32, cloexec: bool) -> Result {
        let open = self.fds.get(&old).ok_or(libc::EBADF)?.clone();
        self.fds.insert(new, Open { cloexec, ..open });
        Ok(0)
    }

    fn open(&mut self, path: &CString, cloexec: bool) -> Option<Result> {
        let opened = self.files.clone().open(self, path, None)?;
        Some(opened.map(|path| {
            let fd = self.lowest();
            self.fds.insert(fd, Open { path, cloexec });
            fd as u64
        }))
    }

    fn close_except(&mut self, first: i32, keep: &[i32]) -> Result {
        self.fds.retain(|fd, _| *fd < first || keep.contains(fd));
        Ok(0)
    }

    fn reset_signals(&mut self) -> Result {
        (self.ignored, self.caught) = (0, 0);
        self.pending &= !IGNORED;
        Ok(0)
    }

    fn ignore(&mut self, one: u64) -> Result {
        if one & NEVER != 0 {
            return Err(libc::EINVAL);
        }
        self.ignored |= one;
        self.caught &= !one;
        self.pending &= !one;
        Ok(0)
    }

    fn set_mask(&mut self, set: u64) -> Result {
        Ok(std::mem::replace(&mut self.blocked, set & !NEVER))
    }

    /// The signal, or zero.
    fn wait_signal(&mut self, set: u64) -> Result {
        let some = self.pending & set;
        let some = if some & FAULTS == 0 { some } else { some & FAULTS };
        let one = some & some.wrapping_neg();
        self.pending &= !one;
        Ok(if one == 0 { 0 } else { u64::from(one.trailing_zeros()) + 1 })
    }

    /// Children that have ended with these statuses: how many, and the sum.
    fn reap(&mut self, statuses: &[u8]) -> u64 {
        if self.ignored & CHILD != 0 {
            return 0;
        }
        self.hear_of_a_child(!statuses.is_empty());
        statuses.len() as u64 * 1000 + statuses.iter().copied().map(u64::from).sum::<u64>()
    }

    fn hear_of_a_child(&mut self, ended: bool) {
        if ended && self.ignored & CHILD == 0 {
            self.pending |= self.blocked & CHILD;
        }
    }

    fn setgroups(&mut self, groups: &[u32]) -> Result {
        if !self.power {
            return Err(libc::EPERM);
        }
        self.groups = groups.to_vec();
        Ok(0)
    }

    fn setresgid(&mut self, gid: u32) -> Result {
        if !self.power && gid != self.gid {
            return Err(libc::EPERM);
        }
        self.gid = gid;
        Ok(0)
    }

    fn setresuid(&mut self, uid: u32) -> Result {
        if !self.power && uid != self.uid {
            return Err(libc::EPERM);
        }
        self.uid = uid;
        self.power &= uid == 0;
        Ok(0)
    }

    fn drop_privileges(&mut self, uid: u32, gid: u32, groups: &[u32]) -> Result {
        if uid == 0 {
            return Err(libc::EINVAL);
        }
        let set = |groups: &[u32]| groups.iter().copied().collect::<BTreeSet<_>>();
        if groups.len() > 64 || set(groups) != set(&self.groups) {
            self.setgroups(groups)?;
        }
        self.setresgid(gid)?;
        self.setresuid(uid)
    }

    fn detach(&mut self, plan: &Plan) -> Option<(Do, Answer)> {
        let without = Steps::PID_FILE | Steps::FILTER_ENV;
        let steps = Steps::from_bits_truncate(plan.steps).difference(without);
        let open = |fd: &Fd| Some(fd.number()).filter(|fd| self.fds.contains_key(fd));
        let stdio = plan.stdio.each_ref().map(|stdio| match stdio {
            Stdio::Null => Redirect::Null,
            Stdio::File(path, mode) => Redirect::File(self.files.spell(self, path), u32::from(mode & 0o777)),
            // One that is not open may come to be the pipe's: only what is open can be borrowed.
            Stdio::Fd(fd) => open(fd).map_or(Redirect::Keep, Redirect::Fd),
            Stdio::Keep => Redirect::Keep,
        });
        let concrete = Concrete {
            steps: steps.bits(),
            umask: plan.umask.into(),
            stdio,
            keep: plan.keep.iter().filter_map(open).collect(),
            root: self.files.spell(self, &plan.root),
            directory: self.files.spell(self, &plan.directory),
            ids: (plan.ids.0.number(), plan.ids.1.number(), ids(&plan.ids.2)),
            mask: plan.mask.bits() | self.pending,
        };
        let mut daemon = self.clone();
        let mut at = Name::FillStdio;
        let taken = daemon.plan(&concrete, steps, &mut at)?;
        let answer = match taken {
            Ok(()) => Answer::of(Ok(0)),
            Err(errno) => Answer { errno, value: at as u64 },
        };
        // A caller who gets an error is what it was, but for the standard streams; and the files are there.
        if taken.is_err() && daemon.generation > self.generation {
            self.files = daemon.files;
            if steps.contains(Steps::FILL_STDIO) {
                self.fill_stdio().expect("it could be done before the fork");
            }
            self.hear_of_a_child(true);
        } else {
            *self = daemon;
        }
        Some((Do::Detach(Box::new(concrete)), answer))
    }

    fn plan(&mut self, plan: &Concrete, steps: Steps, at: &mut Name) -> Option<Result<()>> {
        for step in Name::ALL {
            let selected = steps.bits() & 1 << *step as u32 != 0;
            *at = *step;
            let answer = match step {
                Name::FillStdio if !steps.contains(Steps::FORK) && steps.contains(Steps::FORK_AGAIN) => {
                    *at = Name::ForkAgain;
                    Err(libc::EINVAL)
                }
                _ if !selected => continue,
                Name::FillStdio => self.fill_stdio(),
                Name::Fork | Name::ForkAgain => Ok(self.fork()),
                Name::Setsid => self.setsid(),
                Name::Umask => self.umask(plan.umask as u16),
                Name::Stdio => self.redirect(&plan.stdio)?,
                Name::CloseFds => self.close_except(3, &plan.keep),
                Name::ResetSignals => self.reset_signals(),
                Name::Chroot => self.chroot(&plan.root)?,
                Name::Chdir => self.chdir(&plan.directory)?,
                Name::DropPrivileges => self.drop_privileges(plan.ids.0, plan.ids.1, &plan.ids.2),
                Name::SignalMask => self.set_mask(plan.mask & !LIBCS),
                Name::NoNewPrivs => {
                    self.no_new_privs = true;
                    Ok(0)
                }
                _ => Ok(0),
            };
            if let Err(errno) = answer {
                return Some(Err(errno));
            }
        }
        Some(Ok(()))
    }

    fn redirect(&mut self, stdio: &[Redirect; 3]) -> Option<Result> {
        if stdio.iter().all(|to| matches!(to, Redirect::Null)) {
            return Some(self.stdio_null());
        }
        for (stream, to) in (0..).zip(stdio) {
            let answer = match to {
                Redirect::Null => self.stdio_file(stream, &c"/dev/null".into(), 0)?,
                Redirect::File(path, mode) => self.stdio_file(stream, path, *mode)?,
                Redirect::Fd(fd) => self.dup3(*fd, stream, false),
                Redirect::Keep => Ok(0),
            };
            if answer.is_err() {
                return Some(answer);
            }
        }
        Some(Ok(0))
    }
}

fn numbers(fds: &[Fd]) -> Vec<i32> {
    fds.iter().map(|fd| fd.number()).collect()
}

fn ids(ids: &[Id]) -> Vec<u32> {
    ids.iter().take(70).map(|id| id.number()).collect()
}
