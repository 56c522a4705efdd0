//! Key versions by their public names, derived from what the backend holds.

use std::{collections::BTreeMap, sync::Mutex, sync::PoisonError};

use bao_dev::testing::{Control, KeyConfig};
use registry::{key_id::KeyId, scope::Scope};

/// All names that were ever derived; a version that the backend hides keeps its name.
pub(crate) struct Keys {
    control: Control,
    scope: Scope,
    versions: Mutex<BTreeMap<String, u64>>,
}

impl Keys {
    pub(crate) fn new(control: Control, scope: Scope) -> Self {
        Self {
            control,
            scope,
            versions: Mutex::default(),
        }
    }

    /// The version that `key_id` names; `None` for a name that nothing derives.
    pub(crate) fn version(&self, key_id: &str) -> Option<u64> {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if !versions.contains_key(key_id) {
            for (version, created) in self.listed() {
                let name = KeyId::derive(&self.scope, version, created);
                versions.insert(name.as_str().to_owned(), version);
            }
        }
        versions.get(key_id).copied()
    }

    /// The newest version the backend has now.
    pub(crate) fn latest(&self) -> u64 {
        let versions = self.listed().into_iter().map(|(version, _)| version);
        versions.max().unwrap_or_default()
    }

    fn listed(&self) -> Vec<(u64, i64)> {
        let Ok(data) = self.control.key_config(&KeyConfig::default()) else {
            return Vec::new();
        };
        let keys = data.get("keys").and_then(|keys| keys.as_object());
        let of = |(version, created): (&String, &serde_json::Value)| {
            Some((version.parse().ok()?, created.as_i64()?))
        };
        keys.map(|keys| keys.iter().filter_map(of).collect())
            .unwrap_or_default()
    }
}
