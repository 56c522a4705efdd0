//! The file's shape as types: the one table of fields, defaults, ranges and descriptions.
//!
//! The JSON Schema, the reference page, the reader of the YAML text and the printed
//! configuration all come from here. What a type cannot say is in `check`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

mod auth;

pub(crate) use auth::{
    AppRoleAuth, Auth, AuthMethod, CertAuth, CertSource, JwtAuth, JwtSource, Pkcs11, Spiffe,
};

/// Marks a field whose value is never shown: a path field may hold, by mistake, what belongs
/// into the file that it should name, and a URL may hold a password.
pub(crate) const HIDDEN: &str = "x-hidden";

/// A duration as Go writes it: `30s`, `1h30m`. Kept as text; `check` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct GoDuration(pub(crate) String);

impl GoDuration {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GoDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "go-duration",
            "pattern": r"^[+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$"
        })
    }
}

/// The configuration file of bao-kms-provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Configuration of bao-kms-provider")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Raw {
    /// Version of this file's format: `v1alpha1`.
    pub(crate) config_version: ConfigVersion,
    pub(crate) server: Server,
    pub(crate) openbao: OpenBao,
    #[serde(default)]
    pub(crate) auth: Auth,
    pub(crate) transit: Transit,
    #[serde(default)]
    pub(crate) bootstrap: Bootstrap,
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) state: State,
    #[serde(default)]
    pub(crate) rotation: Rotation,
    #[serde(default)]
    pub(crate) logging: Logging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ConfigVersion {
    V1alpha1,
}

/// The socket that the API server connects to, and the admin endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Server {
    /// Absolute path of the Unix socket, under `/run` or `/var/run`, at most 107 bytes.
    #[serde(default = "defaults::socket_path")]
    pub(crate) socket_path: String,
    /// Octal mode of the socket, in quotes: no bits for others, no execute bits.
    #[serde(default = "defaults::socket_mode")]
    pub(crate) socket_mode: String,
    /// Group of the socket: a name, or a decimal GID (static pods use the number).
    pub(crate) socket_group: String,
    /// `host:port` of `/metrics`, or `off`.
    #[serde(default = "defaults::metrics_address")]
    pub(crate) metrics_address: String,
    /// `host:port` of `/live` and `/ready`, or `off`.
    #[serde(default = "defaults::health_address")]
    pub(crate) health_address: String,
    /// Accepted for compatibility: Status is never refused for load.
    #[serde(default = "defaults::max_concurrent_status")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) max_concurrent_status: u32,
    /// Encrypt calls served at once; further ones wait in order.
    #[serde(default = "defaults::max_concurrent_encrypt")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) max_concurrent_encrypt: u32,
    /// Distinct Decrypt calls served at once; further ones wait in order.
    #[serde(default = "defaults::max_concurrent_decrypt")]
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) max_concurrent_decrypt: u32,
    /// Transit Decrypt requests in flight before batching starts.
    #[serde(default = "defaults::decrypt_lanes")]
    #[schemars(range(min = 1, max = 64))]
    pub(crate) decrypt_lanes: u32,
    /// User ids that may connect. Empty: the socket's mode and group decide.
    #[serde(default)]
    pub(crate) allowed_peers: Vec<u32>,
}

/// The OpenBao server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OpenBao {
    /// `https://HOST:PORT`, without user, path, query or fragment. TLS 1.2 or later; proxy
    /// environment variables are ignored.
    #[schemars(extend("x-hidden" = true))]
    pub(crate) address: String,
    /// Further `https` endpoints of the same OpenBao cluster.
    #[serde(default)]
    #[schemars(extend("x-hidden" = true))]
    pub(crate) failover_addresses: Vec<String>,
    /// Namespace, a relative path; empty for the root namespace. Part of the identity.
    #[serde(default)]
    pub(crate) namespace: String,
    /// CA bundle in PEM form: the only certificates that are trusted.
    #[schemars(extend("x-hidden" = true))]
    pub(crate) ca_cert_file: String,
    /// Name that the server's certificate must carry.
    pub(crate) tls_server_name: String,
    /// Longest time for one request, all in.
    #[serde(default = "defaults::request_timeout")]
    pub(crate) timeout: GoDuration,
    /// Name of this OpenBao installation. Part of the identity.
    pub(crate) instance_id: String,
}

/// The Transit key that wraps the seeds of the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Transit {
    /// Mount of the Transit engine. Part of the identity.
    pub(crate) mount_path: String,
    /// Name of the key, one segment without `/` and `%`. Part of the identity.
    pub(crate) key_name: String,
    pub(crate) key_id_scope: KeyIdScope,
    /// Identity fingerprint that this file must have; empty: not checked. `serve` refuses
    /// another one.
    #[serde(default)]
    pub(crate) expected_fingerprint: String,
}

/// Names that every key_id is derived from. None may change once data exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyIdScope {
    /// Name of this provider in the cluster's EncryptionConfiguration.
    pub(crate) provider_name: String,
    /// Name of the cluster.
    pub(crate) cluster_id: String,
    /// Name of the Transit mount, independent of its path.
    pub(crate) transit_mount_id: String,
    /// Name of the key's line of versions; another key gets another one.
    pub(crate) key_lineage_id: String,
}

/// The time between start and the first healthy Status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Bootstrap {
    /// How long the first probes may take to pass.
    pub(crate) grace_timeout: GoDuration,
    /// Time between two tries.
    pub(crate) retry_interval: GoDuration,
    /// What happens then: `exit` with code 5, or `stay`: keep listening, unhealthy, and keep
    /// trying.
    pub(crate) on_timeout: OnTimeout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnTimeout {
    #[default]
    Exit,
    Stay,
}

/// The probes behind Status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Status {
    /// Time between two reads of the key's metadata.
    pub(crate) probe_interval: GoDuration,
    /// Time between two real encryptions and decryptions.
    pub(crate) deep_probe_interval: GoDuration,
    /// Age at which the last good probe no longer counts; at least twice `probeInterval`.
    pub(crate) status_max_staleness: GoDuration,
}

/// The key registry on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct State {
    /// Absolute path of the registry; its checkpoint and its lock lie beside it.
    pub(crate) path: String,
}

/// What happens when the Transit key is rotated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Rotation {
    /// Rotations are observed, never made.
    pub(crate) mode: RotationMode,
    /// Time between a version's being stable and its promotion, at most 24h.
    pub(crate) activation_delay: GoDuration,
    /// Agreeing observations that make a new version stable.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) require_stable_observation_count: u32,
    /// A latest version below the active one is refused. Only `true` is accepted.
    pub(crate) reject_version_rollback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RotationMode {
    #[default]
    Observed,
}

/// Logs, on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Logging {
    /// Least severe level that is written.
    pub(crate) level: LogLevel,
    /// Form of a line.
    pub(crate) format: LogFormat,
    /// Whether request ids of OpenBao are logged, to find a call in its audit log. Its
    /// refusals carry none.
    #[serde(rename = "logOpenBaoRequestIDs")]
    pub(crate) log_openbao_request_ids: bool,
    pub(crate) debug_correlation: DebugCorrelation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Json,
    Text,
}

/// More in the logs for the time of an incident; ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct DebugCorrelation {
    /// Needs level `debug`, `logOpenBaoRequestIDs` and an incident id.
    pub(crate) enabled: bool,
    /// How long it lasts, above 0 and at most 1h.
    pub(crate) ttl: GoDuration,
    /// Name of the incident, at most 64 characters.
    pub(crate) incident_id: String,
}

// The defaults, all of them. Sections with a required field name theirs one by one, the others
// as a whole.

mod defaults {
    use super::GoDuration;

    pub(super) fn socket_path() -> String {
        "/run/openbao-kms/kms.sock".to_owned()
    }
    pub(super) fn socket_mode() -> String {
        "0660".to_owned()
    }
    pub(super) fn metrics_address() -> String {
        "127.0.0.1:8081".to_owned()
    }
    pub(super) fn health_address() -> String {
        "127.0.0.1:8082".to_owned()
    }
    pub(super) fn max_concurrent_status() -> u32 {
        16
    }
    pub(super) fn max_concurrent_encrypt() -> u32 {
        32
    }
    pub(super) fn max_concurrent_decrypt() -> u32 {
        64
    }
    pub(super) fn decrypt_lanes() -> u32 {
        4
    }
    pub(super) fn request_timeout() -> GoDuration {
        GoDuration::new("2s")
    }
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            grace_timeout: GoDuration::new("60s"),
            retry_interval: GoDuration::new("5s"),
            on_timeout: OnTimeout::Exit,
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self {
            probe_interval: GoDuration::new("30s"),
            deep_probe_interval: GoDuration::new("5m"),
            status_max_staleness: GoDuration::new("2m"),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            path: "/var/lib/openbao-kms/state/key-registry.json".to_owned(),
        }
    }
}

impl Default for Rotation {
    fn default() -> Self {
        Self {
            mode: RotationMode::Observed,
            activation_delay: GoDuration::new("2m"),
            require_stable_observation_count: 3,
            reject_version_rollback: true,
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Json,
            log_openbao_request_ids: true,
            debug_correlation: DebugCorrelation::default(),
        }
    }
}

impl Default for DebugCorrelation {
    fn default() -> Self {
        Self {
            enabled: false,
            ttl: GoDuration::new("15m"),
            incident_id: String::new(),
        }
    }
}
