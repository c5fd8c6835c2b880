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

use crate::sys::{self, Code, Inode, Locker, Place, borrow};
use core::ffi::CStr;
use core::mem::forget;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, FdFlags, fcntl_setfd, pwrite, retry_on_intr};
use rustix::process::{Pid, Uid, geteuid, getpid};

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
    /// * `ENOLCK`: no memory, or a file system without locks.
    ///
    /// If the file was created before any of these it stays, empty, for a later start: nobody holds it.
    ///
    /// # System calls
    ///
    /// `openat` of the directory, at most 256 bytes of path at a time, and `close` of all these but the last; `geteuid`,
    /// `newfstatat`, `openat`, `flock`, `fcntl(F_OFD_SETLK)` (3.15), `newfstatat` twice, `ftruncate`.
    ///
    /// * The file was replaced meanwhile: `close`, and all from the first `newfstatat` on again.
    /// * A standard stream is closed: `fcntl(F_DUPFD_CLOEXEC)`.
    /// * It is locked: those of [`holder`]; while nobody stands behind the lock, or who does may be ending, `ppoll` and the
    ///   locks again.
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
        let (dir, name) = sys::open_parent(path)?;
        Self::lock_at(dir, name)
    }

    /// [`PidFile::lock`] of the name in this directory, for a caller that has it open.
    ///
    /// As with openat(2) the name may be a path. It is looked up anew each time: from this directory, whatever the working
    /// directory has become; but from the root directory if it begins with a slash.
    ///
    /// # Errors
    ///
    /// Those of [`PidFile::lock`].
    ///
    /// # System calls
    ///
    /// `geteuid`, `newfstatat`, `openat`, `flock`, `fcntl(F_OFD_SETLK)` (3.15), `newfstatat` twice, `ftruncate`.
    ///
    /// * The file was replaced meanwhile: `close`, and all from the first `newfstatat` on again.
    /// * A standard stream is closed: `fcntl(F_DUPFD_CLOEXEC)`, `close`.
    /// * It is locked: those of [`holder`]; while nobody stands behind the lock, or who does may be ending, `ppoll` and the
    ///   locks again; then `close`.
    ///
    /// See [open(2)](https://man7.org/linux/man-pages/man2/open.2.html).
    ///
    /// ```
    /// # let temporary = tempfile::tempdir().unwrap();
    /// # let path = std::ffi::CString::new(temporary.path().to_str().unwrap()).unwrap();
    /// use daemon_steps::{PidFile, openat};
    /// use rustix::fs::{CWD, Mode, OFlags};
    /// let dir = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    /// PidFile::lock_at(dir, c"my.pid")?.remove()?;
    /// # Ok::<(), rustix::io::Errno>(())
    /// ```
    pub fn lock_at(dir: OwnedFd, name: &'p CStr) -> Result<Self, Errno> {
        open_locked(dir, name, OFlags::CREATE)
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
    /// Whoever asks may see it as running then, or as starting: drop or [`remove`](Self::remove) it.
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
        let file = borrow(&self.file);
        sys::setlk(file, CLAIM)?;
        sys::setlk_description(file, CLAIMED)?;
        let mut place = [0; 11];
        let line = sys::line(getpid().as_raw_nonzero().get() as u32, &mut place);
        // Eleven bytes into an empty file: the kernel writes them all or none.
        if retry_on_intr(|| pwrite(file, line, 0))? == line.len() { Ok(()) } else { Err(Errno::NOSPC) }
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
    /// `newfstatat` twice.
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
        Ok(self.look()?)
    }

    fn look(&self) -> Result<(), Code> {
        let mut place = Place::new();
        let id = place.look(borrow(&self.file), c"")?.id();
        at_path(id, self.directory()?, self.name, &mut place)
    }

    fn directory(&self) -> Result<BorrowedFd<'_>, Code> {
        self.dir.as_ref().map(borrow).ok_or(Code::BADF)
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
    /// `newfstatat` twice, `unlinkat`, `close`.
    ///
    /// * The name cannot be removed: `ftruncate`.
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
        let mut done = self.unlink();
        if let Err(Code::BADF | Code::ACCESS | Code::PERM | Code::ROFS | Code::BUSY) = done {
            done = sys::empty(&self.file);
        }
        Ok(done?)
    }

    fn unlink(&self) -> Result<(), Code> {
        self.look()?;
        sys::unlink(self.directory()?, self.name)
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
        fcntl_setfd(borrow(&self.file), FdFlags::empty())
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

    /// Closes the directory and does not forget it: the memory may be that of another process, too, where it is open.
    pub(crate) fn close_directory(&self) {
        if let Some(dir) = &self.dir {
            // SAFETY: nobody uses it before `forget_directory`: whoever does not come to that ends.
            #[allow(unsafe_code)]
            let _ = unsafe { sys::close(dir.as_raw_fd()) };
        }
    }

    /// What follows, when the memory is this process's alone.
    pub(crate) fn forget_directory(&mut self) {
        forget(self.dir.take());
    }

    /// The descriptors that [`close_except`](crate::close_except) must keep.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        let file = borrow(&self.file);
        [file, self.dir.as_ref().map_or(file, borrow)]
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
/// `openat` and `close` of the directories as for the lock; `newfstatat`, `openat`, `newfstatat`.
///
/// * A standard stream is closed: `fcntl(F_DUPFD_CLOEXEC)`.
///
/// See [open(2)](https://man7.org/linux/man-pages/man2/open.2.html).
///
/// ```
/// assert_eq!(daemon_steps::open_pid_file(c"/no/such.pid").unwrap_err(), rustix::io::Errno::NOENT);
/// ```
pub fn open_pid_file(path: &CStr) -> Result<OwnedFd, Errno> {
    let (dir, name) = sys::open_parent(path)?;
    Ok(open_to_ask(borrow(&dir), name)?)
}

/// Not inlined, so that this one's `Place` and the pieces of the path are not on the stack at once.
#[inline(never)]
fn open_to_ask(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Code> {
    // Looked at before it is opened: opening a device may do things.
    let mut place = Place::new();
    regular(place.look(dir, name)?)?;
    let file = sys::open_above_stdio(dir, name, FILE | OFlags::RDONLY)?;
    regular(place.look(borrow(&file), c"")?)?;
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
/// `fcntl(F_GETLK)`, two or three times.
///
/// * The answer is to be [`Holder::LeftBehind`]: `ppoll` and the same again, for about a fifth of a second, in which a
///   process that ends has closed its files.
///
/// See [fcntl_locking(2)](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html).
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = std::ffi::CString::new(dir.path().join("my.pid").to_str().unwrap()).unwrap();
/// # drop(daemon_steps::PidFile::lock(&path)?);
/// use daemon_steps::{Holder, holder, open_pid_file};
/// assert_eq!(holder(&open_pid_file(&path)?)?, Holder::Nobody);
/// # Ok::<(), rustix::io::Errno>(())
/// ```
pub fn holder(pid_file: &OwnedFd) -> Result<Holder, Errno> {
    Ok(patient_ask(borrow(pid_file))?)
}

#[inline(never)]
fn patient_ask(file: BorrowedFd<'_>) -> Result<Holder, Code> {
    let mut grace = GRACE;
    loop {
        match ask(file) {
            Ok(Holder::LeftBehind) if grace > 0 => {
                grace -= 1;
                sys::pause();
            }
            answer => return answer,
        }
    }
}

fn ask(file: BorrowedFd<'_>) -> Result<Holder, Code> {
    Ok(if sys::getlk(file, CLAIMED)? == Locker::DESCRIPTION {
        match sys::getlk(file, CLAIM)? {
            Locker::NOBODY | Locker::DESCRIPTION => Holder::LeftBehind,
            other => other.pid().map_or(Holder::OutOfSight, Holder::Running),
        }
    } else if sys::getlk(file, LOCKED)? == Locker::DESCRIPTION {
        Holder::Starting
    } else {
        Holder::Nobody
    })
}

/// Removes a pid file that nobody holds; whether it did.
///
/// For whoever has stopped a daemon that does not remove its own. Whoever does not lock its pid file does not hold it: that
/// of a daemon started by `start-stop-daemon --make-pidfile` is removed, though it runs. It locks the file meanwhile, in
/// the way that a simultaneous [`PidFile::lock`] waits for.
///
/// # Errors
///
/// * Those of [`PidFile::lock`], except `EWOULDBLOCK` and `EBUSY`; and those of [`PidFile::remove`].
///
/// # System calls
///
/// As locking does, but without the marks and the waiting: `openat`, `geteuid`, `newfstatat`, `openat`, `flock`, `newfstatat`
/// twice; then those of [`PidFile::remove`].
///
/// * A standard stream is closed: `fcntl(F_DUPFD_CLOEXEC)`.
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
    let (dir, name) = sys::open_parent(path)?;
    Ok(remove_unlocked(dir, name)?)
}

/// Not inlined: as [`open_to_ask`].
#[inline(never)]
fn remove_unlocked(dir: OwnedFd, name: &CStr) -> Result<bool, Code> {
    match open_locked(dir, name, OFlags::empty()) {
        Err(Errno::WOULDBLOCK | Errno::NOENT) => Ok(false),
        file => Ok(file?.remove().map(|()| true)?),
    }
}

/// Opens and locks the file that stands at the name when both are done. `create` says that it is for a start.
fn open_locked(dir: OwnedFd, name: &CStr, create: OFlags) -> Result<PidFile<'_>, Errno> {
    let me = geteuid();
    for _ in 0..16 {
        match try_open_locked(borrow(&dir), name, create, me) {
            // The former holder has removed it, or somebody has replaced it: try the new one.
            Err(Code::STALE) => {}
            opened => {
                let (file, was_left) = opened?;
                return Ok(PidFile { file, dir: Some(dir), name, was_left });
            }
        }
    }
    Err(Errno::STALE)
}

/// The file, and whether there is something in it. `ESTALE` if the name has come to be another's.
fn try_open_locked(dir: BorrowedFd<'_>, name: &CStr, create: OFlags, me: Uid) -> Result<(OwnedFd, bool), Code> {
    let mut place = Place::new();
    // Looked at before it is opened: opening a device may do things.
    match place.look(dir, name) {
        Err(Code::NOENT) if !create.is_empty() => {}
        seen => acceptable(seen?, me)?,
    }
    let file = sys::open_above_stdio(dir, name, FILE | OFlags::RDWR | create)?;
    take(&file, !create.is_empty())?;
    let inode = place.look(borrow(&file), c"")?;
    let (id, accepted, was_left) = (inode.id(), acceptable(inode, me), !inode.is_empty());
    at_path(id, dir, name, &mut place).map_err(|code| if code == Code::NOENT { Code::STALE } else { code })?;
    accepted?;
    if !create.is_empty() {
        sys::empty(&file)?;
    }
    Ok((file, was_left))
}

/// Takes the flock, and for a start the mark. Held with nobody behind it, a lock is held for an instant: by
/// [`remove_left_over`], by a probe of another program, by a `lock` that is about to mark it. Left behind, perhaps too.
fn take(file: &OwnedFd, start: bool) -> Result<(), Code> {
    let (mut patience, mut grace) = (PATIENCE, GRACE);
    loop {
        match try_take(borrow(file), start) {
            Err(Code::WOULDBLOCK) if start => {}
            taken => return taken,
        }
        match ask(borrow(file))? {
            Holder::Nobody => patience = patience.checked_sub(1).ok_or(Code::BUSY)?,
            Holder::LeftBehind => grace = grace.checked_sub(1).ok_or(Code::WOULDBLOCK)?,
            _ => return Err(Code::WOULDBLOCK),
        }
        sys::pause();
    }
}

#[inline(always)]
fn try_take(file: BorrowedFd<'_>, start: bool) -> Result<(), Code> {
    sys::flock(file)?;
    if start {
        sys::setlk_description(file, LOCKED)?;
    }
    Ok(())
}

/// Whether it is this file that stands at the name: `ESTALE` if that is another.
#[inline(always)]
fn at_path(id: (u64, u64), dir: BorrowedFd<'_>, name: &CStr, place: &mut Place) -> Result<(), Code> {
    if place.look(dir, name)?.id() == id { Ok(()) } else { Err(Code::STALE) }
}

fn acceptable(inode: &Inode, me: Uid) -> Result<(), Code> {
    regular(inode)?;
    match inode {
        _ if inode.uid() != me.as_raw() => Err(Code::PERM),
        _ if inode.links() > 1 => Err(Code::MLINK),
        _ => Ok(()),
    }
}

fn regular(inode: &Inode) -> Result<(), Code> {
    match inode.kind() {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(Code::LOOP),
        FileType::Directory => Err(Code::ISDIR),
        _ => Err(Code::INVAL),
    }
}

/// Without following, waiting, or becoming anybody's terminal.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
