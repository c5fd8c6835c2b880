//! The pid file: a flock that excludes, a record lock that names.
//!
//! | lock | kind | from | tells |
//! |---|---|---|---|
//! | whole file | flock | `lock` | nothing that can be asked without taking it; it excludes |
//! | byte 1 | open file description | `lock` | somebody has locked the file |
//! | byte 0 | process | `claim` | the daemon: its pid, from the kernel |
//! | byte 2 | open file description | `claim` | the file was claimed once, by whoever shares the flock |
//!
//! The three that can be asked are asked in the order 2, 0, 1, so that a claim in between is seen as
//! "starting" or "running", never as "left behind".

use crate::sys::{self, Decimal, Locker};
use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, ftruncate, statat, unlinkat};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pwrite, retry_on_intr};
use rustix::process::{Pid, geteuid, getpid};

const CLAIM: u8 = 0;
const LOCKED: u8 = 1;
const CLAIMED: u8 = 2;

/// How many pauses a lock is waited for that nobody stands behind.
const PATIENCE: u32 = 500;

/// How many pauses a claim may be gone and the rest of the locks not: a process that ends loses its record
/// lock first, and the others when its last descriptor is closed.
const GRACE: u32 = 200;

/// A locked pid file. Dropping it closes the file, which releases the lock unless another process
/// (the other side of a fork) still has it open.
#[derive(Debug)]
pub struct PidFile<'p> {
    file: OwnedFd,
    /// Where the name is: opened at lock time, so that chdir and chroot change nothing.
    dir: Option<OwnedFd>,
    name: &'p CStr,
    was_left: bool,
}

/// Who holds a pid file, as the kernel tells it; the number in the file is not asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// Somebody has locked it and not claimed it yet.
    Starting,
    /// This process.
    Running(Pid),
    /// A process that the asker's pid namespace does not show.
    OutOfSight,
    /// The claim is gone, the lock is not: children of a dead daemon keep it; or the daemon
    /// itself has opened and closed the file once more, which by POSIX ends its claim.
    LeftBehind,
}

impl<'p> PidFile<'p> {
    /// Opens, creating it with mode 0644 less the umask, and locks the pid file at `path`; empties it.
    ///
    /// Before the fork: so the caller hears that another instance is running, and an unwritable
    /// file is known while there is a terminal. Both sides of a fork share the lock. A lock that a
    /// foreign program holds for an instant (to probe) is waited for, about half a second.
    ///
    /// The file must be a regular one, of this user, with one name; a symlink is not followed.
    ///
    /// # Errors
    ///
    /// * `EWOULDBLOCK`: another instance has it locked: ask [`holder`].
    /// * `EBUSY`: a foreign program has had it locked for half a second.
    /// * `ELOOP`: a symlink at `path`. `EISDIR`: a directory, or no name. `EINVAL`: a FIFO, a device or a socket.
    /// * `EPERM`: the file is another user's. `EMLINK`: it has a second name (hard link).
    /// * `ENAMETOOLONG`: 4,096 bytes or more, or one component of more than 255.
    /// * `ENOENT`, `ENOTDIR`, `EACCES`, `EROFS`, `ENOSPC`, `EDQUOT`, `EIO`, `EMFILE`, `ENFILE`, `ENOMEM`: as open(2) has them.
    /// * `ESTALE`: the file was replaced 16 times while it was being locked.
    /// * `ENOLCK`: no memory, or a file system without locks. If the file was created it stays, empty, for a later start.
    ///
    /// # System calls
    ///
    /// `openat` of the directory (again for each 256 bytes of path), `geteuid`, `newfstatat`, `openat`, `flock`,
    /// `fcntl(F_OFD_SETLK)` (3.15), `fstat`, `newfstatat`, `ftruncate`; `close` and all from the first `newfstatat` on again if
    /// the file was replaced meanwhile; `fcntl(F_DUPFD_CLOEXEC)` and `close` if a standard stream was closed. If a lock
    /// is held: `fcntl(F_GETLK)`, and `ppoll` and the locks again while nobody stands behind it.
    ///
    /// See [flock(2)](https://man7.org/linux/man-pages/man2/flock.2.html) and
    /// [fcntl_locking(2)](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// use daemon_steps::PidFile;
    /// let file = PidFile::lock(&path)?;
    /// assert_eq!(PidFile::lock(&path).unwrap_err(), rustix::io::Errno::WOULDBLOCK);
    /// file.remove()?;
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn lock(path: &'p CStr) -> Result<Self, Errno> {
        let (dir, name) = parent(path)?;
        let (file, stat) = open_locked(&dir, name, OFlags::CREATE)?;
        ftruncate(&file, 0)?;
        Ok(Self { file, dir: Some(dir), name, was_left: stat.st_size > 0 })
    }

    /// Whether `lock` found something in the file: a former instance ended without removing it, or somebody else has put it there.
    #[must_use]
    pub fn was_left(&self) -> bool {
        self.was_left
    }

    /// Names this process as the holder, and writes its pid into the file.
    ///
    /// In the daemon itself: the claim does not survive a fork, it does survive execve(2).
    ///
    /// **A process that closes any descriptor of this file loses its claim** (POSIX): the daemon
    /// must not open its own pid file again.
    ///
    /// # Errors
    ///
    /// * `EAGAIN`, `EACCES`: another process has claimed it, or keeps it from being claimed by a read lock;
    ///   or this is NFS or SMB, where flock and record locks are one.
    /// * `ENOSPC`, `EDQUOT`, `EIO`, `EFBIG`: the pid could not be written.
    /// * `ENOLCK`: no memory for the lock.
    ///
    /// # System calls
    ///
    /// `fcntl(F_SETLK)`, `fcntl(F_OFD_SETLK)` (3.15), `getpid`, `pwrite64`.
    ///
    /// See [fcntl_locking(2)](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// let file = daemon_steps::PidFile::lock(&path)?;
    /// file.claim()?;
    /// assert_eq!(std::fs::read_to_string(path.to_str().unwrap()).unwrap(), format!("{}\n", std::process::id()));
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn claim(&self) -> Result<(), Errno> {
        sys::setlk(&self.file, CLAIM)?;
        sys::setlk_description(&self.file, CLAIMED)?;
        let pid = Decimal::of(getpid().as_raw_nonzero().get().unsigned_abs());
        let mut line = [b'\n'; 11];
        line.iter_mut().zip(pid.digits()).for_each(|(to, digit)| *to = *digit);
        let line = line.get(..=pid.digits().len()).unwrap_or_default();
        // Eleven bytes into an empty file: the kernel writes them all or none.
        if retry_on_intr(|| pwrite(&self.file, line, 0))? == line.len() { Ok(()) } else { Err(Errno::NOSPC) }
    }

    /// Whether the file is still the one at its path: somebody may have removed or replaced it.
    ///
    /// Nobody else can tell: a start finds no file, or one that nobody holds, and is a second instance.
    ///
    /// # Errors
    ///
    /// * `ENOENT`: it was removed. `ESTALE`: another file stands there.
    /// * `EBADF`: the directory was left, see [`PidFile::leave_directory`].
    /// * `EACCES`: the directory may no longer be searched.
    ///
    /// # System calls
    ///
    /// `fstat`, `newfstatat`.
    ///
    /// See [stat(2)](https://man7.org/linux/man-pages/man2/stat.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// let file = daemon_steps::PidFile::lock(&path)?;
    /// file.verify()?;
    /// std::fs::remove_file(path.to_str().unwrap()).unwrap();
    /// assert_eq!(file.verify(), Err(rustix::io::Errno::NOENT));
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn verify(&self) -> Result<(), Errno> {
        let dir = self.dir.as_ref().ok_or(Errno::BADF)?;
        let at_path = statat(dir, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if same(&fstat(&self.file)?, &at_path) { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Removes the file if it is still this one, and closes it.
    ///
    /// Where the name cannot be removed (after a drop of privileges, after [`PidFile::leave_directory`],
    /// where another file system is mounted on it) the file is emptied. Another file at the path is left alone.
    ///
    /// Between the look and the removal somebody who does *not* heed the lock (`rm`, and a start
    /// after it) may put another file there, which is then removed; the kernel has no call for both.
    ///
    /// # Errors
    ///
    /// * `ENOENT`: somebody has removed it. `ESTALE`: another file stands there, untouched.
    /// * `EIO`: the file system fails.
    ///
    /// # System calls
    ///
    /// `fstat`, `newfstatat`, `unlinkat`, `close`; `ftruncate` where the name cannot be removed.
    ///
    /// See [unlink(2)](https://man7.org/linux/man-pages/man2/unlink.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// daemon_steps::PidFile::lock(&path)?.remove()?;
    /// assert!(!std::path::Path::new(path.to_str().unwrap()).exists());
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn remove(self) -> Result<(), Errno> {
        let unlinked = match (&self.dir, self.verify()) {
            (Some(dir), Ok(())) => unlinkat(dir, self.name, AtFlags::empty()),
            (_, refused) => refused,
        };
        match unlinked {
            Err(Errno::BADF | Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::BUSY) => ftruncate(&self.file, 0),
            done => done,
        }
    }

    /// Keeps the lock and the claim across execve(2): the program that is executed holds the file.
    ///
    /// The directory is not kept: the program cannot remove the file through this crate.
    ///
    /// # Errors
    ///
    /// * `EPERM` or what else a seccomp filter answers.
    ///
    /// # System calls
    ///
    /// `fcntl(F_SETFD)`.
    ///
    /// See [fcntl(2)](https://man7.org/linux/man-pages/man2/fcntl.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// daemon_steps::PidFile::lock(&path)?.keep_across_exec()?;
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn keep_across_exec(&self) -> Result<(), Errno> {
        fcntl_setfd(&self.file, FdFlags::empty())
    }

    /// Closes the directory that [`PidFile::lock`] opened: after a [`chroot`](crate::chroot) it would lead out.
    ///
    /// # System calls
    ///
    /// `close`.
    ///
    /// See [close(2)](https://man7.org/linux/man-pages/man2/close.2.html).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
    /// let mut file = daemon_steps::PidFile::lock(&path)?;
    /// file.leave_directory();
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn leave_directory(&mut self) {
        self.dir = None;
    }

    /// The descriptors that [`close_except`](crate::close_except) must keep.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        let file = self.file.as_fd();
        [file, self.dir.as_ref().map_or(file, AsFd::as_fd)]
    }
}

/// Opens the pid file at `path` for asking: it is neither created, nor locked, nor written.
///
/// # Errors
///
/// * `ENOENT`: there is none.
/// * `ELOOP`, `EISDIR`, `EINVAL`: a symlink, a directory, something else that is no regular file.
/// * `ENOTDIR`, `EACCES`, `ENAMETOOLONG`, `EIO`, `EMFILE`, `ENFILE`, `ENOMEM`: as open(2) has them.
///
/// # System calls
///
/// `openat` of the directory (again for each 256 bytes of path), `newfstatat`, `openat`, `fstat`, `close`.
///
/// See [open(2)](https://man7.org/linux/man-pages/man2/open.2.html).
///
/// ```
/// assert_eq!(daemon_steps::open_pid_file(c"/no/such.pid").unwrap_err(), rustix::io::Errno::NOENT);
/// ```
pub fn open_pid_file(path: &CStr) -> Result<OwnedFd, Errno> {
    let (dir, name) = parent(path)?;
    regular(&statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?)?;
    let file = open(&dir, name, OFlags::RDONLY)?;
    regular(&fstat(&file)?)?;
    Ok(file)
}

/// Asks the kernel who holds the pid file; takes nothing, and disturbs nobody.
///
/// Ask from another process than the daemon: one does not see one's own locks, and closing the
/// descriptor afterwards would end one's claim.
///
/// A process that may write the file could pose as the holder, and one that shares its descriptors
/// with another (`CLONE_FILES`) could leave the claim under its own, dead number: keep pid files in
/// directories that only the daemon's user may write, such as `/run/NAME`. One that may only *read* the
/// file can refuse a start, because flock(2) wants no more; it is never taken for a holder. Where
/// that matters, let nobody else search the directory, or set a umask of 077 before
/// [`PidFile::lock`]: then nobody else can ask either.
///
/// # Errors
///
/// * `EPERM` or what else a seccomp filter answers. `EBADF`: `pid_file` was opened with `O_PATH`.
///
/// # System calls
///
/// `fcntl(F_GETLK)`, one to three times. Before the answer is [`Holder::LeftBehind`]: `ppoll` and the
/// same again, for about a fifth of a second, in which a process that ends has closed its files.
///
/// See [fcntl_locking(2)](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
/// # drop(daemon_steps::PidFile::lock(&path)?);
/// use daemon_steps::{Holder, holder, open_pid_file};
/// assert_eq!(holder(open_pid_file(&path)?)?, Holder::Nobody);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn holder(pid_file: impl AsFd) -> Result<Holder, Errno> {
    let mut found = ask(pid_file.as_fd())?;
    for _ in 0..GRACE {
        if found != Holder::LeftBehind {
            break;
        }
        sys::pause();
        found = ask(pid_file.as_fd())?;
    }
    Ok(found)
}

fn ask(file: BorrowedFd<'_>) -> Result<Holder, Errno> {
    if sys::getlk(file, CLAIMED)? == Some(Locker::Description) {
        return Ok(match sys::getlk(file, CLAIM)? {
            Some(Locker::Process(pid)) => Pid::from_raw(pid as i32).map_or(Holder::OutOfSight, Holder::Running),
            _ => Holder::LeftBehind,
        });
    }
    let locked = sys::getlk(file, LOCKED)? == Some(Locker::Description);
    Ok(if locked { Holder::Starting } else { Holder::Nobody })
}

/// Removes a pid file that nobody holds; whether it did.
///
/// For whoever has stopped a daemon that does not remove its own. It locks the file meanwhile, in
/// the way that a simultaneous [`PidFile::lock`] waits for.
///
/// # Errors
///
/// * Those of [`PidFile::lock`], except `EWOULDBLOCK` and `EBUSY`; and those of [`PidFile::remove`].
///
/// # System calls
///
/// Those of [`PidFile::lock`] and [`PidFile::remove`], without `fcntl` and the waiting.
///
/// See [flock(2)](https://man7.org/linux/man-pages/man2/flock.2.html).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
/// # drop(daemon_steps::PidFile::lock(&path)?);
/// assert!(daemon_steps::remove_left_over(&path)?);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn remove_left_over(path: &CStr) -> Result<bool, Errno> {
    let (dir, name) = parent(path)?;
    let locked = open_locked(&dir, name, OFlags::empty());
    let (file, stat) = match locked {
        Err(Errno::WOULDBLOCK | Errno::NOENT) => return Ok(false),
        locked => locked?,
    };
    PidFile { file, dir: Some(dir), name, was_left: stat.st_size > 0 }.remove()?;
    Ok(true)
}

/// Opens and locks the file that stands at the name when both are done. `create` says that it is for a start.
fn open_locked(dir: &OwnedFd, name: &CStr, create: OFlags) -> Result<(OwnedFd, Stat), Errno> {
    let me = geteuid();
    let acceptable = |stat: &Stat| {
        regular(stat)?;
        match stat {
            _ if stat.st_uid != me.as_raw() => Err(Errno::PERM),
            _ if stat.st_nlink > 1 => Err(Errno::MLINK),
            _ => Ok(()),
        }
    };
    for _ in 0..16 {
        // Looked at before it is opened: opening a device may do things.
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => acceptable(&stat)?,
            Err(Errno::NOENT) if !create.is_empty() => {}
            Err(errno) => return Err(errno),
        }
        let file = open(dir, name, OFlags::RDWR | create)?;
        take(&file, !create.is_empty())?;
        let stat = fstat(&file)?;
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(at_path) if same(&stat, &at_path) => {
                acceptable(&stat)?;
                return Ok((file, stat));
            }
            // The former holder has removed it, or somebody has replaced it: try the new one.
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::STALE)
}

/// Takes the flock, and for a start the mark. Held with nobody behind it, a lock is held for an instant: by
/// [`remove_left_over`], by a probe of another program, by a `lock` that is about to mark it.
fn take(file: &OwnedFd, start: bool) -> Result<(), Errno> {
    let try_lock = || {
        retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive))?;
        if start { sys::setlk_description(file, LOCKED) } else { Ok(()) }
    };
    let mut locked = try_lock();
    let pauses = if start { PATIENCE } else { 0 };
    for _ in 0..pauses {
        if locked != Err(Errno::WOULDBLOCK) || holder(file)? != Holder::Nobody {
            return locked;
        }
        sys::pause();
        locked = try_lock();
    }
    if start && locked == Err(Errno::WOULDBLOCK) { Err(Errno::BUSY) } else { locked }
}

/// Opens above the standard streams, without following, waiting, or becoming anybody's terminal.
fn open(dir: &OwnedFd, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    sys::above_stdio(sys::openat(dir.as_fd(), name, flags, Mode::from_raw_mode(0o644))?)
}

fn regular(stat: &Stat) -> Result<(), Errno> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(Errno::LOOP),
        FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::INVAL),
    }
}

fn same(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// The open directory and the name in it.
///
/// openat(2) wants a null at the end of the directory's path, where a slash stands, so that path
/// is copied; in pieces, because a buffer of `PATH_MAX` is more stack than all else here together.
fn parent(path: &CStr) -> Result<(OwnedFd, &CStr), Errno> {
    let mut rest = path.to_bytes_with_nul();
    if rest.len() > 4096 {
        return Err(Errno::NAMETOOLONG);
    }
    let mut dir =
        sys::openat(CWD, if rest.starts_with(b"/") { c"/" } else { c"." }, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        // What follows a piece is relative: were the cut between two slashes, the second would lead to the root.
        while let [b'/', more @ ..] = rest {
            rest = more;
        }
        let mut piece = [0; 256];
        let mut length = 0;
        for (at, (to, from)) in piece.iter_mut().zip(rest).enumerate() {
            *to = *from;
            if *from == b'/' {
                length = at;
            }
        }
        if length == 0 {
            break;
        }
        piece.iter_mut().skip(length).for_each(|byte| *byte = 0);
        dir = sys::openat(dir.as_fd(), sys::c_str(&piece)?, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        rest = rest.get(length..).unwrap_or_default();
    }
    match rest {
        _ if rest.len() > 256 => Err(Errno::NAMETOOLONG),
        b"\0" | b".\0" | b"..\0" => Err(Errno::ISDIR),
        _ => Ok((sys::above_stdio(dir)?, sys::c_str(rest)?)),
    }
}
