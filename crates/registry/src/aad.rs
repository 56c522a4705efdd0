//! Associated data: binds a ciphertext to provider, cluster, key and key version.

use base64::Engine as _;

use crate::{
    annotations::{AAD_VERSION_VALUE, PROVIDER_VALUE},
    gojson::Value,
    key_id::KeyId,
    scope::{Scope, hash},
};

/// Canonical JSON for one key version. There is no form without it.
pub(crate) fn canonical(scope: &Scope, key_id: &KeyId, version: u64) -> String {
    let cluster = hash(&scope.cluster_id);
    let instance = hash(&scope.openbao_instance_id);
    let namespace = hash(&scope.openbao_namespace);
    let mount = hash(&scope.transit_mount_id);
    let lineage = hash(&scope.key_lineage_id);
    let key_id = key_id.hash();
    let version = version.to_string();
    let mut members = vec![
        ("aad_version", Value::Text(AAD_VERSION_VALUE)),
        ("purpose", Value::Text("kubernetes-etcd-kms-v2")),
        ("provider", Value::Text(PROVIDER_VALUE)),
        ("provider_name", Value::Text(&scope.provider_name)),
        ("cluster_id_hash", Value::Text(&cluster)),
        ("openbao_instance_hash", Value::Text(&instance)),
    ];
    if !scope.openbao_namespace.is_empty() {
        members.push(("openbao_namespace_hash", Value::Text(&namespace)));
    }
    members.extend([
        ("transit_mount_hash", Value::Text(&mount)),
        ("transit_key_hash", Value::Text(&lineage)),
        ("key_id_hash", Value::Text(&key_id)),
        ("key_version", Value::Text(&version)),
    ]);
    Value::Object(members).compact()
}

/// What the Transit request carries in `associated_data`: standard base64 with padding.
pub(crate) fn associated_data(canonical: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(canonical)
}
