//! Kinds of bad weather, and what each excuses.

use Kind as K;
use Unhealthy::{AtOnce, Never, Stale};

use crate::failure::{GONE, LATE};

/// What the sky does; the theatre knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Sealed,
    Hanging,
    HangingDecrypt,
    Slow,
    Resets,
    LostAnswers,
    HalfBodies,
    InternalError,
    Junk,
    Huge,
    DeadRedirect,
    RateLimited,
    ActiveGone,
    StandbyGone,
    StandbyLag,
    StandbyLeaderless,
    StandbyRedirects,
    TokensRevoked,
    PolicyRemoved,
    SigningKeyChanged,
    LoginRefused,
    ClockForward,
    ClockBack,
    UpsertAllowed,
    UnsafeProfile,
    SoftDeleted,
    MinimumRaised,
    WriteMinimumRaised,
    RolledBack,
    TokensRestored,
    Restarted,
    RestartedSealed,
    PortRefuses,
    PortSilent,
    HandshakeFails,
    TlsOld,
    ConnectionsEnded,
    AuditBroken,
    Uninitialized,
    SlowBodies,
    CutAnswers,
    Flaky,
    Jitter,
    LeasesShort,
    RotatedInRequest,
    StateDirectoryGone,
    Terminated,
    Killed,
    KilledPending,
    Frozen,
}

/// When Status may be unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unhealthy {
    /// Never: it does not concern the provider.
    Never,
    /// Only once it has lasted longer than results stay fresh.
    Stale,
    /// At once.
    AtOnce,
}

/// One kind of weather.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(crate) kind: Kind,
    pub(crate) name: &'static str,
    pub(crate) unhealthy: Unhealthy,
    /// Classes with which Encrypt and Decrypt may fail; `status_stale` goes with unhealthy.
    pub(crate) classes: &'static [&'static str],
}

const NONE: &[&str] = &[];
/// Accepted and never answered, or answered too late. A refresh for a key_id may meet it, too,
/// and so in all that follows; who waits for a lane behind such requests gets `timeout`.
const SILENT: &[&str] = &["openbao_unavailable", "timeout", "key_metadata_refresh"];
/// No sensible answer.
const USELESS: &[&str] = &["openbao_unavailable", "timeout", "key_metadata_refresh"];
/// Connections end under requests.
const LOST: &[&str] = &[
    "openbao_connection_failed",
    "timeout",
    "key_metadata_refresh",
];
/// Connections end, under handshakes too, and new ones are not made.
const AWAY: &[&str] = &[
    "openbao_connection_failed",
    "openbao_tls_failed",
    "timeout",
    "key_metadata_refresh",
];
/// Those that are there are silent, and new ones are not made.
const SWALLOWED: &[&str] = &[
    "openbao_unavailable",
    "openbao_connection_failed",
    "timeout",
    "key_metadata_refresh",
];
const SEALED: &[&str] = &["openbao_sealed", "timeout", "key_metadata_refresh"];
/// Away, and then sealed.
const AWAY_SEALED: &[&str] = &[
    "openbao_sealed",
    "openbao_connection_failed",
    "openbao_tls_failed",
    "timeout",
    "key_metadata_refresh",
];
const LIMITED: &[&str] = &["openbao_rate_limited", "key_metadata_refresh", "timeout"];
/// A node that has not heard of a version, or of the key.
const LAGGING: &[&str] = &[
    "transit_version_unavailable",
    "key_id_unknown",
    "key_metadata_refresh",
];
/// No token, and none to be had: calls wait for one, and others for their lanes.
const LOGIN: &[&str] = &[
    "auth_failed",
    "auth_expired",
    "timeout",
    "key_metadata_refresh",
];
const DENIED: &[&str] = &["transit_policy_denied", "key_metadata_refresh"];
const LEADERLESS: &[&str] = &["openbao_unavailable", "key_metadata_refresh", "timeout"];
const VERSIONS: &[&str] = &[
    "transit_version_unavailable",
    "key_id_unknown",
    "key_metadata_refresh",
];
const PROCESS: &[&str] = &[
    GONE,
    "timeout",
    "openbao_unavailable",
    "key_metadata_refresh",
];
const FREEZE: &[&str] = &[
    LATE,
    GONE,
    "timeout",
    "openbao_unavailable",
    "openbao_connection_failed",
    "key_metadata_refresh",
];

/// All kinds.
pub(crate) const TABLE: [Weather; 50] = [
    weather(K::Sealed, "sealed", Stale, SEALED),
    weather(K::Hanging, "backend hangs", Stale, SILENT),
    weather(K::HangingDecrypt, "decrypt hangs", Stale, SILENT),
    weather(K::Slow, "backend slow", Never, NONE),
    weather(K::Resets, "resets", Stale, LOST),
    weather(K::LostAnswers, "answers lost", Stale, LOST),
    weather(K::HalfBodies, "cut in the body", Stale, LOST),
    weather(K::InternalError, "500 internal error", Stale, USELESS),
    weather(K::Junk, "junk answers", Stale, USELESS),
    weather(K::Huge, "huge answers", Stale, USELESS),
    weather(K::DeadRedirect, "redirects to nowhere", Stale, USELESS),
    weather(K::RateLimited, "429 with Retry-After", Stale, LIMITED),
    weather(K::ActiveGone, "active node resets", Stale, LOST),
    weather(K::StandbyGone, "standby resets", Stale, LOST),
    weather(K::StandbyLag, "standby lags", Stale, LAGGING),
    weather(
        K::StandbyLeaderless,
        "standby has no leader",
        Stale,
        LEADERLESS,
    ),
    weather(K::StandbyRedirects, "standby redirects", Never, NONE),
    weather(K::TokensRevoked, "tokens revoked", Never, NONE),
    weather(K::PolicyRemoved, "policy removed", AtOnce, DENIED),
    weather(K::SigningKeyChanged, "signing key changed", Stale, LOGIN),
    weather(K::LoginRefused, "login refused", Stale, LOGIN),
    weather(K::ClockForward, "backend's clock forward", Stale, LOGIN),
    weather(K::ClockBack, "backend's clock back", Stale, LOGIN),
    weather(K::UpsertAllowed, "upsert allowed", AtOnce, NONE),
    weather(K::UnsafeProfile, "key made exportable", AtOnce, NONE),
    weather(K::SoftDeleted, "key soft-deleted", AtOnce, VERSIONS),
    weather(
        K::MinimumRaised,
        "decryption minimum raised",
        AtOnce,
        VERSIONS,
    ),
    weather(
        K::WriteMinimumRaised,
        "encryption minimum raised",
        AtOnce,
        VERSIONS,
    ),
    weather(K::RolledBack, "rolled back and restored", AtOnce, VERSIONS),
    weather(K::TokensRestored, "tokens of an old snapshot", Never, NONE),
    weather(K::Restarted, "backend restarted", Stale, AWAY),
    weather(
        K::RestartedSealed,
        "backend restarted sealed",
        Stale,
        AWAY_SEALED,
    ),
    weather(K::PortRefuses, "a port refuses", Stale, AWAY),
    weather(K::PortSilent, "a port swallows", Stale, SWALLOWED),
    weather(K::HandshakeFails, "TLS handshakes fail", Stale, AWAY),
    weather(K::TlsOld, "TLS 1.2 only", Never, NONE),
    weather(K::ConnectionsEnded, "connections ended", Never, NONE),
    weather(K::AuditBroken, "audit device broken", Stale, USELESS),
    weather(K::Uninitialized, "backend not initialized", Stale, SEALED),
    weather(K::SlowBodies, "bodies dribble", Never, NONE),
    weather(K::CutAnswers, "answers cut", Stale, USELESS),
    weather(K::Flaky, "one in four resets", Stale, LOST),
    weather(K::Jitter, "jitter", Never, NONE),
    weather(K::LeasesShort, "tokens die early", Never, NONE),
    weather(K::RotatedInRequest, "rotated within a request", Never, NONE),
    weather(K::StateDirectoryGone, "state directory away", Never, NONE),
    weather(K::Terminated, "provider restarted (TERM)", AtOnce, PROCESS),
    weather(K::Killed, "provider restarted (KILL)", AtOnce, PROCESS),
    weather(
        K::KilledPending,
        "provider killed in a rotation",
        AtOnce,
        PROCESS,
    ),
    weather(K::Frozen, "provider stopped and continued", Stale, FREEZE),
];

const fn weather(
    kind: Kind,
    name: &'static str,
    unhealthy: Unhealthy,
    classes: &'static [&'static str],
) -> Weather {
    Weather {
        kind,
        name,
        unhealthy,
        classes,
    }
}

impl Weather {
    /// Whether it ends tokens before their time.
    pub(crate) fn ends_tokens(&self) -> bool {
        matches!(
            self.kind,
            Kind::TokensRevoked
                | Kind::TokensRestored
                | Kind::LeasesShort
                | Kind::LoginRefused
                | Kind::SigningKeyChanged
                | Kind::ClockForward
        )
    }

    /// Whether it begins and ends with the connections, and does nothing else to a call: one such
    /// loss is made good.
    pub(crate) fn ends_connections(&self) -> bool {
        matches!(self.kind, Kind::TlsOld | Kind::ConnectionsEnded)
    }

    /// Whether it is about the provider's process and not the backend.
    pub(crate) fn is_restart(&self) -> bool {
        matches!(
            self.kind,
            Kind::Terminated | Kind::Killed | Kind::KilledPending
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_is_in_the_table_once_under_a_name_of_its_own() {
        let kinds: std::collections::HashSet<Kind> = TABLE.iter().map(|row| row.kind).collect();
        let names: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!((kinds.len(), names.len()), (TABLE.len(), TABLE.len()));
    }

    #[test]
    fn nothing_excuses_wrong_data_or_a_refused_request() {
        for class in ["aad_mismatch", "protocol_limit", "unknown", "panic"] {
            assert!(TABLE.iter().all(|row| !row.classes.contains(&class)));
        }
    }
}
