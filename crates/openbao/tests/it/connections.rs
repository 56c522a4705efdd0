//! Which connection a request takes, and to which endpoint.

use std::time::Duration;

use bao_dev::testing::{Action, Fault, Listener};
use openbao::{
    error::Class,
    settings::Endpoint,
    transit::{CallOptions, Transit as _},
};
use tokio::{net::TcpListener, time::Instant};

use crate::rig::{Client, Relay, Rig, within};

/// A client that reaches the server through a relay.
async fn relayed(rig: &Rig) -> (Client, Relay) {
    let relay = Relay::to(rig.server.address()).await;
    let mut settings = rig.settings();
    settings.endpoints = vec![relay.endpoint()];
    (Client::start(settings), relay)
}

#[tokio::test]
async fn a_connection_is_kept_alive_between_calls() {
    let rig = Rig::start().await;
    let (client, relay) = relayed(&rig).await;
    for _ in 0..20 {
        assert_eq!(client.read().await, Ok(true));
    }
    assert_eq!(relay.count(), 1);
}

#[tokio::test]
async fn a_call_on_a_new_connection_uses_none_that_was_used_and_leaves_none_behind() {
    let rig = Rig::start().await;
    let (client, relay) = relayed(&rig).await;
    assert_eq!(client.read().await, Ok(true));
    for used in 2..5 {
        let options = CallOptions {
            new_connection: true,
            ..within(2000)
        };
        assert_eq!(client.bao.read_disable_upsert(options).await, Ok(true));
        assert_eq!(relay.count(), used);
        assert_eq!(client.read().await, Ok(true));
        assert_eq!(relay.count(), used);
    }
}

#[tokio::test]
async fn connections_that_died_while_idle_cost_no_call() {
    let rig = Rig::start().await;
    let (client, relay) = relayed(&rig).await;
    let calls = (0..8).map(|_| client.read());
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    let address = relay.address;
    drop(relay);
    // The same port again: all idle connections are dead.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let target = rig
        .server
        .address()
        .strip_prefix("https://")
        .unwrap()
        .to_owned();
    let relaying = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&target).await.unwrap();
            connections.spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let calls = (0..8).map(|_| client.read());
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    relaying.abort();
}

#[tokio::test]
async fn a_refused_endpoint_is_passed_over_and_the_one_that_answers_stays_first() {
    let rig = Rig::start().await;
    // A port where nobody listens any more.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = format!("https://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut settings = rig.settings();
    settings.endpoints = vec![
        Endpoint::parse(&gone).unwrap(),
        Endpoint::parse(rig.server.address()).unwrap(),
    ];
    let client = Client::start(settings);
    for _ in 0..3 {
        assert_eq!(client.read().await, Ok(true));
    }
    let metrics = client.metrics();
    let refused = "status=\"openbao_connection_failed\"} 1\n";
    assert_eq!(metrics.matches(refused).count(), 1, "{metrics}");

    let mut settings = rig.settings();
    settings.endpoints = vec![Endpoint::parse(&gone).unwrap()];
    let alone = Client::start(settings);
    let error = alone.bao.read_key(within(300)).await.unwrap_err();
    assert_eq!(error.class, Class::ConnectionFailed);
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_left_for_the_other_within_the_call() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    settings.timeout = Duration::from_millis(150);
    settings.endpoints = vec![
        Endpoint::parse(rig.server.address()).unwrap(),
        Endpoint::parse(rig.server.standby_address()).unwrap(),
    ];
    let client = Client::start(settings);
    assert_eq!(client.read().await, Ok(true));
    let hang = Fault::new(Action::Hang);
    rig.control().fault(hang.listener(Listener::Active));
    assert_eq!(client.read().await, Ok(true));
    let began = Instant::now();
    assert_eq!(client.read().await, Ok(true));
    assert!(began.elapsed() < Duration::from_millis(140));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told_apart() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    // Refused by the resolver itself, so that no network is asked.
    settings.endpoints = vec![Endpoint::parse("https://a..b:8200").unwrap()];
    let client = Client::start(settings);
    let error = client.bao.read_key(within(500)).await.unwrap_err();
    assert_eq!(error.class, Class::DnsFailed, "{error}");
}

#[tokio::test]
async fn connecting_takes_at_most_half_of_the_timeout() {
    let rig = Rig::start().await;
    // Accepts at TCP level and never speaks TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let mut settings = rig.settings();
    settings.timeout = Duration::from_millis(200);
    settings.endpoints = vec![
        Endpoint::parse(&url).unwrap(),
        Endpoint::parse(rig.server.address()).unwrap(),
    ];
    let client = Client::start(settings);
    let began = Instant::now();
    assert_eq!(client.read().await, Ok(true));
    assert!(began.elapsed() >= Duration::from_millis(100));
    let metrics = client.metrics();
    assert!(
        metrics.contains("operation=\"jwt_login\",status=\"openbao_connection_failed\"} 1"),
        "{metrics}"
    );
}
