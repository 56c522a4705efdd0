//! `kill -9` at any moment of a rotation: the next start is well, and nothing goes back.

use std::{collections::BTreeMap, fs, time::Duration};

use serde_json::Value;

use super::{
    child::Provider,
    world::{Sealed, World},
};

const CYCLES: usize = 20;

/// Version of the write key and generation, as they are on disk.
fn on_disk(world: &World) -> (i64, i64) {
    let text = fs::read_to_string(world.stage.state_file()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let records = document["snapshots"].as_array().unwrap();
    assert_eq!(records[0]["state"], "active");
    let version = records[0]["transitVersion"].as_i64().unwrap();
    (version, document["generation"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_in_a_storm_of_rotations_lose_nothing_and_turn_nothing_back() {
    let mut world = World::new().await;
    // A version is promoted some 800 ms after it was made, and one twice as old at a start is
    // caught up with, which takes seconds.
    world.stage.set("status.probeInterval", "100ms");
    world.stage.set("rotation.requireStableObservationCount", 8);
    world.stage.set("status.statusMaxStaleness", "8s");
    let mut sealed: Vec<Sealed> = Vec::new();
    // The order in which key_ids were seen, and which versions they are.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut newest = String::new();
    let mut last = (0, 0);
    for cycle in 0..CYCLES {
        let provider = Provider::start(&world.stage);
        let key_id = provider.healthy().await;
        let now = on_disk(&world);
        assert!(now >= last, "cycle {cycle}: {last:?} became {now:?}");
        last = now;
        let mut client = provider.client().await;
        if cycle % 2 == 0 {
            world.control().rotate().unwrap();
        }
        let until = tokio::time::Instant::now() + Duration::from_millis(fastrand::u64(0..1000));
        let mut given = vec![key_id];
        while tokio::time::Instant::now() < until {
            let status = client.status().await.unwrap();
            assert_eq!(status.healthz, "ok");
            given.push(status.key_id);
            sealed.push(Sealed::make(&mut client).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        provider.killed().await;
        for key_id in given {
            if key_id != newest {
                let fresh = seen.insert(key_id.clone(), cycle).is_none();
                assert!(fresh, "cycle {cycle}: the write key went back");
                newest = key_id;
            }
        }
    }
    assert!(seen.len() > 3, "too few promotions to prove anything");
    let provider = world.healthy().await;
    assert!(provider.events("state.notice").len() <= 2);
    let mut client = provider.client().await;
    for sealed in &sealed {
        sealed.open(&mut client).await.unwrap();
    }
}
