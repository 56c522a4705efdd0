//! A request on its way out of HTTP/2 and an answer on its way into it, each with what counts it
//! for its client.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body as HttpBody, Buf, Bytes, Frame, Incoming, SizeHint};
use tonic::{Status, body::Body};

use crate::untaken::{Held, Kind, Taker};

/// The body of a request.
pub(crate) struct Asked {
    body: Incoming,
    client: Taker,
    /// Bytes that are kept because there is more to come.
    begun: usize,
}

impl Asked {
    pub(crate) fn new(body: Incoming, client: Taker) -> Self {
        Self {
            body,
            client,
            begun: 0,
        }
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // A request that comes in one piece, as those of API servers do, is never counted.
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(bytes) = frame.data_ref()
            && !self.body.is_end_stream()
        {
            self.begun += bytes.len();
            self.client.begun(bytes.len());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.client.over(self.begun);
    }
}

/// The body of an answer.
pub(crate) struct Answer {
    body: Body,
    held: Option<Held>,
}

impl Answer {
    /// A refusal has no body: its head waits for no window.
    pub(crate) fn new(body: Body, client: &Taker) -> Self {
        let held = (!body.is_end_stream()).then(|| client.hold(Kind::Answer));
        Self { body, held }
    }
}

impl HttpBody for Answer {
    type Data = Portion;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Portion>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let held = &mut self.held;
        frame.map_ok(|frame| {
            frame.map_data(|bytes| Portion {
                bytes,
                _held: held.take(),
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The message. It holds the guard and not the body: HTTP/2 asks for all of a message once it
/// may send its first byte, and then keeps it.
pub(crate) struct Portion {
    bytes: Bytes,
    _held: Option<Held>,
}

impl Buf for Portion {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
