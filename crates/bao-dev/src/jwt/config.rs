//! The configuration of a jwt mount: which keys it trusts.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use super::jws::ALGORITHMS;
use crate::envelope::{Refusal, sorted};
use crate::fields::{Fields, Kind, Params};

const FIELDS: &Fields = &[
    ("jwt_validation_pubkeys", Kind::List),
    ("jwks_url", Kind::Text),
    ("oidc_discovery_url", Kind::Text),
    ("bound_issuer", Kind::Text),
    ("jwt_supported_algs", Kind::List),
    ("default_role", Kind::Text),
];

/// Static keys and what is demanded of every JWT.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pems: Vec<String>,
    /// DER of each key's SubjectPublicKeyInfo.
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) bound_issuer: String,
    pub(super) algorithms: Vec<String>,
    pub(super) default_role: String,
}

impl Config {
    /// From a request body, with the framework's warnings.
    ///
    /// # Errors
    /// 400 for anything but static keys.
    pub(crate) fn from_request(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let params = Params::new(body, FIELDS, &[], false)?;
        let pems = params.list("jwt_validation_pubkeys").unwrap_or_default();
        let others = ["jwks_url", "oidc_discovery_url"]
            .iter()
            .any(|name| !params.text(name).is_empty());
        if pems.is_empty() || others {
            let text = "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs', \
                        'oidc_discovery_url' or 'provider_config' must be set (bao-dev supports only \
                        jwt_validation_pubkeys)";
            return Err(Refusal::plain(400, text));
        }
        Ok(Self {
            keys: pems.iter().map(|pem| spki(pem)).collect::<Result<_, _>>()?,
            pems,
            bound_issuer: params.text("bound_issuer").to_owned(),
            algorithms: params.list("jwt_supported_algs").unwrap_or_default(),
            default_role: params.text("default_role").to_lowercase(),
        })
    }

    /// Trusts these keys and no others from now on.
    pub(crate) fn trust_only(&mut self, pems: &[String]) {
        if let Ok(keys) = pems.iter().map(|pem| spki(pem)).collect() {
            self.keys = keys;
            self.pems = pems.to_vec();
        }
    }

    /// Trusts `new` from now on, if it trusted exactly `old`.
    pub(crate) fn replace_trust(&mut self, old: &[String], new: &[String]) {
        let trimmed = |pems: &[String]| {
            pems.iter()
                .map(|pem| pem.trim().to_owned())
                .collect::<Vec<_>>()
        };
        if trimmed(&self.pems) == trimmed(old) {
            self.trust_only(new);
        }
    }

    /// Whether `algorithm` is among the accepted ones.
    pub(super) fn accepts(&self, algorithm: &str) -> bool {
        if self.algorithms.is_empty() {
            return ALGORITHMS.contains(&algorithm);
        }
        self.algorithms.iter().any(|accepted| accepted == algorithm)
    }

    /// `data` of a read.
    pub(crate) fn data(&self) -> Map<String, Value> {
        sorted([
            ("bound_issuer", json!(self.bound_issuer)),
            ("default_role", json!(self.default_role)),
            ("jwks_url", json!("")),
            ("jwt_supported_algs", json!(self.algorithms)),
            ("jwt_validation_pubkeys", json!(self.pems)),
            ("oidc_discovery_url", json!("")),
            ("status", json!("valid")),
        ])
    }
}

fn spki(pem: &str) -> Result<Vec<u8>, Refusal> {
    match SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()) {
        Ok(key) => Ok(key.as_ref().to_vec()),
        Err(_) => {
            let text = "error parsing public key: data does not contain any valid RSA, ECDSA, or ED25519 \
                        public keys";
            Err(Refusal::plain(400, text))
        }
    }
}
