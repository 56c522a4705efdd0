use super::{Refusal, Remedy, Row, check, check_wrapped};
use crate::{
    error::Class::{
        CiphertextRejected, KeyMissing, OwnInput, PolicyDenied, VersionTooNew, VersionUnavailable,
    },
    operation::Operation::{Decrypt, Encrypt},
};

const ENCRYPT: &[Row] = &[
    (
        Encrypt,
        400,
        "missing plaintext to encrypt",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "illegal base64 data at input byte 4",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "'[0].associated_data' provided for non-AEAD cipher suite rsa-2048",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "requested version for encryption is higher than the latest key version",
        VersionTooNew,
        Remedy::Elsewhere,
    ),
    (
        Encrypt,
        400,
        "requested version for encryption is negative",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "requested version for encryption is less than the minimum encryption key version",
        VersionUnavailable,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "no such key version",
        VersionUnavailable,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "encryption key not found",
        KeyMissing,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "refusing to use soft-deleted key",
        VersionUnavailable,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "missing batch input to process",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "context should be set either in all the request blocks or in none",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        400,
        "error converting input for field \"key_version\"",
        OwnInput,
        Remedy::None,
    ),
];

const ENCRYPT_WRAPPED: &[Row] = &[
    (
        Encrypt,
        500,
        "unable to get associated_data/additional_data from factory[0]: illegal base64 data at input byte 0",
        OwnInput,
        Remedy::None,
    ),
    (
        Encrypt,
        403,
        "permission denied",
        PolicyDenied,
        Remedy::Login(Refusal::Policy),
    ),
];

#[test]
fn every_refusal_of_encrypt_has_its_class() {
    check(ENCRYPT);
    check_wrapped(ENCRYPT_WRAPPED);
}

#[test]
fn every_refusal_of_decrypt_has_its_class() {
    check(&[
        (
            Decrypt,
            400,
            "missing ciphertext to decrypt",
            OwnInput,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "encryption key not found",
            KeyMissing,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "refusing to use soft-deleted key",
            VersionUnavailable,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext: no prefix",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext: wrong number of fields",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext: version number could not be decoded",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext: version is too new",
            VersionTooNew,
            Remedy::Elsewhere,
        ),
        (
            Decrypt,
            400,
            "ciphertext or signature version is disallowed by policy (too old)",
            VersionUnavailable,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext: could not decode base64",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "no such key version",
            VersionUnavailable,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "invalid ciphertext length",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "cipher: message authentication failed",
            CiphertextRejected,
            Remedy::None,
        ),
        (
            Decrypt,
            400,
            "chacha20poly1305: message authentication failed",
            CiphertextRejected,
            Remedy::None,
        ),
    ]);
    check_wrapped(&[(
        Decrypt,
        500,
        "unable to get associated_data/additional_data from factory[0]: illegal base64 data at input byte 0",
        OwnInput,
        Remedy::None,
    )]);
}
