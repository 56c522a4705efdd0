use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assert_ne, proptest};

use super::*;

const SCHEDULE: Schedule = Schedule {
    initial_delay: Duration::ZERO,
    period: Duration::from_secs(10),
    timeout: Duration::from_secs(1),
    successes: 1,
    failures: 3,
};

fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn running(id: &str, age: u64) -> Container<'_> {
    Container {
        id,
        age: Some(s(age)),
        started: true,
        stopping: false,
    }
}

fn stopped(id: &str) -> Container<'_> {
    Container {
        age: None,
        ..running(id, 0)
    }
}

struct Bench {
    worker: Worker,
    now: Duration,
}

impl Bench {
    fn new(kind: Kind, schedule: Schedule) -> Self {
        Self {
            worker: Worker::new(kind, schedule, s(100)),
            now: s(100),
        }
    }

    fn see(&mut self, container: Container<'_>) -> Option<Verdict> {
        self.worker.see(container, self.now)
    }

    /// The next round, whenever it is due.
    fn round(&mut self, success: Option<bool>) -> Option<Verdict> {
        self.now = self.now.max(self.worker.next().expect("a round is due"));
        let ticket = self.worker.begin(self.now).expect("a round is due");
        self.worker.finish(ticket, success, self.now)
    }
}

#[test]
fn what_holds_before_anything_was_probed_depends_on_the_kind() {
    for (kind, initial) in [
        (Kind::Startup, Verdict::Unknown),
        (Kind::Liveness, Verdict::Success),
        (Kind::Readiness, Verdict::Failure),
    ] {
        let mut bench = Bench::new(kind, SCHEDULE);
        assert_eq!(bench.worker.verdict(), initial);
        assert_eq!(bench.see(running("c1", 0)), None);
        assert_eq!(bench.worker.verdict(), initial, "{kind:?}");
    }
}

#[test]
fn nothing_is_probed_before_there_is_a_container() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    assert_eq!(bench.worker.next(), None);
    assert_eq!(bench.see(stopped("")), None);
    assert_eq!(bench.worker.next(), None);
}

#[test]
fn a_verdict_is_published_when_its_row_is_long_enough() {
    let schedule = Schedule {
        successes: 2,
        ..SCHEDULE
    };
    let mut bench = Bench::new(Kind::Readiness, schedule);
    bench.see(running("c1", 0));
    let rows = [
        (true, None),
        (true, Some(Verdict::Success)),
        (true, None),
        (false, None),
        (false, None),
        (true, None),
        (false, None),
        (false, None),
        (false, Some(Verdict::Failure)),
        (false, None),
        (true, None),
        (false, None),
        (true, None),
        (true, Some(Verdict::Success)),
    ];
    for (step, (success, published)) in rows.into_iter().enumerate() {
        assert_eq!(bench.round(Some(success)), published, "step {step}");
    }
}

#[test]
fn a_round_without_a_result_counts_neither_way() {
    let mut bench = Bench::new(Kind::Liveness, SCHEDULE);
    bench.see(running("c1", 0));
    bench.round(Some(false));
    bench.round(None);
    bench.round(Some(false));
    assert_eq!(bench.worker.verdict(), Verdict::Success);
    assert_eq!(bench.round(Some(false)), Some(Verdict::Failure));
}

#[test]
fn a_published_liveness_failure_holds_until_a_new_container() {
    let mut bench = Bench::new(Kind::Liveness, SCHEDULE);
    bench.see(running("c1", 0));
    for _ in 0..3 {
        bench.round(Some(false));
    }
    assert_eq!(bench.worker.verdict(), Verdict::Failure);
    assert_eq!(bench.worker.next(), None);
    assert_eq!(bench.see(stopped("c1")), None);
    assert_eq!(bench.see(running("c2", 0)), Some(Verdict::Success));
    assert!(bench.worker.next().is_some());
    assert_eq!(bench.round(Some(false)), None, "the row begins anew");
}

#[test]
fn any_published_startup_result_holds_until_a_new_container() {
    for success in [true, false] {
        let mut bench = Bench::new(Kind::Startup, SCHEDULE);
        let starting = Container {
            started: false,
            ..running("c1", 0)
        };
        bench.see(starting);
        let rounds = if success { 1 } else { 3 };
        for _ in 0..rounds {
            bench.round(Some(success));
        }
        assert_ne!(bench.worker.verdict(), Verdict::Unknown);
        assert_eq!(bench.worker.next(), None);
        bench.see(running("c1", 5));
        assert_eq!(bench.worker.next(), None);
        let again = Container {
            id: "c2",
            ..starting
        };
        assert_eq!(bench.see(again), Some(Verdict::Unknown));
        assert!(bench.worker.next().is_some());
    }
}

#[test]
fn until_the_container_has_started_only_its_startup_is_probed_and_then_no_more() {
    for (kind, before, after) in [
        (Kind::Startup, true, false),
        (Kind::Liveness, false, true),
        (Kind::Readiness, false, true),
    ] {
        let mut bench = Bench::new(kind, SCHEDULE);
        bench.see(Container {
            started: false,
            ..running("c1", 0)
        });
        assert_eq!(bench.worker.next().is_some(), before, "{kind:?}");
        bench.see(running("c1", 1));
        assert_eq!(bench.worker.next().is_some(), after, "{kind:?}");
    }
}

#[test]
fn the_initial_delay_counts_from_the_start_of_the_container() {
    let schedule = Schedule {
        initial_delay: s(30),
        ..SCHEDULE
    };
    for (age, due) in [(0, 130), (10, 120), (30, 100), (500, 100)] {
        let mut bench = Bench::new(Kind::Liveness, schedule);
        bench.see(running("c1", age));
        assert_eq!(bench.worker.next(), Some(s(due)), "{age}");
        bench.now = s(105);
        bench.see(running("c1", age + 5));
        assert_eq!(
            bench.worker.next().unwrap().max(bench.now),
            s(due.max(105)),
            "{age}"
        );
    }
}

#[test]
fn rounds_follow_each_other_by_the_period_and_a_long_one_is_followed_at_once_by_one() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    bench.see(running("c1", 0));
    let ticket = bench.worker.begin(s(100)).unwrap();
    assert_eq!(bench.worker.next(), None, "one at a time");
    bench.worker.finish(ticket, Some(true), s(103));
    assert_eq!(bench.worker.next(), Some(s(110)));
    let ticket = bench.worker.begin(s(110)).unwrap();
    bench.worker.finish(ticket, Some(true), s(145));
    assert_eq!(bench.worker.next(), Some(s(145)));
    bench.worker.begin(s(145)).unwrap();
    assert!(bench.worker.begin(s(145)).is_none());
}

#[test]
fn a_container_that_does_not_run_has_failed() {
    for kind in [Kind::Startup, Kind::Liveness, Kind::Readiness] {
        let mut bench = Bench::new(kind, SCHEDULE);
        bench.see(running("c1", 0));
        bench.see(stopped("c1"));
        assert_eq!(bench.worker.verdict(), Verdict::Failure, "{kind:?}");
        assert_eq!(bench.worker.next(), None);
    }
}

#[test]
fn of_a_pod_that_is_being_stopped_only_readiness_is_probed() {
    for (kind, verdict, probed) in [
        (Kind::Startup, Verdict::Success, false),
        (Kind::Liveness, Verdict::Success, false),
        (Kind::Readiness, Verdict::Failure, true),
    ] {
        let mut bench = Bench::new(kind, SCHEDULE);
        bench.see(Container {
            stopping: true,
            ..running("c1", 50)
        });
        assert_eq!(bench.worker.verdict(), verdict, "{kind:?}");
        assert_eq!(bench.worker.next().is_some(), probed, "{kind:?}");
    }
}

#[test]
fn a_result_of_the_container_before_is_nothing() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    bench.see(running("c1", 0));
    let ticket = bench.worker.begin(bench.now).unwrap();
    bench.see(running("c2", 0));
    assert_eq!(bench.worker.finish(ticket, Some(true), bench.now), None);
    assert_eq!(bench.worker.verdict(), Verdict::Failure);
    assert!(bench.worker.next().is_some());
}

#[test]
fn a_result_that_comes_after_the_end_of_its_container_is_nothing() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    bench.see(running("c1", 0));
    let ticket = bench.worker.begin(bench.now).unwrap();
    bench.see(stopped("c1"));
    assert_eq!(bench.worker.finish(ticket, Some(true), bench.now), None);
    assert_eq!(bench.worker.verdict(), Verdict::Failure);
}

#[test]
fn readiness_is_probed_at_once_when_its_container_starts_or_is_adopted() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    bench.worker = Worker::new(Kind::Readiness, SCHEDULE, s(109));
    bench.see(running("adopted", 5_000));
    assert_eq!(bench.worker.next(), Some(s(100)));
    bench.round(Some(true));
    // Restarted in the middle of a period.
    bench.now = s(103);
    bench.see(running("c2", 0));
    assert_eq!(bench.worker.next(), Some(s(103)));

    let mut worker = Worker::new(Kind::Liveness, SCHEDULE, s(109));
    worker.see(running("adopted", 5_000), s(100));
    assert_eq!(worker.next(), Some(s(109)));
}

#[test]
fn a_kick_brings_the_next_round_of_what_is_not_ready_and_not_of_what_was_just_probed() {
    let mut bench = Bench::new(Kind::Readiness, SCHEDULE);
    bench.see(running("c1", 0));
    bench.round(Some(false));
    bench.worker.kick(bench.now + Duration::from_millis(900));
    assert_eq!(bench.worker.next(), Some(s(110)));
    bench.worker.kick(s(102));
    assert_eq!(bench.worker.next(), Some(s(102)));
    bench.round(Some(true));
    assert_eq!(
        bench.worker.next(),
        Some(s(112)),
        "the period counts from there"
    );
    bench.worker.kick(s(105));
    assert_eq!(bench.worker.next(), Some(s(112)), "it is ready");
    let mut bench = Bench::new(Kind::Liveness, SCHEDULE);
    bench.see(running("c1", 0));
    bench.round(Some(false));
    bench.worker.kick(s(105));
    assert_eq!(bench.worker.next(), Some(s(110)));
}

#[test]
fn a_young_agent_spreads_first_rounds_over_one_period_and_an_old_one_does_not() {
    let mut random = Rng::with_seed(7);
    let first: Vec<_> = (0..100)
        .map(|_| first_round(s(5), s(5), s(10), &mut random))
        .collect();
    assert!(first.iter().all(|first| (s(5)..s(15)).contains(first)));
    assert!(
        first
            .iter()
            .max()
            .unwrap()
            .abs_diff(*first.iter().min().unwrap())
            > s(8)
    );
    assert_eq!(first_round(s(50), s(10), s(10), &mut random), s(50));
}

#[test]
fn numbers_of_a_manifest_are_taken_and_missing_ones_are_the_defaults_of_the_api() {
    let probe = api::Probe {
        initial_delay_seconds: Some(5),
        period_seconds: Some(2),
        timeout_seconds: Some(15),
        success_threshold: Some(4),
        failure_threshold: Some(24),
        ..api::Probe::default()
    };
    let schedule = Schedule::of(&probe);
    assert_eq!(
        schedule,
        Schedule {
            initial_delay: s(5),
            period: s(2),
            timeout: s(15),
            successes: 4,
            failures: 24,
        }
    );
    assert_eq!(Schedule::of(&api::Probe::default()), SCHEDULE);
    let zeros = api::Probe {
        period_seconds: Some(0),
        failure_threshold: Some(-1),
        ..api::Probe::default()
    };
    assert_eq!(Schedule::of(&zeros), SCHEDULE);
}

proptest! {
    #[test]
    fn a_verdict_changes_only_after_a_row_of_its_length_or_with_the_container(
        results in proptest::collection::vec(any::<Option<bool>>(), 1..80),
        successes in 1_u32..4,
        failures in 1_u32..4,
    ) {
        let schedule = Schedule { successes, failures, ..SCHEDULE };
        let mut bench = Bench::new(Kind::Readiness, schedule);
        bench.see(running("c1", 0));
        let mut row: Vec<bool> = Vec::new();
        for result in results {
            let before = bench.worker.verdict();
            let started = bench.now;
            let published = bench.round(result);
            prop_assert!(bench.now <= started + schedule.period);
            row.extend(result);
            if let Some(verdict) = published {
                prop_assert_ne!(verdict, before);
                let success = verdict == Verdict::Success;
                let length = if success { successes } else { failures };
                let tail = row.iter().rev().take_while(|last| **last == success).count();
                prop_assert_eq!(tail, usize::try_from(length).unwrap());
            }
        }
    }
}
