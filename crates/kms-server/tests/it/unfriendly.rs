//! Peers that hold a connection and give nothing for it, and peers whose errors pile up.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, timeout},
};

use crate::{
    harness::Running,
    raw::{
        CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, LAST, PREFACE, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, find, frame, greeted, next_frame, request_headers,
    },
};

const STATUS: &str = "/v2.KeyManagementService/Status";

/// A whole Status call.
fn status_call(stream: u32) -> Vec<u8> {
    let headers = request_headers("localhost", STATUS);
    let head = frame(HEADERS, END_HEADERS, stream, &headers);
    [head, frame(DATA, LAST, stream, &[0; 5])].concat()
}

/// Stream numbers of so many calls.
fn streams(calls: u32) -> impl Iterator<Item = u32> {
    (0..calls).map(|call| 2 * call + 1)
}

#[tokio::test(start_paused = true)]
async fn peers_that_are_frozen_or_half_open_are_let_go_of_when_they_answer_no_ping() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut preface_only = UnixStream::connect(&service.path).await.unwrap();
    preface_only.write_all(PREFACE).await.unwrap();
    let idle = greeted(&service.path).await;
    let mut asking = greeted(&service.path).await;
    asking.write_all(&status_call(1)).await.unwrap();
    let began = Instant::now();
    for mut peer in [preface_only, idle, asking] {
        // Reading is not answering: this stands for one who would read and cannot write.
        let mut sink = Vec::new();
        timeout(Duration::from_secs(90), peer.read_to_end(&mut sink))
            .await
            .expect("the connection is ended")
            .unwrap();
        assert!(began.elapsed() >= Duration::from_secs(60), "too hasty");
    }
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

#[tokio::test]
async fn t24_a_reader_without_a_window_waits_alone_and_gets_its_answers_when_it_gives_one() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut slow = UnixStream::connect(&service.path).await.unwrap();
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let calls: Vec<u8> = streams(200).flat_map(status_call).collect();
    let opening = [PREFACE, &no_window, &calls].concat();
    slow.write_all(&opening).await.unwrap();
    // All heads come, and not one answer.
    for _ in streams(200) {
        let head = find(&mut slow, |frame| matches!(frame.kind, HEADERS | DATA)).await;
        let head = head.unwrap();
        assert_eq!((head.kind, head.flags & LAST), (HEADERS, 0), "{head:?}");
        assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    }
    let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    slow.write_all(&window).await.unwrap();
    for _ in streams(200) {
        let end = find(&mut slow, |frame| {
            frame.flags & LAST != 0 && frame.kind == HEADERS
        })
        .await;
        assert!(end.is_some(), "trailers");
    }
    service.stop().await;
}

#[tokio::test]
async fn t18_a_frame_beyond_the_size_that_was_offered_ends_its_connection_unread() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let mut peer = greeted(&service.path).await;
    // 16 MiB, of which only the head is sent: the verdict does not wait for the rest.
    peer.write_all(&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1])
        .await
        .unwrap();
    let goaway = find(&mut peer, |frame| frame.kind == GOAWAY).await.unwrap();
    assert_eq!(goaway.payload[4..8], [0, 0, 0, 6], "FRAME_SIZE_ERROR");
    assert!(next_frame(&mut peer).await.is_none());
    assert_eq!(innocent.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

#[tokio::test]
async fn h08_a_header_list_that_grows_in_the_decoder_only_is_refused() {
    let service = Running::start();
    let mut peer = greeted(&service.path).await;
    // An entry of 3,000 bytes for the dynamic table, then one byte for each further mention:
    // 10 KB that would be 20 MB. The length is a prefix of 127 and two groups of 7 bits.
    let mut block = request_headers("localhost", STATUS);
    let value = 3_000_usize;
    let rest = value - 127;
    block.extend_from_slice(&[0x40, 1, b'x', 0x7f]);
    block.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
    block.push(u8::try_from(rest >> 7).unwrap());
    block.extend(std::iter::repeat_n(b'v', value));
    block.extend(std::iter::repeat_n(0x80 | 62, 7_000));
    peer.write_all(&frame(HEADERS, END_HEADERS | LAST, 1, &block))
        .await
        .unwrap();
    let verdict = find(&mut peer, |frame| {
        matches!(frame.kind, RST_STREAM | GOAWAY) || (frame.kind == HEADERS && frame.stream == 1)
    })
    .await;
    if let Some(verdict) = verdict.filter(|frame| frame.kind == HEADERS) {
        // 431, from a literal: there is no entry for it in the static table.
        assert!(
            verdict.payload.windows(3).any(|text| text == b"431") || verdict.payload.len() < 16,
            "{verdict:?}"
        );
        peer.write_all(&status_call(3)).await.unwrap();
        let answer = find(&mut peer, |frame| frame.stream == 3 && frame.kind == DATA).await;
        assert!(answer.is_some(), "the connection goes on");
    }
    let requests = "grpc_requests_total{method=\"Status\",status=\"OK\"}";
    assert!(service.metric(requests) < 1.5, "the bomb was served");
    assert_eq!(service.client().await.status().await.unwrap().healthz, "ok");
    service.stop().await;
}

#[tokio::test]
async fn h07_endless_headers_and_endless_nothing_end_their_connection() {
    let service = Running::start();
    let mut innocent = service.client().await;
    let opening = request_headers("localhost", STATUS);
    let nothing = frame(CONTINUATION, 0, 1, &[]);
    for (name, first, again) in [
        (
            "headers",
            frame(HEADERS, 0, 1, &opening),
            frame(CONTINUATION, 0, 1, &opening),
        ),
        ("no headers", frame(HEADERS, 0, 1, &opening), nothing),
        (
            "no data",
            frame(HEADERS, END_HEADERS, 1, &opening),
            frame(DATA, 0, 1, &[]),
        ),
    ] {
        let mut peer = greeted(&service.path).await;
        let (mut reader, mut writer) = peer.split();
        let flood = async {
            writer.write_all(&first).await?;
            // What is sent is bounded by the patience of the other side, not by this.
            for _ in 0..1_000 {
                writer.write_all(&again.repeat(1_000)).await?;
            }
            std::io::Result::Ok(())
        };
        let end = async { while next_frame(&mut reader).await.is_some() {} };
        let (flooded, ()) = tokio::join!(flood, end);
        assert!(flooded.is_err(), "{name}: a million frames were taken");
        assert_eq!(innocent.status().await.unwrap().healthz, "ok", "{name}");
    }
    service.stop().await;
}

/// The library ends a connection after 1,024 such errors in its whole life; this one lives for
/// months.
#[tokio::test]
async fn calls_that_are_refused_below_grpc_never_add_up_to_the_end_of_a_connection() {
    let service = Running::start();
    let mut peer = greeted(&service.path).await;
    let old = request_headers("%2Frun%2Fkms.sock", STATUS);
    for batch in 0..30 {
        let calls = (0..100).map(|call| 2 * (100 * batch + call) + 1);
        let refused: Vec<u8> = calls
            .flat_map(|stream| frame(HEADERS, END_HEADERS | LAST, stream, &old))
            .collect();
        peer.write_all(&refused).await.unwrap();
        for _ in 0..100 {
            let verdict = find(&mut peer, |f| matches!(f.kind, RST_STREAM | GOAWAY)).await;
            assert_eq!(verdict.unwrap().kind, RST_STREAM, "in batch {batch}");
        }
    }
    let room = frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]);
    peer.write_all(&[room, status_call(6_001)].concat())
        .await
        .unwrap();
    let answer = find(&mut peer, |frame| {
        frame.stream == 6_001 && frame.kind == DATA
    })
    .await;
    assert!(answer.is_some(), "a good call is answered");
    service.stop().await;
}
