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
    /// No connection: refused, reset, unreachable or not in time.
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

/// What a call hears that waited for a token until its deadline, while no login had failed.
pub(crate) const NO_TOKEN_YET: &str =
    "the deadline of the call ran out while it waited for a token";

impl Error {
    /// OpenBao did not answer `operation`.
    #[must_use]
    pub fn silence(operation: &'static str) -> Self {
        Self {
            class: Class::Unavailable,
            operation,
            reason: "OpenBao did not answer within openbao.timeout".to_owned(),
            status: None,
        }
    }

    /// What a call failed of that has no caller but sets its deadline itself: where that ran
    /// out, it was OpenBao that did not answer in time.
    #[must_use]
    pub fn without_caller(self) -> Self {
        if self.class != Class::Deadline {
            return self;
        }
        let mut silence = Self::silence(self.operation);
        if self.reason == NO_TOKEN_YET {
            "there was no token in time, the login has not ended yet; see auth.login"
                .clone_into(&mut silence.reason);
        }
        silence
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: Class, reason: &str) -> Error {
        Error {
            class,
            operation: "transit_encrypt",
            reason: reason.to_owned(),
            status: None,
        }
    }

    #[test]
    fn a_call_without_a_caller_never_speaks_of_a_deadline() {
        for (reason, said) in [
            ("x", "did not answer within openbao.timeout"),
            (NO_TOKEN_YET, "no token in time"),
        ] {
            let told = error(Class::Deadline, reason).without_caller();
            assert_eq!(told.class, Class::Unavailable);
            assert!(told.reason.contains(said), "{told}");
            assert!(!told.reason.contains("deadline"), "{told}");
        }
        let login = error(Class::AuthFailed, "no such role");
        assert_eq!(login.clone().without_caller(), login);
    }
}
