//! Paths of the host in a pod: checked before every start, because a runtime makes a directory
//! of whatever is missing, also where a socket or a file belongs.

use std::{
    fs, io,
    os::unix::fs::FileTypeExt as _,
    path::{Component, Path},
};

use thiserror::Error;

use crate::host::{HostError, create_new, make_directories};

/// What is at a path, through symlinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A symlink to nothing.
    Dangling,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A pipe with a name.
    Fifo,
}

impl Found {
    fn named(self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Dangling => "a symlink that leads nowhere",
            Self::Directory => "a directory",
            Self::File => "a regular file",
            Self::Socket => "a socket",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Fifo => "a FIFO",
        }
    }
}

/// What is to be done before a container may have the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Fine,
    MakeDirectory,
    MakeFile,
}

/// Why a container does not get a path.
#[derive(Debug, Error)]
pub enum HostPathError {
    /// Nothing is there, and the type does not say that it is to be made.
    #[error("{path} is missing: {}", advice(kind))]
    Missing {
        /// As in the manifest.
        path: String,
        /// As in the manifest.
        kind: String,
    },
    /// Something else is there.
    #[error("{path} is {}, and the type {kind} wants {wanted}: correct one of them", found.named())]
    Other {
        /// As in the manifest.
        path: String,
        /// As in the manifest.
        kind: String,
        /// What is there.
        found: Found,
        /// What should be there.
        wanted: &'static str,
    },
    /// To follow it would make something in a place that the manifest does not name.
    #[error("{path} is a symlink that leads nowhere: make what it points to, or remove it")]
    Dangling {
        /// As in the manifest.
        path: String,
    },
    /// Relative, or with a step upwards.
    #[error("{path} is no absolute path without '..': write it so")]
    Path {
        /// As in the manifest.
        path: String,
    },
    /// A type that there is not.
    #[error("{path} has the unknown type {kind:?}: correct it")]
    Type {
        /// As in the manifest.
        path: String,
        /// As in the manifest.
        kind: String,
    },
    /// The system refused something.
    #[error(transparent)]
    Host(#[from] HostError),
}

fn advice(kind: &str) -> &'static str {
    match kind {
        "" => "make it, or say with the type DirectoryOrCreate or FileOrCreate what is to be made",
        "Directory" => "make it, or write the type DirectoryOrCreate",
        "File" => "make it, or write the type FileOrCreate",
        "FileOrCreate" => {
            "its directory is missing too; make that, or mount it as DirectoryOrCreate in a volume \
             before this one"
        }
        _ => "start what makes it, the agent tries again",
    }
}

/// What a type says about what is there.
fn judge(path: &str, kind: &str, found: Found) -> Result<Verdict, HostPathError> {
    let (wanted, named, makes) = match kind {
        "" => return untyped(path, found),
        "DirectoryOrCreate" => (
            Found::Directory,
            "a directory",
            Some(Verdict::MakeDirectory),
        ),
        "Directory" => (Found::Directory, "a directory", None),
        "FileOrCreate" => (Found::File, "a regular file", Some(Verdict::MakeFile)),
        "File" => (Found::File, "a regular file", None),
        "Socket" => (Found::Socket, "a socket", None),
        "CharDevice" => (Found::CharDevice, "a character device", None),
        "BlockDevice" => (Found::BlockDevice, "a block device", None),
        _ => {
            return Err(HostPathError::Type {
                path: path.to_owned(),
                kind: kind.to_owned(),
            });
        }
    };
    match (found, makes) {
        (found, _) if found == wanted => Ok(Verdict::Fine),
        (Found::Absent, Some(verdict)) => Ok(verdict),
        (Found::Absent, None) => Err(missing(path, kind)),
        (Found::Dangling, _) => Err(dangling(path)),
        _ => Err(HostPathError::Other {
            path: path.to_owned(),
            kind: kind.to_owned(),
            found,
            wanted: named,
        }),
    }
}

/// Without a type everything that exists is accepted, and nothing is made.
fn untyped(path: &str, found: Found) -> Result<Verdict, HostPathError> {
    match found {
        Found::Absent => Err(missing(path, "")),
        Found::Dangling => Err(dangling(path)),
        _ => Ok(Verdict::Fine),
    }
}

fn missing(path: &str, kind: &str) -> HostPathError {
    HostPathError::Missing {
        path: path.to_owned(),
        kind: kind.to_owned(),
    }
}

fn dangling(path: &str) -> HostPathError {
    HostPathError::Dangling {
        path: path.to_owned(),
    }
}

fn look(path: &Path) -> Result<Found, HostError> {
    let found = match fs::metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
            return Ok(if is_link {
                Found::Dangling
            } else {
                Found::Absent
            });
        }
        Err(error) => return Err(HostError::io(path, "looking at it")(error)),
    };
    Ok(match found {
        found if found.is_dir() => Found::Directory,
        found if found.is_file() => Found::File,
        found if found.is_socket() => Found::Socket,
        found if found.is_char_device() => Found::CharDevice,
        found if found.is_block_device() => Found::BlockDevice,
        _ => Found::Fifo,
    })
}

/// Checks a path, and makes what its type says is to be made: directories 0755 with all above
/// them, files 0644 in a directory that is there.
///
/// # Errors
/// The container must not be started.
pub(crate) fn prepare(path: &str, kind: &str) -> Result<(), HostPathError> {
    let place = Path::new(path);
    let leads_up = place
        .components()
        .any(|part| matches!(part, Component::ParentDir));
    if leads_up || !place.is_absolute() {
        return Err(HostPathError::Path {
            path: path.to_owned(),
        });
    }
    match judge(path, kind, look(place)?)? {
        Verdict::Fine => return Ok(()),
        Verdict::MakeDirectory => make_directories(place, 0o755)?,
        Verdict::MakeFile => {
            if !place.parent().is_some_and(Path::is_dir) {
                return Err(missing(path, kind));
            }
            let _ = create_new(place, 0o644)?;
        }
    }
    // Somebody else may have been quicker.
    match judge(path, kind, look(place)?)? {
        Verdict::Fine => Ok(()),
        _ => Err(missing(path, kind)),
    }
}

#[cfg(test)]
mod tests;
