//! A rotation from end to end, through the process.

use std::fs;

use bao_dev::testing::KeyConfig;
use serde_json::Value;

use super::{
    child::Provider,
    world::{Sealed, World, until},
};

/// Version and state of each record on disk, the active one first.
fn records(world: &World) -> Vec<(i64, String)> {
    let text = fs::read_to_string(world.stage.state_file()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let records = document["snapshots"].as_array().unwrap();
    let of = |record: &Value| {
        let state = record["state"].as_str().unwrap().to_owned();
        (record["transitVersion"].as_i64().unwrap(), state)
    };
    records.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_survives_a_crash_in_its_middle_and_key_id_changes_once() {
    let mut world = World::new().await;
    world.stage.set("rotation.activationDelay", "4s");
    let (provider, old) = world.with_data().await;
    world.control().rotate().unwrap();
    provider.logged("rotation.pending", "level", "info").await;
    let pending = "openbao_kms_rotation_state{state=\"pending\"}";
    until("the pending state", async || {
        (provider.metric(pending).await == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(
        records(&world),
        [(1, "active".into()), (2, "pending".into())]
    );
    assert_eq!(provider.status().await.key_id, old.key_id);
    provider.killed().await;

    let provider = Provider::start(&world.stage);
    let first = provider.healthy().await;
    assert_eq!(
        first, old.key_id,
        "the write key changed without a promotion"
    );
    let mut client = provider.client().await;
    let mut seen = vec![first];
    until("the promotion", async || {
        let status = client.status().await.unwrap();
        assert_eq!(status.healthz, "ok", "a rotation interrupted the service");
        if seen.last() != Some(&status.key_id) {
            seen.push(status.key_id);
        }
        (seen.len() > 1).then_some(())
    })
    .await;
    let new = Sealed::make(&mut client).await;
    assert_eq!(seen, [old.key_id.clone(), new.key_id.clone()]);
    assert_eq!(
        records(&world),
        [(2, "active".into()), (1, "retired".into())]
    );
    assert_eq!(provider.metric("openbao_kms_key_version").await, Some(2.0));
    old.open(&mut client).await.unwrap();
    new.open(&mut client).await.unwrap();

    provider.terminated().await;
    let provider = world.healthy().await;
    assert_eq!(provider.status().await.key_id, new.key_id);
    old.open(&mut provider.client().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minimum_above_the_write_key_blocks_writes_until_the_next_version_takes_over() {
    let mut world = World::new().await;
    world.stage.set("rotation.activationDelay", "1h");
    let (provider, old) = world.with_data().await;
    world.control().rotate().unwrap();
    provider.logged("rotation.pending", "level", "info").await;
    let only_new = KeyConfig {
        min_encryption_version: Some(2),
        ..KeyConfig::default()
    };
    world.control().key_config(&only_new).unwrap();
    // Nobody can write with the old version any more, so the delay is pointless.
    provider.logged("rotation.promoted", "level", "info").await;
    let key_id = provider.healthy().await;
    assert_ne!(key_id, old.key_id);
    old.open(&mut provider.client().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_snapshot_rejects_what_was_pending_and_never_goes_back_from_what_was_active() {
    tokio::join!(pending_is_gone(), active_is_gone());
}

async fn pending_is_gone() {
    let mut world = World::new().await;
    world.stage.set("rotation.activationDelay", "1h");
    let (provider, old) = world.with_data().await;
    world.control().rotate().unwrap();
    provider.logged("rotation.pending", "level", "info").await;
    world.control().key_drop_versions(1).unwrap();
    provider.logged("rotation.rejected", "level", "warn").await;
    assert_eq!(provider.healthy().await, old.key_id);
    let expected = [(1, "active".into()), (2, "rejected".into())];
    assert_eq!(records(&world), expected);
}

async fn active_is_gone() {
    let world = World::new().await;
    let (provider, old) = world.with_data().await;
    let before = world.control().snapshot();
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let new = Sealed::make(&mut provider.client().await).await;
    let after = world.control().snapshot();
    let pair = world.stage.pair();
    world.control().restore(before, false).unwrap();
    provider.unhealthy("version_rollback").await;
    let findings = "the backend was rolled back";
    let line = provider
        .logged("status.changed", "findings", findings)
        .await;
    assert_eq!(line["level"], "warn");
    let mut client = provider.client().await;
    old.open(&mut client).await.unwrap();
    assert_eq!(world.stage.pair(), pair);

    world.control().restore(after, false).unwrap();
    assert_eq!(provider.healthy().await, new.key_id);
    new.open(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_disk_that_takes_no_writes_and_service_does_not() {
    let world = World::new().await;
    let (provider, old) = world.with_data().await;
    let directory = world.stage.state_file().parent().unwrap().to_owned();
    let away = directory.with_extension("away");
    fs::rename(&directory, &away).unwrap();
    world.control().rotate().unwrap();
    provider.logged("state.write_failed", "level", "warn").await;
    assert_eq!(provider.healthy().await, old.key_id);
    let mut client = provider.client().await;
    let meanwhile = Sealed::make(&mut client).await;
    assert_eq!(meanwhile.key_id, old.key_id);
    old.open(&mut client).await.unwrap();

    fs::rename(&away, &directory).unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    assert_eq!(
        records(&world),
        [(2, "active".into()), (1, "retired".into())]
    );
    meanwhile.open(&mut client).await.unwrap();
    assert_ne!(provider.healthy().await, old.key_id);
}
