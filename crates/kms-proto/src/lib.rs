//! Generated messages and service of the Kubernetes KMS v2 API.
//!
//! `src/v2.rs` is written by `cargo xtask generate` from `proto/v2.proto`. The two messages
//! that carry a seed are completed here: they do not print it, and wipe it when dropped.

use std::fmt;

use zeroize::Zeroize as _;

pub mod codec;

#[rustfmt::skip]
#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    unused_qualifications,
    reason = "the generator decides what this file looks like"
)]
pub mod v2;

impl fmt::Debug for v2::EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for v2::DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptResponse").finish_non_exhaustive()
    }
}

impl Drop for v2::EncryptRequest {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Drop for v2::DecryptResponse {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::v2::{
        DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest,
        StatusResponse,
    };

    #[test]
    fn field_numbers_and_types_are_those_of_the_wire_contract() {
        let status = StatusResponse {
            version: "v".into(),
            healthz: "h".into(),
            key_id: "k".into(),
        };
        assert_eq!(status.encode_to_vec(), b"\x0a\x01v\x12\x01h\x1a\x01k");
        let decrypt = DecryptRequest {
            ciphertext: b"c".to_vec(),
            uid: "u".into(),
            key_id: "k".into(),
            annotations: [("a".to_owned(), b"b".to_vec())].into(),
        };
        assert_eq!(
            decrypt.encode_to_vec(),
            b"\x0a\x01c\x12\x01u\x1a\x01k\x22\x06\x0a\x01a\x12\x01b"
        );
        let mut decrypted = DecryptResponse::default();
        decrypted.plaintext = b"p".to_vec();
        assert_eq!(decrypted.encode_to_vec(), b"\x0a\x01p");
        let mut encrypt = EncryptRequest::default();
        encrypt.plaintext = b"p".to_vec();
        encrypt.uid = "u".into();
        assert_eq!(encrypt.encode_to_vec(), b"\x0a\x01p\x12\x01u");
        let encrypted = EncryptResponse {
            ciphertext: b"c".to_vec(),
            key_id: "k".into(),
            annotations: [("a".to_owned(), b"b".to_vec())].into(),
        };
        assert_eq!(
            encrypted.encode_to_vec(),
            b"\x0a\x01c\x12\x01k\x1a\x06\x0a\x01a\x12\x01b"
        );
        assert!(StatusRequest {}.encode_to_vec().is_empty());
    }

    #[test]
    fn messages_with_a_seed_do_not_print_it() {
        let mut request = EncryptRequest::default();
        request.plaintext = b"canary".to_vec();
        let mut response = DecryptResponse::default();
        response.plaintext = b"canary".to_vec();
        let shown = format!("{request:?} {response:?}");
        assert_eq!(shown, "EncryptRequest { .. } DecryptResponse { .. }");
    }
}
