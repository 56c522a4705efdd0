//! The records of the next generation, built from those of this one.

use crate::{
    key_id::KeyId,
    reading::KeyMetadata,
    record::{Record, RecordState},
    rotation::judge::created,
    scope::Scope,
};

/// A change that is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What happened to the record.
    pub change: Change,
    /// Its version.
    pub version: u64,
    /// Its key_id.
    pub key_id: KeyId,
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The first record of a new key.
    Bootstrapped,
    /// A newer version was seen; its count starts.
    Pending,
    /// The count was reached; the activation delay starts.
    Stable,
    /// Recorded for decryption only: another node may have used it.
    Retired,
    /// Confirmed gone, or replaced under the same number, before its promotion.
    Rejected,
    /// The write key from now on.
    Promoted,
}

impl Change {
    /// The name of the log event.
    #[must_use]
    pub fn event(self) -> &'static str {
        match self {
            Self::Bootstrapped => "rotation.bootstrapped",
            Self::Pending => "rotation.pending",
            Self::Stable => "rotation.stable",
            Self::Retired => "rotation.retired",
            Self::Rejected => "rotation.rejected",
            Self::Promoted => "rotation.promoted",
        }
    }
}

pub(super) struct Ledger<'a> {
    scope: &'a Scope,
    /// Unix seconds, at least 1, because zero in a record means "not set".
    wall: i64,
    pub(super) records: Vec<Record>,
    pub(super) transitions: Vec<Transition>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(scope: &'a Scope, wall: i64, records: &[Record]) -> Self {
        Self {
            scope,
            wall: wall.max(1),
            records: records.to_vec(),
            transitions: Vec::new(),
        }
    }

    /// The first record of a virgin key.
    pub(super) fn bootstrap(&mut self, created_unix: i64) {
        let mut record = self.fresh(1, created_unix, RecordState::Active);
        record.promoted_unix = record.observed_unix;
        self.note(Change::Bootstrapped, &record);
        self.records.push(record);
    }

    /// A pending version that is gone, or stands for another key now, becomes rejected.
    pub(super) fn reject_lost_pending(&mut self, key: &KeyMetadata) {
        let mut lost = Vec::new();
        for record in &mut self.records {
            let still_there = record.version <= key.latest_version
                && created(key, record.version).is_none_or(|c| c == record.created_unix);
            if record.state == RecordState::Pending && !still_there {
                record.state = RecordState::Rejected;
                lost.push(record.clone());
            }
        }
        for record in &lost {
            self.note(Change::Rejected, record);
        }
    }

    /// Records the versions above `active_version`: `next` as pending, the others for
    /// decryption only. An agreeing answer counts where `counts` says so.
    ///
    /// `next` is the newest version; one below it only while a catch-up promotes that first.
    pub(super) fn admit_newer(
        &mut self,
        key: &KeyMetadata,
        active_version: u64,
        next: u64,
        counts: bool,
        needed: u32,
    ) {
        if next <= active_version {
            return;
        }
        self.retire_superseded(next);
        for version in active_version.saturating_add(1)..=key.latest_version {
            match created(key, version) {
                Some(created_unix) if version == next => {
                    self.count_next(version, created_unix, counts, needed);
                }
                Some(created_unix) => self.keep_for_decryption(version, created_unix),
                None => {}
            }
        }
    }

    /// A pending version that is not the next write key is not waited for now.
    fn retire_superseded(&mut self, next: u64) {
        let mut superseded = Vec::new();
        for record in &mut self.records {
            if record.state == RecordState::Pending && record.version != next {
                record.state = RecordState::Retired;
                superseded.push(record.clone());
            }
        }
        for record in &superseded {
            self.note(Change::Retired, record);
        }
    }

    fn keep_for_decryption(&mut self, version: u64, created_unix: i64) {
        let record = match self.find(version, created_unix) {
            None => {
                let record = self.fresh(version, created_unix, RecordState::Retired);
                self.records.push(record.clone());
                record
            }
            Some(record) if record.state == RecordState::Rejected => {
                record.state = RecordState::Retired;
                record.clone()
            }
            Some(_) => return,
        };
        self.note(Change::Retired, &record);
    }

    fn count_next(&mut self, version: u64, created_unix: i64, counts: bool, needed: u32) {
        let wall = self.wall;
        let (change, record) = match self.find(version, created_unix) {
            None => {
                let mut record = self.fresh(version, created_unix, RecordState::Pending);
                record.stable_count = 1;
                self.records.push(record.clone());
                (Some(Change::Pending), record)
            }
            // Never promoted here, whatever it was before: its count starts again.
            Some(record)
                if matches!(record.state, RecordState::Rejected | RecordState::Retired) =>
            {
                record.state = RecordState::Pending;
                record.observed_unix = record.observed_unix.max(wall);
                record.stable_count = 1;
                record.stable_unix = 0;
                (Some(Change::Pending), record.clone())
            }
            Some(record) if record.state == RecordState::Pending => {
                if counts && record.stable_count < needed {
                    record.stable_count = record.stable_count.saturating_add(1);
                }
                (None, record.clone())
            }
            Some(_) => return,
        };
        if change == Some(Change::Pending) {
            self.note(Change::Pending, &record);
        }
        if record.stable_count >= needed && record.stable_unix == 0 {
            self.settle(&record.key_id);
        }
    }

    /// Fixes the stable time of a record.
    fn settle(&mut self, key_id: &KeyId) {
        let wall = self.wall;
        let found = self.records.iter_mut().find(|r| r.key_id == *key_id);
        let Some(record) = found else { return };
        record.stable_unix = wall.max(record.observed_unix);
        let record = record.clone();
        self.note(Change::Stable, &record);
    }

    /// pending -> active and active -> retired, in one generation. False when `key_id` is not
    /// pending.
    pub(super) fn promote(&mut self, key_id: &KeyId, agreed: u32) -> bool {
        let wall = self.wall;
        let pending = |r: &Record| r.key_id == *key_id && r.state == RecordState::Pending;
        if !self.records.iter().any(pending) {
            return false;
        }
        for record in &mut self.records {
            if pending(record) {
                record.state = RecordState::Active;
                // A catch-up counts in memory; what is written says that it was stable.
                record.stable_count = record.stable_count.max(agreed);
                if record.stable_unix == 0 {
                    record.stable_unix = wall.max(record.observed_unix);
                }
                record.promoted_unix = wall.max(record.stable_unix);
            } else if record.state == RecordState::Active {
                record.state = RecordState::Retired;
            }
        }
        if let Some(record) = self.records.iter().find(|r| r.key_id == *key_id).cloned() {
            self.note(Change::Promoted, &record);
        }
        true
    }

    pub(super) fn find(&mut self, version: u64, created_unix: i64) -> Option<&mut Record> {
        self.records
            .iter_mut()
            .find(|r| r.version == version && r.created_unix == created_unix)
    }

    fn fresh(&self, version: u64, created_unix: i64, state: RecordState) -> Record {
        Record {
            version,
            created_unix,
            key_id: KeyId::derive(self.scope, version, created_unix),
            state,
            observed_unix: self.wall,
            stable_count: 0,
            stable_unix: 0,
            promoted_unix: 0,
        }
    }

    fn note(&mut self, change: Change, record: &Record) {
        self.transitions.push(Transition {
            change,
            version: record.version,
            key_id: record.key_id.clone(),
        });
    }
}
