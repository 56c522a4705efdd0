//! Opens a file through symlinks that stay inside its own directory.
//!
//! Kubernetes' projected volumes need it: `token -> ..data/token`, `..data -> ..2026_01_01`,
//! all made by root, so that one rename of `..data` swaps every file at once. Each element
//! is opened and then judged by its descriptor; no path is looked up twice.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat},
    process::geteuid,
};

/// As many links as the kernel itself would follow.
const MAX_LINKS: usize = 40;
/// Writable by the group or by everybody.
const FOREIGN_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a symlink is not followed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It breaks the rule for symlinks.
    Rule(&'static str),
    /// The system refused a step.
    Io(io::Error),
}

impl From<rustix::io::Errno> for Refusal {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Opens `path`, whose last element is a symlink, for reading and without blocking.
///
/// Every link must belong to `root` and lead to a place below the directory of `path`;
/// that directory and those below it belong to `root` and are writable by nobody else (or
/// sticky, as the mount of a projected volume is); the file belongs to `root` or to us.
pub(crate) fn open(path: &Path, root: u32) -> Result<OwnedFd, Refusal> {
    let directory = crate::disk::directory_of(path);
    let mut walk = Walk::new(directory, root)?;
    let name = path.file_name().ok_or(Refusal::Rule("has no file name"))?;
    walk.ahead.push(name.to_owned());
    while let Some(name) = walk.ahead.pop() {
        if let Some(file) = walk.step(&name)? {
            return Ok(file);
        }
    }
    Err(Refusal::Rule("leads to a directory"))
}

struct Walk<'a> {
    directory: &'a Path,
    root: u32,
    base: OwnedFd,
    /// Directories entered below the base, innermost last.
    below: Vec<OwnedFd>,
    /// Elements still to be walked, next one last.
    ahead: Vec<OsString>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(directory: &'a Path, root: u32) -> Result<Self, Refusal> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = rustix::fs::open(directory, flags, Mode::empty())?;
        let stat = fstat(&base)?;
        let shared = stat.st_mode & FOREIGN_WRITE != 0 && stat.st_mode & STICKY == 0;
        if stat.st_uid != root || shared {
            return Err(Refusal::Rule(
                "stands in a directory that others than root can change",
            ));
        }
        Ok(Self {
            directory,
            root,
            base,
            below: Vec::new(),
            ahead: Vec::new(),
            links: 0,
        })
    }

    /// One element: enters a directory, unfolds a link, or opens the file.
    fn step(&mut self, name: &OsStr) -> Result<Option<OwnedFd>, Refusal> {
        if name == ".." {
            let left = self.below.pop();
            return left
                .map(|_| None)
                .ok_or(Refusal::Rule("leads outside its directory"));
        }
        let here = self.below.last().unwrap_or(&self.base);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let element = openat(here, name, flags, Mode::empty())?;
        let stat = fstat(&element)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => self.unfold(&element, &stat)?,
            FileType::Directory => {
                if stat.st_uid != self.root || stat.st_mode & FOREIGN_WRITE != 0 {
                    return Err(Refusal::Rule(
                        "leads through a directory that others than root can change",
                    ));
                }
                self.below.push(element);
            }
            _ if !self.ahead.is_empty() => {
                return Err(Refusal::Io(io::ErrorKind::NotADirectory.into()));
            }
            _ => return self.open_file(name).map(Some),
        }
        Ok(None)
    }

    fn unfold(&mut self, link: &OwnedFd, stat: &Stat) -> Result<(), Refusal> {
        if stat.st_uid != self.root {
            return Err(Refusal::Rule("does not belong to root"));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Refusal::Rule("leads in a circle"));
        }
        let bytes = readlinkat(link, "", Vec::new())?.into_bytes();
        let mut target = PathBuf::from(OsString::from_vec(bytes));
        if target.is_absolute() {
            let Ok(inside) = target.strip_prefix(self.directory) else {
                return Err(Refusal::Rule("leads outside its directory"));
            };
            target = inside.to_owned();
            self.below.clear();
        }
        for component in target.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push(name.to_owned()),
                Component::ParentDir => self.ahead.push("..".into()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        Ok(())
    }

    fn open_file(&self, name: &OsStr) -> Result<OwnedFd, Refusal> {
        let here = self.below.last().unwrap_or(&self.base);
        let file = openat(here, name, crate::disk::READ, Mode::empty())?;
        let owner = fstat(&file)?.st_uid;
        if owner != self.root && owner != geteuid().as_raw() {
            return Err(Refusal::Rule("leads to a file of another user"));
        }
        Ok(file)
    }
}
