//! The connection: HTTP/2 as API servers speak it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kms_proto::v2;
use prost::Message as _;
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use crate::{
    fake::{annotations, key_id},
    harness::Running,
    raw::{
        DATA, END_HEADERS, GOAWAY, HEADERS, Http, LAST, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
        enveloped, find, frame, greeted, next_frame, request_headers,
    },
};

const STATUS: &str = "/v2.KeyManagementService/Status";

#[tokio::test]
async fn t01_status_over_a_path_socket_with_the_authority_localhost() {
    let service = Running::start();
    let status = service.client().await.status().await.unwrap();
    assert_eq!(status.healthz, "ok");
    service.stop().await;
}

#[tokio::test]
async fn t02_an_escaped_path_as_authority_costs_its_call_and_not_the_connection() {
    let service = Running::start();
    let mut stream = greeted(&service.path).await;
    let old = request_headers("%2Frun%2Fkms.sock", STATUS);
    let flags = END_HEADERS;
    stream
        .write_all(&frame(HEADERS, flags, 1, &old))
        .await
        .unwrap();
    let reset = find(&mut stream, |frame| frame.kind == RST_STREAM)
        .await
        .unwrap();
    assert_eq!((reset.stream, reset.payload), (1, vec![0, 0, 0, 1]));
    let new = request_headers("localhost", STATUS);
    stream
        .write_all(&frame(HEADERS, flags, 3, &new))
        .await
        .unwrap();
    stream
        .write_all(&frame(DATA, LAST, 3, &[0; 5]))
        .await
        .unwrap();
    let end = find(&mut stream, |frame| {
        frame.stream == 3 && frame.flags & LAST != 0
    })
    .await;
    assert_eq!(end.unwrap().kind, HEADERS, "trailers");
    service.stop().await;
}

#[tokio::test]
async fn t05_settings_come_at_once_and_carry_our_numbers() {
    let service = Running::start();
    let began = Instant::now();
    let mut stream = greeted(&service.path).await;
    let settings = find(&mut stream, |frame| frame.kind == SETTINGS)
        .await
        .unwrap();
    // Before any pause of ours could have passed.
    assert!(began.elapsed() < Duration::from_secs(2));
    let value = |wanted: u16| {
        let mut entries = settings.payload.chunks(6);
        let entry = entries.find(|entry| entry[..2] == wanted.to_be_bytes());
        entry.map(|entry| u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]))
    };
    assert_eq!(value(3), Some(2048), "concurrent streams");
    assert_eq!(value(6), Some(16 * 1024), "header list");
    assert!(
        value(4) > Some(65_536 + 5),
        "a whole message fits the window"
    );
    // Small and empty DATA frames are kept up to half of the connection's window.
    let update = find(&mut stream, |frame| frame.kind == WINDOW_UPDATE).await;
    let update = u32::from_be_bytes(update.unwrap().payload[..4].try_into().unwrap());
    assert_eq!(65_535 + update, 2 * 1024 * 1024, "window of the connection");
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn t06_a_connection_that_sends_nothing_is_closed_and_others_are_served() {
    let service = Running::start();
    let mut silent = UnixStream::connect(&service.path).await.unwrap();
    let mut slow = UnixStream::connect(&service.path).await.unwrap();
    slow.write_all(b"PRI * HTTP").await.unwrap();
    service.client().await.status().await.unwrap();
    assert!(next_frame(&mut silent).await.is_none());
    assert!(next_frame(&mut slow).await.is_none());
    assert!(
        (2.0 - service.metric("grpc_connections_turned_away_total{reason=\"silent\"}")).abs() < 0.1
    );
    service.stop().await;
}

#[tokio::test]
async fn t07_ten_thousand_pings_are_all_acknowledged() {
    let service = Running::start();
    let mut stream = greeted(&service.path).await;
    let burst: Vec<u8> = frame(PING, 0, 0, &[2, 4, 16, 16, 9, 14, 7, 7]).repeat(100);
    let mut acknowledged = 0;
    for _ in 0..100 {
        stream.write_all(&burst).await.unwrap();
        for _ in 0..100 {
            let answer = find(&mut stream, |f| matches!(f.kind, PING | GOAWAY))
                .await
                .unwrap();
            assert_eq!((answer.kind, answer.flags), (PING, LAST));
            acknowledged += 1;
        }
    }
    assert_eq!(acknowledged, 10_000);
    service.stop().await;
}

#[tokio::test]
async fn t10_eight_clients_at_once_get_their_own_answers() {
    let service = Running::start();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..8 {
        let mut client = service.client().await;
        clients.spawn(async move {
            for call in 0..50 {
                let seed = format!("client {number} call {call}");
                let plaintext = secret::SecretBytes::new(seed.clone().into_bytes());
                let sealed = client.encrypt(&plaintext, "u").await.unwrap();
                let annotations = sealed.annotations.clone();
                let opened = client
                    .decrypt(
                        sealed.ciphertext.clone(),
                        sealed.key_id.clone(),
                        annotations,
                        "u",
                    )
                    .await
                    .unwrap();
                assert_eq!(opened.expose_secret(), seed.as_bytes());
            }
        });
    }
    while let Some(end) = clients.join_next().await {
        end.unwrap();
    }
    service.stop().await;
}

#[tokio::test]
async fn t13_t14_accepted_compression_is_ignored_and_used_compression_refused() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    let accepting = [("grpc-accept-encoding", "gzip")];
    let answer = http.call(STATUS, &accepting, enveloped(&[])).await.unwrap();
    assert_eq!(answer.code, "0");
    let compressed = [("grpc-encoding", "gzip")];
    let body = Bytes::from_static(&[1, 0, 0, 0, 1, 0]);
    let answer = http.call(STATUS, &compressed, body).await.unwrap();
    assert_eq!(answer.code, "12", "{answer:?}");
    assert_eq!(http.send("Status", &v2::StatusRequest {}).await.code, "0");
    service.stop().await;
}

#[tokio::test]
async fn t15_unknown_methods_are_unimplemented_and_the_connection_survives() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    for path in [
        "/v2.KeyManagementService/Foo",
        "/v2alpha1.KeyManagementService/Status",
        "/v1beta1.KeyManagementService/Version",
        "/",
        "/grpc.health.v1.Health/Check",
    ] {
        let answer = http.call(path, &[], enveloped(&[])).await.unwrap();
        assert_eq!(answer.code, "12", "{path}: {answer:?}");
    }
    assert_eq!(http.send("Status", &v2::StatusRequest {}).await.code, "0");
    let counted = "grpc_requests_total{method=\"Unknown\",status=\"Unimplemented\"}";
    assert!((service.metric(counted) - 5.0).abs() < 0.1);
    service.stop().await;
}

#[tokio::test]
async fn t16_unknown_fields_are_ignored() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    let mut message = v2::DecryptRequest {
        ciphertext: b"vault:v1:seed".to_vec(),
        uid: String::new(),
        key_id: key_id().to_string(),
        annotations: annotations(),
    }
    .encode_to_vec();
    // Field 100, a string.
    message.extend_from_slice(&[0xa2, 0x06, 3, b'n', b'e', b'w']);
    let path = "/v2.KeyManagementService/Decrypt";
    let answer = http.call(path, &[], enveloped(&message)).await.unwrap();
    assert_eq!(answer.code, "0", "{answer:?}");
    let opened = v2::DecryptResponse::decode(&answer.body[5..]).unwrap();
    assert_eq!(opened.plaintext, b"seed");
    service.stop().await;
}

#[tokio::test]
async fn t24_answers_larger_than_the_clients_window_all_arrive() {
    let service = Running::start();
    let http = std::sync::Arc::new(Http::connect(&service.path).await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let http = http.clone();
        calls.spawn(async move {
            let request = v2::DecryptRequest {
                ciphertext: b"vault:v1:long".to_vec(),
                uid: String::new(),
                key_id: key_id().to_string(),
                annotations: annotations(),
            };
            http.send("Decrypt", &request).await.body.len()
        });
    }
    let mut complete = 0;
    while let Some(length) = calls.join_next().await {
        assert!(length.unwrap() > 40 * 1024);
        complete += 1;
    }
    assert_eq!(complete, 100);
    service.stop().await;
}

#[tokio::test]
async fn small_frames_that_wait_for_their_handlers_do_not_end_the_connection() {
    let service = Running::start();
    let mut stream = greeted(&service.path).await;
    let headers = request_headers("localhost", STATUS);
    // Not the last frame of its stream, as clients send it that learn of the end only later.
    let streams = (0..2048).map(|number| 2 * number + 1);
    let frames = |last: bool| -> Vec<u8> {
        let frames = streams.clone().map(|id| match last {
            false => {
                let head = frame(HEADERS, END_HEADERS, id, &headers);
                [head, frame(DATA, 0, id, &[0; 5])].concat()
            }
            true => frame(DATA, LAST, id, &[]),
        });
        frames.flatten().collect()
    };
    let (mut reader, mut writer) = stream.split();
    let send = async {
        let room = frame(WINDOW_UPDATE, 0, 0, &(1u32 << 24).to_be_bytes());
        writer.write_all(&room).await.unwrap();
        writer.write_all(&frames(false)).await.unwrap();
        writer.write_all(&frames(true)).await.unwrap();
    };
    let receive = async {
        let mut ended = 0;
        while ended < 2048 {
            let frame = next_frame(&mut reader).await.expect("the connection lives");
            assert_ne!(frame.kind, GOAWAY, "{frame:?}");
            ended += usize::from(frame.kind == HEADERS && frame.flags & LAST != 0);
        }
    };
    tokio::join!(send, receive);
    drop(stream);
    service.stop().await;
}
