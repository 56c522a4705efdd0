//! `probe`: what the API server does at its start, once, by hand.
//!
//! A check that fails ends with code 4. A socket that cannot be reached, or behind which nobody
//! speaks gRPC, leaves nothing to check: that is code 5, so that a script can tell a provider
//! that is wrong from one that is not there.

use std::{
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use kms_server::client::{Client, ClientError};
use secret::SecretBytes;
use tokio::time::timeout_at;

use super::{
    arguments,
    report::{Check, Probe, Verdict},
};
use crate::exit::Failure;

mod answers;

/// The name of the probe's calls in the plugin's logs.
const UID: &str = "bao-kms-provider-probe";

/// As long as the seeds that the API server wraps.
const PLAINTEXT_BYTES: usize = 32;

/// There is nobody to ask.
#[derive(Debug, thiserror::Error)]
#[error("{}; {}", crate::causes::chain(.0), hint(.0))]
pub(crate) struct Nobody(ClientError);

/// What to look at first.
fn hint(error: &ClientError) -> &'static str {
    match error {
        ClientError::Unreachable { source, .. } => match source.kind() {
            ErrorKind::NotFound => {
                "start the provider, or name its server.socketPath with --socket"
            }
            ErrorKind::ConnectionRefused => "the process that made it is gone: start the provider",
            ErrorKind::PermissionDenied => {
                "ask as a member of server.socketGroup, who may also pass through the directories above it"
            }
            _ => "name the provider's server.socketPath with --socket",
        },
        ClientError::NoService { .. } => {
            "another program has it, or the provider's server.allowedPeers does not name this user"
        }
        ClientError::Refused { .. } | ClientError::TimedOut { .. } => "see the provider's log",
    }
}

/// Makes all checks. With the error when there is nobody to ask.
///
/// # Errors
/// [`Failure::Runtime`] when this program itself cannot ask. A failed check is part of the
/// report.
pub(crate) fn run(
    arguments: &arguments::Probe,
    socket: &Path,
) -> Result<(Probe, Option<Nobody>), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(Box::new(error)))?;
    Ok(runtime.block_on(probe(arguments, socket)))
}

async fn probe(arguments: &arguments::Probe, socket: &Path) -> (Probe, Option<Nobody>) {
    let mut steps = Steps {
        checks: vec![identity(socket)],
        deadline: tokio::time::Instant::now() + arguments.timeout,
        patience: arguments.timeout,
    };
    let started = Instant::now();
    let (key_id, unreachable) = match Client::connect(socket, arguments.timeout).await {
        Ok(mut client) => {
            steps.record("connect", started, Ok("connected".to_owned()));
            (steps.calls(&mut client, arguments).await, None)
        }
        Err(error) => {
            let error = Nobody(error);
            steps.record("connect", started, Err(error.to_string()));
            let expected = arguments.expected_key_id.as_ref().map(|_| "key_id");
            let calls = ["status"].into_iter().chain(expected);
            for id in calls.chain(["encrypt", "decrypt"]) {
                steps.skip(id, "there is nobody to ask");
            }
            (None, Some(error))
        }
    };
    let report = Probe {
        socket: socket.display().to_string(),
        result: Verdict::over(&steps.checks),
        key_id,
        checks: steps.checks,
    };
    (report, unreachable)
}

/// Who asks. Root and the socket's owner may connect whatever mode and group say, so their
/// success does not show that the API server's would.
fn identity(socket: &Path) -> Check {
    let uid = rustix::process::geteuid().as_raw();
    let owner = std::fs::metadata(socket).map(|socket| socket.uid());
    let (result, message) = if uid == 0 {
        (
            Verdict::Warn,
            "asked as root, who may connect always: where kube-apiserver has a user of its own, ask as that one \
             (sudo -u USER)"
                .to_owned(),
        )
    } else if owner.is_ok_and(|owner| owner == uid) {
        (
            Verdict::Warn,
            format!(
                "asked as uid {uid}, the socket's owner, who may connect always: ask as the user of kube-apiserver \
                 (sudo -u USER)"
            ),
        )
    } else {
        (Verdict::Pass, format!("asked as uid {uid}"))
    };
    Check {
        id: "identity",
        result,
        message,
        duration_us: None,
    }
}

/// What Encrypt returned and what it was given.
struct Sealed {
    plaintext: SecretBytes,
    answer: kms_proto::v2::EncryptResponse,
}

struct Steps {
    checks: Vec<Check>,
    deadline: tokio::time::Instant,
    patience: Duration,
}

impl Steps {
    /// All three calls; the key_id that Status gave.
    async fn calls(&mut self, client: &mut Client, arguments: &arguments::Probe) -> Option<String> {
        let Some(key_id) = self.status(client, arguments).await else {
            self.skip("encrypt", "Status gave no usable key_id");
            self.skip("decrypt", "Status gave no usable key_id");
            return None;
        };
        if let Some(sealed) = self.encrypt(client, &key_id).await {
            self.decrypt(client, sealed).await;
        } else {
            self.skip("decrypt", "Encrypt gave nothing to decrypt");
        }
        Some(key_id)
    }

    async fn status(
        &mut self,
        client: &mut Client,
        arguments: &arguments::Probe,
    ) -> Option<String> {
        let started = Instant::now();
        let answer = self.within(client.status()).await;
        let judged = answer.and_then(|answer| {
            answers::status(&answer)?;
            Ok(answer.key_id)
        });
        match judged {
            Ok(key_id) => {
                self.record(
                    "status",
                    started,
                    Ok(format!("healthy, KMS v2, key_id {key_id}")),
                );
                if let Some(expected) = &arguments.expected_key_id {
                    self.expect(&key_id, expected);
                }
                Some(key_id)
            }
            Err(message) => {
                self.record("status", started, Err(message));
                None
            }
        }
    }

    fn expect(&mut self, key_id: &str, expected: &str) {
        let matches = key_id == expected;
        self.checks.push(Check {
            id: "key_id",
            result: if matches {
                Verdict::Pass
            } else {
                Verdict::Fail
            },
            message: if matches {
                "Status gives the expected key_id".to_owned()
            } else {
                "Status gives another key_id than the expected one".to_owned()
            },
            duration_us: None,
        });
    }

    async fn encrypt(&mut self, client: &mut Client, key_id: &str) -> Option<Sealed> {
        let bytes = std::iter::repeat_with(|| fastrand::u8(..)).take(PLAINTEXT_BYTES);
        let plaintext = SecretBytes::new(bytes.collect());
        let started = Instant::now();
        let answer = self.within(client.encrypt(&plaintext, UID)).await;
        let judged = answer.and_then(|answer| {
            answers::encrypt(&answer, key_id)?;
            Ok(answer)
        });
        match judged {
            Ok(answer) => {
                let message = format!(
                    "{} bytes of ciphertext, {} annotations of {} bytes",
                    answer.ciphertext.len(),
                    answer.annotations.len(),
                    answers::annotation_bytes(&answer.annotations)
                );
                self.record("encrypt", started, Ok(message));
                Some(Sealed { plaintext, answer })
            }
            Err(message) => {
                self.record("encrypt", started, Err(message));
                None
            }
        }
    }

    async fn decrypt(&mut self, client: &mut Client, sealed: Sealed) {
        let started = Instant::now();
        let answer = sealed.answer;
        let call = client.decrypt(answer.ciphertext, answer.key_id, answer.annotations, UID);
        let judged = self.within(call).await.and_then(|plaintext| {
            if plaintext.expose_secret() == sealed.plaintext.expose_secret() {
                Ok("the plaintext came back".to_owned())
            } else {
                Err("another plaintext came back than was encrypted".to_owned())
            }
        });
        self.record("decrypt", started, judged);
    }

    /// The answer in time, or what to report.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, String> {
        match timeout_at(self.deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(crate::causes::chain(&error)),
            Err(_) => Err(format!(
                "no answer before the end of the probe's {}",
                pace::GoDuration::from_nanos(
                    i64::try_from(self.patience.as_nanos()).unwrap_or(i64::MAX)
                )
            )),
        }
    }

    fn record(&mut self, id: &'static str, started: Instant, outcome: Result<String, String>) {
        let (result, message) = match outcome {
            Ok(message) => (Verdict::Pass, message),
            Err(message) => (Verdict::Fail, message),
        };
        self.checks.push(Check {
            id,
            result,
            message,
            duration_us: Some(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)),
        });
    }

    fn skip(&mut self, id: &'static str, why: &str) {
        self.checks.push(Check {
            id,
            result: Verdict::Skip,
            message: why.to_owned(),
            duration_us: None,
        });
    }
}

/// The report for people.
pub(crate) fn text(report: &Probe, colour: bool) -> String {
    use std::fmt::Write as _;

    let mut text = format!("socket {}\n", report.socket);
    for check in &report.checks {
        let duration = check.duration_us.map_or_else(String::new, |us| {
            format!("{}.{} ms", us / 1000, us % 1000 / 100)
        });
        let _ = writeln!(
            text,
            "  {}  {:<8}  {duration:>10}  {}",
            check.result.painted(colour),
            check.id,
            check.message
        );
    }
    let _ = writeln!(text, "{}", report.result.painted(colour));
    text
}
