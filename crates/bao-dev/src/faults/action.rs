//! What a rule does to a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::envelope::{Answer, Refusal};

/// When the key is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before the request is carried out.
    Before,
    /// Between the first and the second half of its batch; before a request without one.
    During,
    /// After it was carried out.
    After,
}

/// What a rule does to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Waits, then lets it pass.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Waits for a time between two bounds, each as likely as any other, then lets it pass.
    Jitter {
        /// The shortest wait in milliseconds.
        min_ms: u64,
        /// The longest.
        max_ms: u64,
    },
    /// Answers in the server's place.
    Answer {
        /// HTTP status.
        status: u16,
        /// The one element of `errors`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// The same, inside `1 error occurred:`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wrapped: Option<String>,
        /// Any body instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// Any headers besides.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
    },
    /// Ends the connection before an answer, by a TCP RST.
    Reset,
    /// Ends the connection before an answer, by a FIN.
    Close,
    /// Ends the HTTP/2 stream before an answer; the connection stays. Over HTTP/1.1 as `Close`.
    ResetStream,
    /// Carries the request out, then ends the connection by a FIN.
    LoseAnswer,
    /// Carries the request out, then ends the connection after half of the body, by a TCP RST.
    ResetMidBody,
    /// The same, by a FIN.
    CloseMidBody,
    /// Never answers.
    Hang,
    /// 307 to another origin.
    Redirect {
        /// Scheme, host and port.
        to: String,
    },
    /// 200 with a body that is no JSON.
    Junk,
    /// 200 with a body of this size.
    Huge {
        /// Bytes.
        bytes: usize,
    },
    /// The real answer, of which only the beginning is sent; to HTTP it is complete.
    Truncate {
        /// How much is sent; none: half.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<usize>,
    },
    /// The real answer, dribbled.
    SlowBody {
        /// Bytes at a time.
        bytes: usize,
        /// Milliseconds between two times.
        every_ms: u64,
    },
    /// The real answer with other headers.
    Headers {
        /// Added, or put in the place of those that are there.
        headers: BTreeMap<String, String>,
    },
    /// Replaces one member of the real answer.
    Edit {
        /// JSON pointer, as `/data/key_version`.
        pointer: String,
        /// The new value; none: the member is removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
    /// Replaces a member of the real answer wherever it stands, in every item of a batch too.
    EditAll {
        /// Its name, as `ciphertext`.
        member: String,
        /// The new value; none: the member is removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
    /// The real answer, but every plaintext in it is another one of the same length.
    WrongPlaintext,
    /// The real answer, but the results of its batch stand in the opposite order.
    ReverseBatch,
    /// The real answer, but one item of its batch has failed. A request without a batch passes.
    FailItem {
        /// Which item, from 0 on.
        index: usize,
        /// The item's error.
        error: String,
        /// Status of the whole; none: what the request asked for in
        /// `partial_failure_response_code`, else 400.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
    },
    /// A login or a renewal is carried out, but its token lives as long as this says.
    Lease {
        /// Seconds from now.
        ttl: i64,
        /// The `lease_duration` of the answer; none: the truth.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promised: Option<i64>,
    },
    /// The key that the path names is rotated, and the request carried out.
    Rotate {
        /// In which order.
        when: When,
    },
}

impl Action {
    /// `status` with `{"errors":["text"]}`.
    #[must_use]
    pub fn error(status: u16, text: &str) -> Self {
        Self::Answer {
            status,
            error: Some(text.to_owned()),
            wrapped: None,
            body: None,
            headers: BTreeMap::new(),
        }
    }

    /// `status` with the wrapped form of `text`.
    #[must_use]
    pub fn wrapped(status: u16, text: &str) -> Self {
        Self::Answer {
            status,
            error: None,
            wrapped: Some(text.to_owned()),
            body: None,
            headers: BTreeMap::new(),
        }
    }

    /// `status` with any body and the content type of JSON.
    #[must_use]
    pub fn body(status: u16, body: &str) -> Self {
        Self::Answer {
            status,
            error: None,
            wrapped: None,
            body: Some(body.to_owned()),
            headers: BTreeMap::new(),
        }
    }

    /// 429 of a rate limit, with `Retry-After` in seconds or without.
    #[must_use]
    pub fn rate_limited(retry_after: Option<u64>) -> Self {
        let text = "request path \"transit/\": rate limit quota exceeded";
        let seconds = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
        Self::Answer {
            status: 429,
            error: Some(text.to_owned()),
            wrapped: None,
            body: None,
            headers: seconds.into_iter().collect(),
        }
    }

    /// A verdict of `sys/health` with any status: 200, 429 standby, 472 and 473 (other forks),
    /// 501 not initialised, 503 sealed.
    #[must_use]
    pub fn health(status: u16) -> Self {
        let body = json!({
            "initialized": status != 501,
            "sealed": matches!(status, 501 | 503),
            "standby": status != 200,
            "replication_performance_mode": "disabled",
            "replication_dr_mode": if status == 472 { "secondary" } else { "disabled" },
            "server_time_utc": 0,
            "version": crate::state::VERSION,
        });
        Self::body(status, &format!("{body}\n"))
    }

    /// Whether it only makes a request wait.
    pub(super) fn is_wait(&self) -> bool {
        matches!(self, Self::Delay { .. } | Self::Jitter { .. })
    }

    /// Whether it has no members besides its kind.
    pub(super) fn is_bare(&self) -> bool {
        matches!(
            self,
            Self::Reset
                | Self::Close
                | Self::ResetStream
                | Self::LoseAnswer
                | Self::ResetMidBody
                | Self::CloseMidBody
                | Self::Hang
                | Self::Junk
                | Self::WrongPlaintext
                | Self::ReverseBatch
        )
    }

    /// The answer of an action that gives one without the server. `target` is path and query.
    pub(crate) fn answer(&self, target: &str) -> Option<Answer> {
        Some(match self {
            Self::Answer {
                status,
                error,
                wrapped,
                body,
                headers,
            } => {
                let mut answer = match (error, wrapped, body) {
                    (_, _, Some(body)) => Answer::new(*status, body.clone().into_bytes()),
                    (_, Some(text), None) => Refusal::wrapped(*status, text).answer(),
                    (Some(text), None, None) => Refusal::plain(*status, text).answer(),
                    (None, None, None) => Refusal::empty(*status).answer(),
                };
                answer.headers.extend(headers.clone());
                answer
            }
            Self::Redirect { to } => {
                Answer::new(307, Vec::new()).header("Location", format!("{to}{target}"))
            }
            Self::Junk => Answer::new(200, b"<html>it works!</html>\n".to_vec()),
            Self::Huge { bytes } => {
                let filler = "x".repeat(bytes.saturating_sub(18));
                Answer::new(
                    200,
                    format!("{{\"data\":{{\"a\":\"{filler}\"}}}}\n").into_bytes(),
                )
            }
            _ => return None,
        })
    }
}
