//! A Transit key: its versions, its restrictions, and its description on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use secret::SecretBytes;
use serde_json::{Map, Value, json};

use crate::envelope::sorted;
use crate::random;

/// Which cipher a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// `aes128-gcm96`.
    Aes128,
    /// `aes256-gcm96`, the default.
    Aes256,
    /// `chacha20-poly1305`.
    ChaCha,
}

/// Types that the real server knows and this one does not make.
const OTHER_TYPES: [&str; 9] = [
    "xchacha20-poly1305",
    "ecdsa-p256",
    "ecdsa-p384",
    "ecdsa-p521",
    "ed25519",
    "rsa-2048",
    "rsa-3072",
    "rsa-4096",
    "hmac",
];

impl Cipher {
    /// From the wire name; `""` is the default. The error is the refusal's text.
    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "aes128-gcm96" => Ok(Self::Aes128),
            "" | "aes256-gcm96" => Ok(Self::Aes256),
            "chacha20-poly1305" => Ok(Self::ChaCha),
            other if OTHER_TYPES.contains(&other) => {
                Err(format!("bao-dev makes no keys of type {other}"))
            }
            other => Err(format!("unknown key type {other}")),
        }
    }

    /// The wire name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aes128 => "aes128-gcm96",
            Self::Aes256 => "aes256-gcm96",
            Self::ChaCha => "chacha20-poly1305",
        }
    }

    /// Bytes of key material.
    pub(super) fn key_len(self) -> usize {
        if self == Self::Aes128 { 16 } else { 32 }
    }
}

/// One version: shared between snapshots, never copied.
#[derive(Clone)]
pub(crate) struct Version {
    /// Unix seconds.
    pub(crate) created: i64,
    pub(super) material: Arc<SecretBytes>,
}

/// A named key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) cipher: Cipher,
    /// From 1 on; trimmed ones are gone, archived ones are still here.
    pub(crate) versions: BTreeMap<i64, Version>,
    pub(crate) latest: i64,
    pub(crate) min_available: i64,
    pub(crate) min_decryption: i64,
    /// 0: unset.
    pub(crate) min_encryption: i64,
    pub(crate) derived: bool,
    pub(crate) convergent: bool,
    pub(crate) exportable: bool,
    pub(crate) plaintext_backup: bool,
    pub(crate) deletion_allowed: bool,
    pub(crate) soft_deleted: bool,
    /// Seconds.
    pub(crate) auto_rotate_period: i64,
}

impl Key {
    /// A key with one version, made at `now` (Unix seconds).
    pub(crate) fn new(name: &str, cipher: Cipher, now: i64) -> Self {
        let mut key = Self {
            name: name.to_owned(),
            cipher,
            versions: BTreeMap::new(),
            latest: 0,
            min_available: 0,
            min_decryption: 1,
            min_encryption: 0,
            derived: false,
            convergent: false,
            exportable: false,
            plaintext_backup: false,
            deletion_allowed: false,
            soft_deleted: false,
            auto_rotate_period: 0,
        };
        key.rotate(now);
        key
    }

    /// Adds a version.
    pub(crate) fn rotate(&mut self, now: i64) {
        self.latest += 1;
        let bytes = random::bytes::<32>()
            .into_iter()
            .take(self.cipher.key_len())
            .collect();
        let material = Arc::new(SecretBytes::new(bytes));
        self.versions.insert(
            self.latest,
            Version {
                created: now,
                material,
            },
        );
    }

    /// A version that is neither archived nor trimmed.
    pub(super) fn usable(&self, version: i64) -> Option<&Version> {
        self.versions
            .get(&version)
            .filter(|_| version >= self.min_decryption)
    }

    /// `data` of a read. Versions below the minimum for decryption are not listed.
    pub(crate) fn data(&self) -> Map<String, Value> {
        let listed = self.versions.range(self.min_decryption..);
        // Sorted as texts: 1, 10, 11, 2.
        let listed: BTreeMap<String, i64> = listed
            .map(|(version, one)| (version.to_string(), one.created))
            .collect();
        let mut data = sorted([
            ("allow_plaintext_backup", json!(self.plaintext_backup)),
            ("auto_rotate_period", json!(self.auto_rotate_period)),
            ("deletion_allowed", json!(self.deletion_allowed)),
            ("derived", json!(self.derived)),
            ("exportable", json!(self.exportable)),
            ("imported_key", json!(false)),
            ("keys", json!(listed)),
            ("latest_version", json!(self.latest)),
            ("min_available_version", json!(self.min_available)),
            ("min_decryption_version", json!(self.min_decryption)),
            ("min_encryption_version", json!(self.min_encryption)),
            ("name", json!(self.name)),
            ("soft_deleted", json!(self.soft_deleted)),
            ("supports_decryption", json!(true)),
            ("supports_derivation", json!(true)),
            ("supports_encryption", json!(true)),
            ("supports_signing", json!(false)),
            ("type", json!(self.cipher.name())),
        ]);
        if self.derived {
            data.insert(String::from("kdf"), json!("hkdf_sha256"));
            data.insert(
                String::from("convergent_encryption"),
                json!(self.convergent),
            );
            if self.convergent {
                data.insert(String::from("convergent_encryption_version"), json!(-1));
            }
            data.sort_keys();
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_versions_are_not_listed_and_come_back() {
        let mut key = Key::new("k", Cipher::Aes256, 7);
        key.rotate(8);
        key.min_decryption = 2;
        assert_eq!(key.data().get("keys"), Some(&json!({"2": 8})));
        assert!(key.usable(1).is_none());
        key.min_decryption = 1;
        assert_eq!(key.data().get("keys"), Some(&json!({"1": 7, "2": 8})));
    }

    #[test]
    fn versions_are_sorted_as_texts() {
        let mut key = Key::new("k", Cipher::Aes256, 7);
        (0..10).for_each(|_| key.rotate(8));
        let data = key.data();
        let names: Vec<_> = data
            .get("keys")
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .take(3)
            .cloned()
            .collect();
        assert_eq!(names, ["1", "10", "11"]);
    }
}
