//! Logging in with a JWT. Its claims are inspected without verifying the signature, which is
//! OpenBao's part: a JWT that would be refused is named here, with the claim, before it is sent.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pace::Now;
use secret::file::{FileError, JWT, read_secret};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    credential::{Credential, LoginRequest, login_path},
    error::{Class, Error},
    operation::Operation,
    settings::{JwtFile, SettingsError},
    transit::BoxFuture,
    wire,
};

/// Why a JWT is not sent. Names the claim, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the JWT is not three base64url parts between dots")]
    NotCompact,
    #[error("the JWT's {0} is not a JSON object")]
    NotJson(&'static str),
    #[error("the JWT has no claim `{0}`")]
    Missing(&'static str),
    #[error("the JWT's claim `{0}` is of the wrong type")]
    WrongType(&'static str),
    #[error("the JWT has expired (claim `exp`); is whatever renews the file running?")]
    Expired,
    #[error("the JWT ends sooner than auth.jwt.minRemainingTtl allows (claim `exp`)")]
    EndsTooSoon,
    #[error("the JWT is not valid yet (claim `nbf`); compare the clocks")]
    NotYetValid,
    #[error("the JWT was issued in the future (claim `iat`); compare the clocks")]
    IssuedInTheFuture,
    #[error("the JWT's claim `{claim}` is not the configured auth.jwt.{setting}")]
    Unexpected {
        claim: &'static str,
        setting: &'static str,
    },
}

impl ClaimError {
    fn class(self) -> Class {
        match self {
            Self::Expired | Self::EndsTooSoon => Class::AuthExpired,
            _ => Class::AuthFailed,
        }
    }
}

/// What must hold for a JWT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expectations {
    pub(crate) min_remaining: Duration,
    pub(crate) leeway: Duration,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) subject: Option<String>,
}

/// Checks a compact JWS at the wall time `wall`, Unix seconds.
pub(crate) fn check(jwt: &str, expected: &Expectations, wall: i64) -> Result<(), ClaimError> {
    let parts: Vec<&str> = jwt.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else {
        return Err(ClaimError::NotCompact);
    };
    if decode(signature)?.is_empty() {
        return Err(ClaimError::NotCompact);
    }
    object(&decode(header)?, "header")?;
    let claims = object(&decode(claims)?, "claims set")?;
    check_times(&claims, expected, wall)?;
    check_text(&claims, "iss", "expectedIssuer", expected.issuer.as_deref())?;
    check_text(
        &claims,
        "sub",
        "expectedSubject",
        expected.subject.as_deref(),
    )?;
    check_audience(&claims, expected.audience.as_deref())
}

fn check_times(
    claims: &Map<String, Value>,
    expected: &Expectations,
    wall: i64,
) -> Result<(), ClaimError> {
    let now = seconds(wall);
    let leeway = expected.leeway.as_secs_f64();
    let end = time(claims, "exp")?.ok_or(ClaimError::Missing("exp"))?;
    if end <= now {
        return Err(ClaimError::Expired);
    }
    if end - now <= expected.min_remaining.as_secs_f64() {
        return Err(ClaimError::EndsTooSoon);
    }
    if time(claims, "nbf")?.is_some_and(|start| start > now + leeway) {
        return Err(ClaimError::NotYetValid);
    }
    if time(claims, "iat")?.is_some_and(|issued| issued > now + leeway) {
        return Err(ClaimError::IssuedInTheFuture);
    }
    Ok(())
}

/// Seconds as the float that a claim may be. Exact below 2^53.
fn seconds(wall: i64) -> f64 {
    wall as f64
}

fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, ClaimError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => number
            .as_f64()
            .filter(|seconds| seconds.is_finite())
            .map(Some)
            .ok_or(ClaimError::WrongType(name)),
        Some(_) => Err(ClaimError::WrongType(name)),
    }
}

fn check_text(
    claims: &Map<String, Value>,
    claim: &'static str,
    setting: &'static str,
    expected: Option<&str>,
) -> Result<(), ClaimError> {
    let Some(expected) = expected else {
        return Ok(());
    };
    match claims.get(claim) {
        None => Err(ClaimError::Missing(claim)),
        Some(Value::String(found)) if found == expected => Ok(()),
        Some(Value::String(_)) => Err(ClaimError::Unexpected { claim, setting }),
        Some(_) => Err(ClaimError::WrongType(claim)),
    }
}

fn check_audience(claims: &Map<String, Value>, expected: Option<&str>) -> Result<(), ClaimError> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let found = match claims.get("aud") {
        None => return Err(ClaimError::Missing("aud")),
        Some(Value::String(one)) => one == expected,
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().any(|one| one.as_str() == Some(expected))
        }
        Some(_) => return Err(ClaimError::WrongType("aud")),
    };
    found.then_some(()).ok_or(ClaimError::Unexpected {
        claim: "aud",
        setting: "expectedAudience",
    })
}

fn decode(part: &str) -> Result<Zeroizing<Vec<u8>>, ClaimError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map(Zeroizing::new)
        .map_err(|_| ClaimError::NotCompact)
}

fn object(json: &[u8], what: &'static str) -> Result<Map<String, Value>, ClaimError> {
    let Unique(map) = serde_json::from_slice(json).map_err(|_| ClaimError::NotJson(what))?;
    Ok(map)
}

/// An object without duplicate members: of two `exp`, this check and OpenBao might look at
/// different ones.
struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Unique;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut access: A,
            ) -> Result<Unique, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("duplicate member"));
                    }
                }
                Ok(Unique(map))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A JWT from a file.
pub(crate) struct JwtFileCredential {
    settings: JwtFile,
    path: String,
    expectations: Expectations,
}

impl JwtFileCredential {
    /// Reads nothing yet.
    pub(crate) fn new(settings: JwtFile) -> Result<Self, SettingsError> {
        let path = login_path(&settings.mount)?;
        let expectations = Expectations {
            min_remaining: settings.min_remaining,
            leeway: settings.clock_skew_leeway,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            subject: settings.subject.clone(),
        };
        Ok(Self {
            settings,
            path,
            expectations,
        })
    }

    async fn request(&self, now: Now) -> Result<LoginRequest, Error> {
        let file = self.settings.file.clone();
        let jwt = tokio::task::spawn_blocking(move || read_secret(&file, &JWT))
            .await
            .map_err(|_| {
                refused(
                    Class::AuthFailed,
                    "reading the JWT file was cut short".into(),
                )
            })?
            .map_err(|error| refused(Class::AuthFailed, with_source(&error)))?;
        check(jwt.expose_secret(), &self.expectations, now.wall)
            .map_err(|error| refused(error.class(), error.to_string()))?;
        Ok(LoginRequest {
            operation: Operation::JwtLogin,
            path: self.path.clone(),
            body: wire::login_body(&self.settings.role, jwt.expose_secret()),
        })
    }
}

impl Credential for JwtFileCredential {
    fn method(&self) -> &'static str {
        "jwt"
    }

    fn login_request(&self, now: Now) -> BoxFuture<'_, Result<LoginRequest, Error>> {
        Box::pin(self.request(now))
    }
}

/// The system's own words belong to it: `permission denied` sends the reader elsewhere than
/// `input/output error`.
fn with_source(error: &FileError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn refused(class: Class, reason: String) -> Error {
    Error {
        class,
        operation: Operation::JwtLogin.as_str(),
        reason,
        status: None,
    }
}

#[cfg(test)]
mod tests;
