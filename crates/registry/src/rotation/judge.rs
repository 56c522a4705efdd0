//! One metadata answer against the records: what contradicts, and how surely.

use crate::{
    finding::{Finding, Floor},
    reading::KeyMetadata,
    record::{Record, RecordState},
};

/// The differences between an answer and the records.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Facts at once.
    pub(super) definite: Vec<Finding>,
    /// Facts once confirmed: a node that lags can invent them.
    pub(super) doubtful: Vec<Finding>,
    /// A record would be rejected or come back; that needs confirmation too.
    pub(super) doubtful_change: bool,
}

impl Judged {
    pub(super) fn in_doubt(&self) -> bool {
        self.doubtful_change || !self.doubtful.is_empty()
    }
}

/// The creation second of `version`, where the answer holds a usable one.
pub(super) fn created(key: &KeyMetadata, version: u64) -> Option<i64> {
    key.creation_times
        .get(&version)
        .copied()
        .filter(|second| *second > 0)
}

/// Whether the answer contradicts itself. Such an answer is worth as much as none.
pub(super) fn is_inconsistent(key: &KeyMetadata) -> bool {
    let newest_listed = key.creation_times.last_key_value();
    key.latest_version == 0 || newest_listed.is_some_and(|(v, _)| *v > key.latest_version)
}

/// Compares; `records` holds one active record.
pub(super) fn compare(records: &[Record], active: &Record, key: &KeyMetadata) -> Judged {
    let mut judged = Judged::default();
    for record in records {
        compare_record(&mut judged, record, active, key);
    }
    compare_unknown_versions(&mut judged, records, active, key);
    for (floor, value) in [
        (Floor::Available, key.min_available_version),
        (Floor::Decryption, key.min_decryption_version),
    ] {
        let retained = records.iter().filter(|r| r.state.decrypts());
        if let Some(version) = retained.map(|r| r.version).filter(|v| *v < value).max() {
            judged.definite.push(Finding::RetainedShutOut {
                floor,
                value,
                version,
            });
        }
    }
    if key.min_encryption_version > active.version {
        judged.definite.push(Finding::EncryptionBlocked {
            value: key.min_encryption_version,
            active: active.version,
        });
    }
    judged
}

fn compare_record(judged: &mut Judged, record: &Record, active: &Record, key: &KeyMetadata) {
    let (version, latest) = (record.version, key.latest_version);
    let found = created(key, version);
    let same = found == Some(record.created_unix);
    match record.state {
        RecordState::Removed => {}
        RecordState::Rejected => {
            judged.doubtful_change |= same && version > active.version && version <= latest;
        }
        RecordState::Pending if version > latest => judged.doubtful_change = true,
        RecordState::Active if version > latest => judged.doubtful.push(Finding::Rollback {
            latest,
            active: version,
        }),
        RecordState::Retired if version > latest => {
            // Below a rolled back write key its own finding says enough.
            if active.version <= latest {
                judged
                    .doubtful
                    .push(Finding::VersionGone { version, latest });
            }
        }
        RecordState::Pending | RecordState::Active | RecordState::Retired => match found {
            Some(_) if same => {}
            Some(_) if record.state == RecordState::Pending => judged.doubtful_change = true,
            Some(found) => judged.definite.push(Finding::IdentityDrift {
                version,
                recorded: record.created_unix,
                found,
            }),
            // Archived and trimmed versions are not listed; the minimum says why.
            None if version < readable_from(key) => {}
            None => judged.doubtful.push(Finding::CreationUnknown { version }),
        },
    }
}

/// Versions above the write key that no record knows: another node may have used each of
/// them, so all or none are recorded.
fn compare_unknown_versions(
    judged: &mut Judged,
    records: &[Record],
    active: &Record,
    key: &KeyMetadata,
) {
    let covered = |version: u64| {
        records.iter().any(|r| {
            r.version == version
                && matches!(
                    r.state,
                    RecordState::Pending | RecordState::Retired | RecordState::Removed
                )
        })
    };
    // Lazy: the walk ends at the first version without a time, however large the answer's
    // latest version is.
    let unknown = (active.version.saturating_add(1)..=key.latest_version)
        .find(|v| created(key, *v).is_none() && !covered(*v));
    if let Some(version) = unknown {
        let finding = Finding::CreationUnknown { version };
        if version < readable_from(key) {
            judged.definite.push(finding);
        } else {
            judged.doubtful.push(finding);
        }
    }
}

/// The lowest version that decrypts.
pub(super) fn readable_from(key: &KeyMetadata) -> u64 {
    key.min_available_version.max(key.min_decryption_version)
}
