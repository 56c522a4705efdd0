//! Reads small files that matter: opened first, judged by the descriptor, read whole.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, Stat, fstat},
    io::Errno,
};
use zeroize::Zeroizing;

use crate::{
    disk::READ,
    value::{SecretText, TextFault},
    walk::{self, Refusal},
};

/// What a file must be like before a byte of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRule {
    /// Permission bits of which none may be set.
    pub forbidden_mode: u32,
    /// Largest size, bytes.
    pub max_bytes: u64,
    /// What to do when the path names a symlink.
    pub symlinks: Symlinks,
}

/// What to do when the path names a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symlinks {
    /// Refuse it.
    Refuse,
    /// Follow it if it belongs to root and stays inside its own directory, which nobody
    /// else can change: the shape of Kubernetes' projected volumes.
    InsideOwnDirectory,
}

/// The configuration file.
pub const CONFIG: FileRule = FileRule {
    forbidden_mode: 0o037,
    max_bytes: 1 << 20,
    symlinks: Symlinks::Refuse,
};

/// CA bundles. Public, so readable by everybody; what counts is who can write them.
pub const CA: FileRule = FileRule {
    forbidden_mode: 0o022,
    max_bytes: 1 << 20,
    symlinks: Symlinks::InsideOwnDirectory,
};

/// JWT files.
pub const JWT: FileRule = FileRule {
    forbidden_mode: 0o037,
    max_bytes: 64 << 10,
    symlinks: Symlinks::InsideOwnDirectory,
};

/// Client secrets, certificate chains, PINs, AppRole ids.
pub const CREDENTIAL: FileRule = FileRule {
    forbidden_mode: 0o037,
    max_bytes: 16 << 10,
    symlinks: Symlinks::InsideOwnDirectory,
};

/// The registry's state file and its checkpoint.
pub const STATE: FileRule = FileRule {
    forbidden_mode: 0o137,
    max_bytes: 16 << 20,
    symlinks: Symlinks::Refuse,
};

/// Why a file was not used. Never shows any of its content.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No such file.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symlink where none is allowed.
    #[error("{} is a symbolic link; put the file itself there", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A symlink that breaks the rule for symlinks.
    #[error("{} is a symbolic link that {fault}; put the file itself there", path.display())]
    ForeignSymlink {
        /// The link.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A directory, FIFO, socket or device.
    #[error("{} is {kind} and not a regular file", path.display())]
    NotRegular {
        /// What was to be a file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Open to more users than it should be.
    #[error("{} has mode {mode:04o}, which is too open; run chmod {allowed:04o} on it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The same without the forbidden ones.
        allowed: u32,
    },
    /// Above the limit.
    #[error("{} is larger than {limit} bytes, so it is not the file that belongs here", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Largest size, bytes.
        limit: u64,
    },
    /// No bytes.
    #[error("{} is empty, as if its writer was interrupted; write it anew", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Somebody writes into it while it is read.
    #[error(
        "{} was changed while it was read; its writer should write another file and rename it",
        path.display()
    )]
    HalfWritten {
        /// The file.
        path: PathBuf,
    },
    /// Content that is no secret.
    #[error("{} {fault}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with its text.
        fault: TextFault,
    },
}

/// Reads the whole of a file that keeps `rule`.
///
/// # Errors
/// [`FileError`], every variant but `Text`.
pub fn read(path: &Path, rule: &FileRule) -> Result<Vec<u8>, FileError> {
    read_wiped(path, rule).map(|mut bytes| std::mem::take(&mut *bytes))
}

/// Reads a secret file that keeps `rule` into memory that is wiped on drop. One final line
/// end is dropped.
///
/// # Errors
/// [`FileError`].
pub fn read_secret(path: &Path, rule: &FileRule) -> Result<SecretText, FileError> {
    let bytes = read(path, rule)?;
    SecretText::from_file(bytes).map_err(|fault| FileError::Text {
        path: path.to_owned(),
        fault,
    })
}

fn read_wiped(path: &Path, rule: &FileRule) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let unreadable = |source: io::Error| FileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let descriptor = open(path, rule)?;
    let before = fstat(&descriptor).map_err(|errno| unreadable(errno.into()))?;
    let size = check(path, rule, &before)?;
    read_unchanged(&mut File::from(descriptor), &before, size)
        .map_err(unreadable)?
        .ok_or_else(|| FileError::HalfWritten {
            path: path.to_owned(),
        })
}

/// The `size` bytes of a file, or `None` when it is not what it was `before` any more.
fn read_unchanged(
    file: &mut File,
    before: &Stat,
    size: usize,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    // One byte more than there should be: a file that grew is seen, and no buffer that
    // held a part of a secret is left behind by growing.
    let mut bytes = Zeroizing::new(vec![0; size + 1]);
    let read = fill(file, &mut bytes)?;
    if read != size || !unchanged(before, &fstat(&*file)?) {
        return Ok(None);
    }
    bytes.truncate(size);
    Ok(Some(bytes))
}

fn open(path: &Path, rule: &FileRule) -> Result<OwnedFd, FileError> {
    let path_buf = || path.to_owned();
    match rustix::fs::open(path, READ, Mode::empty()) {
        Ok(descriptor) => Ok(descriptor),
        Err(Errno::NOENT) => Err(FileError::Missing { path: path_buf() }),
        Err(Errno::NXIO) => Err(FileError::NotRegular {
            path: path_buf(),
            kind: "a socket or a device",
        }),
        Err(Errno::LOOP) if rule.symlinks == Symlinks::Refuse => {
            Err(FileError::Symlink { path: path_buf() })
        }
        Err(Errno::LOOP) => walk::open(path, 0).map_err(|refusal| match refusal {
            Refusal::Rule(fault) => FileError::ForeignSymlink {
                path: path_buf(),
                fault,
            },
            Refusal::Io(source) if source.kind() == io::ErrorKind::NotFound => {
                FileError::Missing { path: path_buf() }
            }
            Refusal::Io(source) => FileError::Unreadable {
                path: path_buf(),
                source,
            },
        }),
        Err(errno) => Err(FileError::Unreadable {
            path: path_buf(),
            source: errno.into(),
        }),
    }
}

/// Type, mode and size; returns the size.
fn check(path: &Path, rule: &FileRule, stat: &Stat) -> Result<usize, FileError> {
    let path = path.to_owned();
    if let Some(kind) = irregular(FileType::from_raw_mode(stat.st_mode)) {
        return Err(FileError::NotRegular { path, kind });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & rule.forbidden_mode != 0 {
        let allowed = mode & !rule.forbidden_mode;
        return Err(FileError::Mode {
            path,
            mode,
            allowed,
        });
    }
    let limit = rule.max_bytes;
    match usize::try_from(stat.st_size) {
        Ok(0) => Err(FileError::Empty { path }),
        Ok(size) if u64::try_from(size).is_ok_and(|size| size <= limit) => Ok(size),
        _ => Err(FileError::TooLarge { path, limit }),
    }
}

fn irregular(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Unknown => Some("of an unknown type"),
    }
}

/// Whether nobody wrote into the file in between.
fn unchanged(before: &Stat, after: &Stat) -> bool {
    before.st_size == after.st_size
        && before.st_mtime == after.st_mtime
        && before.st_mtime_nsec == after.st_mtime_nsec
}

/// Reads until `buffer` is full or the file ends; returns the count.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
