//! Golden vectors of the bytes that end up in etcd. Frozen: a failure here means that
//! objects written before this build can no longer be read.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use registry::{document::Document, fingerprint, key_id::KeyId, scope::Scope, snapshot::Snapshot};
use serde::Deserialize;

const VECTORS: &str = include_str!("../vectors/wire.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    snapshot: Version,
    plugin_version: String,
    expected_key_id: String,
    expected_annotations: BTreeMap<String, String>,
    expected_canonical_aad: String,
    expected_associated_data: String,
    config: Option<Config>,
    expected_config_fingerprint: Option<String>,
    state: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    provider_name: String,
    cluster_id: String,
    openbao_instance_id: String,
    #[serde(default)]
    openbao_namespace: String,
    transit_mount_id: String,
    transit_key_lineage_id: String,
    transit_version: u64,
    transit_version_created_at_unix: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    mount_path: String,
    key_name: String,
}

impl Version {
    fn scope(&self) -> Scope {
        Scope {
            provider_name: self.provider_name.clone(),
            cluster_id: self.cluster_id.clone(),
            openbao_instance_id: self.openbao_instance_id.clone(),
            openbao_namespace: self.openbao_namespace.clone(),
            transit_mount_id: self.transit_mount_id.clone(),
            key_lineage_id: self.transit_key_lineage_id.clone(),
        }
    }
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 25);
    vectors
}

fn snapshot(vector: &Vector) -> Snapshot {
    Snapshot::new(
        &vector.snapshot.scope(),
        &vector.plugin_version,
        vector.snapshot.transit_version,
        vector.snapshot.transit_version_created_at_unix,
    )
}

#[test]
fn key_ids_annotations_and_aad_are_those_of_the_golden_vectors() {
    for vector in vectors() {
        let snapshot = snapshot(&vector);
        assert_eq!(snapshot.key_id.as_str(), vector.expected_key_id);
        assert_eq!(
            KeyId::parse(&vector.expected_key_id).as_ref(),
            Ok(&snapshot.key_id)
        );
        let annotations: BTreeMap<String, String> = snapshot
            .annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        assert_eq!(annotations, vector.expected_annotations);
        let canonical = base64::engine::general_purpose::STANDARD
            .decode(&snapshot.associated_data)
            .unwrap();
        assert_eq!(
            String::from_utf8(canonical).unwrap(),
            vector.expected_canonical_aad
        );
        assert_eq!(snapshot.associated_data, vector.expected_associated_data);
    }
}

#[test]
fn fingerprints_are_those_of_the_golden_vectors() {
    let mut checked = 0;
    for vector in vectors() {
        let (Some(config), Some(expected)) = (&vector.config, &vector.expected_config_fingerprint)
        else {
            continue;
        };
        let scope = vector.snapshot.scope();
        assert_eq!(
            &fingerprint::of(&scope, &config.mount_path, &config.key_name),
            expected
        );
        checked += 1;
    }
    assert_eq!(checked, 24);
}

#[test]
fn first_generations_of_the_golden_vectors_load_with_their_hashes() {
    let mut checked = 0;
    for vector in vectors() {
        let Some(state) = vector.state else { continue };
        let document =
            Document::parse(state.to_string().as_bytes(), &vector.snapshot.scope()).unwrap();
        assert_eq!(document.active().key_id.as_str(), vector.expected_key_id);
        assert_eq!(
            Some(document.current_hash().as_str()),
            state["currentHash"].as_str()
        );
        checked += 1;
    }
    assert_eq!(checked, 24);
}

#[test]
fn a_stored_object_is_accepted_by_its_own_version_and_by_no_other() {
    let vectors = vectors();
    for (index, vector) in vectors.iter().enumerate() {
        let given: HashMap<String, Vec<u8>> = vector
            .expected_annotations
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into_bytes()))
            .collect();
        for (other, vector) in vectors.iter().enumerate() {
            let accepted = snapshot(vector).check_annotations(&given).is_ok();
            assert_eq!(accepted, index == other, "{index} against {other}");
        }
    }
}
