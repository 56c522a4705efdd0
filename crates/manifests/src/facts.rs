//! What a look at a directory finds: plain values, no file handles.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Which file or directory this is, whatever its name: a mount that went away, or came,
/// changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

/// What tells a file from the same file a moment later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which file.
    pub identity: Identity,
    /// Bytes.
    pub size: u64,
    /// Last write, seconds and nanoseconds of the file system's clock.
    pub modified: (i64, u64),
    /// Last change of content or attributes, likewise.
    pub changed: (i64, u64),
}

/// SHA-256 of a manifest's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// 64 lower-case hex digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What stands behind a name in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file, read whole, and the same before and after.
    Read {
        /// When and which.
        stamp: Stamp,
        /// All of it.
        bytes: Arc<[u8]>,
        /// The name is a symlink; events about the name say nothing about the content.
        link: bool,
    },
    /// A regular file that changed while it was read.
    Torn,
    /// The system refused to hand it out. One sentence part, for people.
    Unreadable(String),
    /// It breaks a rule about owners, modes, links or size; not a byte of it is used.
    Refused(String),
    /// No regular file: "is a directory", "is a FIFO", ...
    Other(&'static str),
}

/// Which names a look covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything in the directory.
    All,
    /// Only these.
    Names(BTreeSet<OsString>),
}

/// A directory that could be opened, is allowed to hold manifests, and was the same at the
/// end of the look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Of the directory itself.
    pub identity: Identity,
    /// What stands behind each name. A name of the scope that is absent here is absent there.
    pub entries: BTreeMap<OsString, Entry>,
    /// Names that were passed over without a look at them, with the reason. Only of a full look.
    pub ignored: BTreeMap<OsString, &'static str>,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Monotonic time right before anything was opened.
    pub started: Duration,
    /// What was asked for.
    pub scope: Scope,
    /// What was found, or why nothing could be: one sentence part, for people.
    pub found: Result<Listing, String>,
}

/// What inotify told about the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A name appeared: a new file, a hard link or a symlink. Its content may come later.
    Created(OsString),
    /// A file was written to by somebody who still has it open.
    Written(OsString),
    /// A writer closed the file, or it was renamed to this name: it is whole.
    Completed(OsString),
    /// Owner, mode or times changed, not the content.
    Attributes(OsString),
    /// The name was removed or renamed away.
    Left(OsString),
    /// The directory itself changed its mode, its name or its place.
    Directory,
    /// Events were lost, or the watch was: anything may have happened.
    Lost,
}
