//! Opens a path element by element, each judged by its own descriptor.
//!
//! Symlinks are followed where every link, every directory on the way and the target belong to
//! root or to the agent's user and nobody else can write to them. No path is looked up twice.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt as _},
    path::{Component, Path, PathBuf},
};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};

use crate::{
    facts::Identity,
    rules::{Holder, owned, passable},
};

/// As many links as the kernel itself would follow.
const MAX_LINKS: usize = 40;

/// Neither blocks on a FIFO nor follows a link.
pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a path is not opened. Each is one sentence part.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It breaks a rule.
    Rule(String),
    /// The system refused a step.
    Io(io::Error),
}

impl From<rustix::io::Errno> for Refusal {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// What is to be opened at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// A directory, for listing.
    Directory,
    /// A file, for reading. That it is one is for the caller to check.
    File,
}

/// Opens `path`, which is absolute. The last element is not judged, but for whose it is.
pub(crate) fn open(path: &Path, want: Want, agent: u32) -> Result<OwnedFd, Refusal> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut walk = Walk {
        agent,
        want,
        entered: Vec::new(),
        root,
        ahead: Vec::new(),
        links: 0,
    };
    walk.plan(path);
    while let Some(name) = walk.ahead.pop() {
        if let Some(found) = walk.step(&name)? {
            return Ok(found);
        }
    }
    match want {
        // `/`, or a path that ends in `..`.
        Want::Directory => Ok(openat(walk.here(), ".", READ, Mode::empty())?),
        Want::File => Err(Refusal::Rule("leads to a directory".into())),
    }
}

pub(crate) fn holder(stat: &Stat) -> Holder {
    Holder {
        owner: stat.st_uid,
        mode: stat.st_mode,
    }
}

pub(crate) fn identity(stat: &Stat) -> Identity {
    Identity {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

struct Walk {
    agent: u32,
    want: Want,
    root: OwnedFd,
    /// Directories entered below the root, innermost last.
    entered: Vec<OwnedFd>,
    /// Elements still to be walked, next one last.
    ahead: Vec<OsString>,
    links: usize,
}

impl Walk {
    fn here(&self) -> &OwnedFd {
        self.entered.last().unwrap_or(&self.root)
    }

    fn plan(&mut self, path: &Path) {
        if path.is_absolute() {
            self.entered.clear();
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.ahead.push(name.to_owned()),
                Component::ParentDir => self.ahead.push("..".into()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
    }

    /// One element: enters a directory, unfolds a link, or opens what was wanted.
    fn step(&mut self, name: &OsStr) -> Result<Option<OwnedFd>, Refusal> {
        if name == ".." {
            self.entered.pop();
            return Ok(None);
        }
        let element = openat(self.here(), name, PATH, Mode::empty())?;
        let stat = fstat(&element)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Symlink {
            self.unfold(&element, &stat)?;
            return Ok(None);
        }
        if self.ahead.is_empty() {
            let directory = match self.want {
                Want::Directory => OFlags::DIRECTORY,
                Want::File => OFlags::empty(),
            };
            let flags = READ | directory;
            return Ok(Some(openat(self.here(), name, flags, Mode::empty())?));
        }
        if kind != FileType::Directory {
            return Err(Refusal::Io(io::ErrorKind::NotADirectory.into()));
        }
        passable(holder(&stat), self.agent).map_err(|why| {
            let name = name.display();
            Refusal::Rule(format!(
                "is reached through the directory {name}, which {why}"
            ))
        })?;
        self.entered.push(element);
        Ok(None)
    }

    fn unfold(&mut self, link: &OwnedFd, stat: &Stat) -> Result<(), Refusal> {
        owned(stat.st_uid, self.agent).map_err(|why| {
            Refusal::Rule(format!("is reached through a symbolic link that {why}"))
        })?;
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Refusal::Rule(
                "is a symbolic link that leads in a circle".into(),
            ));
        }
        let bytes = readlinkat(link, "", Vec::new())?.into_bytes();
        self.plan(&PathBuf::from(OsString::from_vec(bytes)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
