//! `key_id`: the public name of one key version, equal on every node.

use std::fmt;

use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::scope::{Scope, b64u, hash};

const DOMAIN: &str = "openbao-kubernetes-kms/key-id/v1";
const PREFIX: &str = "obk2.";
const LENGTH: usize = 48;

/// A well-formed key_id. Public by design; logs and metrics show [`KeyId::hash`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

/// The text is no key_id at all, as opposed to one that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key_id is malformed")]
pub struct MalformedKeyId;

impl KeyId {
    /// Derives the id of `version`, created at `created_unix` (whole seconds).
    ///
    /// Both must be at least 1; callers get them from checked metadata.
    #[must_use]
    pub fn derive(scope: &Scope, version: u64, created_unix: i64) -> Self {
        debug_assert!(version >= 1 && created_unix > 0);
        let version = version.to_string();
        let created = created_unix.to_string();
        let mut material = Sha256::new();
        let namespace = (!scope.openbao_namespace.is_empty()).then_some(&*scope.openbao_namespace);
        let parts = [
            Some(DOMAIN),
            Some(&*scope.provider_name),
            Some(&*scope.cluster_id),
            Some(&*scope.openbao_instance_id),
            namespace,
            Some(&*scope.transit_mount_id),
            Some(&*scope.key_lineage_id),
            Some(&*version),
            Some(&*created),
        ];
        for part in parts.into_iter().flatten() {
            material.update(part.as_bytes());
            material.update([0]);
        }
        Self(format!("{PREFIX}{}", b64u(&material.finalize())))
    }

    /// Accepts exactly 48 ASCII characters: the prefix and 43 that decode to 32 bytes.
    ///
    /// # Errors
    /// [`MalformedKeyId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, MalformedKeyId> {
        let tail = text.strip_prefix(PREFIX).ok_or(MalformedKeyId)?;
        if text.len() != LENGTH {
            return Err(MalformedKeyId);
        }
        match base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(tail) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(MalformedKeyId),
        }
    }

    /// The 48 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `hash(key_id)`, the form for logs, metrics and the annotation.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "obk2.ig7zS9_yvQrdlcvWgJUhA5q_fQYupc5jRX5MzhAMQSk";

    fn scope(parts: &[String; 6]) -> Scope {
        let [provider, cluster, instance, namespace, mount, lineage] = parts.clone();
        Scope {
            provider_name: provider,
            cluster_id: cluster,
            openbao_instance_id: instance,
            openbao_namespace: namespace,
            transit_mount_id: mount,
            key_lineage_id: lineage,
        }
    }

    #[test]
    fn only_48_characters_that_decode_to_32_bytes_are_well_formed() {
        assert_eq!(KeyId::parse(GOOD).unwrap().as_str(), GOOD);
        let longer = format!("{GOOD}A");
        let other_prefix = GOOD.replace("obk2", "obk1");
        let upper_prefix = GOOD.replace("obk2", "OBK2");
        let standard_alphabet = GOOD.replace('_', "/");
        let padded = format!("{}=", &GOOD[..47]);
        let spaced = format!(" {}", &GOOD[..47]);
        let new_line = format!("{}\n", &GOOD[..47]);
        let not_ascii = format!("{}\u{e9}", &GOOD[..46]);
        let table = [
            "",
            "obk2.",
            &GOOD[..47],
            &*longer,
            &*other_prefix,
            &*upper_prefix,
            &*standard_alphabet,
            &*padded,
            &*spaced,
            &*new_line,
            &*not_ascii,
        ];
        for text in table {
            assert_eq!(KeyId::parse(text), Err(MalformedKeyId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn different_scopes_versions_and_creation_times_have_different_ids(
            a in prop::array::uniform6("[a-c]{0,2}"),
            b in prop::array::uniform6("[a-c]{0,2}"),
            (version_a, version_b) in (1_u64..3, 1_u64..3),
            (created_a, created_b) in (1_i64..3, 1_i64..3),
        ) {
            let first = KeyId::derive(&scope(&a), version_a, created_a);
            let second = KeyId::derive(&scope(&b), version_b, created_b);
            let same = a == b && version_a == version_b && created_a == created_b;
            prop_assert_eq!(first == second, same);
            prop_assert_eq!(KeyId::parse(first.as_str()), Ok(first));
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = KeyId::parse(&text);
        }
    }
}
