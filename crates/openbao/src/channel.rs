//! One HTTP/1.1 connection without a task of its own: whoever sends a request drives it.
//!
//! So the answer wakes the caller and nobody else, and nothing outlives the call that owns it. An
//! idle connection is not looked at; that the server has closed it shows before the next request
//! is written, which is then given back.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use crate::transport::Failure;

/// The most that is buffered of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// What goes out.
pub(crate) type Outgoing = http::Request<Full<Bytes>>;

type Http = Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>;

/// Why there is no answer.
pub(crate) enum Lost {
    /// The connection had ended; not a byte was written.
    Unsent(Box<Outgoing>),
    /// The request may have reached the server.
    Sent(Failure),
}

/// A connection; at most one request at a time.
pub(crate) struct Channel {
    sender: SendRequest<Full<Bytes>>,
    /// None once it has ended.
    connection: Option<Http>,
}

impl Channel {
    /// Over a finished handshake; sends nothing yet.
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Result<Self, Failure> {
        let mut builder = Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let opened = builder.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = opened.map_err(|_| Failure::LostBeforeAnswer)?;
        Ok(Self {
            sender,
            connection: Some(connection),
        })
    }

    /// One request and its whole answer. `answering` turns true with the head; `limit` is the
    /// most bytes of a body with that status.
    pub(crate) async fn ask(
        &mut self,
        request: Box<Outgoing>,
        answering: &mut bool,
        limit: impl Fn(u16) -> usize,
    ) -> Result<(Parts, Zeroizing<Vec<u8>>), Lost> {
        let sender = &mut self.sender;
        let work = async {
            if sender.ready().await.is_err() {
                return Err(Lost::Unsent(request));
            }
            let sent = sender.try_send_request(*request).await;
            let response = sent.map_err(|mut error| match error.take_message() {
                Some(request) => Lost::Unsent(Box::new(request)),
                None if error.error().is_parse() => Lost::Sent(Failure::NotHttp),
                None => Lost::Sent(Failure::LostBeforeAnswer),
            })?;
            *answering = true;
            let (head, body) = response.into_parts();
            let limit = limit(head.status.as_u16());
            let body = read_body(body, limit).await.map_err(Lost::Sent)?;
            Ok((head, body))
        };
        driven(&mut self.connection, work).await
    }

    /// Whether it may carry another request.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some() && !self.sender.is_closed()
    }
}

/// `work`, which waits for `connection`.
async fn driven<T>(connection: &mut Option<Http>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        // Twice, as each half answers the other: a request is handed over and then written, a
        // head is read and then its body asked for.
        for _ in 0..2 {
            let ended = connection
                .as_mut()
                .is_some_and(|connection| Pin::new(connection).poll(cx).is_ready());
            if ended {
                // Dropped, so that the work hears of it.
                *connection = None;
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

/// Reads at most one byte more than `limit`, whatever Content-Length says.
async fn read_body(mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut parts: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    while !body.is_end_stream()
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|_| Failure::LostInAnswer)?;
        if let Ok(data) = frame.into_data() {
            length = length.saturating_add(data.len());
            if length > limit {
                return Err(Failure::TooLarge);
            }
            parts.push(data);
        }
    }
    // Allocated once at its final size, so that no copy is left behind by growth.
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        whole.extend_from_slice(&part);
        wipe(part);
    }
    Ok(whole)
}

/// Best effort: only a buffer that nobody else holds can be wiped.
fn wipe(part: Bytes) {
    if let Ok(unique) = part.try_into_mut() {
        let mut unique: BytesMut = unique;
        zeroize::Zeroize::zeroize(&mut *unique);
    }
}
