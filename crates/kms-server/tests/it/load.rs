//! Many calls at once, and callers that change their minds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use kms_server::client::Client;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    fake::{annotations, key_id},
    harness::Running,
};

async fn open(client: &mut Client, number: usize) -> bool {
    let seed = format!("seed {number}");
    let ciphertext = format!("vault:v1:{seed}").into_bytes();
    let opened = client
        .decrypt(ciphertext, key_id().to_string(), annotations(), "u")
        .await;
    opened.is_ok_and(|opened| opened.expose_secret() == seed.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_t21_thousands_of_parallel_calls_on_one_connection_are_all_answered() {
    let service = Running::start();
    service.delay(Duration::from_millis(20));
    let client = service.client().await;
    for parallel in [1, 100, 5000] {
        let mut calls = JoinSet::new();
        for number in 0..parallel {
            let mut client = client.clone();
            calls.spawn(async move { open(&mut client, number).await });
        }
        let answers = calls.join_all().await;
        let good = answers.iter().filter(|good| **good).count();
        assert_eq!(good, parallel);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t20_bursts_of_canceled_calls_harm_no_innocent_one_and_no_connection() {
    let service = Running::start();
    service.delay(Duration::from_millis(10));
    // The client connects once and never again: a lost connection fails every later call.
    let client = service.client().await;
    let over = Arc::new(AtomicBool::new(false));
    let (served, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut innocents = JoinSet::new();
    for number in 0..20 {
        let mut client = client.clone();
        let (over, served, failed) = (over.clone(), served.clone(), failed.clone());
        innocents.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let good = open(&mut client, number).await;
                let counter = if good { &served } else { &failed };
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for _ in 0..20 {
        let mut burst = JoinSet::new();
        for number in 0..500 {
            let mut client = client.clone();
            let soon = Duration::from_millis(1 + u64::try_from(number % 5).unwrap());
            burst.spawn(async move {
                let _ = timeout(soon, open(&mut client, number)).await;
            });
        }
        burst.join_all().await;
    }
    over.store(true, Ordering::SeqCst);
    innocents.join_all().await;
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    assert!(served.load(Ordering::SeqCst) >= 20);
    let canceled = "grpc_requests_total{method=\"Decrypt\",status=\"Canceled\"}";
    assert!(
        service.metric(canceled) > 100.0,
        "{}",
        service.metric(canceled)
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s15_status_is_answered_at_once_while_everything_else_waits() {
    let service = Running::start();
    service.delay(Duration::from_secs(60));
    let client = service.client().await;
    let mut stuck = JoinSet::new();
    for number in 0..2000 {
        let mut client = client.clone();
        stuck.spawn(async move { open(&mut client, number).await });
    }
    crate::harness::eventually("they all wait", || {
        service.fake.arrived.load(Ordering::SeqCst) == 2000
    })
    .await;
    let mut client = service.client().await;
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let began = Instant::now();
        client.status().await.unwrap();
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    stuck.shutdown().await;
    service.stop().await;
}
