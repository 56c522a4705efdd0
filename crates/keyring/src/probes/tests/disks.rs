//! A disk that refuses, hangs, or takes only half of the pair: what goes on and what waits.

use super::{logs::Lines, *};
use crate::view::Trouble;

impl World {
    /// Time passes although a write hangs: paused time stands still by itself while a thread
    /// is busy.
    async fn hurry(&self, seconds: u64) {
        for _ in 0..seconds * 10 {
            tokio::time::advance(Duration::from_millis(100)).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn disk_trouble(&self) -> Option<&'static str> {
        let disk: Option<Trouble> = self.view.load().disk;
        disk.map(|trouble| trouble.word)
    }

    /// Running, with the promotion of version 2 on its way to a disk that hangs.
    async fn promoting() -> (Self, mpsc::Sender<()>) {
        let world = Self::healthy().await;
        world.transit.script().metadata = Ok(metadata(&[1, 2]));
        // Stable, and the activation delay runs: the next write is the promotion.
        world.pass(170).await;
        let hang = world.disk.hang();
        while !world.encrypts().contains(&2) {
            world.hurry(1).await;
        }
        world.hurry(1).await;
        assert_eq!(
            (world.healthy_version(), world.disk.active()),
            (Some(1), Some(1))
        );
        (world, hang)
    }

    async fn promoted(&self) {
        while self.view.load().generation < 5 {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.disk.active(), Some(2));
    }

    #[track_caller]
    fn has_metric(&self, line: &str) {
        let text = self.scrape();
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_keeps_nobody_waiting_but_the_rotation() {
    let lines = Lines::default();
    let guard = lines.capture();
    let world = World::healthy().await;
    let reads = world.reads();
    let hang = world.disk.hang();
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    // Far longer than a verdict lives: it is the probes that keep it alive.
    for _ in 0..600 {
        world.hurry(1).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    assert!(world.reads() > reads + 15, "{}", world.reads());
    assert!(world.encrypts().iter().all(|version| *version == 1));
    assert_eq!(world.disk_trouble(), Some("write_slow"));
    world.has_metric("state_unwritten{file=\"state\"} 1");
    let said = lines.with("state.write_slow");
    assert_eq!(said.len(), 1, "{said:?}");

    drop(hang);
    while world.healthy_version() == Some(1) {
        world.pass(1).await;
    }
    assert_eq!(
        (world.healthy_version(), world.disk.active()),
        (Some(2), Some(2))
    );
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"state\"} 0");
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_hangs_on_the_disk_switches_nothing_and_then_everything() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    // Stable, and the activation delay runs: the next write is the promotion.
    world.pass(170).await;
    let hang = world.disk.hang();
    for _ in 0..600 {
        world.hurry(1).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    assert!(world.encrypts().contains(&2), "the trial has passed");
    assert_eq!(world.disk_trouble(), Some("write_slow"));
    drop(hang);
    while world.healthy_version() == Some(1) {
        world.pass(1).await;
    }
    assert_eq!(
        (world.healthy_version(), world.disk.active()),
        (Some(2), Some(2))
    );
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_while_a_promotion_is_written_waits_for_it_and_turns_nothing_back() {
    for seen in [&[1, 2, 3][..], &[1]] {
        let (world, hang) = World::promoting().await;
        world.transit.script().metadata = Ok(metadata(seen));
        for _ in 0..100 {
            world.hurry(1).await;
            assert_eq!(world.view.load().generation, 4);
        }
        drop(hang);
        world.promoted().await;
        assert_eq!(world.view.load().active, Some(snapshot(2)));
        let mut named = Vec::new();
        for _ in 0..400 {
            world.pass(1).await;
            named.extend(world.healthy_version());
            assert!(world.disk.active() >= Some(2));
        }
        named.dedup();
        match seen {
            [1] => assert_eq!(world.reasons(), ["version_rollback"]),
            _ => assert_eq!(named, [2, 3]),
        }
        assert!(!named.contains(&1), "{named:?}");
        world.has_metric("state_write_failures_total{file=\"state\"} 0");
        world.end().await.unwrap();
    }
}

/// A deep probe whose answer is wrong, for good.
fn wrong() -> Encrypted {
    Encrypted {
        ciphertext: "vault:v9:x".into(),
        key_version: 9,
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_does_not_excuse_a_probe_that_failed_while_the_promotion_was_written() {
    let (world, hang) = World::promoting().await;
    world.transit.script().sealed.push_back(wrong());
    world.signals.deep_probe.notify_one();
    world.hurry(1).await;
    assert_eq!(world.reasons(), ["deep_probe_wrong"]);
    world.transit.script().down = Some(error(Class::Sealed));
    drop(hang);
    world.promoted().await;
    world.pass(1).await;
    assert_eq!(world.reasons(), ["deep_probe_wrong"]);
    world.transit.script().down = None;
    world.pass(31).await;
    assert_eq!(world.healthy_version(), Some(2));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_the_former_write_key_says_nothing_of_the_new_one() {
    let lines = Lines::default();
    let guard = lines.capture();
    let (world, hang) = World::promoting().await;
    world.transit.script().latency = Duration::from_secs(5);
    world.transit.script().sealed.push_back(wrong());
    world.signals.deep_probe.notify_one();
    world.hurry(1).await;
    world.transit.script().latency = Duration::ZERO;
    assert_eq!(world.encrypts().last(), Some(&1));
    drop(hang);
    world.promoted().await;
    world.pass(20).await;
    let changes = lines.with("status.changed");
    assert!(
        !changes.iter().any(|line| line.contains("deep_probe_wrong")),
        "{changes:?}"
    );
    assert_eq!(world.encrypts().last(), Some(&2), "its own probe follows");
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_and_is_not_wanted_any_more_is_no_trouble() {
    let world = World::healthy().await;
    world.disk.state().full = true;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(100).await;
    world.transit.script().metadata = Ok(metadata(&[1]));
    world.pass(31).await;
    assert_eq!(world.disk_trouble(), Some("write_failed"), "not at once");
    world.pass(90).await;
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"state\"} 0");
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_start_that_ends_for_the_disk_names_it() {
    let mut world = World::new(None);
    world.disk.state().full = true;
    world.start(settings());
    world.pass(61).await;
    let ended = world.task.take().unwrap().await.unwrap();
    let text = ended.unwrap_err().to_string();
    assert!(
        text.contains("no_active_key; ") && text.contains("; write_failed"),
        "{text}"
    );
    assert!(text.contains("state.*"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn equal_refusals_of_the_disk_are_counted_and_said_ever_more_rarely() {
    let lines = Lines::default();
    let guard = lines.capture();
    let world = World::healthy().await;
    world.has_metric("state_write_failures_total{file=\"state\"} 0");
    world.disk.state().full = true;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(3600).await;
    let refused = world.disk.state().refused;
    assert!(refused > 100, "{refused}");
    world.has_metric(&format!(
        "state_write_failures_total{{file=\"state\"}} {refused}"
    ));
    assert_eq!(world.disk_trouble(), Some("write_failed"));
    let since = world.view.load().disk.unwrap().since.mono;
    assert!(
        since < Duration::from_secs(40),
        "the first counts: {since:?}"
    );
    let said = lines.with("state.write_failed");
    assert!((6..=9).contains(&said.len()), "{said:?}");
    assert!(said[0].contains("no space left on device"));

    world.disk.state().full = false;
    world.pass(31).await;
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"state\"} 0");
    let again = lines.with("state.written_again");
    assert_eq!(again.len(), 1);
    assert!(again[0].contains(&format!("\"failures\":{refused}")));
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_behind_comes_with_the_next_generation_too() {
    let lines = Lines::default();
    let guard = lines.capture();
    let world = World::healthy().await;
    world.disk.state().checkpoint_fails = true;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(31).await;
    assert_eq!(world.disk_trouble(), Some("checkpoint_behind"));
    world.has_metric("state_unwritten{file=\"checkpoint\"} 1");
    world.has_metric("state_unwritten{file=\"state\"} 0");
    world.has_metric("state_write_failures_total{file=\"checkpoint\"} 1");
    world.disk.state().checkpoint_fails = false;
    world.pass(60).await;
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"checkpoint\"} 0");
    assert_eq!(lines.with("state.checkpoint_written").len(), 1);
    drop(guard);
    world.end().await.unwrap();
}

/// Started with a checkpoint that could not be written, and nothing else to write.
fn with_a_checkpoint_behind() -> World {
    let mut world = World::new(Some(first()));
    world.disk.state().checkpoint_fails = true;
    world.start(settings());
    world
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_is_behind_is_tried_again_by_itself_ever_more_rarely() {
    let lines = Lines::default();
    let guard = lines.capture();
    let world = with_a_checkpoint_behind();
    sleep(Duration::from_millis(500)).await;
    let mut tried = Vec::new();
    for second in 1..1000 {
        world.pass(1).await;
        assert_eq!(world.disk_trouble(), Some("checkpoint_behind"));
        if world.disk.state().renewals > tried.len() {
            tried.push(second);
        }
    }
    assert_eq!(tried, [30, 90, 210, 450, 690, 930]);
    assert_eq!(world.healthy_version(), Some(1));
    world.has_metric("state_unwritten{file=\"checkpoint\"} 1");
    world.has_metric("state_write_failures_total{file=\"checkpoint\"} 6");
    let said = lines.with("state.checkpoint_behind");
    assert_eq!(
        said.len(),
        3,
        "the first, second and fourth in a row: {said:?}"
    );

    world.disk.state().checkpoint_fails = false;
    world.pass(240).await;
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"checkpoint\"} 0");
    world.pass(1000).await;
    assert_eq!(world.disk.state().renewals, 7, "and not once more");
    let said = lines.with("state.checkpoint_written");
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("\"failures\":7"), "{said:?}");
    drop(guard);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_hangs_is_no_state_that_lags() {
    let world = with_a_checkpoint_behind();
    let hang = world.disk.hang();
    world.hurry(45).await;
    assert_eq!(world.healthy_version(), Some(1));
    assert_eq!(world.disk_trouble(), Some("checkpoint_behind"));
    world.has_metric("state_unwritten{file=\"state\"} 0");
    world.disk.state().checkpoint_fails = false;
    drop(hang);
    while world.disk_trouble().is_some() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.disk.state().renewals, 1);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_waits_for_a_checkpoint_that_hangs_is_seen() {
    let world = with_a_checkpoint_behind();
    let hang = world.disk.hang();
    world.hurry(45).await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.hurry(35).await;
    assert_eq!(world.disk_trouble(), Some("write_slow"));
    world.has_metric("state_unwritten{file=\"state\"} 1");
    assert_eq!(world.view.load().generation, 1);
    world.disk.state().checkpoint_fails = false;
    drop(hang);
    while world.view.load().generation < 2 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.disk_trouble(), None);
    world.has_metric("state_unwritten{file=\"state\"} 0");
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_promotion_that_waits_for_a_checkpoint_that_hangs_is_seen() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(75).await;
    // The last count comes without its checkpoint; then the activation delay runs.
    world.disk.state().checkpoint_fails = true;
    world.pass(25).await;
    assert_eq!(world.view.load().generation, 4);
    assert_eq!(world.disk_trouble(), Some("checkpoint_behind"));
    let hang = world.disk.hang();
    for _ in 0..300 {
        world.hurry(1).await;
        if world.disk_trouble() == Some("write_slow") {
            break;
        }
    }
    assert_eq!(world.disk_trouble(), Some("write_slow"));
    world.has_metric("state_unwritten{file=\"state\"} 1");
    assert!(!world.encrypts().contains(&2), "no trial without a disk");
    world.disk.state().checkpoint_fails = false;
    drop(hang);
    while world.disk.active() != Some(2) {
        sleep(Duration::from_millis(10)).await;
    }
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_start_found_is_shown_too() {
    let mut world = World::new(Some(first()));
    world.disk.state().checkpoint_fails = true;
    drop(world.probes(settings()));
    assert_eq!(world.disk_trouble(), Some("checkpoint_behind"));
    world.has_metric("state_unwritten{file=\"checkpoint\"} 1");
}

#[tokio::test(start_paused = true)]
async fn a_trial_speaks_for_the_write_key_while_it_is_no_older_than_a_probe_may_be() {
    for (age, speaks) in [(30, true), (31, false)] {
        let mut world = World::new(Some(first()));
        let mut probes = world.probes(settings());
        let mut now = world.clock.now();
        let tried = now.mono;
        now.mono += Duration::from_secs(age);
        probes.promoted(1, tried, now);
        let silent = probes.verdict().reasons.contains(&"deep_not_probed");
        assert_eq!(silent, !speaks, "{age} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_write_that_has_begun() {
    let mut world = World::healthy().await;
    let disk = Arc::clone(&world.disk);
    let hang = disk.hang();
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.hurry(40).await;
    drop(world.stop.take());
    world.hurry(1).await;
    assert!(!world.task.as_ref().unwrap().is_finished());
    drop(hang);
    world.end().await.unwrap();
    let state = disk.state();
    assert_eq!(state.document.as_ref().unwrap().generation(), 2);
}
