//! Answers.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use podctl::request::Problem;
use serde::Serialize;

/// What goes out.
pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    let _ = answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// A document.
pub(crate) fn document(document: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(document).unwrap_or_default();
    text.push(b'\n');
    whole(StatusCode::OK, "application/json", text)
}

/// It is done, and there is nothing to say.
pub(crate) fn done() -> Answer {
    whole(StatusCode::OK, "application/json", "{}\n")
}

/// Why something is not done.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(crate) fn answer(self) -> Answer {
        let mut answer = document(&Problem {
            message: self.message,
        });
        *answer.status_mut() = self.status;
        answer
    }
}

/// Bit by bit, until there is nothing more or nobody reads it.
pub(crate) fn stream(
    kind: &'static str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Answer {
    let frames = pieces.map(|piece| Ok(Frame::data(piece)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let kind = HeaderValue::from_static(kind);
    let _ = answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// The connection is another protocol's from here on.
pub(crate) fn switched(protocol: HeaderValue) -> Answer {
    let mut answer = whole(StatusCode::SWITCHING_PROTOCOLS, "text/plain", "");
    let headers = answer.headers_mut();
    let _ = headers.remove(header::CONTENT_TYPE);
    let _ = headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let _ = headers.insert(header::UPGRADE, protocol);
    answer
}
