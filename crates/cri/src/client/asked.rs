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
/// Thirty years. A manifest may name a grace that overflows the header of a deadline, and a
/// runtime's nanoseconds: containerd would kill at once.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

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
    pub(super) fn new(endpoint: &'a Endpoint, call: Call, subject: String) -> Self {
        Self {
            endpoint,
            call,
            subject,
            patience: call.patience(),
            limit: Duration::ZERO,
            since: Instant::now(),
        }
    }

    pub(super) fn longer_by(mut self, grace: Duration) -> Self {
        self.patience = self
            .patience
            .map(|patience| patience.saturating_add(grace.min(LONGEST)));
        self
    }

    pub(super) fn running_for(mut self, limit: Duration) -> Self {
        self.limit = limit;
        if limit.is_zero() {
            self.patience = None;
        }
        self.longer_by(limit)
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
    let time = time.min(LONGEST);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::parse("/run/c.sock").unwrap()
    }

    fn said(call: Call, code: Code, words: &str) -> Fault {
        let endpoint = endpoint();
        let asked = Asked::new(&endpoint, call, String::new());
        let asked = asked.running_for(Duration::from_secs(u64::from(call == Call::ExecSync)));
        asked.failed(&Status::new(code, words)).fault
    }

    #[test]
    fn a_name_that_is_taken_is_so_under_every_code() {
        let words = "failed to reserve sandbox name \"a\": name \"a\" is reserved for \"0123\"";
        for code in [Code::Unknown, Code::FailedPrecondition, Code::AlreadyExists] {
            let fault = said(Call::RunPodSandbox, code, words);
            let expected = Fault::AlreadyReserved {
                holder: Some("0123".to_owned()),
                message: words.to_owned(),
            };
            assert_eq!(fault, expected);
        }
        let fault = said(Call::RunPodSandbox, Code::Unknown, "name is reserved");
        assert!(matches!(fault, Fault::AlreadyReserved { holder: None, .. }));
    }

    #[test]
    fn codes_have_classes() {
        let message = || "w".to_owned();
        let unavailable = || Fault::Unavailable {
            endpoint: "unix:///run/c.sock".to_owned(),
            message: message(),
        };
        let table = [
            (Code::NotFound, Fault::NotFound { message: message() }),
            (Code::Unavailable, unavailable()),
            (Code::Cancelled, unavailable()),
            (
                Code::Unimplemented,
                Fault::Unimplemented { message: message() },
            ),
            (
                Code::Unknown,
                Fault::Refused {
                    code: "UNKNOWN",
                    message: message(),
                },
            ),
            (
                Code::FailedPrecondition,
                Fault::Refused {
                    code: "FAILED_PRECONDITION",
                    message: message(),
                },
            ),
        ];
        for (code, fault) in table {
            assert_eq!(said(Call::Status, code, "w"), fault, "{code:?}");
        }
        let starting = said(Call::Status, Code::Unknown, "server is not initialized yet");
        assert!(matches!(starting, Fault::Unavailable { .. }));
    }

    #[test]
    fn a_deadline_of_a_command_is_the_commands() {
        let command = said(Call::ExecSync, Code::DeadlineExceeded, "w");
        let after = Duration::from_secs(1);
        assert_eq!(command, Fault::ExecTimeout { after });
        let other = said(Call::Status, Code::DeadlineExceeded, "w");
        assert!(matches!(other, Fault::Deadline { .. }));
    }

    #[test]
    fn a_flood_of_words_is_cut_between_letters() {
        let words = "ä".repeat(WORDS);
        let Fault::Refused { message, .. } = said(Call::Status, Code::Internal, &words) else {
            panic!("refused");
        };
        assert_eq!(message, format!("{}...", "ä".repeat(WORDS / 2)));
    }

    #[test]
    fn graces_are_rounded_up() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(30)), 30);
        assert_eq!(seconds(Duration::MAX), 1_000_000_000);
    }

    #[test]
    fn the_runtime_is_told_of_the_deadline() {
        let endpoint = endpoint();
        let told = |call| {
            let request = Asked::new(&endpoint, call, String::new()).request(());
            let value = request.metadata().get("grpc-timeout").cloned();
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(told(Call::Status).as_deref(), Some("120000m"));
        assert_eq!(told(Call::PullImage), None);
        let asked = Asked::new(&endpoint, Call::StopContainer, String::new());
        let request = asked.longer_by(Duration::MAX).request(());
        assert!(request.metadata().contains_key("grpc-timeout"), "no panic");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_deadline_of_the_call() {
        let endpoint = endpoint();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let hour = minutes(60);
        let asked = |call| Asked::new(&endpoint, call, "s".to_owned());
        for (asked, after) in [
            (asked(Call::Status), Some(minutes(2))),
            (asked(Call::RunPodSandbox), Some(minutes(4))),
            (
                asked(Call::StopContainer).longer_by(minutes(1)),
                Some(minutes(3)),
            ),
            (
                asked(Call::ExecSync).running_for(minutes(1)),
                Some(minutes(3)),
            ),
            (asked(Call::ExecSync).running_for(Duration::ZERO), None),
            (asked(Call::PullImage), None),
        ] {
            let silence = std::future::pending::<Result<Response<()>, Status>>();
            let outcome = timeout(hour, asked.answer(silence)).await;
            let fault = outcome.ok().map(|outcome| outcome.unwrap_err().fault);
            assert_eq!(fault, after.map(|after| Fault::Deadline { after }));
        }
    }
}
