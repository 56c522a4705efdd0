//! What a probe sends, and how its answer is read. Nothing is decided here.

use std::{future::Future, sync::Arc, time::Duration};

use openbao::{
    error::{Class, Error},
    transit::{CallOptions, DecryptItem, Transit},
};
use registry::{ciphertext, finding::Finding, health::Fault, rotation::Answer};
use secret::SecretBytes;
use tokio::time::{Instant, timeout_at};

/// Standard base64 of `openbao-kubernetes-kms/status-probe/v1`. Not the associated data of
/// any object, so a probe's ciphertext can never pass for one.
pub(super) const ASSOCIATED_DATA: &str = "b3BlbmJhby1rdWJlcm5ldGVzLWttcy9zdGF0dXMtcHJvYmUvdjE=";
/// What the API server accepts.
const CIPHERTEXT_MAX: usize = 1023;
const PLAINTEXT: usize = 32;

/// How one probe may ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Limit of each request, retries and login included.
    pub(super) limit: Duration,
    /// On a connection of its own.
    pub(super) new_connection: bool,
}

impl Manner {
    fn options(self) -> CallOptions {
        CallOptions {
            deadline: Instant::now() + self.limit,
            new_connection: self.new_connection,
        }
    }

    /// Ends a request at its limit even if the client does not: a probe that never ended
    /// would be the last of its kind. Nobody waits for a probe: its time running out is told
    /// as OpenBao's silence, not as a caller's haste.
    async fn bound<T>(
        options: CallOptions,
        operation: &'static str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        timeout_at(options.deadline, call)
            .await
            .unwrap_or_else(|_| Err(Error::silence(operation)))
            .map_err(Error::without_caller)
    }
}

/// Why a deep probe did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeepFailure {
    /// What it means for the verdict.
    pub(super) fault: Fault,
    /// Stable class for the log.
    pub(super) class: &'static str,
    /// What was said, for the log.
    pub(super) reason: String,
}

/// Reads the mount's setting and the key. An answer that only says *no* is an answer.
pub(super) async fn metadata(transit: Arc<dyn Transit>, manner: Manner) -> Result<Answer, Error> {
    let options = manner.options();
    let upsert = transit.read_disable_upsert(options);
    let disable_upsert = match Manner::bound(options, "transit_disable_upsert_read", upsert).await {
        Ok(disable_upsert) => disable_upsert,
        Err(error) => return refusal(error, Answer::UpsertMissing, Answer::UpsertDenied),
    };
    let options = manner.options();
    match Manner::bound(options, "transit_metadata_read", transit.read_key(options)).await {
        Ok(key) => Ok(Answer::Metadata {
            disable_upsert,
            key,
        }),
        Err(error) => refusal(error, Answer::KeyMissing, Answer::KeyDenied),
    }
}

fn refusal(error: Error, missing: Answer, denied: Answer) -> Result<Answer, Error> {
    match error.class {
        Class::KeyMissing => Ok(missing),
        Class::PolicyDenied => Ok(denied),
        _ => Err(error),
    }
}

/// Encrypts random bytes under exactly `version`, decrypts them, and compares.
pub(super) async fn deep(
    transit: Arc<dyn Transit>,
    version: u64,
    manner: Manner,
) -> Result<(), DeepFailure> {
    let plaintext = SecretBytes::new(
        std::iter::repeat_with(|| fastrand::u8(..))
            .take(PLAINTEXT)
            .collect(),
    );
    let options = manner.options();
    let call = transit.encrypt(version, &plaintext, ASSOCIATED_DATA, options);
    let sealed = Manner::bound(options, "transit_encrypt", call)
        .await
        .map_err(|error| failure(&error))?;
    if sealed.key_version != version || ciphertext::version_of(&sealed.ciphertext) != Ok(version) {
        return Err(wrong("it names another key version than the one asked for"));
    }
    if sealed.ciphertext.len() > CIPHERTEXT_MAX {
        return Err(wrong(
            "the ciphertext is longer than the 1023 bytes that API servers accept",
        ));
    }
    let item = DecryptItem {
        ciphertext: sealed.ciphertext,
        associated_data: ASSOCIATED_DATA.to_owned(),
    };
    let options = manner.options();
    let opened = Manner::bound(options, "transit_decrypt", transit.decrypt(&item, options))
        .await
        .map_err(|error| failure(&error))?;
    if opened.expose_secret() == plaintext.expose_secret() {
        Ok(())
    } else {
        Err(wrong("what was decrypted is not what was encrypted"))
    }
}

fn wrong(what: &'static str) -> DeepFailure {
    let finding = Finding::RoundTrip(what);
    DeepFailure {
        class: finding.word(),
        reason: finding.to_string(),
        fault: Fault::Definite(finding),
    }
}

fn failure(error: &Error) -> DeepFailure {
    let class = error.class.as_str();
    let fault = match error.class {
        Class::AuthFailed
        | Class::AuthExpired
        | Class::RateLimited
        | Class::Sealed
        | Class::Unavailable
        | Class::ConnectionFailed
        | Class::DnsFailed
        | Class::TlsFailed
        | Class::Deadline => Fault::Transient,
        // A node that lags can say each of these for a moment.
        Class::PolicyDenied
        | Class::KeyMissing
        | Class::VersionUnavailable
        | Class::VersionTooNew
        | Class::CiphertextRejected
        | Class::OwnInput => Fault::Doubtful(Finding::DeepRefused(class)),
    };
    DeepFailure {
        fault,
        class,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeTransit, error};

    const MANNER: Manner = Manner {
        limit: Duration::from_secs(2),
        new_connection: false,
    };

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_time_runs_out_says_that_openbao_did_not_answer() {
        let transit = FakeTransit::new();
        for hangs in [true, false] {
            transit.script().hangs = hangs;
            transit.script().down = Some(error(Class::Deadline));
            let asked = metadata(Arc::clone(&transit) as _, MANNER).await;
            let refused = asked.unwrap_err();
            let tried = deep(Arc::clone(&transit) as _, 1, MANNER).await;
            let failed = tried.unwrap_err();
            assert_eq!(refused.class, Class::Unavailable);
            assert_eq!(failed.class, "openbao_unavailable");
            assert_eq!(failed.fault, Fault::Transient);
            for reason in [refused.reason, failed.reason] {
                let words = "OpenBao did not answer within openbao.timeout";
                assert!(reason.ends_with(words), "{reason}");
            }
        }
    }
}
