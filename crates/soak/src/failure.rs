//! What a failed call says: one word that weather can be held against.

use kms_server::client::ClientError;
use tonic::Code;

/// The connection ended under the call, or nobody listens.
pub(crate) const GONE: &str = "connection gone";
/// The provider let the caller's deadline pass.
pub(crate) const LATE: &str = "no answer in time";
/// A code and a class that do not belong together.
pub(crate) const ILL_MATCHED: &str = "code and class do not match";

/// Every class of the provider, with the codes it may come with.
const CLASSES: [(&str, &[Code]); 22] = [
    ("protocol_limit", &[Code::InvalidArgument, Code::Internal]),
    ("key_id_malformed", &[Code::InvalidArgument]),
    ("annotation_invalid", &[Code::InvalidArgument]),
    ("aad_missing", &[Code::FailedPrecondition]),
    ("aad_mismatch", &[Code::InvalidArgument]),
    ("key_id_unknown", &[Code::NotFound]),
    ("key_version_removed", &[Code::FailedPrecondition]),
    ("key_metadata_refresh", &[Code::Unavailable]),
    ("status_stale", &[Code::FailedPrecondition]),
    ("concurrency_limit", &[Code::ResourceExhausted]),
    ("auth_failed", &[Code::Unauthenticated]),
    ("auth_expired", &[Code::Unauthenticated]),
    ("transit_policy_denied", &[Code::PermissionDenied]),
    ("transit_key_missing", &[Code::NotFound]),
    (
        "transit_version_unavailable",
        &[Code::FailedPrecondition, Code::Unavailable],
    ),
    ("unknown", &[Code::Internal]),
    ("openbao_rate_limited", &[Code::ResourceExhausted]),
    ("openbao_sealed", &[Code::Unavailable]),
    ("openbao_unavailable", &[Code::Unavailable]),
    ("openbao_connection_failed", &[Code::Unavailable]),
    ("openbao_tls_failed", &[Code::Unavailable]),
    ("timeout", &[Code::DeadlineExceeded]),
];

/// The class that the provider gave, or one of the words of this module. A class that the
/// soak never has a reason to see (a panic, for one) is a gone connection with no excuse.
pub(crate) fn class_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::TimedOut { .. } => LATE,
        ClientError::Unreachable { .. } | ClientError::NoService { .. } => GONE,
        ClientError::Refused { code, text, .. } => of_status(*code, text),
    }
}

/// Whether the connection is of no use any more.
pub(crate) fn is_broken(error: &ClientError) -> bool {
    [GONE, LATE].contains(&class_of(error))
}

fn of_status(code: Code, text: &str) -> &'static str {
    let word = text.split(':').next().unwrap_or_default();
    match CLASSES.iter().find(|(class, _)| *class == word) {
        Some((class, codes)) if codes.contains(&code) => class,
        Some(_) => ILL_MATCHED,
        // The client's own stack says it so when the deadline it was given has passed.
        None if text.contains("Timeout expired") => LATE,
        None if word == "panic" => ILL_MATCHED,
        None => GONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_counts_only_with_its_own_code() {
        for (code, text, expected) in [
            (
                Code::Unavailable,
                "openbao_sealed: OpenBao is sealed",
                "openbao_sealed",
            ),
            (Code::Internal, "openbao_sealed: OpenBao", ILL_MATCHED),
            (Code::DeadlineExceeded, "timeout: too late", "timeout"),
            (Code::Cancelled, "Timeout expired", LATE),
            (Code::Internal, "panic: caught", ILL_MATCHED),
            (Code::Unknown, "transport error", GONE),
        ] {
            assert_eq!(of_status(code, text), expected, "{text}");
        }
    }
}
