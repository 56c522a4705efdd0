mod transit;

use super::*;
use crate::{
    error::Class::{
        AuthFailed, CiphertextRejected, KeyMissing, OwnInput, PolicyDenied, RateLimited, Sealed,
        Unavailable, VersionTooNew, VersionUnavailable,
    },
    operation::Operation::{
        BatchDecrypt, Decrypt, DisableUpsertRead, Encrypt, JwtLogin, MetadataRead, TokenRenewSelf,
    },
};

fn wrap(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

type Row = (Operation, u16, &'static str, Class, Remedy);

fn check(rows: &[Row]) {
    for &(operation, status, text, class, remedy) in rows {
        let finding = classify(operation, status, Some(text));
        assert_eq!(
            (finding.class, finding.remedy),
            (class, remedy),
            "{operation:?} {status} {text}"
        );
    }
}

fn check_wrapped(rows: &[Row]) {
    for &(operation, status, text, class, remedy) in rows {
        let finding = classify(operation, status, Some(&wrap(text)));
        assert_eq!(
            (finding.class, finding.remedy),
            (class, remedy),
            "{operation:?} {status} wrapped {text}"
        );
    }
}

#[test]
fn a_batch_that_is_refused_as_a_whole_for_its_shape_is_asked_item_by_item() {
    check(&[(
        BatchDecrypt,
        400,
        "missing batch input to process",
        OwnInput,
        Remedy::ItemByItem,
    )]);
    check_wrapped(&[
        (
            BatchDecrypt,
            500,
            "failed to parse batch input: [0] expected a map, got 'string'",
            OwnInput,
            Remedy::ItemByItem,
        ),
        (
            BatchDecrypt,
            500,
            "failed to parse batch input: '[1].ciphertext' missing ciphertext to decrypt",
            OwnInput,
            Remedy::ItemByItem,
        ),
        // Anything else is every item's.
        (
            BatchDecrypt,
            500,
            "internal error",
            Unavailable,
            Remedy::Again,
        ),
        (
            BatchDecrypt,
            403,
            "permission denied",
            PolicyDenied,
            Remedy::Login(Refusal::Policy),
        ),
        (
            BatchDecrypt,
            500,
            "unable to get associated_data/additional_data from factory[0]: x",
            OwnInput,
            Remedy::None,
        ),
    ]);
    check(&[
        (
            BatchDecrypt,
            400,
            "encryption key not found",
            KeyMissing,
            Remedy::None,
        ),
        (
            BatchDecrypt,
            400,
            "refused JSON input due to high complexity: exceeded maximum number of strings",
            OwnInput,
            Remedy::None,
        ),
        (BatchDecrypt, 503, "Vault is sealed", Sealed, Remedy::Again),
    ]);
}

const COMMON: &[Row] = &[
    (
        Decrypt,
        403,
        "permission denied",
        AuthFailed,
        Remedy::Login(Refusal::Token),
    ),
    (
        MetadataRead,
        403,
        "permission denied",
        AuthFailed,
        Remedy::Login(Refusal::Token),
    ),
    (Decrypt, 403, "something else", PolicyDenied, Remedy::None),
    (
        Decrypt,
        500,
        "error performing token check: illegal base64 data at input byte 3",
        Unavailable,
        Remedy::None,
    ),
    (
        MetadataRead,
        404,
        "no handler for route \"x/y\". route entry not found.",
        KeyMissing,
        Remedy::None,
    ),
    (MetadataRead, 404, "", KeyMissing, Remedy::None),
    (
        MetadataRead,
        404,
        "namespace not found",
        KeyMissing,
        Remedy::None,
    ),
    (Encrypt, 405, "", OwnInput, Remedy::None),
    (
        Encrypt,
        400,
        "cannot write to a path ending in '/'",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "relative paths not supported",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "failed to decode JSON input: unexpected EOF",
        OwnInput,
        Remedy::None,
    ),
    (Encrypt, 400, "error parsing JSON", OwnInput, Remedy::None),
    (
        Encrypt,
        413,
        "http: request body too large",
        OwnInput,
        Remedy::None,
    ),
    (Encrypt, 503, "Vault is sealed", Sealed, Remedy::Again),
    (Encrypt, 503, "namespace is sealed", Sealed, Remedy::Again),
    (
        Encrypt,
        503,
        "API access to this namespace has been locked by an administrator - \"ns/\" must be unlocked to gain access.",
        Unavailable,
        Remedy::Again,
    ),
    (
        Encrypt,
        429,
        "request path \"transit/encrypt/k\": rate limit quota exceeded",
        RateLimited,
        Remedy::Again,
    ),
    (Encrypt, 500, "internal error", Unavailable, Remedy::Again),
    (
        Encrypt,
        500,
        "local node not active but active cluster node not found",
        Unavailable,
        Remedy::Again,
    ),
    (
        Encrypt,
        503,
        "no active Vault instance found",
        Unavailable,
        Remedy::Again,
    ),
    (
        Encrypt,
        500,
        "active context canceled after getting state lock",
        Unavailable,
        Remedy::None,
    ),
    (Encrypt, 412, "x", Unavailable, Remedy::Again),
    (Encrypt, 502, "x", Unavailable, Remedy::Again),
    (Encrypt, 504, "x", Unavailable, Remedy::None),
    (Encrypt, 307, "", Unavailable, Remedy::Again),
    (Encrypt, 301, "", Unavailable, Remedy::Again),
    (Encrypt, 401, "x", Unavailable, Remedy::None),
    (Encrypt, 473, "x", Unavailable, Remedy::None),
    (
        TokenRenewSelf,
        400,
        "lease is not renewable",
        OwnInput,
        Remedy::None,
    ),
];

const COMMON_WRAPPED: &[Row] = &[
    (Encrypt, 500, "internal error", Unavailable, Remedy::Again),
    (
        DisableUpsertRead,
        403,
        "permission denied",
        PolicyDenied,
        Remedy::Login(Refusal::Policy),
    ),
    (
        DisableUpsertRead,
        404,
        "unsupported path",
        KeyMissing,
        Remedy::None,
    ),
    (
        Encrypt,
        405,
        "unsupported operation",
        OwnInput,
        Remedy::None,
    ),
    (
        TokenRenewSelf,
        500,
        "past the max TTL, cannot renew",
        Unavailable,
        Remedy::None,
    ),
];

#[test]
fn the_common_conditions_have_their_class() {
    check(COMMON);
    check_wrapped(COMMON_WRAPPED);
}

#[test]
fn every_refusal_of_a_login_is_the_credentials_but_trouble_of_the_server_is_not() {
    for (status, text, reason) in [
        (403, "permission denied", "the auth mount does not exist"),
        (400, "could not load configuration", "not configured"),
        (400, "missing role", "refused the login"),
        (400, "role \"x\" could not be found", "no such role"),
        (
            400,
            "role with oidc role_type is not allowed",
            "role_type oidc",
        ),
        (
            400,
            "error validating token: error verifying token signature: no known key successfully validated the token signature",
            "signature",
        ),
        (
            400,
            "error validating token: invalid algorithm (alg) header parameter: token signed with unexpected algorithm",
            "algorithm",
        ),
        (
            400,
            "error validating token: invalid issuer (iss) claim",
            "(iss)",
        ),
        (
            400,
            "error validating token: invalid subject (sub) claim",
            "(sub)",
        ),
        (
            400,
            "error validating token: invalid audience (aud) claim: audience claim does not match any expected audience",
            "(aud)",
        ),
        (
            400,
            "audience claim found in JWT but no audiences bound to the role",
            "(aud)",
        ),
        (
            400,
            "error validating token: invalid not before (nbf) claim: token not yet valid",
            "(nbf)",
        ),
        (
            400,
            "error validating token: invalid expiration time (exp) claim: token is expired",
            "(exp)",
        ),
        (
            400,
            "error validating token: invalid issued at (iat) claim: token issued in the future",
            "(iat)",
        ),
        (400, "claim \"sub\" not found in token", "lacks a claim"),
        (
            400,
            "error validating claims: claim \"x\" is missing",
            "bound to the role",
        ),
        (
            404,
            "namespace not found",
            "no such auth mount or namespace",
        ),
    ] {
        let finding = classify(JwtLogin, status, Some(text));
        assert_eq!(
            (finding.class, finding.remedy),
            (AuthFailed, Remedy::None),
            "{text}"
        );
        assert!(
            finding.reason.contains(reason),
            "{text}: {}",
            finding.reason
        );
    }
    check(&[
        (JwtLogin, 503, "Vault is sealed", Sealed, Remedy::Again),
        (JwtLogin, 429, "x", RateLimited, Remedy::Again),
        (
            JwtLogin,
            500,
            "local node not active but active cluster node not found",
            Unavailable,
            Remedy::Again,
        ),
        (
            JwtLogin,
            500,
            "missing name in alias",
            Unavailable,
            Remedy::None,
        ),
        (JwtLogin, 307, "", Unavailable, Remedy::Again),
    ]);
}

#[test]
fn what_is_not_openbaos_error_is_never_taken_for_a_verdict_on_key_or_token() {
    for status in [400, 401, 403, 404, 405, 413, 418, 500, 504] {
        for operation in [Encrypt, Decrypt, BatchDecrypt, MetadataRead, JwtLogin] {
            let finding = classify(operation, status, None);
            assert_eq!(
                (finding.class, finding.remedy),
                (Unavailable, Remedy::None),
                "{operation:?} {status}"
            );
        }
    }
    for status in [302, 412, 429, 502, 503] {
        assert_eq!(
            classify(Decrypt, status, None).remedy,
            Remedy::Again,
            "{status}"
        );
    }
}

#[test]
fn an_item_of_a_batch_is_judged_as_a_single_request_would_be() {
    for (text, class, remedy) in [
        (
            "cipher: message authentication failed",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            "invalid ciphertext: version is too new",
            VersionTooNew,
            Remedy::Elsewhere,
        ),
        ("no such key version", VersionUnavailable, Remedy::None),
        (
            "unable to get associated_data/additional_data from factory[0]: x",
            OwnInput,
            Remedy::None,
        ),
        ("missing ciphertext to decrypt", OwnInput, Remedy::None),
    ] {
        let finding = classify_item(text);
        assert_eq!((finding.class, finding.remedy), (class, remedy), "{text}");
    }
}

#[test]
fn what_an_operator_can_mend_says_how() {
    for (status, text, advice) in [
        (307, "", "openbao.failoverAddresses"),
        (429, "x", "quota"),
        (503, "Vault is sealed", "initialise it if it is new"),
    ] {
        let finding = classify(Encrypt, status, Some(text));
        assert!(finding.reason.contains(advice), "{}", finding.reason);
    }
}

#[test]
fn a_token_is_said_to_be_refused_even_after_a_login_only_when_there_was_one() {
    let first = classify(Decrypt, 403, Some("permission denied"));
    assert_eq!(first.class, AuthFailed);
    assert_eq!(first.reason, "OpenBao does not accept the token");
    let again = first.after_login();
    assert_eq!(again.class, PolicyDenied);
    assert!(again.reason.ends_with("even after a new login"));
    assert_eq!(again.remedy, first.remedy);
    for text in [wrap("permission denied"), "something else".to_owned()] {
        let other = classify(Decrypt, 403, Some(&text));
        assert_eq!(other.after_login(), other);
    }
}

#[test]
fn the_wrapping_comes_off_and_says_that_it_was_there() {
    assert_eq!(
        unwrap_text("permission denied"),
        (false, "permission denied".to_owned())
    );
    assert_eq!(
        unwrap_text(&wrap("permission denied")),
        (true, "permission denied".to_owned())
    );
    assert_eq!(
        unwrap_text("2 errors occurred:\n\t* a\n\t* b\n\n"),
        (true, "a\nb".to_owned())
    );
    assert!(!unwrap_text("an error occurred:\n x").0);
    assert_eq!(unwrap_text(""), (false, String::new()));
}
