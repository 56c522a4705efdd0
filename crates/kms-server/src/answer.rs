//! An answer on its way into HTTP/2, with the guard that counts it until it is written.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body as HttpBody, Buf, Bytes, Frame, SizeHint};
use tonic::{Status, body::Body};

use crate::untaken::{Held, Kind, Taker};

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
