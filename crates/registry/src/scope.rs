//! The identity of a key: what must be equal on all nodes and never change once data exists.

use sha2::{Digest, Sha256};

/// Identity-bearing names and ids, as configured. Inputs of every derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `transit.keyIdScope.providerName`
    pub provider_name: String,
    /// `transit.keyIdScope.clusterId`
    pub cluster_id: String,
    /// `openbao.instanceId`
    pub openbao_instance_id: String,
    /// `openbao.namespace`; empty means the root namespace.
    pub openbao_namespace: String,
    /// `transit.keyIdScope.transitMountId`
    pub transit_mount_id: String,
    /// `transit.keyIdScope.keyLineageId`
    pub key_lineage_id: String,
}

#[cfg(test)]
impl Scope {
    /// A short one, for tests to which the names mean nothing.
    pub(crate) fn sample() -> Self {
        Self {
            provider_name: "p".into(),
            cluster_id: "c".into(),
            openbao_instance_id: "o".into(),
            openbao_namespace: String::new(),
            transit_mount_id: "m".into(),
            key_lineage_id: "l".into(),
        }
    }
}

/// `b64u(sha256(text))`: 43 characters, the only form in which identity values
/// appear in annotations, AAD, logs and metrics.
#[must_use]
pub fn hash(text: &str) -> String {
    b64u(&Sha256::digest(text.as_bytes()))
}

/// base64url without padding.
#[must_use]
pub(crate) fn b64u(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
