//! The key profile that is accepted: a pure judgement of one metadata answer.

use crate::{
    finding::{Finding, Floor},
    reading::{KEY_TYPE, KeyMetadata},
};

/// Everything that makes the key unfit, in a fixed order; empty when it is fit.
///
/// Each finding is definite: no node that merely lags can invent it.
#[must_use]
pub fn judge(key: &KeyMetadata) -> Vec<Finding> {
    let latest = key.latest_version;
    let flags = [
        (key.key_type != KEY_TYPE, Finding::KeyType),
        (key.derived, Finding::Derived),
        (key.convergent_encryption, Finding::Convergent),
        (key.exportable, Finding::Exportable),
        (key.allow_plaintext_backup, Finding::PlaintextBackup),
        (key.deletion_allowed, Finding::DeletionAllowed),
        (key.soft_deleted, Finding::SoftDeleted),
        (!key.supports_encryption, Finding::NoEncryption),
        (!key.supports_decryption, Finding::NoDecryption),
    ];
    let floors = [
        (Floor::Available, key.min_available_version),
        (Floor::Decryption, key.min_decryption_version),
        (Floor::Encryption, key.min_encryption_version),
    ];
    let too_high = floors
        .into_iter()
        .filter(|(_, value)| *value > latest)
        .map(|(floor, value)| Finding::FloorAboveLatest {
            floor,
            value,
            latest,
        });
    flags
        .into_iter()
        .filter_map(|(found, finding)| found.then_some(finding))
        .chain(too_high)
        .collect()
}

/// Whether nobody can have used, trimmed or restricted the key yet.
pub(crate) fn is_virgin(key: &KeyMetadata) -> bool {
    key.latest_version == 1
        && key.min_available_version == 0
        && key.min_decryption_version <= 1
        && key.min_encryption_version <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Label;

    fn fit() -> KeyMetadata {
        KeyMetadata {
            min_available_version: 1,
            min_decryption_version: 2,
            min_encryption_version: 3,
            ..KeyMetadata::with_defaults(3, [(2, 20), (3, 30)].into())
        }
    }

    #[test]
    fn a_fit_key_has_no_findings() {
        assert_eq!(judge(&fit()), []);
        let unset = KeyMetadata {
            min_encryption_version: 0,
            ..fit()
        };
        assert_eq!(judge(&unset), []);
    }

    #[test]
    fn each_fault_is_found_alone_and_labelled() {
        use Label::{ApiServerAvailability as Availability, CryptographicSafety as Safety};
        type Spoil = fn(&mut KeyMetadata);
        let above = |floor| Finding::FloorAboveLatest {
            floor,
            value: 4,
            latest: 3,
        };
        let rows: [(Spoil, Finding, Label); 12] = [
            (
                |k| k.key_type = "aes128-gcm96".into(),
                Finding::KeyType,
                Safety,
            ),
            (|k| k.derived = true, Finding::Derived, Safety),
            (
                |k| k.convergent_encryption = true,
                Finding::Convergent,
                Safety,
            ),
            (|k| k.exportable = true, Finding::Exportable, Safety),
            (
                |k| k.allow_plaintext_backup = true,
                Finding::PlaintextBackup,
                Safety,
            ),
            (
                |k| k.deletion_allowed = true,
                Finding::DeletionAllowed,
                Availability,
            ),
            (
                |k| k.soft_deleted = true,
                Finding::SoftDeleted,
                Availability,
            ),
            (
                |k| k.supports_encryption = false,
                Finding::NoEncryption,
                Availability,
            ),
            (
                |k| k.supports_decryption = false,
                Finding::NoDecryption,
                Availability,
            ),
            (
                |k| k.min_available_version = 4,
                above(Floor::Available),
                Availability,
            ),
            (
                |k| k.min_decryption_version = 4,
                above(Floor::Decryption),
                Availability,
            ),
            (
                |k| k.min_encryption_version = 4,
                above(Floor::Encryption),
                Availability,
            ),
        ];
        for (spoil, finding, label) in rows {
            let mut key = fit();
            spoil(&mut key);
            assert_eq!(judge(&key), std::slice::from_ref(&finding));
            assert_eq!(finding.label(), label, "{finding}");
        }
    }

    #[test]
    fn all_faults_are_found_at_once() {
        let key = KeyMetadata {
            exportable: true,
            deletion_allowed: true,
            min_decryption_version: 9,
            ..fit()
        };
        assert_eq!(judge(&key).len(), 3);
    }

    #[test]
    fn only_a_first_version_without_restrictions_is_virgin() {
        let virgin = KeyMetadata::with_defaults(1, [(1, 10)].into());
        assert!(is_virgin(&virgin));
        type Spoil = fn(&mut KeyMetadata);
        let rows: [Spoil; 4] = [
            |k| k.latest_version = 2,
            |k| k.min_available_version = 1,
            |k| k.min_decryption_version = 2,
            |k| k.min_encryption_version = 2,
        ];
        for spoil in rows {
            let mut key = virgin.clone();
            spoil(&mut key);
            assert!(!is_virgin(&key), "{key:?}");
        }
    }
}
