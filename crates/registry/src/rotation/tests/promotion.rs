//! Seen, counted, delayed, tried, promoted.

use super::*;

#[test]
fn a_newer_version_is_counted_then_delayed_then_tried_then_promoted() {
    let mut bench = Bench::new();
    let seen = bench.now.wall + 30;
    bench.later(30).see(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x1");
    assert_eq!(bench.record(2).observed_unix, seen);
    bench.later(30).see(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x2");
    assert_eq!(bench.record(2).stable_unix, 0);
    bench.later(30).see(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x3");
    assert_eq!(bench.record(2).stable_unix, seen + 60);
    for _ in 0..3 {
        bench.later(30).see(&key(2));
        assert_eq!(
            (&bench.last.ask, &bench.last.records),
            (&Ask::Nothing, &None)
        );
    }
    bench.later(30).see(&key(2));
    let Ask::Trial(trial) = bench.last.ask.clone() else {
        panic!("{:?}", bench.last.ask)
    };
    assert_eq!(trial.version, 2);
    assert_eq!(bench.table(), "active 1, pending 2 x3");
    assert!(bench.pass_trial());
    assert_eq!(bench.table(), "active 2, retired 1");
    assert_eq!(bench.record(2).promoted_unix, seen + 180);
    assert_eq!(bench.words(), [""; 0]);
}

#[test]
fn a_promotion_is_one_generation() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    while !matches!(bench.last.ask, Ask::Trial(_)) {
        bench.later(30).see(&key(2));
    }
    let before = bench.disk.as_ref().unwrap().generation();
    assert!(bench.pass_trial());
    assert_eq!(bench.disk.as_ref().unwrap().generation(), before + 1);
}

#[test]
fn the_trial_is_wanted_again_until_it_passes() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    for _ in 0..6 {
        bench.later(30).see(&key(2));
    }
    for _ in 0..3 {
        assert!(matches!(bench.last.ask, Ask::Trial(_)));
        bench.later(30).see(&key(2));
    }
    assert_eq!(bench.table(), "active 1, pending 2 x3");
}

#[test]
fn a_trial_that_passes_after_a_new_doubt_promotes_nothing() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    for _ in 0..6 {
        bench.later(30).see(&key(2));
    }
    let trial = bench.last.ask.clone();
    assert!(matches!(trial, Ask::Trial(_)));
    bench.later(1).see(&key(1));
    bench.last.ask = trial;
    assert!(!bench.pass_trial());
    assert_eq!(bench.table(), "active 1, pending 2 x3");
}

#[test]
fn one_stable_observation_and_no_delay_promote_at_once() {
    let mut bench = Bench::new();
    bench.machine.settings.stable_count = 1;
    bench.machine.settings.activation_delay = Duration::ZERO;
    bench.later(30).see(&key(2));
    assert!(bench.record(2).stable_unix > 0);
    assert!(bench.pass_trial());
    assert_eq!(bench.table(), "active 2, retired 1");
}

#[test]
fn repeated_reads_within_one_probe_interval_count_once() {
    let mut bench = Bench::new();
    bench.later(30).see(&key(2));
    for _ in 0..7 {
        bench.later(2).see_anew(&key(2));
        assert_eq!(bench.table(), "active 1, pending 2 x1");
    }
    bench.later(13).see(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x2");
}

#[test]
fn an_answer_counts_again_from_half_an_interval_on() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    let last = bench.now.mono;
    for (since, table) in [
        (Duration::from_millis(14_999), "active 1, pending 2 x1"),
        (Duration::from_secs(15), "active 1, pending 2 x2"),
    ] {
        bench.now.mono = last + since;
        bench.see(&key(2));
        assert_eq!(bench.table(), table, "{since:?}");
    }
}

#[test]
fn versions_in_between_are_kept_for_decryption_and_the_newest_is_pending() {
    let mut bench = Bench::new();
    bench.later(30).see(&key(4));
    assert_eq!(
        bench.table(),
        "active 1, pending 4 x1, retired 3, retired 2"
    );
    let changes: Vec<_> = bench.last.transitions.iter().map(|t| t.change).collect();
    assert_eq!(changes, [Change::Retired, Change::Retired, Change::Pending]);
    assert_eq!(bench.record(3).observed_unix, bench.now.wall);
    assert_eq!(bench.record(3).stable_count, 0);
}

#[test]
fn a_newer_version_retires_the_pending_one_and_starts_its_own_count() {
    let mut bench = Bench::new();
    bench.later(30).see(&key(2));
    bench.later(30).see(&key(2));
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 1, pending 3 x1, retired 2");
    assert_eq!(bench.record(2).stable_count, 2);
}

#[test]
fn a_version_in_between_without_creation_time_fails_closed() {
    let mut bench = Bench::new();
    let mut hole = key(3);
    hole.creation_times.remove(&2);
    bench.later(30).insist(&hole);
    assert_eq!(
        bench.last.findings,
        [Finding::CreationUnknown { version: 2 }]
    );
    assert_eq!(bench.table(), "active 1");
    // Archived is no excuse: nobody can derive the key_id that another node may have used.
    let mut bench = Bench::new();
    hole.min_decryption_version = 3;
    hole.creation_times.remove(&1);
    bench.later(30).see(&hole);
    assert_eq!(bench.words(), ["creation_time_unknown", "version_shut_out"]);
    assert_eq!(bench.table(), "active 1");
}

#[test]
fn a_huge_latest_version_costs_nothing() {
    let mut bench = Bench::new();
    let mut huge = key(3);
    huge.latest_version = u64::MAX;
    bench.later(30).see(&huge);
    assert_eq!(bench.last.reading, Reading::Unconfirmed);
    assert_eq!(bench.table(), "active 1");
}

#[test]
fn the_delay_runs_on_both_clocks() {
    // (wall seconds, monotonic seconds) after the count was reached, and whether it is over.
    for (wall, mono, over) in [
        (119, 119, false),
        (120, 119, false),
        (119, 120, false),
        (100_000, 119, false),
        (-5000, 120, false),
        (120, 120, true),
    ] {
        let mut bench = Bench::new();
        bench.see(&key(2));
        bench.later(30).see(&key(2));
        bench.later(30).see(&key(2));
        bench.now.wall += wall;
        bench.now.mono += Duration::from_secs(mono);
        bench.see(&key(2));
        let tried = matches!(bench.last.ask, Ask::Trial(_));
        assert_eq!(tried, over, "{wall} {mono}");
    }
}

#[test]
fn a_restart_runs_the_delay_again_on_the_new_process_clock() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    bench.later(30).see(&key(2));
    bench.later(30).see(&key(2));
    bench.later(115);
    bench.restart();
    bench.now.wall = created(2) + 400;
    bench.see(&key(2));
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(119).see(&key(2));
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(1).see(&key(2));
    assert!(matches!(bench.last.ask, Ask::Trial(_)));
}

#[test]
fn a_clock_set_back_for_good_delays_a_promotion_and_does_not_prevent_it() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    bench.later(30).see(&key(2));
    bench.later(30).see(&key(2));
    let stable = bench.record(2).stable_unix;
    bench.now.wall -= 50_000_000;
    bench.later(30).see(&key(2));
    bench.later(119).see(&key(2));
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(1).see(&key(2));
    assert!(bench.pass_trial());
    assert_eq!(bench.record(2).promoted_unix, stable);
}

#[test]
fn what_is_written_is_never_less_than_the_time_before() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    let observed = bench.record(2).observed_unix;
    bench.now.wall -= 900;
    bench.later(30).see(&key(2));
    bench.later(30).see(&key(2));
    assert_eq!(bench.record(2).stable_unix, observed);
    bench.now.wall = -4;
    bench.later(30).see(&key(2));
    bench.later(150).see(&key(2));
    assert!(bench.pass_trial());
    assert_eq!(bench.record(2).promoted_unix, observed);
}

#[test]
fn a_clock_at_the_beginning_of_time_writes_no_time_that_means_unset() {
    for wall in [0, -5000] {
        let mut bench = Bench::new();
        bench.now.wall = wall;
        bench.see(&key(2));
        assert_eq!(bench.record(2).observed_unix, 1, "{wall}");
    }
}

#[test]
fn a_creation_time_in_the_future_is_no_obstacle() {
    let mut bench = Bench::new();
    bench.later(30).see(&key(2));
    assert!(created(2) > bench.now.wall);
    for _ in 0..6 {
        bench.later(30).see(&key(2));
    }
    assert!(bench.pass_trial());
}

#[test]
fn min_encryption_version_above_the_write_key_blocks_writes_and_skips_the_delay_only() {
    let mut bench = Bench::new();
    let mut closed = key(2);
    closed.min_encryption_version = 2;
    bench.see(&closed);
    assert_eq!(bench.words(), ["encryption_blocked"]);
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(30).see(&closed);
    assert_eq!(bench.last.ask, Ask::Nothing);
    bench.later(30).see(&closed);
    assert_eq!(bench.words(), ["encryption_blocked"]);
    assert!(bench.pass_trial());
    assert_eq!(bench.machine.findings(), []);
    assert_eq!(bench.table(), "active 2, retired 1");
    bench.later(30).see(&closed);
    assert_eq!(bench.words(), [""; 0]);
}

#[test]
fn min_encryption_version_at_the_write_key_blocks_nobody_and_skips_no_delay() {
    let mut bench = Bench::new();
    let mut open = key(2);
    open.min_encryption_version = 1;
    let mut looks = 0;
    bench.see(&open);
    while bench.last.ask == Ask::Nothing {
        assert_eq!(bench.words(), [""; 0]);
        bench.later(30).see(&open);
        looks += 1;
    }
    let mut free = Bench::new();
    free.see(&key(2));
    let mut others = 0;
    while free.last.ask == Ask::Nothing {
        free.later(30).see(&key(2));
        others += 1;
    }
    assert!(looks > 2);
    assert_eq!(looks, others);
}

#[test]
fn a_promotion_does_not_lift_a_minimum_that_was_raised_above_it_meanwhile() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    for _ in 0..6 {
        bench.later(30).see(&key(2));
    }
    let Ask::Trial(trial) = bench.last.ask.clone() else {
        panic!("no trial is wanted");
    };
    let records = bench.records().to_vec();
    let promotion = bench.machine.promotion(&records, &trial, bench.now);
    assert!(promotion.is_some());
    // Seen while the promotion is on its way to the disk.
    let mut closed = key(3);
    closed.min_encryption_version = 3;
    bench.later(30).see(&closed);
    bench.machine.promoted(2);
    assert!(matches!(
        bench.machine.findings(),
        [Finding::EncryptionBlocked { value: 3, .. }]
    ));
}

#[test]
fn a_failed_write_leads_to_the_same_decision_again() {
    let mut bench = Bench::new();
    bench.later(30);
    let observation = Observation {
        answer: Answer::Metadata {
            disable_upsert: true,
            key: key(2),
        },
        new_connection: false,
        now: bench.now,
    };
    let records = bench.records().to_vec();
    let lost = bench.machine.observe(&records, &observation).records;
    bench.later(30).see(&key(2));
    assert_eq!(
        lost.map(|r| r.len()),
        bench.last.records.as_ref().map(Vec::len)
    );
    assert_eq!(bench.table(), "active 1, pending 2 x1");
}
