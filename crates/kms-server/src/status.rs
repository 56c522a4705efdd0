//! The one mapping from causes to gRPC codes, stable classes and public texts.
//!
//! The text reaches the API server's log and its `/healthz`: it says what an operator should
//! look at, and never what an attacker would like to know (addresses, key names, server text).

use keyring::kms::Error;
use openbao::error::Class;
use tonic::{Code, Status};

/// Why a call does not end well.
#[derive(Debug)]
pub(crate) enum Cause<'a> {
    /// The keyring refused it or failed.
    Keyring(&'a Error),
    /// The request is longer than a message may be.
    MessageTooLong,
    /// The request is no message of this method.
    MessageMalformed,
    /// The request is compressed.
    MessageCompressed,
    /// No such method.
    MethodUnknown,
    /// The deadline ran out outside the keyring.
    Deadline,
    /// The request was begun, and did not come to its end in time.
    NotSent,
    /// The caller went away.
    Canceled,
    /// A handler panicked.
    Panic,
}

/// What the caller and the log get to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// gRPC code.
    pub(crate) code: Code,
    /// Stable class, logged and first word of the message.
    pub(crate) class: &'static str,
    /// One sentence.
    pub(crate) text: &'static str,
}

impl Refusal {
    /// The answer: class and sentence, far below the 1 KiB that every client passes on.
    pub(crate) fn status(&self) -> Status {
        Status::new(self.code, format!("{}: {}", self.class, self.text))
    }
}

const fn refusal(code: Code, class: &'static str, text: &'static str) -> Refusal {
    Refusal { code, class, text }
}

/// The mapping.
pub(crate) fn refuse(cause: &Cause<'_>) -> Refusal {
    match cause {
        Cause::Keyring(error) => of_keyring(error),
        Cause::MessageTooLong => refusal(
            Code::InvalidArgument,
            "protocol_limit",
            "the request message is longer than 65536 bytes",
        ),
        Cause::MessageMalformed => refusal(
            Code::InvalidArgument,
            "protocol_limit",
            "the request is not a message of this KMS v2 method",
        ),
        Cause::MessageCompressed => refusal(
            Code::Unimplemented,
            "protocol_limit",
            "compressed requests are not supported",
        ),
        Cause::MethodUnknown => refusal(
            Code::Unimplemented,
            "unknown",
            "only Status, Encrypt and Decrypt of v2.KeyManagementService are served",
        ),
        Cause::Deadline => deadline(),
        Cause::NotSent => refusal(
            Code::DeadlineExceeded,
            "timeout",
            "the request was begun and not sent to its end within 5 seconds",
        ),
        Cause::Canceled => refusal(Code::Cancelled, "canceled", "the caller canceled the call"),
        Cause::Panic => refusal(
            Code::Internal,
            "panic",
            "a fault in the provider ended this call; other calls are not affected",
        ),
    }
}

fn of_keyring(error: &Error) -> Refusal {
    use Code::{FailedPrecondition, Internal, InvalidArgument, NotFound, ResourceExhausted};
    match error {
        Error::RequestLimit(what) => refusal(InvalidArgument, "protocol_limit", what),
        Error::KeyIdMalformed => refusal(
            InvalidArgument,
            "key_id_malformed",
            "the key_id was not made by this provider",
        ),
        Error::AnnotationInvalid { .. } => refusal(
            InvalidArgument,
            "annotation_invalid",
            "an annotation is missing or malformed",
        ),
        Error::AadMissing => refusal(
            FailedPrecondition,
            "aad_missing",
            "the request has no annotations, so the ciphertext cannot be authenticated",
        ),
        Error::AadMismatch(_) => aad_mismatch(),
        Error::KeyIdUnknown => refusal(
            NotFound,
            "key_id_unknown",
            "neither the registry nor the key's metadata as they were read last have this key_id",
        ),
        Error::KeyIdForeign => refusal(
            NotFound,
            "key_id_unknown",
            "the registry does not have this key_id; the key's metadata were not asked, because the \
             request lacks the key_id's own hash, which Encrypt puts among the annotations",
        ),
        Error::KeyVersionRemoved => refusal(
            FailedPrecondition,
            "key_version_removed",
            "the key version of this key_id was taken out of use",
        ),
        Error::MetadataRefresh => refusal(
            Code::Unavailable,
            "key_metadata_refresh",
            "the key_id is not known here and the key's metadata could not be read",
        ),
        Error::StatusStale(_) => refusal(
            FailedPrecondition,
            "status_stale",
            "the provider is not healthy, so nothing is encrypted; reads may still work",
        ),
        Error::ResponseLimit(_) => refusal(
            Internal,
            "protocol_limit",
            "the answer breaks a limit of KMS v2 and was withheld",
        ),
        Error::WaitingRoomFull => refusal(
            ResourceExhausted,
            "concurrency_limit",
            "too many calls are waiting already",
        ),
        Error::Deadline => deadline(),
        Error::Backend(error) => of_backend(error.class),
    }
}

fn of_backend(class: Class) -> Refusal {
    let (code, text) = match class {
        Class::AuthFailed => (
            Code::Unauthenticated,
            "login to OpenBao failed, or the provider's own credential cannot be used",
        ),
        Class::AuthExpired => (
            Code::Unauthenticated,
            "the provider's own credential has expired or is about to",
        ),
        Class::PolicyDenied => (Code::PermissionDenied, "policy denied or key missing"),
        Class::KeyMissing => (Code::NotFound, "the Transit key does not exist"),
        Class::VersionUnavailable => (
            Code::FailedPrecondition,
            "the key version can no longer be used: archived, trimmed, too old or deleted",
        ),
        Class::VersionTooNew => (
            Code::Unavailable,
            "the OpenBao node that answered does not know the key version yet",
        ),
        Class::CiphertextRejected => return aad_mismatch(),
        Class::OwnInput => (
            Code::Internal,
            "OpenBao did not accept a request of the provider",
        ),
        Class::RateLimited => (
            Code::ResourceExhausted,
            "OpenBao limits the rate of requests",
        ),
        Class::Sealed => (Code::Unavailable, "OpenBao is sealed"),
        Class::Unavailable => (Code::Unavailable, "OpenBao did not give a usable answer"),
        Class::ConnectionFailed => (Code::Unavailable, "OpenBao cannot be connected to"),
        Class::DnsFailed => (Code::Unavailable, "the name of OpenBao does not resolve"),
        Class::TlsFailed => (
            Code::Unavailable,
            "no trusted TLS connection to OpenBao could be made",
        ),
        Class::Deadline => return deadline(),
    };
    refusal(code, class.as_str(), text)
}

const fn aad_mismatch() -> Refusal {
    refusal(
        Code::InvalidArgument,
        "aad_mismatch",
        "ciphertext, key_id and annotations do not belong together",
    )
}

const fn deadline() -> Refusal {
    refusal(
        Code::DeadlineExceeded,
        "timeout",
        "the caller's deadline would have passed before an answer",
    )
}

/// The name of a code in metrics and logs: as Go and the API server's own metrics write it.
pub(crate) const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests;
