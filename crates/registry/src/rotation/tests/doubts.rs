//! What a lagging standby can invent, and what it cannot.

use super::*;

fn with_pending() -> Bench {
    let mut bench = Bench::at_two();
    bench.later(30).see(&key(3));
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 2, pending 3 x2, retired 1");
    bench
}

#[test]
fn a_single_odd_answer_drops_no_pending_version_and_resets_no_count() {
    let mut timeless = key(3);
    timeless.creation_times.remove(&3);
    let odd = [
        Answer::Metadata {
            disable_upsert: true,
            key: key(2),
        },
        Answer::Metadata {
            disable_upsert: true,
            key: key(1),
        },
        Answer::Metadata {
            disable_upsert: true,
            key: recreated(3, 3),
        },
        Answer::Metadata {
            disable_upsert: true,
            key: timeless,
        },
        Answer::KeyMissing,
        Answer::KeyDenied,
        Answer::UpsertMissing,
        Answer::UpsertDenied,
    ];
    for answer in odd {
        let mut bench = with_pending();
        bench.later(30).answer(answer.clone(), false);
        assert_eq!(bench.last.reading, Reading::Unconfirmed, "{answer:?}");
        for _ in 0..2 {
            assert_eq!(bench.last.ask, Ask::Again(Duration::from_secs(2)));
            bench.later(2).answer(answer.clone(), true);
            assert_eq!(bench.words(), [""; 0], "{answer:?}");
        }
        bench.later(2).see_anew(&key(3));
        assert_eq!(bench.table(), "active 2, pending 3 x3, retired 1");
        // The row was broken, so it starts anew.
        bench.later(2).answer(answer.clone(), true);
        assert_eq!(bench.last.reading, Reading::Unconfirmed, "{answer:?}");
    }
}

#[test]
fn a_refusal_is_definite_once_confirmed_and_over_with_the_next_good_answer() {
    let rows = [
        (Answer::KeyMissing, "key_missing"),
        (Answer::KeyDenied, "key_denied"),
        (Answer::UpsertMissing, "upsert_unreadable"),
        (Answer::UpsertDenied, "upsert_unreadable"),
    ];
    for (answer, word) in rows {
        let mut bench = with_pending();
        for _ in 0..3 {
            bench.later(2).answer(answer.clone(), true);
        }
        assert_eq!(bench.words(), [word]);
        assert_eq!(bench.table(), "active 2, pending 3 x2, retired 1");
        bench.later(30).see(&key(3));
        assert_eq!(bench.words(), [""; 0]);
    }
}

#[test]
fn a_pending_version_that_is_confirmed_gone_is_rejected_and_the_write_key_stays() {
    let mut bench = with_pending();
    bench.later(30).insist(&key(2));
    assert_eq!(bench.table(), "active 2, rejected 3, retired 1");
    assert_eq!(bench.words(), [""; 0]);
    bench.later(30).see(&key(2));
    assert_eq!(
        (bench.last.reading, &bench.last.records),
        (Reading::Accepted, &None)
    );
}

#[test]
fn a_rejected_version_that_is_confirmed_again_starts_with_count_one() {
    let mut bench = with_pending();
    bench.later(30).insist(&key(2));
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 2, rejected 3, retired 1");
    bench.later(30).insist(&key(3));
    assert_eq!(bench.table(), "active 2, pending 3 x1, retired 1");
    assert_eq!(bench.record(3).stable_unix, 0);
}

#[test]
fn a_version_that_comes_back_runs_its_whole_delay_again() {
    let mut bench = with_pending();
    bench.machine.settings.stable_count = 1;
    bench.later(30).see(&key(3));
    bench.later(30).insist(&key(2));
    bench.later(500).insist(&key(3));
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(119).see(&key(3));
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(1).see(&key(3));
    assert!(matches!(bench.last.ask, Ask::Trial(_)));
}

#[test]
fn a_rejected_version_that_comes_back_below_a_newer_one_is_kept_for_decryption() {
    let mut bench = with_pending();
    bench.later(30).insist(&key(2));
    bench.later(30).insist(&key(4));
    assert_eq!(
        bench.table(),
        "active 2, pending 4 x1, retired 3, retired 1"
    );
}

#[test]
fn a_pending_version_under_another_creation_second_is_another_version() {
    let mut bench = with_pending();
    bench.later(30).insist(&recreated(3, 3));
    assert_eq!(
        bench.table(),
        "active 2, pending 3' x1, rejected 3, retired 1"
    );
    bench.later(30).see(&recreated(3, 3));
    assert_eq!(
        bench.table(),
        "active 2, pending 3' x2, rejected 3, retired 1"
    );
}

#[test]
fn an_unpromoted_version_that_is_the_newest_again_is_counted_again() {
    let mut bench = with_pending();
    bench.later(30).see(&key(4));
    assert_eq!(
        bench.table(),
        "active 2, pending 4 x1, retired 3, retired 1"
    );
    bench.later(30).insist(&key(3));
    assert_eq!(
        bench.table(),
        "active 2, pending 3 x1, rejected 4, retired 1"
    );
}

#[test]
fn a_kept_version_above_the_write_key_that_is_gone_is_named_once_confirmed() {
    let mut bench = with_pending();
    bench.later(30).see(&key(4));
    bench.later(30).insist(&key(2));
    assert_eq!(
        bench.last.findings,
        [Finding::VersionGone {
            version: 3,
            latest: 2
        }]
    );
    assert_eq!(bench.table(), "active 2, rejected 4, retired 3, retired 1");
}

#[test]
fn a_confirmed_rollback_is_unhealthy_until_the_version_is_confirmed_back() {
    let mut bench = Bench::at_two();
    bench.later(30).insist(&key(1));
    let rollback = Finding::Rollback {
        latest: 1,
        active: 2,
    };
    assert_eq!(bench.last.findings, std::slice::from_ref(&rollback));
    assert_eq!(bench.table(), "active 2, retired 1");
    // A standby that has not heard of the rollback must not make the node write again.
    bench.later(30).see(&key(2));
    assert_eq!(bench.last.findings, std::slice::from_ref(&rollback));
    bench.later(2).see_anew(&key(1));
    assert_eq!(bench.last.findings, [rollback]);
    bench.later(30).insist(&key(2));
    assert_eq!(bench.words(), [""; 0]);
}

#[test]
fn a_rollback_also_rejects_the_pending_version() {
    let mut bench = with_pending();
    bench.later(30).insist(&key(1));
    assert_eq!(bench.words(), ["version_rollback"]);
    assert_eq!(bench.table(), "active 2, rejected 3, retired 1");
}

#[test]
fn identity_drift_is_definite_at_once_for_the_active_and_a_retired_version() {
    for version in [1, 2] {
        let mut bench = with_pending();
        bench.later(30).see(&recreated(3, version));
        assert_eq!(
            bench.last.findings,
            [Finding::IdentityDrift {
                version,
                recorded: created(version),
                found: created(version) + 7
            }]
        );
        for _ in 0..20 {
            bench.later(30).see(&recreated(3, version));
        }
        assert_eq!(bench.words(), ["identity_drift"]);
        assert_eq!(bench.table(), "active 2, pending 3 x2, retired 1");
        bench.later(30).insist(&key(3));
        assert_eq!(bench.words(), [""; 0]);
    }
}

#[test]
fn the_rejected_twin_of_the_write_key_is_drift_at_once_and_no_version_that_comes_back() {
    let mut bench = with_pending();
    let other = recreated(3, 3);
    bench.later(30).insist(&other);
    while !matches!(bench.last.ask, Ask::Trial(_)) {
        bench.later(30).see(&other);
    }
    assert!(bench.pass_trial());
    let table = bench.table();
    assert!(
        table.contains("active 3'") && table.contains("rejected 3"),
        "{table}"
    );
    bench.later(30).see(&key(3));
    assert_eq!(bench.last.reading, Reading::Accepted);
    assert_eq!(bench.words(), ["identity_drift"]);
    assert_eq!(bench.table(), table);
}

#[test]
fn drift_is_definite_also_in_an_answer_that_is_otherwise_in_doubt() {
    let mut bench = with_pending();
    bench.later(30).see(&recreated(2, 1));
    assert_eq!(bench.last.reading, Reading::Unconfirmed);
    assert_eq!(bench.words(), ["identity_drift"]);
}

#[test]
fn a_creation_time_that_is_confirmed_missing_is_unhealthy() {
    let mut bench = Bench::at_two();
    let mut timeless = key(2);
    timeless.creation_times.remove(&1);
    bench.later(30).insist(&timeless);
    assert_eq!(
        bench.last.findings,
        [Finding::CreationUnknown { version: 1 }]
    );
}

#[test]
fn no_creation_time_of_a_new_version_that_is_readable_is_a_doubt_first() {
    let mut lowest = key(3);
    lowest.min_decryption_version = 2;
    lowest.creation_times = [(3, created(3))].into();
    let mut zero = key(3);
    zero.creation_times.insert(2, 0);
    for hole in [lowest, zero] {
        let mut bench = Bench::new();
        bench.later(30).see(&hole);
        assert_eq!(bench.last.reading, Reading::Unconfirmed);
        assert!(!bench.words().contains(&"creation_time_unknown"));
        assert_eq!(bench.table(), "active 1");
    }
}

#[test]
fn flapping_answers_are_never_confirmed() {
    let mut bench = with_pending();
    for i in 0..50 {
        let key = if i % 2 == 0 { key(2) } else { key(1) };
        bench.later(2).see_anew(&key);
        assert_eq!(bench.last.reading, Reading::Unconfirmed);
        assert_eq!(bench.words(), [""; 0]);
    }
    assert_eq!(bench.table(), "active 2, pending 3 x2, retired 1");
}

#[test]
fn a_refusal_hides_no_contradiction_and_each_is_named_once() {
    let mut bench = Bench::at_two();
    bench.later(30).insist(&key(1));
    assert_eq!(bench.words(), ["version_rollback"]);
    for _ in 0..5 {
        bench.later(2).answer(Answer::KeyMissing, true);
    }
    assert_eq!(bench.words(), ["version_rollback", "key_missing"]);

    // Definite in answers that are doubtful otherwise, again and again.
    let mut bench = with_pending();
    let mut drifted = recreated(2, 1);
    for latest in [2, 3, 2, 3, 2] {
        drifted.latest_version = latest;
        bench.later(2).see_anew(&drifted);
    }
    assert_eq!(bench.words(), ["identity_drift"]);
    assert_eq!(bench.last.findings.len(), 1, "{:?}", bench.last.findings);
}

#[test]
fn without_a_registry_an_answer_ends_a_row_of_refusals_too() {
    let mut bench = Bench::empty();
    let refuse = |bench: &mut Bench| {
        bench.later(2).answer(Answer::KeyMissing, true);
        bench.last.reading
    };
    for _ in 0..2 {
        assert_eq!(refuse(&mut bench), Reading::Unconfirmed);
    }
    bench.later(2).see_anew(&key(2));
    assert_eq!(bench.words(), ["registry_missing"]);
    for _ in 0..2 {
        assert_eq!(refuse(&mut bench), Reading::Unconfirmed);
    }
    assert_eq!(refuse(&mut bench), Reading::Accepted);
}
