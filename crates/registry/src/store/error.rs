//! Why the state pair cannot be used, and what to do about it.

use std::{fmt, io, path::PathBuf};

use secret::{file::FileError, replace::ReplaceError};

use crate::verdict::LoadError;

/// Why the pair was not opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory is not safe to keep state in.
    #[error("state directory {}: {fault}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: DirectoryFault,
    },
    /// The system refused to look at the directory or to make it durable.
    #[error("state directory {}: {action} failed", path.display())]
    DirectoryIo {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else is the writer.
    #[error(
        "{} is held by another process; stop the other bao-kms-provider that uses this state, or \
         give each its own state.path",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file cannot be used.
    #[error("lock file {}: {action} failed", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Type, mode or size of one of the files.
    #[error(
        "the state cannot be used as it is on disk: mend what is said next, then start the provider again \
         (docs/recovery.md)"
    )]
    File(#[from] FileError),
    /// The contents.
    #[error("{}: {fault}; {}", path.display(), advice(fault))]
    Load {
        /// The state file; its checkpoint is beside it.
        path: PathBuf,
        /// The verdict.
        fault: LoadError,
    },
    /// A generation that does not follow from the one in force.
    #[error(
        "{}: generation {proposed} does not follow generation {in_force}, which is in force; \
         nothing was written",
        path.display()
    )]
    NotNext {
        /// The state file.
        path: PathBuf,
        /// Generation in force, 0 for none.
        in_force: u64,
        /// Generation that was to be written.
        proposed: u64,
    },
    /// More records than a reader accepts.
    #[error(
        "{}: the next generation would be larger than {limit} bytes; nothing was written. The \
         registry in force goes on serving and a rotation waits: report it, and do not cut the file by hand \
         (docs/recovery.md)",
        path.display()
    )]
    TooLarge {
        /// The state file.
        path: PathBuf,
        /// Largest size, bytes.
        limit: u64,
    },
    /// The disk refused.
    #[error(transparent)]
    Write(#[from] ReplaceError),
}

impl StoreError {
    /// The stable class for logs and reports.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "state_locked",
            Self::Load { fault, .. } => match fault {
                LoadError::Corrupt { .. } => "state_corrupt",
                LoadError::Rollback { .. } | LoadError::Forked { .. } => "state_rollback",
                LoadError::Scope { .. } => "state_scope",
                LoadError::StateMissing => "state_missing",
            },
            Self::Directory { .. }
            | Self::DirectoryIo { .. }
            | Self::Lock { .. }
            | Self::File(_)
            | Self::NotNext { .. }
            | Self::TooLarge { .. }
            | Self::Write(_) => "state_unusable",
        }
    }
}

/// What is wrong with the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryFault {
    /// It is not there.
    Missing,
    /// It is a symlink.
    Symlink,
    /// It is something else.
    NotADirectory,
    /// Others can write it.
    Writable(u32),
    /// `state.path` names no file in a directory.
    NoFileName,
}

impl fmt::Display for DirectoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => {
                f.write_str("does not exist; create it with mode 0750 for the provider's user")
            }
            Self::Symlink => f.write_str("is a symbolic link; name the directory itself"),
            Self::NotADirectory => f.write_str("is not a directory"),
            Self::Writable(mode) => {
                let allowed = mode & !0o022;
                write!(
                    f,
                    "has mode {mode:04o}, so others can replace the state; run chmod {allowed:04o} on it"
                )
            }
            Self::NoFileName => f.write_str("state.path must name a file in it"),
        }
    }
}

fn advice(fault: &LoadError) -> &'static str {
    match fault {
        LoadError::Corrupt { .. } => {
            "restore both files of the pair from one backup of this node, or copy both from a healthy node \
             (docs/recovery.md)"
        }
        LoadError::Rollback { .. } => {
            "put the newer state file back, or, where the whole node was restored from an older backup, the checkpoint \
             of that backup (docs/recovery.md)"
        }
        LoadError::Forked { .. } => {
            "restore both files from one place, the newest backup of this node or a healthy node, and do not remove \
             the checkpoint (docs/recovery.md)"
        }
        LoadError::Scope { .. } => {
            "identity fields never change once data exists, so put the configuration back that made the state, or the \
             state of this configuration (docs/recovery.md)"
        }
        LoadError::StateMissing => {
            "restore the state file, or copy both files from a healthy node (docs/recovery.md)"
        }
    }
}
