//! Parts of volumes: `subPath` and `subPathExpr`.
//!
//! A container that writes to the volume can put symlinks in it and swap them at any moment. So
//! the kernel resolves a sub-path within the volume, once, to a descriptor, and that descriptor
//! is mounted to a place of the agent's own; only this place goes to the runtime.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::{Component, Path, PathBuf},
};

use pod::{api, env::value_of, expand::expand_all};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2},
    io::Errno,
    process::geteuid,
};
use thiserror::Error;

use crate::{
    host::{HostError, PodDir, create_new, make_directories, make_directory},
    mounting,
};

/// Why a part of a volume is not given to a container.
#[derive(Debug, Error)]
pub enum SubPathError {
    /// A name in `subPathExpr` that the environment does not have.
    #[error(
        "subPathExpr {text:?} names the variable {name}, which the container does not have: define it before"
    )]
    Variable {
        /// As in the manifest.
        text: String,
        /// Of the variable.
        name: String,
    },
    /// Absolute, or with a step upwards.
    #[error("the sub-path {path:?} leads out of its volume: write it relative and without '..'")]
    Path {
        /// After expansion.
        path: String,
    },
    /// A symlink in the volume leads out of it.
    #[error("the sub-path {path:?} of {}: a symlink in it leads out of the volume, or to nothing; remove the symlink", volume.display())]
    Escape {
        /// After expansion.
        path: String,
        /// The volume on the host.
        volume: PathBuf,
    },
    /// The system refused a step in the volume.
    #[error("the sub-path {path:?} of {} cannot be opened or made; check what is there", volume.display())]
    Volume {
        /// After expansion.
        path: String,
        /// The volume on the host.
        volume: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused a step outside of the volume.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The word under which the status of a container shows a [`SubPathError`].
pub const CONFIG_ERROR: &str = "CreateContainerConfigError";

/// Which part of its volume a mount wants; `None` is the whole volume.
///
/// # Errors
/// A variable is unknown, or the path leads out of the volume.
pub fn chosen(
    mount: &api::VolumeMount,
    environment: &[(String, String)],
) -> Result<Option<String>, SubPathError> {
    let written = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let path = match (written(&mount.sub_path_expr), written(&mount.sub_path)) {
        (Some(text), _) => expand_all(&text, |name| value_of(environment, name))
            .map_err(|name| SubPathError::Variable { text, name })?,
        (None, Some(path)) => path,
        (None, None) => return Ok(None),
    };
    if path.is_empty() {
        return Ok(None);
    }
    check(&path)?;
    Ok(Some(path))
}

/// Whether a path stays in its volume as far as its text tells.
pub(crate) fn check(path: &str) -> Result<(), SubPathError> {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.contains('\0') || !Path::new(path).components().all(stays) {
        return Err(SubPathError::Path {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// A part of a volume for one mount of a container.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// Where the volume is on the host.
    pub on_host: &'a Path,
    /// The container's name.
    pub container: &'a str,
    /// Which of its mounts, from 0.
    pub index: usize,
    /// What [`chosen`] gave.
    pub path: &'a str,
}

/// Mounts a part of a volume where the runtime can have it from, and makes it before where it is
/// missing: a directory with the mode of the volume's own. A mount that is right already stays.
///
/// # Errors
/// The container must not be started.
pub fn prepare(directory: &PodDir, part: &Part<'_>) -> Result<PathBuf, SubPathError> {
    check(part.path)?;
    let source = open(part.on_host, part.path)?;
    let found = fstat(&source).map_err(|error| explain(part.on_host, part.path, error))?;
    let target = directory.sub_path(part.volume, part.container, part.index)?;
    if mounting::points()?.contains(&target) {
        let mounted = fs::metadata(&target).map_err(HostError::io(&target, "looking at it"))?;
        if (mounted.dev(), mounted.ino()) == (found.st_dev, found.st_ino) {
            return Ok(target);
        }
        for _ in mounting::points()?.iter().filter(|point| **point == target) {
            mounting::unmount(&target)?;
        }
    }
    let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    make_target(&target, is_directory)?;
    mounting::bind(source.as_fd(), &target)?;
    Ok(target)
}

/// A directory for a directory, a file for everything else.
fn make_target(target: &Path, is_directory: bool) -> Result<(), HostError> {
    if let Some(parent) = target.parent() {
        make_directories(parent, 0o750)?;
    }
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() == is_directory && !found.is_symlink() => return Ok(()),
        Ok(found) if found.is_dir() => {
            fs::remove_dir(target).map_err(HostError::io(target, "removing it"))?;
        }
        Ok(_) => fs::remove_file(target).map_err(HostError::io(target, "removing it"))?,
        Err(_) => {}
    }
    if is_directory {
        make_directory(target, 0o750)
    } else {
        create_new(target, 0o640).map(drop)
    }
}

const REFERENCE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A descriptor of a part of a volume, which is made where it is missing.
fn open(volume: &Path, path: &str) -> Result<OwnedFd, SubPathError> {
    let explain = |error| explain(volume, path, error);
    let top = openat(CWD, volume, REFERENCE | OFlags::DIRECTORY, Mode::empty()).map_err(explain)?;
    match resolve(&top, Path::new(path)) {
        Err(Errno::NOENT) => make(&top, Path::new(path)).map_err(explain),
        result => result.map_err(explain),
    }
}

pub(crate) fn explain(volume: &Path, path: &str, error: Errno) -> SubPathError {
    let (path, volume) = (path.to_owned(), volume.to_owned());
    match error {
        Errno::XDEV | Errno::LOOP => SubPathError::Escape { path, volume },
        error => SubPathError::Volume {
            path,
            volume,
            source: error.into(),
        },
    }
}

/// Through symlinks as long as they stay in the volume. Kernels before 5.6 cannot promise that:
/// there no symlink is followed at all.
pub(crate) fn resolve(top: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(top, path, REFERENCE, Mode::empty(), stay) {
            Err(Errno::NOSYS) => return resolve_plainly(top, path),
            // Something on the way was renamed meanwhile, and the kernel cannot be sure.
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

fn resolve_plainly(top: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mut at = openat(top, c".", REFERENCE, Mode::empty())?;
    for part in path.components() {
        at = openat(
            &at,
            part.as_os_str(),
            REFERENCE | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        if FileType::from_raw_mode(fstat(&at)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(at)
}

/// Makes each missing directory of a path, and opens the last.
fn make(top: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(fstat(top)?.st_mode & 0o7777);
    let mut way = PathBuf::from(".");
    for part in path.components() {
        let parent = resolve(top, &way)?;
        match mkdirat(&parent, part.as_os_str(), mode) {
            Ok(()) => set_mode(&parent, Path::new(part.as_os_str()), mode)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        way.push(part);
    }
    resolve(top, &way).map_err(|error| match error {
        // It was there a moment ago, so it is a symlink to nothing.
        Errno::NOENT => Errno::LOOP,
        error => error,
    })
}

/// The umask took bits away. Only from a directory that is ours: in place of the new one there
/// may be another by now.
fn set_mode(parent: &OwnedFd, name: &Path, mode: Mode) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = File::from(openat(parent, name, flags, Mode::empty())?);
    let found = fstat(&made)?;
    if found.st_uid == geteuid().as_raw() && fresh(&made) {
        fchmod(&made, mode)?;
    }
    Ok(())
}

/// Whether nothing is in a directory.
fn fresh(directory: &File) -> bool {
    rustix::fs::Dir::read_from(directory).is_ok_and(|entries| {
        entries.flatten().all(|entry| {
            let name = entry.file_name().to_bytes();
            name == b"." || name == b".."
        })
    })
}

#[cfg(test)]
mod tests;
