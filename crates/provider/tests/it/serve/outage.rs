//! Outages while the provider runs: what callers see, and how soon all is well again.

use std::time::{Duration, Instant};

use bao_dev::testing::{Action, Fault, Listener};
use kms_server::client::Client;
use tonic::Code;

use super::world::{Sealed, World, refused, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_shorter_than_the_staleness_is_invisible_in_status() {
    let mut world = World::new().await;
    world.stage.set("status.statusMaxStaleness", "8s");
    let (provider, sealed) = world.with_data().await;
    world
        .control()
        .fault(Fault::new(Action::error(503, "Vault is sealed")));
    let mut client = provider.client().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        let status = client.status().await.unwrap();
        assert_eq!(
            (status.healthz.as_str(), &status.key_id),
            ("ok", &sealed.key_id)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::Unavailable, "openbao_sealed".into()));
    let opened = refused(sealed.open(&mut client).await);
    assert_eq!(opened, (Code::Unavailable, "openbao_sealed".into()));
    world.control().faults_clear();
    Sealed::make(&mut client).await;
    provider
        .logged("status.probe", "error_class", "openbao_sealed")
        .await;
    let changes = provider.events("status.changed");
    assert_eq!(changes.last().unwrap()["healthz"], "ok", "{changes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_is_unhealthy_without_a_key_id_and_ends_by_itself() {
    let mut world = World::new().await;
    world.stage.hasten();
    let (provider, sealed) = world.with_data().await;
    world.control().seal();
    provider.unhealthy("metadata_stale").await;
    let said = "metadata probe: openbao_sealed: ";
    provider.logged("status.changed", "findings", said).await;
    let mut client = provider.client().await;
    let encrypted = refused(Sealed::try_make(&mut client).await);
    assert_eq!(encrypted, (Code::FailedPrecondition, "status_stale".into()));
    let opened = refused(sealed.open(&mut client).await);
    assert_eq!(opened, (Code::Unavailable, "openbao_sealed".into()));
    assert_eq!(
        provider.metric("openbao_kms_status_healthy").await,
        Some(0.0)
    );
    // Once for each kind, then ever more rarely: a long outage does not fill the disk.
    let warned = provider.events("status.probe");
    for line in warned
        .iter()
        .filter(|line| line["error_class"] == "openbao_sealed")
    {
        let reason = line["reason"].as_str().unwrap();
        assert!(reason.contains("is sealed; unseal it"), "{line}");
    }
    let warned = warned.iter().filter(|line| line["level"] == "warn").count();
    assert!(warned <= 12, "{warned} warnings");

    world.control().unseal();
    assert_eq!(provider.healthy().await, sealed.key_id);
    sealed.open(&mut client).await.unwrap();
    until("closed breakers", async || {
        let metadata = provider
            .metric("openbao_kms_circuit_breaker_state{kind=\"metadata\"}")
            .await;
        let deep = provider
            .metric("openbao_kms_circuit_breaker_state{kind=\"deep\"}")
            .await;
        ((metadata, deep) == (Some(0.0), Some(0.0))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_is_answered_for_before_the_caller_gives_up() {
    let mut world = World::new().await;
    world.stage.set("openbao.timeout", "1700ms");
    world.stage.set("status.statusMaxStaleness", "5s");
    let (provider, sealed) = world.with_data().await;
    let mut hurried = Client::connect(&world.stage.socket(), Duration::from_millis(1800))
        .await
        .unwrap();
    world
        .control()
        .fault(Fault::new(Action::Hang).path("/v1/transit/encrypt/*"));
    world
        .control()
        .fault(Fault::new(Action::Hang).path("/v1/transit/decrypt/*"));
    // `refused` fails on a client that gave up by itself.
    let timeout = (Code::DeadlineExceeded, "timeout".into());
    assert_eq!(refused(Sealed::try_make(&mut hurried).await), timeout);
    assert_eq!(refused(sealed.open(&mut hurried).await), timeout);

    // With more time it is OpenBao's timeout that ends the call.
    let mut patient = provider.client().await;
    let opened = refused(sealed.open(&mut patient).await);
    assert_eq!(opened, (Code::Unavailable, "openbao_unavailable".into()));
    provider.unhealthy("deep_stale").await;
    world.control().faults_clear();
    provider.healthy().await;
    sealed.open(&mut hurried).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_no_answers_have_a_class_and_are_retried_once() {
    let world = World::new().await;
    let (provider, sealed) = world.with_data().await;
    let mut client = provider.client().await;
    let decrypt = |action| Fault::new(action).path("/v1/transit/decrypt/*");
    for action in [
        Action::Reset,
        Action::error(503, "no"),
        Action::error(429, "quota"),
    ] {
        world.control().fault(decrypt(action).times(1));
        sealed.open(&mut client).await.unwrap();
    }
    let unavailable = (Code::Unavailable, "openbao_unavailable".to_owned());
    for (action, expected) in [
        (Action::Junk, unavailable.clone()),
        (Action::Huge { bytes: 5_000_000 }, unavailable.clone()),
        (
            Action::Redirect {
                to: "https://127.0.0.1:1".into(),
            },
            unavailable.clone(),
        ),
        (Action::error(500, "internal error"), unavailable),
        (
            Action::error(429, "quota"),
            (Code::ResourceExhausted, "openbao_rate_limited".into()),
        ),
    ] {
        let rule = world.control().fault(decrypt(action.clone()));
        assert_eq!(
            refused(sealed.open(&mut client).await),
            expected,
            "{action:?}"
        );
        world.control().fault_remove(rule).unwrap();
    }
    sealed.open(&mut client).await.unwrap();
    assert_eq!(provider.status().await.healthz, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lags_for_a_moment_does_not_flap_status() {
    let mut world = World::new().await;
    let standby = world.bao.standby_address().to_owned();
    world.stage.set("openbao.failoverAddresses", vec![standby]);
    world.stage.set("status.statusMaxStaleness", "20s");
    // A client that once found the active node too slow stays with the standby.
    let standby = Fault::new(Action::Reset).listener(Listener::Standby);
    world.control().fault(standby);
    let (provider, old) = world.with_data().await;
    world.control().lag(true);
    world.control().rotate().unwrap();
    provider.logged("rotation.promoted", "level", "info").await;
    let mut client = provider.client().await;
    let new = Sealed::make(&mut client).await;
    assert_ne!(new.key_id, old.key_id);

    // From now on only the standby answers, and it has never heard of the write key.
    let pair = world.stage.pair();
    world.control().faults_clear();
    world
        .control()
        .fault(Fault::new(Action::Reset).listener(Listener::Active));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        let status = client.status().await.unwrap();
        assert_eq!(
            (status.healthz.as_str(), &status.key_id),
            ("ok", &new.key_id)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    old.open(&mut client).await.unwrap();
    // It has no such version, and the one repetition meets the node that is away.
    assert_eq!(refused(new.open(&mut client).await).0, Code::Unavailable);
    world.control().faults_clear();
    world.control().lag(false);
    new.open(&mut client).await.unwrap();
    assert_eq!(provider.status().await.key_id, new.key_id);
    assert_eq!(
        world.stage.pair(),
        pair,
        "the registry believed a node that lags"
    );
}
