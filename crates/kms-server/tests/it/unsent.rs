//! Clients that begin requests and do not end them.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use kms_proto::v2;
use prost::Message as _;
use tokio::{
    io::AsyncWriteExt as _,
    net::UnixStream,
    time::{Instant, sleep},
};

use crate::{
    fake::{annotations, key_id},
    harness::{Running, eventually},
    raw::{
        DATA, END_HEADERS, HEADERS, Http, LAST, enveloped, find, frame, greeted, is_closed,
        request_headers,
    },
};

const DECRYPT: &str = "/v2.KeyManagementService/Decrypt";
const STATUS: &str = "/v2.KeyManagementService/Status";
const NOT_SENT: &str = "grpc_connections_cut_off_total{reason=\"not_sent\"}";
const TIMED_OUT: &str = "grpc_requests_total{method=\"Decrypt\",status=\"DeadlineExceeded\"}";

fn decrypt() -> Bytes {
    let request = v2::DecryptRequest {
        ciphertext: b"vault:v1:seed".to_vec(),
        uid: String::new(),
        key_id: key_id().to_string(),
        annotations: annotations(),
    };
    enveloped(&request.encode_to_vec())
}

fn count(service: &Running, series: &str, expected: f64) -> bool {
    (service.metric(series) - expected).abs() < 0.1
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_refused_after_five_seconds_whatever_its_deadline() {
    let service = Running::start();
    let http = Http::connect(&service.path).await;
    let whole = decrypt();
    let slow = Duration::from_millis(500);
    for (name, deadline, body, pace) in [
        ("a head", "10M", Bytes::new(), slow),
        ("half a prefix", "600S", whole.slice(..2), slow),
        ("a byte now and then", "600S", whole.clone(), slow),
        ("all but the end", "10S", whole.clone(), Duration::ZERO),
        ("no deadline", "", Bytes::new(), slow),
        // The caller's own deadline is none of this: 80 % of it is ours.
        ("its own deadline", "5S", Bytes::new(), slow),
    ] {
        let began = Instant::now();
        let headers = [("grpc-timeout", deadline)];
        let headers = headers.get(usize::from(deadline.is_empty())..).unwrap();
        let answer = http.drip(DECRYPT, headers, body, pace).await.unwrap();
        let took = began.elapsed();
        let (millis, words) = match deadline {
            "5S" => (4_000, "caller"),
            _ => (5_000, "begun"),
        };
        assert_eq!(answer.code, "4", "{name}: {answer:?}");
        assert!(answer.message.contains(words), "{name}: {answer:?}");
        let expected = Duration::from_millis(millis)..Duration::from_millis(millis + 900);
        assert!(expected.contains(&took), "{name}: {took:?}");
        let good = http.call(DECRYPT, &[], whole.clone()).await.unwrap();
        assert_eq!(good.code, "0", "{name}: the connection goes on");
    }
    assert_eq!(service.fake.arrived.load(Ordering::SeqCst), 6);
    assert!(count(&service, TIMED_OUT, 6.0));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_come_may_take_all_the_time_that_its_caller_gives() {
    let service = Running::start();
    service.delay(Duration::from_secs(45));
    let http = Http::connect(&service.path).await;
    for (deadline, code) in [("60S", "0"), ("50S", "4")] {
        let headers = [("grpc-timeout", deadline)];
        let answer = http.call(DECRYPT, &headers, decrypt());
        assert_eq!(answer.await.unwrap().code, code, "{deadline}");
    }
    service.stop().await;
}

/// The heads of so many requests that last as long as they may.
async fn begin(peer: &mut UnixStream, first: u32, number: u32) {
    let mut head = request_headers("localhost", DECRYPT);
    head.extend(crate::raw::header_block(&[("grpc-timeout", "600S")]));
    let begun = (0..number).flat_map(|n| frame(HEADERS, END_HEADERS, first + 2 * n, &head));
    let begun: Vec<u8> = begun.collect();
    peer.write_all(&begun).await.unwrap();
}

/// Whether so many streams are ended.
async fn refused(peer: &mut UnixStream, number: u32) -> bool {
    for _ in 0..number {
        let last = |frame: &crate::raw::Frame| frame.kind == HEADERS && frame.flags & LAST != 0;
        if find(peer, last).await.is_none() {
            return false;
        }
    }
    true
}

#[tokio::test(start_paused = true)]
async fn all_streams_begun_and_none_ended_are_given_back_and_nobody_else_notices() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut peer = greeted(&service.path).await;
    begin(&mut peer, 1, 2048).await;
    let began = Instant::now();
    let in_flight = "grpc_in_flight{method=\"Decrypt\"}";
    while count(&service, in_flight, 0.0) {
        sleep(Duration::from_millis(1)).await;
    }
    let seed = innocent.decrypt(
        b"vault:v1:seed".to_vec(),
        key_id().to_string(),
        annotations(),
        "u",
    );
    assert_eq!(seed.await.unwrap().expose_secret(), b"seed");
    assert!(refused(&mut peer, 2048).await);
    assert!(began.elapsed() < Duration::from_secs(8));
    assert!(count(&service, in_flight, 0.0));
    let head = request_headers("localhost", STATUS);
    let call = [
        frame(HEADERS, END_HEADERS, 4097, &head),
        frame(DATA, LAST, 4097, &[0; 5]),
    ];
    peer.write_all(&call.concat()).await.unwrap();
    let answer = find(&mut peer, |f| f.stream == 4097 && f.kind == DATA).await;
    assert!(answer.is_some(), "once is forgiven");
    assert!(count(&service, NOT_SENT, 0.0));
    service.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_beginning_what_it_does_not_end_is_cut_off() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut peer = greeted(&service.path).await;
    let began = Instant::now();
    for round in 0..6 {
        begin(&mut peer, 1 + 100 * round, 50).await;
        if round < 5 {
            assert!(refused(&mut peer, 50).await, "in round {round}");
        }
        assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    }
    assert!(is_closed(&mut peer).await);
    let waited = began.elapsed();
    assert!(
        (Duration::from_secs(30)..Duration::from_secs(36)).contains(&waited),
        "{waited:?}"
    );
    assert!(count(&service, NOT_SENT, 1.0));
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

/// 65,000 bytes of a message of 65,500 on so many streams, for as long as what is returned lives.
async fn begin_long(http: &Http, number: usize) -> Vec<impl Sized + use<>> {
    let length = 65_500_u32.to_be_bytes();
    let begun = [&[0], &length[..], &[0; 65_000]].concat();
    let mut streams = Vec::new();
    for _ in 0..number {
        let (response, mut stream) = http.begin(DECRYPT, &[]).await.unwrap();
        stream.send_data(begun.clone().into(), false).unwrap();
        streams.push((response, stream));
    }
    streams
}

#[tokio::test(start_paused = true)]
async fn long_requests_that_do_not_end_are_bounded_for_each_connection_and_nobody_else_notices() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let modest = Http::connect(&service.path).await;
    let greedy = Http::connect(&service.path).await;
    // Twice, because what is over counts no more.
    for _ in 0..2 {
        let within = begin_long(&modest, 60).await;
        sleep(Duration::from_millis(300)).await;
        drop(within);
        let good = modest.call(DECRYPT, &[], decrypt()).await.unwrap();
        assert_eq!(good.code, "0");
    }
    assert!(count(&service, NOT_SENT, 0.0));
    let _beyond = begin_long(&greedy, 66).await;
    eventually("the greedy one is cut off", || {
        count(&service, NOT_SENT, 1.0)
    })
    .await;
    assert!(greedy.call(DECRYPT, &[], decrypt()).await.is_err());
    let good = modest.call(DECRYPT, &[], decrypt()).await.unwrap();
    assert_eq!(good.code, "0");
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}
