//! Why a call to OpenBao failed, in the terms that callers decide on.

/// Stable classes that a call to OpenBao can end in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Login rejected, or the local credential cannot be used.
    AuthFailed,
    /// The local credential has expired, or is too close to it.
    AuthExpired,
    /// 403 after a fresh login: policy denied, or Encrypt on a missing key.
    PolicyDenied,
    /// 404 on the key, or 400 `encryption key not found`.
    KeyMissing,
    /// Version too old, archived or trimmed, or key soft-deleted.
    VersionUnavailable,
    /// Version too new, still so on a new connection: a standby lags.
    VersionTooNew,
    /// Transit says that authentication of the ciphertext failed, or that it is malformed.
    CiphertextRejected,
    /// Transit refused our own input (associated data, batch shape): a fault of ours.
    OwnInput,
    /// 429.
    RateLimited,
    /// Sealed or uninitialised.
    Sealed,
    /// 5xx, redirect, oversize or junk body, `openbao.timeout`.
    Unavailable,
    /// Connection refused or reset.
    ConnectionFailed,
    /// The name does not resolve.
    DnsFailed,
    /// TLS handshake or certificate check failed.
    TlsFailed,
    /// The caller's deadline ran out.
    Deadline,
}

/// A failed call. Its text names what was asked and what came back in our own
/// words; it never holds server text, addresses, tokens or ciphertext. Which endpoint it was is
/// in the log event `openbao.request` of each attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {reason}")]
pub struct Error {
    /// The class that callers decide on.
    pub class: Class,
    /// The operation, a label of `openbao_kms_openbao_requests_total`.
    pub operation: &'static str,
    /// One clause in our own words, for example `OpenBao is sealed`.
    pub reason: String,
    /// HTTP status, where an answer came.
    pub status: Option<u16>,
}

impl Class {
    /// The stable class name that is logged and counted.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailed => "auth_failed",
            Self::AuthExpired => "auth_expired",
            Self::PolicyDenied => "transit_policy_denied",
            Self::KeyMissing => "transit_key_missing",
            Self::VersionUnavailable | Self::VersionTooNew => "transit_version_unavailable",
            Self::CiphertextRejected => "aad_mismatch",
            Self::OwnInput => "unknown",
            Self::RateLimited => "openbao_rate_limited",
            Self::Sealed => "openbao_sealed",
            Self::Unavailable => "openbao_unavailable",
            Self::ConnectionFailed => "openbao_connection_failed",
            Self::DnsFailed => "openbao_dns_failed",
            Self::TlsFailed => "openbao_tls_failed",
            Self::Deadline => "timeout",
        }
    }
}
