//! Golden vectors of state pairs: which load, and why the others do not.

use registry::{
    document::Document,
    pair::{self, CheckpointStatus},
    scope::Scope,
    verdict::{Corruption, LoadError},
};
use serde::Deserialize;

pub(crate) const VECTORS: &str = include_str!("../vectors/state.json");

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) scope: VectorScope,
    pub(crate) state: Option<String>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) expect: Expectation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Expectation {
    pub(crate) loads: bool,
    pub(crate) reason: Option<String>,
    pub(crate) active_key_id: Option<String>,
    pub(crate) generation: Option<u64>,
    pub(crate) current_hash: Option<String>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) written_back_identically: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VectorScope {
    provider_name: String,
    pub(crate) cluster_id: String,
    openbao_instance_id: String,
    #[serde(default)]
    openbao_namespace: String,
    transit_mount_id: String,
    transit_key_lineage_id: String,
}

impl VectorScope {
    pub(crate) fn scope(&self) -> Scope {
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

pub(crate) fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 43);
    vectors
}

fn judge(vector: &Vector) -> Result<pair::Pair, LoadError> {
    let state = vector.state.as_deref().map(str::as_bytes);
    let checkpoint = vector.checkpoint.as_deref().map(str::as_bytes);
    pair::judge(state, checkpoint, &vector.scope.scope())
}

pub(crate) fn named(name: &str) -> Vector {
    vectors()
        .into_iter()
        .find(|vector| vector.name == name)
        .unwrap()
}

#[test]
fn every_golden_pair_gets_its_verdict() {
    for vector in vectors() {
        let verdict = judge(&vector);
        let name = &vector.name;
        if !vector.expect.loads {
            let word = verdict.unwrap_err().word();
            assert_eq!(Some(word), vector.expect.reason.as_deref(), "{name}");
            continue;
        }
        let pair = verdict.unwrap();
        let document = pair.document.unwrap();
        let expect = &vector.expect;
        assert_eq!(Some(document.generation()), expect.generation, "{name}");
        assert_eq!(
            Some(document.active().key_id.as_str()),
            expect.active_key_id.as_deref()
        );
        assert_eq!(
            Some(document.current_hash().as_str()),
            expect.current_hash.as_deref()
        );
        assert_eq!(
            Some(pair.checkpoint.as_str()),
            expect.checkpoint.as_deref(),
            "{name}"
        );
        let identical = document.render() == vector.state.unwrap().into_bytes();
        assert_eq!(Some(identical), expect.written_back_identically, "{name}");
        if pair.checkpoint == CheckpointStatus::Current {
            let checkpoint = vector.checkpoint.unwrap().into_bytes();
            assert_eq!(document.checkpoint().render(), checkpoint, "{name}");
        }
    }
}

#[test]
fn each_corruption_names_the_rule_that_is_broken() {
    let table = [
        (
            "hash does not match",
            "its content does not match its currentHash",
        ),
        ("no active record", "no record is active"),
        ("two active records", "more than one record is active"),
        ("activeKeyId names another record", "its activeKeyId is not"),
        (
            "stored key_id is not the derived one",
            "is not the one that its own fields derive",
        ),
        ("duplicate record", "two records have the key_id"),
        ("unknown record state", "unknown record state"),
        ("generation zero", "its generation is 0"),
        (
            "negative time",
            "observedAtUnix of version 1 is out of range",
        ),
        ("stable before observed", "stable before it was observed"),
        (
            "stable without a count",
            "a stable time and no stable count",
        ),
        (
            "count without observed",
            "a stable count and no observed time",
        ),
        (
            "promoted before observed",
            "promoted before it was observed",
        ),
        ("malformed previousHash", "its previousHash is malformed"),
        ("another schemaVersion", "its schemaVersion is not"),
        ("unknown field at the top", "unknown field `note`"),
        ("unknown field in a record", "unknown field `note`"),
        ("duplicate member", "duplicate field `generation`"),
        ("trailing content", "trailing characters"),
        ("cut in half", "it ends too early"),
        ("empty file", "it is empty"),
        ("float generation", "expected u64"),
        ("checkpoint is not JSON", "the checkpoint is corrupt"),
        ("checkpoint with an unknown field", "unknown field `x`"),
        ("another AAD mode", "aadMode of version 1"),
        ("another cluster in one record", "clusterId of version 1"),
        ("checkpoint ahead", "an older state file was put back"),
        (
            "same generation, other hash",
            "different hashes for generation 4",
        ),
        ("no state, checkpoint there", "the state file is gone"),
    ];
    for (name, words) in table {
        let text = judge(&named(name)).unwrap_err().to_string();
        assert!(text.contains(words), "{name}: {text}");
    }
}

/// A pair that loads, after `old` was replaced by `new` in its state file.
fn edited(old: &str, new: &str) -> Vector {
    let mut vector = named("pending, stable (namespace)");
    let state = vector.state.take().unwrap();
    assert!(state.contains(old), "{old}");
    vector.state = Some(state.replacen(old, new, 1));
    vector
}

#[track_caller]
fn assert_json_fault(vector: &Vector, words: &str) {
    match judge(vector) {
        Err(LoadError::Corrupt {
            fault: Corruption::Json(text),
            ..
        }) => {
            assert!(text.contains(words), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_spellings_of_the_same_content_load() {
    let table = [
        ("\\u003c", "<"),
        ("\\u003c", "\\u003C"),
        ("&", "&"),
        ("\"generation\": 7", "\"generation\"\t:\r\n7"),
        ("\"state\"", "\"st\\u0061te\""),
        (
            "\"promotedAtUnix\": 1700000005",
            "\"promotedAtUnix\": 1700000005, \"stableAtUnix\": 0",
        ),
    ];
    for (old, new) in table {
        let vector = if old == "&" {
            edited("\\u0026", new)
        } else {
            edited(old, new)
        };
        judge(&vector).unwrap();
    }
}

#[test]
fn one_reading_only_is_accepted() {
    let table = [
        (
            "\"generation\": 7",
            "\"generation\": 7, \"generation\": 7",
            "duplicate field",
        ),
        (
            "\"state\": \"active\"",
            "\"state\": \"active\", \"state\": \"active\"",
            "duplicate field",
        ),
        (
            "\"state\": \"active\"",
            "\"state\": \"active\", \"st\\u0061te\": \"a\"",
            "duplicate field",
        ),
        (
            "\"state\": \"active\"",
            "\"State\": \"active\"",
            "unknown field",
        ),
        ("\"generation\": 7", "\"generation\": 7.0", "invalid type"),
        ("\"generation\": 7", "\"generation\": 7e0", "invalid type"),
        ("\"generation\": 7", "\"generation\": \"7\"", "invalid type"),
        ("\"generation\": 7", "\"generation\": -7", "invalid value"),
        ("\"generation\": 7", "\"generation\": 07", "invalid number"),
        (
            "\"generation\": 7",
            "\"generation\": 18446744073709551616",
            "invalid type",
        ),
        ("\"generation\": 7", "\"generation\": null", "invalid type"),
        (
            "\"transitVersion\": 1",
            "\"transitVersion\": 1.0",
            "invalid type",
        ),
        (
            "\"observedAtUnix\": 1700000005",
            "\"observedAtUnix\": null",
            "invalid type",
        ),
        ("\"state\": \"active\",", "", "missing field `state`"),
        ("\\u003c", "\\ud800", "hex escape"),
        ("{", "[{", "expected an object"),
        ("{", "\u{feff}{", "expected value"),
    ];
    for (old, new, words) in table {
        assert_json_fault(&edited(old, new), words);
    }
}

#[test]
fn a_list_in_the_place_of_an_object_is_refused() {
    let mut vector = named("first generation");
    vector.checkpoint = Some(
        "[\"keyregistry.openbao-kms/checkpoint/v1alpha1\", 1, \
         \"krs1.FBtsakkr3J-lLZxvJFpxXg6p1ymusr4hkrwQjULl2LM\"]"
            .to_owned(),
    );
    assert_json_fault(&vector, "expected an object");
}

#[test]
fn checkpoints_are_read_as_strictly_as_state_files() {
    let table = [
        (
            "\"generation\": 1",
            "\"generation\": 0",
            "its generation is 0",
        ),
        (
            "\"generation\": 1",
            "\"generation\": 1, \"generation\": 1",
            "duplicate field",
        ),
        ("\"generation\": 1", "\"generation\": 1.0", "invalid type"),
        (
            "checkpoint/v1alpha1",
            "checkpoint/v1",
            "its schemaVersion is not",
        ),
        ("krs1.", "krs2.", "its currentHash is malformed"),
        ("}\n", "}\n{}", "trailing characters"),
        ("}\n", "", "ends too early"),
    ];
    for (old, new, words) in table {
        let mut vector = named("first generation");
        vector.checkpoint = vector.checkpoint.map(|text| text.replacen(old, new, 1));
        let error = judge(&vector).unwrap_err();
        assert_eq!(error.word(), "corrupt");
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut empty = named("first generation");
    empty.checkpoint = Some(String::new());
    assert_eq!(
        judge(&empty).unwrap_err().to_string(),
        "the checkpoint is corrupt: it is empty"
    );
}

#[test]
fn damage_is_judged_before_rollback_and_rollback_before_scope() {
    let mut vector = named("checkpoint ahead");
    vector.scope.cluster_id = "other".to_owned();
    assert_eq!(judge(&vector).unwrap_err().word(), "rollback");
    vector.state = vector
        .state
        .map(|text| text.replace("\"active\"", "\"asleep\""));
    assert_eq!(judge(&vector).unwrap_err().word(), "corrupt");
    let mut damaged_checkpoint = named("no state, checkpoint there");
    damaged_checkpoint.checkpoint = Some("nope".to_owned());
    assert_eq!(judge(&damaged_checkpoint).unwrap_err().word(), "corrupt");
}

#[test]
fn without_both_files_there_is_no_registry_yet() {
    let scope = named("first generation").scope.scope();
    let pair = pair::judge(None, None, &scope).unwrap();
    assert_eq!(
        (pair.document, pair.checkpoint),
        (None, CheckpointStatus::Absent)
    );
}

#[test]
fn a_file_with_its_records_in_another_order_is_followed_by_a_sorted_one() {
    let vector = named("records in another order");
    let document = judge(&vector).unwrap().document.unwrap();
    let mut records = document.records().to_vec();
    records[1].observed_unix -= 1;
    let next = document.next(records).unwrap();
    assert_eq!(
        next.previous_hash().map(|hash| hash.as_str()),
        vector.expect.current_hash.as_deref()
    );
    assert_eq!(
        Document::parse(&next.render(), &vector.scope.scope()),
        Ok(next)
    );
}

#[test]
fn a_state_file_above_16_mib_is_refused_unread() {
    let mut vector = named("first generation");
    vector.state = vector.state.map(|text| text + &" ".repeat(16 << 20));
    let text = judge(&vector).unwrap_err().to_string();
    assert_eq!(
        text,
        "the state file is corrupt: it is larger than 16777216 bytes"
    );
}
