use super::*;

/// A planted address, as a careless client might put it into its error.
const CANARY: &str = "https://bao.internal:8200 vault:v1:c2VjcmV0 hvs.token";

fn backend(class: Class) -> Error {
    Error::Backend(openbao::error::Error {
        class,
        operation: "transit_decrypt",
        reason: CANARY.into(),
        status: Some(503),
    })
}

fn all() -> Vec<(Error, Code, &'static str)> {
    table().into_iter().chain(backend_table()).collect()
}

fn table() -> Vec<(Error, Code, &'static str)> {
    let invalid = Error::AnnotationInvalid {
        key: "annotation key",
        fault: "not a domain name",
    };
    vec![
        (
            Error::RequestLimit("plaintext is empty"),
            Code::InvalidArgument,
            "protocol_limit",
        ),
        (
            Error::KeyIdMalformed,
            Code::InvalidArgument,
            "key_id_malformed",
        ),
        (invalid, Code::InvalidArgument, "annotation_invalid"),
        (Error::AadMissing, Code::FailedPrecondition, "aad_missing"),
        (
            Error::AadMismatch("hash"),
            Code::InvalidArgument,
            "aad_mismatch",
        ),
        (
            backend(Class::CiphertextRejected),
            Code::InvalidArgument,
            "aad_mismatch",
        ),
        (Error::KeyIdUnknown, Code::NotFound, "key_id_unknown"),
        (Error::KeyIdForeign, Code::NotFound, "key_id_unknown"),
        (
            Error::KeyVersionRemoved,
            Code::FailedPrecondition,
            "key_version_removed",
        ),
        (
            Error::MetadataRefresh,
            Code::Unavailable,
            "key_metadata_refresh",
        ),
        (
            Error::StatusStale("stale"),
            Code::FailedPrecondition,
            "status_stale",
        ),
        (
            Error::ResponseLimit("long"),
            Code::Internal,
            "protocol_limit",
        ),
        (
            Error::WaitingRoomFull,
            Code::ResourceExhausted,
            "concurrency_limit",
        ),
        (Error::Deadline, Code::DeadlineExceeded, "timeout"),
    ]
}

fn backend_table() -> Vec<(Error, Code, &'static str)> {
    vec![
        (
            backend(Class::AuthFailed),
            Code::Unauthenticated,
            "auth_failed",
        ),
        (
            backend(Class::AuthExpired),
            Code::Unauthenticated,
            "auth_expired",
        ),
        (
            backend(Class::PolicyDenied),
            Code::PermissionDenied,
            "transit_policy_denied",
        ),
        (
            backend(Class::KeyMissing),
            Code::NotFound,
            "transit_key_missing",
        ),
        (
            backend(Class::VersionUnavailable),
            Code::FailedPrecondition,
            "transit_version_unavailable",
        ),
        (
            backend(Class::VersionTooNew),
            Code::Unavailable,
            "transit_version_unavailable",
        ),
        (backend(Class::OwnInput), Code::Internal, "unknown"),
        (
            backend(Class::RateLimited),
            Code::ResourceExhausted,
            "openbao_rate_limited",
        ),
        (backend(Class::Sealed), Code::Unavailable, "openbao_sealed"),
        (
            backend(Class::Unavailable),
            Code::Unavailable,
            "openbao_unavailable",
        ),
        (
            backend(Class::ConnectionFailed),
            Code::Unavailable,
            "openbao_connection_failed",
        ),
        (
            backend(Class::DnsFailed),
            Code::Unavailable,
            "openbao_dns_failed",
        ),
        (
            backend(Class::TlsFailed),
            Code::Unavailable,
            "openbao_tls_failed",
        ),
        (backend(Class::Deadline), Code::DeadlineExceeded, "timeout"),
    ]
}

#[test]
fn every_cause_has_its_code_and_class() {
    for (error, code, class) in all() {
        let refusal = refuse(&Cause::Keyring(&error));
        assert_eq!((refusal.code, refusal.class), (code, class), "{error}");
    }
    let own = [
        (
            Cause::MessageTooLong,
            Code::InvalidArgument,
            "protocol_limit",
        ),
        (
            Cause::MessageMalformed,
            Code::InvalidArgument,
            "protocol_limit",
        ),
        (
            Cause::MessageCompressed,
            Code::Unimplemented,
            "protocol_limit",
        ),
        (Cause::MethodUnknown, Code::Unimplemented, "unknown"),
        (Cause::NotSent, Code::DeadlineExceeded, "timeout"),
        (Cause::Deadline, Code::DeadlineExceeded, "timeout"),
        (Cause::Canceled, Code::Cancelled, "canceled"),
        (Cause::Panic, Code::Internal, "panic"),
    ];
    for (cause, code, class) in own {
        let refusal = refuse(&cause);
        assert_eq!((refusal.code, refusal.class), (code, class), "{cause:?}");
    }
}

#[test]
fn t22_public_texts_are_short_and_repeat_nothing_of_the_server() {
    for (error, _, class) in all() {
        let status = refuse(&Cause::Keyring(&error)).status();
        assert!(status.message().starts_with(class), "{status}");
        assert!(status.message().len() < 256, "{status}");
        assert!(status.message().is_ascii(), "{status}");
        for word in ["https:", "internal", "8200", "vault:v1", "hvs."] {
            assert!(!status.message().contains(word), "{status}");
        }
    }
}

#[test]
fn an_outage_cannot_be_mistaken_for_broken_data() {
    let texts = |classes: &[Class]| -> Vec<&'static str> {
        let refusals = classes.iter().map(|class| of_backend(*class));
        refusals.map(|refusal| refusal.text).collect()
    };
    let outage = texts(&[
        Class::Sealed,
        Class::Unavailable,
        Class::ConnectionFailed,
        Class::DnsFailed,
        Class::TlsFailed,
        Class::AuthFailed,
    ]);
    for text in outage {
        assert!(text.contains("OpenBao"), "{text}");
        assert!(!text.contains("belong together"), "{text}");
    }
    assert!(texts(&[Class::CiphertextRejected])[0].contains("belong together"));
}

#[test]
fn code_names_are_those_of_the_api_servers_metrics() {
    let names: Vec<_> = (0..17).map(|n| code_name(Code::from_i32(n))).collect();
    assert_eq!(
        names.join(" "),
        "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists \
         PermissionDenied ResourceExhausted FailedPrecondition Aborted OutOfRange Unimplemented \
         Internal Unavailable DataLoss Unauthenticated"
    );
}
