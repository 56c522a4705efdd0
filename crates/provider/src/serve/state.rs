//! The registry's files, as the probes write them.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use keyring::probes::{Loaded, Persist, PersistError, Persisted};
use registry::{
    document::{Document, ProgressError},
    record::Record,
    scope::Scope,
    state_hash::StateHash,
    store::{Notice, Store, StoreError, Written},
    verdict::LoadError,
};
use secret::disk::directory_of;

use crate::causes;

/// Why a generation was not written.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Progress(#[from] ProgressError),
    #[error("a new registry begins with one record")]
    NotOne,
    #[error(
        "state directory {}: it is on another file system than at the start; nothing was written \
         there, mount the right one again, or restart the provider to use this one",
        path.display()
    )]
    Elsewhere { path: PathBuf },
    #[error(
        "{}: {on_disk} lies there, and not {in_force}, which is in force; nothing was written over \
         it, restart the provider to use what lies there, or put back what was there",
        path.display()
    )]
    Replaced {
        path: PathBuf,
        on_disk: String,
        in_force: String,
    },
    #[error(
        "{}: {on_disk} lies there, from a write of this provider that failed at its end, so the \
         checkpoint of {in_force}, which is in force, is not written beside it; the next \
         generation, or a restart, brings state file and checkpoint together again",
        path.display()
    )]
    Unfinished {
        path: PathBuf,
        on_disk: String,
        in_force: String,
    },
    #[error(
        "{}: the state file is gone, so its checkpoint is not written either; the next generation \
         brings both, and until then do not restart the provider",
        path.display()
    )]
    Gone { path: PathBuf },
}

/// Which contents of the state file are this process's own, besides the one in force. A write
/// that failed at its very end may have left its generation behind.
#[derive(Debug, Default)]
struct Attempts {
    last: Option<StateHash>,
    left_behind: Option<StateHash>,
}

impl Attempts {
    /// Whether `there` comes from an attempt of ours.
    fn include(&mut self, there: &StateHash) -> bool {
        if self.last.as_ref() == Some(there) {
            self.left_behind.clone_from(&self.last);
        }
        self.left_behind.as_ref() == Some(there)
    }
}

/// The locked pair; whoever holds this is the only writer.
pub(super) struct State {
    store: Mutex<(Store, Attempts)>,
    scope: Arc<Scope>,
    path: PathBuf,
    /// The file system on which the directory was at the start. An empty directory in the place
    /// of a volume that is not mounted is nowhere to write to.
    device: u64,
}

impl State {
    /// Locks and loads the pair, and logs what was found on the way.
    pub(super) fn open(path: &Path, scope: Arc<Scope>) -> Result<(Self, Loaded), StoreError> {
        let store = Store::open(path, &scope)?;
        for notice in store.notices() {
            tracing::warn!(reason = %notice, "state.notice");
        }
        let unwritten = |notice: &Notice| matches!(notice, Notice::CheckpointUnwritten(_));
        let checkpoint_behind = store.notices().iter().any(unwritten);
        let (records, generation) = store.document().map_or_else(Default::default, |document| {
            (document.records().to_vec(), document.generation())
        });
        tracing::info!(
            path = %path.display(),
            generation,
            records = records.len(),
            "state.loaded"
        );
        let directory = directory_of(path);
        let device = device(directory).map_err(|source| StoreError::DirectoryIo {
            path: directory.to_owned(),
            action: "examining it",
            source,
        })?;
        let loaded = Loaded {
            records,
            generation,
            checkpoint_behind,
        };
        let state = Self {
            store: Mutex::new((store, Attempts::default())),
            scope,
            path: path.to_owned(),
            device,
        };
        Ok((state, loaded))
    }

    /// Whether the next generation may replace what lies on disk now: only what this process
    /// has read or written itself. What an operator restored meanwhile, or what a directory
    /// that was put in place holds, is theirs; it is used at the next start. Nothing at all may
    /// be replaced, too, as may a checkpoint of ours that is alone: the registry in memory may be
    /// the last one.
    fn check_unchanged(&self, store: &mut Store, attempts: &mut Attempts) -> Result<(), Refused> {
        let Some(there) = self.on_disk(store)? else {
            return Ok(());
        };
        match self.check_in_force(store, &there) {
            Err(_) if attempts.include(there.current_hash()) => Ok(()),
            outcome => outcome,
        }
    }

    /// What lies on disk now, if our lock still guards it.
    fn on_disk(&self, store: &mut Store) -> Result<Option<Document>, Refused> {
        let directory = directory_of(&self.path);
        // Before the lock, which would be a file on the wrong one. What cannot be examined here
        // is named there.
        if device(directory).is_ok_and(|device| device != self.device) {
            return Err(Refused::Elsewhere {
                path: directory.to_owned(),
            });
        }
        store.keep_lock()?;
        match Store::peek(&self.path, &self.scope) {
            Ok(pair) => Ok(pair.document),
            Err(StoreError::Load {
                fault: LoadError::StateMissing,
                ..
            }) if store.has_its_checkpoint() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn check_in_force(&self, store: &Store, there: &Document) -> Result<(), Refused> {
        let ours = store.document();
        if ours.is_some_and(|ours| ours.current_hash() == there.current_hash()) {
            return Ok(());
        }
        Err(Refused::Replaced {
            path: self.path.clone(),
            on_disk: named(there),
            in_force: ours.map_or_else(|| "nothing".to_owned(), named),
        })
    }

    /// Beside its own state file, and beside no other: what an operator put there is theirs, and
    /// a checkpoint that is alone keeps the next process from starting.
    fn renew(&self) -> Result<(), Refused> {
        let mut locked = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, attempts) = &mut *locked;
        let there = self.on_disk(store)?.ok_or_else(|| Refused::Gone {
            path: self.path.clone(),
        })?;
        match self.check_in_force(store, &there) {
            // Nobody has put it there but us.
            Err(Refused::Replaced {
                path,
                on_disk,
                in_force,
            }) if attempts.include(there.current_hash()) => Err(Refused::Unfinished {
                path,
                on_disk,
                in_force,
            }),
            Err(refused) => Err(refused),
            Ok(()) => Ok(store.renew_checkpoint()?),
        }
    }

    fn write(&self, records: &[Record]) -> Result<Persisted, Refused> {
        let mut locked = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, attempts) = &mut *locked;
        let next = match (store.document(), records) {
            (Some(document), _) => document.next(records.to_vec())?,
            (None, [only]) => Document::first(&self.scope, only.clone())?,
            (None, _) => return Err(Refused::NotOne),
        };
        self.check_unchanged(store, attempts)?;
        attempts.last = Some(next.current_hash().clone());
        let checkpoint_behind = match store.write(&next)? {
            Written::Both => None,
            Written::StateOnly(error) => Some(causes::chain(&error)),
        };
        Ok(Persisted {
            generation: next.generation(),
            checkpoint_behind,
        })
    }
}

/// A generation, so that two with the same number can be told apart.
fn named(document: &Document) -> String {
    format!(
        "generation {} ({})",
        document.generation(),
        document.current_hash()
    )
}

fn device(directory: &Path) -> io::Result<u64> {
    Ok(fs::symlink_metadata(directory)?.dev())
}

impl Persist for State {
    fn persist(&self, records: &[Record]) -> Result<Persisted, PersistError> {
        self.write(records)
            .map_err(|error| PersistError(causes::chain(&error)))
    }

    fn renew_checkpoint(&self) -> Result<(), PersistError> {
        self.renew()
            .map_err(|error| PersistError(causes::chain(&error)))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use registry::{key_id::KeyId, record::RecordState};

    use super::*;

    fn scope() -> Arc<Scope> {
        Arc::new(Scope {
            provider_name: "p".into(),
            cluster_id: "c".into(),
            openbao_instance_id: "o".into(),
            openbao_namespace: String::new(),
            transit_mount_id: "m".into(),
            key_lineage_id: "l".into(),
        })
    }

    fn record(version: u64, state: RecordState) -> Record {
        let created_unix = 1_700_000_000 + i64::try_from(version).unwrap();
        Record {
            version,
            created_unix,
            key_id: KeyId::derive(&scope(), version, created_unix),
            state,
            observed_unix: created_unix,
            stable_count: 0,
            stable_unix: 0,
            promoted_unix: 0,
        }
    }

    #[test]
    fn generations_follow_each_other_and_a_second_instance_is_refused() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let path = home.path().join("key-registry.json");
        let (state, loaded) = State::open(&path, scope()).unwrap();
        assert_eq!((loaded.generation, loaded.records.len()), (0, 0));
        let first = [record(1, RecordState::Active)];
        assert_eq!(state.persist(&first).unwrap().generation, 1);
        let second = [first[0].clone(), record(2, RecordState::Pending)];
        assert_eq!(state.persist(&second).unwrap().generation, 2);
        assert!(
            state.persist(&second[1..]).is_err(),
            "an active record must not vanish"
        );

        assert!(matches!(
            State::open(&path, scope()),
            Err(StoreError::Locked { .. })
        ));
        drop(state);
        let (_, loaded) = State::open(&path, scope()).unwrap();
        assert_eq!((loaded.generation, loaded.records.len()), (2, 2));
    }

    #[test]
    fn what_this_process_did_not_write_is_not_written_over() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let path = home.path().join("key-registry.json");
        let (state, _) = State::open(&path, scope()).unwrap();
        let first = [record(1, RecordState::Active)];
        state.persist(&first).unwrap();
        let older = fs::read(&path).unwrap();
        let seen = |stable_count| {
            let pending = Record {
                stable_count,
                ..record(2, RecordState::Pending)
            };
            [first[0].clone(), pending]
        };
        state.persist(&seen(1)).unwrap();
        let newer = fs::read(&path).unwrap();

        let checkpoint = home.path().join("key-registry.json.checkpoint");
        let other = fs::read(&checkpoint).unwrap();
        fs::remove_file(&checkpoint).unwrap();
        fs::write(&path, &older).unwrap();
        let refused = state.persist(&seen(2)).unwrap_err().to_string();
        for words in ["generation 1 (krs1.", "generation 2 (krs1.", "restart"] {
            assert!(refused.contains(words), "{refused}");
        }
        assert_eq!(fs::read(&path).unwrap(), older);
        assert!(!checkpoint.exists());

        fs::write(&path, &newer).unwrap();
        assert_eq!(state.persist(&seen(2)).unwrap().generation, 3);
        // With nothing there, the registry in memory is the last one.
        fs::remove_file(&path).unwrap();
        fs::remove_file(&checkpoint).unwrap();
        assert_eq!(state.persist(&seen(3)).unwrap().generation, 4);
        assert!(checkpoint.exists());
        // So may it be with a checkpoint of its own, and with no other.
        let own = fs::read(&checkpoint).unwrap();
        fs::write(&checkpoint, other).unwrap();
        fs::remove_file(&path).unwrap();
        let refused = state.persist(&seen(4)).unwrap_err().to_string();
        assert!(refused.contains("its checkpoint is there"), "{refused}");
        assert!(!path.exists());
        fs::write(&checkpoint, own).unwrap();
        assert_eq!(state.persist(&seen(4)).unwrap().generation, 5);
        assert!(path.exists());
    }

    #[test]
    fn a_checkpoint_is_renewed_beside_its_own_state_file_and_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let path = home.path().join("key-registry.json");
        let checkpoint = home.path().join("key-registry.json.checkpoint");
        let (state, _) = State::open(&path, scope()).unwrap();
        let first = [record(1, RecordState::Active)];
        state.persist(&first).unwrap();
        let older = [&path, &checkpoint].map(|path| fs::read(path).unwrap());
        let second = [first[0].clone(), record(2, RecordState::Pending)];
        state.persist(&second).unwrap();
        let newer = [&path, &checkpoint].map(|path| fs::read(path).unwrap());

        fs::write(&checkpoint, &older[1]).unwrap();
        state.renew_checkpoint().unwrap();
        assert!(fs::read(&checkpoint).unwrap() == newer[1], "it was behind");
        fs::remove_file(&checkpoint).unwrap();
        state.renew_checkpoint().unwrap();
        assert!(fs::read(&checkpoint).unwrap() == newer[1], "it was gone");

        fs::remove_file(&checkpoint).unwrap();
        fs::write(&path, &older[0]).unwrap();
        let refused = state.renew_checkpoint().unwrap_err().to_string();
        assert!(refused.contains("and not generation 2 (krs1."), "{refused}");
        fs::remove_file(&path).unwrap();
        let refused = state.renew_checkpoint().unwrap_err().to_string();
        assert!(refused.contains("the state file is gone"), "{refused}");
        assert!(!checkpoint.exists(), "a process could not start with it");
    }

    #[test]
    fn what_an_own_write_left_behind_is_blamed_on_nobody() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let path = home.path().join("key-registry.json");
        let (state, _) = State::open(&path, scope()).unwrap();
        let first = [record(1, RecordState::Active)];
        state.persist(&first).unwrap();
        let checkpoint = home.path().join("key-registry.json.checkpoint");
        let older = fs::read(&checkpoint).unwrap();
        let second = [first[0].clone(), record(2, RecordState::Pending)];
        {
            // As after a directory that could not be synchronised.
            let mut locked = state.store.lock().unwrap();
            let next = locked.0.document().unwrap().next(second.to_vec()).unwrap();
            locked.1.last = Some(next.current_hash().clone());
            fs::write(&path, next.render()).unwrap();
        }
        let refused = state.renew_checkpoint().unwrap_err().to_string();
        for words in [
            "generation 2 (krs1.",
            "a write of this provider that failed",
            "generation 1 (krs1.",
        ] {
            assert!(refused.contains(words), "{refused}");
        }
        assert!(!refused.contains("put back"), "{refused}");
        assert!(fs::read(&checkpoint).unwrap() == older);
        assert_eq!(state.persist(&second).unwrap().generation, 2);
        state.renew_checkpoint().unwrap();
    }

    #[test]
    fn the_guide_quotes_what_is_said_of_a_state_that_was_changed() {
        const GUIDE: &str = include_str!("../../../../docs/recovery.md");
        let path = || PathBuf::from("/state/key-registry.json");
        let replaced = Refused::Replaced {
            path: path(),
            on_disk: "generation 1".into(),
            in_force: "generation 2".into(),
        };
        let elsewhere = Refused::Elsewhere { path: path() };
        for (error, quote) in [
            (replaced, "which is in force; nothing was written over it"),
            (elsewhere, "is on another file system than at the start"),
        ] {
            assert!(error.to_string().contains(quote), "{error}");
            assert!(GUIDE.contains(&format!("`{quote}`")), "{quote}");
        }
    }

    #[test]
    fn what_a_failed_write_left_behind_is_recognised_until_it_is_replaced() {
        let hashes = ["a", "b", "c"].map(|letter| {
            let text = format!("krs1.{}", letter.repeat(42) + "A");
            StateHash::parse(&text).unwrap()
        });
        let [a, b, c] = &hashes;
        let mut attempts = Attempts::default();
        assert!(!attempts.include(a));
        attempts.last = Some(a.clone());
        assert!(attempts.include(a) && !attempts.include(b));
        // The next attempt did not come as far: what lies there is still the first.
        attempts.last = Some(b.clone());
        assert!(attempts.include(a) && !attempts.include(c));
        assert!(attempts.include(b) && !attempts.include(a));
    }
}
