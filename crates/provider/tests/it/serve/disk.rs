//! A disk that takes no writes under a provider that runs: calls go on with the registry in
//! memory, a rotation waits and is made up for, and nothing is written over what others put there.
//!
//! What needs a file system of its own gets it in a mount namespace of its own; faults that no
//! file system can be asked for come from strace.

mod tracer;

mod place;

mod causes;

mod slow;

use std::{fs, process::Command, time::Instant};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use kms_server::client::Client;
use rustix::process::Signal;
use serde_json::Value;

use self::{
    causes::{CAUSES, Cause},
    place::{Place, Setting},
};
use super::{
    child::Provider,
    stage::mode,
    world::{Sealed, World, until},
};

const FAILURES: &str = "openbao_kms_state_write_failures_total{file=\"state\"}";
const UNWRITTEN: &str = "openbao_kms_state_unwritten{file=\"state\"}";

/// A provider whose next write is a promotion, and a disk in trouble.
struct Scene {
    /// Before the provider: one that is held cannot be killed.
    place: Place,
    provider: Provider,
    world: World,
    client: Client,
    key_id: String,
    old: Sealed,
    /// The state file, as it was last written.
    before: Vec<u8>,
    /// Before the provider could meet the cause.
    began: Instant,
}

impl Scene {
    /// The cause begins while the provider stands still, which is an instant for the provider.
    async fn begin(cause: &Cause) -> Self {
        for _ in 0..3 {
            if let Some(scene) = Self::try_begin(cause).await {
                return scene;
            }
        }
        panic!("{}: the promotion came first, three times", cause.name);
    }

    /// `None` where this machine was too slow: the activation delay was over before.
    async fn try_begin(cause: &Cause) -> Option<Self> {
        let mut world = World::new().await;
        world.stage.set("rotation.activationDelay", "2s");
        // A busy machine may keep probes and calls waiting: that is another test.
        world.stage.set("status.statusMaxStaleness", "20s");
        world.stage.set("openbao.timeout", "3s");
        let (provider, place) = Place::start(&mut world, cause.setting);
        let key_id = provider.healthy().await;
        let mut client = provider.client().await;
        let old = Sealed::make(&mut client).await;
        place.keep("first");
        world.control().rotate().unwrap();
        provider.logged("rotation.stable", "level", "info").await;
        provider.frozen().await;
        let content = place.content().unwrap();
        let before = fs::read(place.file()).unwrap();
        // The pair and its lock; a fourth file is a write that is under way.
        if content.len() != 3 || !String::from_utf8_lossy(&before).contains("\"pending\"") {
            return None;
        }
        (cause.begins)(&place);
        let began = Instant::now();
        provider.signal(Signal::CONT);
        Some(Self {
            world,
            provider,
            place,
            client,
            key_id,
            old,
            before,
            began,
        })
    }

    /// Everything is as it was before the cause: gives what was encrypted now.
    async fn goes_on(&mut self, name: &str) -> Sealed {
        let status = self.client.status().await.unwrap();
        let seen = (&*status.healthz, &status.key_id);
        assert_eq!(seen, ("ok", &self.key_id), "{name}");
        let sealed = Sealed::make(&mut self.client).await;
        assert_eq!(sealed.key_id, self.key_id, "{name}");
        self.old.open(&mut self.client).await.unwrap();
        sealed
    }

    /// The new key, as soon as it is in force. There is no moment without one.
    async fn promoted(&mut self, name: &str) -> String {
        let promoted = until(&format!("{name}: the promotion"), async || {
            let status = self.client.status().await.unwrap();
            assert_eq!(status.healthz, "ok", "{name}");
            (status.key_id != self.key_id).then_some(status.key_id)
        })
        .await;
        // Published before it is counted, and counted before it is read here.
        until(&format!("{name}: a state that is written"), async || {
            (self.provider.metric(UNWRITTEN).await == Some(0.0)).then_some(())
        })
        .await;
        let provider = &self.provider;
        provider.logged("rotation.promoted", "level", "info").await;
        assert_ne!(fs::read(self.place.file()).unwrap(), self.before, "{name}");
        promoted
    }

    /// Also the next process reads everything, and has the same key.
    async fn survives(mut self, setting: Setting, promoted: &str, sealed: &[&Sealed]) {
        self.provider.terminated().await;
        let (provider, _) = Place::start(&mut self.world, setting);
        assert_eq!(provider.healthy().await, promoted);
        let mut client = provider.client().await;
        for sealed in sealed.iter().copied().chain([&self.old]) {
            sealed.open(&mut client).await.unwrap();
        }
    }
}

async fn endures(cause: &Cause) {
    let name = cause.name;
    let mut scene = Scene::begin(cause).await;
    let broken = scene.place.content();

    // The promotion is due and cannot be written: everything else is as it was.
    let mut meanwhile = Vec::new();
    until(&format!("{name}: four attempts"), async || {
        meanwhile.push(scene.goes_on(name).await);
        (scene.provider.metric(FAILURES).await >= Some(4.0)).then_some(())
    })
    .await;
    lies_there(cause, &scene, broken.as_deref()).await;
    assert_eq!(scene.provider.metric(UNWRITTEN).await, Some(1.0), "{name}");
    let (code, ready) = scene.provider.ready().await;
    let trouble = &ready["state"]["trouble"];
    assert_eq!((code, trouble), (200, &"write_failed".into()), "{name}");
    is_told(cause, &scene.provider).await;

    (cause.ends)(&scene.place);
    let failed = scene.provider.metric(FAILURES).await.unwrap();
    let promoted = scene.promoted(name).await;
    let provider = &scene.provider;
    // One attempt may have been under way.
    let more = provider.metric(FAILURES).await.unwrap() - failed;
    assert!(more <= 1.0, "{name}: {more} attempts failed after its end");
    provider
        .logged("state.written_again", "level", "info")
        .await;
    assert_eq!(provider.events("state.written_again").len(), 1, "{name}");
    for sealed in meanwhile.iter().chain([&scene.old]) {
        sealed.open(&mut scene.client).await.unwrap();
    }
    let new = Sealed::make(&mut scene.client).await;
    assert_eq!(new.key_id, promoted);
    // A volume in a namespace goes with the process.
    if !matches!(cause.setting, Setting::Volume(_)) {
        scene.survives(cause.setting, &promoted, &[&new]).await;
    }
}

/// Nothing was written over what lies there; between two attempts, nothing is left of the last.
async fn lies_there(cause: &Cause, scene: &Scene, broken: Option<&[(String, Vec<u8>)]>) {
    let name = cause.name;
    until(&format!("{name}: what lay there before"), async || {
        let content = scene.place.content();
        if !cause.is_renamed {
            return (content.as_deref() == broken).then_some(());
        }
        let [(_, state), rest @ ..] = &content.as_deref()? else {
            return None;
        };
        // Whole, and the next one.
        let generation =
            |state| serde_json::from_slice::<Value>(state).unwrap()["generation"].as_u64();
        assert_eq!(
            generation(state),
            generation(&scene.before).map(|now| now + 1),
            "{name}"
        );
        (rest == &broken?[1..]).then_some(())
    })
    .await;
}

/// The operator reads the reason, and ever more rarely.
async fn is_told(cause: &Cause, provider: &Provider) {
    provider
        .logged("state.write_failed", "reason", cause.says)
        .await;
    let said = provider.events("state.write_failed");
    let warned: Vec<_> = said.iter().filter(|line| line["level"] == "warn").collect();
    for (line, nth) in warned.iter().zip(0..) {
        assert_eq!(line["repeated"], 1 << nth, "{}: {warned:?}", cause.name);
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains(cause.says), "{}: {reason}", cause.name);
    }
}

/// How many probes of the metadata passed after an instant and before the promotion.
fn probes(provider: &Provider, since: Timestamp) -> usize {
    let at = |line: &Value| line["ts"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let promoted = provider.events("rotation.promoted").first().map(at);
    let within = |line: &&Value| at(line) > since && promoted.is_none_or(|end| at(line) < end);
    let probes = provider.events("status.probe");
    let probes = probes
        .iter()
        .filter(|line| line["probe_kind"] == "metadata");
    probes.filter(within).count()
}

/// Whether this process may mount in a namespace of its own. On CI it has to be able to.
fn may_mount() -> bool {
    let script = "mount -t tmpfs tmpfs /tmp";
    let tried = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skipped(&format!(
        "this test mounts a small file system in a namespace of its own, which takes root: {why}"
    ))
}

/// Whether this process may hold the provider, which lets nobody but root look into it.
async fn may_trace() -> bool {
    let world = World::new().await;
    let provider = world.healthy().await;
    match tracer::Tracer::attach(provider.id(), causes::SYNCS, None, "error=EIO") {
        Ok(_) => true,
        Err(why) => skipped(&format!(
            "this test makes system calls of the provider fail, which takes root and the Debian \
             package strace: {why}"
        )),
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
fn skipped(why: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    false
}

/// A few at a time: they mostly wait, but not only.
async fn each(which: fn(Setting) -> bool) {
    let causes = CAUSES.iter().filter(|cause| which(cause.setting));
    stream::iter(causes).for_each_concurrent(4, endures).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_the_disk_and_calls_do_not() {
    each(|setting| matches!(setting, Setting::Plain | Setting::User)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_file_system_that_is_full_or_read_only_and_calls_do_not() {
    if may_mount() {
        each(|setting| matches!(setting, Setting::Volume(_))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_a_device_that_fails_or_hangs_and_calls_do_not() {
    if may_trace().await {
        tokio::join!(
            each(|setting| setting == Setting::Traced),
            slow::is_waited_for(),
            slow::hangs_and_comes_back(),
            slow::hangs_for_good(),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_state_directory_gets_the_registry_again_and_its_lock() {
    let world = World::new().await;
    let (provider, old) = world.with_data().await;
    let directory = world.stage.state_file().parent().unwrap().to_owned();
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    mode(&directory, 0o750);
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let new = Sealed::make(&mut provider.client().await).await;
    let second = Provider::start(&world.stage).ended().await;
    second.failed("state_locked");
    provider.killed().await;
    let provider = world.healthy().await;
    assert_eq!(provider.status().await.key_id, new.key_id);
    let mut client = provider.client().await;
    for sealed in [&old, &new] {
        sealed.open(&mut client).await.unwrap();
    }
}
