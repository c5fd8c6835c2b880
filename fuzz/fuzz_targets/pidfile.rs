//! The pid file: paths of every shape against lstat(2), and a file's life against a model.

#![no_main]

use arbitrary::Arbitrary;
use daemon_steps::{Holder, PidFile, holder, open_pid_file, remove_left_over};
use libfuzzer_sys::fuzz_target;
use rustix::fs::ftruncate;
use rustix::io::{Errno, pread, pwrite};
use rustix::process::{Pid, getpid};
use std::cell::LazyCell;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::PathBuf;
use tempfile::TempDir;
use world::{Room, fork};

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Path(Vec<Part>),
    Life(Vec<Event<'a>>),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Part {
    Directory,
    /// A name of so many letters, which is a directory's if there are 255.
    Long(u8),
    Longer(u16),
    Dot,
    Up,
    Slash,
    File,
    Link,
    Loop,
    Dangling,
    Fifo,
    Missing,
}

/// What happens to a pid file: here, and by others.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Event<'a> {
    Lock,
    Claim,
    Verify,
    LeaveDirectory,
    Remove,
    Drop,
    /// By a child, which sees this process's locks.
    Ask,
    Second,
    RemoveLeftOver,
    /// By whoever does not heed the lock.
    Write(&'a [u8]),
    Replace(&'a [u8]),
    Unlink,
    Directory,
    Symlink,
    SecondName,
    GiveAway,
}

/// The tree, made once.
struct Place {
    dir: TempDir,
    room: Room<Told>,
}

/// What a child tells: the errno, and the holder's pid, or what else there is to say of it.
#[derive(Clone, Copy)]
struct Told {
    errno: i32,
    holder: i32,
}

const STARTING: i32 = -1;
const LEFT_BEHIND: i32 = -2;
const OUT_OF_SIGHT: i32 = -3;

thread_local! {
    static PLACE: LazyCell<Place> = const { LazyCell::new(Place::new) };
}

fuzz_target!(|input: Input<'_>| {
    PLACE.with(|place| match input {
        Input::Path(parts) => place.path(&parts),
        Input::Life(events) => {
            let mut life = Life::new(place);
            events.iter().take(24).for_each(|event| life.goes_on(event));
            life.clean_up();
        }
    });
});

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::env::set_current_dir(dir.path()).expect("a directory");
        let mut inner = PathBuf::new();
        for name in ["d", &"x".repeat(255)] {
            inner.push(name);
            fs::create_dir(&inner).expect("a directory");
            fs::write(inner.join("file"), "1\n").expect("a file");
        }
        fs::write("file", "4194304\n").expect("a file");
        fs::create_dir("x".repeat(255)).expect("a directory");
        for (link, to) in [("link", "d"), ("loop", "loop"), ("dangling", "nothing"), ("d/link", ".."), ("d/loop", "loop")] {
            symlink(to, link).expect("a link");
        }
        // SAFETY: a C string.
        assert_eq!(unsafe { libc::mkfifo(c"fifo".as_ptr(), 0o600) }, 0);
        Self { dir, room: Room::new() }
    }

    /// The crate walks a path in pieces; lstat(2) does it at once.
    fn path(&self, parts: &[Part]) {
        let path = spell(parts);
        let wanted = match lstat(&path) {
            // No name at all.
            _ if path.is_empty() => Err(Errno::ISDIR),
            Err(errno) => Err(errno),
            Ok(mode) => match mode & libc::S_IFMT {
                libc::S_IFREG => Ok(()),
                libc::S_IFLNK => Err(Errno::LOOP),
                libc::S_IFDIR => Err(Errno::ISDIR),
                _ => Err(Errno::INVAL),
            },
        };
        let opened = open_pid_file(&path);
        assert_eq!(opened.as_ref().map(drop).map_err(|errno| *errno), wanted, "{path:?}");
        if let Ok(file) = opened {
            assert_eq!(holder(&file), Ok(Holder::Nobody));
        }
        if wanted != Ok(()) && wanted != Err(Errno::NOENT) {
            assert_eq!(PidFile::lock(&path).map(drop), wanted, "{path:?}");
            assert_eq!(remove_left_over(&path).map(drop), wanted, "{path:?}");
        }
        assert!(self.dir.path().join("file").exists());
    }
}

fn spell(parts: &[Part]) -> CString {
    let mut path = Vec::new();
    // More links than the kernel follows at once may be followed piece by piece.
    let mut links = 0;
    for part in parts.iter().take(400) {
        links += usize::from(matches!(part, Part::Link));
        match part {
            Part::Directory => path.extend(b"d/"),
            Part::Long(more) => path.extend([b"x".repeat(usize::from(*more) + 1).as_slice(), b"/"].concat()),
            Part::Longer(length) => path.extend(b"x".repeat(usize::from(*length) % 5000)),
            Part::Dot => path.extend(b"./"),
            Part::Up => path.extend(b"d/../"),
            // At the beginning it would lead out of the tree.
            Part::Slash if path.is_empty() => {}
            Part::Slash => path.push(b'/'),
            Part::File => path.extend(b"file"),
            Part::Link if links < 30 => path.extend(b"link/"),
            Part::Link => {}
            Part::Loop => path.extend(b"loop"),
            Part::Dangling => path.extend(b"dangling"),
            Part::Fifo => path.extend(b"fifo"),
            Part::Missing => path.extend(b"missing"),
        }
    }
    CString::new(path).expect("no null")
}

fn lstat(path: &CStr) -> Result<u32, Errno> {
    // SAFETY: all zeroes are a `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a place for one `stat`.
    match unsafe { libc::lstat(path.as_ptr(), &raw mut stat) } {
        0 => Ok(stat.st_mode),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).expect("an errno")),
    }
}

/// The file's name, in the tree's directory. The other stands for "some other file".
const NAME: &CStr = c"pid";
const OTHER: &str = "other";

/// What stands at the name.
#[derive(Clone, Debug, PartialEq)]
enum There {
    Nothing,
    File { inode: u64, content: Vec<u8>, names: u32, foreign: bool },
    Symlink,
    Directory,
}

/// A pid file that this process has locked.
struct Held {
    file: PidFile<'static>,
    inode: u64,
    claimed: bool,
    left: bool,
}

/// Opened and closed once more by this process it would lose its claim.
impl Held {
    fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 16];
        let length = pread(self.file.descriptors()[0], &mut bytes[..], 0).expect("a file");
        bytes.truncate(length);
        bytes
    }

    fn write(&self, bytes: &[u8]) {
        ftruncate(self.file.descriptors()[0], 0).expect("a file");
        assert_eq!(pwrite(self.file.descriptors()[0], bytes, 0), Ok(bytes.len()));
    }
}

struct Life<'p> {
    place: &'p Place,
    there: There,
    held: Option<Held>,
}

impl<'p> Life<'p> {
    fn new(place: &'p Place) -> Self {
        Self { place, there: There::Nothing, held: None }
    }

    fn goes_on(&mut self, event: &Event<'_>) {
        match event {
            Event::Lock if self.held.is_none() => self.lock(),
            Event::Claim => self.claim(),
            Event::Verify => {
                if let Some(held) = &self.held {
                    assert_eq!(held.file.verify(), self.verified(held));
                }
            }
            Event::LeaveDirectory => {
                if let Some(held) = &mut self.held {
                    held.file.leave_directory();
                    held.left = true;
                }
            }
            Event::Remove => self.remove(),
            Event::Drop => self.held = None,
            Event::Ask => self.ask(),
            Event::Second => self.second(),
            Event::RemoveLeftOver => self.remove_left_over(),
            Event::Lock => {}
            other => self.disturb(other),
        }
        self.compare();
    }

    /// What a start finds wrong with what is there.
    fn refused(&self) -> Result<(), Errno> {
        match &self.there {
            There::File { foreign: true, .. } => Err(Errno::PERM),
            There::File { names: 2.., .. } => Err(Errno::MLINK),
            There::File { inode, .. } if self.held.as_ref().is_some_and(|held| held.inode == *inode) => Err(Errno::WOULDBLOCK),
            There::Nothing | There::File { .. } => Ok(()),
            There::Symlink => Err(Errno::LOOP),
            There::Directory => Err(Errno::ISDIR),
        }
    }

    fn lock(&mut self) {
        let locked = PidFile::lock(NAME);
        assert_eq!(locked.as_ref().map(drop).map_err(|errno| *errno), self.refused());
        if let Ok(file) = locked {
            assert_eq!(file.was_left(), matches!(&self.there, There::File { content, .. } if !content.is_empty()));
            self.emptied();
            let There::File { inode, .. } = self.there else { unreachable!("it was locked") };
            self.held = Some(Held { file, inode, claimed: false, left: false });
        }
    }

    /// A start has made the file, or emptied what was there.
    fn emptied(&mut self) {
        match &mut self.there {
            There::File { content, .. } => content.clear(),
            other => *other = There::File { inode: inode("pid"), content: vec![], names: 1, foreign: false },
        }
    }

    fn claim(&mut self) {
        let Some(held) = &mut self.held else { return };
        assert_eq!(held.file.claim(), Ok(()));
        held.claimed = true;
        match &mut self.there {
            There::File { inode, content, .. } if *inode == held.inode => {
                // A line over what stands there: others may have written.
                let line = format!("{}\n", number(getpid()));
                let rest = content.get(line.len()..).unwrap_or_default();
                *content = [line.as_bytes(), rest].concat();
            }
            _ => {}
        }
    }

    fn verified(&self, held: &Held) -> Result<(), Errno> {
        match &self.there {
            _ if held.left => Err(Errno::BADF),
            There::Nothing => Err(Errno::NOENT),
            There::File { inode, .. } if *inode == held.inode => Ok(()),
            _ => Err(Errno::STALE),
        }
    }

    fn remove(&mut self) {
        let Some(held) = self.held.take() else { return };
        let wanted = self.verified(&held);
        let is_there = matches!(&self.there, There::File { inode, .. } if *inode == held.inode);
        // Whoever has left the directory cannot look, and empties what it has.
        assert_eq!(held.file.remove(), if held.left { Ok(()) } else { wanted });
        match &mut self.there {
            There::File { content, .. } if held.left && is_there => content.clear(),
            there if !held.left && is_there => *there = There::Nothing,
            _ => {}
        }
    }

    fn ask(&mut self) {
        let wanted = match (&self.there, &self.held) {
            (There::Nothing, _) => Err(Errno::NOENT),
            (There::Symlink, _) => Err(Errno::LOOP),
            (There::Directory, _) => Err(Errno::ISDIR),
            (There::File { inode, .. }, Some(held)) if held.inode == *inode => {
                Ok(if held.claimed { number(getpid()) } else { STARTING })
            }
            (There::File { .. }, _) => Ok(0),
        };
        let told = self.in_child(|told| {
            told.holder = match holder(&open_pid_file(NAME)?)? {
                Holder::Nobody => 0,
                Holder::Starting => STARTING,
                Holder::Running(pid) => number(pid),
                Holder::OutOfSight => OUT_OF_SIGHT,
                Holder::LeftBehind => LEFT_BEHIND,
            };
            Ok(())
        });
        assert_eq!(told, wanted);
    }

    /// A second instance, which dies as soon as it has the file, if it has.
    fn second(&mut self) {
        let wanted = self.refused();
        assert_eq!(self.in_child(|_| PidFile::lock(NAME).map(std::mem::forget)).map(drop), wanted);
        if wanted.is_ok() {
            self.emptied();
        }
    }

    fn remove_left_over(&mut self) {
        let wanted = match (self.refused(), &self.there) {
            (Ok(()), There::Nothing) | (Err(Errno::WOULDBLOCK), _) => Ok(0),
            (Ok(()), _) => Ok(1),
            (Err(errno), _) => Err(errno),
        };
        assert_eq!(self.in_child(|told| remove_left_over(NAME).map(|removed| told.holder = removed.into())), wanted);
        if wanted == Ok(1) {
            self.there = There::Nothing;
        }
    }

    fn in_child(&self, what: impl FnOnce(&mut Told) -> Result<(), Errno>) -> Result<i32, Errno> {
        let child = fork(&self.place.room, |room| {
            let told = room.tell();
            told.errno = world::number(what(told));
        });
        let (told, status) = child.ends();
        assert_eq!(status.exit_status(), Some(0), "the child's end");
        if told.errno == 0 { Ok(told.holder) } else { Err(Errno::from_raw_os_error(told.errno)) }
    }

    fn disturb(&mut self, event: &Event<'_>) {
        match (event, &mut self.there) {
            (Event::Write(bytes), There::File { inode, content, .. }) => {
                match self.held.as_ref().filter(|held| held.inode == *inode) {
                    Some(held) => held.write(bytes),
                    None => fs::write("pid", bytes).expect("a file"),
                }
                *content = bytes.to_vec();
            }
            (Event::Replace(bytes), There::Nothing | There::File { .. } | There::Symlink) => {
                fs::write(OTHER, bytes).expect("a file");
                fs::rename(OTHER, "pid").expect("the same directory");
                self.there = There::File { inode: inode("pid"), content: bytes.to_vec(), names: 1, foreign: false };
            }
            (Event::Unlink, There::File { .. } | There::Symlink) => {
                fs::remove_file("pid").expect("a file");
                self.there = There::Nothing;
            }
            (Event::Directory, There::Nothing) => {
                fs::create_dir("pid").expect("a directory");
                self.there = There::Directory;
            }
            (Event::Symlink, There::Nothing) => {
                symlink("file", "pid").expect("a link");
                self.there = There::Symlink;
            }
            (Event::SecondName, There::File { names, .. }) if !fs::exists("second").expect("the directory") => {
                fs::hard_link("pid", "second").expect("a file");
                *names += 1;
            }
            (Event::GiveAway, There::File { foreign, .. }) => {
                chown("pid", Some(65534), None).expect("root's");
                *foreign = true;
            }
            _ => {}
        }
    }

    /// What is at the name is what the model says.
    fn compare(&self) {
        let found = fs::symlink_metadata("pid");
        match &self.there {
            There::Nothing => assert!(found.is_err()),
            There::Symlink => assert!(found.expect("something").is_symlink()),
            There::Directory => assert!(found.expect("something").is_dir()),
            There::File { inode, content, names, foreign } => {
                let found = found.expect("something");
                assert!(found.is_file());
                let seen = (found.ino(), found.len(), found.nlink(), found.uid() != 0);
                assert_eq!(seen, (*inode, content.len() as u64, (*names).into(), *foreign));
                let held = self.held.as_ref().filter(|held| held.inode == *inode);
                assert_eq!(held.map_or_else(|| fs::read("pid").expect("a file"), Held::read), *content);
            }
        }
    }

    fn clean_up(self) {
        drop(self.held);
        match fs::symlink_metadata("pid") {
            Ok(found) if found.is_dir() => fs::remove_dir("pid").expect("an empty one"),
            Ok(_) => fs::remove_file("pid").expect("a file"),
            Err(_) => {}
        }
        for name in ["second", OTHER] {
            let _ = fs::remove_file(name);
        }
    }
}

fn inode(path: &str) -> u64 {
    fs::symlink_metadata(path).expect("something").ino()
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
