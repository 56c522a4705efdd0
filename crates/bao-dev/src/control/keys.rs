//! Control operations on a Transit key, without the checks a real server makes.

use serde::Deserialize;
use serde_json::Value;

use super::{Control, ControlError};
use crate::transit::{Key, Mount};

/// Which key an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) mount: String,
    pub(super) key: String,
}

impl Target {
    pub(super) fn new(mount: &str, key: &str) -> Self {
        Self {
            namespace: String::new(),
            mount: with_slash(mount),
            key: key.to_owned(),
        }
    }
}

fn with_slash(path: &str) -> String {
    match path.trim_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    }
}

/// Members of a key to set; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// Lowest version that decrypts.
    pub min_decryption_version: Option<i64>,
    /// Lowest version that encrypts; 0: unset.
    pub min_encryption_version: Option<i64>,
    /// Lowest version that is there.
    pub min_available_version: Option<i64>,
    /// Whether it may be deleted.
    pub deletion_allowed: Option<bool>,
    /// Whether it may be exported.
    pub exportable: Option<bool>,
    /// Whether a backup may hold it in clear.
    pub allow_plaintext_backup: Option<bool>,
    /// Whether it is deleted for the time being.
    pub soft_deleted: Option<bool>,
    /// Whether it is derived.
    pub derived: Option<bool>,
}

impl Control {
    /// The same server, another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        let mut other = self.clone();
        key.clone_into(&mut other.target.key);
        other
    }

    /// The same server, another mount.
    #[must_use]
    pub fn with_mount(&self, mount: &str) -> Self {
        let mut other = self.clone();
        other.target.mount = with_slash(mount);
        other
    }

    /// The same server, another namespace.
    #[must_use]
    pub fn with_namespace(&self, namespace: &str) -> Self {
        let mut other = self.clone();
        other.target.namespace = with_slash(namespace);
        other
    }

    fn no_key(&self) -> ControlError {
        let Target {
            namespace,
            mount,
            key,
        } = self.target.clone();
        ControlError::NoKey {
            namespace,
            mount,
            key,
        }
    }

    fn on_mount<T>(
        &self,
        act: impl FnOnce(&mut Mount) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let mut world = self.shared.world();
        let namespace = world.state.namespaces.get_mut(&self.target.namespace);
        let mount = namespace.and_then(|namespace| namespace.transit.get_mut(&self.target.mount));
        act(mount.ok_or_else(|| self.no_key())?)
    }

    fn on_key<T>(
        &self,
        act: impl FnOnce(&mut Key) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        self.on_mount(|mount| {
            act(mount
                .keys
                .get_mut(&self.target.key)
                .ok_or_else(|| self.no_key())?)
        })
    }

    /// Adds a version to the key; gives its number.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn rotate(&self) -> Result<i64, ControlError> {
        let now = self.unix_now();
        self.on_key(|key| {
            key.rotate(now);
            Ok(key.latest)
        })
    }

    /// Sets members of the key; gives the key as a read would.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn key_config(&self, config: &KeyConfig) -> Result<Value, ControlError> {
        self.on_key(|key| {
            key.min_decryption = config.min_decryption_version.unwrap_or(key.min_decryption);
            key.min_encryption = config.min_encryption_version.unwrap_or(key.min_encryption);
            key.min_available = config.min_available_version.unwrap_or(key.min_available);
            key.deletion_allowed = config.deletion_allowed.unwrap_or(key.deletion_allowed);
            key.exportable = config.exportable.unwrap_or(key.exportable);
            key.plaintext_backup = config
                .allow_plaintext_backup
                .unwrap_or(key.plaintext_backup);
            key.soft_deleted = config.soft_deleted.unwrap_or(key.soft_deleted);
            key.derived = config.derived.unwrap_or(key.derived);
            Ok(Value::Object(key.data()))
        })
    }

    /// Sets the creation time of a version, in Unix seconds.
    ///
    /// # Errors
    /// When there is no such key or version.
    pub fn key_created(&self, version: i64, unix: i64) -> Result<(), ControlError> {
        self.on_key(|key| {
            let name = key.name.clone();
            let found = key.versions.get_mut(&version);
            found
                .ok_or(ControlError::NoVersion { key: name, version })?
                .created = unix;
            Ok(())
        })
    }

    /// Deletes the key.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn key_delete(&self) -> Result<(), ControlError> {
        self.on_mount(|mount| {
            mount
                .keys
                .remove(&self.target.key)
                .map(|_| ())
                .ok_or_else(|| self.no_key())
        })
    }

    /// Puts other key material under the same name, version 1 again. Makes a missing key.
    ///
    /// # Errors
    /// When there is no such mount.
    pub fn key_recreate(&self) -> Result<(), ControlError> {
        let now = self.unix_now();
        self.on_mount(|mount| {
            let name = &self.target.key;
            let cipher = mount
                .keys
                .get(name)
                .map_or(crate::transit::Cipher::Aes256, |key| key.cipher);
            mount.keys.insert(name.clone(), Key::new(name, cipher, now));
            Ok(())
        })
    }

    /// Forgets all versions after `latest`.
    ///
    /// # Errors
    /// When there is no such key or version.
    pub fn key_drop_versions(&self, latest: i64) -> Result<(), ControlError> {
        self.on_key(|key| {
            if !key.versions.contains_key(&latest) {
                return Err(ControlError::NoVersion {
                    key: key.name.clone(),
                    version: latest,
                });
            }
            key.versions.retain(|version, _| *version <= latest);
            key.latest = latest;
            Ok(())
        })
    }

    /// Whether an encrypt may make its key: the opposite of the mount's `disable_upsert`.
    ///
    /// # Errors
    /// When there is no such mount.
    pub fn upsert(&self, allowed: bool) -> Result<(), ControlError> {
        self.on_mount(|mount| {
            mount.disable_upsert = !allowed;
            Ok(())
        })
    }
}
