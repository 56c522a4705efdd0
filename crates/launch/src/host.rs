//! Paths below the agent's root directory, and files that are written there.
//!
//! The layout is a kubelet's, so that what people and log shippers know about it stays true:
//! `<root>/pods/<uid>/{volumes,plugins,containers,volume-subpaths,etc-hosts}`. Directories are
//! 0750: what a container may see of them, a mount gives it.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};
use thiserror::Error;

/// Something on the host was not done. Names the path; says what to do about it.
#[derive(Debug, Error)]
pub enum HostError {
    /// The system refused it.
    #[error("{}: {act} failed: {}", path.display(), advice(source))]
    Io {
        /// What it was done to.
        path: PathBuf,
        /// What was to be done, as in "making the directory".
        act: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A uid or a name that would lead to another place.
    #[error(
        "{name:?} cannot be the name of a file: give the pod another uid, or the volume or container another name"
    )]
    Name {
        /// As it was given.
        name: String,
    },
    /// Something else stands where the agent keeps its things.
    #[error("{} is not {wanted}: move it away, the agent makes it anew", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
        /// What was expected, as in "a directory".
        wanted: &'static str,
    },
    /// Nothing is removed while something is mounted in it.
    #[error("{} stays, because {} is still mounted: end what uses it, the agent tries again", path.display(), mounts.first().unwrap_or(path).display())]
    StillMounted {
        /// The directory that was to be removed.
        path: PathBuf,
        /// What is mounted at it or below it.
        mounts: Vec<PathBuf>,
    },
}

impl HostError {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(path: &Path, act: &'static str) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path,
            act,
            source: source.into(),
        }
    }
}

/// What to do about an answer of the system.
fn advice(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space or inodes on its disk",
        Some(Errno::ROFS) => "its file system is read-only; remount it, or choose another place",
        Some(Errno::ACCESS | Errno::PERM) => {
            "the agent needs to run as root, with all capabilities"
        }
        Some(Errno::NOENT) => "something on the way to it is missing; make it first",
        Some(Errno::EXIST) => "something else stands there; move it away",
        Some(Errno::NOTDIR) => "something on the way to it is not a directory; move it away",
        Some(Errno::LOOP | Errno::XDEV) => "a symlink or a mount leads away from there; remove it",
        Some(Errno::BUSY | Errno::TXTBSY) => "something uses it; end that, the agent tries again",
        Some(Errno::NAMETOOLONG) => "a name in it is too long; shorten it",
        Some(Errno::MFILE | Errno::NFILE) => "too many files are open; raise the limit",
        Some(Errno::IO) => "check the health of its disk",
        _ => "see the cause, and check its file system",
    }
}

/// The agent's root directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Makes the directory and `pods` in it where they are missing. The path is resolved once,
    /// here, so that it can be compared with what the kernel says about mounts.
    ///
    /// # Errors
    /// One of them cannot be made, or is something else.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        make_directories(path, 0o750)?;
        let path = fs::canonicalize(path).map_err(HostError::io(path, "resolving the path"))?;
        make_directory(&path.join("pods"), 0o750)?;
        Ok(Self { path })
    }

    /// Where it is, without symlinks.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The place of a pod. Nothing is made.
    ///
    /// # Errors
    /// The uid cannot be the name of a directory.
    pub fn pod(&self, uid: &str) -> Result<PodDir, HostError> {
        Ok(PodDir {
            path: self.path.join("pods").join(component(uid)?),
        })
    }

    /// The uids of all pods that have a directory, sorted.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn uids(&self) -> Result<Vec<String>, HostError> {
        let pods = self.path.join("pods");
        let mut uids: Vec<String> = names(&pods)?
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .filter(|name| component(name).is_ok())
            .collect();
        uids.sort();
        Ok(uids)
    }
}

/// What belongs to one pod on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodDir {
    path: PathBuf,
}

impl PodDir {
    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is such a directory.
    #[must_use]
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok()
    }

    /// The file that containers see as `/etc/hosts`.
    #[must_use]
    pub fn hosts_file(&self) -> PathBuf {
        self.path.join("etc-hosts")
    }

    /// Writes the hosts file, mode 0644, in place: containers that run have this very file
    /// mounted, and would keep an old one that is only replaced by name.
    ///
    /// # Errors
    /// The system refused it.
    pub fn write_hosts(&self, text: &str) -> Result<PathBuf, HostError> {
        make_directory(&self.path, 0o750)?;
        let path = self.hosts_file();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(nofollow())
            .open(&path)
            .map_err(HostError::io(&path, "opening the hosts file"))?;
        file.set_permissions(fs::Permissions::from_mode(0o644))
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(HostError::io(&path, "writing the hosts file"))?;
        Ok(path)
    }

    /// `<kind>` is a plugin's directory, such as `kubernetes.io~empty-dir`.
    pub(crate) fn volume(&self, kind: &str, name: &str) -> Result<PathBuf, HostError> {
        Ok(self.path.join("volumes").join(kind).join(component(name)?))
    }

    /// Says that a volume was made completely once.
    pub(crate) fn marker(&self, kind: &str, name: &str) -> Result<PathBuf, HostError> {
        let plugin = self.path.join("plugins").join(kind);
        Ok(plugin.join(component(name)?).join("ready"))
    }

    /// Where files about a container are.
    pub(crate) fn container(&self, name: &str) -> Result<PathBuf, HostError> {
        Ok(self.path.join("containers").join(component(name)?))
    }

    /// Where a part of a volume is mounted for one mount of a container.
    pub(crate) fn sub_path(
        &self,
        volume: &str,
        container: &str,
        index: usize,
    ) -> Result<PathBuf, HostError> {
        let volumes = self.path.join("volume-subpaths").join(component(volume)?);
        Ok(volumes.join(component(container)?).join(index.to_string()))
    }
}

/// A name that stays where it is put.
pub(crate) fn component(name: &str) -> Result<&str, HostError> {
    let leads_away = name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']);
    if leads_away {
        return Err(HostError::Name {
            name: name.to_owned(),
        });
    }
    Ok(name)
}

/// For opening what is not followed if it is a symlink.
pub(crate) fn nofollow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed()
}

/// Makes one directory where it is missing, with exactly this mode. One that is there keeps its
/// mode; anything else that is there, also a symlink, is an error.
///
/// # Errors
/// The system refused it, or something else is there.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), HostError> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(HostError::io(path, "setting the mode")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path).map_err(HostError::io(path, "looking at it"))?;
            if found.is_dir() {
                Ok(())
            } else {
                Err(HostError::Kind {
                    path: path.to_owned(),
                    wanted: "a directory",
                })
            }
        }
        Err(error) => Err(HostError::io(path, "making the directory")(error)),
    }
}

/// Makes a directory and all that are missing above it. Symlinks on the way are followed.
///
/// # Errors
/// As [`make_directory`].
pub(crate) fn make_directories(path: &Path, mode: u32) -> Result<(), HostError> {
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        make_directories(parent, mode)?;
    }
    make_directory(path, mode)
}

/// Replaces a file by name: readers find the old content or the new one, whole, also after a
/// power cut.
///
/// # Errors
/// The system refused a step. The old content is still there.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("file")));
    name.push(format!(".tmp-{:016x}", fastrand::u64(..)));
    let temporary = path.with_file_name(name);
    let result = fill(&temporary, bytes, mode).and_then(|()| {
        fs::rename(&temporary, path).map_err(HostError::io(path, "putting the new file in place"))
    });
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
        return result;
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(HostError::io(directory, "syncing the directory"))
}

fn fill(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(HostError::io(path, "writing the file"))
}

/// A file that was not there, with exactly this mode.
pub(crate) fn create_new(path: &Path, mode: u32) -> Result<File, HostError> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(HostError::io(path, "making the file"))?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(HostError::io(path, "setting the mode"))?;
    Ok(file)
}

/// The names in a directory, in no order; none if there is no such directory.
pub(crate) fn names(path: &Path) -> Result<Vec<OsString>, HostError> {
    let listed = match fs::read_dir(path) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(HostError::io(path, "listing the directory")(error)),
    };
    listed
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()
        .map_err(HostError::io(path, "listing the directory"))
}

#[cfg(test)]
mod tests;
