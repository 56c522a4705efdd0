//! Answers on their way out: whole, cut off, or dribbled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode, Version};
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::time::Sleep;

use crate::envelope::Answer;
use crate::wire::{Ending, Line, Work};

/// A stream that ends on purpose; over HTTP/1.1 that is its connection.
#[derive(Debug, Error)]
#[error("ended by a fault rule")]
pub(super) struct Ended;

/// How a body leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once.
    Whole,
    /// Half of it; then the connection ends.
    Cut(Ending),
    /// So many bytes at a time, with a pause after each.
    Slow(usize, Duration),
}

/// A body.
pub(super) struct Reply {
    rest: Bytes,
    /// How much leaves at a time.
    piece: usize,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// What ends the connection when nothing is left.
    cut: Option<(Ending, Arc<Line>)>,
    /// Whether what came before the cut has had its chance to leave.
    flushed: bool,
    /// The request is under way until its body has left.
    _work: Option<Work>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        if let Some(waiting) = &mut self.waiting {
            std::task::ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        if self.rest.is_empty() {
            return self.poll_end(context);
        }
        let length = self.piece.min(self.rest.len());
        let piece = self.rest.split_to(length);
        if !self.pause.is_zero() && !self.rest.is_empty() {
            self.waiting = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut.is_some() {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Reply {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let Some((ending, line)) = &self.cut else {
            return Poll::Ready(None);
        };
        if self.flushed {
            line.end(*ending);
        } else {
            // A body that has to wait makes the server flush what it has.
            self.flushed = true;
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The answer as HTTP.
pub(super) fn response(
    answer: Answer,
    manner: Manner,
    version: Version,
    work: Option<(Work, Arc<Line>)>,
) -> Response<Reply> {
    let mut rest = Bytes::from(answer.body);
    let length = rest.len();
    let (piece, pause) = match manner {
        Manner::Slow(bytes, pause) => (bytes.max(1), pause),
        Manner::Whole | Manner::Cut(_) => (usize::MAX, Duration::ZERO),
    };
    let (work, line) = work.unzip();
    let cut = match manner {
        Manner::Cut(ending) => {
            rest.truncate(length / 2);
            line.map(|line| (ending, line))
        }
        Manner::Whole | Manner::Slow(..) => None,
    };
    let is_cut = cut.is_some();
    let mut response = Response::new(Reply {
        rest,
        piece,
        pause,
        waiting: None,
        cut,
        flushed: false,
        _work: work,
    });
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        "strict-transport-security",
        HeaderValue::from_static("max-age=31536000; includeSubDomains"),
    );
    if answer.no_store {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if is_cut {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if answer.close && version <= Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
    response
}
