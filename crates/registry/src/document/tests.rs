use super::*;

fn scope() -> Scope {
    Scope {
        provider_name: "k&s <prod>".into(),
        cluster_id: "c".into(),
        openbao_instance_id: "b".into(),
        openbao_namespace: "ns".into(),
        transit_mount_id: "m".into(),
        key_lineage_id: "k".into(),
    }
}

fn record(version: u64, state: RecordState) -> Record {
    let created_unix = 1_700_000_000 + version.cast_signed() * 100;
    Record {
        version,
        created_unix,
        key_id: KeyId::derive(&scope(), version, created_unix),
        state,
        observed_unix: created_unix + 5,
        stable_count: 0,
        stable_unix: 0,
        promoted_unix: 0,
    }
}

use RecordState::{Active, Pending, Rejected, Removed, Retired};

fn document(states: &[RecordState]) -> Document {
    Document::build(scope(), 4, None, records(states)).unwrap()
}

/// One record a state, versions counted from 1.
fn records(states: &[RecordState]) -> Vec<Record> {
    states
        .iter()
        .zip(1..)
        .map(|(&state, version)| record(version, state))
        .collect()
}

#[test]
fn the_first_generation_has_one_active_record_and_no_predecessor() {
    let first = Document::first(&scope(), record(1, Active)).unwrap();
    assert_eq!((first.generation(), first.previous_hash()), (1, None));
    assert_eq!(first.active(), &record(1, Active));
    assert_eq!(Document::parse(&first.render(), &scope()), Ok(first));
    for state in [Pending, Retired, Rejected, Removed] {
        assert_eq!(
            Document::first(&scope(), record(1, state)),
            Err(ProgressError::Records(RecordsFault::NoActive))
        );
    }
}

#[test]
fn the_next_generation_counts_one_and_chains_the_hash() {
    let before = document(&[Active]);
    let next = before.next(records(&[Active, Pending])).unwrap();
    assert_eq!(next.generation(), before.generation() + 1);
    assert_eq!(next.previous_hash(), Some(before.current_hash()));
    assert_ne!(next.current_hash(), before.current_hash());
    assert_eq!(Document::parse(&next.render(), &scope()), Ok(next));
}

#[test]
fn records_are_kept_as_active_pending_then_versions_descending() {
    let mut shuffled = records(&[Retired, Rejected, Retired, Active, Pending, Pending]);
    let mut twin = record(2, Rejected);
    twin.created_unix += 1;
    twin.key_id = KeyId::derive(&scope(), 2, twin.created_unix);
    shuffled.push(twin);
    let sorted = document(&[Active]).next_unchecked(shuffled);
    let order: Vec<_> = sorted
        .records()
        .iter()
        .map(|record| (record.version, record.created_unix % 100))
        .collect();
    assert_eq!(
        order,
        [(4, 0), (6, 0), (5, 0), (3, 0), (2, 1), (2, 0), (1, 0)]
    );
}

impl Document {
    fn next_unchecked(&self, records: Vec<Record>) -> Self {
        self.chain(records).unwrap()
    }
}

#[test]
fn a_probe_may_promote_retire_reject_and_revive() {
    let table: [(&[RecordState], &[RecordState]); 6] = [
        (&[Active], &[Active, Pending]),
        (&[Active, Pending], &[Retired, Active]),
        (&[Active, Pending], &[Active, Rejected]),
        (&[Active, Pending], &[Active, Retired, Pending]),
        (&[Active, Rejected], &[Active, Pending]),
        (
            &[Removed, Retired, Active],
            &[Removed, Retired, Active, Pending],
        ),
    ];
    for (before, after) in table {
        document(before).next(records(after)).unwrap();
    }
}

#[test]
fn no_probe_can_lose_a_version() {
    let disappears = |version, state| ProgressError::RecordDisappears { version, state };
    let undecryptable = |version, state| ProgressError::LosesDecryption { version, state };
    let table: [(&[RecordState], &[RecordState], ProgressError); 9] = [
        (
            &[Retired, Active],
            &[Retired, Active],
            ProgressError::NoChange,
        ),
        (
            &[Retired, Active],
            &[Active, Retired],
            ProgressError::ActiveDecreases { from: 2, to: 1 },
        ),
        (&[Active, Retired], &[Active], disappears(2, Retired)),
        (&[Active, Rejected], &[Active], disappears(2, Rejected)),
        (
            &[Active, Retired],
            &[Active, Rejected],
            undecryptable(2, Retired),
        ),
        (
            &[Active, Pending],
            &[Rejected, Active],
            undecryptable(1, Active),
        ),
        (
            &[Active, Retired],
            &[Active, Removed],
            ProgressError::RemovalByMachine(2),
        ),
        (
            &[Active, Removed],
            &[Active, Retired],
            ProgressError::RemovalByMachine(2),
        ),
        (
            &[Active],
            &[Active, Removed],
            ProgressError::RemovalByMachine(2),
        ),
    ];
    for (before, after, error) in table {
        assert_eq!(
            document(before).next(records(after)),
            Err(error),
            "{before:?} {after:?}"
        );
    }
    let only_second = vec![record(2, Active)];
    assert_eq!(
        document(&[Active, Pending]).next(only_second),
        Err(disappears(1, Active))
    );
}

#[test]
fn proposed_records_must_be_valid_themselves() {
    let document = document(&[Active]);
    let fault = |change: fn(&mut Record)| {
        let mut records = records(&[Active, Pending]);
        change(&mut records[1]);
        match document.next(records) {
            Err(ProgressError::Records(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    let out_of_range = |field| RecordsFault::OutOfRange { version: 2, field };
    assert_eq!(fault(|r| r.state = Active), RecordsFault::TwoActive(1, 2));
    assert_eq!(
        fault(|r| *r = record(1, Retired)),
        RecordsFault::Duplicate(1)
    );
    assert_eq!(fault(|r| r.created_unix += 1), RecordsFault::KeyId(2));
    assert_eq!(fault(|r| r.created_unix = 0), RecordsFault::CreationTime(2));
    assert_eq!(fault(|r| r.version = 0), RecordsFault::Version(0));
    assert_eq!(
        fault(|r| r.version = 1 << 63),
        RecordsFault::Version(1 << 63)
    );
    assert_eq!(
        fault(|r| r.observed_unix = -1),
        out_of_range("observedAtUnix")
    );
    assert_eq!(fault(|r| r.stable_unix = -1), out_of_range("stableAtUnix"));
    assert_eq!(
        fault(|r| r.promoted_unix = -1),
        out_of_range("promotedAtUnix")
    );
    assert_eq!(
        fault(|r| (r.observed_unix, r.stable_count) = (0, 1)),
        RecordsFault::CountWithoutObserved(2)
    );
    assert_eq!(
        fault(|r| r.stable_unix = r.observed_unix),
        RecordsFault::StableWithoutCount(2)
    );
    assert_eq!(
        fault(|r| (r.stable_count, r.stable_unix) = (1, r.observed_unix - 1)),
        RecordsFault::StableBeforeObserved(2)
    );
    assert_eq!(
        fault(|r| r.promoted_unix = r.observed_unix - 1),
        RecordsFault::PromotedBeforeObserved(2)
    );
}

#[test]
fn an_operator_retires_everything_below_a_version_and_nothing_that_may_be_written_with() {
    let before = document(&[Retired, Rejected, Removed, Retired, Active, Pending]);
    let after = before.retire_before(4).unwrap();
    let mut expected = records(&[Removed, Rejected, Removed, Retired, Active, Pending]);
    records::sort(&mut expected);
    assert_eq!(after.records(), expected);
    assert_eq!(after.previous_hash(), Some(before.current_hash()));
    assert_eq!(before.retire_before(1), Err(ProgressError::NoChange));
    for (version, state, limit) in [(5, Active, 6), (5, Active, u64::MAX)] {
        let error = ProgressError::NotRetirable { version, state };
        assert_eq!(before.retire_before(limit), Err(error));
    }
}

#[test]
fn an_operator_brings_removed_versions_back_as_retired() {
    let before = document(&[Removed, Removed, Retired, Active]);
    let after = before.restore(&BTreeSet::from([1])).unwrap();
    let states: Vec<_> = after.records().iter().map(|record| record.state).collect();
    assert_eq!(states, [Active, Retired, Removed, Retired]);
    for version in [3, 4, 9] {
        let error = Err(ProgressError::NotRemoved(version));
        assert_eq!(before.restore(&BTreeSet::from([1, version])), error);
    }
    assert_eq!(
        before.restore(&BTreeSet::new()),
        Err(ProgressError::NoChange)
    );
}

#[test]
fn the_last_generation_has_no_successor() {
    let last = Document::build(scope(), u64::MAX, None, records(&[Active])).unwrap();
    assert_eq!(
        last.next(records(&[Active, Pending])),
        Err(ProgressError::GenerationExhausted)
    );
    assert_eq!(Document::parse(&last.render(), &scope()), Ok(last));
}
