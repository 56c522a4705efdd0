//! The ready-made set-up: mount, key, policy, jwt auth and role, made through the API itself.

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderValue;
use pace::Now;
use serde_json::{Value, json};
use thiserror::Error;

use crate::jwt::{AUDIENCE, ISSUER, MintError, SUBJECT};
use crate::request::Request;
use crate::router;
use crate::state::Node;
use crate::world::World;

/// What the ready-made set-up looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Path of the Transit mount.
    pub mount: String,
    /// Name of the key.
    pub key: String,
    /// Name of the jwt role.
    pub role: String,
    /// Name of the policy.
    pub policy: String,
    /// First lease of a token, seconds.
    pub token_ttl: i64,
    /// Longest life of a token, seconds.
    pub token_max_ttl: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mount: String::from("transit"),
            key: String::from("k8s-etcd"),
            role: String::from("kms"),
            policy: String::from("kms"),
            token_ttl: 3600,
            token_max_ttl: 86_400,
        }
    }
}

impl Setup {
    /// The least a provider needs.
    #[must_use]
    pub fn policy_text(&self) -> String {
        let Self { mount, key, .. } = self;
        let rule = |path: String, capability: &str| {
            format!("path \"{path}\" {{\n  capabilities = [\"{capability}\"]\n}}\n")
        };
        [
            rule(format!("{mount}/encrypt/{key}"), "update"),
            rule(format!("{mount}/decrypt/{key}"), "update"),
            rule(format!("{mount}/keys/{key}"), "read"),
            rule(format!("{mount}/config/keys"), "read"),
        ]
        .concat()
    }
}

/// Why the set-up failed.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A request was refused.
    #[error("set-up request POST {path}: status {status}: {body}")]
    Refused {
        /// Where.
        path: String,
        /// HTTP status.
        status: u16,
        /// What the server said.
        body: String,
    },
    /// No signing keys.
    #[error(transparent)]
    Mint(#[from] MintError),
}

/// Makes the set-up.
pub(crate) fn set_up(world: &mut World, setup: &Setup, now: Now) -> Result<(), SetupError> {
    let Setup {
        mount,
        key,
        role,
        policy,
        ..
    } = setup;
    let keys = world.signer.public_pems()?;
    post(
        world,
        now,
        &format!("sys/mounts/{mount}"),
        &json!({"type": "transit"}),
    )?;
    post(
        world,
        now,
        &format!("{mount}/config/keys"),
        &json!({"disable_upsert": true}),
    )?;
    post(world, now, &format!("{mount}/keys/{key}"), &json!({}))?;
    post(
        world,
        now,
        &format!("sys/policies/acl/{policy}"),
        &json!({"policy": setup.policy_text()}),
    )?;
    post(world, now, "sys/auth/jwt", &json!({"type": "jwt"}))?;
    let config = json!({"jwt_validation_pubkeys": keys, "bound_issuer": ISSUER});
    post(world, now, "auth/jwt/config", &config)?;
    let role_body = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": [AUDIENCE], "bound_subject": SUBJECT,
        "token_policies": [policy], "token_ttl": setup.token_ttl, "token_max_ttl": setup.token_max_ttl,
    });
    post(world, now, &format!("auth/jwt/role/{role}"), &role_body)
}

fn post(world: &mut World, now: Now, path: &str, body: &Value) -> Result<(), SetupError> {
    let mut headers = HeaderMap::new();
    if let Ok(token) = HeaderValue::from_str(&world.state.root_token) {
        headers.insert("x-vault-token", token);
    }
    let request = Request {
        method: String::from("POST"),
        path: format!("/v1/{path}"),
        query: String::new(),
        headers,
        body: Bytes::from(body.to_string()),
        too_large: false,
    };
    let answer = router::answer(&mut world.state, &request, Node::Active, now);
    if answer.status < 300 {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    Err(SetupError::Refused {
        path: path.to_owned(),
        status: answer.status,
        body,
    })
}
