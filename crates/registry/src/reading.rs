//! What one metadata probe saw, as plain facts.

use std::collections::BTreeMap;

/// The one accepted `type`.
pub(crate) const KEY_TYPE: &str = "aes256-gcm96";

/// The key's metadata as Transit reports it (`GET keys/K`), not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMetadata {
    /// `type`, for example `aes256-gcm96`.
    pub key_type: String,
    /// Highest version.
    pub latest_version: u64,
    /// Versions below it are trimmed for good; 0 when never trimmed.
    pub min_available_version: u64,
    /// Versions below it are refused by decrypt and missing from `creation_times`.
    pub min_decryption_version: u64,
    /// Versions below it are refused by encrypt; 0 when unset.
    pub min_encryption_version: u64,
    /// `derived`
    pub derived: bool,
    /// `convergent_encryption`, false when absent.
    pub convergent_encryption: bool,
    /// `exportable`
    pub exportable: bool,
    /// `allow_plaintext_backup`
    pub allow_plaintext_backup: bool,
    /// `deletion_allowed`
    pub deletion_allowed: bool,
    /// `soft_deleted`, false when absent.
    pub soft_deleted: bool,
    /// `supports_encryption`
    pub supports_encryption: bool,
    /// `supports_decryption`
    pub supports_decryption: bool,
    /// `imported_key`, false when absent.
    pub imported_key: bool,
    /// Version to creation time, Unix seconds. Archived and trimmed versions are absent.
    pub creation_times: BTreeMap<u64, i64>,
}

impl KeyMetadata {
    /// What Transit reports of a key that was made with its defaults and only rotated since: of
    /// the accepted type, with no floor raised and no setting changed.
    #[must_use]
    pub fn with_defaults(latest_version: u64, creation_times: BTreeMap<u64, i64>) -> Self {
        Self {
            key_type: KEY_TYPE.to_owned(),
            latest_version,
            min_available_version: 0,
            min_decryption_version: 1,
            min_encryption_version: 0,
            derived: false,
            convergent_encryption: false,
            exportable: false,
            allow_plaintext_backup: false,
            deletion_allowed: false,
            soft_deleted: false,
            supports_encryption: true,
            supports_decryption: true,
            imported_key: false,
            creation_times,
        }
    }
}
