//! One key version with everything derived from it once: key_id, annotations, AAD.

use std::collections::HashMap;

use crate::{
    aad,
    annotations::{self, AnnotationFault},
    key_id::KeyId,
    scope::Scope,
};

/// What a call under one key version needs. Immutable; shared by all calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The id of the version.
    pub key_id: KeyId,
    /// Transit key version.
    pub version: u64,
    /// Creation time of the version, Unix seconds.
    pub created_unix: i64,
    /// Annotations that Encrypt returns, in their documented order.
    pub annotations: Vec<(&'static str, String)>,
    /// Canonical AAD, standard base64 with padding.
    pub associated_data: String,
}

impl Snapshot {
    /// Derives everything; `plugin_version` is the version of this build.
    ///
    /// `version` and `created_unix` (whole seconds) must be at least 1.
    #[must_use]
    pub fn new(scope: &Scope, plugin_version: &str, version: u64, created_unix: i64) -> Self {
        let key_id = KeyId::derive(scope, version, created_unix);
        Self {
            annotations: annotations::build(scope, &key_id, version, plugin_version),
            associated_data: aad::associated_data(&aad::canonical(scope, &key_id, version)),
            key_id,
            version,
            created_unix,
        }
    }

    /// Checks what Decrypt got: first keys and values for themselves, then against this
    /// key version. Unknown annotations under valid names are ignored.
    ///
    /// # Errors
    /// The first fault; [`AnnotationFault::Mismatch`] only when all are well-formed.
    pub fn check_annotations(
        &self,
        given: &HashMap<String, Vec<u8>>,
    ) -> Result<(), AnnotationFault> {
        annotations::check_shape(given)?;
        annotations::check_match(given, &self.annotations)
    }
}
