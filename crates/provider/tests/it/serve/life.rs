//! Ends and beginnings under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bao_dev::testing::{Action, Fault};
use kms_server::client::{Client, ClientError};
use registry::{annotations::KEY_ID_HASH, key_id::KeyId, scope::Scope};
use rustix::process::Signal;
use tokio::{task::JoinSet, time::timeout};

use super::{
    child::Provider,
    world::{PATIENCE, Sealed, World, until},
};

/// Callers that encrypt and decrypt without a pause until told to stop or cut off.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    callers: JoinSet<(Vec<Sealed>, Option<ClientError>)>,
}

impl Load {
    async fn on(provider: &Provider, callers: usize) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            done: Arc::default(),
            callers: JoinSet::new(),
        };
        for _ in 0..callers {
            let client = provider.client().await;
            load.callers
                .spawn(call(client, Arc::clone(&load.stop), Arc::clone(&load.done)));
        }
        until("load", async || {
            (load.done.load(Ordering::Relaxed) > 3 * callers).then_some(())
        })
        .await;
        load
    }

    /// Everything that was encrypted, and how each caller was cut off.
    async fn over(self) -> (Vec<Sealed>, Vec<ClientError>) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.callers.join_all().await;
        let (made, failures): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
        (made.concat(), failures.into_iter().flatten().collect())
    }
}

async fn call(
    mut client: Client,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> (Vec<Sealed>, Option<ClientError>) {
    let mut made = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let sealed = match Sealed::try_make(&mut client).await {
            Ok(sealed) => sealed,
            Err(error) => return (made, Some(error)),
        };
        let opened = sealed.open(&mut client).await;
        made.push(sealed);
        if let Err(error) = opened {
            return (made, Some(error));
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    (made, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_under_load_the_next_start_takes_the_socket_and_reads_everything() {
    let world = World::new().await;
    let provider = world.healthy().await;
    let load = Load::on(&provider, 4).await;
    provider.killed().await;
    let (made, failures) = load.over().await;
    assert_eq!(
        failures.len(),
        4,
        "nobody was cut off, so there was no load"
    );
    assert!(
        world.stage.socket().exists(),
        "a crash leaves its socket behind"
    );

    let provider = world.healthy().await;
    provider
        .logged("socket.stale_removed", "level", "warn")
        .await;
    assert_eq!(
        provider.metric("openbao_kms_socket_restarts_total").await,
        Some(1.0)
    );
    let mut client = provider.client().await;
    for sealed in &made {
        sealed.open(&mut client).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_calls_in_flight_finish_and_leaves_nothing() {
    let mut world = World::new().await;
    world.stage.set("openbao.timeout", "4s");
    world.stage.set("status.statusMaxStaleness", "10s");
    let (provider, sealed) = world.with_data().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(provider.client().await);
    }
    world
        .control()
        .fault(Fault::new(Action::Delay { ms: 1500 }).path("/v1/transit/decrypt/*"));
    let in_flight = "openbao_kms_grpc_in_flight{method=\"Decrypt\"}";
    let mut calls = JoinSet::new();
    for mut client in clients {
        let sealed = sealed.clone();
        calls.spawn(async move { sealed.open(&mut client).await });
    }
    until("calls in flight", async || {
        (provider.metric(in_flight).await == Some(4.0)).then_some(())
    })
    .await;
    let ended = provider.terminated().await;
    for outcome in calls.join_all().await {
        outcome.unwrap();
    }
    for event in ["process.signal", "socket.drained", "process.stopped"] {
        assert!(ended.text.contains(event), "{event}: {}", ended.text);
    }
}

const DECRYPTS: &str = "openbao_kms_grpc_in_flight{method=\"Decrypt\"}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_a_login_at_sigterm_gets_it_and_its_answer() {
    let mut world = World::new().await;
    world.stage.set("openbao.timeout", "4s");
    world.stage.set("status.statusMaxStaleness", "10s");
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    let control = world.control();
    control.fault(Fault::new(Action::Delay { ms: 1500 }).path("/v1/auth/jwt/login"));
    control.tokens_revoke_all();
    let call = tokio::spawn(async move { sealed.open(&mut client).await });
    // The token is gone for whoever asks, so the login has begun when this page says so.
    until("a lost token", async || {
        let login = provider.ready().await.1["login"].to_string();
        let waits = provider.metric(DECRYPTS).await == Some(1.0);
        (waits && login.contains("no_token")).then_some(())
    })
    .await;
    let ended = provider.terminated().await;
    call.await.unwrap().unwrap();
    assert!(ended.text.contains("process.stopped"), "{}", ended.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_nobody_waits_for_does_not_hold_up_the_end() {
    let mut world = World::new().await;
    world.stage.set("openbao.timeout", "9s");
    world.stage.set("status.statusMaxStaleness", "20s");
    let (provider, mut sealed) = world.with_data().await;
    let scope = Scope {
        provider_name: "openbao".into(),
        cluster_id: "cluster-1".into(),
        openbao_instance_id: "bao-tests".into(),
        openbao_namespace: String::new(),
        transit_mount_id: "transit-tests".into(),
        key_lineage_id: "k8s-etcd-1".into(),
    };
    let unknown = KeyId::derive(&scope, 9, 1_700_000_000);
    sealed.key_id = unknown.to_string();
    sealed
        .annotations
        .insert(KEY_ID_HASH.into(), unknown.hash().into_bytes());
    let mut client = provider.hurried_client().await;
    world
        .control()
        .fault(Fault::new(Action::Hang).path("/v1/transit/keys/*"));
    // Its key is looked for, by a task that has ten seconds; the caller has not.
    sealed.open(&mut client).await.unwrap_err();
    drop(client);
    let began = Instant::now();
    provider.terminated().await;
    assert!(
        began.elapsed() < Duration::from_secs(7),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_drain_at_once() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    world
        .control()
        .fault(Fault::new(Action::Hang).path("/v1/transit/decrypt/*"));
    let call = tokio::spawn(async move { sealed.open(&mut client).await });
    let in_flight = "openbao_kms_grpc_in_flight{method=\"Decrypt\"}";
    until("a call in flight", async || {
        (provider.metric(in_flight).await == Some(1.0)).then_some(())
    })
    .await;
    provider.signal(Signal::TERM);
    provider.logged("process.signal", "signal", "SIGTERM").await;
    provider.signal(Signal::TERM);
    let ended = timeout(Duration::from_secs(10), provider.ended())
        .await
        .unwrap();
    assert_eq!(ended.code, Some(5), "{}", ended.text);
    assert!(
        ended
            .text
            .contains("a second signal came before the drain was over"),
        "{}",
        ended.text
    );
    call.await.unwrap().unwrap_err();

    // What it left is no obstacle.
    world.control().faults_clear();
    world.healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_in_the_middle_of_the_start_is_an_orderly_stop() {
    let world = World::new().await;
    for _ in 0..5 {
        let provider = Provider::start(&world.stage);
        // The start takes a few milliseconds: whoever sleeps between two looks misses it.
        let first_line = async {
            while provider.events("process.started").is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, first_line).await.unwrap();
        provider.terminated().await;
    }
}
