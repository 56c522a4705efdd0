//! The registry: one generation of records, valid by construction.
//!
//! A document is never changed. The next generation is another document, and the only ways
//! to get one keep what must never be lost.

use std::collections::BTreeSet;

use crate::{
    checkpoint::Checkpoint,
    key_id::KeyId,
    record::{Record, RecordState},
    records::{self, RecordsFault},
    scope::Scope,
    state_hash::StateHash,
    statefile::{Intact, StateFile},
    verdict::LoadError,
};

/// One generation. Cheap to keep, never edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    scope: Scope,
    generation: u64,
    previous_hash: Option<StateHash>,
    current_hash: StateHash,
    active: Record,
    records: Vec<Record>,
}

/// A rule of progress that a proposed generation breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgressError {
    /// The proposed records are no registry.
    #[error("the proposed records are not valid: {0}")]
    Records(RecordsFault),
    /// A generation is one accepted change.
    #[error("nothing would change, and a file is never rewritten without a change")]
    NoChange,
    /// 2^64 changes.
    #[error("the generation cannot be counted any further")]
    GenerationExhausted,
    /// The write key would go back.
    #[error("the active version would go back from {from} to {to}")]
    ActiveDecreases {
        /// Active version now.
        from: u64,
        /// Active version proposed.
        to: u64,
    },
    /// A record would be forgotten.
    #[error("the {} record of version {version} would disappear", state.as_str())]
    RecordDisappears {
        /// Transit key version.
        version: u64,
        /// Its state now.
        state: RecordState,
    },
    /// What it encrypted could no longer be read.
    #[error("version {version} is {} and could no longer decrypt", state.as_str())]
    LosesDecryption {
        /// Transit key version.
        version: u64,
        /// Its state now.
        state: RecordState,
    },
    /// Only an operator takes a version out of decryption or brings it back.
    #[error("version {0} would enter or leave removal without an operator")]
    RemovalByMachine(u64),
    /// Retirement reaches the write key or one that may become it.
    #[error("version {version} is {} and cannot be taken out of decryption", state.as_str())]
    NotRetirable {
        /// Transit key version.
        version: u64,
        /// Its state now.
        state: RecordState,
    },
    /// There is nothing to restore.
    #[error("version {0} has no removed record")]
    NotRemoved(u64),
}

impl Document {
    /// Generation 1 of a new registry, with one active record.
    ///
    /// # Errors
    /// [`ProgressError::Records`] when `record` is not valid, not of `scope` or not active.
    pub fn first(scope: &Scope, record: Record) -> Result<Self, ProgressError> {
        Self::build(scope.clone(), 1, None, vec![record])
    }

    /// Reads and checks a state file.
    ///
    /// # Errors
    /// [`LoadError::Corrupt`], then [`LoadError::Scope`]. Rollback takes a checkpoint: see
    /// [`crate::pair::judge`].
    pub fn parse(bytes: &[u8], scope: &Scope) -> Result<Self, LoadError> {
        Self::bind(Intact::parse(bytes)?, scope)
    }

    /// Takes over a file that is not corrupt, if it belongs to `scope`.
    pub(crate) fn bind(intact: Intact, scope: &Scope) -> Result<Self, LoadError> {
        intact.check_scope(scope)?;
        Ok(Self {
            scope: scope.clone(),
            generation: intact.generation,
            previous_hash: intact.previous_hash,
            current_hash: intact.current_hash,
            active: intact.active,
            records: intact.records,
        })
    }

    fn build(
        scope: Scope,
        generation: u64,
        previous_hash: Option<StateHash>,
        mut records: Vec<Record>,
    ) -> Result<Self, ProgressError> {
        for record in &records {
            records::check_record(&scope, record).map_err(ProgressError::Records)?;
        }
        let active = records::check_set(&records)
            .map_err(ProgressError::Records)?
            .clone();
        records::sort(&mut records);
        let previous = previous_hash.as_ref();
        let file = StateFile::new(&scope, generation, previous, &active.key_id, &records);
        Ok(Self {
            current_hash: file.hash(),
            active,
            scope,
            generation,
            previous_hash,
            records,
        })
    }

    /// The next generation, as probes may propose it. `records` are all of them, in any order.
    ///
    /// # Errors
    /// The first rule of progress that `records` break.
    pub fn next(&self, records: Vec<Record>) -> Result<Self, ProgressError> {
        let next = self.chain(records)?;
        let (from, to) = (self.active.version, next.active.version);
        if to < from {
            return Err(ProgressError::ActiveDecreases { from, to });
        }
        for before in &self.records {
            let after = next
                .get(&before.key_id)
                .ok_or(ProgressError::RecordDisappears {
                    version: before.version,
                    state: before.state,
                })?;
            check_transition(before, after)?;
        }
        let added = |record: &&Record| self.get(&record.key_id).is_none();
        for record in next.records.iter().filter(added) {
            if record.state == RecordState::Removed {
                return Err(ProgressError::RemovalByMachine(record.version));
            }
        }
        Ok(next)
    }

    /// The next generation after an operator took every `retired` version below `before`
    /// out of decryption. `rejected` ones do not decrypt and stay what they are.
    ///
    /// # Errors
    /// [`ProgressError::NotRetirable`] when `before` reaches the active or a pending version,
    /// [`ProgressError::NoChange`] when there is nothing to retire.
    pub fn retire_before(&self, before: u64) -> Result<Self, ProgressError> {
        let mut records = self.records.clone();
        for record in records.iter_mut().filter(|record| record.version < before) {
            match record.state {
                RecordState::Retired => record.state = RecordState::Removed,
                RecordState::Removed | RecordState::Rejected => {}
                state @ (RecordState::Active | RecordState::Pending) => {
                    let version = record.version;
                    return Err(ProgressError::NotRetirable { version, state });
                }
            }
        }
        self.chain(records)
    }

    /// The next generation after an operator brought `versions` back into decryption:
    /// `removed` becomes `retired`, and nothing else changes with it.
    ///
    /// # Errors
    /// [`ProgressError::NotRemoved`] for a version without a removed record,
    /// [`ProgressError::NoChange`] for no version at all.
    pub fn restore(&self, versions: &BTreeSet<u64>) -> Result<Self, ProgressError> {
        let removed = |record: &Record, version| {
            record.version == version && record.state == RecordState::Removed
        };
        for &version in versions {
            if !self.records.iter().any(|record| removed(record, version)) {
                return Err(ProgressError::NotRemoved(version));
            }
        }
        let mut records = self.records.clone();
        for record in &mut records {
            if versions.contains(&record.version) && record.state == RecordState::Removed {
                record.state = RecordState::Retired;
            }
        }
        self.chain(records)
    }

    /// The next link: one generation up, bound to this one by its hash, and different.
    fn chain(&self, records: Vec<Record>) -> Result<Self, ProgressError> {
        let generation = self
            .generation
            .checked_add(1)
            .ok_or(ProgressError::GenerationExhausted)?;
        let previous = Some(self.current_hash.clone());
        let next = Self::build(self.scope.clone(), generation, previous, records)?;
        if next.records == self.records {
            return Err(ProgressError::NoChange);
        }
        Ok(next)
    }

    /// The file's bytes.
    ///
    /// A document that was read from a file with its records in another order has that
    /// file's hash; its bytes are those of a written file, with the hash of these. It is
    /// never written again, only its successor is.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let previous = self.previous_hash.as_ref();
        let active = &self.active.key_id;
        StateFile::new(
            &self.scope,
            self.generation,
            previous,
            active,
            &self.records,
        )
        .render()
    }

    /// What the file beside this one holds.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            generation: self.generation,
            current_hash: self.current_hash.clone(),
        }
    }

    /// The identity of the key; equal for all records.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// At least 1, one more for each accepted change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// `currentHash` of the generation before; `None` for the first one.
    #[must_use]
    pub fn previous_hash(&self) -> Option<&StateHash> {
        self.previous_hash.as_ref()
    }

    /// Names this content.
    #[must_use]
    pub fn current_hash(&self) -> &StateHash {
        &self.current_hash
    }

    /// All records: the active one first, then pending, then by version and creation time
    /// descending.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The write key.
    #[must_use]
    pub fn active(&self) -> &Record {
        &self.active
    }

    /// The record of a key_id, whatever its state.
    #[must_use]
    pub fn get(&self, key_id: &KeyId) -> Option<&Record> {
        self.records.iter().find(|record| record.key_id == *key_id)
    }
}

/// What a probe may do to one record.
fn check_transition(before: &Record, after: &Record) -> Result<(), ProgressError> {
    let removed = RecordState::Removed;
    if (before.state == removed) != (after.state == removed) {
        return Err(ProgressError::RemovalByMachine(before.version));
    }
    let kept = matches!(before.state, RecordState::Active | RecordState::Retired);
    if kept && !after.state.decrypts() {
        return Err(ProgressError::LosesDecryption {
            version: before.version,
            state: before.state,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
