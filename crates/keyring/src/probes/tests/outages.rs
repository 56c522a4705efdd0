//! What fails, how long Status survives it, and how it comes back.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_outage_is_survived_until_the_result_is_stale_and_ended_by_the_next_probes() {
    let world = World::healthy().await;
    world.pass(299).await;
    world.transit.script().down = Some(error(Class::Sealed));
    world.pass(85).await;
    assert_eq!(
        world.healthy_version(),
        Some(1),
        "two missed probes are nothing"
    );
    world.pass(40).await;
    assert_eq!(world.healthy_version(), None);
    assert!(world.reasons().contains(&"metadata_stale"));
    world.transit.script().down = None;
    world.pass(61).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_success_of_one_kind_does_not_hide_the_other() {
    let world = World::healthy().await;
    world.transit.script().disable_upsert = false;
    world.pass(31).await;
    assert_eq!(world.reasons(), ["upsert_allowed"]);
    world.signals.deep_probe.notify_one();
    world.pass(1).await;
    assert_eq!(world.encrypts().len(), 2);
    assert_eq!(world.reasons(), ["upsert_allowed"]);
    world.transit.script().disable_upsert = true;
    world.pass(30).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_is_believed_after_three_answers_on_new_connections() {
    let world = World::healthy().await;
    world.pass(10).await;
    world.transit.script().metadata = Err(error(Class::KeyMissing));
    let before = world.reads();
    while world.reads() == before {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.healthy_version(), Some(1));
    world.pass(5).await;
    assert_eq!(world.healthy_version(), Some(1), "two of three");
    world.pass(2).await;
    assert_eq!(world.reasons(), ["key_missing"]);
    let asked = world.transit.asked();
    let fresh = |a: &&Asked| {
        matches!(
            a,
            Asked::ReadKey {
                new_connection: true
            }
        )
    };
    assert_eq!(asked.iter().filter(fresh).count(), 3);
    assert_eq!(
        world.absorbed.versions(),
        [1],
        "nothing unconfirmed reaches discovery"
    );
    world.transit.script().metadata = Ok(metadata(&[1]));
    world.pass(31).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

/// Waits for one more read, and says how long that took.
async fn next_read(world: &World) -> Duration {
    let (start, reads) = (world.clock.now().mono, world.reads());
    while world.reads() == reads {
        sleep(Duration::from_millis(10)).await;
        let waited = world.clock.now().mono.saturating_sub(start);
        assert!(waited < Duration::from_secs(100), "no read");
    }
    world.clock.now().mono.saturating_sub(start)
}

/// Answers of which each breaks the row of the other, so that none is ever confirmed.
type Doubtful = [Result<KeyMetadata, openbao::error::Error>; 2];

#[tokio::test(start_paused = true)]
async fn answers_that_are_not_confirmed_keep_no_verdict_alive() {
    let undated = |latest| Ok(KeyMetadata::with_defaults(latest, [].into()));
    let torn = || {
        let times = [(1, created(1)), (2, created(2))].into();
        Ok(KeyMetadata::with_defaults(1, times))
    };
    let (missing, denied) = (Class::KeyMissing, Class::PolicyDenied);
    let table: [Doubtful; 5] = [
        [Err(error(missing)), Err(error(denied))],
        [undated(1), Err(error(missing))],
        [undated(1), undated(2)],
        [Err(error(denied)), undated(3)],
        [torn(), torn()],
    ];
    for doubtful in table {
        let world = World::healthy().await;
        let alive_until = world.view.load().healthy_until.unwrap();
        let mut reads = world.reads();
        while world.clock.now().mono < alive_until {
            assert_eq!(world.healthy_version(), Some(1));
            if world.reads() > reads || reads == 1 {
                reads = world.reads();
                world.transit.script().metadata = doubtful[reads % 2].clone();
            }
            sleep(Duration::from_millis(100)).await;
            assert!(
                world
                    .view
                    .load()
                    .healthy_until
                    .is_none_or(|until| until == alive_until)
            );
        }
        assert!(world.reads() >= 4, "{doubtful:?}");
        assert_eq!(world.healthy_version(), None, "{doubtful:?}");
        world.pass(1).await;
        assert_eq!(world.reasons(), ["metadata_stale"], "{doubtful:?}");
        world.transit.script().metadata = Ok(metadata(&[1]));
        world.pass(60).await;
        assert_eq!(world.healthy_version(), Some(1), "{doubtful:?}");
        world.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_does_not_end_the_row_of_repeated_questions() {
    let world = World::healthy().await;
    world.transit.script().metadata = Err(error(Class::KeyMissing));
    next_read(&world).await;
    world.transit.script().metadata = Err(error(Class::ConnectionFailed));
    next_read(&world).await;
    world.transit.script().metadata = Err(error(Class::KeyMissing));
    for _ in 0..3 {
        let took = next_read(&world).await;
        assert!(took <= Duration::from_millis(2100), "{took:?}");
        let new_connection = true;
        let asked = world.transit.asked();
        let read = |a: &&Asked| matches!(a, Asked::ReadKey { .. });
        let last = asked.iter().rev().find(read);
        assert_eq!(last, Some(&Asked::ReadKey { new_connection }));
    }
    world.pass(1).await;
    assert_eq!(world.reasons(), ["key_missing"]);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn repeated_questions_that_nobody_answers_are_held_back_by_the_breaker() {
    let world = World::healthy().await;
    world.transit.script().metadata = Err(error(Class::KeyMissing));
    next_read(&world).await;
    world.transit.script().metadata = Err(error(Class::ConnectionFailed));
    world.pass(10).await;
    let open = world.reads();
    world.pass(15).await;
    assert_eq!(world.reads(), open);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tries_at_start_are_spread_so_that_no_fleet_asks_in_step() {
    let mut world = World::new(Some(first()));
    world.transit.script().metadata = Err(error(Class::Sealed));
    world.start(settings());
    world.pass(1).await;
    next_read(&world).await;
    let mut gaps = Vec::new();
    for _ in 0..8 {
        gaps.push(next_read(&world).await);
    }
    let shortest = *gaps.iter().min().unwrap();
    let longest = *gaps.iter().max().unwrap();
    assert!(shortest >= Duration::from_millis(4480), "{gaps:?}");
    assert!(longest <= Duration::from_millis(5020), "{gaps:?}");
    assert!(shortest + Duration::from_millis(20) < longest, "{gaps:?}");
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_lagging_answer_changes_nothing() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(70).await;
    let generation = |world: &World| world.disk.state().document.as_ref().unwrap().generation();
    let before = generation(&world);
    let reads = world.reads();
    world.transit.script().metadata = Ok(metadata(&[1]));
    while world.reads() == reads {
        sleep(Duration::from_millis(100)).await;
    }
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(3).await;
    assert_eq!(world.reads(), reads + 2, "asked again at once");
    assert_eq!(
        generation(&world),
        before + 1,
        "and counted, as if nothing had been"
    );
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wrong_deep_answer_is_unhealthy_at_once_and_repeated_soon() {
    let world = World::healthy().await;
    let other = Encrypted {
        ciphertext: "vault:v2:x".into(),
        key_version: 2,
    };
    let long = Encrypted {
        ciphertext: format!("vault:v1:{}", "x".repeat(1015)),
        key_version: 1,
    };
    for answer in [other, long] {
        world.pass(10).await;
        world.transit.script().sealed.push_back(answer);
        world.signals.deep_probe.notify_one();
        world.pass(1).await;
        assert_eq!(world.reasons(), ["deep_probe_wrong"]);
        world.pass(31).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn other_bytes_than_those_encrypted_are_unhealthy_at_once() {
    let world = World::healthy().await;
    world.pass(10).await;
    world.transit.script().empty = true;
    world.signals.deep_probe.notify_one();
    world.pass(1).await;
    assert_eq!(world.reasons(), ["deep_probe_wrong"]);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_live_failure_starts_a_deep_probe_at_once_and_at_most_every_five_seconds() {
    let world = World::healthy().await;
    world.pass(10).await;
    world.signals.deep_probe.notify_one();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.encrypts().len(), 2);
    for _ in 0..200 {
        world.signals.deep_probe.notify_one();
        sleep(Duration::from_millis(100)).await;
    }
    let probes = world.encrypts().len() - 2;
    assert!((3..=4).contains(&probes), "{probes} in 20 s");
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_holds_periodic_probes_back_until_a_live_call_succeeds() {
    let mut settings = settings();
    settings.health.probe_interval = Duration::from_secs(2);
    let mut world = World::new(Some(first()));
    world.start(settings);
    world.pass(1).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.transit.script().down = Some(error(Class::ConnectionFailed));
    world.pass(9).await;
    let open = world.transit.count();
    world.pass(20).await;
    assert_eq!(world.transit.count(), open, "open for 30 s");
    world.transit.script().down = None;
    world.signals.live_success();
    world.pass(1).await;
    assert!(world.transit.count() > open);
    world.pass(2).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_that_hang_end_at_their_limit_and_the_other_kind_goes_on() {
    let world = World::healthy().await;
    world.transit.script().hangs = true;
    world.pass(60).await;
    world.transit.script().hangs = false;
    assert_eq!(world.healthy_version(), Some(1));
    world.pass(40).await;
    let (in_flight, _, broken_off) = world.transit.flights();
    assert_eq!(in_flight, 0);
    assert!(broken_off >= 1);
    for _ in 0..300 {
        world.pass(1).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_verdict_goes_stale_by_itself_and_says_so() {
    let mut world = World::new(Some(first()));
    let mut settings = settings();
    settings.health.probe_interval = Duration::from_secs(10_000);
    settings.health.deep_probe_interval = Duration::from_secs(10_000);
    world.start(settings);
    world.pass(1).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.pass(120).await;
    assert_eq!(world.healthy_version(), None);
    assert_eq!(world.reasons(), ["metadata_stale"]);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_many_findings_sixteen_are_shown_and_the_rest_is_counted() {
    for (found, shown, omitted) in [(16, 16, 0), (20, 16, 4)] {
        let mut world = World::new(Some(first()));
        let mut probes = world.probes(settings());
        let findings = vec![registry::finding::Finding::KeyType; found];
        probes
            .health
            .metadata_accepted(&findings, world.clock.now().mono);
        probes.publish();
        let view = world.view.load();
        assert_eq!(
            (view.findings.len(), view.findings_omitted),
            (shown, omitted)
        );
    }
}
