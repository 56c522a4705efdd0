//! From a newer version to the next write key.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_rotation_is_written_then_published_without_an_unhealthy_moment() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    let mut seen = Vec::new();
    for _ in 0..400 {
        world.pass(1).await;
        let version = world.healthy_version().expect("healthy all the time");
        assert!(world.disk.active() >= Some(version), "disk first");
        if seen.last() != Some(&version) {
            seen.push(version);
        }
    }
    assert_eq!(seen, [1, 2]);
    assert_eq!(world.disk.active(), Some(2));
    let view = world.view.load();
    assert_eq!(
        view.records[&snapshot(1).key_id].state,
        RecordState::Retired
    );
    // The start, the trial, and the deep probe right after the promotion.
    assert!(
        world.encrypts().starts_with(&[1, 2, 2]),
        "{:?}",
        world.encrypts()
    );
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_version_that_fails_its_trial_does_not_become_the_write_key() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(100).await;
    let unusable = Encrypted {
        ciphertext: "vault:v1:x".into(),
        key_version: 1,
    };
    world.transit.script().sealed.push_back(unusable);
    world.pass(60).await;
    while world.encrypts().len() < 2 {
        world.pass(1).await;
    }
    world.pass(1).await;
    assert_eq!(world.encrypts(), [1, 2]);
    assert_eq!(
        (world.healthy_version(), world.disk.active()),
        (Some(1), Some(1))
    );
    world.pass(31).await;
    assert_eq!(
        (world.healthy_version(), world.disk.active()),
        (Some(2), Some(2))
    );
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_keeps_the_old_key_healthy_and_the_promotion_waits() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(130).await;
    assert!(world.view.load().records.contains_key(&snapshot(2).key_id));
    world.disk.state().full = true;
    for _ in 0..300 {
        world.pass(1).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    assert!(
        world.disk.state().refused > 3,
        "it is tried again and again"
    );
    world.disk.state().full = false;
    world.pass(31).await;
    assert_eq!(
        (world.healthy_version(), world.disk.active()),
        (Some(2), Some(2))
    );
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_never_written_is_never_tried() {
    let world = World::healthy().await;
    world.disk.state().full = true;
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.pass(400).await;
    assert!(world.encrypts().iter().all(|version| *version == 1));
    assert_eq!(world.view.load().records.len(), 1);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_registry_from_an_old_disk_catches_up_before_its_first_healthy_status() {
    let mut world = World::new(Some(first()));
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.start(settings());
    let mut seen = Vec::new();
    for _ in 0..200 {
        sleep(Duration::from_millis(100)).await;
        seen.extend(world.healthy_version());
    }
    seen.dedup();
    assert_eq!(seen, [2]);
    assert_eq!(world.disk.active(), Some(2));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pending_version_decrypts_as_soon_as_it_is_seen() {
    let world = World::healthy().await;
    world.transit.script().metadata = Ok(metadata(&[1, 2, 3]));
    world.pass(31).await;
    let view = world.view.load();
    let states = [2, 3].map(|v| view.records[&snapshot(v).key_id].state);
    assert_eq!(states, [RecordState::Retired, RecordState::Pending]);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_raised_minimum_blocks_writes_until_the_promotion_and_skips_the_delay() {
    let world = World::healthy().await;
    let mut closed = metadata(&[1, 2]);
    closed.min_encryption_version = 2;
    world.transit.script().metadata = Ok(closed);
    world.pass(31).await;
    assert_eq!(world.healthy_version(), None);
    assert_eq!(world.reasons(), ["encryption_blocked"]);
    world.pass(70).await;
    assert_eq!(world.healthy_version(), Some(2));
    world.end().await.unwrap();
}
