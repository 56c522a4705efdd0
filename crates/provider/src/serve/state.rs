//! The registry's files, as the probes write them.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use keyring::probes::{Loaded, Persist, PersistError};
use registry::{
    document::Document,
    record::Record,
    scope::Scope,
    store::{Store, StoreError, Written},
};

use crate::causes;

/// The locked pair; whoever holds this is the only writer.
pub(super) struct State {
    store: Mutex<Store>,
    scope: Arc<Scope>,
}

impl State {
    /// Locks and loads the pair, and logs what was found on the way.
    pub(super) fn open(path: &Path, scope: Arc<Scope>) -> Result<(Self, Loaded), StoreError> {
        let store = Store::open(path, &scope)?;
        for notice in store.notices() {
            tracing::warn!(reason = %notice, "state.notice");
        }
        let loaded = store
            .document()
            .map_or_else(Loaded::default, |document| Loaded {
                records: document.records().to_vec(),
                generation: document.generation(),
            });
        tracing::info!(
            path = %path.display(),
            generation = loaded.generation,
            records = loaded.records.len(),
            "state.loaded"
        );
        Ok((
            Self {
                store: Mutex::new(store),
                scope,
            },
            loaded,
        ))
    }
}

impl Persist for State {
    fn persist(&self, records: &[Record]) -> Result<u64, PersistError> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match (store.document(), records) {
            (Some(document), _) => document.next(records.to_vec()),
            (None, [only]) => Document::first(&self.scope, only.clone()),
            (None, _) => {
                return Err(PersistError("a new registry begins with one record".into()));
            }
        };
        let next = next.map_err(|error| PersistError(causes::chain(&error)))?;
        match store.write(&next) {
            Ok(Written::Both) => {}
            Ok(Written::StateOnly(error)) => {
                tracing::warn!(reason = causes::chain(&error), "state.checkpoint_behind");
            }
            Err(error) => return Err(PersistError(causes::chain(&error))),
        }
        Ok(next.generation())
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
        assert_eq!(state.persist(&first).unwrap(), 1);
        let second = [first[0].clone(), record(2, RecordState::Pending)];
        assert_eq!(state.persist(&second).unwrap(), 2);
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
}
