//! The fingerprint of an identity: two nodes compare it instead of the values.

use sha2::{Digest, Sha256};

use crate::{
    gojson::Value,
    scope::{Scope, b64u},
};

const DOMAIN: &str = "openbao-kubernetes-kms/config-identity/v1";

/// `cfg1.` and the hash over `scope`, the mount's path and the key's name as configured.
#[must_use]
pub fn of(scope: &Scope, transit_mount_path: &str, transit_key_name: &str) -> String {
    let mut members = vec![
        ("domain", Value::Text(DOMAIN)),
        ("provider_name", Value::Text(&scope.provider_name)),
        ("cluster_id", Value::Text(&scope.cluster_id)),
        (
            "openbao_instance_id",
            Value::Text(&scope.openbao_instance_id),
        ),
    ];
    if !scope.openbao_namespace.is_empty() {
        members.push(("openbao_namespace", Value::Text(&scope.openbao_namespace)));
    }
    members.extend([
        ("transit_mount_id", Value::Text(&scope.transit_mount_id)),
        ("key_lineage_id", Value::Text(&scope.key_lineage_id)),
        ("transit_mount_path", Value::Text(transit_mount_path)),
        ("transit_key_name", Value::Text(transit_key_name)),
    ]);
    let json = Value::Object(members).compact();
    format!("cfg1.{}", b64u(&Sha256::digest(json.as_bytes())))
}
