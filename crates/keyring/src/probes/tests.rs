//! The loop on paused time, against a scripted Transit and a disk in memory.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use openbao::{error::Class, transit::Encrypted};
use registry::{document::Document, key_id::KeyId, record::RecordState};
use tokio::{sync::oneshot, task::JoinHandle, time::sleep};

use super::*;
use crate::testing::{Asked, FakeTransit, PausedClock, created, error, metadata, scope, snapshot};

mod disks;
mod logs;
mod outages;
mod recoveries;
mod rotations;

#[derive(Default)]
struct DiskState {
    document: Option<Document>,
    full: bool,
    refused: usize,
    checkpoint_fails: bool,
    renewals: usize,
    hangs: Option<mpsc::Receiver<()>>,
}

#[derive(Default)]
struct Disk(Mutex<DiskState>);

impl Disk {
    /// The next write ends when the answer is dropped.
    fn hang(&self) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        self.state().hangs = Some(released);
        release
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn active(&self) -> Option<u64> {
        let state = self.state();
        state.document.as_ref().map(|d| d.active().version)
    }
}

impl Persist for Disk {
    fn persist(&self, records: &[Record]) -> Result<Persisted, PersistError> {
        let hangs = self.state().hangs.take();
        let _ = hangs.map(|released| released.recv());
        let mut state = self.state();
        if state.full {
            state.refused += 1;
            return Err(PersistError("no space left on device".into()));
        }
        let next = match &state.document {
            None => Document::first(&scope(), records[0].clone()),
            Some(document) => document.next(records.to_vec()),
        };
        let next = next.unwrap();
        let generation = next.generation();
        state.document = Some(next);
        let behind = "the checkpoint: no space left on device";
        Ok(Persisted {
            generation,
            checkpoint_behind: state.checkpoint_fails.then(|| behind.to_owned()),
        })
    }

    fn renew_checkpoint(&self) -> Result<(), PersistError> {
        let hangs = self.state().hangs.take();
        let _ = hangs.map(|released| released.recv());
        let mut state = self.state();
        state.renewals += 1;
        if state.checkpoint_fails {
            return Err(PersistError("no space left on device".into()));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Absorbed(Mutex<Vec<u64>>);

impl Absorbed {
    fn versions(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

impl Absorb for Absorbed {
    fn absorb(&self, metadata: &KeyMetadata) {
        self.0.lock().unwrap().push(metadata.latest_version);
    }
}

struct World {
    transit: Arc<FakeTransit>,
    disk: Arc<Disk>,
    absorbed: Arc<Absorbed>,
    signals: Arc<Signals>,
    clock: Arc<PausedClock>,
    view: Arc<ArcSwap<View>>,
    metrics: Registry,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), Error>>>,
}

fn settings() -> Settings {
    let s = Duration::from_secs;
    Settings {
        rotation: rotation::Settings {
            activation_delay: s(120),
            stable_count: 3,
            probe_interval: s(30),
        },
        health: health::Settings {
            probe_interval: s(30),
            deep_probe_interval: s(300),
            max_staleness: s(120),
            request_timeout: s(2),
        },
        bootstrap_grace: s(60),
        bootstrap_retry: s(5),
        on_timeout: OnTimeout::Exit,
    }
}

/// Version 1, active.
fn first() -> Document {
    let record = Record {
        version: 1,
        created_unix: created(1),
        key_id: KeyId::derive(&scope(), 1, created(1)),
        state: RecordState::Active,
        observed_unix: created(1) + 5,
        stable_count: 0,
        stable_unix: 0,
        promoted_unix: created(1) + 5,
    };
    Document::first(&scope(), record).unwrap()
}

impl World {
    fn new(document: Option<Document>) -> Self {
        let world = Self {
            transit: FakeTransit::new(),
            disk: Arc::default(),
            absorbed: Arc::default(),
            signals: Arc::default(),
            clock: PausedClock::start(),
            view: Arc::new(ArcSwap::from_pointee(View::default())),
            metrics: Registry::with_prefix("openbao_kms"),
            stop: None,
            task: None,
        };
        world.disk.state().document = document;
        world
    }

    /// With version 1 on disk, running and healthy.
    async fn healthy() -> Self {
        let mut world = Self::new(Some(first()));
        world.start(settings());
        world.pass(1).await;
        assert_eq!(world.healthy_version(), Some(1));
        world
    }

    fn probes(&mut self, settings: Settings) -> Probes {
        let state = self.disk.state();
        let loaded = match &state.document {
            None => Loaded::default(),
            Some(document) => Loaded {
                records: document.records().to_vec(),
                generation: document.generation(),
                checkpoint_behind: state.checkpoint_fails,
            },
        };
        drop(state);
        let doors = Doors {
            transit: Arc::clone(&self.transit) as _,
            persist: Arc::clone(&self.disk) as _,
            absorb: Arc::clone(&self.absorbed) as _,
            signals: Arc::clone(&self.signals),
            clock: Arc::clone(&self.clock) as _,
            view: Arc::clone(&self.view),
        };
        Probes::new(settings, scope(), "0.1.0", loaded, doors, &mut self.metrics)
    }

    fn start(&mut self, settings: Settings) {
        let probes = self.probes(settings);
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        self.task = Some(tokio::spawn(probes.run(async move {
            drop(stopped.await);
        })));
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }

    /// The version that Status would name now.
    fn healthy_version(&self) -> Option<u64> {
        let mono = self.clock.now().mono;
        let view = self.view.load();
        view.healthy(mono).ok().map(|active| active.version)
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.view.load().reasons.clone()
    }

    fn reads(&self) -> usize {
        let asked = self.transit.asked();
        asked
            .iter()
            .filter(|a| matches!(a, Asked::ReadKey { .. }))
            .count()
    }

    fn encrypts(&self) -> Vec<u64> {
        let version = |asked: &Asked| match asked {
            Asked::Encrypt { version } => Some(*version),
            _ => None,
        };
        self.transit.asked().iter().filter_map(version).collect()
    }

    fn scrape(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.metrics).unwrap();
        text
    }

    async fn end(mut self) -> Result<(), Error> {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn decrypt_is_ready_before_the_first_probe() {
    let mut world = World::new(Some(first()));
    drop(world.probes(settings()));
    let view = world.view.load();
    let key_id = &snapshot(1).key_id;
    assert_eq!(view.records[key_id].state, RecordState::Active);
    assert_eq!(view.records[key_id].snapshot, snapshot(1));
    assert_eq!(view.healthy_until, None);
    assert_eq!(view.reasons, ["metadata_not_probed", "deep_not_probed"]);
    assert_eq!(world.transit.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_virgin_key_is_recorded_then_probed_deeply_then_healthy() {
    let mut world = World::new(None);
    world.start(settings());
    world.pass(1).await;
    assert_eq!(world.disk.active(), Some(1));
    assert_eq!(world.healthy_version(), Some(1));
    assert_eq!(world.encrypts(), [1]);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_with_a_past_is_not_recorded_and_the_grace_time_ends_the_process() {
    let mut world = World::new(None);
    world.transit.script().metadata = Ok(metadata(&[1, 2]));
    world.start(settings());
    world.pass(59).await;
    assert_eq!(world.disk.active(), None);
    assert_eq!(
        world.reasons(),
        ["registry_missing", "no_active_key", "deep_not_probed"]
    );
    assert_eq!(
        world.absorbed.versions().first(),
        Some(&2),
        "discovery serves Decrypt"
    );
    assert!((12..=14).contains(&world.reads()), "{}", world.reads());
    world.pass(1).await;
    sleep(Duration::from_millis(1)).await;
    let is_over = world.task.as_ref().unwrap().is_finished();
    assert!(is_over, "as soon as the grace time is");
    let ended = world.task.take().unwrap().await.unwrap();
    let Err(timeout) = ended else {
        panic!("it ended without an error")
    };
    assert_eq!(timeout.class(), "bootstrap_timeout", "no probe failed");
    let Error::BootstrapTimeout { grace, reasons, .. } = timeout;
    assert_eq!(grace, Duration::from_secs(60));
    assert!(reasons.contains("registry_missing") && reasons.contains("docs/recovery.md"));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_openbao_keeps_waiting_ends_with_the_class_of_its_answer() {
    let mut world = World::new(Some(first()));
    world.transit.script().down = Some(error(Class::Sealed));
    world.start(settings());
    world.pass(61).await;
    let ended = world.task.take().unwrap().await.unwrap();
    assert_eq!(ended.unwrap_err().class(), "openbao_sealed");
}

#[tokio::test(start_paused = true)]
async fn where_the_settings_say_stay_it_keeps_trying() {
    let mut world = World::new(Some(first()));
    world.transit.script().down = Some(error(Class::Sealed));
    world.start(Settings {
        on_timeout: OnTimeout::Stay,
        ..settings()
    });
    world.pass(600).await;
    assert_eq!(world.healthy_version(), None);
    // Bootstrap is not guarded by a breaker.
    let tries = world.transit.count();
    assert!((238..=268).contains(&tries), "{tries}");
    world.transit.script().down = None;
    world.pass(6).await;
    assert_eq!(world.healthy_version(), Some(1));
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_calm_weather_it_stays_healthy_and_asks_little() {
    let world = World::healthy().await;
    for _ in 0..3600 {
        world.pass(1).await;
        assert_eq!(world.healthy_version(), Some(1));
    }
    assert!((120..=135).contains(&world.reads()), "{}", world.reads());
    let deep = world.encrypts().len();
    assert!((12..=15).contains(&deep), "{deep}");
    assert_eq!(
        world.disk.state().document.as_ref().unwrap().generation(),
        1
    );
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn there_is_one_probe_at_a_time_per_kind() {
    let world = World::healthy().await;
    world.transit.script().latency = Duration::from_secs(4);
    for _ in 0..300 {
        world.signals.deep_probe.notify_one();
        world.pass(1).await;
    }
    let (_, peak, _) = world.transit.flights();
    assert_eq!(peak, 2);
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_it_even_when_nothing_answers() {
    let world = World::healthy().await;
    world.transit.script().hangs = true;
    world.pass(100).await;
    world.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn metrics_show_verdict_key_and_breakers() {
    let world = World::healthy().await;
    world.pass(10).await;
    let text = world.scrape();
    let hash = snapshot(1).key_id.hash();
    for line in [
        "openbao_kms_status_healthy 1".to_owned(),
        "openbao_kms_key_version 1".to_owned(),
        "openbao_kms_state_generation 1".to_owned(),
        "openbao_kms_rotation_state{state=\"active\"} 1".to_owned(),
        "openbao_kms_rotation_state{state=\"pending\"} 0".to_owned(),
        "openbao_kms_circuit_breaker_state{kind=\"deep\"} 0".to_owned(),
        "openbao_kms_transit_metadata_observation_total{status=\"ok\"} 1".to_owned(),
        format!("openbao_kms_status_key_id_hash{{hash=\"{hash}\",sha256=\"sha256:"),
        "openbao_kms_status_cache_age_seconds 1".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    world.transit.script().down = Some(error(Class::Sealed));
    world.pass(200).await;
    let text = world.scrape();
    for line in [
        "openbao_kms_status_healthy 0",
        "openbao_kms_circuit_breaker_state{kind=\"metadata\"} 2",
        "openbao_kms_transit_metadata_observation_total{status=\"openbao_sealed\"}",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("status_key_id_hash{"), "{text}");
    world.end().await.unwrap();
}
