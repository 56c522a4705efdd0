//! What is wrong with the key or with its history, in words for an operator.

use std::fmt;

/// What is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// Data could be read, forged or lost.
    CryptographicSafety,
    /// Nothing leaks, but API servers cannot write or read.
    ApiServerAvailability,
}

impl Label {
    /// The word in logs and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CryptographicSafety => "cryptographic_safety",
            Self::ApiServerAvailability => "api_server_availability",
        }
    }
}

/// One of the three minimum versions of a Transit key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Floor {
    /// `min_available_version`
    Available,
    /// `min_decryption_version`
    Decryption,
    /// `min_encryption_version`
    Encryption,
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "min_available_version",
            Self::Decryption => "min_decryption_version",
            Self::Encryption => "min_encryption_version",
        })
    }
}

/// One reason why Status is unhealthy. The text says what was found and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Finding {
    /// Another key type.
    #[error("the Transit key is not of type aes256-gcm96; point transit.keyName at one that is")]
    KeyType,
    /// `derived`
    #[error("the Transit key is derived; a key without derivation is needed")]
    Derived,
    /// `convergent_encryption`
    #[error("the Transit key uses convergent encryption; a key without it is needed")]
    Convergent,
    /// `exportable`, which cannot be undone.
    #[error(
        "the Transit key is exportable, so its bytes may be outside of OpenBao; use another key"
    )]
    Exportable,
    /// `allow_plaintext_backup`, which cannot be undone.
    #[error("the Transit key allows plaintext backups; use another key")]
    PlaintextBackup,
    /// `deletion_allowed`
    #[error("the Transit key may be deleted; set deletion_allowed=false on it")]
    DeletionAllowed,
    /// `soft_deleted`
    #[error("the Transit key is soft-deleted; restore it with soft-delete-restore")]
    SoftDeleted,
    /// No `supports_encryption`.
    #[error(
        "the Transit key does not support encryption; point transit.keyName at one of type aes256-gcm96"
    )]
    NoEncryption,
    /// No `supports_decryption`.
    #[error(
        "the Transit key does not support decryption; point transit.keyName at one of type aes256-gcm96"
    )]
    NoDecryption,
    /// A minimum that no version reaches.
    #[error("{floor} {value} is above the latest version {latest}; lower it")]
    FloorAboveLatest {
        /// Which minimum.
        floor: Floor,
        /// Its value.
        value: u64,
        /// `latest_version`
        latest: u64,
    },
    /// `disable_upsert` is false.
    #[error(
        "the Transit mount creates missing keys on encrypt; set disable_upsert=true in its config/keys"
    )]
    UpsertAllowed,
    /// The mount's `config/keys` is denied, confirmed.
    #[error("the Transit mount's config/keys is denied by policy; allow reading it")]
    UpsertDenied,
    /// The mount's `config/keys` is not there, confirmed.
    #[error(
        "the Transit mount's config/keys does not exist; check transit.mountPath and openbao.namespace"
    )]
    UpsertMissing,
    /// The key is denied, confirmed.
    #[error(
        "reading the Transit key is denied; check transit.keyName and transit.mountPath, then the policy"
    )]
    KeyDenied,
    /// The key is not there, confirmed.
    #[error(
        "the Transit key does not exist; check transit.keyName and openbao.namespace, or restore the key"
    )]
    KeyMissing,
    /// No registry, and the key has a past.
    #[error(
        "there is no registry on this node and the key is not new (latest version {latest}, min available {available}, \
         min decryption {decryption}, min encryption {encryption}): stop the provider, copy key-registry.json and \
         key-registry.json.checkpoint from the state directory of a healthy node to this one's, and start it again \
         (docs/recovery.md)"
    )]
    NotVirgin {
        /// `latest_version`
        latest: u64,
        /// `min_available_version`
        available: u64,
        /// `min_decryption_version`
        decryption: u64,
        /// `min_encryption_version`
        encryption: u64,
    },
    /// The backend has forgotten the write key, confirmed.
    #[error(
        "the key's latest version {latest} is below the write key's version {active}: the backend was rolled back; \
         restore a snapshot that holds version {active}"
    )]
    Rollback {
        /// `latest_version`
        latest: u64,
        /// Version of the active record.
        active: u64,
    },
    /// The same version with another creation second.
    #[error(
        "version {version} was created at {} when it was recorded and at {} now: it is another key under \
         the same number; restore the snapshot that holds the recorded one",
        utc(*recorded),
        utc(*found)
    )]
    IdentityDrift {
        /// The version.
        version: u64,
        /// The recorded creation second, Unix time.
        recorded: i64,
        /// The creation second in the metadata, Unix time.
        found: i64,
    },
    /// A retired version that was newer than the write key has gone, confirmed.
    #[error(
        "version {version} may have encrypted data and is gone (latest is {latest}): restore a snapshot that holds it"
    )]
    VersionGone {
        /// The version.
        version: u64,
        /// `latest_version`
        latest: u64,
    },
    /// No creation time for a version that should have one, confirmed.
    #[error(
        "the key's metadata has no creation time for version {version}, and without it no key_id can be derived; lower \
         the key's min_decryption_version to {version} if it is above, else restore a snapshot of OpenBao that holds \
         the version"
    )]
    CreationUnknown {
        /// The version.
        version: u64,
    },
    /// A minimum excludes a version that data may need.
    #[error(
        "{floor} {value} shuts out version {version}, which data may still need; lower it again on the key \
         (docs/recovery.md)"
    )]
    RetainedShutOut {
        /// Which minimum.
        floor: Floor,
        /// Its value.
        value: u64,
        /// The highest version that is shut out.
        version: u64,
    },
    /// The write key may not write any more.
    #[error(
        "min_encryption_version {value} is above the write key's version {active}; writes wait for the promotion of a newer version, \
         which follows by itself; lower min_encryption_version to {active} if none is pending"
    )]
    EncryptionBlocked {
        /// `min_encryption_version`
        value: u64,
        /// Version of the active record.
        active: u64,
    },
    /// A start with an old registry: the newer version is promoted before the first healthy Status.
    #[error(
        "version {to} was promoted elsewhere long ago; this node moves from version {from} before it writes, \
         which takes seconds and needs nobody"
    )]
    CatchingUp {
        /// Version of the active record.
        from: u64,
        /// The newest version.
        to: u64,
    },
    /// The deep probe was answered, and the answer was wrong.
    #[error(
        "the deep probe's answer is wrong: {0}; look for a proxy between the provider and OpenBao, and for another \
         server under openbao.address"
    )]
    RoundTrip(&'static str),
    /// The deep probe was refused, confirmed; holds the stable error class.
    #[error(
        "the deep probe is refused ({0}); see what OpenBao said in the log event status.probe, and mend the policy, \
         the key or the mount that it names"
    )]
    DeepRefused(&'static str),
}

/// A Unix second as people and logs write it: RFC 3339 in UTC.
fn utc(second: i64) -> String {
    jiff::Timestamp::from_second(second)
        .map_or_else(|_| format!("second {second}"), |time| time.to_string())
}

impl Finding {
    /// The stable word for `/ready`, logs and the reasons of a verdict.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::KeyType
            | Self::Derived
            | Self::Convergent
            | Self::Exportable
            | Self::PlaintextBackup
            | Self::DeletionAllowed
            | Self::SoftDeleted
            | Self::NoEncryption
            | Self::NoDecryption
            | Self::FloorAboveLatest { .. } => "key_profile",
            Self::UpsertAllowed => "upsert_allowed",
            Self::UpsertDenied | Self::UpsertMissing => "upsert_unreadable",
            Self::KeyDenied => "key_denied",
            Self::KeyMissing => "key_missing",
            Self::NotVirgin { .. } => "registry_missing",
            Self::Rollback { .. } => "version_rollback",
            Self::IdentityDrift { .. } => "identity_drift",
            Self::VersionGone { .. } => "version_gone",
            Self::CreationUnknown { .. } => "creation_time_unknown",
            Self::RetainedShutOut { .. } => "version_shut_out",
            Self::EncryptionBlocked { .. } => "encryption_blocked",
            Self::CatchingUp { .. } => "catching_up",
            Self::RoundTrip(_) => "deep_probe_wrong",
            Self::DeepRefused(_) => "deep_probe_refused",
        }
    }

    /// What is at stake.
    #[must_use]
    pub fn label(&self) -> Label {
        match self {
            Self::KeyType
            | Self::Derived
            | Self::Convergent
            | Self::Exportable
            | Self::PlaintextBackup
            | Self::UpsertAllowed
            | Self::Rollback { .. }
            | Self::IdentityDrift { .. }
            | Self::VersionGone { .. }
            | Self::NotVirgin { .. }
            | Self::RoundTrip(_) => Label::CryptographicSafety,
            _ => Label::ApiServerAvailability,
        }
    }

    /// Whether it contradicts what the registry remembers. A node that lags can make such a
    /// contradiction seem to vanish for one answer, so its end needs confirmation too.
    pub(crate) fn contradicts_history(&self) -> bool {
        matches!(
            self,
            Self::Rollback { .. }
                | Self::IdentityDrift { .. }
                | Self::VersionGone { .. }
                | Self::CreationUnknown { .. }
        )
    }

    /// Whether the answer that shows it is good in every other respect: a promotion ends it.
    pub(crate) fn ends_with_promotion(&self) -> bool {
        self.ends_with_promotion_to(u64::MAX)
    }

    /// Whether a promotion to version `active` ends it.
    pub(crate) fn ends_with_promotion_to(&self, active: u64) -> bool {
        match self {
            // The minimum may have been raised above that version as well.
            Self::EncryptionBlocked { value, .. } => *value <= active,
            Self::CatchingUp { .. } => true,
            _ => false,
        }
    }

    /// Whether the registry stands still while it lasts. The others are exactly those that
    /// a promotion cures, or that an old version causes.
    pub(crate) fn stops_progress(&self) -> bool {
        !matches!(
            self,
            Self::EncryptionBlocked { .. }
                | Self::RetainedShutOut { .. }
                | Self::CatchingUp { .. }
                | Self::VersionGone { .. }
                | Self::Rollback { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_and_logs_write_them() {
        let drift = |found| Finding::IdentityDrift {
            version: 2,
            recorded: 1_700_000_002,
            found,
        };
        let text = drift(1_800_000_000).to_string();
        let words = "at 2023-11-14T22:13:22Z when it was recorded and at 2027-01-15T08:00:00Z now";
        assert!(text.contains(words), "{text}");
        // What a key's metadata hold is foreign: any number must be printable.
        let text = drift(i64::MAX).to_string();
        assert!(text.contains("at second 9223372036854775807 now"), "{text}");
    }

    #[test]
    fn each_finding_says_what_to_do_or_that_nothing_is() {
        let (latest, value, version, active) = (3, 5, 2, 3);
        let all = [
            Finding::KeyType,
            Finding::Derived,
            Finding::Convergent,
            Finding::Exportable,
            Finding::PlaintextBackup,
            Finding::DeletionAllowed,
            Finding::SoftDeleted,
            Finding::NoEncryption,
            Finding::NoDecryption,
            Finding::FloorAboveLatest {
                floor: Floor::Encryption,
                value,
                latest,
            },
            Finding::UpsertAllowed,
            Finding::UpsertDenied,
            Finding::UpsertMissing,
            Finding::KeyDenied,
            Finding::KeyMissing,
            Finding::NotVirgin {
                latest,
                available: 1,
                decryption: 1,
                encryption: 0,
            },
            Finding::Rollback { latest, active },
            Finding::IdentityDrift {
                version,
                recorded: 1,
                found: 2,
            },
            Finding::VersionGone { version, latest },
            Finding::CreationUnknown { version },
            Finding::RetainedShutOut {
                floor: Floor::Decryption,
                value,
                version,
            },
            Finding::EncryptionBlocked { value, active },
            Finding::CatchingUp { from: 1, to: 2 },
            Finding::RoundTrip("other bytes"),
            Finding::DeepRefused("transit_policy_denied"),
        ];
        let deeds = [
            "point ",
            "needed",
            "use another key",
            "set ",
            "restore ",
            "lower ",
            "allow ",
            "check ",
            "copy ",
            "look ",
            "mend ",
            "needs nobody",
        ];
        for finding in all {
            let text = finding.to_string();
            let (what, deed) = text.split_once([';', ':']).unwrap_or_default();
            assert!(!what.is_empty(), "{text}");
            assert!(
                deeds.iter().any(|word| deed.contains(word)) || text.contains("needs nobody"),
                "{text}"
            );
        }
    }
}
