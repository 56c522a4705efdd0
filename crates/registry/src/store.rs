//! The state pair on disk: one writer, whole files, never an older one.
//!
//! Blocking; a caller in an async program runs it where blocking is allowed.

mod error;
mod files;

use std::{
    fmt,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use secret::{
    disk::{Disk, OsDisk, Owner},
    file,
    replace::{Attributes, remove_leftovers, replace},
};

pub use self::error::{DirectoryFault, StoreError};
use self::files::Paths;
use crate::{
    checkpoint::Checkpoint,
    document::Document,
    pair::{self, CheckpointStatus, Pair},
    scope::Scope,
};

/// Mode of the state file, the checkpoint and the lock.
const MODE: u32 = 0o640;

/// The pair, locked: nobody else writes it while this value lives.
#[derive(Debug)]
pub struct Store<D: Disk = OsDisk> {
    disk: D,
    paths: Paths,
    scope: Scope,
    owner: Option<Owner>,
    document: Option<Document>,
    notices: Vec<Notice>,
    lock: OwnedFd,
}

/// Something at opening that an operator should read, although the pair loaded.
#[derive(Debug)]
pub enum Notice {
    /// There was no checkpoint beside the state file; one was written.
    CheckpointMissing(PathBuf),
    /// A crash came between the two writes; the checkpoint was brought up to date.
    CheckpointBehind(PathBuf),
    /// The checkpoint could not be written now; the next change writes it, as does
    /// [`Store::renew_checkpoint`].
    CheckpointUnwritten(StoreError),
    /// A crash interrupted a write; its temporary file was removed.
    LeftoverRemoved(PathBuf),
    /// Temporary files could not be looked for or removed.
    LeftoverStays(StoreError),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CheckpointMissing(path) => {
                write!(
                    f,
                    "{} was missing beside its state file; writing it",
                    path.display()
                )
            }
            Self::CheckpointBehind(path) => {
                write!(
                    f,
                    "{} was behind its state file after a crash; updating it",
                    path.display()
                )
            }
            Self::CheckpointUnwritten(error) => {
                write!(
                    f,
                    "the checkpoint was not written, which does no harm, and is tried again: {error}"
                )
            }
            Self::LeftoverRemoved(path) => {
                write!(
                    f,
                    "removed {}, left behind by an interrupted write",
                    path.display()
                )
            }
            Self::LeftoverStays(error) => {
                write!(
                    f,
                    "temporary files of interrupted writes may stay behind: {error}"
                )
            }
        }
    }
}

/// How far a write that counts came.
#[must_use]
#[derive(Debug)]
pub enum Written {
    /// State file and checkpoint are durable.
    Both,
    /// The new generation is durable and in force, its checkpoint is behind. To be logged;
    /// the next write repairs it, as does [`Store::renew_checkpoint`].
    StateOnly(StoreError),
}

impl Store {
    /// Locks and loads the pair at `path`, on the real disk.
    ///
    /// # Errors
    /// See [`Store::open_on`].
    pub fn open(path: &Path, scope: &Scope) -> Result<Self, StoreError> {
        Self::open_on(OsDisk, path, scope)
    }

    /// Reads the pair without the lock, for reports. Writes nothing.
    ///
    /// # Errors
    /// As [`Store::open_on`], without the lock's.
    pub fn peek(path: &Path, scope: &Scope) -> Result<Pair, StoreError> {
        let paths = Paths::new(path)?;
        paths.check_directory()?;
        load(&paths, scope)
    }
}

impl<D: Disk> Store<D> {
    /// Locks and loads the pair at `path`. Removes what interrupted writes left behind and
    /// brings a missing or older checkpoint up to date, see [`Store::notices`].
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process holds the lock; otherwise whatever the
    /// files, their directory or their contents break.
    pub fn open_on(disk: D, path: &Path, scope: &Scope) -> Result<Self, StoreError> {
        let paths = Paths::new(path)?;
        let directory = paths.check_directory()?;
        // Commands that root runs must not take the files away from the daemon's user.
        let owner = rustix::process::geteuid().is_root().then_some(directory);
        let lock = paths.lock(&disk, owner)?;
        let mut store = Self {
            disk,
            paths,
            scope: scope.clone(),
            owner,
            document: None,
            notices: Vec::new(),
            lock,
        };
        store.clean();
        let pair = load(&store.paths, scope)?;
        store.document = pair.document;
        store.settle(pair.checkpoint)?;
        Ok(store)
    }

    /// The generation in force; `None` before the first one.
    #[must_use]
    pub fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// What was noticed at opening, to be logged as warnings.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Looks at the directory again, as at opening, and takes the lock again if it is not the
    /// one that is held: after the directory was replaced, somebody else could hold the one
    /// that is there now.
    ///
    /// # Errors
    /// As [`Store::open_on`], for the directory and the lock.
    pub fn keep_lock(&mut self) -> Result<(), StoreError> {
        let directory = self.paths.check_directory()?;
        if !self.paths.leads_to(&self.lock) {
            self.owner = rustix::process::geteuid().is_root().then_some(directory);
            self.lock = self.paths.lock(&self.disk, self.owner)?;
        }
        Ok(())
    }

    /// Whether the checkpoint on disk is that of the generation in force.
    #[must_use]
    pub fn has_its_checkpoint(&self) -> bool {
        let on_disk = files::read(&self.paths.checkpoint).ok().flatten();
        let on_disk = on_disk.and_then(|bytes| Checkpoint::parse(&bytes).ok());
        on_disk.is_some() && on_disk == self.document.as_ref().map(Document::checkpoint)
    }

    /// Puts the next generation in force: state file first, checkpoint second. Publish it
    /// only after this has returned `Ok`.
    ///
    /// # Errors
    /// [`StoreError::NotNext`] unless `next` follows from [`Store::document`];
    /// [`StoreError::Write`] when the state file was not durably replaced: the generation
    /// before stays in force, and the next attempt may propose something else.
    pub fn write(&mut self, next: &Document) -> Result<Written, StoreError> {
        self.check_next(next)?;
        let bytes = next.render();
        let limit = file::STATE.max_bytes;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
            return Err(StoreError::TooLarge {
                path: self.paths.state.clone(),
                limit,
            });
        }
        // Whatever fails in here, the checkpoint is that of an older generation. So the
        // pair loads with either state file, also with a later one of the same generation.
        self.replace(&self.paths.state, &bytes)?;
        // From here on the generation is durable. Its checkpoint may come to be on disk
        // even if its write fails, so nothing else may ever bear this generation.
        self.document = Some(next.clone());
        let checkpoint = next.checkpoint().render();
        Ok(match self.replace(&self.paths.checkpoint, &checkpoint) {
            Ok(()) => Written::Both,
            Err(error) => Written::StateOnly(error),
        })
    }

    /// Writes the checkpoint of the generation in force again. Only for where that generation is
    /// still the one on disk: a checkpoint without its state file would keep the next process
    /// from starting.
    ///
    /// # Errors
    /// [`StoreError::Write`]; the pair loads all the same.
    pub fn renew_checkpoint(&mut self) -> Result<(), StoreError> {
        match &self.document {
            Some(document) => self.replace(&self.paths.checkpoint, &document.checkpoint().render()),
            None => Ok(()),
        }
    }

    fn check_next(&self, next: &Document) -> Result<(), StoreError> {
        let follows = match &self.document {
            None => next.generation() == 1 && next.previous_hash().is_none(),
            Some(now) => {
                now.generation().checked_add(1) == Some(next.generation())
                    && next.previous_hash() == Some(now.current_hash())
            }
        };
        if follows && *next.scope() == self.scope {
            return Ok(());
        }
        Err(StoreError::NotNext {
            path: self.paths.state.clone(),
            in_force: self.document.as_ref().map_or(0, Document::generation),
            proposed: next.generation(),
        })
    }

    fn replace(&self, target: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let attributes = Attributes {
            mode: MODE,
            owner: self.owner,
        };
        Ok(replace(&self.disk, target, bytes, attributes)?)
    }

    /// Removes temporary files. What fails here does no harm but to the disk's space.
    fn clean(&mut self) {
        for target in [&self.paths.state, &self.paths.checkpoint] {
            match remove_leftovers(&self.disk, target) {
                Ok(removed) => {
                    self.notices
                        .extend(removed.into_iter().map(Notice::LeftoverRemoved));
                }
                Err(error) => self.notices.push(Notice::LeftoverStays(error.into())),
            }
        }
    }

    /// Makes durable what was read, and the checkpoint current.
    ///
    /// A process may have died between renaming the state file and syncing its name, or an
    /// operator have copied the pair there just now. What is about to be published from it
    /// must not be undone, nor torn, by a power cut.
    fn settle(&mut self, status: CheckpointStatus) -> Result<(), StoreError> {
        let Some(document) = &self.document else {
            return Ok(());
        };
        let has_checkpoint = status != CheckpointStatus::Missing;
        self.paths.sync(&self.disk, has_checkpoint)?;
        let path = self.paths.checkpoint.clone();
        let notice = match status {
            CheckpointStatus::Current | CheckpointStatus::Absent => return Ok(()),
            CheckpointStatus::Missing => Notice::CheckpointMissing(path),
            CheckpointStatus::Behind => Notice::CheckpointBehind(path),
        };
        let written = self.replace(&self.paths.checkpoint, &document.checkpoint().render());
        self.notices.push(notice);
        // Reads must survive a full disk: the pair loads as it is.
        self.notices
            .extend(written.err().map(Notice::CheckpointUnwritten));
        Ok(())
    }
}

/// Reads and judges both files. The checkpoint comes first: a writer that is at work in
/// between then makes the state file newer, which loads, and not older, which does not.
fn load(paths: &Paths, scope: &Scope) -> Result<Pair, StoreError> {
    let checkpoint = files::read(&paths.checkpoint)?;
    let state = files::read(&paths.state)?;
    pair::judge(state.as_deref(), checkpoint.as_deref(), scope).map_err(|fault| StoreError::Load {
        path: paths.state.clone(),
        fault,
    })
}
