//! The section `auth`: fields of every way to log in, those of later builds included.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::GoDuration;

/// How to log in to OpenBao.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Auth {
    /// Auth method. This build supports `jwt`.
    pub(crate) method: AuthMethod,
    /// Remaining life of the token at which it is refreshed.
    pub(crate) login_before_token_expiry: GoDuration,
    /// Life that is asked for when the token is renewed.
    pub(crate) token_renewal_increment: GoDuration,
    /// Longest time to acquire a credential and log in with it; `0s` means the longer of
    /// `openbao.timeout` and 5 s.
    pub(crate) login_timeout: GoDuration,
    pub(crate) jwt: JwtAuth,
    pub(crate) cert: CertAuth,
    pub(crate) approle: AppRoleAuth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuthMethod {
    #[default]
    Jwt,
    Cert,
    Approle,
}

/// Login with a JWT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct JwtAuth {
    /// Where the JWT comes from. This build supports `file`.
    pub(crate) source: JwtSource,
    /// Mount of the auth method; `jwt` and `auth/jwt` mean the same. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mount_path: String,
    /// Role to log in with. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) role: String,
    /// File with the JWT, read again before every login. Required for source `file`, refused
    /// for others.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) jwt_file: String,
    /// A JWT that is valid for less than this is not used.
    pub(crate) min_remaining_ttl: GoDuration,
    /// How far `nbf` and `iat` may lie in the future.
    pub(crate) clock_skew_leeway: GoDuration,
    /// `iss` that the JWT must have; empty: not checked here. Required for `oauth2`.
    pub(crate) expected_issuer: String,
    /// `aud` that the JWT must hold; empty: not checked here. Required for `oauth2`.
    pub(crate) expected_audience: String,
    /// `sub` that the JWT must have; empty: not checked here.
    pub(crate) expected_subject: String,
    pub(crate) oauth2: OAuth2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JwtSource {
    #[default]
    File,
    Oauth2,
    Spiffe,
}

/// JWT by the OAuth 2.0 client credentials grant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct OAuth2 {
    /// Token endpoint, `https`; redirects are not followed. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) token_url: String,
    /// Client id. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) client_id: String,
    /// How the client authenticates. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OAuth2Method")]
    pub(crate) auth_method: Option<OAuth2Method>,
    /// File with the client secret, read again for every grant. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) client_secret_file: String,
    /// CA bundle of the token endpoint; empty: the system's roots.
    #[schemars(extend("x-hidden" = true))]
    pub(crate) ca_cert_file: String,
    /// Scopes to ask for.
    pub(crate) scopes: Vec<String>,
    /// `audience` to ask for.
    pub(crate) audience: String,
    /// `resource` parameters, absolute URIs without fragment (RFC 8707).
    pub(crate) resources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OAuth2Method {
    ClientSecretBasic,
    ClientSecretPost,
}

/// Login with a TLS client certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct CertAuth {
    /// Mount of the auth method; `cert` and `auth/cert` mean the same. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mount_path: String,
    /// Where certificate and key come from. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CertSource")]
    pub(crate) source: Option<CertSource>,
    /// Certificate role; empty: OpenBao picks one that matches.
    pub(crate) name: String,
    /// A certificate that is valid for less than this is not used.
    pub(crate) min_remaining_ttl: GoDuration,
    /// How far the start of validity may lie in the future.
    pub(crate) clock_skew_leeway: GoDuration,
    pub(crate) pkcs11: Pkcs11,
    pub(crate) spiffe: Spiffe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CertSource {
    Pkcs11,
    Spiffe,
    File,
}

/// A private key that stays inside a PKCS#11 token. All fields are required for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Pkcs11 {
    /// Certificate chain in PEM form, CERTIFICATE blocks only.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) certificate_file: String,
    /// The token's module, a shared library.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) module_path: String,
    /// Label of the token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) token_label: String,
    /// Label of the private key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) key_label: String,
    /// File with the PIN.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) pin_file: String,
    /// Sessions with the token, 2 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 2))]
    pub(crate) max_sessions: Option<u32>,
}

/// An X.509-SVID from the SPIFFE Workload API.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Spiffe {
    /// Absolute path of the Workload API's socket, also as `unix:///path`. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) workload_api_socket: String,
    /// The SPIFFE id that the SVID must carry. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) spiffe_id: String,
    /// The trust domain of that id. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) trust_domain: String,
}

/// Login with an AppRole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct AppRoleAuth {
    /// Mount of the auth method; `approle` and `auth/approle` mean the same. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mount_path: String,
    /// File with the role id. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) role_id_file: String,
    /// File with the secret id. Required.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) secret_id_file: String,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            method: AuthMethod::Jwt,
            login_before_token_expiry: GoDuration::new("5m"),
            token_renewal_increment: GoDuration::new("1h"),
            login_timeout: GoDuration::new("0s"),
            jwt: JwtAuth::default(),
            cert: CertAuth::default(),
            approle: AppRoleAuth::default(),
        }
    }
}

impl Default for JwtAuth {
    fn default() -> Self {
        Self {
            source: JwtSource::File,
            mount_path: String::new(),
            role: String::new(),
            jwt_file: String::new(),
            min_remaining_ttl: GoDuration::new("2m"),
            clock_skew_leeway: GoDuration::new("30s"),
            expected_issuer: String::new(),
            expected_audience: String::new(),
            expected_subject: String::new(),
            oauth2: OAuth2::default(),
        }
    }
}

impl Default for CertAuth {
    fn default() -> Self {
        Self {
            mount_path: String::new(),
            source: None,
            name: String::new(),
            min_remaining_ttl: GoDuration::new("24h"),
            clock_skew_leeway: GoDuration::new("30s"),
            pkcs11: Pkcs11::default(),
            spiffe: Spiffe::default(),
        }
    }
}
