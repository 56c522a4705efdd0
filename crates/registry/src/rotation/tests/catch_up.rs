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

/// Three agreeing reads, two seconds apart, then the trial.
fn catch_up(bench: &mut Bench, key: &KeyMetadata) {
    for _ in 0..2 {
        assert_eq!(bench.words(), ["catching_up"]);
        assert_eq!(bench.last.ask, Ask::Again(Duration::from_secs(2)));
        bench.later(2).see_anew(key);
    }
    assert_eq!(bench.words(), ["catching_up"]);
    assert!(bench.pass_trial());
    assert_eq!(bench.machine.findings(), []);
}

#[test]
fn a_registry_born_from_a_lagging_answer_catches_up() {
    let (old, young) = (
        "active 5, retired 4, retired 3, retired 2, retired 1",
        "active 4, retired 5, retired 3, retired 2, retired 1",
    );
    // (answers of the same laggard after the bootstrap, age of version 5, what it catches up to)
    for (lagging, age, table) in [
        (0, OLD + 1, old),
        (3, OLD + 1, old),
        (0, OLD - 100, young),
        (3, OLD - 100, young),
    ] {
        let mut bench = Bench::empty();
        bench.now.wall = created(5) + age - 30 * (lagging + 1);
        bench.see(&key(1));
        assert_eq!(bench.table(), "active 1");
        for _ in 0..lagging {
            bench.later(30).see(&key(1));
            assert_eq!(bench.words(), [""; 0]);
        }
        bench.later(30).see_anew(&key(5));
        catch_up(&mut bench, &key(5));
        assert_eq!(bench.table(), table);
        bench.later(30).see(&key(6));
        bench.now.wall += 10_000;
        bench.later(30).see(&key(6));
        assert_eq!(bench.words(), [""; 0], "only once in a process");
    }
}

#[test]
fn a_version_made_after_the_registry_takes_the_ordinary_way_however_late_it_is_seen() {
    // An outage as long as a version takes to grow old, and a wall clock that jumps a day ahead.
    for (outage, jump) in [(1000 + OLD, 0), (1000, 86_400)] {
        let mut bench = Bench::new();
        bench.later(u64::try_from(outage).unwrap());
        bench.now.wall += jump;
        for count in 1..=3 {
            bench.later(30).see(&key(2));
            assert_eq!(bench.words(), [""; 0], "it stays healthy");
            assert_eq!(bench.last.ask, Ask::Nothing, "its own count and delay");
            assert_eq!(bench.table(), format!("active 1, pending 2 x{count}"));
        }
        bench.later(119).see(&key(2));
        assert_eq!(bench.last.ask, Ask::Nothing);
        bench.later(1).see(&key(2));
        assert!(bench.pass_trial());
        assert_eq!(bench.table(), "active 2, retired 1");
    }
}

#[test]
fn a_version_made_in_the_very_second_of_the_registry_may_be_in_use_already() {
    for (later, words) in [(0, vec!["catching_up"]), (1, vec![])] {
        let mut bench = Bench::new();
        let mut rotated = key(2);
        rotated.creation_times.insert(2, bench.now.wall + later);
        bench.later(1000).see_anew(&rotated);
        assert_eq!(bench.words(), words, "{later} s later");
    }
}

#[test]
fn below_a_young_newest_version_it_catches_up_to_the_newest_old_one_and_then_rotates() {
    let mut bench = restarted(0);
    bench.now.wall = created(4) + OLD - 10;
    bench.see_anew(&key(4));
    assert_eq!(
        bench.last.findings,
        [Finding::CatchingUp { from: 1, to: 3 }]
    );
    assert_eq!(
        bench.table(),
        "active 1, pending 3 x1, retired 4, retired 2"
    );
    catch_up(&mut bench, &key(4));
    assert_eq!(bench.table(), "active 3, retired 4, retired 2, retired 1");
    bench.later(30).see(&key(4));
    assert_eq!(
        bench.table(),
        "active 3, pending 4 x1, retired 2, retired 1"
    );
    for _ in 0..5 {
        bench.later(30).see(&key(4));
        assert_eq!(bench.last.ask, Ask::Nothing, "its own count and delay");
    }
    bench.later(30).see(&key(4));
    assert!(bench.pass_trial());
    assert_eq!(bench.table(), "active 4, retired 3, retired 2, retired 1");
}

#[test]
fn a_rotation_during_the_catch_up_does_not_end_it() {
    let mut bench = restarted(OLD + 1);
    bench.see_anew(&key(2));
    let mut rotated = key(2);
    rotated.latest_version = 3;
    rotated.creation_times.insert(3, bench.now.wall);
    bench.later(2).see_anew(&rotated);
    assert_eq!(
        bench.last.findings,
        [Finding::CatchingUp { from: 1, to: 2 }]
    );
    bench.later(2).see_anew(&rotated);
    assert!(bench.pass_trial());
    assert_eq!(bench.record(2).state, RecordState::Active);
    assert_eq!(bench.words(), ["catching_up"], "until the promotion");
    bench.later(30).see(&rotated);
    assert_eq!(bench.words(), [""; 0]);
    assert_eq!(bench.record(3).state, RecordState::Pending);
}

#[test]
fn a_pending_newest_version_waits_for_the_catch_up_and_is_counted_anew() {
    let mut bench = restarted(0);
    bench.now.wall = created(3) + 30;
    bench.machine.start.end();
    bench.see(&key(3));
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 1, pending 3 x2, retired 2");
    bench.restart();
    bench.see_anew(&key(3));
    assert_eq!(bench.table(), "active 1, pending 2 x1, retired 3");
    // A process that dies here leaves nothing that the next one reads differently.
    bench.restart();
    bench.see_anew(&key(3));
    catch_up(&mut bench, &key(3));
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 2, pending 3 x1, retired 1");
}

#[test]
fn a_version_that_grows_old_during_the_catch_up_becomes_its_target() {
    let mut bench = restarted(0);
    bench.now.wall = created(3) + OLD - 2;
    for _ in 0..2 {
        bench.later(1).see_anew(&key(3));
    }
    assert_eq!(
        bench.last.findings,
        [Finding::CatchingUp { from: 1, to: 2 }]
    );
    bench.later(1).see_anew(&key(3));
    assert_eq!(
        bench.last.findings,
        [Finding::CatchingUp { from: 1, to: 3 }]
    );
    assert_eq!(bench.table(), "active 1, pending 3 x1, retired 2");
    catch_up(&mut bench, &key(3));
}

#[test]
fn a_version_that_may_not_write_is_no_target_and_the_start_waits_for_the_way_out() {
    let mut bench = restarted(0);
    bench.now.wall = created(3) + 100;
    let mut blocked = key(3);
    blocked.min_encryption_version = 3;
    for _ in 0..2 {
        bench.later(30).see(&blocked);
        assert_eq!(bench.words(), ["encryption_blocked"]);
    }
    assert_eq!(bench.table(), "active 1, pending 3 x2, retired 2");
    // The minimum is lowered again: version 1 was not named, and is not named now.
    bench.later(30).see_anew(&key(3));
    assert_eq!(
        bench.last.findings,
        [Finding::CatchingUp { from: 1, to: 2 }]
    );
    bench.later(2).see_anew(&blocked);
    assert_eq!(bench.words(), ["encryption_blocked"]);
    bench.later(2).see_anew(&key(3));
    catch_up(&mut bench, &key(3));
    assert_eq!(bench.table(), "active 2, retired 3, retired 1");
}

#[test]
fn the_lowest_version_that_may_write_is_a_target() {
    let mut bench = restarted(OLD + 1);
    let mut raised = key(2);
    raised.min_encryption_version = 2;
    bench.see_anew(&raised);
    assert_eq!(bench.words(), ["encryption_blocked", "catching_up"]);
    for _ in 0..2 {
        bench.later(2).see_anew(&raised);
    }
    assert!(bench.pass_trial());
    assert_eq!(bench.machine.findings(), []);
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
fn a_rejected_version_is_passed_over_and_stays_so_when_it_has_come_back() {
    // It is younger than the target at first.
    let mut bench = Bench::new();
    bench.later(30).see(&key(3));
    bench.later(30).insist(&key(2));
    assert_eq!(bench.table(), "active 1, pending 2 x1, rejected 3");
    bench.restart();
    bench.now.wall = created(3) + OLD - 10;
    bench.insist(&key(3));
    let target = [Finding::CatchingUp { from: 1, to: 2 }];
    assert_eq!(bench.last.findings, target);
    assert_eq!(bench.table(), "active 1, pending 2 x2, retired 3");
    // It grows old; its record has forgotten that it was rejected, the process has not.
    bench.later(30).see_anew(&key(3));
    assert_eq!(bench.last.findings, target);
    bench.later(2).see_anew(&key(3));
    assert!(bench.pass_trial());
    bench.later(30).see(&key(3));
    assert_eq!(bench.table(), "active 2, pending 3 x1, retired 1");
    assert_eq!(bench.words(), [""; 0]);
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
