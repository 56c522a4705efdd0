//! Compact JWS: taking one apart, and checking its signature against static keys.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use crate::go;

/// The algorithms a mount accepts unless told otherwise.
pub(super) const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
];

/// A JWS taken apart; nothing in it is trusted yet.
pub(super) struct Jws<'a> {
    pub(super) algorithm: String,
    pub(super) claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes a compact JWS apart. The error is the server's text.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(String::from(
                "go-jose/go-jose: compact JWS format must have three parts",
            ));
        };
        let header = object(&go::decode_url(header)?)?;
        let claims = object(&go::decode_url(payload)?)?;
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let signed = text
            .get(..text.len() - signature.len() - 1)
            .unwrap_or_default();
        Ok(Self {
            algorithm,
            claims,
            signed,
            signature: go::decode_url(signature)?,
        })
    }

    /// Whether `spki` (DER of a SubjectPublicKeyInfo) made the signature.
    pub(super) fn is_signed_by(&self, spki: &[u8]) -> bool {
        let Some(algorithm) = verifier(&self.algorithm) else {
            return false;
        };
        UnparsedPublicKey::new(algorithm, spki)
            .verify(self.signed.as_bytes(), &self.signature)
            .is_ok()
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(bytes).map_err(|_| String::from("go-jose/go-jose: invalid JSON in JWS"))
}

fn verifier(algorithm: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        "ES256" => &ECDSA_P256_SHA256_FIXED,
        "ES384" => &ECDSA_P384_SHA384_FIXED,
        "ES512" => &ECDSA_P521_SHA512_FIXED,
        "EdDSA" => &ED25519,
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}
