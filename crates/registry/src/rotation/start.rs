//! The start of a process with a registry that may be older than the key.
//!
//! A version that has been there for long enough was promoted by other nodes while this one
//! was away. Writing with an older one first would let the key_id of this node go back and
//! forth, so the node stays unhealthy until it has caught up.

use std::{collections::HashSet, time::Duration};

use crate::{
    confirm::APART,
    key_id::KeyId,
    reading::KeyMetadata,
    record::{Record, RecordState},
    rotation::judge::{created, readable_from},
};

/// Agreeing reads of a catch-up.
pub(super) const CATCH_UP_READS: u32 = 3;

/// What a process still has to find out before its first healthy Status.
#[derive(Debug)]
pub(super) struct Start {
    stage: Stage,
    /// Rejected when this process saw them first. They come back in the ordinary way only,
    /// also after the answer that brought them back has changed their records.
    barred: HashSet<KeyId>,
}

#[derive(Debug)]
enum Stage {
    /// No accepted answer has decided yet.
    Unjudged,
    /// The registry was made from a single answer, `at` that time (Unix seconds). A standby that
    /// was behind may have given it, so the first newer version decides, whenever it is seen. One
    /// that was created later is a rotation like any other: nobody can have promoted it before.
    Born { at: i64 },
    /// Other nodes write with a newer version already.
    CatchingUp {
        key_id: KeyId,
        reads: u32,
        last: Duration,
    },
    /// From now on versions are promoted in the ordinary way only.
    Over,
}

impl Start {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Unjudged,
            barred: HashSet::new(),
        }
    }

    /// This process makes the registry, `at` that time (Unix seconds).
    pub(super) fn born(&mut self, at: i64) {
        self.stage = Stage::Born { at };
    }

    /// A version was promoted.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Over;
        self.barred = HashSet::new();
    }

    pub(super) fn catching_up(&self) -> bool {
        matches!(self.stage, Stage::CatchingUp { .. })
    }

    /// Remembers what is rejected before an answer changes it.
    pub(super) fn bar_rejected(&mut self, records: &[Record]) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        let rejected = records.iter().filter(|r| r.state == RecordState::Rejected);
        self.barred.extend(rejected.map(|r| r.key_id.clone()));
    }

    /// The version to catch up to: the newest one that is older than `promoted_after` at `wall`
    /// (Unix seconds). Younger ones above it are for the ordinary way, afterwards.
    pub(super) fn target(
        &self,
        records: &[Record],
        active_version: u64,
        key: &KeyMetadata,
        promoted_after: Duration,
        wall: i64,
    ) -> Option<u64> {
        let last = match self.stage {
            Stage::Over => return None,
            Stage::Born { at } => at,
            Stage::Unjudged | Stage::CatchingUp { .. } => i64::MAX,
        };
        let is_old = |created_unix: i64| {
            let age = u64::try_from(wall.saturating_sub(created_unix));
            created_unix <= last && age.is_ok_and(|age| Duration::from_secs(age) > promoted_after)
        };
        let refused = |version: u64, created_unix: i64| {
            records.iter().any(|record| {
                (record.version, record.created_unix) == (version, created_unix)
                    && (record.state == RecordState::Removed
                        || self.barred.contains(&record.key_id))
            })
        };
        let lowest = key.min_encryption_version.max(readable_from(key));
        let newer = active_version.saturating_add(1)..=key.latest_version;
        newer
            .rev()
            .filter_map(|version| Some((version, created(key, version)?)))
            .find(|&(version, created)| is_old(created) && !refused(version, created))
            .map(|(version, _)| version)
            .filter(|version| *version >= lowest)
    }

    /// Takes in an accepted answer: `target` is the pending record to catch up to, `newer` says
    /// whether there is any version above the write key, and `blocked` whether something else
    /// keeps Status unhealthy.
    pub(super) fn judge(
        &mut self,
        target: Option<&Record>,
        newer: bool,
        blocked: bool,
        mono: Duration,
    ) {
        match (&mut self.stage, target) {
            (Stage::Over, _) => {}
            (Stage::Born { .. }, None) if !newer => {}
            // Nothing was named yet and nothing will be now: the next answer decides again.
            (stage, None) if blocked => {
                if matches!(stage, Stage::CatchingUp { .. }) {
                    *stage = Stage::Unjudged;
                }
            }
            (_, None) => self.end(),
            (
                Stage::CatchingUp {
                    key_id,
                    reads,
                    last,
                },
                Some(record),
            ) if *key_id == record.key_id => {
                if mono.saturating_sub(*last) >= APART {
                    *reads = reads.saturating_add(1);
                    *last = mono;
                }
            }
            (stage, Some(record)) => {
                *stage = Stage::CatchingUp {
                    key_id: record.key_id.clone(),
                    reads: 1,
                    last: mono,
                };
            }
        }
    }

    /// How long to wait for the next read of a catch-up that needs one.
    pub(super) fn wants_read(&self, mono: Duration) -> Option<Duration> {
        match &self.stage {
            Stage::CatchingUp { reads, last, .. } if *reads < CATCH_UP_READS => {
                Some(last.saturating_add(APART).saturating_sub(mono))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Scope;

    #[test]
    fn a_removed_version_is_passed_over() {
        let key = KeyMetadata::with_defaults(3, [(1, 10), (2, 20), (3, 30)].into());
        let record = |state| Record {
            version: 3,
            created_unix: 30,
            key_id: KeyId::derive(&Scope::sample(), 3, 30),
            state,
            observed_unix: 30,
            stable_count: 0,
            stable_unix: 0,
            promoted_unix: 0,
        };
        let start = Start::new();
        let after = Duration::from_secs(100);
        for (state, target) in [(RecordState::Retired, 3), (RecordState::Removed, 2)] {
            let found = start.target(&[record(state)], 1, &key, after, 1000);
            assert_eq!(found, Some(target));
        }
    }
}
