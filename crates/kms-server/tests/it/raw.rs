//! What a client of a library would never send: raw frames, and single calls on bare HTTP/2.

use std::{path::Path, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::harness::PATIENCE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// END_STREAM on DATA and HEADERS, ACK on SETTINGS and PING.
pub(crate) const LAST: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// One frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + payload.len());
    let length = u32::try_from(payload.len()).unwrap();
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// HPACK without compression: each name and value is a literal.
pub(crate) fn header_block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) fn request_headers(authority: &str, path: &str) -> Vec<u8> {
    header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// A frame that the server sent.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that has sent what a client must.
pub(crate) async fn greeted(path: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// The next frame; `None` at the end of the connection.
pub(crate) async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
            payload,
        })
    };
    timeout(PATIENCE, read).await.expect("a frame or the end")
}

/// Reads until `found` says so; `None` at the end of the connection.
pub(crate) async fn find(stream: &mut UnixStream, found: impl Fn(&Frame) -> bool) -> Option<Frame> {
    loop {
        let frame = next_frame(stream).await?;
        if found(&frame) {
            return Some(frame);
        }
    }
}

/// Whether the other side has closed.
pub(crate) async fn is_closed(stream: &mut UnixStream) -> bool {
    let mut sink = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut sink))
        .await
        .is_ok()
}

/// Bare HTTP/2 on one connection.
pub(crate) struct Http {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) body: Bytes,
}

impl Http {
    pub(crate) async fn connect(path: &Path) -> Self {
        Self::connect_with(path, &mut h2::client::Builder::new()).await
    }

    pub(crate) async fn connect_with(path: &Path, builder: &mut h2::client::Builder) -> Self {
        let stream = UnixStream::connect(path).await.unwrap();
        let (send, connection) = builder.handshake(stream).await.unwrap();
        Self {
            send,
            connection: tokio::spawn(connection),
        }
    }

    /// One call with `body` as it is.
    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, h2::Error> {
        timeout(PATIENCE, self.exchange(path, headers, body))
            .await
            .expect("an answer in time")
    }

    /// One call whose request does not end: `body` comes byte by byte, one each `pace`.
    pub(crate) async fn drip(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        pace: Duration,
    ) -> Result<Answer, h2::Error> {
        let (response, mut stream) = self.begin(path, headers).await?;
        let bytes = async {
            for byte in 0..body.len() {
                if stream.send_data(body.slice(byte..=byte), false).is_err() {
                    break;
                }
                sleep(pace).await;
            }
            std::future::pending::<()>().await;
        };
        let answered = timeout(PATIENCE, received(response));
        tokio::select! {
            answer = answered => answer.expect("an answer in time"),
            () = bytes => unreachable!("it waits for ever"),
        }
    }

    /// The head of a request, and what to send the rest with.
    pub(crate) async fn begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await?;
        send.send_request(request.body(()).unwrap(), false)
    }

    async fn exchange(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, h2::Error> {
        let (response, mut stream) = self.begin(path, headers).await?;
        // A refusal may come before the body is through.
        let _ = stream.send_data(body, true);
        received(response).await
    }

    /// One call with a message.
    pub(crate) async fn send(&self, method: &str, message: &impl Message) -> Answer {
        let path = format!("/v2.KeyManagementService/{method}");
        self.call(&path, &[], enveloped(&message.encode_to_vec()))
            .await
            .unwrap()
    }
}

async fn received(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk?;
        incoming.flow_control().release_capacity(chunk.len())?;
        body.put(chunk);
    }
    let trailers = incoming.trailers().await?.unwrap_or(head.headers);
    let text = |name: &str| {
        let value = trailers.get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_owned()
    };
    Ok(Answer {
        code: text("grpc-status"),
        message: text("grpc-message"),
        body: body.freeze(),
    })
}

/// A gRPC message: flag, length, bytes.
pub(crate) fn enveloped(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.put_slice(message);
    bytes.freeze()
}
