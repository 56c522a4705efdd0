//! One question: its deadline, and what its failure means.

use std::{error::Error as _, time::Duration};

use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Response, Status};

use crate::{
    endpoint::Endpoint,
    error::{Call, Error, Fault},
};

/// As much of a runtime's words as is kept, bytes: `runc` can say a lot.
const WORDS: usize = 2048;

pub(super) struct Asked<'a> {
    endpoint: &'a Endpoint,
    call: Call,
    subject: String,
    patience: Option<Duration>,
    /// What the command may take that this call runs; zero without a command or a limit.
    limit: Duration,
    since: Instant,
}

impl<'a> Asked<'a> {
    pub(super) fn new(
        endpoint: &'a Endpoint,
        call: Call,
        subject: String,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            endpoint,
            call,
            subject,
            patience,
            limit: Duration::ZERO,
            since: Instant::now(),
        }
    }

    pub(super) fn running_for(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The question with its deadline, so that the runtime gives up when we do.
    pub(super) fn request<Q>(&self, question: Q) -> Request<Q> {
        let mut request = Request::new(question);
        if let Some(patience) = self.patience {
            request.set_timeout(patience);
        }
        request
    }

    pub(super) async fn answer<A>(
        &self,
        call: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<A, Error> {
        let outcome = match self.patience {
            None => call.await,
            Some(patience) => match timeout(patience, call).await {
                Ok(outcome) => outcome,
                Err(_) => return Err(self.error(Fault::Deadline { after: patience })),
            },
        };
        match outcome {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(self.failed(&status)),
        }
    }

    /// The part of an answer without which it is none.
    pub(super) fn present<T>(&self, part: Option<T>) -> Result<T, Error> {
        part.ok_or_else(|| {
            self.error(Fault::Refused {
                code: "OK",
                message: "the answer is empty".to_owned(),
            })
        })
    }

    /// What a failed call means.
    pub(super) fn failed(&self, status: &Status) -> Error {
        // Only what arose on this side has a source: no runtime said it.
        self.error(if status.source().is_some() {
            self.lost(status)
        } else {
            self.said(status.code(), status.message())
        })
    }

    fn lost(&self, status: &Status) -> Fault {
        let mut cause: &(dyn std::error::Error + 'static) = status;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        if cause.is::<tonic::TimeoutExpired>() {
            return Fault::Deadline {
                after: self.patience.unwrap_or_default(),
            };
        }
        self.unavailable(cause.to_string())
    }

    fn said(&self, code: Code, words: &str) -> Fault {
        let message = cut(words);
        match code {
            Code::NotFound => Fault::NotFound { message },
            // containerd before 2 says UNKNOWN, later ones FAILED_PRECONDITION.
            Code::Unknown | Code::FailedPrecondition | Code::AlreadyExists
                if words.contains("is reserved") =>
            {
                let holder = holder(words);
                Fault::AlreadyReserved { holder, message }
            }
            // The runtime is ending, or has only begun.
            Code::Unavailable | Code::Cancelled => self.unavailable(message),
            Code::Unknown if words.contains("server is not initialized yet") => {
                self.unavailable(message)
            }
            Code::DeadlineExceeded if !self.limit.is_zero() => {
                Fault::ExecTimeout { after: self.limit }
            }
            Code::DeadlineExceeded => Fault::Deadline {
                after: self.since.elapsed(),
            },
            Code::Unimplemented => Fault::Unimplemented { message },
            code => Fault::Refused {
                code: name(code),
                message,
            },
        }
    }

    fn unavailable(&self, message: String) -> Fault {
        Fault::Unavailable {
            endpoint: self.endpoint.to_string(),
            message,
        }
    }

    fn error(&self, fault: Fault) -> Error {
        Error {
            call: self.call,
            subject: self.subject.clone(),
            fault,
        }
    }
}

/// Whole seconds, rounded up: a grace that is given is never taken away.
pub(super) fn seconds(time: Duration) -> i64 {
    let up = u64::from(time.subsec_nanos() > 0);
    i64::try_from(time.as_secs().saturating_add(up)).unwrap_or(i64::MAX)
}

/// The id in `name "..." is reserved for "<id>"`.
fn holder(words: &str) -> Option<String> {
    let (_, rest) = words.rsplit_once("is reserved for \"")?;
    let (id, _) = rest.split_once('"')?;
    (!id.is_empty()).then(|| id.to_owned())
}

fn cut(words: &str) -> String {
    let words = words.trim();
    if words.len() <= WORDS {
        return words.to_owned();
    }
    let end = words.floor_char_boundary(WORDS);
    format!("{}...", words.get(..end).unwrap_or_default())
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
