//! Looks at a directory: lists it, opens first and judges the descriptors, reads whole files.
//!
//! Blocks, for as long as the file system pleases; never call it from a runtime thread.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustix::{
    fs::{Dir, FileType, Mode, Stat, fstat, openat},
    io::Errno,
};

use crate::{
    directory::Filter,
    facts::{Entry, Identity, Listing, Look, Scope, Stamp},
    rules::{MAX_BYTES, trusted},
    walk::{self, READ, Refusal, Want, holder, identity},
};

/// One look at the directory `path`, which is absolute. `started` is the time now, `agent` the
/// user id that the agent runs as.
#[must_use]
pub fn look(path: &Path, filter: &Filter, scope: Scope, started: Duration, agent: u32) -> Look {
    let found = list(path, filter, &scope, agent);
    Look {
        started,
        scope,
        found,
    }
}

fn list(path: &Path, filter: &Filter, scope: &Scope, agent: u32) -> Result<Listing, String> {
    let (directory, before) = enter(path, agent)?;
    let mut listing = Listing {
        identity: before,
        entries: BTreeMap::new(),
        ignored: BTreeMap::new(),
    };
    let names = match scope {
        Scope::Names(names) => names.iter().cloned().collect(),
        Scope::All => names(&directory).map_err(|error| {
            format!(
                "{} cannot be listed: {error}; everything stays as it is",
                path.display()
            )
        })?,
    };
    for name in names {
        if let Some(why) = filter.ignored(&name) {
            listing.ignored.insert(name, why);
        } else if let Some(entry) = entry(&directory, path, &name, agent) {
            listing.entries.insert(name, entry);
        }
    }
    // A mount that came or went in between makes nonsense of what was found.
    let (_, after) = enter(path, agent)?;
    if before != after {
        return Err(format!(
            "{} was replaced while it was read; it is read again",
            path.display()
        ));
    }
    Ok(listing)
}

/// Opens the directory; it must be one that may hold manifests.
fn enter(path: &Path, agent: u32) -> Result<(OwnedFd, Identity), String> {
    let shown = path.display();
    let directory = walk::open(path, Want::Directory, agent).map_err(|refusal| match refusal {
        Refusal::Rule(why) => format!("{shown} {why}; everything stays as it is"),
        Refusal::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{shown} does not exist; everything stays as it is: create or mount it")
        }
        Refusal::Io(error) => {
            format!("{shown} cannot be opened: {error}; everything stays as it is")
        }
    })?;
    let stat = fstat(&directory).map_err(|error| format!("{shown} cannot be examined: {error}"))?;
    trusted(holder(&stat), agent)
        .map_err(|why| format!("{shown} {why}; everything stays as it is"))?;
    Ok((directory, identity(&stat)))
}

fn names(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// What stands behind a name; `None` if nothing does.
fn entry(directory: &OwnedFd, path: &Path, name: &OsStr, agent: u32) -> Option<Entry> {
    let opened = match openat(directory, name, READ, Mode::empty()) {
        Ok(file) => Ok((file, false)),
        Err(Errno::NOENT) => return None,
        Err(Errno::NXIO | Errno::NODEV) => {
            return Some(Entry::Other("is a socket or a device"));
        }
        Err(Errno::LOOP) => {
            walk::open(&path.join(name), Want::File, agent).map(|file| (file, true))
        }
        Err(errno) => Err(errno.into()),
    };
    Some(match opened {
        Ok((file, link)) => content(file, link, agent).unwrap_or_else(|error| unreadable(&error)),
        Err(Refusal::Rule(why)) => Entry::Refused(why),
        // The name is there, so a link that leads nowhere is not a file that is gone.
        Err(Refusal::Io(error)) => unreadable(&error),
    })
}

fn unreadable(error: &io::Error) -> Entry {
    Entry::Unreadable(format!("cannot be read: {error}"))
}

fn content(file: OwnedFd, link: bool, agent: u32) -> io::Result<Entry> {
    let before = fstat(&file)?;
    if let Some(kind) = irregular(FileType::from_raw_mode(before.st_mode)) {
        return Ok(Entry::Other(kind));
    }
    if let Err(why) = trusted(holder(&before), agent) {
        return Ok(Entry::Refused(why));
    }
    let size = u64::try_from(before.st_size).unwrap_or(u64::MAX);
    if size > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Ok(Entry::Refused(format!(
            "is larger than {limit} MiB, so it is no manifest"
        )));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    let mut file = File::from(file);
    (&mut file).take(size + 1).read_to_end(&mut bytes)?;
    let after = stamp(&fstat(&file)?);
    let whole = u64::try_from(bytes.len()) == Ok(size);
    if !whole || stamp(&before) != after {
        return Ok(Entry::Torn);
    }
    Ok(Entry::Read {
        stamp: after,
        bytes: Arc::from(bytes),
        link,
    })
}

fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        identity: identity(stat),
        size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
        modified: (stat.st_mtime, stat.st_mtime_nsec),
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    }
}

fn irregular(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("is a directory"),
        FileType::Fifo => Some("is a FIFO"),
        FileType::Socket => Some("is a socket"),
        FileType::Symlink => Some("is a symbolic link"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("is a device"),
        FileType::Unknown => Some("is of an unknown type"),
    }
}

#[cfg(test)]
mod tests;
