//! Why the socket cannot be had.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a socket was not bound or not accepted from the supervisor. Each one ends the start;
/// nothing that was found in the way has been touched.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Relative, abstract, or with a component that is not a name.
    #[error(
        "socket path {0}: must be absolute and plain; abstract sockets are refused because they have no permissions"
    )]
    NotAPath(PathBuf),
    /// The kernel has no room for it.
    #[error(
        "socket path {path}: {length} bytes long, but the kernel takes at most 107; shorten it"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Somewhere else.
    #[error("socket path {path}: not below {approved}, where only root makes directories")]
    NotApproved {
        /// The path.
        path: PathBuf,
        /// The approved directories, for people.
        approved: String,
    },
    /// The directory cannot be opened as one: missing, a symlink, a file.
    #[error("socket directory {path}: cannot be opened as a directory; create it before the start")]
    NoDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory lets somebody else replace the socket.
    #[error("socket directory {path}: {fault}")]
    UnsafeDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong and what to do.
        fault: &'static str,
    },
    /// Not a socket.
    #[error("socket path {path}: {kind} is in the way and will not be removed; move it away")]
    InTheWay {
        /// The path.
        path: PathBuf,
        /// `a symlink`, `a regular file`, `a directory`, `something that is no socket`.
        kind: &'static str,
    },
    /// Somebody listens on it.
    #[error("socket path {0}: somebody listens there already; stop the other instance first")]
    LivePeer(PathBuf),
    /// Another process holds the path's lock.
    #[error("socket path {0}: another instance holds its lock; stop the other instance first")]
    SecondInstance(PathBuf),
    /// Neither surely alive nor surely dead.
    #[error(
        "socket path {path}: a socket is there and it cannot be told whether somebody listens; remove it if nobody does"
    )]
    Undecidable {
        /// The path.
        path: PathBuf,
        /// What connecting to it said.
        source: io::Error,
    },
    /// The group does not exist on this machine.
    #[error("socket group {0}: no such group; create it, or name it by its number")]
    NoGroup(String),
    /// Mode bits that a socket must not have.
    #[error(
        "socket mode {0:04o}: the owner's read and write and the group's are all there is; no world, no execute bits"
    )]
    Mode(u32),
    /// A step of binding failed.
    #[error("socket path {path}: cannot {step}")]
    Bind {
        /// The path.
        path: PathBuf,
        /// The step.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The supervisor passed something that is not our socket.
    #[error("inherited listener: {fault}; the socket unit and the configuration must agree")]
    Inherited {
        /// What is wrong with it.
        fault: String,
    },
}

impl SocketError {
    /// The stable class of all of them.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "socket_unavailable"
    }

    pub(crate) fn bind(path: &Path, step: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Bind {
            path,
            step,
            source: errno.into(),
        }
    }

    pub(crate) fn inherited(fault: impl Into<String>) -> Self {
        Self::Inherited {
            fault: fault.into(),
        }
    }
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The runtime does not take the listener.
    #[error("socket {path}: the listener cannot be watched")]
    Listener {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl ServeError {
    /// The stable class of all of them.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "socket_unavailable"
    }
}
