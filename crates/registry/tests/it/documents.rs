//! A short history of one registry, for tests that need generations and not their meaning.

use registry::{
    document::Document,
    key_id::KeyId,
    record::{Record, RecordState},
    scope::Scope,
};

pub(crate) fn scope() -> Scope {
    Scope {
        provider_name: "p".into(),
        cluster_id: "c".into(),
        openbao_instance_id: "b".into(),
        openbao_namespace: String::new(),
        transit_mount_id: "m".into(),
        key_lineage_id: "k".into(),
    }
}

pub(crate) fn first() -> Document {
    let created_unix = 1_700_000_000;
    let record = Record {
        version: 1,
        created_unix,
        key_id: KeyId::derive(&scope(), 1, created_unix),
        state: RecordState::Active,
        observed_unix: created_unix,
        stable_count: 0,
        stable_unix: 0,
        promoted_unix: created_unix,
    };
    Document::first(&scope(), record).unwrap()
}

/// The next generation; different `attempt`s give different contents.
pub(crate) fn after(document: &Document, attempt: u32) -> Document {
    let mut records = document.records().to_vec();
    records[0].stable_count += 1 + attempt;
    document.next(records).unwrap()
}
