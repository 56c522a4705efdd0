//! Clocks that jump, and a process that stands still, under a provider that runs.
//!
//! libfaketime shows the process a wall clock of the test's choice. The kernel's boot-time clock,
//! by which leases and verdicts age, is asked past it, as on a machine whose wall clock is set.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use bao_dev::testing::Jwt;
use jiff::Timestamp;
use kms_server::client::Client;
use rustix::process::Signal;
use serde_json::Value;

use super::{
    child::Provider,
    stage::put,
    world::{Sealed, World, until},
};

const DAY: i64 = 86_400;

/// Where Debian puts it, on the machines that we build on.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A wall clock that the test sets.
struct Wall {
    library: &'static str,
    file: PathBuf,
}

impl Wall {
    /// As it is on this machine; `None` where libfaketime is missing, which CI has to have.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
    fn new(world: &World) -> Option<Self> {
        let found = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        let Some(library) = found else {
            let why = "libfaketime is missing: install the Debian package faketime";
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped because {why}");
            return None;
        };
        let file = world.aside().join("wall");
        let wall = Self { library, file };
        wall.set(0);
        Some(wall)
    }

    /// Off by `seconds` from now on.
    fn set(&self, seconds: i64) {
        put(&self.file, format!("{seconds:+}\n"), 0o644);
    }

    fn start(&self, world: &World) -> Provider {
        let mut wrapper = Command::new("/usr/bin/env");
        wrapper.env_clear().args([
            &format!("LD_PRELOAD={}", self.library),
            &format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]);
        Provider::start_through(wrapper, &world.stage)
    }
}

/// By how many days the process's last line is off.
fn days_off(provider: &Provider) -> Option<i64> {
    let text = provider.text();
    let line: Value = serde_json::from_str(text.lines().last()?).ok()?;
    let ts: Timestamp = line["ts"].as_str()?.parse().ok()?;
    let off = ts.as_second() - Timestamp::now().as_second();
    Some((off + DAY / 2).div_euclid(DAY))
}

async fn sees(provider: &Provider, days: i64) {
    until(&format!("a clock that is {days} days off"), async || {
        (days_off(provider) == Some(days)).then_some(())
    })
    .await;
}

/// For some probes: healthy, under that key, with both kinds of call.
async fn all_well(client: &mut Client, key_id: &str, sealed: &Sealed) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1200) {
        let status = client.status().await.unwrap();
        assert_eq!((&*status.healthz, &*status.key_id), ("ok", key_id));
        assert_eq!(Sealed::make(client).await.key_id, key_id);
        sealed.open(client).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Observed, stable and promoted time of each record, 0 for none, the write key first.
fn times(world: &World) -> Vec<[i64; 3]> {
    let text = fs::read_to_string(world.stage.state_file()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let fields = ["observedAtUnix", "stableAtUnix", "promotedAtUnix"];
    let of = |record: &Value| fields.map(|field| record[field].as_i64().unwrap_or(0));
    let records = document["snapshots"].as_array().unwrap();
    records.iter().map(of).collect()
}

async fn renewals(provider: &Provider) -> f64 {
    let sample = "openbao_kms_auth_renewal_total{status=\"ok\"}";
    provider.metric(sample).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_a_day_either_way_changes_nothing_and_time_on_disk_never_goes_back()
{
    let mut world = World::new().await;
    let Some(wall) = Wall::new(&world) else {
        return;
    };
    // The lease is an hour: a second less means a renewal every second.
    world.stage.set("auth.loginBeforeTokenExpiry", "3599s");
    world.stage.set("status.statusMaxStaleness", "8s");
    let provider = wall.start(&world);
    let key_id = provider.healthy().await;
    let mut client = provider.client().await;
    let sealed = Sealed::make(&mut client).await;
    for days in [1, -1, 0] {
        wall.set(days * DAY);
        sees(&provider, days).await;
        let renewed = renewals(&provider).await;
        all_well(&mut client, &key_id, &sealed).await;
        until("a renewal of the token", async || {
            (renewals(&provider).await > renewed).then_some(())
        })
        .await;
    }
    for event in ["auth.lease_short", "state.write_failed", "process.panic"] {
        assert!(provider.events(event).is_empty(), "{event}");
    }

    // A promotion a day ahead, then one at the right time: what is on disk only grows.
    wall.set(DAY);
    sees(&provider, 1).await;
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let ahead = times(&world)[0];
    wall.set(0);
    sees(&provider, 0).await;
    provider.killed().await;
    let provider = wall.start(&world);
    let key_id = provider.healthy().await;
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let [[observed, stable, promoted], before, _] = times(&world)[..] else {
        panic!("there are not three records");
    };
    assert_eq!(before, ahead);
    assert!(observed <= stable && stable <= promoted);
    assert!(promoted - Timestamp::now().as_second() < DAY / 2);
    let mut client = provider.client().await;
    assert_ne!(Sealed::make(&mut client).await.key_id, key_id);
    sealed.open(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wall_clock_that_jumps_cannot_shorten_the_activation_delay_nor_stop_a_rotation() {
    tokio::join!(delayed(DAY), delayed(-DAY));
}

async fn delayed(step: i64) {
    const DELAY: Duration = Duration::from_secs(3);
    let mut world = World::new().await;
    let Some(wall) = Wall::new(&world) else {
        return;
    };
    world.stage.set("rotation.activationDelay", "3s");
    world.stage.set("status.statusMaxStaleness", "8s");
    let provider = wall.start(&world);
    let key_id = provider.healthy().await;
    world.control().rotate().unwrap();
    let began = Instant::now();
    provider.logged("rotation.stable", "level", "info").await;
    wall.set(step);
    let mut client = provider.client().await;
    until("the promotion", async || {
        let status = client.status().await.unwrap();
        assert_eq!(status.healthz, "ok", "{step}");
        (status.key_id != key_id).then_some(())
    })
    .await;
    assert_eq!(
        days_off(&provider),
        Some(step / DAY),
        "it did not see the step"
    );
    let took = began.elapsed();
    assert!(took >= DELAY, "a step of {step} s: promoted after {took:?}");
    // Times in the future count as now: a step back begins the delay again, and no more.
    assert!(
        took < DELAY * 4,
        "a step of {step} s: promoted after {took:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_set_back_across_a_restart_keeps_the_key_and_the_times() {
    let mut world = World::new().await;
    let Some(wall) = Wall::new(&world) else {
        return;
    };
    world.stage.set("rotation.activationDelay", "2s");
    // Of a JWT from the future nobody can know whether it is one: it is not sent. This one is
    // valid on both days.
    let lasting = Jwt {
        issued_in: Some(-2 * DAY),
        expires_in: Some(2 * DAY),
        ..Jwt::default()
    };
    let lasting = world.bao.mint(&lasting).unwrap();
    put(&world.stage.jwt_file(), lasting, 0o640);
    let provider = wall.start(&world);
    let key_id = provider.healthy().await;
    let mut client = provider.client().await;
    let old = Sealed::make(&mut client).await;
    world.control().rotate().unwrap();
    provider.logged("rotation.stable", "level", "info").await;
    let before = times(&world);
    provider.killed().await;

    wall.set(-DAY);
    let began = Instant::now();
    let provider = wall.start(&world);
    assert_eq!(
        provider.healthy().await,
        key_id,
        "a restart is no promotion"
    );
    provider.logged("rotation.promoted", "level", "info").await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    let [promoted, retired] = times(&world)[..] else {
        panic!("there are not two records");
    };
    assert_eq!(retired, before[0]);
    assert_eq!(promoted[..2], before[1][..2]);
    assert!(promoted[2] >= promoted[1]);
    let mut client = provider.client().await;
    assert_ne!(Sealed::make(&mut client).await.key_id, key_id);
    old.open(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stood_still_never_vouches_for_the_past_and_is_soon_well() {
    let mut world = World::new().await;
    world.stage.hasten();
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    provider.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Nobody has looked at OpenBao for longer than a verdict lives. What is answered first
    // must come from a probe that ran since, or be no.
    world.control().seal();
    provider.signal(Signal::CONT);
    let status = client.status().await.unwrap();
    assert_eq!((&*status.healthz, &*status.key_id), ("unhealthy", ""));
    world.control().unseal();
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut client).await.unwrap();
    assert!(provider.events("process.panic").is_empty());
}
