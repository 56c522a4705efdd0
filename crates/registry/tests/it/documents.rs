//! A short history of one registry, for tests that need generations and not their meaning.

use std::collections::BTreeSet;

use registry::{
    document::Document,
    key_id::KeyId,
    record::{Record, RecordState},
    retirement::{self, Request},
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

/// One generation after another, from the first record to what operators do at the end: every
/// kind of change that is ever written, and its name.
pub(crate) fn life() -> Vec<(&'static str, Document)> {
    use RecordState::{Active, Pending, Rejected, Retired};
    type Change = fn(&mut Vec<Record>);
    let changes: [(&str, Change); 8] = [
        ("a newer version is seen", |all| all.push(seen(2))),
        ("an observation is counted", |all| {
            find(all, 2).stable_count = 2;
        }),
        ("the count is reached", |all| {
            let record = find(all, 2);
            record.stable_count = 3;
            record.stable_unix = record.observed_unix + 60;
        }),
        ("a promotion", |all| {
            find(all, 1).state = Retired;
            promote(find(all, 2));
        }),
        ("the next version is seen", |all| all.push(seen(3))),
        ("a rejection", |all| find(all, 3).state = Rejected),
        ("a rejected version is back", |all| {
            find(all, 3).state = Pending;
        }),
        ("another promotion", |all| {
            find(all, 2).state = Retired;
            promote(find(all, 3));
        }),
    ];
    let mut document = first();
    let mut life = vec![("the bootstrap", document.clone())];
    for (name, change) in changes {
        let mut records = document.records().to_vec();
        change(&mut records);
        document = document.next(records).unwrap();
        life.push((name, document.clone()));
    }
    assert!(document.records().iter().all(|r| r.state != Pending));
    assert_eq!(
        (document.active().version, document.active().state),
        (3, Active)
    );
    for (name, request) in [
        ("a retirement", Request::RetireBefore(3)),
        ("a restoration", Request::Restore(BTreeSet::from([2]))),
    ] {
        let plan = retirement::plan(&document, &request).unwrap();
        let next = retirement::apply(&document, &request, &plan.expected);
        document = next.unwrap().unwrap();
        life.push((name, document.clone()));
    }
    life
}

fn seen(version: u64) -> Record {
    let created_unix = 1_700_000_000 + 1000 * i64::try_from(version).unwrap();
    Record {
        version,
        created_unix,
        key_id: KeyId::derive(&scope(), version, created_unix),
        state: RecordState::Pending,
        observed_unix: created_unix + 30,
        stable_count: 1,
        stable_unix: 0,
        promoted_unix: 0,
    }
}

fn find(records: &mut [Record], version: u64) -> &mut Record {
    let mut records = records.iter_mut();
    records.find(|record| record.version == version).unwrap()
}

fn promote(record: &mut Record) {
    record.state = RecordState::Active;
    record.stable_count = 3;
    record.stable_unix = record.observed_unix + 60;
    record.promoted_unix = record.stable_unix + 60;
}

/// Whether everything that `earlier` could read is on record in `later`, and is read by it too
/// unless an operator took it out on the way.
pub(crate) fn loses_nothing(earlier: &Document, later: &Document) -> bool {
    earlier.records().iter().all(|old| {
        later.get(&old.key_id).is_some_and(|new| {
            let by_hand = new.state == RecordState::Removed;
            // One that was never promoted may turn out to be gone, see rejection.
            let pending = old.state == RecordState::Pending;
            !old.state.decrypts() || new.state.decrypts() || by_hand || pending
        })
    })
}
