//! What a source tells the rest of the house.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::facts::Digest;

/// What a manifest was decoded into, as far as this room cares.
pub trait Named: Send + Sync + 'static {
    /// `namespace/name`; two manifests with the same one are the same pod.
    fn full_name(&self) -> String;
}

/// Turns bytes into pods: strict, complete, without IO. Errors are for people, several lines if
/// need be, and name what is wrong in the text, not its path.
pub trait Decoder: Send + Sync + 'static {
    /// The pod.
    type Pod: Named;

    /// The one pod of a file.
    ///
    /// # Errors
    /// Why it cannot run.
    fn file(&self, path: &Path, bytes: &[u8]) -> Result<Self::Pod, String>;

    /// A Pod or a PodList from `url`. One that is empty takes every pod away, so it must be
    /// said: a PodList with `items: []`.
    ///
    /// # Errors
    /// Why one of them cannot run; the others are not used then.
    fn list(&self, url: &str, bytes: &[u8]) -> Result<Vec<Self::Pod>, String>;
}

/// A manifest that should run: the last good one of its file, or an item of a list.
pub struct InForce<P> {
    /// The file, or the URL.
    pub origin: PathBuf,
    /// `namespace/name`.
    pub name: String,
    /// Of the manifest's bytes; of the whole body for a list.
    pub digest: Digest,
    /// Wall clock, Unix seconds: when these bytes were first accepted.
    pub accepted: i64,
    /// Decoded.
    pub pod: P,
    /// As accepted; empty for an item of a list.
    pub(crate) bytes: Arc<[u8]>,
}

/// Without the pod: its `Debug` may be long, or not be there.
impl<P> fmt::Debug for InForce<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InForce")
            .field("origin", &self.origin)
            .field("name", &self.name)
            .field("digest", &self.digest)
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}

/// How it stands with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// What the file says is in force.
    Ok,
    /// Not understood or not allowed. Its last good content, if any, stays in force.
    Refused,
    /// Being written, or not yet known to be whole. Its last good content stays in force.
    HalfWritten,
    /// The system does not hand it out. Its last good content stays in force.
    Unreadable,
    /// Fine, but another file with the same namespace and name comes first.
    Duplicate,
    /// Known from before the agent started; not read again yet.
    Kept,
    /// No manifest by its name or kind.
    Ignored,
}

impl Status {
    /// One word, stable, for tables and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::HalfWritten => "half-written",
            Self::Unreadable => "unreadable",
            Self::Duplicate => "duplicate",
            Self::Kept => "kept",
            Self::Ignored => "ignored",
        }
    }

    /// Passes by itself, as a rule: not worth a line in the log.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::HalfWritten | Self::Kept)
    }
}

/// One file, or the one body of a URL, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file, or the URL.
    pub origin: PathBuf,
    /// In one word.
    pub status: Status,
    /// `namespace/name` of its last good content.
    pub pod: Option<String>,
    /// Of its last good content.
    pub digest: Option<Digest>,
    /// When that was accepted, Unix seconds.
    pub accepted: Option<i64>,
    /// Why it is not `ok`; of several lines if its text has faults.
    pub error: Option<String>,
}

/// A source at one instant.
#[derive(Debug)]
pub struct View<P> {
    /// It was read completely at least once since the agent started: what is not in force now
    /// is truly gone. Before that, nothing may be stopped for being unknown.
    pub ready: bool,
    /// Why it cannot be read as a whole now.
    pub trouble: Option<String>,
    /// In the order of the files or of the list; no name twice.
    pub in_force: Vec<Arc<InForce<P>>>,
    /// Full names of pods that may run and whose manifests are known to be there, but are not
    /// understood any more: neither to be started nor to be stopped.
    pub spared: Vec<String>,
    /// In the order of the files.
    pub files: Vec<Arc<Report>>,
}

/// Nothing known yet.
impl<P> Default for View<P> {
    fn default() -> Self {
        Self {
            ready: false,
            trouble: None,
            in_force: Vec::new(),
            spared: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// What an observation changed, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A pod that was not in force is.
    Added {
        /// `namespace/name`.
        pod: String,
        /// Whence.
        origin: PathBuf,
    },
    /// Other bytes, or another file, for a pod in force.
    Replaced {
        /// `namespace/name`.
        pod: String,
        /// Whence.
        origin: PathBuf,
    },
    /// No longer in force: its file is truly gone, or gives another pod now.
    Removed {
        /// `namespace/name`.
        pod: String,
        /// Whence it was.
        origin: PathBuf,
    },
    /// A file's status or error is another one.
    File(Arc<Report>),
    /// The source cannot be read as a whole, or can be again.
    Source {
        /// Why not.
        trouble: Option<String>,
        /// Worth a warning; the same trouble again and again is not.
        loud: bool,
    },
    /// Read completely for the first time.
    Ready,
    /// The directory cannot be watched, or can be again: until then, what happens in it is
    /// noticed at the next rescan.
    Watch(Option<String>),
    /// The last good manifests cannot be kept on disk, or can be again.
    Kept(Option<String>),
}
