//! Where the pair and its lock are, and what these places must be like.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat},
    io::Errno,
};
use secret::{
    disk::{Disk, OsDisk, Owner, directory_of},
    file::{self, FileError},
};

use super::{DirectoryFault, MODE, StoreError};

#[derive(Debug)]
pub(super) struct Paths {
    pub(super) state: PathBuf,
    pub(super) checkpoint: PathBuf,
    lock: PathBuf,
}

impl Paths {
    pub(super) fn new(state: &Path) -> Result<Self, StoreError> {
        if state.file_name().is_none() {
            return Err(StoreError::Directory {
                path: state.to_owned(),
                fault: DirectoryFault::NoFileName,
            });
        }
        let beside = |suffix| {
            let mut path = state.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        Ok(Self {
            state: state.to_owned(),
            checkpoint: beside(".checkpoint"),
            lock: beside(".lock"),
        })
    }

    fn directory(&self) -> &Path {
        directory_of(&self.state)
    }

    /// Whose the directory is, if nobody else can replace files in it.
    pub(super) fn check_directory(&self) -> Result<Owner, StoreError> {
        let path = self.directory();
        let fault = |fault| StoreError::Directory {
            path: path.to_owned(),
            fault,
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let stat = match opened.and_then(fstat) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(fault(DirectoryFault::Missing)),
            Err(errno) => return Err(self.directory_io("opening it", errno.into())),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {}
            FileType::Symlink => return Err(fault(DirectoryFault::Symlink)),
            _ => return Err(fault(DirectoryFault::NotADirectory)),
        }
        let mode = stat.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(fault(DirectoryFault::Writable(mode)));
        }
        Ok(Owner {
            user: stat.st_uid,
            group: stat.st_gid,
        })
    }

    /// Makes the state file, the checkpoint where there is one, and the names in the directory
    /// durable.
    pub(super) fn sync<D: Disk>(&self, disk: &D, has_checkpoint: bool) -> Result<(), StoreError> {
        let checkpoint = has_checkpoint.then_some(&self.checkpoint);
        [Some(&self.state), checkpoint]
            .into_iter()
            .flatten()
            .try_for_each(|path| disk.sync_existing(path))
            .and_then(|()| disk.sync_directory(self.directory()))
            .map_err(|error| self.directory_io("making it durable", error))
    }

    fn directory_io(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::DirectoryIo {
            path: self.directory().to_owned(),
            action,
            source,
        }
    }

    /// Whether the name of the lock file is that of `lock`.
    pub(super) fn leads_to(&self, lock: &OwnedFd) -> bool {
        let there = rustix::fs::lstat(&self.lock);
        match (there, fstat(lock)) {
            (Ok(there), Ok(held)) => (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino),
            _ => false,
        }
    }

    /// Takes the lock, which lasts as long as the descriptor. The file is made once and
    /// never unlinked: whoever locked an unlinked one would be alone with it.
    pub(super) fn lock<D: Disk>(
        &self,
        disk: &D,
        owner: Option<Owner>,
    ) -> Result<OwnedFd, StoreError> {
        let failed = |action| {
            move |source: io::Error| StoreError::Lock {
                path: self.lock.clone(),
                action,
                source,
            }
        };
        match disk.create(&self.lock) {
            Ok(file) => {
                if let Some(owner) = owner {
                    disk.set_owner(&file, owner)
                        .map_err(failed("setting its owner"))?;
                }
                disk.set_mode(&file, MODE)
                    .map_err(failed("setting its mode"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("creating it")(error)),
        }
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&self.lock, flags, Mode::empty())
            .map_err(|errno| failed("opening it")(errno.into()))?;
        let stat = fstat(&lock).map_err(|errno| failed("examining it")(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StoreError::File(FileError::NotRegular {
                path: self.lock.clone(),
                kind: "a FIFO or a device",
            }));
        }
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked {
                    path: self.lock.clone(),
                });
            }
            Err(errno) => return Err(failed("locking it")(errno.into())),
        }
        let file = std::fs::File::from(lock);
        if stat.st_mode & 0o7777 != MODE {
            // Whoever made it was interrupted before it got its mode. Not ours to fail on.
            let _ = owner.map(|owner| OsDisk.set_owner(&file, owner));
            let _ = OsDisk.set_mode(&file, MODE);
        }
        Ok(file.into())
    }
}

/// The content of one of the files, `None` when it does not exist. What is empty has
/// content, and a corrupt one.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match file::read(path, &file::STATE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError::Missing { .. }) => Ok(None),
        Err(FileError::Empty { .. }) => Ok(Some(Vec::new())),
        Err(error) => Err(error),
    }
}
