//! The files that the steps meet: a small tree, the same for each input, and what they create.

use super::input::{Part, Path};
use super::model::Model;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Node {
    fn is_dir(self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether that process may: 4 read, 2 write, 1 search.
    pub fn may(self, model: &Model, what: u32) -> bool {
        let shift = match self {
            _ if model.power => return true,
            Self { uid, .. } if uid == model.uid => 6,
            Self { gid, .. } if gid == model.gid || model.groups.contains(&gid) => 3,
            _ => 0,
        };
        self.mode >> shift & what == what
    }
}

#[derive(Clone)]
pub struct Files {
    pub base: PathBuf,
    nodes: BTreeMap<PathBuf, Node>,
    created: Vec<PathBuf>,
}

/// Where a path leads.
pub enum Found {
    At(PathBuf, Node),
    /// The name is free.
    Free(PathBuf),
}

impl Files {
    pub fn new() -> Self {
        static FILES: OnceLock<(TempDir, BTreeMap<PathBuf, Node>)> = OnceLock::new();
        let (dir, nodes) = FILES.get_or_init(Self::make);
        Self { base: dir.path().into(), nodes: nodes.clone(), created: vec![] }
    }

    fn make() -> (TempDir, BTreeMap<PathBuf, Node>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let base = dir.path();
        fs::create_dir_all(base.join("a/b")).expect("a directory");
        fs::create_dir(base.join("private")).expect("a directory");
        fs::write(base.join("file"), "").expect("a file");
        for (name, mode) in [("", 0o755), ("a", 0o755), ("a/b", 0o755), ("private", 0o700), ("file", 0o644)] {
            fs::set_permissions(base.join(name), PermissionsExt::from_mode(mode)).expect("its own");
        }
        let mut nodes = BTreeMap::new();
        let inside = ["a/b", "private", "file"].map(|name| base.join(name));
        for path in inside.iter().map(PathBuf::as_path).chain(["/dev/null".as_ref(), "/dev/tty".as_ref()]) {
            for path in path.ancestors().filter(|path| path.exists()) {
                nodes.insert(path.into(), look(path));
            }
        }
        (dir, nodes)
    }

    /// The path as the process spells it.
    pub fn spell(&self, model: &Model, path: &Path) -> CString {
        let parts: Vec<_> = path.parts.iter().take(4).copied().map(name).collect();
        let start = match path {
            Path { parts, .. } if matches!(parts[..], [Part::DevNull]) => "/".into(),
            Path { absolute: false, .. } => String::new(),
            _ if model.root == *"/" => self.base.display().to_string() + "/",
            _ => "/".into(),
        };
        CString::new(start + &parts.join("/")).expect("no null")
    }

    /// Where it leads that process; `None` if it leaves the tree, where anything may be.
    pub fn find(&self, model: &Model, path: &CString) -> Option<Result<Found, i32>> {
        let bytes = path.as_bytes();
        let mut at = if bytes.starts_with(b"/") { model.root.clone() } else { model.cwd.clone() };
        if bytes.is_empty() {
            return Some(Err(libc::ENOENT));
        }
        let parts: Vec<_> = path.to_str().ok()?.split('/').filter(|part| !part.is_empty()).collect();
        let mut free = false;
        for part in parts {
            if free {
                return Some(Err(libc::ENOENT));
            }
            let here = self.nodes.get(&at)?;
            if !here.is_dir() {
                return Some(Err(libc::ENOTDIR));
            }
            if !here.may(model, 1) {
                return Some(Err(libc::EACCES));
            }
            match part {
                "." => {}
                ".." if at == model.root => {}
                ".." => at = at.parent().filter(|_| at != self.base)?.into(),
                name => {
                    at.push(name);
                    free = !self.nodes.contains_key(&at);
                }
            }
        }
        Some(Ok(if free { Found::Free(at) } else { Found::At(at.clone(), *self.nodes.get(&at)?) }))
    }

    /// Where it leads, if to a directory that may be searched.
    pub fn directory(&self, model: &Model, path: &CString) -> Option<Result<PathBuf, i32>> {
        Some(match self.find(model, path)? {
            Ok(Found::At(_, node)) if !node.is_dir() => Err(libc::ENOTDIR),
            Ok(Found::At(_, node)) if !node.may(model, 1) => Err(libc::EACCES),
            Ok(Found::At(at, _)) => Ok(at),
            Ok(Found::Free(_)) => Err(libc::ENOENT),
            Err(errno) => Err(errno),
        })
    }

    /// Opens to read, or to append and create with `mode`.
    pub fn open(&mut self, model: &Model, path: &CString, create: Option<u32>) -> Option<Result<PathBuf, i32>> {
        Some(match (self.find(model, path)?, create) {
            (Ok(Found::At(_, node)), Some(_)) if node.is_dir() => Err(libc::EISDIR),
            (Ok(Found::At(_, node)), _) if !node.may(model, if create.is_some() { 2 } else { 4 }) => Err(libc::EACCES),
            (Ok(Found::At(at, _)), _) => Ok(at),
            (Ok(Found::Free(at)), Some(mode)) => {
                // Not in a directory that others share: it might be left there.
                if !at.starts_with(&self.base) {
                    return None;
                }
                let parent = self.nodes.get(at.parent()?)?;
                if !parent.may(model, 2) {
                    return Some(Err(libc::EACCES));
                }
                let mode = libc::S_IFREG | mode & 0o7777 & !model.umask;
                self.nodes.insert(at.clone(), Node { mode, uid: model.uid, gid: model.gid });
                self.created.push(at.clone());
                Ok(at)
            }
            (Ok(Found::Free(_)), None) => Err(libc::ENOENT),
            (Err(errno), _) => Err(errno),
        })
    }

    pub fn node(&self, path: &std::path::Path) -> Option<Node> {
        self.nodes.get(path).copied()
    }

    /// What was created is there.
    pub fn compare(&self) {
        for path in &self.created {
            assert_eq!(look(path), self.nodes[path], "{}", path.display());
        }
    }

    pub fn clean_up(&self) {
        for path in &self.created {
            fs::remove_file(path).expect("a file");
        }
    }
}

pub fn is_dir(node: Node) -> bool {
    node.is_dir()
}

fn look(path: &std::path::Path) -> Node {
    let found = fs::symlink_metadata(path).expect("there is something");
    assert!(!found.is_symlink() && path.as_os_str().as_bytes().is_ascii());
    Node { mode: found.mode(), uid: found.uid(), gid: found.gid() }
}

fn name(part: Part) -> &'static str {
    match part {
        Part::A => "a",
        Part::B => "b",
        Part::Dot => ".",
        Part::Up => "..",
        Part::File => "file",
        Part::New => "new",
        Part::Private => "private",
        Part::DevNull => "dev/null",
    }
}
