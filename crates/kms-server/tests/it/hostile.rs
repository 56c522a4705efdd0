//! What nobody should send. Each case: its sender gets nothing, others notice nothing.

use bytes::Bytes;
use kms_proto::v2;
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, TestRunner},
};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use crate::{
    fake::key_id,
    harness::Running,
    raw::{
        CONTINUATION, DATA, END_HEADERS, HEADERS, Http, SETTINGS, enveloped, frame, greeted,
        is_closed, request_headers,
    },
};

const STATUS: &str = "/v2.KeyManagementService/Status";
const DECRYPT: &str = "/v2.KeyManagementService/Decrypt";

#[tokio::test]
async fn t08_garbage_and_tls_instead_of_http2_close_their_connection_only() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let client_hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let half = [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".as_slice(), &[0; 100]].concat();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        &client_hello,
        &[0; 64],
        &half,
    ] {
        let mut stream = UnixStream::connect(&service.path).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert!(is_closed(&mut stream).await);
        innocent.status().await.unwrap();
    }
    let counted = service.metric("grpc_connections_turned_away_total{reason=\"not_http2\"}");
    assert!((counted - 4.0).abs() < 0.1, "{counted}");
    service.stop().await;
}

#[tokio::test]
async fn t17_t19_what_is_no_message_is_refused_and_the_connection_goes_on() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    let bad_utf8 = enveloped(&[0x1a, 2, 0xff, 0xfe]);
    let bad_uid = enveloped(&[0x12, 1, 0xc0]);
    for (name, body) in [
        ("no message", Bytes::new()),
        ("half a prefix", Bytes::from_static(&[0, 0])),
        (
            "a length of 4 GiB",
            Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2]),
        ),
        (
            "a truncated message",
            Bytes::from_static(&[0, 0, 0, 0, 9, 0x0a, 1]),
        ),
        (
            "an unknown compression flag",
            Bytes::from_static(&[7, 0, 0, 0, 0]),
        ),
        (
            "a field that is longer than the message",
            enveloped(&[0x0a, 0x7f, 1]),
        ),
        ("a wire type that does not exist", enveloped(&[0x0f])),
        ("a key_id that is no UTF-8", bad_utf8),
        ("a uid that is no UTF-8", bad_uid),
    ] {
        let answer = http.call(DECRYPT, &[], body).await.unwrap();
        assert_eq!(answer.code, "3", "{name}: {answer:?}");
        assert!(
            answer.message.starts_with("protocol_limit"),
            "{name}: {answer:?}"
        );
        assert_eq!(
            http.send("Status", &v2::StatusRequest {}).await.code,
            "0",
            "{name}"
        );
    }
    service.stop().await;
}

#[tokio::test]
async fn t18_long_messages_are_refused_by_their_length() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    for megabytes in [1, 4, 5] {
        let body = enveloped(&vec![0; megabytes << 20]);
        // The refusal may overtake the rest of the body, whose stream is then reset.
        if let Ok(answer) = http.call(DECRYPT, &[], body).await {
            assert_eq!(answer.code, "3", "{answer:?}");
            assert!(answer.message.contains("65536"), "{answer:?}");
        }
        assert_eq!(http.send("Status", &v2::StatusRequest {}).await.code, "0");
    }
    let refused = "grpc_requests_total{method=\"Decrypt\",status=\"InvalidArgument\"}";
    assert!((service.metric(refused) - 3.0).abs() < 0.1);
    service.stop().await;
}

#[tokio::test]
async fn h01_h03_no_invented_request_is_answered_with_ok_or_kills_anything() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    let field = prop::collection::vec(any::<u8>(), 0..80);
    let fields = (
        field.clone(),
        "\\PC{0,60}|\\.\\./\\PC{0,9}",
        "\\PC{0,9}",
        field.clone(),
    );
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..300 {
        let (ciphertext, key_id, uid, value) = fields.new_tree(&mut runner).unwrap().current();
        let request = v2::DecryptRequest {
            ciphertext,
            uid,
            key_id,
            annotations: [("a".to_owned(), value)].into(),
        };
        assert_ne!(
            http.send("Decrypt", &request).await.code,
            "0",
            "{request:?}"
        );
        let noise = field.new_tree(&mut runner).unwrap().current();
        let answer = http.call(DECRYPT, &[], Bytes::from(noise)).await.unwrap();
        assert_ne!(answer.code, "0");
    }
    assert_eq!(http.send("Status", &v2::StatusRequest {}).await.code, "0");
    service.stop().await;
}

#[tokio::test]
async fn h07_floods_of_frames_harm_their_own_connection_only() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let opening = request_headers("localhost", DECRYPT);
    let floods: [(&str, Vec<u8>, Vec<u8>); 3] = [
        (
            "settings",
            Vec::new(),
            frame(SETTINGS, 0, 0, &[]).repeat(1000),
        ),
        (
            "continuation",
            frame(HEADERS, 0, 1, &opening),
            frame(CONTINUATION, 0, 1, &[0; 100]).repeat(1000),
        ),
        (
            "empty data",
            frame(HEADERS, END_HEADERS, 1, &opening),
            frame(DATA, 0, 1, &[]).repeat(1000),
        ),
    ];
    for (name, first, flood) in floods {
        let mut stream = greeted(&service.path).await;
        let _ = stream.write_all(&first).await;
        for _ in 0..100 {
            // Nobody reads the answers: a full pipe or a closed one ends the flood.
            let written = tokio::time::timeout(
                std::time::Duration::from_millis(100),
                stream.write_all(&flood),
            );
            if !matches!(written.await, Ok(Ok(()))) {
                break;
            }
        }
        assert_eq!(innocent.status().await.unwrap().healthz, "ok", "{name}");
    }
    service.stop().await;
}

#[tokio::test]
async fn h08_a_header_list_of_a_mebibyte_is_refused() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let http = Http::connect(&service.path).await;
    let long = "x".repeat(1 << 20);
    let answer = http
        .call(STATUS, &[("x-long", &*long)], enveloped(&[]))
        .await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.code != "0"));
    let http = Http::connect(&service.path).await;
    let list: Vec<(String, String)> = (0..200)
        .map(|n| (format!("x-{n}"), "v".repeat(100)))
        .collect();
    let list: Vec<(&str, &str)> = list
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let answer = http.call(STATUS, &list, enveloped(&[])).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.code != "0"));
    innocent.status().await.unwrap();
    let key = key_id().to_string();
    let refused = innocent.decrypt(b"x".to_vec(), key, [].into(), "u").await;
    assert!(refused.is_err());
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn slow_connections_up_to_the_limit_delay_a_client_but_do_not_lock_it_out() {
    let service = Running::start();
    let mut slow = Vec::new();
    for _ in 0..128 {
        let mut stream = UnixStream::connect(&service.path).await.unwrap();
        stream.write_all(b"PRI").await.unwrap();
        slow.push(stream);
    }
    crate::harness::eventually("all places are taken", || {
        service.metric("grpc_connections_turned_away_total{reason=\"no_place\"}") > 0.5
    })
    .await;
    let began = tokio::time::Instant::now();
    let status = service.client().await.status().await.unwrap();
    assert_eq!(status.healthz, "ok");
    assert!(began.elapsed() < std::time::Duration::from_secs(11));
    service.stop().await;
}
