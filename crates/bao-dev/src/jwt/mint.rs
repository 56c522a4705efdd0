//! Making JWTs: good ones, and every kind of bad one that a test needs.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::go;

/// Who issues the JWTs of the ready-made set-up.
pub(crate) const ISSUER: &str = "https://bao-dev.local";
/// Whom they are for.
pub(crate) const AUDIENCE: &str = "openbao";
/// Whom they name.
pub(crate) const SUBJECT: &str = "system:serviceaccount:kube-system:kms";

/// The claims of a JWT to make. The default is one that the role of the set-up accepts.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// `sub`.
    pub subject: String,
    /// `exp`, in seconds from now; may be negative. None: no such claim.
    pub expires_in: Option<i64>,
    /// `nbf`, likewise.
    pub not_before_in: Option<i64>,
    /// `iat`, likewise.
    pub issued_in: Option<i64>,
    /// `ES256`, `RS256`, `EdDSA`, or `none`.
    pub algorithm: String,
    /// Signed by a key nobody trusts.
    pub foreign_key: bool,
    /// Claims to add or replace; null removes.
    pub claims: Map<String, Value>,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            issuer: String::from(ISSUER),
            audience: String::from(AUDIENCE),
            subject: String::from(SUBJECT),
            expires_in: Some(3600),
            not_before_in: None,
            issued_in: Some(0),
            algorithm: String::from("ES256"),
            foreign_key: false,
            claims: Map::new(),
        }
    }
}

impl Jwt {
    fn payload(&self, now: i64) -> Value {
        let mut claims = Map::new();
        for (name, text) in [
            ("iss", &self.issuer),
            ("aud", &self.audience),
            ("sub", &self.subject),
        ] {
            claims.insert(name.to_owned(), json!(text));
        }
        for (name, span) in [
            ("exp", self.expires_in),
            ("nbf", self.not_before_in),
            ("iat", self.issued_in),
        ] {
            if let Some(span) = span {
                claims.insert(name.to_owned(), json!(now.saturating_add(span)));
            }
        }
        claims.extend(self.claims.clone());
        claims.retain(|_, value| !value.is_null());
        Value::Object(claims)
    }
}

/// Why a JWT could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MintError {
    /// No signer for it here.
    #[error("JWT algorithm '{0}': choose ES256, RS256, EdDSA or none")]
    Algorithm(String),
    /// The cryptographic library refused.
    #[error("signing key of the JWTs: the library refused to make or use it")]
    Key,
}

/// The keys that sign the JWTs of a server: one per algorithm.
pub struct Signer {
    ecdsa: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
    /// Made when first needed: RSA keys are slow to make.
    rsa: Option<RsaKeyPair>,
}

impl Signer {
    /// New keys.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn generate() -> Result<Self, MintError> {
        Self::with(
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| MintError::Key)?,
        )
    }

    /// With the P-256 key that `to_pkcs8` gave; the others are new.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, MintError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        Self::with(key.map_err(|_| MintError::Key)?)
    }

    fn with(ecdsa: EcdsaKeyPair) -> Result<Self, MintError> {
        let ed25519 = Ed25519KeyPair::generate().map_err(|_| MintError::Key)?;
        Ok(Self {
            ecdsa,
            ed25519,
            rsa: None,
        })
    }

    /// The P-256 key, to be kept in a file.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, MintError> {
        Ok(self
            .ecdsa
            .to_pkcs8v1()
            .map_err(|_| MintError::Key)?
            .as_ref()
            .to_vec())
    }

    /// Makes an RSA key too, if there is none yet.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn add_rsa(&mut self) -> Result<(), MintError> {
        if self.rsa.is_none() {
            self.rsa = Some(RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| MintError::Key)?);
        }
        Ok(())
    }

    /// The public keys as PEM: P-256, Ed25519, and RSA once made.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn public_pems(&self) -> Result<Vec<String>, MintError> {
        let der = |key: Result<PublicKeyX509Der<'_>, _>| {
            Ok::<_, MintError>(pem(key.map_err(|_| MintError::Key)?.as_ref()))
        };
        let mut pems = vec![
            der(self.ecdsa.public_key().as_der())?,
            der(self.ed25519.public_key().as_der())?,
        ];
        if let Some(rsa) = &self.rsa {
            pems.push(der(rsa.public_key().as_der())?);
        }
        Ok(pems)
    }

    /// A compact JWS; `now` is Unix seconds.
    ///
    /// # Errors
    /// When the library refuses, or has no signer for the algorithm.
    pub fn mint(&self, jwt: &Jwt, now: i64) -> Result<String, MintError> {
        if jwt.foreign_key {
            let mut foreign = Self::generate()?;
            if jwt.algorithm == "RS256" {
                foreign.add_rsa()?;
            }
            return foreign.mint(
                &Jwt {
                    foreign_key: false,
                    ..jwt.clone()
                },
                now,
            );
        }
        let header = json!({"alg": jwt.algorithm, "typ": "JWT", "kid": "bao-dev"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&jwt.payload(now)));
        let signature = self.sign(&jwt.algorithm, signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, MintError> {
        let random = SystemRandom::new();
        match (algorithm, &self.rsa) {
            ("none", _) => Ok(Vec::new()),
            ("ES256", _) => Ok(self
                .ecdsa
                .sign(&random, message)
                .map_err(|_| MintError::Key)?
                .as_ref()
                .to_vec()),
            ("EdDSA", _) => Ok(self.ed25519.sign(message).as_ref().to_vec()),
            ("RS256", Some(rsa)) => {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| MintError::Key)?;
                Ok(signature)
            }
            _ => Err(MintError::Algorithm(algorithm.to_owned())),
        }
    }
}

fn pem(der: &[u8]) -> String {
    let text = go::encode(der);
    let lines = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned());
    let body: Vec<_> = lines.collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        body.join("\n")
    )
}
