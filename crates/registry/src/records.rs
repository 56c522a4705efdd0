//! What holds for any set of records, whether it was read or is about to be written.

use std::{cmp::Reverse, collections::HashSet};

use crate::{
    key_id::KeyId,
    record::{Record, RecordState},
    scope::Scope,
};

/// Why a set of records is no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsFault {
    /// Nothing could be written with.
    #[error("no record is active")]
    NoActive,
    /// Two write keys.
    #[error("more than one record is active (versions {0} and {1})")]
    TwoActive(u64, u64),
    /// The same version with the same creation time twice.
    #[error("two records have the key_id of version {0}")]
    Duplicate(u64),
    /// The stored key_id does not follow from the record's own fields.
    #[error("the key_id of version {0} is not the one that its own fields derive")]
    KeyId(u64),
    /// Outside of 1 to 2^63 - 1, which is what every reader of the file can hold.
    #[error("{0} is no key version")]
    Version(i128),
    /// A creation time of 0 or before 1970.
    #[error("version {0} has no creation time above 0")]
    CreationTime(u64),
    /// A time or count below 0, or a count that no configuration can reach.
    #[error("{field} of version {version} is out of range")]
    OutOfRange {
        /// Transit key version.
        version: u64,
        /// Name in the state file.
        field: &'static str,
    },
    /// Observations were counted, but none has a time.
    #[error("version {0} has a stable count and no observed time")]
    CountWithoutObserved(u64),
    /// Stable since some time, but nothing was counted.
    #[error("version {0} has a stable time and no stable count")]
    StableWithoutCount(u64),
    /// Stable before it was seen.
    #[error("version {0} was stable before it was observed")]
    StableBeforeObserved(u64),
    /// Promoted before it was seen.
    #[error("version {0} was promoted before it was observed")]
    PromotedBeforeObserved(u64),
}

/// Checks one record for itself, its key_id excepted.
pub(crate) fn check_fields(record: &Record) -> Result<(), RecordsFault> {
    let version = record.version;
    if version == 0 || i64::try_from(version).is_err() {
        return Err(RecordsFault::Version(i128::from(version)));
    }
    if record.created_unix <= 0 {
        return Err(RecordsFault::CreationTime(version));
    }
    let times = [
        ("observedAtUnix", record.observed_unix),
        ("stableAtUnix", record.stable_unix),
        ("promotedAtUnix", record.promoted_unix),
    ];
    for (field, time) in times {
        if time < 0 {
            return Err(RecordsFault::OutOfRange { version, field });
        }
    }
    if record.stable_count > 0 && record.observed_unix == 0 {
        return Err(RecordsFault::CountWithoutObserved(version));
    }
    if record.stable_unix > 0 && record.stable_count == 0 {
        return Err(RecordsFault::StableWithoutCount(version));
    }
    if record.stable_unix > 0 && record.stable_unix < record.observed_unix {
        return Err(RecordsFault::StableBeforeObserved(version));
    }
    if record.promoted_unix > 0 && record.promoted_unix < record.observed_unix {
        return Err(RecordsFault::PromotedBeforeObserved(version));
    }
    Ok(())
}

/// Checks one record for itself; its fields come first, because only valid ones derive an id.
pub(crate) fn check_record(scope: &Scope, record: &Record) -> Result<(), RecordsFault> {
    check_fields(record)?;
    if record.key_id != KeyId::derive(scope, record.version, record.created_unix) {
        return Err(RecordsFault::KeyId(record.version));
    }
    Ok(())
}

/// Checks the records against each other, no key_id twice and one active, which it returns.
pub(crate) fn check_set(records: &[Record]) -> Result<&Record, RecordsFault> {
    let mut seen = HashSet::new();
    for record in records {
        if !seen.insert(&record.key_id) {
            return Err(RecordsFault::Duplicate(record.version));
        }
    }
    let mut active = records
        .iter()
        .filter(|record| record.state == RecordState::Active);
    match (active.next(), active.next()) {
        (None, _) => Err(RecordsFault::NoActive),
        (Some(first), Some(second)) => Err(RecordsFault::TwoActive(first.version, second.version)),
        (Some(active), None) => Ok(active),
    }
}

/// The order of the file: active, pending, then by version and creation time descending.
pub(crate) fn sort(records: &mut [Record]) {
    records.sort_by_key(|record| {
        let rank = match record.state {
            RecordState::Active => 0,
            RecordState::Pending => 1,
            RecordState::Retired | RecordState::Rejected | RecordState::Removed => 2,
        };
        (rank, Reverse(record.version), Reverse(record.created_unix))
    });
}
