//! Clients that ask, and do not take what they are given.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt as _,
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    harness::{Running, eventually},
    raw::{
        DATA, END_HEADERS, HEADERS, LAST, PREFACE, SETTINGS, find, frame, is_closed,
        request_headers,
    },
};

const STATUS: &str = "/v2.KeyManagementService/Status";
const TOO_LONG: &str = "grpc_connections_cut_off_total{reason=\"too_long\"}";

/// Whole calls of a method, from the first stream on.
fn calls(path: &str, number: u32) -> Vec<u8> {
    let headers = request_headers("localhost", path);
    let call = |stream| {
        let head = frame(HEADERS, END_HEADERS, stream, &headers);
        [head, frame(DATA, LAST, stream, &[0; 5])].concat()
    };
    (0..number).flat_map(|n| call(2 * n + 1)).collect()
}

/// A window for each answer.
fn window(bytes: u16) -> Vec<u8> {
    let [high, low] = bytes.to_be_bytes();
    frame(SETTINGS, 0, 0, &[0, 4, 0, 0, high, low])
}

/// Sends until nothing is taken any more.
async fn pour(peer: &mut UnixStream, bytes: &[u8]) {
    let _ = timeout(Duration::from_secs(1), peer.write_all(bytes)).await;
}

async fn asking(service: &Running, bytes: u16, number: u32) -> UnixStream {
    let mut peer = UnixStream::connect(&service.path).await.unwrap();
    let opening = [PREFACE, &window(bytes), &calls(STATUS, number)].concat();
    pour(&mut peer, &opening).await;
    peer
}

fn count(service: &Running, series: &str, expected: f64) -> bool {
    (service.metric(series) - expected).abs() < 0.1
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_no_window_for_ten_seconds_is_cut_off_and_whoever_gives_it_late_is_not() {
    let service = Running::start();
    let mut innocent = service.client().await;
    // One byte is as good as none: a whole answer is kept for it.
    for bytes in [0, 1] {
        let before = service.metric(TOO_LONG);
        let mut late = asking(&service, bytes, 50).await;
        let mut never = asking(&service, bytes, 50).await;
        let began = Instant::now();
        sleep(Duration::from_secs(8)).await;
        assert_eq!(innocent.status().await.unwrap().healthz, "ok");
        late.write_all(&window(1000)).await.unwrap();
        for _ in 0..50 {
            assert!(find(&mut late, is_trailers).await.is_some(), "{bytes}");
        }
        assert!(is_closed(&mut never).await, "{bytes}");
        let waited = began.elapsed();
        assert!(
            (Duration::from_secs(9)..Duration::from_secs(12)).contains(&waited),
            "{bytes}: {waited:?}"
        );
        sleep(Duration::from_secs(15)).await;
        late.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let ack = find(&mut late, |frame| frame.kind == SETTINGS).await;
        assert!(ack.is_some(), "{bytes}: the late one is still served");
        assert!(count(&service, TOO_LONG, before + 1.0), "{bytes}");
    }
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

fn is_trailers(frame: &crate::raw::Frame) -> bool {
    frame.kind == HEADERS && frame.flags & LAST != 0
}

/// Refusals are heads only, which no window holds back.
#[tokio::test(start_paused = true)]
async fn whoever_does_not_read_for_ten_seconds_is_cut_off_though_nothing_waits_for_a_window() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut deaf = UnixStream::connect(&service.path).await.unwrap();
    let unknown = request_headers("localhost", "/v2.KeyManagementService/Nothing");
    // Without a table for headers each refusal is long.
    let long = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
    let calls = (0..8_000).map(|n| frame(HEADERS, END_HEADERS | LAST, 2 * n + 1, &unknown));
    let calls: Vec<u8> = calls.flatten().collect();
    pour(&mut deaf, &[PREFACE, &long, &calls].concat()).await;
    let began = Instant::now();
    eventually("the deaf one is cut off", || count(&service, TOO_LONG, 1.0)).await;
    assert!(began.elapsed() < Duration::from_secs(12));
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}
