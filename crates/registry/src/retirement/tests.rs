use proptest::prelude::*;

use super::*;
use crate::{key_id::KeyId, scope::Scope};

use RecordState::{Active, Pending, Rejected, Removed, Retired};

fn record(version: u64, state: RecordState) -> Record {
    let created_unix = 1_700_000_000 + version.cast_signed() % 1_000_000;
    Record {
        version,
        created_unix,
        key_id: KeyId::derive(&Scope::sample(), version, created_unix),
        state,
        observed_unix: created_unix + 5,
        stable_count: 0,
        stable_unix: 0,
        promoted_unix: 0,
    }
}

/// A registry with these records, made without any rule broken.
fn registry(records: &[(u64, RecordState)]) -> Document {
    let &(active, _) = records.iter().find(|(_, s)| *s == Active).unwrap();
    let first = Document::first(&Scope::sample(), record(active, Active)).unwrap();
    let kept = |&(version, state): &(u64, RecordState)| {
        record(version, if state == Removed { Retired } else { state })
    };
    let mut document = first;
    if records.len() > 1 {
        document = document.next(records.iter().map(kept).collect()).unwrap();
    }
    let removed: BTreeSet<u64> = records
        .iter()
        .filter(|(_, state)| *state == Removed)
        .map(|(version, _)| *version)
        .collect();
    if let Some(&highest) = removed.last() {
        document = document.retire_before(highest + 1).unwrap();
        let back = records
            .iter()
            .filter(|(version, state)| *version < highest && *state == Retired)
            .map(|(version, _)| *version)
            .collect();
        document = document.restore(&back).unwrap_or(document);
    }
    document
}

fn table(document: &Document) -> Vec<(u64, RecordState)> {
    let mut table: Vec<_> = document
        .records()
        .iter()
        .map(|r| (r.version, r.state))
        .collect();
    table.sort_unstable();
    table
}

fn applied(document: &Document, request: &Request) -> Document {
    let plan = plan(document, request).unwrap();
    apply(document, request, &plan.expected).unwrap().unwrap()
}

#[test]
fn a_retirement_is_one_generation_that_changes_what_the_plan_said_and_nothing_else() {
    let before = registry(&[
        (1, Removed),
        (2, Rejected),
        (3, Retired),
        (4, Retired),
        (5, Active),
        (6, Pending),
    ]);
    let request = Request::RetireBefore(4);
    let plan = plan(&before, &request).unwrap();
    assert_eq!(plan.expected, *before.current_hash());
    assert_eq!(plan.changes, [record(3, Retired)]);
    assert_eq!(plan.unrecorded, []);
    let after = applied(&before, &request);
    assert_eq!(after.generation(), before.generation() + 1);
    assert_eq!(after.previous_hash(), Some(before.current_hash()));
    assert_eq!(after.active(), before.active());
    assert_eq!(
        table(&after),
        [
            (1, Removed),
            (2, Rejected),
            (3, Removed),
            (4, Retired),
            (5, Active),
            (6, Pending)
        ]
    );
    for record in before.records() {
        let changed = after.get(&record.key_id).unwrap();
        let state = changed.state;
        assert_eq!(
            Record {
                state,
                ..record.clone()
            },
            *changed
        );
    }
}

#[test]
fn a_removed_version_stays_on_record_and_decrypts_no_more() {
    let before = registry(&[(1, Retired), (2, Active)]);
    let after = applied(&before, &Request::RetireBefore(2));
    let key_id = record(1, Retired).key_id;
    assert!(before.get(&key_id).unwrap().state.decrypts());
    let removed = after.get(&key_id).unwrap();
    assert_eq!(removed.state, Removed);
    assert!(!removed.state.decrypts());
    let read = Document::parse(&after.render(), &Scope::sample()).unwrap();
    assert_eq!(read, after, "and so after a restart");
}

#[test]
fn what_is_or_may_become_the_write_key_is_never_removed() {
    let rows = [
        (vec![(1, Retired), (2, Active)], 3, 2, Active),
        (vec![(1, Retired), (2, Active)], u64::MAX, 2, Active),
        (vec![(1, Active)], 2, 1, Active),
        (vec![(1, Active), (2, Pending)], 3, 1, Active),
        (vec![(1, Retired), (2, Pending), (3, Active)], 3, 2, Pending),
    ];
    for (records, limit, version, state) in rows {
        let document = registry(&records);
        let request = Request::RetireBefore(limit);
        let refused = RetirementError::Refused(ProgressError::NotRetirable { version, state });
        assert_eq!(plan(&document, &request), Err(refused.clone()));
        let hash = document.current_hash();
        assert_eq!(apply(&document, &request, hash), Err(refused));
    }
}

#[test]
fn only_versions_with_a_removed_record_come_back() {
    let document = registry(&[(1, Removed), (2, Rejected), (3, Retired), (4, Active)]);
    for version in [0, 2, 3, 4, 5, u64::MAX] {
        let request = Request::Restore([1, version].into());
        let refused = RetirementError::Refused(ProgressError::NotRemoved(version));
        assert_eq!(plan(&document, &request), Err(refused), "{version}");
    }
    let request = Request::Restore([1].into());
    assert_eq!(
        plan(&document, &request).unwrap().changes,
        [record(1, Removed)]
    );
    let after = applied(&document, &request);
    assert_eq!(
        after.get(&record(1, Retired).key_id).unwrap().state,
        Retired
    );
}

#[test]
fn a_plan_for_another_generation_is_stale_whatever_it_asks() {
    let first = registry(&[(1, Retired), (2, Retired), (3, Active)]);
    let second = applied(&first, &Request::RetireBefore(2));
    let third = applied(&second, &Request::Restore([1].into()));
    let other = StateHash::parse(&format!("krs1.{}", "A".repeat(43))).unwrap();
    for (in_force, request, expected) in [
        // The same records again, but two changes later.
        (&third, Request::RetireBefore(2), first.current_hash()),
        (&second, Request::RetireBefore(3), first.current_hash()),
        (&second, Request::Restore([1].into()), first.current_hash()),
        (&first, Request::RetireBefore(2), &other),
        (&first, Request::RetireBefore(1), &other),
        (&third, Request::Restore([1].into()), first.current_hash()),
    ] {
        let error = apply(in_force, &request, expected).unwrap_err();
        let stale = RetirementError::Stale {
            in_force: in_force.current_hash().clone(),
            expected: expected.clone(),
        };
        assert_eq!(error, stale);
        assert!(error.to_string().contains("make a new plan"), "{error}");
    }
}

#[test]
fn asking_twice_changes_one_generation_only() {
    let first = registry(&[(1, Retired), (2, Retired), (3, Active)]);
    for request in [Request::RetireBefore(3), Request::RetireBefore(2)] {
        let second = applied(&first, &request);
        assert_eq!(apply(&second, &request, first.current_hash()), Ok(None));
        assert_eq!(apply(&second, &request, second.current_hash()), Ok(None));
        assert_eq!(plan(&second, &request).unwrap().changes, []);
        let back = Request::Restore([1].into());
        let third = applied(&second, &back);
        assert_eq!(apply(&third, &back, second.current_hash()), Ok(None));
    }
    let nothing = Request::RetireBefore(1);
    assert_eq!(plan(&first, &nothing).unwrap().changes, []);
    assert_eq!(apply(&first, &nothing, first.current_hash()), Ok(None));
}

#[test]
fn versions_without_a_record_are_named_because_nothing_here_can_remove_them() {
    let document = registry(&[(3, Retired), (4, Retired), (7, Retired), (9, Active)]);
    let rows = [
        (0, vec![]),
        (1, vec![]),
        (2, vec![1..=1]),
        (3, vec![1..=2]),
        (5, vec![1..=2]),
        (6, vec![1..=2, 5..=5]),
        (7, vec![1..=2, 5..=6]),
        (9, vec![1..=2, 5..=6, 8..=8]),
    ];
    for (before, gaps) in rows {
        let plan = plan(&document, &Request::RetireBefore(before)).unwrap();
        assert_eq!(plan.unrecorded, gaps, "{before}");
    }
    let far = registry(&[(1 << 62, Active)]);
    let plan = plan(&far, &Request::RetireBefore(1 << 62)).unwrap();
    assert_eq!(plan.unrecorded, [1..=(1 << 62) - 1]);
}

/// Records of versions 1 and up; those below the active one never pending.
fn any_registry() -> impl Strategy<Value = Document> {
    let older = prop_oneof![3 => Just(Retired), 1 => Just(Rejected), 2 => Just(Removed)];
    let newer = prop_oneof![Just(Retired), Just(Rejected)];
    (
        prop::collection::vec(older, 0..6),
        prop::collection::vec(newer, 0..2),
        any::<bool>(),
    )
        .prop_map(|(older, newer, pending)| {
            let states = older.into_iter().chain([Active]).chain(newer);
            let states = states.chain(pending.then_some(Pending));
            registry(&(1..).zip(states).collect::<Vec<_>>())
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (0_u64..10).prop_map(Request::RetireBefore),
        prop::collection::btree_set(0_u64..10, 0..4).prop_map(Request::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    #[test]
    fn no_row_of_requests_loses_a_record_or_touches_a_version_that_was_not_asked_for(
        start in any_registry(),
        requests in prop::collection::vec(any_request(), 1..8),
    ) {
        let mut document = start;
        for request in &requests {
            let Ok(plan) = plan(&document, request) else {
                prop_assert!(apply(&document, request, document.current_hash()).is_err());
                continue;
            };
            let Some(next) = apply(&document, request, &plan.expected).unwrap() else {
                prop_assert!(plan.changes.is_empty());
                continue;
            };
            prop_assert_eq!(next.generation(), document.generation() + 1);
            prop_assert_eq!(next.previous_hash(), Some(document.current_hash()));
            prop_assert_eq!(next.active(), document.active());
            prop_assert_eq!(next.records().len(), document.records().len());
            for before in document.records() {
                let after = next.get(&before.key_id).unwrap();
                let asked = match (before.state, request) {
                    (Retired, Request::RetireBefore(limit)) => before.version < *limit,
                    (Removed, Request::Restore(versions)) => versions.contains(&before.version),
                    _ => false,
                };
                let wanted = match before.state {
                    Retired if asked => Removed,
                    Removed if asked => Retired,
                    state => state,
                };
                prop_assert_eq!(after.state, wanted);
                prop_assert_eq!(plan.changes.contains(before), asked);
            }
            prop_assert_eq!(&Document::parse(&next.render(), next.scope()).unwrap(), &next);
            // What was removed stays so, whatever a probe proposes.
            let mut revived = next.records().to_vec();
            for record in &mut revived {
                if record.state == Removed {
                    record.state = Retired;
                }
            }
            prop_assert!(next.next(revived).is_err());
            document = next;
        }
    }
}
