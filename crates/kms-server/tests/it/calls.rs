//! Status, Encrypt and Decrypt as a caller sees them.

use std::{sync::atomic::Ordering, time::Duration};

use keyring::kms::Error;
use kms_proto::v2;
use kms_server::client::ClientError;
use secret::SecretBytes;
use tokio::time::Instant;
use tonic::Code;

use crate::{
    fake::{PANIC_CANARY, PREFIX, annotations, key_id},
    harness::{Running, code, eventually},
    raw::{Http, enveloped},
};

fn seed() -> SecretBytes {
    SecretBytes::new(b"0123456789abcdef0123456789abcdef".to_vec())
}

fn sealed() -> Vec<u8> {
    [PREFIX, b"seed"].concat()
}

#[tokio::test]
async fn s01_s02_a_healthy_status_is_v2_ok_and_always_the_same_key() {
    let service = Running::start();
    let mut client = service.client().await;
    for _ in 0..500 {
        let status = client.status().await.unwrap();
        assert_eq!(status.version, "v2");
        assert_eq!(status.healthz, "ok");
        assert_eq!(status.key_id, key_id().as_str());
    }
    service.stop().await;
}

#[tokio::test]
async fn an_unhealthy_status_has_no_key_id() {
    let service = Running::start();
    service.fake.unhealthy.store(true, Ordering::SeqCst);
    let status = service.client().await.status().await.unwrap();
    assert_eq!(status.version, "v2");
    assert_eq!((&*status.healthz, &*status.key_id), ("unhealthy", ""));
    service.stop().await;
}

#[tokio::test]
async fn e01_d01_what_encrypt_returns_decrypt_opens() {
    let service = Running::start();
    let mut client = service.client().await;
    let sealed = client.encrypt(&seed(), "uid").await.unwrap();
    assert_eq!(sealed.key_id, client.status().await.unwrap().key_id);
    assert_eq!(sealed.annotations, annotations());
    let opened = client
        .decrypt(sealed.ciphertext, sealed.key_id, sealed.annotations, "uid")
        .await
        .unwrap();
    assert_eq!(opened.expose_secret(), seed().expose_secret());
    service.stop().await;
}

#[tokio::test]
async fn nothing_that_breaks_a_limit_reaches_the_keyring() {
    let service = Running::start();
    let mut client = service.client().await;
    for plaintext in [Vec::new(), vec![b'p'; 701], vec![b'p'; 60_000]] {
        let refused = client.encrypt(&SecretBytes::new(plaintext), "u").await;
        assert_eq!(code(refused), Code::InvalidArgument);
    }
    let uid = "u".repeat(1025);
    assert_eq!(
        code(client.encrypt(&seed(), &uid).await),
        Code::InvalidArgument
    );
    let key = || key_id().to_string();
    let huge = [("a.example".to_owned(), vec![b'v'; 32_768])];
    for (ciphertext, key_id, annotations) in [
        (Vec::new(), key(), annotations()),
        (vec![b'c'; 1024], key(), annotations()),
        (sealed(), String::new(), annotations()),
        (sealed(), "k".repeat(1024), annotations()),
        (sealed(), key(), huge.into()),
    ] {
        let refused = client.decrypt(ciphertext, key_id, annotations, "u").await;
        let code = refused.err().map(|error| format!("{error}"));
        assert!(code.unwrap().contains("InvalidArgument"));
    }
    assert_eq!(service.fake.arrived.load(Ordering::SeqCst), 0);
    service.stop().await;
}

#[tokio::test]
async fn a_refusal_carries_code_class_and_a_sentence() {
    let service = Running::start();
    service.fail_with(Some(Error::StatusStale("the last good probe is too old")));
    let refused = service.client().await.encrypt(&seed(), "u").await;
    let Err(ClientError::Refused { code, text, .. }) = refused else {
        panic!("not refused");
    };
    assert_eq!(code, Code::FailedPrecondition);
    assert!(text.starts_with("status_stale: "), "{text}");
    assert!(!text.contains("probe"), "the reason is for our log: {text}");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn t11_the_answer_comes_before_the_caller_gives_up() {
    let service = Running::start();
    service.delay(Duration::from_secs(60));
    let http = Http::connect(&service.path).await;
    for timeout in ["1m", "50m", "500m"] {
        let mut message = v2::EncryptRequest::default();
        message.plaintext = b"seed".to_vec();
        let body = enveloped(&prost::Message::encode_to_vec(&message));
        let headers = [("grpc-timeout", timeout)];
        let path = "/v2.KeyManagementService/Encrypt";
        let answer = http.call(path, &headers, body).await.unwrap();
        assert_eq!(answer.code, "4", "{answer:?}");
    }
    let granted = service.fake.granted.lock().unwrap().unwrap();
    assert!(granted <= Duration::from_millis(400) && granted > Duration::from_millis(300));
    let (fake, began) = (&service.fake, Instant::now());
    eventually("abandoned work is dropped", || {
        fake.dropped.load(Ordering::SeqCst) == fake.arrived.load(Ordering::SeqCst)
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "not after its 60 s"
    );
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn t12_without_a_deadline_ours_is_ten_seconds() {
    let service = Running::start();
    service.delay(Duration::from_secs(3600));
    let http = Http::connect(&service.path).await;
    let began = Instant::now();
    let mut message = v2::EncryptRequest::default();
    message.plaintext = b"seed".to_vec();
    let answer = http.send("Encrypt", &message).await;
    assert_eq!(answer.code, "4");
    assert!(answer.message.starts_with("timeout"), "{answer:?}");
    let took = began.elapsed();
    assert!((9..=11).contains(&took.as_secs()), "{took:?}");
    service.stop().await;
}

#[tokio::test]
async fn e12_s13_a_canceled_call_is_dropped_and_counted_and_costs_nothing_else() {
    let service = Running::start();
    service.delay(Duration::from_secs(60));
    let client = service.client().await;
    for _ in 0..20 {
        let mut client = client.clone();
        let soon = Duration::from_millis(5);
        let call = tokio::time::timeout(
            soon,
            async move { client.encrypt(&seed(), "u").await.err() },
        );
        assert!(call.await.is_err(), "canceled by us");
    }
    eventually("the keyring's futures are dropped", || {
        let fake = &service.fake;
        fake.dropped.load(Ordering::SeqCst) == fake.arrived.load(Ordering::SeqCst)
    })
    .await;
    service.delay(Duration::ZERO);
    client.clone().encrypt(&seed(), "u").await.unwrap();
    let canceled = "grpc_requests_total{method=\"Encrypt\",status=\"Canceled\"}";
    assert!(service.metric(canceled) >= 1.0);
    assert!(service.metric("grpc_in_flight{method=\"Encrypt\"}").abs() < 0.1);
    service.stop().await;
}

#[tokio::test]
async fn f09_a_panic_costs_one_call_is_counted_and_says_nothing() {
    kms_server::hide_panic_payloads();
    let service = Running::start();
    let mut client = service.client().await;
    service.fake.panics.store(true, Ordering::SeqCst);
    let Err(ClientError::Refused { code, text, .. }) = client.encrypt(&seed(), "u").await else {
        panic!("not refused");
    };
    assert_eq!(code, Code::Internal);
    assert!(
        text.starts_with("panic: ") && !text.contains(PANIC_CANARY),
        "{text}"
    );
    service.fake.panics.store(false, Ordering::SeqCst);
    client.encrypt(&seed(), "u").await.unwrap();
    assert!((service.metric("panic_recoveries_total{method=\"Encrypt\"}") - 1.0).abs() < 0.1);
    assert!(service.metric("grpc_in_flight{method=\"Encrypt\"}").abs() < 0.1);
    service.stop().await;
}

#[tokio::test]
async fn h12_metrics_have_the_names_and_labels_that_dashboards_ask_for() {
    let service = Running::start();
    let mut client = service.client().await;
    for number in 0..10 {
        client
            .encrypt(&seed(), &format!("uid-{number}"))
            .await
            .unwrap();
    }
    let refused = client
        .decrypt(sealed(), "k".into(), annotations(), "u")
        .await;
    assert!(refused.is_err());
    let text = service.metrics();
    for line in [
        "grpc_requests_total{method=\"Status\",status=\"OK\"} 0",
        "grpc_requests_total{method=\"Encrypt\",status=\"OK\"} 10",
        "grpc_requests_total{method=\"Decrypt\",status=\"NotFound\"} 1",
        "grpc_duration_seconds_count{method=\"Encrypt\"} 10",
        "grpc_duration_seconds_bucket{le=\"0.0005\",method=\"Status\"} 0",
        "grpc_duration_seconds_bucket{le=\"10.0\",method=\"Encrypt\"} 10",
        "grpc_in_flight{method=\"Decrypt\"} 0",
        "panic_recoveries_total{method=\"Decrypt\"} 0",
        "socket_restarts_total 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nin\n{text}");
    }
    assert!(!text.contains("uid-") && !text.contains(key_id().as_str()));
    service.stop().await;
}
