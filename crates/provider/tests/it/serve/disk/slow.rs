//! A disk that answers late, or never: only the rotation waits for it.

use std::{
    fs,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use super::{
    super::world::{Sealed, until},
    FAILURES, Scene, UNWRITTEN,
    causes::{Cause, SYNCS},
    place::{Place, Setting},
    probes,
};

/// Two seconds for each of the four that a generation takes: file and name, state and checkpoint.
const SLOW: Cause = Cause {
    name: "slow syncs",
    setting: Setting::Traced,
    begins: |place| place.trace(SYNCS, None, "delay_enter=2000000"),
    ends: Place::untrace,
    says: "",
    is_renamed: false,
};

/// Ten minutes, which is for good.
const HANG: Cause = Cause {
    name: "a sync that hangs",
    begins: |place| place.trace(SYNCS, None, "delay_enter=600000000"),
    ..SLOW
};

/// At each look both files are whole: of the generation before or the next.
fn is_whole(scene: &Scene) {
    for (name, content) in scene.place.content().unwrap() {
        if name.starts_with("key-registry.json") && !name.ends_with(".lock") {
            let document: Result<Value, _> = serde_json::from_slice(&content);
            assert!(document.is_ok(), "{name} is torn");
        }
    }
}

/// A write is under way from the first temporary file on.
async fn write_began(scene: &Scene) {
    until("a write that has begun", async || {
        (scene.place.content()?.len() > 3).then_some(())
    })
    .await;
}

pub(super) async fn is_waited_for() {
    let name = SLOW.name;
    let mut scene = Scene::begin(&SLOW).await;
    write_began(&scene).await;
    let at = Timestamp::now();
    let mut meanwhile = vec![scene.goes_on(name).await];
    let promoted = until("a promotion that comes late", async || {
        is_whole(&scene);
        let status = scene.client.status().await.unwrap();
        assert_eq!(status.healthz, "ok");
        if status.key_id == scene.key_id {
            let sealed = Sealed::make(&mut scene.client).await;
            scene.old.open(&mut scene.client).await.unwrap();
            meanwhile.push(sealed);
            return None;
        }
        Some(status.key_id)
    })
    .await;
    // It is in force when it is durable, and not before.
    let took = scene.began.elapsed();
    assert!(took > Duration::from_secs(7), "{took:?}");
    assert_eq!(scene.promoted(name).await, promoted);
    let probes = probes(&scene.provider, at);
    assert!(probes > 5, "{probes} probes in {took:?}");
    assert_eq!(scene.provider.metric(FAILURES).await, Some(0.0));
    (SLOW.ends)(&scene.place);
    let new = Sealed::make(&mut scene.client).await;
    let sealed: Vec<_> = meanwhile.iter().chain([&new]).collect();
    scene.survives(SLOW.setting, &promoted, &sealed).await;
}

/// Until a line says that the disk takes long, which is once.
async fn is_said(scene: &mut Scene) -> Vec<Sealed> {
    let at = Timestamp::now();
    let mut meanwhile = Vec::new();
    until("a line about the disk", async || {
        meanwhile.push(scene.goes_on(HANG.name).await);
        (!scene.provider.events("state.write_slow").is_empty()).then_some(())
    })
    .await;
    let said = scene.provider.events("state.write_slow");
    assert_eq!((said.len(), &said[0]["level"]), (1, &"warn".into()));
    let passed = probes(&scene.provider, at);
    assert!(passed > 10, "{passed} probes in ten seconds");
    meanwhile
}

pub(super) async fn hangs_and_comes_back() {
    let name = HANG.name;
    let mut scene = Scene::begin(&HANG).await;
    let mut meanwhile = is_said(&mut scene).await;
    until("the page", async || {
        let (code, ready) = scene.provider.ready().await;
        assert_eq!(code, 200);
        (ready["state"]["trouble"] == "write_slow").then_some(())
    })
    .await;
    assert_eq!(scene.provider.metric(UNWRITTEN).await, Some(1.0));
    assert_eq!(scene.provider.metric(FAILURES).await, Some(0.0));
    assert_eq!(fs::read(scene.place.file()).unwrap(), scene.before);
    meanwhile.push(scene.goes_on(name).await);

    (HANG.ends)(&scene.place);
    let promoted = scene.promoted(name).await;
    let sealed: Vec<_> = meanwhile.iter().collect();
    scene.survives(HANG.setting, &promoted, &sealed).await;
}

/// A stop waits for the write, but not for ever. What ends then has written nothing that counts.
pub(super) async fn hangs_for_good() {
    let mut scene = Scene::begin(&HANG).await;
    write_began(&scene).await;
    let sealed = scene.goes_on(HANG.name).await;
    let began = Instant::now();
    scene.provider.signal(Signal::TERM);
    scene
        .provider
        .logged("process.failed", "error_class", "")
        .await;
    let took = began.elapsed();
    assert!((14..25).contains(&took.as_secs()), "{took:?}");
    // As with a real disk, the kernel keeps a thread that waits for it.
    (HANG.ends)(&scene.place);
    let ended = scene.provider.ended().await;
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    let line = ended.failed("task_failed");
    assert!(
        line["reason"].as_str().unwrap().contains("probes"),
        "{line}"
    );
    assert!(
        ended.text.contains("process.drain_timeout"),
        "{}",
        ended.text
    );
    assert_eq!(fs::read(scene.place.file()).unwrap(), scene.before);

    let (provider, _) = Place::start(&mut scene.world, HANG.setting);
    let line = provider.logged("state.notice", "reason", "removed").await;
    assert_eq!(line["level"], "warn");
    provider.logged("rotation.promoted", "level", "info").await;
    assert_ne!(provider.healthy().await, scene.key_id);
    let mut client = provider.client().await;
    for sealed in [&scene.old, &sealed] {
        sealed.open(&mut client).await.unwrap();
    }
}
