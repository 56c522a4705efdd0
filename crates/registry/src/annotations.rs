//! KMS annotations: built by Encrypt, kept in clear beside the ciphertext, checked on Decrypt.
//!
//! They come back from etcd, so anybody who can write there can change them. None of them
//! chooses an algorithm or a key; all they can do is agree with the record or not.

use std::collections::HashMap;

use base64::Engine as _;

use crate::{
    ciphertext::canonical_version,
    key_id::KeyId,
    scope::{Scope, hash},
};

/// Marks our ciphertexts.
pub const PROVIDER: &str = "provider.kms.openbao.org";
/// Hash of the key_id.
pub const KEY_ID_HASH: &str = "key-id-hash.kms.openbao.org";
/// Transit key version, decimal.
pub const KEY_VERSION: &str = "transit-key-version.kms.openbao.org";
/// Hash of the Transit mount id.
pub const MOUNT_HASH: &str = "transit-mount-hash.kms.openbao.org";
/// Hash of the key lineage id.
pub const KEY_HASH: &str = "transit-key-hash.kms.openbao.org";
/// Hash of the namespace; present only with a namespace.
pub const NAMESPACE_HASH: &str = "openbao-namespace-hash.kms.openbao.org";
/// The build that encrypted. Informative: a newer build reads what an older one wrote.
pub const PLUGIN_VERSION: &str = "plugin-version.kms.openbao.org";
/// Version of the AAD format.
pub const AAD_VERSION: &str = "aad-version.kms.openbao.org";

pub(crate) const PROVIDER_VALUE: &str = "openbao-transit";
pub(crate) const AAD_VERSION_VALUE: &str = "v1";

/// The annotations that every ciphertext of ours has.
const REQUIRED: [&str; 7] = [
    PROVIDER,
    KEY_ID_HASH,
    KEY_VERSION,
    MOUNT_HASH,
    KEY_HASH,
    PLUGIN_VERSION,
    AAD_VERSION,
];

/// How annotations are refused. Each kind has its own public error class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationFault {
    /// There are none at all.
    #[error("annotations are missing")]
    Absent,
    /// One is missing or has a value (or a foreign one a name) that no build ever wrote.
    #[error("annotation {key}: {fault}")]
    Invalid {
        /// One of our names, or `annotation key` for a foreign one.
        key: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// One is well-formed and belongs to another key version, or the namespace hash is
    /// there without a namespace or the other way round.
    #[error("annotation {key} does not match the key version")]
    Mismatch {
        /// One of our names.
        key: &'static str,
    },
}

/// What Encrypt returns, in the documented order.
pub(crate) fn build(
    scope: &Scope,
    key_id: &KeyId,
    version: u64,
    plugin_version: &str,
) -> Vec<(&'static str, String)> {
    let mut all = vec![
        (PROVIDER, PROVIDER_VALUE.to_owned()),
        (KEY_ID_HASH, key_id.hash()),
        (KEY_VERSION, version.to_string()),
        (MOUNT_HASH, hash(&scope.transit_mount_id)),
        (KEY_HASH, hash(&scope.key_lineage_id)),
    ];
    if !scope.openbao_namespace.is_empty() {
        all.push((NAMESPACE_HASH, hash(&scope.openbao_namespace)));
    }
    all.extend([
        (PLUGIN_VERSION, plugin_version.to_owned()),
        (AAD_VERSION, AAD_VERSION_VALUE.to_owned()),
    ]);
    all
}

/// Whether the key-id-hash annotation is the hash of `key_id` itself.
///
/// The one thing that can be asked about a key_id that no record holds, and what entitles
/// it to a metadata refresh: a made-up id costs its sender at least a matching hash.
#[must_use]
pub fn names_key_id(given: &HashMap<String, Vec<u8>>, key_id: &KeyId) -> bool {
    given
        .get(KEY_ID_HASH)
        .is_some_and(|value| value.as_slice() == key_id.hash().as_bytes())
}

/// Checks keys and values without reference to any key version.
///
/// # Errors
/// [`AnnotationFault::Absent`] or [`AnnotationFault::Invalid`].
pub fn check_shape(given: &HashMap<String, Vec<u8>>) -> Result<(), AnnotationFault> {
    if given.is_empty() {
        return Err(AnnotationFault::Absent);
    }
    let foreign = |fault| AnnotationFault::Invalid {
        key: "annotation key",
        fault,
    };
    for (key, value) in given {
        if !is_fqdn(key) {
            return Err(foreign("is not a fully qualified domain name"));
        }
        if std::str::from_utf8(value).is_err() {
            return Err(foreign("has a value that is not UTF-8"));
        }
    }
    for key in REQUIRED {
        if !given.contains_key(key) {
            return Err(AnnotationFault::Invalid {
                key,
                fault: "is missing",
            });
        }
    }
    for key in REQUIRED.into_iter().chain([NAMESPACE_HASH]) {
        let Some(value) = given
            .get(key)
            .and_then(|value| std::str::from_utf8(value).ok())
        else {
            continue;
        };
        check_value(key, value).map_err(|fault| AnnotationFault::Invalid { key, fault })?;
    }
    Ok(())
}

fn check_value(key: &'static str, value: &str) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("is empty");
    }
    match key {
        PROVIDER if value != PROVIDER_VALUE => Err("is not the marker of this provider"),
        AAD_VERSION if value != AAD_VERSION_VALUE => Err("is no AAD version known here"),
        KEY_VERSION if canonical_version(value).is_none() => {
            Err("is not the canonical decimal of a positive integer")
        }
        KEY_ID_HASH | MOUNT_HASH | KEY_HASH | NAMESPACE_HASH if !is_hash(value) => {
            Err("is not 43 characters of base64url that decode to 32 bytes")
        }
        _ => Ok(()),
    }
}

/// Compares well-formed annotations with those that `expected` has for its key version.
pub(crate) fn check_match(
    given: &HashMap<String, Vec<u8>>,
    expected: &[(&'static str, String)],
) -> Result<(), AnnotationFault> {
    for (key, value) in expected {
        let informative = *key == PLUGIN_VERSION;
        if !informative && given.get(*key).map(Vec::as_slice) != Some(value.as_bytes()) {
            return Err(AnnotationFault::Mismatch { key });
        }
    }
    let has_namespace = expected.iter().any(|(key, _)| *key == NAMESPACE_HASH);
    if !has_namespace && given.contains_key(NAMESPACE_HASH) {
        return Err(AnnotationFault::Mismatch {
            key: NAMESPACE_HASH,
        });
    }
    Ok(())
}

/// 43 characters of base64url that decode to 32 bytes.
pub(crate) fn is_hash(text: &str) -> bool {
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| text.len() == 43 && bytes.len() == 32)
}

/// The API server's own rule: one trailing dot is allowed, then a lower-case RFC 1123
/// subdomain of at most 253 characters and at least two labels of at most 63.
fn is_fqdn(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = label.as_bytes();
    label.len() <= 63
        && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
        && bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
}

#[cfg(test)]
mod tests;
