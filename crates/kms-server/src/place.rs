//! Where the socket lies: the rules for its path, and what is there now.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat, StatxFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    path::Arg,
};

use crate::{errors::SocketError, settings::Settings};

/// `sun_path` without its closing NUL.
const LONGEST_PATH: usize = 107;

/// A directory that was checked and is held open, and a name in it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
}

/// Which file a path leads to. With its birth, because some file systems give the number of
/// a deleted file to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: (u32, u32),
    inode: u64,
    born: (i64, u32),
}

impl Identity {
    /// Of what `name` in `directory` leads to, not following a symlink.
    pub(crate) fn at(directory: impl AsFd, name: impl Arg) -> Result<Self, Errno> {
        Self::look(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Of an open file.
    pub(crate) fn of(file: impl AsFd) -> Result<Self, Errno> {
        Self::look(file, "", AtFlags::EMPTY_PATH)
    }

    fn look(at: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<Self, Errno> {
        let wanted = StatxFlags::INO | StatxFlags::BTIME;
        let found = fs::statx(at, name, flags, wanted)?;
        // Where the file system knows no birth, the field is zero for all.
        let born = (found.stx_btime.tv_sec, found.stx_btime.tv_nsec);
        Ok(Self {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born,
        })
    }
}

/// What lies at the place.
#[derive(Debug)]
pub(crate) enum Occupant {
    /// Nothing.
    Nobody,
    /// A socket that refuses connections: its process is gone.
    Dead(Identity),
    /// A socket that somebody listens on. The connection that proves it.
    Live(OwnedFd),
}

impl Place {
    /// Checks path and directory, which are all that stands between the socket and somebody
    /// who would like to answer in our name.
    pub(crate) fn check(settings: &Settings) -> Result<Self, SocketError> {
        let path = settings.path();
        let (parent, name) = plain(path)?;
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            let path = path.to_owned();
            return Err(SocketError::TooLong { path, length });
        }
        approve(path, parent, &settings.approved_directories)?;
        Ok(Self {
            path: path.to_owned(),
            directory: open_directory(parent)?,
            name: name.to_owned(),
        })
    }

    /// What kind of file the name leads to and who may use it, not following a symlink.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        fs::statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Which file the name leads to, not following a symlink.
    pub(crate) fn identity(&self) -> Result<Identity, Errno> {
        Identity::at(&self.directory, &self.name)
    }

    /// Finds out what is there, changing nothing.
    pub(crate) fn look(&self) -> Result<Occupant, SocketError> {
        let stat = match self.stat() {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Occupant::Nobody),
            Err(errno) => return Err(self.undecidable(errno)),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Socket => return self.knock(),
            FileType::Symlink => "a symlink",
            FileType::RegularFile => "a regular file",
            FileType::Directory => "a directory",
            _ => "something that is no socket",
        };
        let path = self.path.clone();
        Err(SocketError::InTheWay { path, kind })
    }

    /// Connects. Only a refusal proves that nobody listens: a full queue, missing permission
    /// and anything else prove nothing.
    fn knock(&self) -> Result<Occupant, SocketError> {
        let found = match self.identity() {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Occupant::Nobody),
            Err(errno) => return Err(self.undecidable(errno)),
        };
        let visitor = self.socket()?;
        match connect(&visitor, &self.address()?) {
            Ok(()) => Ok(Occupant::Live(visitor)),
            Err(Errno::CONNREFUSED) => Ok(Occupant::Dead(found)),
            Err(Errno::NOENT) => Ok(Occupant::Nobody),
            Err(errno) => Err(self.undecidable(errno)),
        }
    }

    /// A fresh stream socket that never blocks.
    pub(crate) fn socket(&self) -> Result<OwnedFd, SocketError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(SocketError::bind(&self.path, "create a socket"))
    }

    pub(crate) fn address(&self) -> Result<SocketAddrUnix, SocketError> {
        SocketAddrUnix::new(self.path.as_path())
            .map_err(SocketError::bind(&self.path, "use the path as an address"))
    }

    pub(crate) fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        fs::unlinkat(&self.directory, name, AtFlags::empty())
    }

    fn undecidable(&self, errno: Errno) -> SocketError {
        SocketError::Undecidable {
            path: self.path.clone(),
            source: errno.into(),
        }
    }
}

/// Which file the path leads to now, through whatever directory is there now.
pub(crate) fn identity_at(path: &Path) -> Option<Identity> {
    Identity::at(CWD, path).ok()
}

/// Splits an absolute path of plain names.
fn plain(path: &Path) -> Result<(&Path, &OsStr), SocketError> {
    let refused = || SocketError::NotAPath(path.to_owned());
    let plain = path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
        && !path.as_os_str().as_bytes().ends_with(b"/")
        && !path.as_os_str().as_bytes().contains(&0);
    if !plain {
        return Err(refused());
    }
    let parent = path.parent().ok_or_else(refused)?;
    Ok((parent, path.file_name().ok_or_else(refused)?))
}

/// Judges by where the directory really is: a symlink on the way may leave the approved
/// directory, and `/var/run` is one itself.
fn approve(path: &Path, parent: &Path, approved: &[PathBuf]) -> Result<(), SocketError> {
    let real = parent
        .canonicalize()
        .map_err(|source| SocketError::NoDirectory {
            path: parent.to_owned(),
            source,
        })?;
    let within = |root: &PathBuf| {
        path.starts_with(root) && root.canonicalize().is_ok_and(|root| real.starts_with(root))
    };
    if approved.iter().any(within) {
        return Ok(());
    }
    let names: Vec<_> = approved
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    Err(SocketError::NotApproved {
        path: path.to_owned(),
        approved: names.join(" or "),
    })
}

fn open_directory(parent: &Path) -> Result<OwnedFd, SocketError> {
    let no_directory = |errno: Errno| SocketError::NoDirectory {
        path: parent.to_owned(),
        source: io::Error::from(errno),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = fs::open(parent, flags, Mode::empty()).map_err(no_directory)?;
    let stat = fs::fstat(&directory).map_err(no_directory)?;
    let fault = if stat.st_uid != rustix::process::geteuid().as_raw() {
        "is owned by another user than this process runs as; chown it"
    } else if stat.st_mode & 0o022 != 0 {
        "can be written by group or world, who could replace the socket; chmod it to 2750"
    } else {
        return Ok(directory);
    };
    Err(SocketError::UnsafeDirectory {
        path: parent.to_owned(),
        fault,
    })
}
