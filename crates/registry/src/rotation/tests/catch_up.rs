//! A start with a registry that is older than the key.

use super::*;

/// 2 x (120 s + 3 x 30 s)
const OLD: i64 = 420;

/// Version 1 on disk, restarted when version 2 is `age` seconds old.
fn restarted(age: i64) -> Bench {
    let mut bench = Bench::new();
    bench.restart();
    bench.now.wall = created(2) + age;
    bench
}

#[test]
fn an_old_newest_version_is_promoted_before_the_first_healthy_status() {
    let mut bench = restarted(OLD + 1);
    for _ in 0..2 {
        bench.see_anew(&key(2));
        assert_eq!(bench.words(), ["catching_up"]);
        assert_eq!(bench.last.ask, Ask::Again(Duration::from_secs(2)));
        bench.later(2);
    }
    bench.see_anew(&key(2));
    assert_eq!(bench.words(), ["catching_up"]);
    assert!(bench.pass_trial());
    assert_eq!(bench.machine.findings(), []);
    assert_eq!(bench.table(), "active 2, retired 1");
    let record = bench.record(2);
    assert_eq!(record.promoted_unix, bench.now.wall);
    assert!(record.stable_count >= 1 && record.stable_unix <= record.promoted_unix);
}

#[test]
fn a_registry_born_from_a_lagging_answer_catches_up() {
    // (answers of the same laggard after the bootstrap, age of version 5, whether it is old)
    for (lagging, age, old) in [
        (0, OLD + 1, true),
        (3, OLD + 1, true),
        (0, OLD, false),
        (3, OLD, false),
    ] {
        let mut bench = Bench::new();
        bench.now.wall = created(5) + age - 30 * (lagging + 1);
        for _ in 0..lagging {
            bench.later(30).see(&key(1));
            assert_eq!(bench.words(), [""; 0]);
        }
        bench.later(30).see_anew(&key(5));
        if !old {
            assert_eq!(bench.words(), [""; 0]);
            assert_eq!(bench.last.ask, Ask::Nothing);
            continue;
        }
        assert_eq!(bench.words(), ["catching_up"]);
        for _ in 0..2 {
            assert_eq!(bench.last.ask, Ask::Again(Duration::from_secs(2)));
            bench.later(2).see_anew(&key(5));
            assert_eq!(bench.words(), ["catching_up"]);
        }
        assert!(bench.pass_trial());
        assert_eq!(bench.machine.findings(), []);
        assert_eq!(
            bench.table(),
            "active 5, retired 4, retired 3, retired 2, retired 1"
        );
        bench.later(30).see(&key(6));
        bench.now.wall += 10_000;
        bench.later(30).see(&key(6));
        assert_eq!(bench.words(), [""; 0], "only once in a process");
    }
}

#[test]
fn a_young_newest_version_takes_the_ordinary_way() {
    let mut bench = restarted(OLD);
    bench.see_anew(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.last.ask, Ask::Nothing);
    // Only at start: it is not caught up with when it grows old later.
    bench.later(300).see(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.table(), "active 1, pending 2 x2");
}

#[test]
fn reads_too_close_together_do_not_count() {
    let mut bench = restarted(OLD + 1);
    for _ in 0..5 {
        bench.see_anew(&key(2));
        assert!(matches!(bench.last.ask, Ask::Again(_)));
    }
}

#[test]
fn a_pending_record_is_caught_up_with_too() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    bench.restart();
    bench.now.wall = created(2) + OLD + 1;
    for _ in 0..3 {
        bench.later(2).see_anew(&key(2));
    }
    assert!(bench.pass_trial());
    assert_eq!(bench.table(), "active 2, retired 1");
}

#[test]
fn it_stays_unhealthy_while_the_trial_fails_and_while_answers_are_in_doubt() {
    let mut bench = restarted(OLD + 1);
    for _ in 0..3 {
        bench.later(2).see_anew(&key(2));
    }
    for _ in 0..3 {
        assert!(matches!(bench.last.ask, Ask::Trial(_)));
        bench.later(5).see(&key(2));
        assert_eq!(bench.words(), ["catching_up"]);
    }
    bench.later(5).see(&key(1));
    assert_eq!(bench.words(), ["catching_up"]);
}

#[test]
fn versions_in_between_are_kept_while_it_catches_up() {
    let mut bench = restarted(0);
    bench.now.wall = created(4) + OLD + 1;
    bench.see_anew(&key(4));
    assert_eq!(
        bench.table(),
        "active 1, pending 4 x1, retired 3, retired 2"
    );
    assert_eq!(bench.words(), ["catching_up"]);
}

#[test]
fn rejected_and_removed_versions_are_not_caught_up_with() {
    let mut bench = Bench::new();
    bench.see(&key(2));
    bench.later(30).insist(&key(1));
    assert_eq!(bench.table(), "active 1, rejected 2");
    bench.restart();
    bench.now.wall = created(2) + OLD + 1;
    bench.insist(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.table(), "active 1, pending 2 x1");

    let mut bench = Bench::new();
    bench.see(&key(3));
    let mut records = bench.records().to_vec();
    for record in &mut records {
        record.state = match record.version {
            3 => RecordState::Active,
            _ => RecordState::Retired,
        };
    }
    bench.write(records.clone());
    bench.disk = Some(bench.disk.as_ref().unwrap().retire_before(3).unwrap());
    assert_eq!(bench.table(), "active 3, removed 2, removed 1");
    bench.restart();
    bench.now.wall = created(3) + OLD + 1;
    bench.see(&key(3));
    assert_eq!((bench.words(), &bench.last.records), (vec![], &None));
}

#[test]
fn a_clock_far_behind_means_no_catch_up_rather_than_a_wrong_one() {
    let mut bench = restarted(-100_000);
    bench.see(&key(2));
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.table(), "active 1, pending 2 x1");
}
