//! The checked configuration: plain values, every rule kept, every default filled in.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use registry::scope::Scope;
use yaml::source::Source;

use super::{raw::Raw, walk::Places};

/// What `load` returns. Rooms get their own settings from it; none of them sees this type.
#[derive(Debug, Clone)]
pub struct Config {
    /// Section `server`.
    pub server: Server,
    /// Section `openbao`.
    pub openbao: OpenBao,
    /// Section `auth`.
    pub auth: Auth,
    /// Section `transit`.
    pub transit: Transit,
    /// Section `bootstrap`.
    pub bootstrap: Bootstrap,
    /// Section `status`.
    pub status: Status,
    /// Section `state`.
    pub state: State,
    /// Section `rotation`.
    pub rotation: Rotation,
    /// Section `logging`.
    pub logging: Logging,
    /// The file it came from, for messages about what only the host can tell.
    pub(crate) origin: Arc<Origin>,
}

/// The file as it was read.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) source: Source,
    pub(crate) places: Places,
    pub(crate) raw: Raw,
}

/// Section `server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Absolute, under `/run` or `/var/run`, at most 107 bytes.
    pub socket_path: PathBuf,
    /// Permission bits; none for others, none to execute.
    pub socket_mode: u32,
    /// Who besides the owner may connect.
    pub socket_group: Group,
    /// `None` is `off`.
    pub metrics_address: Option<ListenAddress>,
    /// `None` is `off`.
    pub health_address: Option<ListenAddress>,
    /// 1 to 1024; accepted for compatibility.
    pub max_concurrent_status: usize,
    /// 1 to 1024.
    pub max_concurrent_encrypt: usize,
    /// 1 to 1024.
    pub max_concurrent_decrypt: usize,
    /// 1 to 64.
    pub decrypt_lanes: usize,
    /// User ids; empty: no check of the peer.
    pub allowed_peers: Vec<u32>,
}

/// A group of the host, not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// By number; needs no entry in a group file.
    Gid(u32),
    /// By name.
    Name(String),
}

/// Where to listen: an IP address or a host name, and a port (0: any).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// Without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// An `https` endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// 443 when the URL has none.
    pub port: u16,
}

/// Section `openbao`, without its identity fields (see [`Transit::scope`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenBao {
    /// Asked first.
    pub address: Endpoint,
    /// Other endpoints of the same cluster, none of them equal to `address` or to each other.
    pub failover_addresses: Vec<Endpoint>,
    /// Empty: the root namespace.
    pub namespace: String,
    /// PEM bundle.
    pub ca_cert_file: PathBuf,
    /// DNS name or IP address.
    pub tls_server_name: String,
    /// Above zero.
    pub timeout: Duration,
}

/// Section `auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The way to log in.
    pub method: AuthMethod,
    /// Above zero.
    pub login_before_token_expiry: Duration,
    /// Above zero.
    pub token_renewal_increment: Duration,
    /// Above zero: the default is resolved.
    pub login_timeout: Duration,
}

/// Ways to log in that this build has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthMethod {
    /// With a JWT from a file.
    Jwt(JwtFile),
}

/// Section `auth.jwt` with source `file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtFile {
    /// Below `auth/`, without that prefix and without slashes around it.
    pub mount_path: String,
    /// Not empty.
    pub role: String,
    /// Read again before every login.
    pub jwt_file: PathBuf,
    /// May be zero.
    pub min_remaining_ttl: Duration,
    /// May be zero.
    pub clock_skew_leeway: Duration,
    /// `None`: not checked.
    pub expected_issuer: Option<String>,
    /// `None`: not checked.
    pub expected_audience: Option<String>,
    /// `None`: not checked.
    pub expected_subject: Option<String>,
}

/// Section `transit`, with the identity that other sections contribute to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transit {
    /// Without slashes around it.
    pub mount_path: String,
    /// One path segment.
    pub key_name: String,
    /// Inputs of every key_id.
    pub scope: Scope,
    /// `cfg1.` and 43 characters; `None`: not checked.
    pub expected_fingerprint: Option<String>,
}

/// Section `bootstrap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// May be zero: one try.
    pub grace_timeout: Duration,
    /// Above zero.
    pub retry_interval: Duration,
    /// What happens when the grace is over.
    pub on_timeout: OnTimeout,
}

/// `bootstrap.onTimeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// End with exit code 5.
    Exit,
    /// Keep listening, unhealthy, and keep trying.
    Stay,
}

/// Section `status`; the three fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Above zero.
    pub probe_interval: Duration,
    /// Above zero.
    pub deep_probe_interval: Duration,
    /// At least twice the probe interval.
    pub max_staleness: Duration,
}

/// Section `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Absolute.
    pub path: PathBuf,
}

/// Section `rotation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// At most 24 hours.
    pub activation_delay: Duration,
    /// 1 to 100.
    pub stable_observations: u32,
}

/// Section `logging`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Least severe level that is written.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
    /// Whether OpenBao's request ids are logged.
    pub openbao_request_ids: bool,
    /// `None`: off.
    pub debug_correlation: Option<DebugCorrelation>,
}

/// `logging.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// With every call that succeeded.
    Debug,
    /// The normal course of things.
    Info,
    /// What may need somebody.
    Warn,
    /// What needs somebody.
    Error,
}

/// `logging.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `logging.debugCorrelation`, when enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugCorrelation {
    /// Counted from start; above zero, at most 1 hour.
    pub ttl: Duration,
    /// 1 to 64 characters.
    pub incident_id: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", Bracketed(&self.host), self.port)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// An IPv6 address needs brackets before a port.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(self.0)
        }
    }
}
