//! The steps by which files change on disk, one method a step.
//!
//! A power cut can come between any two of them and keeps only what was synced. Tests put
//! a disk underneath that fails, forgets or exits at the step they choose.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use rustix::fs::{Gid, Mode, OFlags, Uid};

/// How files are opened for reading: a symlink is refused, a FIFO does not block.
pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The directory that holds `path`; `.` for a bare name.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Who owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// A disk that can be written to.
pub trait Disk {
    /// A file that was created and not renamed yet.
    type File;

    /// Creates a new file with mode 0600. Fails when the name exists, symlinks included.
    ///
    /// # Errors
    /// As `open(2)`.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Sets owner and group.
    ///
    /// # Errors
    /// As `fchown(2)`.
    fn set_owner(&self, file: &Self::File, owner: Owner) -> io::Result<()>;

    /// Sets the permission bits, whatever the umask is.
    ///
    /// # Errors
    /// As `fchmod(2)`.
    fn set_mode(&self, file: &Self::File, mode: u32) -> io::Result<()>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As `write(2)`.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Makes content and attributes durable, but not the name.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives `from` the name `to`, replacing what had it.
    ///
    /// # Errors
    /// As `rename(2)`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in `directory` durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes the content of a file durable that was there before, whoever wrote it.
    ///
    /// # Errors
    /// As `open(2)` and `fsync(2)`.
    fn sync_existing(&self, path: &Path) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The real disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::open(path, flags | OFlags::NOFOLLOW, mode)?.into())
    }

    fn set_owner(&self, file: &File, owner: Owner) -> io::Result<()> {
        let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
        Ok(rustix::fs::fchown(file, Some(user), Some(group))?)
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn sync_existing(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::fsync(rustix::fs::open(
            path,
            READ,
            Mode::empty(),
        )?)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    /// Tests of everything above use disks of their own. That this one really syncs shows where
    /// there is nothing to sync to: the system refuses it, and whoever does not ask hears nothing.
    #[test]
    fn syncs_reach_the_system_and_its_refusal_comes_back() {
        let refused = |outcome: io::Result<()>| outcome.unwrap_err().kind();
        let null = Path::new("/dev/null");
        let file = OpenOptions::new().write(true).open(null).unwrap();
        assert_eq!(refused(OsDisk.sync(&file)), io::ErrorKind::InvalidInput);
        let existing = OsDisk.sync_existing(null);
        assert_eq!(refused(existing), io::ErrorKind::InvalidInput);
        let directory = OsDisk.sync_directory(Path::new("/proc"));
        assert_eq!(refused(directory), io::ErrorKind::InvalidInput);

        let home = tempfile::tempdir().unwrap();
        OsDisk.sync_directory(home.path()).unwrap();
        let path = home.path().join("file");
        OsDisk.sync(&OsDisk.create(&path).unwrap()).unwrap();
        OsDisk.sync_existing(&path).unwrap();
    }
}
